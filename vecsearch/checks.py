"""Every refusal that is made before a call: arrays, ids, metadata, documents, numbers."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from vecsearch.errors import InvalidInputError
from vecsearch.filters import is_field_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ID_BYTES = 4096
_MAX_INT = 2**63 - 1
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_BLOCK = 65_536
_COLUMN = "a column, one value a row (rows are a list of dicts)"


def named(positions: Iterable[int], limit: int = 5) -> str:
    """The first few row numbers, for a message."""
    shown = [str(int(position)) for position in positions]
    more = f", … {len(shown) - limit} more" if len(shown) > limit else ""
    return f"row{'s' if len(shown) > 1 else ''} {', '.join(shown[:limit])}{more}"


def embeddings(values: Any, dim: int | None, what: str = "embeddings") -> NDArray[np.float32]:
    """``values`` as finite float32, C-contiguous, shape (n, dim); never the caller's array if it has to change.

    Lists, ints and other float types are converted; ``dim=None`` takes any width of at least 1.
    """
    array = _numeric(values, what)
    if array.size == 0 and array.ndim <= 2:  # noqa: PLR2004  [] and shape (0, d) are both "no rows"
        width = array.shape[1] if array.ndim == 2 and array.shape[1] else (dim or 0)  # noqa: PLR2004
        if dim is not None and width != dim:
            raise InvalidInputError(f"{what} have {width} dimensions, this index has {dim}")
        return np.empty((0, width), dtype=np.float32)
    if array.ndim != 2:  # noqa: PLR2004
        hint = f"; for one vector write {what}=[vector]" if array.ndim == 1 else ""
        raise InvalidInputError(f"{what} must have shape (rows, dimensions), not {array.shape}{hint}")
    if dim is not None and array.shape[1] != dim:
        raise InvalidInputError(f"{what} have {array.shape[1]} dimensions, this index has {dim}")
    return _finite_float32(array, what)


def queries(values: Any, dim: int, what: str = "queries") -> NDArray[np.float32]:
    """One vector (d,) or several (q, d), as float32 (q, dim)."""
    array = _numeric(values, what)
    return embeddings(array[None, :] if array.ndim == 1 and array.size else array, dim, what)


def is_sound_vector(values: Any, dim: int | None) -> bool:
    """Whether this is one vector that needs neither a change nor a further look, seen at the price of one product."""
    if not (type(values) is np.ndarray and values.dtype == np.float32 and values.shape == (dim,)):
        return False
    # vdot, which does not warn of an overflow as dot does.
    return values.flags.c_contiguous and bool(0 < np.vdot(values, values) < math.inf)


def _numeric(values: Any, what: str) -> NDArray[Any]:
    if np.ma.is_masked(values):
        raise InvalidInputError(f"{what} hold masked values; fill them, or leave their rows out")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidInputError(f"{what}: the rows have different lengths") from error
    if array.dtype == object and array.ndim == 1 and len(array):
        try:
            array = np.stack([np.asarray(row, dtype=np.float64 if _is_wide(row) else None) for row in array])
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"{what}: every row must be a list of numbers of one length ({error})") from error
    if array.dtype.kind not in "fiu":
        if array.size == 0:
            return array.astype(np.float32)
        kind = type(values).__name__ if array.dtype == object and array.ndim == 0 else array.dtype
        raise InvalidInputError(f"{what} must be an array of numbers, not {kind}")
    return array


def _is_wide(row: object) -> bool:
    return not isinstance(row, np.ndarray)


def _finite_float32(array: NDArray[Any], what: str) -> NDArray[np.float32]:
    bad: list[int] = []
    for start in range(0, len(array), _BLOCK):
        block = array[start : start + _BLOCK]
        if block.dtype.kind == "f":
            # A sum is finite only if its terms are; where it is not, it may have overflowed: each value is looked at.
            with np.errstate(over="ignore", invalid="ignore"):
                if block.dtype == np.float32 and np.isfinite(np.add.reduce(block, axis=None)):
                    continue
                rows = np.flatnonzero(~(np.abs(block) <= _FLOAT32_MAX).all(axis=1))
            bad.extend((rows + start).tolist())
    if bad:
        raise InvalidInputError(f"{what} hold NaN, infinity or numbers beyond float32 in {named(bad)}")
    return np.ascontiguousarray(array, dtype=np.float32)


def no_zero_vectors(array: NDArray[np.float32], why: str, what: str = "embeddings") -> None:
    """Refuse rows of zeros."""
    suspects = np.flatnonzero(array[:, :1] == 0)  # few: the others need no further look
    zero = suspects[~array[suspects].any(axis=1)]
    if len(zero):
        raise InvalidInputError(f"{what} hold vectors of zeros in {named(zero)}: {why}")


def text_id(value: Any, what: str) -> str:
    """One id as text: str, int and UUID are ids; bool, float, None, empty, NUL and over-long ones are not."""
    if isinstance(value, str):
        text = str(value)
    elif isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(f"{what}: {value!r} is a bool, not an id")
    elif isinstance(value, (int, np.integer, uuid.UUID)):
        text = str(value)
    else:
        raise InvalidInputError(f"{what}: {value!r} is no id; ids are strings, integers or UUIDs")
    if not text:
        raise InvalidInputError(f"{what}: an id must not be empty")
    if "\0" in text:
        raise InvalidInputError(f"{what}: the id {text!r} holds a NUL character")
    if len(text) * 4 > MAX_ID_BYTES:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise InvalidInputError(f"{what}: the id {text[:40]!r} is not valid Unicode") from error
        if size > MAX_ID_BYTES:
            raise InvalidInputError(f"{what}: the id {text[:40]!r}… has {size} bytes; {MAX_ID_BYTES} is the most")
    elif not text.isascii() and not _encodable(text):
        raise InvalidInputError(f"{what}: the id {text!r} is not valid Unicode")
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _are_plain(values: list[Any]) -> bool:
    """Whether a look at all values together shows that each is an id as it is: ten times faster than one by one."""
    if set(map(type, values)) != {str} or not all(values):
        return False
    text = "\0".join(values)
    return text.isascii() and text.count("\0") == len(values) - 1 and max(map(len, values)) <= MAX_ID_BYTES


def ids(values: Any, what: str = "sample_ids", *, unique: bool = True) -> list[str]:
    """Ids as a list of str, aligned by position; where ``unique``, a repeated one is refused, and so is a set."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidInputError(f"{what} must be a list of ids, not {values!r}; for one id write {what}=[id]")
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise InvalidInputError(f"{what} must have shape (rows,), not {values.shape}")
    if unique and isinstance(values, (set, frozenset)):
        raise InvalidInputError(f"{what} must be a list of ids: a set has no order, by which each would have its row")
    values = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind == "U" else list(values)
    result = values if _are_plain(values) else [text_id(value, what) for value in values]
    if unique and len(set(result)) != len(result):
        seen: set[str] = set()
        repeated = list(dict.fromkeys(value for value in result if value in seen or seen.add(value)))  # type: ignore[func-returns-value]
        raise InvalidInputError(f"{what}: given more than once in one call: {repeated[:5]!r}")
    return result


