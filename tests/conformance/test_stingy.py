"""Engines that can do little, and check that they are never asked for more: every plan of vecsearch is taken."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest

from vecsearch import registry
from vecsearch.backends.base import FILTER_OPERATORS, METRICS, Capabilities, Names, Score
from vecsearch.backends.sklearn import SklearnBackend
from vecsearch.core import cross_distances
from vecsearch.filters import OPPOSITES, And, Condition, Not, Or, conditions, fold, normal_form, operators
from vecsearch.testing import IndexConformance
from vecsearch.testing.wrappers import WrappedBackend


class StingyBackend(WrappedBackend, inner=SklearnBackend):
    """Few rows, few ids, few operators, unit vectors, UUIDs, floats for numbers; approximate, with rounded scores."""

    name = "stingy"
    capabilities = Capabilities(
        metrics={"cosine": Score.SIMILARITY, "euclidean": Score.SQUARED, "dotproduct": Score.SIMILARITY},
        exactness="on_request",
        true_distances=False,
        filter_operators=frozenset({"eq", "in", "gt", "gte", "lt", "lte"}),
        filters_in=frozenset({"search"}),
        max_k=30,
        max_filter_ids=11,
        batch_rows=13,
        batch_bytes=1 << 17,
        metadata_types=frozenset({"str", "float", "bool"}),
        max_int=2**53,
        id_form="uuid",
        zero_vectors=False,
        normalises=frozenset({"cosine"}),
        max_hits=60,
        row_bytes=1 << 16,
        index_names=Names(characters="a-z0-9-", first="a-z", longest=45),
        thread_safe=False,
        local=False,
        durable=False,
        dims=(2, 4096),
    )

    def _is_kept(self, promise, what=""):
        if not promise:
            raise AssertionError(f"a promise of vecsearch to backends is broken: {what}")

    def _ids(self, ids):
        self._is_kept(1 <= len(ids) <= 13 and len(set(ids)) == len(ids), "between 1 and batch_rows unique ids")
        self._is_kept(all(str(uuid.UUID(i)) == i for i in ids), "UUIDs")

    def _where(self, where):
        if where is None:
            return
        self._is_kept(where.ids is None or 1 <= len(where.ids) <= 11, "max_filter_ids")
        if where.filter is not None:
            self._is_kept(operators(where.filter) <= self.capabilities.filter_operators, "filter_operators")
            kinds = {type(value) for leaf in conditions(where.filter) for value in leaf.members}
            self._is_kept(kinds <= {str, float, int, bool}, "metadata_types")

    def upsert(self, rows):
        self._ids(rows.ids)
        vectors = rows.vectors
        self._is_kept(vectors.dtype == np.float32 and vectors.flags.c_contiguous, "float32, C-contiguous")
        self._is_kept(vectors.shape == (len(rows), self.spec.dim) and vectors.any(axis=1).all(), "shape, no zeros")
        values = [value for row in rows.fields for value in row.values()]
        self._is_kept({type(v) for v in values} <= {str, float, bool, int}, "metadata_types")
        self._is_kept(all(abs(v) < 2**63 for v in values if type(v) is int), "int64")
        if self.spec.metric == "cosine":
            rows = replace(rows, vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        # Numbers are floats here, as in engines that know only those.
        fields = [{name: float(v) if type(v) is int else v for name, v in row.items()} for row in rows.fields]
        super().upsert(replace(rows, fields=fields))

    def delete(self, ids):
        self._ids(ids)
        super().delete(ids)

    def fetch(self, ids, include):
        self._ids(ids)
        found = super().fetch(ids, include)
        return found.take(range(len(found))[::-1])

    def search(self, queries, k, where, *, include, exact, params):
        self._is_kept(1 <= k <= 30 and len(queries) >= 1, "max_k")
        self._is_kept(len(queries) == 1 or len(queries) * k <= 60, "max_hits")
        self._is_kept(len(queries) == 1 or queries.nbytes <= 1 << 17, "batch_bytes")
        self._is_kept(queries.dtype == np.float32 and queries.flags.c_contiguous, "float32, C-contiguous")
        self._where(where)
        hits = super().search(queries, k, where, include=include | {"vectors"}, exact=exact, params=params)
        metric = self.spec.metric
        for number, rows in enumerate(hits.rows):
            if not exact and k > 20:  # an index that finds most of them
                rows = hits.rows[number] = rows.take(range(len(rows)))  # noqa: PLW2901
            distances = cross_distances(queries[[number]], rows.vectors, metric)[0] if len(rows) else np.empty(0)
            scores = {"cosine": 1 - distances, "euclidean": distances**2, "dotproduct": -distances}[metric]
            hits.scores[number] = scores.astype(np.float16)
        return hits

    def scan(self, batch_rows, include, where=None):
        self._is_kept(where is None, "filters_in")
        return super().scan(batch_rows, include)

    def matrix(self):
        return None  # unit vectors under UUIDs are not what the user put

    def count(self, where=None):
        self._is_kept(where is None, "filters_in")
        return super().count()


class LooseBackend(WrappedBackend, inner=SklearnBackend):
    """Has no ``exists``, and most comparisons hold of missing fields and of other kinds, as in some engines."""

    name = "loose"
    capabilities = replace(
        SklearnBackend.capabilities,
        filter_operators=FILTER_OPERATORS - {"exists"},
        strict_operators=frozenset({"eq", "lt"}),
        local=False,
    )

    def _loosened(self, leaf):
        if leaf.field == "_vs_fields" or leaf.op == "contains":
            assert leaf.op == "contains"
        else:
            assert not leaf.negated
            assert leaf.op != "exists"
        if leaf.op in ("eq", "lt") or leaf.field == "_vs_fields":
            return leaf
        if leaf.op == "contains":
            return Or((leaf, Not(Condition("_vs_fields", "contains", f"{leaf.field}:list"))))
        return Or((leaf, Not(Or((leaf, replace(leaf, op=OPPOSITES[leaf.op]))))))

    def _where(self, where):
        if where is None or where.filter is None:
            return where
        return replace(where, filter=normal_form(fold(where.filter, leaf=self._loosened, every=And, some=Or)))

    def search(self, queries, k, where, **named):
        return super().search(queries, k, self._where(where), **named)

    def scan(self, batch_rows, include, where=None):
        return super().scan(batch_rows, include, self._where(where))

    def count(self, where=None):
        return super().count(self._where(where))


class SavedInAFolder(IndexConformance):
    """The hooks of wrappers of the embedded backend."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _known(cls):
        with registry.registered(cls.backend, cls.wrapper):
            yield

    def settings(self, tmp_path):
        return {"path": str(tmp_path / "index")}

    def back_door(self, index):
        index.save()
        peek = SklearnBackend(SklearnBackend.Config(path=index.config.path))
        peek.describe()
        rows = next(iter(peek.scan(10**6, frozenset({"vectors", "fields"}))))
        peek.close()
        return {i: (v, f) for i, v, f in zip(rows.ids, rows.vectors, rows.fields, strict=True)}


class TestStingy(SavedInAFolder):
    backend = "stingy"
    wrapper = StingyBackend


class TestLoose(SavedInAFolder):
    backend = "loose"
    wrapper = LooseBackend


def test_all_metrics_are_tried():
    assert set(StingyBackend.capabilities.metrics) == set(METRICS)
