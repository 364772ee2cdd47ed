"""Search: the nearest rows, with their true distances, in their one order, as many as asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vecsearch.errors import InvalidInputError, MissingIdsError, UnsupportedError, VecsearchError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness
from vecsearch.testing.wrappers import WrappedBackend, limited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from vecsearch.backends.base import Hits, Metric, Part, Where


class SearchTests(Harness):
    """One ranking a query."""

    @pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
    def test_nearest_rows_and_true_distances(self, metric: Metric) -> None:
        """Ids and distances agree with a float64 brute force, in the unit of the metric, for one row and for many.

        If this fails, check the ``Score`` that is declared for the metric, and that squared or negated scores are so.
        """
        if metric not in self.capabilities.metrics:
            pytest.skip(f"{self.backend} declares no {metric}; test_undeclared_metrics_are_refused tries it")
        rows, index = data.sample_rows().by_id(), self.filled(metric)
        for query in (*data.vectors(6, seed=9), data.vectors(1, seed=8)[0] * 100, *list(rows.values())[:3]):
            for k in (1, 10, 50):
                self.check_search(index, query, data.truth(query, rows, metric), k)

    @pytest.mark.parametrize("metric", ["cosine", "euclidean"])
    def test_a_row_is_nearest_to_itself(self, metric: Metric) -> None:
        """A query by id finds its own row first, at distance 0, together with rows of the same vector.

        If this fails, check that the index does not round (a quantised one needs ``true_distances=False``).
        """
        if metric not in self.capabilities.metrics:
            pytest.skip(f"{self.backend} declares no {metric}")
        rows, index = data.sample_rows(), self.filled(metric)
        asked = [rows.ids[p] for p in (30, 0, 199, 101)]
        for row_id, ranking in zip(asked, index.search(ids=asked, k=5, **self.exactly), strict=True):
            zeros = {other for other, distance in zip(ranking.ids, ranking.distances, strict=True) if distance < 1e-3}
            assert row_id in zeros
            assert abs(ranking.distances[0]) <= 1e-3 * 5.0
            vector = rows.by_id()[row_id]
            assert zeros == {other for other, held in rows.by_id().items() if np.array_equal(held, vector)}
            assert ranking.query_kind == "id"

    def test_equal_distances_come_in_the_order_of_ids(self) -> None:
        """Rows of one vector are ordered by id, and the first ids fill the last places, however they were written.

        If this fails, check nothing in the adapter where it returns all hits: vecsearch orders them.
        """
        ids = ["m", "b", "z", "a", "q", "c"]
        vector = data.vectors(1)[0]
        index = self.create(embeddings=np.stack([vector] * 6), sample_ids=ids, metric=self.metric)
        ranking = index.search(vector * 2, 6, **self.exactly)[0]
        assert ranking.ids.tolist() == sorted(ids)

    def test_a_batch_is_its_single_queries(self) -> None:
        """Many queries in one call give what each gives alone, in their order.

        If this fails, check that the hits are in the order of the queries.
        """
        index, queries = self.filled(), data.vectors(17, seed=3)
        batch = index.search(queries, 7, **self.exactly)
        assert len(batch) == 17
        for query, ranking in zip(queries, batch, strict=True):
            alone = index.search(query, 7, **self.exactly)[0]
            assert alone.ids.tolist() == ranking.ids.tolist()
            assert np.allclose(alone.distances, ranking.distances, rtol=1e-5, atol=1e-6)

    def test_no_query_is_no_answer(self) -> None:
        """Zero queries give zero rankings.

        If this fails, check nothing in the adapter: it is never called with no queries.
        """
        assert len(self.filled().search(np.empty((0, data.DIM), np.float32))) == 0
        assert len(self.filled().search(ids=[])) == 0

    def test_answers_do_not_depend_on_what_was_asked_before(self) -> None:
        """The same question has the same answer, whatever came between.

        If this fails, check that the adapter keeps no query, filter or id list between calls.
        """
        index, rows = self.filled(), data.sample_rows()
        query = data.vectors(1, seed=12)[0]
        first = index.search(query, 20, **self.exactly)[0]
        index.search(ids=rows.ids[:4], k=3)
        index.use_view(sample_ids=rows.ids[:50]).search(query, 3, allow_scan=True)
        index.search(query, 3, include=(), max_distance=0.0)
        index.sort_by_similarity(rows.ids[7], k=3, reverse=True, allow_scan=True)
        list(index.iter_embeddings(50))
        again = index.search(query, 20, **self.exactly)[0]
        assert again.ids.tolist() == first.ids.tolist()
        assert again.distances.tolist() == first.distances.tolist()

    def test_the_own_row_can_be_left_out(self) -> None:
        """``exclude_self`` leaves the query's own row out, and still gives k rows; it needs a query by id.

        If this fails, check that k + 1 rows can be asked for.
        """
        rows, index = data.sample_rows(), self.filled()
        asked = rows.ids[40:44]
        for row_id, ranking in zip(asked, index.search(ids=asked, k=6, exclude_self=True, **self.exactly), strict=True):
            expected = data.truth(rows.by_id()[row_id], rows.by_id(), self.metric)
            del expected[row_id]
            data.assert_ranking(ranking, expected, 6)
        with pytest.raises(InvalidInputError, match="ids"):
            index.search(rows.vectors[0], exclude_self=True)

    def test_max_distance_is_inclusive(self) -> None:
        """Rows up to the distance, none beyond; never more than k.

        If this fails, check the distances themselves.
        """
        rows, index = data.sample_rows(), self.filled()
        query = data.vectors(1, seed=4)[0]
        ranking = index.search(query, 30, **self.exactly)[0]
        limit = float(ranking.distances[20])
        inside = index.search(query, 30, max_distance=limit, **self.exactly)[0]
        assert inside.ids.tolist() == [i for i, d in zip(ranking.ids, ranking.distances, strict=True) if d <= limit]
        assert 21 <= len(inside) < 30
        assert len(index.search(query, 3, max_distance=limit, **self.exactly)[0]) == 3
        assert len(index.search(query, 30, max_distance=float(ranking.distances[0]) - 1.0)[0]) == 0
        assert len(rows.ids) == len(index)

    @pytest.mark.parametrize("part", ["metadata", "documents", "embeddings"])
    def test_only_what_was_included_comes(self, part: Any) -> None:
        """A part that was asked for belongs to its row; one that was not raises, naming the ``include=`` to write.

        If this fails, check that the columns of search's rows are aligned with their ids.
        """
        rows, index = data.sample_rows(), self.filled()
        ranking = index.search(rows.vectors[3], 20, include=(part,), **self.exactly)[0]
        where = {row_id: position for position, row_id in enumerate(rows.ids)}
        positions = [where[row_id] for row_id in ranking.ids]
        if part == "embeddings":
            assert ranking.embeddings.dtype == np.float32
            assert data.ulps(ranking.embeddings, rows.vectors[positions]) <= self.ulps
        elif part == "documents":
            assert ranking.documents == [rows.documents[p] for p in positions]
        else:
            pairs = zip(ranking.metadata, positions, strict=True)
            assert all(data.same_metadata(found, rows.metadata[p]) for found, p in pairs)
        for other in {"metadata", "documents", "embeddings"} - {part}:
            with pytest.raises(InvalidInputError, match=f'include=.*"{other}"'):
                getattr(ranking, other)
        assert len(index.search(rows.vectors[3], 5, include=())[0]) == 5
        match = index.search(rows.vectors[3], 1)[0][0]
        assert (type(match.id), type(match.distance), match.sample_id) == (str, float, match.id)

    @pytest.mark.parametrize("k", ["200", "201", "5000"])
    def test_k_beyond_the_rows_gives_all_rows(self, k: str) -> None:
        """As many rows as there are, no error; beyond ``max_k`` by a scan if that is allowed.

        If this fails, check that search may be asked for more rows than there are.
        """
        rows, index = data.sample_rows(), self.filled()
        query = data.vectors(1, seed=5)[0]
        expected = data.truth(query, rows.by_id(), self.metric)
        limit = self.capabilities.max_k
        if limit is not None and limit < data.ROWS and not self.capabilities.local:
            with pytest.raises(UnsupportedError, match="allow_scan"):
                index.search(query, int(k))
        else:
            data.assert_ranking(index.search(query, int(k), **self.exactly)[0], expected, int(k))
        data.assert_ranking(
            index.search(
                query, int(k), allow_scan=True, **{k_: v for k_, v in self.exactly.items() if k_ != "allow_scan"}
            )[0],
            expected,
            int(k),
        )

    def test_k_up_to_the_declared_limit_is_answered(self) -> None:
        """``max_k`` rows can be asked for; one more is no silent cut: it is a scan, or an error before any call.

        If this fails, check ``max_k`` against the engine's own limit.
        """
        declared = self.capabilities.max_k
        if declared is not None:
            assert len(self.filled().search(data.vectors(1, seed=6)[0], declared)[0]) == min(declared, data.ROWS)
        wrapper = limited(self.backend_class, max_k=20, local=False)
        rows = data.sample_rows().take(range(50))
        index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric)
        query = data.vectors(1, seed=6)[0]
        expected = data.truth(query, rows.by_id(), self.metric)
        data.assert_ranking(index.search(query, 20, **self.exactly)[0], expected, 20)
        before = len(wrapper.calls("search", "scan"))
        with pytest.raises(UnsupportedError, match="20"):
            index.search(query, 21)
        assert len(wrapper.calls("search", "scan")) == before
        data.assert_ranking(index.search(query, 21, **{**self.exactly, "allow_scan": True})[0], expected, 21)
        assert all(call.arguments[1] <= 20 for call in wrapper.calls("search"))

    @pytest.mark.parametrize("k", ["0", "-1", "2.5", "True", "'3'"])
    def test_k_must_be_a_whole_number_of_at_least_one(self, k: str) -> None:
        """Everything else is an error that names k.

        If this fails, check nothing in the adapter.
        """
        values: Mapping[str, Any] = {"0": 0, "-1": -1, "2.5": 2.5, "True": True, "'3'": "3"}
        with pytest.raises(InvalidInputError, match="k "):
            self.filled().search(data.vectors(1)[0], values[k])

    def test_an_empty_index_answers_everything(self) -> None:
        """No rows, no width yet, or no rows left: empty answers, no errors, and missing ids are missing.

        If this fails, check that an index without rows can be searched, scanned and counted.
        """
        created = self.create(dim=data.DIM, metric=self.metric)
        emptied = self.create(embeddings=data.vectors(2), sample_ids=["a", "b"], metric=self.metric)
        emptied.clear()
        for index in (self.create(metric=self.metric), created, emptied):
            assert (len(index), index.count(), index.ids().tolist()) == (0, 0, [])
            ranking = index.search(data.vectors(2), 5)[1]
            assert (len(ranking), ranking.ids.tolist(), ranking.distances.shape) == (0, [], (0,))
            assert (ranking.metadata, ranking.documents) == ([], [])
            assert len(index.sort_by_similarity(data.vectors(1)[0])) == 0
            assert index.get_embeddings().embeddings.shape == (0, index.dim or 0)
            assert index.get_metadata() == {}
            assert list(index.iter_embeddings()) == []
            assert index.contains(["a"]).tolist() == [False]
            assert index.remove_from_index(sample_ids=["a"]) == index.clear() == 0
            assert len(index.use_view(sample_ids=["a"]).search(data.vectors(1)[0])[0]) == 0
            assert index.health().ok
            with pytest.raises(MissingIdsError):
                index.search(ids=["a"])

    def test_search_parameters_are_the_engines_own(self) -> None:
        """A name that the backend does not declare is refused before any call.

        If this fails, check ``search_params``: it lists what ``params=`` may hold.
        """
        index, wrapper = self.recorded(embeddings=data.vectors(5), sample_ids=list("abcde"), metric=self.metric)
        before = len(wrapper.log)
        with pytest.raises(InvalidInputError, match="no_such_parameter"):
            index.search(data.vectors(1)[0], params={"no_such_parameter": 1})
        assert len(wrapper.log) == before

    def test_a_short_answer_never_passes_for_a_whole_one(self) -> None:
        """An engine that withholds rows is asked again, scanned, or reported: the user never gets fewer without a word.

        If this fails, check nothing in the adapter: this one withholds on purpose.
        """

        class Withholding(WrappedBackend, inner=self.backend_class):
            def search(
                self,
                queries: NDArray[np.float32],
                k: int,
                where: Where | None,
                *,
                include: frozenset[Part],
                exact: bool,
                params: Mapping[str, Any],
            ) -> Hits:
                return super().search(queries, max(1, k - 2), where, include=include, exact=exact, params=params)

        rows = data.sample_rows().take(range(20))
        index = self.create(wrapper=Withholding, **rows.columns(), metric=self.metric)
        query = data.vectors(1, seed=7)[0]
        expected = data.truth(query, rows.by_id(), self.metric)
        try:
            data.assert_ranking(index.search(query, 10)[0], expected, 10, exact=False)
        except VecsearchError as error:
            assert type(error).__name__ == "IncompleteSearchError"  # noqa: PT017  either is right
        data.assert_ranking(index.search(query, 10, allow_scan=True)[0], expected, 10, exact=False)
