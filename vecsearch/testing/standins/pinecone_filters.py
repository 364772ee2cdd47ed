"""Pinecone's filter language, as its documents describe it.

``$eq`` and ``$in`` match a list that has such a member; ``$ne`` and ``$nin`` are the complements. Whether these match a
record without the field the documents do not say: ``absent`` does. Orders are of numbers only.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from vecsearch.testing.standins.http import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_VALUES = 10_000
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def compiled(filter_: Mapping[str, Any], *, absent: bool) -> Callable[[Mapping[str, Any]], bool]:
    """Whether metadata match a filter; a filter that the service does not take is refused."""
    tests = [_clause(name, asked, absent) for name, asked in filter_.items()]
    return lambda metadata: all(test(metadata) for test in tests)


def _clause(name: str, asked: Any, absent: bool) -> Callable[[Mapping[str, Any]], bool]:
    if name in ("$and", "$or"):
        if not isinstance(asked, list) or not asked or not all(isinstance(part, dict) and part for part in asked):
            raise _refused(f"{name} takes a list of filters")
        parts = [compiled(part, absent=absent) for part in asked]
        joined = all if name == "$and" else any
        return lambda metadata: joined(part(metadata) for part in parts)
    if name.startswith("$"):
        raise _refused(f"{name} is no operator that joins filters")
    tests = asked if isinstance(asked, dict) else {"$eq": asked}
    if not tests:
        raise _refused(f"nothing is asked of {name!r}")
    conditions = [_condition(op, value, absent) for op, value in tests.items()]
    return lambda metadata: all(condition(metadata.get(name)) for condition in conditions)


def _condition(op: str, value: Any, absent: bool) -> Callable[[Any], bool]:
    if op == "$exists":
        if not isinstance(value, bool):
            raise _refused("$exists takes true or false")
        return lambda held: (held is not None) == value
    if op in _ORDERS:
        if not _is_number(value):
            raise _refused(f"the {op} operator takes a number, got {value!r}")
        compare = _ORDERS[op]
        return lambda held: _is_number(held) and compare(held, value)
    if op in ("$eq", "$ne"):
        if not isinstance(value, str | int | float):
            raise _refused(f"the {op} operator takes a string, a number or a boolean")
        return _complement(lambda held: _has(held, value), absent) if op == "$ne" else lambda held: _has(held, value)
    if op in ("$in", "$nin"):
        if not isinstance(value, list) or not all(isinstance(one, str) or _is_number(one) for one in value):
            raise _refused(f"the {op} operator takes a list of strings and numbers")
        if len(value) > MAX_VALUES:
            raise _refused(f"the {op} operator takes at most {MAX_VALUES} values, got {len(value)}")
        kept = frozenset(value)
        return (
            _complement(lambda held: _has_any(held, kept), absent)
            if op == "$nin"
            else lambda held: _has_any(held, kept)
        )
    raise _refused(f"{op} is not a valid operator")


def _complement(test: Callable[[Any], bool], absent: bool) -> Callable[[Any], bool]:
    return lambda held: absent if held is None else not test(held)


def _has(held: Any, value: Any) -> bool:
    if isinstance(held, list):
        return value in held
    return isinstance(held, bool) == isinstance(value, bool) and bool(held == value)


def _has_any(held: Any, values: frozenset[Any]) -> bool:
    if isinstance(held, list):
        return not values.isdisjoint(held)
    return held is not None and not isinstance(held, bool) and held in values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(text: str) -> RefusalError:
    return RefusalError(400, text)


__all__ = ("MAX_VALUES", "compiled")
