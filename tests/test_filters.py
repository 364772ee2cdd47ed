import copy
import json
import math
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsearch import filters
from vecsearch.backends.base import FILTER_OPERATORS
from vecsearch.errors import FilterError, InvalidInputError
from vecsearch.filters import (
    And,
    Condition,
    Constant,
    F,
    Filter,
    Not,
    Or,
    conditions,
    fields,
    from_json,
    map_conditions,
    normal_form,
    operators,
    parse,
    predicate,
    to_json,
)
from vecsearch.filters.tree import MAX_DEPTH, MAX_NODES
from vecsearch.filters.values import MAX_MEMBERS
from vecsearch.testing import strategies, truth_table

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
BAD = object()

trees = strategies.trees()
trees_with_constants = strategies.trees(constants=True)
rows = st.one_of(
    strategies.metadata(), st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from([None, math.nan, 0.5, "a"]))
)


def meaning(tree, row):
    """The rules once more, as plainly as they can be said; nothing here is shared with the package."""
    match tree:
        case And(parts):
            return all(meaning(part, row) for part in parts)
        case Or(parts):
            return any(meaning(part, row) for part in parts)
        case Not(part):
            return not meaning(part, row)
        case Constant(value):
            return value
    return leaf_meaning(tree.op, tree.value, row.get(tree.field)) != tree.negated


def leaf_meaning(op, value, found):
    def kind(one):
        return float if type(one) in (int, float) else type(one)

    if found is None or (isinstance(found, float) and math.isnan(found)):
        return False
    if op == "exists":
        return True
    if op == "contains":
        return isinstance(found, list) and any(one == value for one in found)
    if op == "in":
        return any(leaf_meaning("eq", one, found) for one in value)
    if op == "not_in":
        return not value or (kind(found) in map(kind, value) and not leaf_meaning("in", value, found))
    if kind(found) is not kind(value):
        return False
    answers = {"eq": found == value, "ne": found != value}
    if op not in answers:
        answers |= {"lt": found < value, "lte": found <= value, "gt": found > value, "gte": found >= value}
    return answers[op]


@pytest.mark.parametrize("case", truth_table.CASES, ids=lambda case: repr(case.filter))
def test_truth_table(case):
    for form in (case.filter, normal_form(case.filter), from_json(json.loads(json.dumps(to_json(case.filter))))):
        holds = predicate(form)
        assert {name for name, row in truth_table.ROWS.items() if holds(row)} == case.holds
    assert {name for name, row in truth_table.ROWS.items() if meaning(case.filter, row)} == case.holds


def test_the_truth_table_is_in_the_documentation():
    text = Path(__file__).parents[1].joinpath("docs", "filters.md").read_text(encoding="utf-8")
    assert text == truth_table.page(text), "run python -m vecsearch.testing.truth_table docs/filters.md"


def test_the_truth_table_covers_every_operator():
    covered = frozenset().union(*(operators(case.filter) for case in truth_table.CASES))
    assert covered == FILTER_OPERATORS


@given(trees_with_constants, rows)
def test_the_evaluator_follows_the_rules(tree, row):
    assert predicate(tree)(row) is meaning(tree, row)


@given(trees_with_constants, rows)
def test_normal_form_keeps_the_meaning(tree, row):
    assert predicate(normal_form(tree))(row) is meaning(tree, row)


@given(trees_with_constants)
def test_normal_form_is_normal(tree):
    normal = normal_form(tree)
    assert normal_form(normal) == normal
    assert normal == normal_form(Not(Not(And((tree,)))))
    check_normal(normal, parent=None)


def check_normal(tree, parent):
    match tree:
        case And(parts) | Or(parts):
            assert type(tree) is not parent
            assert len(parts) > 1
            assert len(set(parts)) == len(parts)
            for part in parts:
                assert not isinstance(part, Constant)
                check_normal(part, type(tree))
        case Condition(op=("in" | "not_in"), value=members):
            assert len(members) > 1
            assert len({filters.kind(member) for member in members}) == 1
        case _:
            assert isinstance(tree, Condition | Constant)


@given(trees, rows)
def test_complement(tree, row):
    assert predicate(~tree)(row) is not predicate(tree)(row)
    assert normal_form(~~tree) == normal_form(tree)


