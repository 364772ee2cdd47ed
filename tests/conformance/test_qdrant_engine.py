"""Qdrant's own engine, the server's Rust code as a library, keeps the contract behind the stand-in's REST API.

Its answers are approximate, from real graphs; filters, scores, unit vectors and quantised vectors are its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

import pytest
from engines import require

require("qdrant")
pytest.importorskip("qdrant_edge")
sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))

import numpy as np
from qdrant_engine import EngineStore

import vecsearch
from vecsearch.testing import IndexConformance
from vecsearch.testing.standins.qdrant import QdrantStandIn


def engine():
    store = EngineStore()
    return QdrantStandIn(store), store


@pytest.mark.slow
class TestInTheEngine(IndexConformance):
    backend = "qdrant"
    more: ClassVar = {"search_params": {"hnsw_ef": 256}}
    """A graph of these few, scattered rows misses the nearest now and then, unless it is searched widely."""
    recall = 0.5  # threads build the graph in another order each time; what is asked for exactly is compared row by row

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls):
        server, store = engine()
        with server:
            cls.server = server
            yield
        store.close()

    def settings(self, tmp_path):
        return {"url": self.server.url, **self.more}

    def back_door(self, index):
        points, _ = index.client.scroll(index.config.index_name, limit=10_000, with_vectors=True)
        return {
            point.id: (np.float32(point.vector), {n: v for n, v in point.payload.items() if n != "_vs_document"})
            for point in points
        }


@pytest.mark.slow
class TestQuantisedInTheEngine(TestInTheEngine):
    more: ClassVar = {
        "quantization_config": {"scalar": {"type": "int8"}},
        "search_params": {"hnsw_ef": 256, "quantization": {"rescore": True, "oversampling": 16.0}},
    }


def test_graphs_and_quantised_vectors_are_at_work():
    """Else the suite above would prove no more than a scan; asked for exactly, the same rows as by brute force."""
    server, store = engine()
    vectors = np.random.default_rng(0).standard_normal((3000, 32)).astype(np.float32)
    ids = [str(number) for number in range(3000)]
    with server:
        for quantised in (False, True):
            more = {"quantization_config": {"scalar": {"type": "int8"}}} if quantised else {}
            index = vecsearch.compute_similarity(
                embeddings=vectors, sample_ids=ids, metric="euclidean", backend="qdrant", url=server.url, **more
            )
            assert store.indexed(index.config.index_name) == 3000
            true = np.linalg.norm(vectors[:20, None].astype(float) - vectors[None], axis=2)
            best = np.sort(true, axis=1)[:, :10]
            exact = index.search(vectors[:20], 10, exact=True)
            np.testing.assert_allclose([r.distances for r in exact], best, rtol=1e-5, atol=1e-3)
            hurried = index.search(vectors[:20], 10, params={"hnsw_ef": 10, "quantization": {"rescore": False}})
            shares = [len(set(a.ids) & set(b.ids)) / 10 for a, b in zip(exact, hurried, strict=True)]
            assert 0.3 < np.mean(shares) < 1.0
            for row, ranking in enumerate(hurried):  # fewer of the nearest, but their distances are true
                positions = [int(row_id) for row_id in ranking.ids]
                np.testing.assert_allclose(ranking.distances, true[row, positions], rtol=1e-4, atol=1e-3)
            assert index.measure_recall(queries=30, k=10).recall > 0.5
            index.close()
    store.close()
