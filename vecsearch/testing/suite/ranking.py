"""``sort_by_similarity``: one logical query of any form; several combined, turned round, ranked to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vecsearch.errors import InvalidInputError, MissingIdsError, UnsupportedError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness

if TYPE_CHECKING:
    from vecsearch.backends.base import Metric

_COMBINED: dict[str, Any] = {"post-mean": np.mean, "post-min": np.min, "post-max": np.max}
_CASES = [
    f"{metric} {aggregation} {direction}"
    for metric in ("cosine", "euclidean", "dotproduct")
    for aggregation in ("mean", "post-mean", "post-min", "post-max")
    for direction in ("nearest", "farthest")
]


class RankingTests(Harness):
    """One ranking of one query."""

    @pytest.mark.parametrize("case", _CASES)
    def test_aggregations(self, case: str) -> None:
        """Several vectors as one query: the mean of the vectors, or the mean, least or greatest of the distances.

        Each is the oracle's answer with leave to scan, and without it either that answer or ``UnsupportedError``.
        If this fails, check the distances of single queries first, then reverse: it is a search by the opposite vector.
        """
        metric, aggregation, direction = case.split()
        if metric not in self.capabilities.metrics:
            pytest.skip(f"{self.backend} declares no {metric}")
        index, rows = self.filled(metric), data.sample_rows()  # type: ignore[arg-type]
        queries = data.vectors(3, seed=21)
        expected = _combined(queries, rows, metric, aggregation)  # type: ignore[arg-type]
        reverse = direction == "farthest"
        options: dict[str, Any] = {"aggregation": aggregation, "reverse": reverse, "exact": self._asks_exact}
        for k in (1, 12):
            ranking = index.sort_by_similarity(queries, k, allow_scan=True, **options)
            data.assert_ranking(ranking, expected, k, reverse=reverse)
            try:
                ranking = index.sort_by_similarity(queries, k, allow_scan=False, **options)
            except UnsupportedError as error:
                assert not self.capabilities.local
                assert "allow_scan" in str(error)  # noqa: PT017
            else:
                data.assert_ranking(ranking, expected, k, reverse=reverse)

    def test_the_mean_is_the_query_by_the_mean_vector(self) -> None:
        """Several ids are one query by the mean of their vectors, the plain search.

        If this fails, check that fetch returns the vectors as they were put (``normalises``).
        """
        metric = self.lengths_matter
        index, rows = self.filled(metric), data.sample_rows()
        asked = rows.ids[10:15]
        mean = rows.vectors[10:15].mean(axis=0)
        one = index.sort_by_similarity(asked, 10, **self.exactly)
        other = index.sort_by_similarity(vector=mean, k=10, **self.exactly)
        data.assert_ranking(one, data.truth(mean, rows.by_id(), metric), 10)
        assert one.ids.tolist() == other.ids.tolist()
        assert (one.query_kind, other.query_kind) == ("id", "vector")

    def test_without_k_every_row_is_ranked(self) -> None:
        """All rows, once each; where the engine has a limit below them, by a scan, or an error that says so.

        If this fails, check that k may be as large as the number of rows.
        """
        index, rows = self.filled(), data.sample_rows()
        query = data.vectors(1, seed=22)[0]
        expected = data.truth(query, rows.by_id(), self.metric)
        ranking = index.sort_by_similarity(query, exact=self._asks_exact, allow_scan=True)
        data.assert_ranking(ranking, expected, None)
        limit = self.capabilities.max_k
        if limit is not None and limit < data.ROWS and not self.capabilities.local:
            with pytest.raises(UnsupportedError, match="allow_scan"):
                index.sort_by_similarity(query)
        else:
            data.assert_ranking(index.sort_by_similarity(query, **self.exactly), expected, None)

    def test_reverse_turns_the_whole_ranking_round(self) -> None:
        """Farthest first: the same rows and distances as the whole ranking, backwards.

        If this fails, check the search by the opposite vector.
        """
        index, rows = self.filled(), data.sample_rows()
        query = data.vectors(1, seed=23)[0]
        ranking = index.sort_by_similarity(query, reverse=True, exact=self._asks_exact, allow_scan=True)
        data.assert_ranking(ranking, data.truth(query, rows.by_id(), self.metric), None, reverse=True)
        assert (np.diff(ranking.distances) <= 0).all()

    def test_a_query_may_be_left_out_of_its_ranking(self) -> None:
        """``exclude_self`` leaves all the query's rows out, and still gives k.

        If this fails, check that a few more rows than k can be asked for.
        """
        index, rows = self.filled(), data.sample_rows()
        asked = rows.ids[60:63]
        ranking = index.sort_by_similarity(asked, 8, exclude_self=True, **self.exactly)
        mean = rows.vectors[60:63].mean(axis=0)
        expected = data.truth(mean, rows.by_id(), self.metric, [row for row in rows.ids if row not in asked])
        data.assert_ranking(ranking, expected, 8)

    def test_what_a_query_means_is_never_guessed(self) -> None:
        """Floats are vectors, known text is an id, unknown text an error; what could be two things is refused.

        If this fails, check nothing in the adapter, except that fetch knows its ids.
        """
        index, rows = self.filled(), data.sample_rows()
        assert index.sort_by_similarity(rows.ids[3], 1).query_kind == "id"
        assert index.sort_by_similarity(rows.vectors[3].tolist(), 1).query_kind == "vector"
        assert index.sort_by_similarity(rows.vectors[:2], 1).query_kind == "vector"
        with pytest.raises(MissingIdsError, match="a misspelt id"):
            index.sort_by_similarity("a misspelt id", 1)
        with pytest.raises(InvalidInputError, match=r"ids=.*vector="):
            index.sort_by_similarity([1, 2, 3], 1)
        with pytest.raises(InvalidInputError, match="empty"):
            index.sort_by_similarity(ids=[])
        with pytest.raises(InvalidInputError):
            index.sort_by_similarity(rows.ids[0], 1, vector=rows.vectors[0])
        with pytest.raises(UnsupportedError, match="model"):
            index.sort_by_similarity(text="a prompt")
        with pytest.raises(InvalidInputError, match="post-mean"):
            index.sort_by_similarity(rows.ids[:2], 1, aggregation="median")  # type: ignore[arg-type]

    @property
    def _asks_exact(self) -> bool:
        return self.capabilities.exactness != "always"


def _combined(queries: Any, rows: data.Data, metric: Metric, aggregation: str) -> dict[str, float]:
    if aggregation == "mean":
        return data.truth(queries.mean(axis=0, dtype=np.float64), rows.by_id(), metric)
    each = np.stack([data.distances(query, rows.vectors, metric) for query in queries])
    return dict(zip(rows.ids, _COMBINED[aggregation](each, axis=0).tolist(), strict=True))
