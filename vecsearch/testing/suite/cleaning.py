"""Duplicates, unique rows, recall, health: what is computed over all rows, the same on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecsearch
from vecsearch import F
from vecsearch.errors import InvalidInputError, UnsupportedError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness
from vecsearch.testing.wrappers import BreakdownError, faulty


class CleaningTests(Harness):
    """Answers about all rows."""

    @property
    def _comparable(self) -> Any:
        for metric in ("cosine", "euclidean"):
            if metric in self.capabilities.metrics:
                return metric
        pytest.skip(f"{self.backend} has no metric under which rows can be alike")

    @pytest.mark.parametrize("thresh", ["0", "0.3", "0.7", "5"])
    def test_duplicates_by_thresh(self, thresh: str) -> None:
        """Greedy by ascending id: no two kept rows are that near, every duplicate is that near to its kept row.

        If this fails, check that scan gives every row once, with its own vector.
        """
        metric, rows, limit = self._comparable, data.sample_rows(), float(thresh)
        found = self.filled(metric).find_duplicates(limit)
        assert sorted([*found.unique_ids, *found.duplicate_ids]) == sorted(rows.ids)
        by_id = rows.by_id()
        kept: list[str] = []
        slack = 1e-5 * max(1.0, limit)
        for row_id in sorted(rows.ids):
            nearest = min(data.truth(by_id[row_id], by_id, metric, kept).values(), default=np.inf)
            if abs(nearest - limit) < slack and limit:
                pytest.fail("the data of this test has a distance at the threshold")
            if nearest > limit + slack:
                kept.append(row_id)
        assert found.unique_ids.tolist() == kept
        for kept_id, group in found.neighbors_map.items():
            for row_id, distance in group:
                assert data.close([distance], [data.truth(by_id[row_id], by_id, metric, [kept_id])[kept_id]], 1.0)
                assert distance <= limit
        assert found.keep_mask(rows.ids).tolist() == [row_id in set(kept) for row_id in rows.ids]

    def test_duplicates_by_fraction(self) -> None:
        """The largest threshold whose share is not above the fraction.

        If this fails, check that scan gives every row once.
        """
        index = self.filled(self._comparable)
        for fraction in (0.1, 0.25, 0.5):
            found = index.find_duplicates(fraction=fraction)
            assert len(found.duplicate_ids) <= fraction * data.ROWS
            assert found.fraction == len(found.duplicate_ids) / data.ROWS
            assert index.find_duplicates(found.thresh).duplicate_ids.tolist() == found.duplicate_ids.tolist()
        assert len(index.find_duplicates(fraction=0.1).duplicate_ids) == data.ROWS // 10

    def test_duplicates_and_unique_do_not_depend_on_the_backend(self) -> None:
        """The embedded default gives the same ids on the same rows, in the same order.

        If this fails, check that vectors come back as they were put, to the last bits (``normalises``).
        """
        metric, rows = self._comparable, data.sample_rows()
        order = np.random.default_rng(3).permutation(data.ROWS)
        with vecsearch.compute_similarity(
            **rows.take(order.tolist()).columns(), backend="sklearn", metric=metric
        ) as other:
            index = self.filled(metric)
            for one, two in (
                (index.find_duplicates(0.4), other.find_duplicates(0.4)),
                (index.find_duplicates(fraction=0.3), other.find_duplicates(fraction=0.3)),
                (index.find_duplicates(0.4, priority="number"), other.find_duplicates(0.4, priority="number")),
                (index.find_unique(40), other.find_unique(40)),
            ):
                assert one.unique_ids.tolist() == two.unique_ids.tolist()
                assert np.isclose(one.thresh, two.thresh, rtol=1e-5)

    def test_unique_rows(self) -> None:
        """Exactly so many, different, each the farthest from those before; a smaller answer begins a larger one.

        If this fails, check that scan gives every row once, with its own vector.
        """
        metric, rows = self._comparable, data.sample_rows()
        index = self.filled(metric)
        chosen = index.find_unique(25).unique_ids.tolist()
        assert len(set(chosen)) == 25
        assert index.find_unique(10).unique_ids.tolist() == chosen[:10]
        by_id = rows.by_id()
        for number in (1, 5, 24):
            gaps = {row: min(data.truth(by_id[row], by_id, metric, chosen[:number]).values()) for row in rows.ids}
            assert gaps[chosen[number]] >= max(gaps.values()) - 1e-4
        everything = index.find_unique(data.ROWS + 5).unique_ids.tolist()
        assert sorted(everything) == sorted(rows.ids)
        assert index.find_unique(0).unique_ids.tolist() == []

    def test_cleaning_a_view(self) -> None:
        """Duplicates and unique rows of a view are those of its rows alone.

        If this fails, check the filters of scan.
        """
        rows, metric = data.sample_rows(), self._comparable
        view = self.filled(metric).use_view(filter=F("number") < 50)
        found = view.find_duplicates(0.5)
        assert sorted([*found.unique_ids, *found.duplicate_ids]) == sorted(rows.ids[:50])
        assert set(view.find_unique(10).unique_ids) <= set(rows.ids[:50])

    def test_cleaning_of_few_rows(self) -> None:
        """No row, one row, and rows that are all alike.

        If this fails, check that an empty index can be scanned.
        """
        metric = self._comparable
        index = self.create(metric=metric, dim=data.DIM)
        assert index.find_duplicates(0.1).unique_ids.tolist() == index.find_unique(3).unique_ids.tolist() == []
        index.add_to_index(data.vectors(1), ["only"])
        assert index.find_duplicates(0.1).unique_ids.tolist() == index.find_unique(3).unique_ids.tolist() == ["only"]
        index.add_to_index(np.repeat(data.vectors(1), 3, axis=0), ["b", "a", "c"])
        assert index.find_duplicates(0).unique_ids.tolist() == ["a"]
        assert len(index.find_unique(3).unique_ids) == 3

    @pytest.mark.parametrize(
        "arguments",
        ["thresh=-1", "thresh=nan", "fraction=1.5", "both", "neither", "thresh=text", "count=-1", "count=2.5"],
    )
    def test_impossible_cleaning_is_refused(self, arguments: str) -> None:
        """One clear error.

        If this fails, check nothing in the adapter.
        """
        index = self.filled(self._comparable)
        calls: dict[str, Any] = {
            "thresh=-1": lambda: index.find_duplicates(-1),
            "thresh=nan": lambda: index.find_duplicates(float("nan")),
            "thresh=text": lambda: index.find_duplicates("much"),  # type: ignore[arg-type]
            "fraction=1.5": lambda: index.find_duplicates(fraction=1.5),
            "both": lambda: index.find_duplicates(0.1, 0.1),
            "neither": index.find_duplicates,
            "count=-1": lambda: index.find_unique(-1),
            "count=2.5": lambda: index.find_unique(2.5),  # type: ignore[arg-type]
        }
        with pytest.raises(InvalidInputError):
            calls[arguments]()

    def test_dotproduct_has_no_duplicates(self) -> None:
        """Unless another metric is named: -<x, y> does not say whether rows are alike.

        If this fails, check nothing in the adapter.
        """
        if "dotproduct" not in self.capabilities.metrics:
            pytest.skip(f"{self.backend} declares no dotproduct")
        index = self.filled("dotproduct")
        with pytest.raises(UnsupportedError, match="cosine"):
            index.find_duplicates(0.1)
        assert len(index.find_duplicates(0, metric="cosine").duplicate_ids) == data.ROWS // 10

    def test_recall_is_measured(self) -> None:
        """1 where every answer is exact; elsewhere at least what the test class expects.

        If this fails, check the distances and the number of hits.
        """
        report = self.filled().measure_recall(queries=40, k=10)
        assert (report.queries, report.k) == (40, 10)
        assert 0 <= report.low <= report.recall <= report.high <= 1
        assert report.recall >= (1.0 if self.capabilities.exactness == "always" else self.recall)

    def test_health(self) -> None:
        """A working index says so, with its size; a failing engine is reported, not raised.

        If this fails, check that count works on any index, and what ``problems`` returns.
        """
        health = self.filled().health()
        assert (health.ok, health.backend, health.size) == (True, self.backend, data.ROWS)
        assert health.problems == []
        broken = faulty(self.backend_class, lambda name, _: BreakdownError("no disk") if name == "count" else None)
        health = self.create(
            wrapper=broken, embeddings=data.vectors(2), sample_ids=["a", "b"], metric=self.metric
        ).health()
        assert not health.ok
        assert "no disk" in " ".join(health.problems)