@given(trees, trees, rows)
def test_de_morgan(left, right, row):
    assert normal_form(~(left & right)) == normal_form(~left | ~right)
    assert predicate(~(left | right))(row) is predicate(~left & ~right)(row)


@given(trees)
def test_json_round_trip(tree):
    text = json.dumps(to_json(tree), allow_nan=False)
    again = from_json(json.loads(text))
    assert again == tree
    assert hash(again) == hash(tree)
    assert parse(tree) == tree
    assert json.dumps(to_json(again)) == text


@given(trees)
def test_json_round_trip_of_normal_forms(tree):
    normal = normal_form(tree)
    if not isinstance(normal, Constant):
        assert from_json(json.loads(json.dumps(to_json(normal)))) == normal


@given(trees)
def test_repr_is_the_code(tree):
    names = {"F": F, "And": And, "Or": Or, "datetime": datetime, "UTC": UTC}
    again = eval(repr(tree), names)  # noqa: S307  our own text
    assert normal_form(again) == normal_form(tree)


def test_repr():
    assert repr((F("year") >= 2020) & ~F("x").exists()) == "(F('year') >= 2020) & ~F('x').exists()"
    assert (
        repr((F("a") == "x") | (F("b") != 1) & (F("c") < 2.5)) == "(F('a') == 'x') | ((F('b') != 1) & (F('c') < 2.5))"
    )
    assert repr(~(F("a").is_in(["x"]) | F("b").contains("y"))) == "~(F('a').is_in(['x']) | F('b').contains('y'))"
    assert repr(F("d") > MOMENT) == "F('d') > datetime(2026, 1, 1, 0, 0, tzinfo=UTC)"
    assert len(repr(F("a").is_in(range(10_000)))) < 100
    assert repr(normal_form(~(F("a") == 1))) == "~(F('a') == 1)"
    assert repr(Constant(value=True)) == "Constant(True)"
    assert repr(F("a")) == "F('a')"


def test_equality_knows_types():
    assert (F("x") == 1) == (F("x") == 1)
    assert len({F("x") == 1, F("x") == 1.0, F("x") == True, F("x") == "1"}) == 4  # noqa: E712
    assert F("x").is_in([1]) != F("x").is_in([True])
    assert And((F("x") == 1,)) != Or((F("x") == 1,))
    assert (F("x") == 1) != "x"


def test_filters_are_immutable_values():
    tree = (F("x") == 1) & F("y").is_in(["a"]) | ~F("z").exists()
    assert pickle.loads(pickle.dumps(tree)) == tree  # noqa: S301  our own bytes
    assert copy.deepcopy(tree) == tree
    with pytest.raises(AttributeError):
        tree.parts = ()


def test_long_joins_stay_flat():
    tree = F("x") == 0
    for value in range(1, 400):
        tree |= F("x") == value
    assert len(tree.parts) == 400
    both = (F("a") == 1) & (F("b") == 1) & ((F("c") == 1) & (F("d") == 1))
    assert len(both.parts) == 4


