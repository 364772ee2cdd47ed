"""Any sequence of calls leaves an index and a dict in agreement: hypothesis looks for one that does not."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import vecsearch
from vecsearch import ExistingIdsError, F, MissingIdsError, registry
from vecsearch.filters import predicate
from vecsearch.testing.suite import data

DIM = 4
IDS = st.sampled_from(["a", "b", "c", "d'", "é", "f\n", "g" * 300, "7"])
SOME_IDS = st.lists(IDS, max_size=6)
ROW_IDS = st.lists(IDS, min_size=1, max_size=6, unique=True)
VALUES = st.one_of(
    st.sampled_from(["", "x", "y", "'"]),
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, -2.0]),
    st.booleans(),
    st.sampled_from([["x"], [], ["x", "y"]]),
    st.sampled_from([0, 1]).map(lambda days: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)),
)
METADATA = st.dictionaries(st.sampled_from(["p", "q"]), VALUES, max_size=2)
SCALARS = st.one_of(st.sampled_from(["x", ""]), st.integers(-2, 2), st.sampled_from([0.5, 1.0]), st.booleans())
LEAVES = st.one_of(
    st.builds(lambda name, value: F(name) == value, st.sampled_from("pq"), SCALARS),
    st.builds(lambda name, value: F(name) != value, st.sampled_from("pq"), SCALARS),
    st.builds(lambda name, value: F(name) >= value, st.sampled_from("pq"), st.sampled_from(["x", 0, 0.5])),
    st.builds(lambda name, values: F(name).is_in(values), st.sampled_from("pq"), st.lists(SCALARS, max_size=3)),
    st.builds(lambda name: F(name).contains("x"), st.sampled_from("pq")),
    st.builds(lambda name: F(name).exists(), st.sampled_from("pq")),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda a: ~a),
    ),
    max_leaves=4,
)
# Whole numbers: equal distances are common, and the same in any arithmetic.
VECTORS = st.lists(st.integers(-2, 2), min_size=DIM, max_size=DIM)


class Model(RuleBasedStateMachine):
    """One index, and ``{id: (vector, metadata, document)}``."""

    backend = ""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="vecsearch-stateful-"))
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("VECSEARCH_HOME", str(self.folder))
        self.rows = {}

    @initialize(metric=st.sampled_from(["euclidean", "dotproduct"]), batch_rows=st.sampled_from([1, 2, 100]))
    def create(self, metric, batch_rows):
        self.metric = metric
        self.index = vecsearch.compute_similarity(
            embeddings=False, dim=DIM, metric=metric, key="it", backend=self.backend, batch_rows=batch_rows
        )

    @rule(ids=ROW_IDS, content=st.data(), on_existing=st.sampled_from(["overwrite", "skip", "raise"]))
    def add(self, ids, content, on_existing):
        vectors = [content.draw(VECTORS) for _ in ids]
        metadata = [content.draw(METADATA) for _ in ids]
        documents = [content.draw(st.sampled_from([None, "", "text"])) for _ in ids]
        existing = [row_id for row_id in ids if row_id in self.rows]
        call = (vectors, ids, None, metadata, documents)
        if on_existing == "raise" and existing:
            with pytest.raises(ExistingIdsError) as caught:
                self.index.add_to_index(*call, on_existing=on_existing)
            assert caught.value.ids == existing
            return
        receipt = self.index.add_to_index(*call, on_existing=on_existing)
        new = [p for p, row_id in enumerate(ids) if on_existing != "skip" or row_id not in self.rows]
        assert (receipt.written, receipt.skipped) == (len(new), len(ids) - len(new))
        self.rows.update({ids[p]: (np.float32(vectors[p]), metadata[p], documents[p]) for p in new})

    @rule(ids=SOME_IDS)
    def remove(self, ids):
        assert self.index.remove_from_index(sample_ids=ids) == len(set(ids) & set(self.rows))
        self.rows = {row_id: row for row_id, row in self.rows.items() if row_id not in ids}

    @rule(tree=FILTERS)
    def remove_by_filter(self, tree):
        gone = self.matching(tree)
        assert self.index.remove_from_index(filter=tree) == len(gone)
        self.rows = {row_id: row for row_id, row in self.rows.items() if row_id not in gone}

    @rule(ids=ROW_IDS, content=st.data(), mode=st.sampled_from(["merge", "replace"]))
    def set_metadata(self, ids, content, mode):
        metadata = [content.draw(METADATA) for _ in ids]
        if not set(ids) <= set(self.rows):
            with pytest.raises(MissingIdsError):
                self.index.set_metadata(metadata, ids, mode=mode)
            return
        assert self.index.set_metadata(metadata, ids, mode=mode) == len(ids)
        for row_id, new in zip(ids, metadata, strict=True):
            vector, old, document = self.rows[row_id]
            self.rows[row_id] = (vector, {**(old if mode == "merge" else {}), **new}, document)

    @rule(query=VECTORS, k=st.integers(1, 9), tree=st.none() | FILTERS, within=st.none() | SOME_IDS)
    def search(self, query, k, tree, within):
        target = self.index if within is None else self.index.use_view(sample_ids=within)
        scope = self.matching(tree) & set(self.rows if within is None else within)
        ranking = target.search(
            query, k, filter=tree, include=("metadata", "documents", "embeddings"), exact=True, allow_scan=True
        )[0]
        expected = data.truth(np.float64(query), {row_id: self.rows[row_id][0] for row_id in scope}, self.metric)
        data.assert_ranking(ranking, expected, k)
        order = sorted(expected, key=lambda row_id: (round(expected[row_id], 5), row_id))
        if len(order) > k:  # which of several rows at the k-th distance is the last is the engine's
            order = [row_id for row_id in order[:k] if round(expected[row_id], 5) < round(expected[order[k - 1]], 5)]
        assert ranking.ids.tolist()[: len(order)] == order
        for match, vector in zip(ranking, ranking.embeddings, strict=True):
            assert np.array_equal(vector, self.rows[match.id][0])
            assert data.same_metadata(match.metadata, self.rows[match.id][1])
            assert match.document == self.rows[match.id][2]

    @rule(tree=FILTERS)
    def count(self, tree):
        expected = self.matching(tree)
        assert self.index.count(tree, allow_scan=True) == len(expected)
        assert set(self.index.use_view(filter=tree).ids()) == expected

    @rule(ids=SOME_IDS)
    def get(self, ids):
        present = [row_id for row_id in ids if row_id in self.rows]
        found = self.index.get_embeddings(sample_ids=ids, on_missing="skip")
        assert found.sample_ids.tolist() == present
        assert all(np.array_equal(v, self.rows[i][0]) for v, i in zip(found.embeddings, present, strict=True))
        assert self.index.contains(ids).tolist() == [row_id in self.rows for row_id in ids]

    @rule(thresh=st.sampled_from([0, 1, 2]))
    def duplicates(self, thresh):
        if self.metric != "euclidean":
            return
        kept = []
        for row_id in sorted(self.rows):
            if all(((self.rows[row_id][0] - self.rows[other][0]) ** 2).sum() > thresh**2 for other in kept):
                kept.append(row_id)
        assert self.index.find_duplicates(thresh).unique_ids.tolist() == kept

    @rule()
    def save_and_open_again(self):
        self.index.save()
        self.index.close()
        self.index = vecsearch.load_run("it")

    @rule()
    def clear(self):
        assert self.index.clear() == len(self.rows)
        self.rows = {}

    @invariant()
    def the_same_rows(self):
        if not hasattr(self, "index"):
            return
        assert len(self.index) == len(self.rows)
        assert self.index.ids().tolist() == sorted(self.rows)
        found = self.index.get_metadata()
        assert all(data.same_metadata(found[row_id], row[1]) for row_id, row in self.rows.items())

    def matching(self, tree):
        holds = predicate(tree) if tree is not None else lambda _: True
        return {row_id for row_id, row in self.rows.items() if holds(row[1])}

    def teardown(self):
        if hasattr(self, "index"):
            self.index.save()
            self.index.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


def bounded(name, examples, steps=25):
    made = type(f"{name.title()}Model", (Model,), {"backend": name}).TestCase
    made.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize="CI" in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    return made


TestSklearn = bounded("sklearn", 40)
TestSQLite = bounded("sqlite", 15)
# The engines take some milliseconds a call: fewer examples, of fewer steps.
for _name, _examples in (("lancedb", 5), ("qdrant", 8), ("chroma", 5), ("milvus", 5)):
    if registry.is_installed(_name):
        globals()[f"Test{_name.title()}"] = bounded(_name, _examples, steps=12)
