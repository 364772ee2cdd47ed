"""Filters mean one thing everywhere: the truth table, searches that are not short, names and values as data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from vecsearch import F, filters
from vecsearch.backends.base import FILTER_OPERATORS
from vecsearch.errors import FilterError, UnsupportedError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import READING, Harness, nothing_happened
from vecsearch.testing.truth_table import CASES, ROWS
from vecsearch.testing.wrappers import limited

if TYPE_CHECKING:
    from collections.abc import Callable

    from vecsearch import Filter, SimilarityIndex

_CASES = {repr(case.filter): case for case in CASES}
_NASTY = [
    "' OR 1=1 --",
    '" OR ""="',
    "'; DROP TABLE item; --",
    "\\",
    "\\'",
    "%",
    "_",
    "*",
    "$ne",
    "{}",
    "]",
    "a\nb",
    "\x00",
    "null",
    "🦊'",
    "",
    "case",
    "CASE",
    "case ",
    "u\u0308",
    "\u00fc",
]
_SELECTIVE = {"half": 100, "tenth": 20, "hundredth": 2, "one": 1, "none": 0}


class FilterTests(Harness):
    """Filters."""

    def test_rows_without_fields(self) -> None:
        """A negated condition holds of a row that has no fields at all, beside which nothing may be kept.

        If this fails, check ``complements_absent``: whether the complement of ``contains`` is true where the field is
        missing.
        """
        # Searched as if no operator were strict, so that kinds are kept, and asked for, on every engine.
        absent = self.capabilities.complements_absent
        wrapper = limited(self.backend_class, strict_operators=frozenset(), complements_absent=absent, local=False)
        rows = data.sample_rows().take(range(20))
        metadata = [row if place % 2 else {} for place, row in enumerate(rows.metadata)]
        index = self.create(wrapper=wrapper, **{**rows.columns(), "metadata": metadata}, metric=self.metric)
        if absent:
            written = [fields for call in wrapper.calls("upsert") for fields in call.arguments[0].fields]
            assert sum("_vs_fields" in fields for fields in written) == sum(map(bool, metadata))
        trees = (~F("tags").contains("t1"), F("parity") != "odd", ~(F("number") > 10), ~F("flag").exists())
        for tree in (*trees, *(~tree for tree in trees)):
            holds = filters.predicate(filters.normal_form(tree))
            expected = {row_id for row_id, row in zip(rows.ids, metadata, strict=True) if holds(row)}
            found = index.search(data.vectors(1)[0], 20, filter=tree, allow_scan=True)[0].ids
            assert set(found) == expected, repr(tree)

    @pytest.mark.parametrize("case", list(_CASES))
    def test_truth_table(self, case: str) -> None:
        """Search, count and view agree with the table on every kind of value; what is not declared is refused.

        If this fails, check how the operator treats missing fields and values of another type (both are false), and
        that ``filter_operators`` and ``metadata_types`` declare only what the engine answers so.
        """
        tree, expected = _CASES[case].filter, set(_CASES[case].holds)
        index = self._table()
        everything = len(ROWS)
        query = data.vectors(1, seed=31)[0]
        if self.native("search", tree) or self.capabilities.local:
            self._searched(index, tree, sorted(expected), everything)
        else:
            with pytest.raises(UnsupportedError):
                index.search(query, everything, filter=tree)
        assert set(index.search(query, everything, filter=tree, allow_scan=True)[0].ids) == expected
        if self.native("count", tree) or self.capabilities.local:
            assert index.count(tree) == len(expected)
        assert index.count(tree, allow_scan=True) == len(expected)
        view = index.use_view(filter=tree)
        assert set(view.ids()) == expected
        assert len(view.get_embeddings().embeddings) == len(expected)

    def test_truth_table_of_removals(self) -> None:
        """A removal by filter takes exactly the rows of the table.

        If this fails, check the filters of scan, and that delete removes what it is told.
        """
        index = self.create(**_table_columns(), metric=self.metric)
        columns: dict[str, Any] = _table_columns()
        for case in CASES:
            assert index.remove_from_index(filter=case.filter) == len(case.holds), repr(case.filter)
            assert set(index.ids()) == set(ROWS) - case.holds, repr(case.filter)
            if case.holds:
                back = [p for p, name in enumerate(ROWS) if name in case.holds]
                again: dict[str, Any] = {name: [column[p] for p in back] for name, column in columns.items()}
                index.add_to_index(**again)

    def _searched(self, index: SimilarityIndex, tree: Filter, expected: list[str], k: int) -> None:
        """A filtered search finds k of the rows expected, or all of them, and no other."""
        try:
            found = index.search(data.vectors(1, seed=31)[0], k, filter=tree, include=())[0].ids
        except UnsupportedError:
            assert self.may_refuse(len(expected), k, tree), repr(tree)
        else:
            assert set(found) <= set(expected), repr(tree)
            assert len(found) == min(k, len(expected)), repr(tree)

    def _table(self) -> SimilarityIndex:
        return self._once("truth table", {**_table_columns(), "metric": self.metric})

    @pytest.mark.parametrize("operator", sorted(FILTER_OPERATORS))
    def test_operators_are_answered_or_refused_before_any_call(self, operator: str) -> None:
        """Declared: the right rows. Not declared: ``UnsupportedError``, and no call reached the engine.

        If this fails, check ``filter_operators``: a filter that is dropped in silence is the worst answer of all.
        """
        tree = _one_of(operator)
        index, wrapper = self.recorded(**data.sample_rows().columns(), metric=self.metric)
        expected = _holding(tree)
        query = data.vectors(1, seed=32)[0]
        since = len(wrapper.log)
        if self.native("search", tree):
            self._searched(index, tree, expected, 10)
            assert [call.primitive for call in wrapper.log[since:]].count("search") >= 1
        elif not self.capabilities.local:
            with pytest.raises(UnsupportedError, match=self.backend):
                index.search(query, 10, filter=tree)
            assert nothing_happened(wrapper, *READING, since=since)
        narrow = limited(
            self.backend_class,
            filter_operators=self.capabilities.filter_operators - {operator},
            metadata_types=self.capabilities.metadata_types - ({"list"} if operator == "exists" else set()),
            local=False,
        )
        index = self.create(wrapper=narrow, **data.sample_rows().columns(), metric=self.metric)
        since = len(narrow.log)
        with pytest.raises(UnsupportedError):
            index.search(query, 10, filter=tree)
        assert nothing_happened(narrow, *READING, since=since)
        assert set(index.search(query, data.ROWS, filter=tree, allow_scan=True)[0].ids) == set(expected)

    @pytest.mark.parametrize("primitive", ["search", "scan", "count"])
    def test_filters_where_they_are_declared(self, primitive: str) -> None:
        """A primitive that is not in ``filters_in`` never gets a ``where``, and the answers stay right or are refused.

        If this fails, check ``filters_in``.
        """
        narrow = limited(self.backend_class, filters_in=self.capabilities.filters_in - {primitive}, local=False)
        rows = data.sample_rows().take(range(30))
        index = self.create(wrapper=narrow, **rows.columns(), metric=self.metric)
        tree = F("number") < 5
        query = data.vectors(1, seed=33)[0]
        expected = data.truth(query, rows.by_id(), self.metric, rows.ids[:5])
        if primitive == "search":
            with pytest.raises(UnsupportedError, match="allow_scan"):
                index.search(query, 3, filter=tree)
        data.assert_ranking(index.search(query, 3, filter=tree, allow_scan=True)[0], expected, 3, exact=False)
        assert index.count(tree, allow_scan=True) == 5
        view = index.use_view(filter=tree)
        assert set(view.ids()) == set(rows.ids[:5])
        for call in narrow.calls(primitive):
            assert call.arguments[{"search": 2, "scan": 2, "count": 0}[primitive]] is None

    @pytest.mark.parametrize("share", list(_SELECTIVE))
    def test_filtered_searches_are_never_short(self, share: str) -> None:
        """Exactly ``min(k, matches)`` rows, the nearest of the matches, from half of the rows to none of them.

        If this fails, check that the engine filters before it ranks: filtering the top k afterwards loses rows.
        """
        rows = data.sample_rows()
        matches = _SELECTIVE[share]
        tree = F("number") == 17 if matches == 1 else F("number") < matches
        ids = rows.ids[17:18] if matches == 1 else rows.ids[:matches]
        for query in data.vectors(3, seed=34):
            expected = data.truth(query, rows.by_id(), self.metric, ids)
            self.check_search(self.filled(), query, expected, 10, filter=tree)

    def test_filters_may_be_json(self) -> None:
        """The JSON form is the same filter.

        If this fails, check nothing in the adapter.
        """
        tree = (F("parity") == "odd") & ~(F("number") > 50) & F("tags").is_in(["no list"])
        index = self.filled()
        for one in (tree, F("number").is_in([1, 2, 3]), ~F("rare").exists()):
            assert (
                index.use_view(filter=filters.to_json(one)).ids().tolist() == index.use_view(filter=one).ids().tolist()
            )

    def test_values_are_never_code(self) -> None:
        """Quotes, wildcards and operators in a value match that value and nothing else.

        If this fails, check that values are passed as parameters, or escaped, in every operator.
        """
        ids = [f"n{number}" for number in range(len(_NASTY))]
        metadata = [{"x": text, "y": [text, "z"]} for text in _NASTY]
        index = self.create(embeddings=data.vectors(len(ids)), sample_ids=ids, metadata=metadata, metric=self.metric)
        for row_id, text in zip(ids, _NASTY, strict=True):
            others = sorted(set(ids) - {row_id})
            for tree, expected in (
                (F("x") == text, [row_id]),
                (F("x").is_in([text, "nobody"]), [row_id]),
                (F("y").contains(text), [row_id]),
                (F("x") != text, others),
                (F("x").not_in([text]), others),
            ):
                assert index.use_view(filter=tree).ids().tolist() == expected, repr(tree)
                if self.native("search", tree):
                    self._searched(index, tree, expected, len(ids))
        assert index.use_view(filter=F("x") == "a value that nobody has").ids().tolist() == []
        assert len(index) == len(ids)

    def test_long_and_deep_filters(self) -> None:
        """Lists of a thousand values, hundreds of conditions, and a dozen levels are answered like short ones.

        If this fails, check the engine's limits on the length and depth of a condition.
        """
        rows, index = data.sample_rows(), self.filled()
        number = F("number")
        many = number == 0
        for value in range(3, 200, 3):
            many = many | (number == value)  # type: ignore[assignment]
        deep: Filter = number == 5
        for value in range(10, 22, 2):
            deep = (deep | (number == value)) & ~(number == value + 1)
        cases: list[tuple[Filter, Callable[[int], bool]]] = [
            (number.is_in(range(100, 1100)), lambda n: n >= 100),
            (number.not_in(range(100, 1100)), lambda n: n < 100),
            (many, lambda n: n % 3 == 0),
            (~many, lambda n: n % 3 != 0),
            (deep, lambda n: n in {5, 10, 12, 14, 16, 18, 20}),
        ]
        for tree, holds in cases:
            expected = rows.those(lambda row, holds=holds: holds(row["number"]))  # type: ignore[misc]
            assert index.use_view(filter=tree).ids().tolist() == sorted(expected)
            if self.native("search", tree):
                self._searched(index, tree, expected, 10)

    def test_instants_are_compared_whenever_they_were(self) -> None:
        """Before 1970, at the borders of time, a microsecond apart, and under any offset.

        If this fails, check how datetimes are stored: as instants, exact to the microsecond, that may be negative.
        """
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        moments = {
            "first": datetime(1, 1, 2, tzinfo=UTC),
            "old": datetime(1912, 6, 23, 9, tzinfo=timezone(timedelta(hours=-7))),
            "before": epoch - timedelta(microseconds=1),
            "epoch": epoch.astimezone(timezone(timedelta(hours=13))),
            "after": epoch + timedelta(microseconds=1),
            "last": datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC),
        }
        ids = list(moments)
        index = self.create(
            embeddings=data.vectors(len(ids)),
            sample_ids=ids,
            metadata=[{"at": moment} for moment in moments.values()],
            metric=self.metric,
        )
        for position, moment in enumerate(moments.values()):
            other = moment.astimezone(timezone(timedelta(minutes=90)))
            assert index.use_view(filter=F("at") == other).ids().tolist() == [ids[position]]
            assert set(index.use_view(filter=F("at") < other).ids()) == set(ids[:position])
            assert set(index.use_view(filter=F("at") >= other).ids()) == set(ids[position:])

    @pytest.mark.parametrize("name", ["a b", "a'--", 'a"', "a.b", "", "1a", "a__b", "_vs_norm", "x" * 65, "é"])
    def test_names_are_never_code(self, name: str) -> None:
        """Names that some engine could not hold are refused, in filters and in rows; nothing is written.

        If this fails, check nothing in the adapter.
        """
        index = self.filled()
        with pytest.raises(FilterError):
            index.search(data.vectors(1)[0], filter={name: 1})
        with pytest.raises(ValueError, match="field name"):
            index.add_to_index(data.vectors(1), ["new"], metadata=[{name: 1}])
        assert len(index) == data.ROWS

    @pytest.mark.parametrize(
        "name", ["select", "order", "NULL", "id", "_id", "vector", "document", "x" * 64, "_", "True"]
    )
    def test_names_that_look_reserved_are_names(self, name: str) -> None:
        """A legal name works even where the engine has a word or a column of its own by it.

        If this fails, check that names are quoted or passed as parameters, and lie apart from the engine's own columns.
        """
        index = self.create(
            embeddings=data.vectors(3),
            sample_ids=["a", "b", "c"],
            metadata=[{name: 1}, {name: 2}, {}],
            metric=self.metric,
        )
        assert index.get_metadata() == {"a": {name: 1}, "b": {name: 2}, "c": {}}
        assert index.use_view(filter=F(name) == 2).ids().tolist() == ["b"]
        assert index.use_view(filter=~(F(name) == 2)).ids().tolist() == ["a", "c"]

    @pytest.mark.parametrize("broken", ["text", "two", "operator", "bool"])
    def test_what_is_no_filter_is_refused(self, broken: str) -> None:
        """Before any call, whatever takes a filter.

        If this fails, check nothing in the adapter.
        """
        index = self.filled()
        value: Any = {"text": "x == 1", "two": [F("x") == 1], "operator": {"x": {"$near": 1}}, "bool": True}[broken]
        calls: list[Callable[[], Any]] = [
            lambda: index.search(data.vectors(1)[0], filter=value),
            lambda: index.count(value),
            lambda: index.use_view(filter=value),
            lambda: index.remove_from_index(filter=value),
        ]
        for call in calls:
            with pytest.raises(FilterError):
                call()
        assert len(index) == data.ROWS


def _table_columns() -> dict[str, Any]:
    return {
        "embeddings": data.vectors(len(ROWS), seed=30).tolist(),
        "sample_ids": list(ROWS),
        "metadata": list(ROWS.values()),
    }


def _one_of(operator: str) -> Filter:
    number = F("number")
    trees: dict[str, Filter] = {
        "eq": number == 17,
        "ne": number != 17,
        "lt": number < 30,
        "lte": number <= 30,
        "gt": number > 170,
        "gte": number >= 170,
        "in": number.is_in([3, 4, 5]),
        "not_in": number.not_in([3, 4, 5]),
        "contains": F("tags").contains("t3"),
        "exists": F("rare").exists(),
        "not": ~(F("flag") == True),  # noqa: E712  the operator of a filter
    }
    return trees[operator]


def _holding(tree: Filter) -> list[str]:
    return data.sample_rows().those(filters.predicate(tree))
