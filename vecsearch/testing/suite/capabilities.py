"""Each capability in both directions: declared, it works; not declared, the answer is an error and no call was made."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vecsearch import filters, naming
from vecsearch.backends.base import FILTER_OPERATORS, METADATA_TYPES, METRICS, Capabilities, Names, Score
from vecsearch.errors import ConfigError, InvalidInputError, UnsupportedError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import WRITING, Harness, nothing_happened
from vecsearch.testing.wrappers import limited, recording

if TYPE_CHECKING:
    from vecsearch.backends.base import Metric


class CapabilityTests(Harness):
    """What is declared."""

    def test_the_declaration_is_sound(self) -> None:
        """Each field holds what the contract knows.

        If this fails, correct the field of ``capabilities`` that the assert names.
        """
        caps = self.capabilities
        assert isinstance(caps, Capabilities)
        assert caps.metrics
        assert set(caps.metrics) <= set(METRICS)
        assert all(isinstance(score, Score) for score in caps.metrics.values())
        assert caps.exactness in ("always", "on_request", "never")
        assert caps.filter_operators <= FILTER_OPERATORS
        assert caps.filters_in <= {"search", "scan", "count"}
        assert caps.metadata_types <= METADATA_TYPES
        assert caps.id_form in ("text", "uuid")
        assert caps.batch_rows >= 1
        limits = (caps.max_k, caps.max_hits, caps.max_filter_ids, caps.batch_bytes, caps.row_bytes)
        assert all(limit is None or limit >= 1 for limit in limits)
        assert caps.strict_operators <= FILTER_OPERATORS
        assert caps.normalises <= set(caps.metrics)
        assert 1 <= caps.dims[0] <= caps.dims[1]
        assert caps.max_int >= 2**24
        assert self.backend_class.name == self.backend

    @pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct", "manhattan"])
    def test_undeclared_metrics_are_refused(self, metric: Any) -> None:
        """A metric that the backend does not have is an error before anything is made; one that it has makes an index.

        If this fails, check ``metrics``, and that describe tells the metric that create was given.
        """
        wrapper = recording(self.backend_class)
        if metric in self.capabilities.metrics:
            index = self.create(wrapper=wrapper, dim=4, metric=metric)
            assert (index.metric, index.dim, len(index)) == (metric, 4, 0)
            return
        with pytest.raises((UnsupportedError, InvalidInputError), match=metric):
            self.create(wrapper=wrapper, dim=4, metric=metric)
        assert nothing_happened(wrapper)

    def test_the_default_metric_is_cosine(self) -> None:
        """On every backend that has it.

        If this fails, check that create uses the metric of the spec, not the engine's default.
        """
        if "cosine" not in self.capabilities.metrics:
            pytest.skip(f"{self.backend} declares no cosine")
        rows = data.sample_rows().take(range(20))
        index = self.create(**rows.columns())
        assert index.metric == "cosine"
        query = data.vectors(1, seed=71)[0]
        self.check_search(index, query, data.truth(query, rows.by_id(), "cosine"), 5)

    def test_widths(self) -> None:
        """The least and the greatest width that are declared work; one more is refused before anything is made.

        If this fails, check ``dims``.
        """
        low, high = self.capabilities.dims
        for dim in (low, min(high, 4096)):
            vectors = data.vectors(3, seed=72, dim=dim)
            index = self.create(embeddings=vectors, sample_ids=["a", "b", "c"], metric=self.metric)
            self.assert_vectors(index.get_embeddings(sample_ids=["c", "a"]), ["c", "a"], vectors[[2, 0]])
        wrapper = limited(self.backend_class, dims=(low, 64))
        for arguments in ({"dim": 65}, {"embeddings": np.ones((1, 65)), "sample_ids": ["a"]}):
            with pytest.raises((UnsupportedError, InvalidInputError), match="65"):
                self.create(wrapper=wrapper, metric=self.metric, **arguments)
        assert nothing_happened(wrapper, *WRITING)

    def test_as_many_rows_as_are_declared(self) -> None:
        """``batch_rows`` rows in one call, and one more than that, are written, read and removed.

        If this fails, lower ``batch_rows`` to what one request of the engine carries.
        """
        size = min(self.capabilities.batch_rows, 3000) + 1
        vectors = data.vectors(size, seed=73, dim=4)
        ids = [f"row {number}" for number in range(size)]
        index = self.create(embeddings=vectors, sample_ids=ids, metric=self.metric)
        assert len(index) == size
        self.assert_vectors(index.get_embeddings(sample_ids=ids[::-1]), ids[::-1], vectors[::-1])
        assert index.remove_from_index(sample_ids=ids[1:]) == size - 1
        assert index.ids().tolist() == ids[:1]

    def test_rows_too_large_for_a_request_are_refused(self) -> None:
        """One row beyond ``batch_bytes`` is an error that names it; as many bytes as are declared are written.

        If this fails, lower ``batch_bytes`` to what one request of the engine carries.
        """
        declared = self.capabilities.batch_bytes
        size = min(declared or 1 << 22, 1 << 22)
        length = min(size // 8, (self.capabilities.row_bytes or size) - 200)
        ids = [f"d{number:03d}" for number in range(3 * size // length)]
        documents = ["x" * length] * len(ids)
        index = self.create(embeddings=data.vectors(len(ids)), sample_ids=ids, documents=documents, metric=self.metric)
        assert index.ids().tolist() == ids
        wrapper = limited(self.backend_class, batch_bytes=2000)
        index = self.create(wrapper=wrapper, dim=data.DIM, metric=self.metric)
        with pytest.raises(UnsupportedError, match="large"):
            index.add_to_index(data.vectors(1), ["large"], documents=["x" * 3000])
        assert not wrapper.calls("upsert")

    def test_rows_that_the_engine_cannot_hold_are_refused(self) -> None:
        """A row of more than ``row_bytes`` is an error that names it, before anything is written; a smaller one is not.

        If this fails, lower ``row_bytes`` to what one row of the engine holds.
        """
        declared = min(self.capabilities.row_bytes or 1 << 20, 1 << 20)
        text = "x" * (declared - 200)
        index = self.create(embeddings=data.vectors(1), sample_ids=["wide"], documents=[text], metric=self.metric)
        assert index.search(ids=["wide"], k=1)[0].documents == [text]
        wrapper = limited(self.backend_class, row_bytes=900)
        index = self.create(wrapper=wrapper, dim=data.DIM, metric=self.metric)
        for columns in ({"documents": ["short", "x" * 1000]}, {"metadata": [{}, {"x": "x" * 1000}]}):
            with pytest.raises(UnsupportedError, match="wide"):
                index.add_to_index(data.vectors(2), ["narrow", "wide"], **columns)
        assert not wrapper.calls("upsert")
        index.add_to_index(data.vectors(1), ["narrow"], metadata=[{"x": "x" * 500}])
        with pytest.raises(UnsupportedError, match="narrow"):
            index.set_metadata([{"y": "x" * 500}], ["narrow"])
        assert len(wrapper.calls("upsert")) == 1

    def test_many_queries_keep_to_the_declared_hits(self) -> None:
        """Queries are cut into calls of at most ``max_hits`` rows and ``batch_bytes`` bytes; the answers are the same.

        If this fails, lower ``max_hits`` to what one answer of the engine carries.
        """
        rows = data.sample_rows()
        declared = min(self.capabilities.max_hits or 2000, 2000)
        many = data.vectors(declared // 10 + 1, seed=78)
        answers = self.filled().search(many, 10, **self.exactly)
        assert [len(ranking) for ranking in answers] == [10] * len(many)
        bytes_of_three = 4 * data.DIM * 3
        for changes, most in (({"max_hits": 30}, 4), ({"max_hits": 5}, 1), ({"batch_bytes": bytes_of_three}, 3)):
            wrapper = limited(self.backend_class, **changes)
            index = self.create(wrapper=wrapper, dim=data.DIM, metric=self.metric)
            inner = rows.take(range(40))
            index.add_to_index(inner.vectors, inner.ids)
            queries = data.vectors(11, seed=79)
            answers = index.search(queries, 7, include=())  # not exactly: that may be a scan
            for query, ranking in zip(queries, answers, strict=True):
                data.assert_ranking(ranking, data.truth(query, inner.by_id(), self.metric), 7, exact=False)
            sizes = [len(call.arguments[0]) for call in wrapper.calls("search")]
            assert max(sizes) <= most
            assert sum(sizes) >= 11

    def test_names_that_the_engine_does_not_take(self) -> None:
        """Refused before any call, with one that would do; names that are made here fit; the longest legal one works.

        If this fails, check ``index_names``.
        """
        rule = self.capabilities.index_names
        if rule is not None:
            name = naming.fitted(f"Conformance-of.{'n' * rule.longest}", rule)
            index = self.create(index_name=name, dim=4, metric=self.metric)
            assert len(index) == 0
        narrow = Names(characters="a-z0-9", first="a-z", longest=30)  # of which all engines take some
        wrapper = limited(self.backend_class, index_names=narrow)
        for name in ("UPPER", "a_b", "-a", "a-", "", "n" * 31, "a'; DROP TABLE x; --"):
            with pytest.raises(ConfigError, match="would do"):
                self.create(wrapper=wrapper, index_name=name, dim=4, metric=self.metric)
        assert nothing_happened(wrapper)
        if not self.capabilities.local:
            for key in (None, "A_Run_with_a_very_very_long_key"):
                made = self.create(wrapper=wrapper, dim=4, metric=self.metric, key=key).config.index_name
                assert naming.fits(made, narrow), made

    @pytest.mark.parametrize("kind", sorted(METADATA_TYPES))
    def test_types_that_are_not_declared_are_kept_beside_the_row(self, kind: str) -> None:
        """Without native support for a type it comes back all the same, and filters on it are right or refused.

        If this fails, check that the adapter stores fields of hidden names (``_vs_meta``, ``x__kept``) like others.
        """
        from vecsearch import F

        types = METADATA_TYPES & self.capabilities.metadata_types - {kind}
        rows: dict[str, dict[str, Any]] = {
            row_id: row for row_id, row in data.EVERY_TYPE.items() if row.get("x") is not None
        }
        wrapper = limited(self.backend_class, metadata_types=types, local=False)
        index = self.create(
            wrapper=wrapper,
            embeddings=data.vectors(len(rows)),
            sample_ids=list(rows),
            metadata=list(rows.values()),
            metric=self.metric,
        )
        found = index.get_metadata()
        assert all(data.same_metadata(found[row_id], row) for row_id, row in rows.items())
        filter_values: dict[str, Any] = {
            "datetime": rows["utc"]["x"],
            "str": "plain",
            "int": 7,
            "float": 0.1,
            "bool": True,
        }
        tree = F("x").contains("b") if kind == "list" else F("x") == filter_values[kind]
        expected = sorted(row_id for row_id, row in rows.items() if filters.predicate(tree)(row))
        assert expected
        for one in (tree, F("x").exists()):
            right = sorted(row_id for row_id, row in rows.items() if filters.predicate(one)(row))
            for scans in (False, True):
                try:
                    answer = sorted(index.search(data.vectors(1)[0], 100, filter=one, allow_scan=scans)[0].ids)
                except UnsupportedError:
                    assert not scans
                else:
                    assert answer == right, repr(one)

    @pytest.mark.parametrize("form", ["text", "uuid"])
    def test_ids_of_the_engines_form(self, form: str) -> None:
        """Where the engine takes UUIDs only, ids are translated on every path; elsewhere they are as they are.

        If this fails, check ``id_form``, and that fields of hidden names come back.
        """
        if form == "text" and self.capabilities.id_form == "uuid":
            pytest.skip(f"{self.backend} takes UUIDs only")
        wrapper = limited(self.backend_class, id_form=form)
        rows = data.sample_rows().take(range(20))
        index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric)
        sent = [row_id for call in wrapper.calls("upsert") for row_id in call.arguments[0].ids]
        if form == "uuid":
            assert all(str(uuid.UUID(row_id)) == row_id for row_id in sent)
        else:
            assert sent == rows.ids
        assert index.ids().tolist() == sorted(rows.ids)
        self.assert_vectors(index.get_embeddings(sample_ids=rows.ids[5:9]), rows.ids[5:9], rows.vectors[5:9])
        view = index.use_view(sample_ids=rows.ids[:7])
        query = data.vectors(1, seed=74)[0]
        self.check_search(view, query, data.truth(query, rows.by_id(), self.metric, rows.ids[:7]), 5, ids=True)
        assert all(data.same_metadata(index.get_metadata()[i], m) for i, m in zip(rows.ids, rows.metadata, strict=True))
        assert index.remove_from_index(sample_ids=rows.ids[:3]) == 3
        assert index.add_to_index(**rows.columns(), on_existing="skip").skipped == 17

    @pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
    def test_lengths_come_back_from_engines_that_normalise(self, metric: Metric) -> None:
        """With ``normalises`` lengths are kept beside rows: vectors come back within 2 units in the last place.

        If this fails, check that the adapter stores the hidden field ``_vs_norm`` like others.
        """
        if metric not in self.capabilities.metrics:
            pytest.skip(f"{self.backend} declares no {metric}")
        wrapper = limited(self.backend_class, normalises=frozenset({metric}))
        rows = data.sample_rows().take(range(30))
        index = self.create(wrapper=wrapper, **rows.columns(), metric=metric)
        found = index.get_embeddings(sample_ids=rows.ids).embeddings
        assert data.ulps(found, rows.vectors) <= max(self.ulps, 2)
        assert data.same_metadata(index.get_metadata()[rows.ids[3]], rows.metadata[3])

    def test_distances_of_quantised_answers_are_true(self) -> None:
        """With ``true_distances=False`` the vectors of the hits are read, and the distances computed from them.

        If this fails, check ``true_distances``, and that search returns vectors where they are included.
        """
        wrapper = limited(self.backend_class, true_distances=False)
        rows = data.sample_rows().take(range(40))
        index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric)
        query = data.vectors(1, seed=75)[0]
        self.check_search(index, query, data.truth(query, rows.by_id(), self.metric), 10)
        assert all("vectors" in call.arguments[3] for call in wrapper.calls("search"))
        declared = recording(self.backend_class)
        index = self.create(wrapper=declared, **rows.columns(), metric=self.metric)
        index.search(query, 3, include=())
        asked = {"vectors" in call.arguments[3] for call in declared.calls("search")}
        assert asked == {not self.capabilities.true_distances}

    @pytest.mark.parametrize("exactness", ["always", "on_request", "never"])
    def test_exact_answers_are_asked_for_as_declared(self, exactness: Any) -> None:
        """``exact=True`` reaches the engine where it can; where it never can, it is a scan, by leave only.

        If this fails, check ``exactness``.
        """
        if exactness == "always" and self.capabilities.exactness != "always":
            pytest.skip(f"{self.backend} is not always exact")
        if exactness == "on_request" and self.capabilities.exactness == "never":
            pytest.skip(f"{self.backend} is never exact")
        wrapper = limited(self.backend_class, exactness=exactness, local=False)
        rows = data.sample_rows().take(range(40))
        index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric)
        query = data.vectors(1, seed=76)[0]
        expected = data.truth(query, rows.by_id(), self.metric)
        assert index.search(query, 5)[0].exact == (exactness == "always")
        assert not any(call.arguments[4] for call in wrapper.calls("search"))
        if exactness == "never":
            with pytest.raises(UnsupportedError, match="exact"):
                index.search(query, 5, exact=True)
            ranking = index.search(query, 5, exact=True, allow_scan=True)[0]
            assert wrapper.calls("scan")
        else:
            ranking = index.search(query, 5, exact=True)[0]
            assert wrapper.calls("search")[-1].arguments[4] == (exactness == "on_request")
        data.assert_ranking(ranking, expected, 5)
        assert ranking.exact

    def test_scans_need_leave_unless_the_rows_are_here(self) -> None:
        """``local``: a scan is an ordinary answer. Elsewhere it needs ``allow_scan``, as an argument or a setting.

        If this fails, check ``local``: true only where the rows lie in this process.
        """
        rows = data.sample_rows().take(range(20))
        queries = data.vectors(2, seed=77)
        for local in {self.capabilities.local, False}:
            wrapper = limited(self.backend_class, local=local)
            index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric)
            if local:
                index.sort_by_similarity(queries, 3, aggregation="post-max")
                continue
            with pytest.raises(UnsupportedError, match="allow_scan"):
                index.sort_by_similarity(queries, 3, aggregation="post-max")
            assert not wrapper.calls("scan", "search")
            assert len(index.sort_by_similarity(queries, 3, aggregation="post-max", allow_scan=True)) == 3
            allowed = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric, allow_scan=True)
            assert len(allowed.sort_by_similarity(queries, 3, aggregation="post-max")) == 3
            with pytest.raises(UnsupportedError):
                allowed.sort_by_similarity(queries, 3, aggregation="post-max", allow_scan=False)
