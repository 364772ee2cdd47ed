"""What a filter means: its normal form for adapters, and the reference evaluator."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

from vecsearch.errors import FilterError
from vecsearch.filters.tree import LISTS, And, Condition, Constant, Filter, Not, Operator, Or
from vecsearch.filters.values import Kind, Scalar, kind, show

Test: TypeAlias = Callable[[Mapping[str, Any]], bool]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def normal_form(tree: Filter) -> Filter:
    """The same meaning in the one form that adapters compile.

    Conditions (each possibly ``negated``) under alternating ``And`` and ``Or`` of at least two different parts; no
    ``Not``; a ``Constant`` only alone at the top. A list has at least two different members of one kind; shorter and
    mixed lists become ``eq``, ``ne``, ``exists`` and ``Or``.
    """
    return _normal(tree, negate=False)


def _normal(node: Filter, *, negate: bool) -> Filter:
    match node:
        case Condition():
            return _normal_leaf(node, negated=node.negated != negate)
        case And(parts) | Or(parts):
            # De Morgan: the complement of an And is the Or of the complements.
            join = And if isinstance(node, And) != negate else Or
            return _folded(join, (_normal(part, negate=negate) for part in parts))
        case Not(part):
            return _normal(part, negate=not negate)
        case Constant(value):
            return Constant(value != negate)
    raise FilterError(f"{show(node)} is no filter")


def _folded(join: type[And | Or], parts: Iterable[Filter]) -> Filter:
    found: dict[Filter, None] = {}  # an ordered set
    for part in parts:
        if isinstance(part, Constant):
            if part.value == (join is Or):
                return part
        else:
            found.update(dict.fromkeys(part.parts if isinstance(part, join) else (part,)))
    if not found:
        return Constant(join is And)
    return join(tuple(found)) if len(found) > 1 else next(iter(found))


def _normal_leaf(leaf: Condition, *, negated: bool) -> Filter:
    if leaf.op not in LISTS:
        return replace(leaf, negated=negated)
    if not leaf.value:
        return Constant(negated) if leaf.op == "in" else Condition(leaf.field, "exists", negated=negated)
    single: Operator = "eq" if leaf.op == "in" else "ne"
    leaves: list[Filter] = []
    for members in _by_kind(leaf.members).values():
        if len(members) == 1:
            leaves.append(Condition(leaf.field, single, members[0], negated))
        else:
            leaves.append(replace(leaf, value=members, negated=negated))
    # A value has one kind, so both lists mean: any of the lists of one kind.
    return _folded(And if negated else Or, leaves)


def _by_kind(members: Iterable[Scalar]) -> dict[Kind, tuple[Scalar, ...]]:
    groups: dict[Kind, dict[Scalar, None]] = {}
    for member in members:
        groups.setdefault(kind(member), {})[member] = None
    return {name: tuple(group) for name, group in groups.items()}


def predicate(tree: Filter) -> Test:
    """The reference evaluator: a function of one row's metadata (plain values; ``None`` and NaN are absent)."""
    match tree:
        case Condition(field=field, negated=negated):
            test = _value_test(tree)
            return (lambda row: not test(row.get(field))) if negated else (lambda row: test(row.get(field)))
        case And(parts):
            return _all([predicate(part) for part in parts])
        case Or(parts):
            return _any([predicate(part) for part in parts])
        case Not(part):
            inner = predicate(part)
            return lambda row: not inner(row)
        case Constant(value):
            return lambda _row: value
    raise FilterError(f"{show(tree)} is no filter")


# Plain loops: twice as fast as all() and any() over a generator, and a scan calls them once a row.


def _all(tests: list[Test]) -> Test:
    def holds(row: Mapping[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110
            if not test(row):
                return False
        return True

    return holds


def _any(tests: list[Test]) -> Test:
    def holds(row: Mapping[str, Any]) -> bool:
        for test in tests:  # noqa: SIM110
            if test(row):
                return True
        return False

    return holds


def _value_test(leaf: Condition) -> Callable[[Any], bool]:
    op, value = leaf.op, leaf.value
    if op == "exists" or (op == "not_in" and not value):
        return lambda found: found is not None and found == found  # noqa: PLR0124  false for NaN
    if op == "contains":
        return lambda found: isinstance(found, (list, tuple)) and value in found
    if op not in LISTS:
        return _kind_test(kind(value), _COMPARE[op], value)  # type: ignore[arg-type]
    tests = []
    for name, members in _by_kind(leaf.members).items():
        instants = (member - _EPOCH if isinstance(member, datetime) else member for member in members)
        tests.append(_kind_test(name, _COMPARE[op], frozenset(instants)))
    return tests[0] if len(tests) == 1 else lambda found: any(test(found) for test in tests)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": lambda found, value: found != value and found == found,  # noqa: PLR0124  NaN is absent, not different
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "in": lambda found, members: found in members,
    "not_in": lambda found, members: found not in members and found == found,  # noqa: PLR0124
}


def _kind_test(name: Kind, compare: Callable[[Any, Any], bool], value: Any) -> Callable[[Any], bool]:
    if name == "number":
        return lambda found: isinstance(found, (int, float)) and found.__class__ is not bool and compare(found, value)
    if name == "datetime":
        # Differences from one instant: == between time zones is false in the hour that a clock repeats (PEP 495).
        since = value - _EPOCH if isinstance(value, datetime) else value
        return lambda found: (
            isinstance(found, datetime) and found.utcoffset() is not None and compare(found - _EPOCH, since)
        )
    expected = str if name == "str" else bool
    return lambda found: isinstance(found, expected) and compare(found, value)
