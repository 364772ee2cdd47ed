"""What only a real Milvus server shows: consistency, sealed segments, selectivity. ``nox -s tests-milvus-server``."""

from __future__ import annotations

import time

import pytest
from engines import require

require("milvus")

import numpy as np

import vecsearch
from vecsearch import F
from vecsearch.testing import own_server

SLOW = ("FLAT", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "SCANN", "AUTOINDEX")
pytestmark = pytest.mark.skipif(not own_server("milvus"), reason="VECSEARCH_TEST_MILVUS_URI names no server")
ROWS, DIM = 6000, 32
METRICS = ("cosine", "euclidean", "dotproduct")


def content():
    rng = np.random.default_rng(3)
    basis = rng.standard_normal((6, DIM))  # few directions, as embeddings have: a graph finds its way
    return (rng.standard_normal((ROWS, 6)) @ basis + 0.1 * rng.standard_normal((ROWS, DIM))).astype(np.float32)


def created(**settings):
    arguments = {
        "embeddings": content(),
        "sample_ids": [f"{number:04d}" for number in range(ROWS)],
        "metadata": [{"share": number % 1000, "big": 2**53 + number, "half": number / 2} for number in range(ROWS)],
        "backend": "milvus",
    }
    return vecsearch.compute_similarity(**{**arguments, **own_server("milvus"), **settings})


def sealed(index):
    """The rows in sealed segments, with the index built: what lies in a growing segment is searched without it."""
    name = index.config.index_name
    index.client.flush(name)
    deadline = time.monotonic() + 60
    while index.client.describe_index(name, "_vs_vector")["pending_index_rows"] and time.monotonic() < deadline:
        time.sleep(0.5)
    index.client.release_collection(name)
    index.client.load_collection(name)


def test_a_vector_that_lies_in_an_index_comes_back_as_it_was_put():
    vectors = content()
    for kind in ("HNSW", "IVF_FLAT", "IVF_SQ8"):
        index = created(metric="cosine", index_type=kind)
        sealed(index)
        ids = [f"{number:04d}" for number in range(0, ROWS, 37)]
        assert np.array_equal(index.get_embeddings(sample_ids=ids).embeddings, vectors[::37])
        index.cleanup()
        index.close()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "kind",
    ["HNSW", *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)],
)
def test_filtered_searches_are_complete_at_every_selectivity(kind, metric):
    more = {"index_params": {"m": 8, "nbits": 8}} if kind == "IVF_PQ" else {}
    index = created(metric=metric, index_type=kind, **more)
    sealed(index)
    vectors = content()
    for most, rows in ((500, 3000), (100, 600), (10, 60), (1, 6), (0, 0)):
        found = index.search(vectors[5], 50, filter=F("share") < most)[0]
        assert len(found) == min(50, rows), (kind, most)
    one = index.search(vectors[5], 50, filter=(F("share") == 5) & (F("half") < 3))[0]
    assert one.ids.tolist() == ["0005"]
    exact = index.search(vectors[5], 10, exact=True, allow_scan=True)[0]
    chosen = index.search(vectors[5], 10)[0]
    if kind in ("FLAT", "HNSW"):
        assert np.isin(chosen.ids, exact.ids).mean() >= 0.8
        assert np.allclose(np.sort(chosen.distances)[:5], np.sort(exact.distances)[:5], rtol=1e-3, atol=1e-4)
    index.cleanup()
    index.close()


def test_everything_is_scanned_across_segments():
    index = created(metric="euclidean")
    sealed(index)
    index.add_to_index(content()[:500], [f"new {number}" for number in range(500)])
    index.remove_from_index(sample_ids=[f"{number:04d}" for number in range(0, 1000, 2)])
    found = [row_id for _, ids, _ in index.iter_embeddings(batch_size=300) for row_id in ids]
    assert len(found) == len(set(found)) == ROWS == len(index)
    index.cleanup()
    index.close()


@pytest.mark.parametrize("level", ["Strong", "Session", "Bounded", "Eventually"])
def test_a_write_that_was_waited_for_is_seen(level):
    index = created(metric="euclidean", consistency_level=level)
    vectors = content()
    for number in range(5):
        index.add_to_index(vectors[number : number + 1] + 100, [f"new {number}"], metadata=[{"round": number}])
        assert index.search(vectors[number] + 100, 1)[0].ids.tolist() == [f"new {number}"]
        assert index.count(F("round") == number) == 1
        assert index.remove_from_index(sample_ids=[f"new {number}"]) == 1
        assert not index.contains([f"new {number}"])[0]
        assert len(index) == ROWS
    index.cleanup()
    index.close()


def test_a_view_of_many_ids():
    index = created(metric="euclidean")
    view = index.use_view(
        sample_ids=[f"{number:04d}" for number in range(0, ROWS, 2)] + [f"no {n}" for n in range(97_000)]
    )
    assert len(view) == ROWS // 2
    found = view.search(content()[7], 20)[0]
    assert len(found) == 20
    assert all(int(row_id) % 2 == 0 for row_id in found.ids)
    index.cleanup()
    index.close()
