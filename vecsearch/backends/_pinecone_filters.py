"""Filters in Pinecone's language: names and values are data in them, never text.

``$eq`` and ``$in`` match a list that has such a member, and the documents do not say what ``$ne`` and ``$nin`` make of
a field that is missing: the kinds of values are asked for beside them. Orders are of numbers only. Ids can be asked for
as a field only, which each of our rows has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecsearch import filters
from vecsearch.backends._pinecone_rows import ID

if TYPE_CHECKING:
    from vecsearch.backends.base import Where
    from vecsearch.filters import Condition

_OPERATORS = {
    "eq": "$eq",
    "ne": "$ne",
    "lt": "$lt",
    "lte": "$lte",
    "gt": "$gt",
    "gte": "$gte",
    "in": "$in",
    "not_in": "$nin",
}
_EACH = {"in": ("$or", "$eq"), "not_in": ("$and", "$ne")}


def compiled(where: Where | None) -> dict[str, Any] | None:
    """The rows that ``where`` names; ``None`` for all."""
    parts: list[dict[str, Any]] = []
    if where is not None and where.ids is not None:
        parts.append({ID: {"$in": list(where.ids)}})
    if where is not None and where.filter is not None:
        parts.append(
            filters.fold(
                where.filter,
                leaf=_leaf,
                every=lambda inner: {"$and": list(inner)},
                some=lambda inner: {"$or": list(inner)},
            )
        )
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else {"$and": parts}


def _leaf(leaf: Condition) -> dict[str, Any]:
    name, values = leaf.field, list(leaf.members)
    if leaf.op == "exists":
        return {name: {"$exists": not leaf.negated}}
    if leaf.op == "contains":
        return {name: {"$nin" if leaf.negated else "$in": values}}
    # Only conditions on a field that every row has come here negated.
    op = filters.OPPOSITES[leaf.op] if leaf.negated else leaf.op
    if op not in _EACH:
        return {name: {_OPERATORS[op]: values[0]}}
    if filters.kind(values[0]) == "bool":  # sets are of texts and numbers
        join, each = _EACH[op]
        return {join: [{name: {each: value}} for value in values]}
    return {name: {_OPERATORS[op]: values}}
