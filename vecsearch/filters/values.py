"""What a filter compares with: five plain types, four kinds, and the refusals of everything else."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np

from vecsearch.errors import FilterError

Scalar: TypeAlias = str | int | float | bool | datetime
Kind = Literal["str", "number", "bool", "datetime"]

MAX_MEMBERS = 10_000

_NAME = re.compile(r"(?!_vs_)(?!.*__)[A-Za-z_][A-Za-z0-9_]{0,63}")
_KINDS: dict[type, Kind] = {str: "str", int: "number", float: "number", bool: "bool", datetime: "datetime"}
_SHOWN_CHARACTERS = 60


def kind(value: Scalar) -> Kind:
    """The kind of a plain value; values of different kinds never compare."""
    return _KINDS[type(value)]


def is_field_name(name: object) -> bool:
    """Whether a metadata field may have this name: ``[A-Za-z_][A-Za-z0-9_]{0,63}``, no ``__``, no ``_vs_`` in front."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def field_name(name: object) -> str:
    """A checked field name."""
    if is_field_name(name):
        return str(name)
    raise FilterError(
        f"{show(name)} is no field name: letters, digits and _, at most 64, no digit first, no __, no _vs_ in front"
    )


def members_of(field: str, method: str, values: object) -> tuple[Scalar, ...]:
    """The checked members of a list condition; ``method`` is how the user calls it."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise FilterError(f"F({field!r}).{method} takes a list, not {show(values)}: write [{show(values)}]")
    if isinstance(values, np.ndarray):
        values = np.atleast_1d(values)
    members = [plain(field, value) for value in islice(values, MAX_MEMBERS + 1)]
    if len(members) > MAX_MEMBERS:
        raise FilterError(
            f"F({field!r}).{method} takes at most {MAX_MEMBERS:,} values; use_view takes any number of ids"
        )
    if isinstance(values, AbstractSet):  # a set has no order of its own, a filter has one
        members.sort(key=lambda value: (kind(value), value))
    return tuple(members)


def plain(field: str, value: object) -> Scalar:
    """A value as exactly one of the five plain types, datetimes in UTC; or a refusal that says what to write."""
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FilterError(f"F({field!r}): {value!a} is not valid Unicode (a lone surrogate)") from None
        return str.__str__(value)
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:  # what a row may hold
            return int(value)
        raise FilterError(f"F({field!r}): an integer must fit 64 bits, from -2**63 to 2**63 - 1; use a float")
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, datetime) and value.tzinfo is not None and value.utcoffset() is not None:
        return _instant(field, value)
    raise FilterError(_refusal(field, value))


def _instant(field: str, value: datetime) -> datetime:
    if getattr(value, "nanosecond", 0):  # pandas.Timestamp
        raise FilterError(f"F({field!r}): datetimes have microseconds; round {value} with .floor('us')")
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        raise FilterError(f"F({field!r}): {value} is outside the years 1 to 9999 of UTC") from None
    return datetime.combine(utc.date(), utc.time(), UTC)


def _refusal(field: str, value: object) -> str:
    where = f"F({field!r})"
    if (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and math.isnan(value))
    ):
        return f"{where}: {value} means that the field is absent: write ~{where}.exists() for rows without it"
    if isinstance(value, float):
        return f"{where}: {value} is not finite: leave the condition out, or write {where}.exists()"
    if isinstance(value, datetime):
        return f"{where}: {value} has no time zone: write value.replace(tzinfo=datetime.UTC) if it is UTC"
    if isinstance(value, (date, np.datetime64)):
        return (
            f"{where}: write a datetime with a time zone, datetime(2026, 1, 1, tzinfo=datetime.UTC), for {show(value)}"
        )
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return f"{where} compares with one value, not a list: write .is_in([...]), or .contains('a') for a list field"
    return f"{where}: {show(value)} is no str, int, float, bool or datetime"


def show(value: object) -> str:
    """A short repr for a message, whatever the value does."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  a refusal must not fail because of what it refuses
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def nearest(name: object, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the one that was meant, or all."""
    known = list(names)
    # "gte" for "$gte" is the common slip, and the one that a comparison of letters can miss.
    matches = [option for option in known if option.lstrip("$") == str(name).lstrip("$").lower()]
    matches = matches or difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f": did you mean {matches[0]!r}?" if matches else f"; known are {', '.join(known)}"