def test_values_become_plain_python():
    class Color(StrEnum):
        RED = "red"

    class Level(IntEnum):
        LOW = 1

    for given_value, plain in [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),  # noqa: FBT003
        (np.str_("a"), "a"),
        (Color.RED, "red"),
        (Level.LOW, 1),
        (datetime(2026, 1, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo")), MOMENT),
    ]:
        value = (F("x") == given_value).value
        assert (type(value), value) == (type(plain), plain)
    assert (F("x") > MOMENT.astimezone(timezone(timedelta(hours=2)))).value.tzinfo is UTC
    assert F("x").is_in(np.array([1, 2])).value == (1, 2)
    assert F("x").is_in(np.array(1)).value == (1,)
    assert F("x").is_in({"b", "a", 2}).value == (2, "a", "b")
    assert F("x").is_in(str(n) for n in range(2)).value == ("0", "1")
    assert (np.float64(3) < F("x")) == (F("x") > 3.0)


def test_pandas_timestamps():
    pd = pytest.importorskip("pandas")
    value = (F("x") == pd.Timestamp("2026-01-01", tz="Europe/Paris")).value
    assert type(value) is datetime
    with pytest.raises(FilterError, match="floor"):
        F("x") == pd.Timestamp("2026-01-01 00:00:00.000000001", tz="UTC")  # noqa: B015
    for absent in (pd.NA, pd.NaT):
        with pytest.raises(FilterError, match="exists"):
            F("x") == absent  # noqa: B015


def test_datetimes_in_a_repeated_hour_compare_as_instants():
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2025, 10, 26, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1))
    assert predicate(F("x") == first)({"x": first})
    assert not predicate(F("x") == first)({"x": second})
    assert predicate(F("x").not_in([first]))({"x": second})
    assert not predicate(F("x") == MOMENT)({"x": datetime(2026, 1, 1)})  # noqa: DTZ001  no instant


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: (F("a") == 1) and (F("b") == 2), r"use & \| ~"),
        (lambda: not F("a").exists(), r"use & \| ~"),
        (lambda: 1 < F("a") < 3, r"use & \| ~"),
        (lambda: F("a") < F("b") < 3, r"for a range: \(F\('a'\) > 1\) & \(F\('a'\) < 3\)"),
        (lambda: F("a") == (F("b") == 1), "compares with values"),
        (lambda: F("a") == 1 & F("b") == 2, "put every comparison in parentheses"),
        (lambda: F("a") == 1 & (F("b") == 2), "1 is no filter: put every comparison"),
        (lambda: (F("a") == 1) & True, "True is no filter: put every comparison"),
        (lambda: np.int64(1) | (F("b") == 2), "put every comparison"),
        (lambda: bool(F("a")), r"F\('a'\).exists\(\)"),
        (lambda: ~F("a"), r"F\('a'\).exists\(\)"),
        (lambda: F("a") & (F("b") == 1), r"F\('a'\).exists\(\)"),
        (lambda: "x" in F("a"), r"F\('a'\).contains\('x'\)"),
        (lambda: F("a") == None, r"write ~F\('a'\).exists\(\)"),  # noqa: E711
        (lambda: F("a") != math.nan, r"write ~F\('a'\).exists\(\)"),  # noqa: PLW0177
        (lambda: F("a") < math.inf, "not finite"),
        (lambda: F("a") == np.float64("nan"), "absent"),
        (lambda: F("a") == datetime(2026, 1, 1), "no time zone"),  # noqa: DTZ001
        (lambda: F("a") == date(2026, 1, 1), "datetime with a time zone"),
        (lambda: F("a") == np.datetime64("2026-01-01", "ns"), "datetime with a time zone"),
        (lambda: F("a") < datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), "years 1 to 9999"),
        (lambda: F("a") == ["x"], r"\.is_in\(\[\.\.\.\]\), or \.contains"),
        (lambda: F("a") == np.array([1.0]), r"\.is_in"),
        (lambda: F("a") == Decimal(1), "no str, int, float, bool or datetime"),
        (lambda: F("a") == b"x", "no str, int"),
        (lambda: F("a") == 2**63, r"2\*\*63"),
        (lambda: F("a") == -(2**63) - 1, r"2\*\*63"),
        (lambda: F("a") == 10**5000, r"2\*\*63"),
        (lambda: F("a") == "\ud800", "Unicode"),
        (lambda: F("a") > True, "booleans have no order"),
        (lambda: F("a") <= np.bool_(False), "booleans have no order"),  # noqa: FBT003
        (lambda: F("a").is_in("abc"), r"is_in takes a list, not 'abc': write \['abc'\]"),
        (lambda: F("a").not_in(3), r"not_in takes a list"),
        (lambda: F("a").is_in([None]), "absent"),
        (lambda: F("a").is_in([["x"]]), "one value"),
        (lambda: F("a").is_in(range(MAX_MEMBERS + 1)), "at most 10,000"),
        (lambda: F("a").contains(3), "one text"),
        (lambda: F("a b"), "no field name"),
        (lambda: F("1a"), "no field name"),
        (lambda: F("a\n"), "no field name"),
        (lambda: F("a__b"), "no field name"),
        (lambda: F("_vs_id"), "no field name"),
        (lambda: F("a" * 65), "no field name"),
        (lambda: F("é"), "no field name"),
        (lambda: F(3), "no field name"),
        (lambda: parse(True), "`and`"),  # noqa: FBT003
        (lambda: parse(F("a")), r"F\('a'\).exists\(\)"),
        (lambda: parse('{"a": 1}'), "is no filter: write F"),
        (lambda: parse(Condition("_vs_id", "eq", "x")), "no field name"),
        (lambda: parse(Condition("a", "like", "x")), "no operator"),
        (lambda: parse(Condition("a", "exits")), "did you mean 'exists'"),
        (lambda: parse(Condition("a", ["eq"], "x")), "no operator"),
        (lambda: parse(And(())), "at least one filter"),
        (lambda: parse(And([F("a") == 1])), "tuple"),
        (lambda: parse(Not(True)), "no filter"),  # noqa: FBT003
        (lambda: parse(Filter()), "no filter"),
        (lambda: predicate(Filter()), "no filter"),
        (lambda: normal_form(Filter()), "no filter"),
        (lambda: to_json(Constant(value=True)), "no JSON form"),
    ],
)
def test_refusals_say_what_to_write(make, match):
    with pytest.raises(FilterError, match=match):
        make()


