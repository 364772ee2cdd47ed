"""Filters: which rows, said once for every backend.

A filter is a small tree of data: conditions on one field each, joined by ``&``, ``|`` and ``~``. Adapters compile its
normal form; where an engine cannot, ``predicate`` evaluates it here. Meaning is two-valued: a condition on a missing
field, or on a value of another kind, is false, also ``!=`` and ``not_in``; ``~`` is the plain complement. There are
four kinds of values: ``str``, ``number`` (int and float, compared exactly), ``bool`` and ``datetime`` (compared as
instants). The truth table in ``docs/filters.md`` is the documentation and the test.

``values`` checks what a filter compares with, ``tree`` is the data, ``meaning`` the normal form and the evaluator,
``forms`` the public arguments and JSON.
"""

from vecsearch.filters.forms import from_json, parse, to_json
from vecsearch.filters.meaning import normal_form, predicate
from vecsearch.filters.tree import (
    OPPOSITES,
    And,
    Condition,
    Constant,
    F,
    Filter,
    Not,
    Operator,
    Or,
    conditions,
    fields,
    fold,
    has_alternatives,
    map_conditions,
    operators,
)
from vecsearch.filters.values import Kind, Scalar, is_field_name, kind

__all__ = (
    "OPPOSITES",
    "And",
    "Condition",
    "Constant",
    "F",
    "Filter",
    "Kind",
    "Not",
    "Operator",
    "Or",
    "Scalar",
    "conditions",
    "fields",
    "fold",
    "from_json",
    "has_alternatives",
    "is_field_name",
    "kind",
    "map_conditions",
    "normal_form",
    "operators",
    "parse",
    "predicate",
    "to_json",
)
