"""The forms in which filters arrive: public arguments, and JSON in one dialect, that of MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import count, islice
from typing import TYPE_CHECKING, Any, get_args

from vecsearch.errors import FilterError
from vecsearch.filters.tree import (
    MAX_DEPTH,
    MAX_NODES,
    And,
    Condition,
    F,
    Filter,
    Not,
    Operator,
    Or,
    bounded,
    condition,
    map_conditions,
)
from vecsearch.filters.values import Scalar, field_name, nearest, show

if TYPE_CHECKING:
    from collections.abc import Iterator

_JSON_NAMES = {op: "$nin" if op == "not_in" else f"${op}" for op in get_args(Operator)}
_JSON_OPERATORS = {name: op for op, name in _JSON_NAMES.items()}


def parse(tree: Filter | Mapping[str, Any] | None) -> Filter | None:
    """A public ``filter=`` argument: a checked filter, its JSON form, or ``None``.

    Raises ``FilterError`` for anything else, and for what is too deep or too large.
    """
    if tree is None:
        return None
    if isinstance(tree, Filter):
        return map_conditions(bounded(tree), lambda leaf: condition(leaf.field, leaf.op, leaf.value))
    if isinstance(tree, Mapping):
        return from_json(tree)
    if isinstance(tree, F):
        tree._incomplete()  # noqa: SLF001  its own message
    if isinstance(tree, bool):
        raise FilterError(f"{tree} is no filter: use & | ~ for `and`, `or`, `not`, and == or .exists() for `is`")
    raise FilterError(f'{show(tree)} is no filter: write F("year") >= 2020, or {{"year": {{"$gte": 2020}}}}')


def to_json(tree: Filter) -> dict[str, Any]:
    """The filter as plain dicts, lists and scalars; ``from_json`` gives back an equal filter.

    Raises ``FilterError`` for a ``Constant`` and for an ``And`` or ``Or`` without parts: they have no form, because a
    dict that quietly means "all rows" would let ``remove_from_index`` remove them.
    """
    match bounded(tree):
        case Condition(field, "exists", _, negated):
            return {field: {"$exists": not negated}}
        case Condition(field, "eq", value, False):
            return {field: _json_value(value)}
        case Condition(field, op, value, negated):
            body = {_JSON_NAMES[op]: _json_value(value)}
            return {field: {"$not": body} if negated else body}
        case And(parts):
            return {"$and": [to_json(part) for part in parts]}
        case Or(parts):
            return {"$or": [to_json(part) for part in parts]}
        case Not(part):
            return {"$not": to_json(part)}
    raise FilterError(f"{tree!r} has no JSON form")


def _json_value(value: Scalar | tuple[Scalar, ...]) -> Any:
    if isinstance(value, tuple):
        return [_json_value(member) for member in value]
    return {"$date": value.isoformat()} if isinstance(value, datetime) else value


def from_json(obj: Mapping[str, Any]) -> Filter:
    """The filter that a dict means: ``{"tenant": "acme", "year": {"$gte": 2020, "$lt": 2025}}``.

    Fields and operators of one dict are and-ed; ``$and`` and ``$or`` take lists, ``$not`` a dict; datetimes are
    ``{"$date": "2026-01-01T00:00:00+00:00"}``, or ``datetime`` objects. Raises ``FilterError`` for everything else.
    """
    return bounded(_read(obj, depth=1, counter=count(1)))


def _read(obj: object, *, depth: int, counter: Iterator[int]) -> Filter:
    # Counted while reading: a dict that holds itself, or one dict a thousand times, has no end.
    if next(counter) > MAX_NODES:
        raise FilterError(f"a filter may have {MAX_NODES} parts, not more")
    if depth > MAX_DEPTH:
        raise FilterError(f"a filter may be {MAX_DEPTH} levels deep, not more")
    if not isinstance(obj, Mapping):
        raise FilterError(f'{show(obj)} is no filter: write a dict such as {{"year": {{"$gte": 2020}}}}')
    parts: list[Filter] = []
    for key, value in islice(obj.items(), MAX_NODES + 1):
        if key in ("$and", "$or"):
            if not isinstance(value, (list, tuple)) or not value:
                raise FilterError(f"{key} takes a list of at least one filter, not {show(value)}")
            inner = tuple(_read(part, depth=depth + 1, counter=counter) for part in value)
            parts.append(And(inner) if key == "$and" else Or(inner))
        elif key == "$not":
            parts.append(Not(_read(value, depth=depth + 1, counter=counter)))
        elif isinstance(key, str) and key.startswith("$"):
            raise FilterError(_misplaced(key))
        else:
            parts.extend(_read_field(field_name(key), value))
    if not parts:
        raise FilterError("{} is no filter: leave the filter out (None) to mean every row")
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _misplaced(key: str) -> str:
    if key in _JSON_OPERATORS:
        return f'{key} belongs to a field: write {{"year": {{"{key}": ...}}}}'
    return f"{show(key)} is no operator{nearest(key, ('$and', '$or', '$not', *_JSON_OPERATORS))}"


def _read_field(field: str, spec: object) -> list[Filter]:
    if not isinstance(spec, Mapping) or set(spec) == {"$date"}:
        return [condition(field, "eq", _json_scalar(spec))]
    if not spec:
        raise FilterError(f'{field!r} has no operator: write {{"{field}": {{"$eq": ...}}}}')
    parts: list[Filter] = []
    for key, value in spec.items():
        if key == "$not" and isinstance(value, Mapping) and "$not" not in value and set(value) != {"$date"}:
            inner = _read_field(field, value)
            only = inner[0] if len(inner) == 1 else And(tuple(inner))
            parts.append(replace(only, negated=not only.negated) if isinstance(only, Condition) else Not(only))
        elif key == "$exists":
            if not isinstance(value, bool):
                raise FilterError(f"$exists takes true or false, not {show(value)}")
            parts.append(Condition(field, "exists", negated=not value))
        elif isinstance(key, str) and key in _JSON_OPERATORS:
            members = [_json_scalar(member) for member in value] if isinstance(value, (list, tuple)) else None
            parts.append(condition(field, _JSON_OPERATORS[key], _json_scalar(value) if members is None else members))
        elif key == "$not":
            raise FilterError(f'$not takes a dict of operators: write {{"{field}": {{"$not": {{"$eq": ...}}}}}}')
        else:
            raise FilterError(f"{show(key)} is no operator of a field{nearest(key, _JSON_OPERATORS)}")
    return parts


def _json_scalar(value: object) -> object:
    if not isinstance(value, Mapping) or set(value) != {"$date"}:
        return value
    try:
        return datetime.fromisoformat(value["$date"])
    except (TypeError, ValueError):
        raise FilterError(
            f'$date takes an ISO 8601 text with a time zone, "2026-01-01T00:00:00+00:00", not {show(value["$date"])}'
        ) from None