@pytest.mark.parametrize(
    ("obj", "match"),
    [
        ({}, "leave the filter out"),
        ({"$and": []}, "at least one filter"),
        ({"$or": {"a": 1}}, "a list"),
        ({"$not": []}, "is no filter"),
        ({"$nor": [{"a": 1}]}, r"did you mean '\$or'"),
        ({"$gte": 3}, "belongs to a field"),
        ({"a": {"gte": 3}}, r"did you mean '\$gte'"),
        ({"a": {"$gtee": 3}}, r"did you mean '\$gte'"),
        ({"a": {"$regex": "x"}}, "is no operator"),
        ({"a": {"b": 3}}, r"known are \$eq"),
        ({"a": {}}, "no operator"),
        ({"a": {"$not": 3}}, "takes a dict of operators"),
        ({"a": {"$not": {"$not": {"$eq": 3}}}}, "takes a dict of operators"),
        ({"a": {"$exists": 1}}, "true or false"),
        ({"a": None}, "exists"),
        ({"a": [1, 2]}, "is_in"),
        ({"a": {"$in": 3}}, "takes a list"),
        ({"a": {"$in": {"$date": "2026-01-01T00:00:00Z"}}}, "takes a list"),
        ({"a": {"$gte": [1]}}, "one value"),
        ({"a": {"$gte": {"$date": 1767225600000}}}, "ISO 8601"),
        ({"a": {"$gte": {"$date": "2026-01-01"}}}, "no time zone"),
        ({"a": {"$gte": "2026-01-01", "$date": "x"}}, "no operator"),
        ({3: 1}, "no field name"),
        ({"a.b": 1}, "no field name"),
        ([{"a": 1}], "is no filter"),
        (None, "is no filter"),
    ],
)
def test_json_refusals(obj, match):
    with pytest.raises(FilterError, match=match):
        from_json(obj)


def test_json_dialect():
    d = {"$date": "2026-01-01T00:00:00Z"}
    assert from_json({"tenant": "acme"}) == (F("tenant") == "acme")
    assert from_json({"date": {"$gte": d}}) == (F("date") >= MOMENT)
    assert from_json({"date": {"$gte": MOMENT}}) == (F("date") >= MOMENT)
    assert from_json({"date": d}) == (F("date") == MOMENT)
    assert from_json({"date": {"$in": [d]}}) == F("date").is_in([MOMENT])
    assert from_json({"a": 1, "b": {"$gt": 1, "$lt": 3}}) == (F("a") == 1) & (F("b") > 1) & (F("b") < 3)
    assert from_json({"$or": [{"a": 1}, {"b": 2}]}) == (F("a") == 1) | (F("b") == 2)
    assert from_json({"$not": {"a": {"$nin": ["x"]}}}) == ~F("a").not_in(["x"])
    assert from_json({"a": {"$contains": "x"}, "$not": {"b": 1}}) == F("a").contains("x") & ~(F("b") == 1)
    assert from_json({"a": {"$exists": False}}) == normal_form(~F("a").exists())
    assert from_json({"a": {"$not": {"$gt": 1}}}) == normal_form(~(F("a") > 1))
    assert from_json({"a": {"$not": {"$gt": 1, "$lt": 3}}}) == ~((F("a") > 1) & (F("a") < 3))
    assert parse({"a": np.int64(3)}) == (F("a") == 3)
    assert parse(None) is None


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["x", "2026-01-01T00:00:00Z"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=3),
                st.sampled_from(
                    ["x", "$and", "$or", "$not", "$eq", "$in", "$nin", "$gt", "$exists", "$contains", "$date"]
                ),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=15,
)