def column_of(values: Any, what: str, held: str) -> list[Any]:
    """What belongs to rows by its place, as a list; a text is no list of letters here, and a set has no places."""
    placeless = isinstance(values, (str, bytes, Mapping, set, frozenset)) or getattr(values, "ndim", 1) == 0
    if placeless or not isinstance(values, Iterable):
        shown = f"a {type(values).__name__}" if isinstance(values, (Mapping, set, frozenset)) else f"{values!r:.60}"
        raise InvalidInputError(f"{what} must be {held}, not {shown}")
    return list(values)


def same_length(expected: int, given: int, what: str, of: str = "embeddings") -> None:
    """Refuse columns of different lengths."""
    if expected != given:
        raise InvalidInputError(f"{given} {what} for {expected} {of}; give one for each")


def metadata(values: Any, rows: int) -> list[dict[str, Any]] | None:
    """Metadata as one dict a row: from a list of dicts, a dict of columns, or a table; ``None`` stays ``None``.

    ``None``, NaN, NaT and pandas.NA are absent. Allowed are str, int (64 bit), finite float, bool, timezone-aware
    datetime and lists of str.
    """
    if values is None:
        return None
    if hasattr(values, "to_dict") and hasattr(values, "columns"):
        values = {name: list(values[name]) for name in values.columns}
    elif hasattr(values, "to_pydict"):
        values = values.to_pydict()
    if isinstance(values, Mapping):
        columns = {name: column_of(column, f"metadata field {name!r}", _COLUMN) for name, column in values.items()}
        for name, column in columns.items():
            same_length(rows, len(column), f"values of metadata field {name!r}")
        values = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] or [{}] * rows
    values = column_of(values, "metadata", "a list of dicts or a dict of columns")
    same_length(rows, len(values), "metadata rows")
    return [metadata_row(row, position) for position, row in enumerate(values)]


