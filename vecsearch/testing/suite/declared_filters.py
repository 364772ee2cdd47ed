"""What is declared of filters, in both directions: kinds, orders, fields, alternatives, large numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vecsearch import F, filters
from vecsearch.errors import UnsupportedError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness, nothing_happened
from vecsearch.testing.truth_table import CASES, ROWS
from vecsearch.testing.wrappers import limited

if TYPE_CHECKING:
    from vecsearch import Filter


class DeclaredFilterTests(Harness):
    """Filters that an engine answers with a condition, or not at all."""

    def test_kinds_are_asked_for_where_operators_are_not_strict(self) -> None:
        """With ``strict_operators`` less than all, the kinds of values lie beside the row, and answers stay right.

        If this fails, check ``contains`` and its complement on a list of texts, and that hidden fields come back.
        """
        caps = self.capabilities
        wrapper = limited(self.backend_class, strict_operators=frozenset(), local=False)
        index = self.create(
            wrapper=wrapper,
            embeddings=data.vectors(len(ROWS), seed=30),
            sample_ids=list(ROWS),
            metadata=list(ROWS.values()),
            metric=self.metric,
        )
        found = index.get_metadata()
        assert all(data.same_metadata(found[row_id], row) for row_id, row in ROWS.items())
        for case in CASES:
            holding = index.search(data.vectors(1)[0], len(ROWS), filter=case.filter, allow_scan=True)[0].ids
            assert set(holding) == case.holds, repr(case.filter)
        of_any_field = caps.filter_fields is None and caps.joins_by_or
        if of_any_field and caps.filter_operators >= {"contains", "not"} and "list" in caps.metadata_types:
            asked = [call.arguments[2].filter for call in wrapper.calls("search") if call.arguments[2] is not None]
            negated = {leaf.op for tree in asked for leaf in filters.conditions(tree) if leaf.negated}
            assert negated == {"contains"}

    def test_texts_that_cannot_be_compared_by_order(self) -> None:
        """Without ``orders_texts`` such a condition is refused or answered by a scan; equal texts are still found.

        If this fails, check ``orders_texts``.
        """
        wrapper = limited(self.backend_class, orders_texts=False, local=False)
        rows = data.sample_rows().take(range(20))
        index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric)
        query = data.vectors(1)[0]
        for tree in (F("parity") < "n", ~(F("parity") >= "n"), (F("parity") <= "even") & (F("number") < 9)):
            before = len(wrapper.log)
            with pytest.raises(UnsupportedError, match="order"):
                index.search(query, filter=tree)
            assert nothing_happened(wrapper, since=before)
            expected = set(rows.those(filters.predicate(tree)))
            assert set(index.search(query, 20, filter=tree, allow_scan=True)[0].ids) == expected
        if self.native("search", F("parity") == "even"):
            assert len(index.search(query, 10, filter=F("parity") == "even")[0]) == 10

    @pytest.mark.parametrize("limit", ["fields", "or"])
    def test_filters_that_only_some_indexes_answer(self, limit: str) -> None:
        """What ``filter_fields`` and ``joins_by_or`` leave out is refused before any call, or answered by a scan.

        If this fails, check the two: conditions on other fields, or of another kind; conditions that are alternatives.
        """
        number, parity = F("number"), F("parity")
        few = (number < 9) & (parity == "odd")
        refused: dict[str, list[Filter]] = {
            "fields": [F("rare").exists(), F("flag") == True, number == "17", few & F("tags").contains("t1")],  # noqa: E712
            "or": [(number < 3) | (parity == "odd"), ~few, number.is_in([1, 2, "text"])],
        }
        changes: dict[str, dict[str, Any]] = {
            "fields": {"filter_fields": {"number": "number", "parity": "str"}},
            "or": {"joins_by_or": False},
        }
        rows = data.sample_rows().take(range(20))
        wrapper = limited(self.backend_class, **changes[limit], local=False)
        index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric)
        query = data.vectors(1)[0]
        for tree in refused[limit]:
            before = len(wrapper.log)
            with pytest.raises(UnsupportedError, match="allow_scan"):
                index.search(query, filter=tree)
            assert nothing_happened(wrapper, since=before)
            expected = set(rows.those(filters.predicate(tree)))
            assert set(index.search(query, 20, filter=tree, allow_scan=True)[0].ids) == expected
        if self.native("search", few):
            assert len(index.search(query, 4, filter=few)[0]) == 4

    def test_large_integers(self) -> None:
        """Integers up to ``max_int`` are compared as they are; beyond it a filter is refused or answered by a scan.

        If this fails, lower ``max_int``: most engines that hold numbers as floats are exact to 2**53 only.
        """
        limit = self.capabilities.max_int
        values = [limit - 1, limit - 2, -limit + 1, 5]
        ids = ["near", "less", "negative", "small"]
        index = self.create(embeddings=data.vectors(4), sample_ids=ids, metadata={"x": values}, metric=self.metric)
        for value, row_id in zip(values, ids, strict=True):
            assert index.use_view(filter=F("x") == value).ids().tolist() == [row_id]
            assert index.get_metadata()[row_id] == {"x": value}
        assert index.use_view(filter=F("x") > limit - 2).ids().tolist() == ["near"]
        narrow = limited(self.backend_class, max_int=2**53, local=False)
        index = self.create(
            wrapper=narrow,
            embeddings=data.vectors(3),
            sample_ids=["a", "b", "c"],
            metadata={"x": [2**53, 2**53 + 1, 1]},
            metric=self.metric,
        )
        assert index.get_metadata() == {"a": {"x": 2**53}, "b": {"x": 2**53 + 1}, "c": {"x": 1}}
        query = data.vectors(1)[0]
        for tree, expected in ((F("x") == 2**53 + 1, ["b"]), (F("x") == 2**53, ["a"]), (F("x") > 2**53, ["b"])):
            with pytest.raises(UnsupportedError):
                index.search(query, filter=tree)
            assert index.search(query, filter=tree, allow_scan=True)[0].ids.tolist() == expected
