"""Views: a subset of an index, searched as if it were the whole; of any size, nested, and only to be read."""

from __future__ import annotations

from typing import Any

import pytest

from vecsearch import F
from vecsearch.errors import InvalidInputError, MissingIdsError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness
from vecsearch.testing.wrappers import limited


class ViewTests(Harness):
    """Views."""

    @pytest.mark.parametrize("size", ["1", "5", "60", "150"])
    def test_views_by_ids(self, size: str) -> None:
        """The nearest of these rows, exactly ``min(k, rows of the view)``, whatever lies nearer outside.

        If this fails, check that ``where.ids`` restricts the search itself, not its result.
        """
        rows, index = data.sample_rows(), self.filled()
        chosen = rows.ids[-int(size) :]
        view = index.use_view(sample_ids=chosen)
        for query in data.vectors(3, seed=41):
            expected = data.truth(query, rows.by_id(), self.metric, chosen)
            self.check_search(view, query, expected, 10, ids=True)
        assert len(view) == view.count() == int(size)
        assert view.ids().tolist() == sorted(chosen)
        assert view.get_embeddings().sample_ids.tolist() == sorted(chosen)
        assert set(view.get_metadata()) == set(chosen)
        assert sum(len(batch.embeddings) for batch in view.iter_embeddings(7)) == int(size)

    def test_views_of_more_ids_than_the_engine_takes(self) -> None:
        """The ids go in pieces that the engine accepts, and the answer is that of the whole view.

        If this fails, check that ``where.ids`` may hold ``max_filter_ids`` ids, unknown ones among them.
        """
        rows = data.sample_rows()
        most = min(37, self.capabilities.max_filter_ids or 37)
        wrapper = limited(self.backend_class, max_filter_ids=most)
        index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric)
        chosen = [*rows.ids[20:180], *(f"unknown {number}" for number in range(50))]
        view = index.use_view(sample_ids=chosen)
        query = data.vectors(1, seed=42)[0]
        expected = data.truth(query, rows.by_id(), self.metric, rows.ids[20:180])
        self.check_search(view, query, expected, 25, ids=True)
        self.check_search(
            view,
            query,
            {i: d for i, d in expected.items() if i in rows.ids[20:60]},
            25,
            filter=F("number") < 60,
            ids=True,
        )
        assert len(view) == 160
        assert view.count(F("number") < 60, allow_scan=True) == 40
        assert view.ids().tolist() == sorted(rows.ids[20:180])
        wheres = [call.arguments[2] for call in wrapper.calls("search", "scan")]
        wheres += [call.arguments[0] for call in wrapper.calls("count")]
        assert all(len(where.ids) <= most for where in wheres if where is not None and where.ids is not None)

    def test_as_many_ids_as_are_declared(self) -> None:
        """``max_filter_ids`` ids in one call, or many where there is no limit: the engine takes them.

        If this fails, lower ``max_filter_ids`` to what the engine takes.
        """
        rows, index = data.sample_rows(), self.filled()
        size = min(self.capabilities.max_filter_ids or 5000, 20_000)
        chosen = [*rows.ids[:30], *(f"unknown-{number:06d}" for number in range(size - 30))][:size]
        query = data.vectors(1, seed=43)[0]
        expected = data.truth(query, rows.by_id(), self.metric, chosen[: min(30, size)])
        self.check_search(index.use_view(sample_ids=chosen), query, expected, 10, ids=True)

    def test_views_by_filter(self) -> None:
        """A view by filter is the rows for which it holds when it is asked.

        If this fails, check the filters of search, scan and count.
        """
        rows, index = data.sample_rows(), self.filled()
        tree = (F("parity") == "odd") & (F("number") >= 50)
        view = index.use_view(filter=tree)
        inside = rows.those(lambda row: row["parity"] == "odd" and row["number"] >= 50)
        query = data.vectors(1, seed=44)[0]
        ranking = view.search(query, 10, allow_scan=True, **self._exact)[0]
        data.assert_ranking(ranking, data.truth(query, rows.by_id(), self.metric, inside), 10)
        further = view.search(query, 10, filter=F("number") < 60, allow_scan=True, **self._exact)[0]
        few = [row for row in inside if row in rows.ids[:60]]
        data.assert_ranking(further, data.truth(query, rows.by_id(), self.metric, few), 10)
        assert view.ids().tolist() == sorted(inside)
        assert view.count(allow_scan=True) == len(inside)

    def test_views_nest_by_intersection(self) -> None:
        """A view of a view holds what is in both, by ids, by filters, and mixed.

        If this fails, check that a ``where`` with both ids and a filter means both.
        """
        rows, index = data.sample_rows(), self.filled()
        outer = index.use_view(sample_ids=rows.ids[:100])
        query = data.vectors(1, seed=45)[0]
        nested = {
            outer.use_view(sample_ids=rows.ids[90:110]): rows.ids[90:100],
            outer.use_view(filter=F("number") >= 95): rows.ids[95:100],
            index.use_view(filter=F("number") >= 95).use_view(sample_ids=rows.ids[:100]): rows.ids[95:100],
            index.use_view(sample_ids=rows.ids[:100], filter=F("number") >= 95): rows.ids[95:100],
            index.use_view(filter=F("number") < 10).use_view(filter=F("parity") == "odd"): rows.ids[1:10:2],
            outer.use_view(sample_ids=rows.ids[150:]): [],
        }
        for view, inside in nested.items():
            assert view.ids().tolist() == sorted(inside)
            expected = data.truth(query, rows.by_id(), self.metric, inside)
            data.assert_ranking(view.search(query, 20, allow_scan=True, **self._exact)[0], expected, 20)
            assert view.contains([*inside, rows.ids[199]]).tolist() == [True] * len(inside) + [False]
        assert len(outer) == 100
        assert len(index) == data.ROWS

    def test_rows_outside_a_view_are_not_there(self) -> None:
        """Reading a row that is outside raises as for a row that does not exist.

        If this fails, check the filters of scan.
        """
        rows, index = data.sample_rows(), self.filled()
        for view in (index.use_view(sample_ids=rows.ids[:5]), index.use_view(filter=F("number") < 5)):
            with pytest.raises(MissingIdsError):
                view.get_embeddings(sample_ids=[rows.ids[7]])
            with pytest.raises(MissingIdsError):
                view.get_metadata(sample_ids=[rows.ids[7]])
            skipped = view.get_embeddings(sample_ids=[rows.ids[7], rows.ids[2]], on_missing="skip")
            assert skipped.sample_ids.tolist() == [rows.ids[2]]
            assert view.search(ids=[rows.ids[7]], k=3, allow_scan=True)[0].ids.size == 3

    def test_views_follow_the_index(self) -> None:
        """A row that is removed leaves the view, one that comes back is in it again; a view is no copy.

        If this fails, check that unknown ids in ``where.ids`` are ignored.
        """
        index, rows = self.few(8)
        by_ids, by_filter = index.use_view(sample_ids=rows.ids[:3]), index.use_view(filter=F("number") < 3)
        index.remove_from_index(sample_ids=rows.ids[1:2])
        for view in (by_ids, by_filter):
            assert view.ids().tolist() == sorted([rows.ids[0], rows.ids[2]])
            assert len(view.search(rows.vectors[1], 5, allow_scan=True)[0]) == 2
        index.add_to_index(**rows.columns())
        assert by_ids.ids().tolist() == by_filter.ids().tolist() == sorted(rows.ids[:3])

    @pytest.mark.parametrize(
        "name",
        ["add_to_index", "add_samples", "ingest", "remove_from_index", "set_metadata", "clear", "save", "cleanup"],
    )
    def test_views_only_read(self, name: str) -> None:
        """No view has a method that writes; the error says where to write.

        If this fails, check nothing in the adapter.
        """
        view = self.filled().use_view(sample_ids=data.sample_rows().ids[:3])
        assert not hasattr(view, name)

    def test_a_view_is_no_mode(self) -> None:
        """``with index.use_view(…)`` raises with the line to write; a view of nothing named is an error.

        If this fails, check nothing in the adapter.
        """
        index = self.filled()
        with (
            pytest.raises(TypeError, match=r"view = index.use_view\(\.\.\.\)"),
            index.use_view(sample_ids=["a"]),
        ):
            pass
        with pytest.raises(InvalidInputError, match="sample_ids="):
            index.use_view()
        with pytest.raises(AttributeError, match="find_duplicates"):
            _ = index.unique_ids

    @property
    def _exact(self) -> dict[str, Any]:
        return {"exact": self.capabilities.exactness != "always"}