def metadata_row(row: Any, position: int) -> dict[str, Any]:
    """One row of metadata, its values checked and as plain Python."""
    if row is None:
        return {}
    if not isinstance(row, Mapping):
        raise InvalidInputError(f"metadata of row {position} must be a dict, not {type(row).__name__}")
    result = {}
    for name, value in row.items():
        field_name(name, f"metadata of row {position}")
        plain = metadata_value(value, f"metadata field {name!r} of row {position}")
        if plain is not None:
            result[name] = plain
    return result


def _is_na(value: Any) -> bool:
    """Whether it is one of pandas' own absent values."""
    return type(value).__name__ in ("NaTType", "NAType")


def field_name(name: Any, what: str) -> None:
    """Refuse names that not every engine can hold."""
    if not is_field_name(name):
        raise InvalidInputError(
            f"{what}: {name!r} is no field name; names are letters, digits and single _ (at most 64), not starting _vs_"
        )


def metadata_value(value: Any, what: str) -> Any:  # noqa: C901, PLR0912  one refusal a type
    """A metadata value as plain Python, ``None`` where it is absent."""
    if value is None or isinstance(value, str):
        if isinstance(value, str) and not value.isascii() and not _encodable(value):
            raise InvalidInputError(f"{what}: not valid Unicode")
        return None if value is None else str(value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        if not -_MAX_INT - 1 <= int(value) <= _MAX_INT:
            raise InvalidInputError(f"{what}: {value} does not fit 64 bits")
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return None
        if math.isinf(number):
            raise InvalidInputError(f"{what}: infinity cannot be stored")
        return number
    if _is_na(value):
        return None
    if isinstance(value, np.datetime64):
        raise InvalidInputError(f"{what}: numpy.datetime64 has no timezone; give datetime(…, tzinfo=UTC)")
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise InvalidInputError(f"{what}: {value!r} has no timezone; add tzinfo=UTC")
        convert = getattr(value, "to_pydatetime", None)
        return convert(warn=False) if convert else value
    if isinstance(value, date):
        raise InvalidInputError(f"{what}: {value!r} is a date; give a datetime with tzinfo=UTC")
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        if getattr(value, "ndim", 1) == 0 or not all(isinstance(item, str) for item in value):
            raise InvalidInputError(f"{what}: a list may hold strings only, not {value!r}")
        items = [str(item) for item in value]
        return sorted(items) if isinstance(value, (set, frozenset)) else items
    raise InvalidInputError(
        f"{what}: {type(value).__name__} cannot be stored; str, int, float, bool, datetime and lists of str can"
    )


def documents(values: Any, rows: int) -> list[str | None] | None:
    """Documents as a list of str or ``None``; one for each row."""
    if values is None:
        return None
    result: list[str | None] = []
    for position, value in enumerate(column_of(values, "documents", "a list of strings, one a row")):
        if value is None or (isinstance(value, float) and math.isnan(value)) or _is_na(value):
            result.append(None)
        elif isinstance(value, str) and _encodable(value):
            result.append(str(value))
        else:
            raise InvalidInputError(f"the document of row {position} must be a string, not {type(value).__name__}")
    same_length(rows, len(result), "documents")
    return result


def positive(value: Any, what: str) -> int:
    """A whole number of at least 1."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidInputError(f"{what} must be a whole number of at least 1, not {value!r}")
    return int(value)


def choice(value: Any, allowed: Any, what: str) -> None:
    """Refuse a word that is not among those of a ``Literal``."""
    if value not in get_args(allowed):
        raise InvalidInputError(f"{what} must be one of {', '.join(map(repr, get_args(allowed)))}, not {value!r}")


def is_vector_like(value: Any) -> bool:
    """Whether a query is a float array: a vector or several."""
    if isinstance(value, np.ndarray):
        return bool(value.dtype.kind == "f")
    if hasattr(value, "__array__") and not isinstance(value, (str, bytes)):
        return bool(np.asarray(value).dtype.kind == "f")
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and len(value):
        return isinstance(value[0], (float, np.floating)) or is_vector_like(value[0])
    return False


def one_selector(**given: Any) -> str | None:
    """The name of the one argument that is given; two are refused, none is ``None``."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise InvalidInputError(f"give one of {' and '.join(names)}, not both")
    return names[0] if names else None