@given(json_values)
def test_any_json_is_a_filter_or_a_filter_error(obj):
    try:
        tree = from_json(obj)
    except FilterError:
        return
    assert from_json(to_json(tree)) == tree
    predicate(normal_form(tree))({"x": 1})


def test_bounds():
    tree = F("a") == 1
    for _ in range(MAX_DEPTH // 2 - 1):
        tree = ~(tree & (F("b") == 1))
    assert from_json(to_json(tree)) == tree
    with pytest.raises(FilterError, match="levels deep"):
        ~(tree & (F("b") == 1)) | (F("c") == 1)
    with pytest.raises(FilterError, match="is_in"):
        parse(Or(tuple(F("a") == value for value in range(MAX_NODES))))
    with pytest.raises(FilterError, match="parts"):
        from_json({"$or": [{"a": 1}] * MAX_NODES})


def test_bounds_hold_without_recursion():
    deep, nested = F("a") == 1, {"a": 1}
    for _ in range(100_000):
        deep, nested = Not(deep), {"$not": nested}
    endless = {}
    endless["$and"] = [endless, endless]
    wide = {"a": 1}
    for _ in range(MAX_DEPTH - 2):
        wide = {"$and": [wide] * 100}
    for bad in (deep, nested, endless, wide):
        with pytest.raises(FilterError, match=r"levels deep|parts"):
            parse(bad)
    with pytest.raises(FilterError, match="levels deep"):
        to_json(deep)
    assert fields(deep) == {"a"}


def test_reading_a_tree():
    tree = (F("year") >= 2020) & ~(F("tags").contains("x") | F("tenant").is_in(["a"]))
    assert [leaf.field for leaf in conditions(tree)] == ["year", "tags", "tenant"]
    assert fields(tree) == {"year", "tags", "tenant"}
    assert operators(tree) == {"gte", "contains", "in", "not"}
    assert operators(normal_form(tree)) == {"gte", "contains", "eq", "not"}
    assert operators(F("a") == 1) == {"eq"}
    assert operators(Constant(value=True)) == frozenset()


@given(trees_with_constants, rows)
def test_map_conditions_keeps_negation(tree, row):
    normal = normal_form(tree)
    assert map_conditions(normal, lambda leaf: leaf) == normal

    def split(leaf):
        assert not leaf.negated
        return And((leaf, Condition(leaf.field, "exists")))

    assert predicate(map_conditions(normal, split))(row) is meaning(tree, row)


def test_absent_means_none_and_nan():
    for absent in (None, math.nan):
        assert not predicate(F("x").exists())({"x": absent})
        assert not predicate(F("x") != 1)({"x": absent})
        assert not predicate(F("x").not_in([1]))({"x": absent})
        assert predicate(~(F("x") == 1))({"x": absent})


def test_names_of_operators_are_those_of_the_contract():
    assert set(filters.tree._OPERATORS) | {"not"} == FILTER_OPERATORS


def test_filter_errors_are_value_errors():
    assert issubclass(FilterError, InvalidInputError)
    assert issubclass(FilterError, ValueError)


def test_field_names():
    for good in ("a", "_", "_a", "A1_b", "a" * 64, "_vs", "vs_a"):
        assert filters.is_field_name(good), good
    for bad in ("", "1", "a-b", "a__b", "__", "_vs_", "_vs_x", "a" * 65, "a\n", None, 1, BAD):
        assert not filters.is_field_name(bad), bad


def test_a_filter_is_folded_from_its_leaves():
    tree = normal_form(((F("a") == 1) | ~F("b").exists()) & (F("c") > 2))
    text = filters.fold(
        tree,
        leaf=lambda leaf: f"{'not ' if leaf.negated else ''}{leaf.field}",
        every=lambda parts: f"all({', '.join(parts)})",
        some=lambda parts: f"any({', '.join(parts)})",
    )
    assert text == "all(any(a, not b), c)"
    for other in (~(F("a") == 1), Constant(value=True)):
        with pytest.raises(FilterError, match="normal form"):
            filters.fold(other, leaf=str, every=str, some=str)
