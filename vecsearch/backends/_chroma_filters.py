"""Filters as Chroma's ``where``: names and values are data in it, never text.

Chroma compares a number with integers and with floats, each in its own column, and rounds the number for the integers:
``$lt 1.5`` misses the integer 1, and ``$eq 1.5`` finds it. So whole numbers go as integers, and for others the answer
for the two integers around them is put right.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from vecsearch import filters
from vecsearch.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vecsearch.backends.base import Where
    from vecsearch.filters import Condition, Filter

_MAX_PARAMETERS = 30_000  # of 32,766 that SQLite takes; the names of fields are some, too


def compiled(where: Where | None) -> dict[str, Any] | None:
    """The filter of ``where``; ``None`` where there is none. Raises where it has more values than Chroma takes."""
    if where is None or where.filter is None:
        return None
    condition = _condition(where.filter)
    parameters = _parameters(condition) + len(where.ids or ())
    if parameters > _MAX_PARAMETERS:
        raise UnsupportedError(
            f"chroma takes fewer values in a filter: these are {parameters:,} parameters of its database, of "
            f"{_MAX_PARAMETERS:,} (an integer is two, one with a fraction six); use several filters, or a view by ids"
        )
    return condition


def _parameters(part: Any) -> int:
    """How many parameters a condition becomes in Chroma's database: numbers are compared in two columns."""
    if isinstance(part, dict):
        return sum(map(_parameters, part.values()))
    if isinstance(part, list):
        return sum(map(_parameters, part))
    return 1 if isinstance(part, (str, bool)) else 2


def _condition(tree: Filter) -> dict[str, Any]:
    return filters.fold(tree, leaf=_leaf, every=_every, some=_some)


def _every(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 else {"$and": list(parts)}


def _some(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 else {"$or": list(parts)}


def _leaf(leaf: Condition) -> dict[str, Any]:
    name, values = leaf.field, leaf.members
    if leaf.op == "contains":
        return {name: {"$not_contains" if leaf.negated else "$contains": leaf.value}}
    # Only fields that every row has come here negated.
    op = filters.OPPOSITES[leaf.op] if leaf.negated else leaf.op
    if op in ("lt", "lte", "gt", "gte"):
        return _bound(name, op, values[0])
    positive = op in ("eq", "in")
    if filters.kind(values[0]) == "number":
        return _among(name, values) if positive else _not_among(name, values)
    return {name: {"$in" if positive else "$nin": list(values)}}


def _bound(name: str, op: str, value: Any) -> dict[str, Any]:
    if value == math.floor(value):
        return {name: {f"${op}": int(value)}}
    below, above = math.floor(value), math.ceil(value)
    if op in ("lt", "lte"):
        near, far = {"$eq": below}, {"$lt": above}
    else:
        near, far = {"$eq": above}, {"$gt": below}
    return _every([_some([{name: {f"${op}": value}}, {name: near}]), {name: far}])


def _among(name: str, values: Sequence[Any]) -> dict[str, Any]:
    whole, others, around = _sorted_out(values)
    parts = [{name: {"$in": whole}}] if whole else []
    if others:
        parts.append(_every([{name: {"$in": others}}, {name: {"$nin": around}}]))
    return _some(parts)


def _not_among(name: str, values: Sequence[Any]) -> dict[str, Any]:
    whole, others, around = _sorted_out(values)
    parts = [{name: {"$nin": whole}}] if whole else []
    if others:
        parts.append(_some([{name: {"$nin": others}}, {name: {"$in": around}}]))
    return _every(parts)


def _sorted_out(values: Sequence[Any]) -> tuple[list[int], list[float], list[int]]:
    """The whole numbers among them, the others, and the integers around the others."""
    whole = sorted({int(value) for value in values if value == math.floor(value)})
    others = sorted({value for value in values if value != math.floor(value)})
    around = sorted({near for value in others for near in (math.floor(value), math.ceil(value))})
    return whole, others, around


__all__ = ("compiled",)
