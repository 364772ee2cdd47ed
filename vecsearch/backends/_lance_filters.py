"""Filters as SQL conditions of DataFusion.

A comparison with null is null, which a condition takes for false: so a row without the field, and one whose value has
another type and thus another column, is not found. A complement is the comparison followed by ``IS NOT TRUE``.

Texts are literals in single quotes, in which a quote is doubled; a backslash means itself there. A comparison of
columns and numbers of different types would be refused, or rounded: bounds are brought to the column's type, exactly.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from vecsearch import filters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vecsearch.backends._lance_columns import Column, Columns
    from vecsearch.backends.base import Where
    from vecsearch.filters import Condition

_SIGNS = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_LISTS = {"eq": "IN", "in": "IN", "ne": "NOT IN", "not_in": "NOT IN"}
_LEAST, _MOST = -(2**63), 2**63 - 1


def compiled(where: Where | None, columns: Columns, *, ours: bool) -> str | None:
    """The rows that ``where`` names; ``None`` for all."""
    # In a table that others made, a row may be without a vector, or without an id.
    tests = [] if ours else ["`vector` IS NOT NULL", "`id` IS NOT NULL"]
    if where is not None and where.ids is not None:
        tests.append(named(where.ids))
    if where is not None and where.filter is not None:
        tests.append(
            filters.fold(
                where.filter,
                leaf=lambda leaf: _leaf(leaf, columns),
                every=lambda parts: f"({' AND '.join(parts)})",
                some=lambda parts: f"({' OR '.join(parts)})",
            )
        )
    return " AND ".join(tests) or None


def named(ids: Iterable[str]) -> str:
    """The rows of these ids."""
    return f"`id` IN ({', '.join(map(_literal, ids))})"


def _leaf(leaf: Condition, columns: Columns) -> str:
    test = " OR ".join(_tests(leaf, columns)) or "false"
    return f"(({test}) IS NOT TRUE)" if leaf.negated else f"({test})"


def _tests(leaf: Condition, columns: Columns) -> list[str]:
    """What a row must pass: any of these."""
    if leaf.op == "exists":
        return [_present(column) for column in columns.of(leaf.field)]
    if leaf.op == "contains":
        return [f"array_has({column.sql}, {_literal(leaf.value)})" for column in columns.of(leaf.field, "list")]
    kind = filters.kind(leaf.members[0])
    if kind == "number":
        return [_number(column, leaf) for column in columns.of(leaf.field, "int", "float")]
    return [_compared(column, leaf.op, leaf.members) for column in columns.of(leaf.field, kind)]


def _number(column: Column, leaf: Condition) -> str:
    members: Any = leaf.members
    if leaf.op in _LISTS:
        return _compared(column, leaf.op, [exact for value in members for exact in _exactly(column, value)])
    if column.type == "int":
        bound = math.ceil(members[0]) if leaf.op in ("lt", "gte") else math.floor(members[0])
        if _LEAST <= bound <= _MOST:
            return _compared(column, leaf.op, [bound])
        return _present(column) if (bound > _MOST) == (leaf.op in ("lt", "lte")) else "false"
    near, op = float(members[0]), leaf.op
    if near > members[0]:  # no float lies between the two
        op = "lt" if op in ("lt", "lte") else "gte"
    elif near < members[0]:
        op = "lte" if op in ("lt", "lte") else "gt"
    return _compared(column, op, [near])


def _exactly(column: Column, value: float) -> list[float]:
    """The number as the column's type has it; none where it has no such number."""
    if column.type == "float":
        return [float(value)] if float(value) == value else []
    return [int(value)] if int(value) == value and _LEAST <= value <= _MOST else []


def _compared(column: Column, op: str, members: Any) -> str:
    if len(members) == 1 and op in _SIGNS:
        return f"{column.sql} {_SIGNS[op]} {_literal(members[0])}"
    if not members:
        return "false" if _LISTS[op] == "IN" else _present(column)
    return f"{column.sql} {_LISTS[op]} ({', '.join(map(_literal, members))})"


def _present(column: Column) -> str:
    return f"{column.sql} IS NOT NULL"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == _LEAST and isinstance(value, int):  # its digits alone, without the sign, are no integer
        return f"({_LEAST + 1} - 1)"
    return repr(value)
