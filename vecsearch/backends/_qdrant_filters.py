"""Filters as Qdrant's models: names and values are data in them, never text.

Qdrant applies a condition on a field to the members of a list as well as to a single value, and one on ``name[]`` to
the members of a list alone (so do the server's engine and the client's local mode). It tells texts, integers and
booleans apart, compares numbers by ranges of float64 only, and cannot tell an empty list from a missing field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qdrant_client import models

from vecsearch import filters
from vecsearch.backends._qdrant_rows import point_ids

if TYPE_CHECKING:
    from vecsearch.backends.base import Where
    from vecsearch.filters import Condition, Filter

_BOUNDS = frozenset({"lt", "lte", "gt", "gte"})


def compiled(where: Where | None, *, ours: bool) -> models.Filter | None:
    """The rows that ``where`` names; ``None`` for all. In rows of ``ours`` lists hold texts only."""
    if where is None:
        return None
    must: list[Any] = []
    if where.ids is not None:
        must.append(models.HasIdCondition(has_id=point_ids(where.ids, ours=ours)))
    if where.filter is not None:
        must.append(_condition(where.filter, ours=ours))
    return models.Filter(must=must)


def _condition(tree: Filter, *, ours: bool) -> Any:
    return filters.fold(
        tree,
        leaf=lambda leaf: _leaf(leaf, ours=ours),
        every=lambda parts: models.Filter(must=list(parts)),
        some=lambda parts: models.Filter(should=list(parts)),
    )


def _leaf(leaf: Condition, *, ours: bool) -> Any:
    # "ne" and "not_in" are not strict here: the kind is asked for beside them.
    if leaf.negated != (leaf.op in ("ne", "not_in")):
        return models.Filter(must_not=[_positive(leaf, ours=ours)])
    return _positive(leaf, ours=ours)


def _positive(leaf: Condition, *, ours: bool) -> Any:
    tests = _tests(leaf)
    if leaf.op == "contains":
        return models.FieldCondition(key=f"{leaf.field}[]", **tests[0])
    single = _any([models.FieldCondition(key=leaf.field, **test) for test in tests])
    in_lists = filters.kind(leaf.members[0]) == "str" or not ours
    if not in_lists or leaf.field.startswith("_vs_"):
        return single
    members = [models.FieldCondition(key=f"{leaf.field}[]", **test) for test in tests]
    return models.Filter(must=[single], must_not=[*members])


def _tests(leaf: Condition) -> list[dict[str, Any]]:
    """What a value must pass: any of these."""
    values: Any = leaf.members
    kind = filters.kind(values[0])
    if leaf.op in _BOUNDS:
        return [{"range": models.Range(**{leaf.op: values[0]})}]
    if kind == "number":  # an integer matches no float, so equality is a range, too
        return [{"range": models.Range(gte=value, lte=value)} for value in values]
    if kind == "str" and len(values) > 1:
        return [{"match": models.MatchAny(any=list(values))}]
    return [{"match": models.MatchValue(value=value)} for value in values]


def _any(conditions: list[Any]) -> Any:
    return conditions[0] if len(conditions) == 1 else models.Filter(should=conditions)
