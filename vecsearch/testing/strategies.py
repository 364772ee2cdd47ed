"""Random filters and metadata, for property tests of adapters: few names and few values, so that they meet often.

Needs hypothesis (``pip install 'vecsearch[testing]'``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from vecsearch.backends.base import METADATA_TYPES
from vecsearch.filters import And, Condition, Constant, F, Filter, Not, Operator, Or

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_VALUES: dict[str, list[Any]] = {
    "str": ["", "a", "b", "A", "é", "\uffff", "\U0001d11e", "1", "a\0b", "%_*\"'`\\", "true"],
    "int": [0, 1, -1, 2, 2**53, 2**53 + 1],
    "float": [1.0, 0.5, 0.1 + 0.2, float(2**53), -0.0, 1e-300],
    "bool": [True, False],
    "datetime": [_MOMENT, _MOMENT + timedelta(microseconds=1), _MOMENT.astimezone(timezone(timedelta(hours=9)))],
}
_ORDERS: list[Operator] = ["lt", "lte", "gt", "gte"]
_NAMES = st.sampled_from(["x", "y", "z_1"])
_TEXTS = st.sampled_from(_VALUES["str"])


def values(types: frozenset[str] = METADATA_TYPES) -> SearchStrategy[Any]:
    """One scalar of one of the types, named as in ``Capabilities.metadata_types``."""
    return st.sampled_from([value for name in _VALUES if name in types for value in _VALUES[name]])


def metadata(types: frozenset[str] = METADATA_TYPES) -> SearchStrategy[dict[str, Any]]:
    """The metadata of one row."""
    lists = [st.lists(_TEXTS, max_size=3)] if "list" in types else []
    return st.dictionaries(_NAMES, st.one_of(values(types), *lists))


def leaves(types: frozenset[str] = METADATA_TYPES) -> SearchStrategy[Filter]:
    """One condition; with ``contains`` where the types have lists."""
    fields, scalars = _NAMES.map(F), values(types)
    members = st.lists(scalars, max_size=4)
    ordered = values(types - {"bool"}).map(lambda value: (F("x") < value).value)
    options: list[SearchStrategy[Filter]] = [
        st.builds(lambda field, value: field == value, fields, scalars),
        st.builds(lambda field, value: field != value, fields, scalars),
        st.builds(Condition, _NAMES, st.sampled_from(_ORDERS), ordered),
        st.builds(lambda field, several: field.is_in(several), fields, members),
        st.builds(lambda field, several: field.not_in(several), fields, members),
        fields.map(lambda field: field.exists()),
    ]
    if "list" in types:
        options.append(st.builds(lambda field, text: field.contains(text), fields, _TEXTS))
    return st.one_of(options)


def trees(types: frozenset[str] = METADATA_TYPES, *, constants: bool = False) -> SearchStrategy[Filter]:
    """Any filter; ``constants`` also puts ``Constant`` anywhere in it."""
    base = st.one_of(leaves(types), st.booleans().map(Constant)) if constants else leaves(types)
    return st.recursive(base, _joined, max_leaves=8)


def _joined(parts: SearchStrategy[Filter]) -> SearchStrategy[Filter]:
    several = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return st.one_of(parts.map(Not), several.map(And), several.map(Or))
