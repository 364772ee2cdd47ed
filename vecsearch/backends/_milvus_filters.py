"""Filters as Milvus's expressions.

Servers before 2.5 and Milvus Lite take no parameters beside an expression, so values are written into it: texts as
literals in double quotes, whose five special characters are escaped, numbers and booleans as Python prints them. Names
of metadata are letters, digits and ``_`` alone (``filters.is_field_name``), and are written as literals, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vecsearch import filters
from vecsearch.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vecsearch.backends._milvus_rows import Layout
    from vecsearch.backends.base import Where
    from vecsearch.filters import Condition
    from vecsearch.filters.values import Scalar

_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
# Milvus Lite takes a bare name only before "in" and in json_contains.
_LITE_KEYWORDS = frozenset({"and", "or", "not", "in", "like", "is", "null", "exists", "iso", "interval"})
_LITE_KEYWORDS |= {"true", "false"}


def compiled(where: Where | None, layout: Layout, *, lite: bool) -> str:
    """The rows that ``where`` names; empty for all."""
    if where is None:
        return ""
    parts = [] if where.ids is None else [among(where.ids, layout)]
    if where.filter is not None:
        parts.append(
            filters.fold(
                where.filter,
                leaf=lambda leaf: _leaf(leaf, layout, lite=lite),
                every=lambda inner: _joined("and", list(inner)),
                some=lambda inner: _joined("or", list(inner)),
            )
        )
    return _joined("and", parts)


def among(ids: Sequence[str], layout: Layout) -> str:
    """The rows of these ids."""
    return f"{layout.key} in [{', '.join(literal(row_id) for row_id in layout.native_ids(ids))}]"


def after(row_id: str | None, layout: Layout) -> str:
    """The rows whose ids follow this one; all where it is ``None``."""
    return "" if row_id is None else f"{layout.key} > {literal(layout.native_ids([row_id])[0])}"


def both(one: str, other: str) -> str:
    """The rows that are among both."""
    return _joined("and", [part for part in (one, other) if part])


def literal(value: Scalar) -> str:
    """A value as it is written in an expression."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else repr(value)


def _joined(word: str, parts: Sequence[str]) -> str:
    """All parts, in pairs of pairs: a server of 2.3 fails on a chain of fifty, each a level deeper than the last."""
    if len(parts) <= 1:
        return "".join(parts)
    middle = len(parts) // 2
    return f"({_joined(word, parts[:middle])}) {word} ({_joined(word, parts[middle:])})"


def _leaf(leaf: Condition, layout: Layout, *, lite: bool) -> str:
    if not (filters.is_field_name(leaf.field) or leaf.field.startswith("_vs_") or "__" in leaf.field):
        raise InvalidInputError(f"milvus: {leaf.field!r} is no field name")
    column = leaf.field in layout.columns
    if not column and not layout.dynamic:
        known = ", ".join(sorted(layout.columns)) or "none"
        raise InvalidInputError(f"milvus: the collection has no field {leaf.field!r}; it has: {known}")
    name = leaf.field if column else f'$meta["{leaf.field}"]'
    text = _positive(leaf, name, bare=lite and not column)
    return f"not ({text})" if leaf.negated != (leaf.op == "not_in") else text


def _positive(leaf: Condition, name: str, *, bare: bool) -> str:
    if leaf.op in _SIGNS:
        return f"{name} {_SIGNS[leaf.op]} {literal(leaf.members[0])}"
    if bare:
        if leaf.field.lower() in _LITE_KEYWORDS:
            if leaf.op == "contains":
                raise UnsupportedError(f"milvus: Milvus Lite cannot look into a list called {leaf.field!r}")
            return _joined("or", [f"{name} == {literal(member)}" for member in leaf.members])
        name = leaf.field
    if leaf.op == "contains":
        return f"json_contains({name}, {literal(leaf.members[0])})"
    members = leaf.members
    if any(isinstance(member, float) for member in members):  # a list of both kinds of numbers is refused
        members = tuple(float(member) for member in members)  # type: ignore[arg-type]  # numbers, below 2**53
    return f"{name} in [{', '.join(map(literal, members))}]"
