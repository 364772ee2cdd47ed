"""Indexes that others made are read, and not written to; the reason is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
from engines import require

require("mosaic")

import vecsearch
from vecsearch import F
from vecsearch.errors import InvalidInputError, UnsupportedError
from vecsearch.testing.standins.mosaic import MosaicStandIn

VECTORS = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
COLUMNS = {
    "id": "string",
    "vector": "array<float>",
    "year": "long",
    "title": "string",
    "price": "double",
    "sold": "boolean",
    "made in": "string",
}


def rows(key="id"):
    return [
        {
            key: f"r{n:02d}" if key == "id" else n,
            "vector": VECTORS[n],
            "year": 2000 + n,
            "title": None if n == 3 else f"title {n % 3}",
            "price": n / 4,
            "sold": n % 2 == 0,
            "made in": "Zürich",
        }
        for n in range(30)
    ]


@pytest.fixture(params=["STANDARD", "STORAGE_OPTIMIZED"])
def server(request):
    with MosaicStandIn(endpoint_type=request.param) as started:
        yield started


def connected(server, name="synced", **more):
    return vecsearch.connect(name, backend="mosaic", **{**server.settings(), "endpoint_name": None, **more})


@pytest.mark.parametrize("says_columns", [True, False])
def test_a_delta_sync_index_is_read(server, says_columns):
    server.add_delta_sync("main.default.synced", COLUMNS, rows(), dim=4, says_columns=says_columns)
    with connected(server) as index:
        assert (index.dim, index.metric, len(index)) == (4, "euclidean", 30)
        true = np.linalg.norm(VECTORS.astype(np.float64) - VECTORS[7], axis=1)
        ranking = index.search(VECTORS[7], 5)[0]
        assert ranking.ids.tolist() == [f"r{n:02d}" for n in np.argsort(true)[:5]]
        assert np.allclose(ranking.distances, np.sort(true)[:5], rtol=1e-5, atol=1e-6)
        assert ranking.metadata[0] == {
            "year": 2007,
            "title": "title 1",
            "price": 1.75,
            "sold": False,
            "made in": "Zürich",
        }
        assert index.get_metadata(sample_ids=["r03"]) == {
            "r03": {"year": 2003, "price": 0.75, "sold": False, "made in": "Zürich"}
        }
        held = index.get_embeddings(sample_ids=["r29", "r00"])
        assert np.array_equal(held.embeddings, VECTORS[[29, 0]])
        assert index.contains(["r01", "nobody"]).tolist() == [True, False]


def test_its_columns_are_filtered_by(server):
    server.add_delta_sync("main.default.synced", COLUMNS, rows(), dim=4)
    with connected(server) as index:
        for tree, holds in (
            (F("year") >= 2027, {27, 28, 29}),
            ((F("title") == "title 1") & (F("year") < 2006), {1, 4}),
            (F("sold").is_in([True]) & (F("price") <= 1.0), {0, 2, 4}),
            (F("price") == 0.25, {1}),
        ):
            assert set(index.search(VECTORS[0], len(holds), filter=tree)[0].ids) == {f"r{n:02d}" for n in holds}
        assert not server.asked("scan")
        # What a column's nulls make of these is not known, and its rows do not say.
        for tree in (F("title") != "title 1", ~(F("year") > 2010), F("title").exists(), F("nothing") == 1):
            with pytest.raises(UnsupportedError):
                index.search(VECTORS[0], 3, filter=tree)
        assert index.count(F("title") != "title 1", allow_scan=True) == 19
        assert index.count(~F("title").exists(), allow_scan=True) == 1


def test_writes_are_refused_with_the_reason(server):
    server.add_delta_sync("main.default.synced", COLUMNS, rows(), dim=4)
    with connected(server) as index:
        before = len(server.requests)
        with pytest.raises(vecsearch.VecsearchError, match="Delta Sync index: write to its source table"):
            index.add_to_index(VECTORS[:1], ["new"])
        with pytest.raises(UnsupportedError, match="Delta Sync index: write to its source table"):
            index.remove_from_index(sample_ids=["r00"])
        written = [server.route_name(request) for request in server.requests[before:]]
        assert not {"upsert", "delete"} & set(written)
        assert len(index) == 30


def test_keys_that_are_numbers(server):
    columns = {("key" if name == "id" else name): held for name, held in COLUMNS.items()} | {"key": "long"}
    server.add_delta_sync("main.default.synced", columns, rows("key"), key="key", dim=4)
    with connected(server) as index:
        assert index.search(VECTORS[4], 1)[0].ids.tolist() == ["4"]
        assert index.get_embeddings(sample_ids=["5", "0"]).sample_ids.tolist() == ["5", "0"]
        assert index.contains(["5", "05", "x", "-1"]).tolist() == [True, False, False, False]
        assert sorted(map(int, index.ids())) == list(range(30))
        assert index.use_view(sample_ids=["1", "2", "x"]).search(VECTORS[2], 2)[0].ids.tolist() == ["2", "1"]


def test_what_cannot_be_read_is_refused(server):
    index = server.add_delta_sync("main.default.synced", COLUMNS, rows(), dim=4)
    index.vector = ""  # as where Databricks computes the vectors
    with pytest.raises(UnsupportedError, match="no single column of vectors"):
        connected(server)


def test_metric_and_width_of_an_existing_index_decide(server):
    server.add_delta_sync("main.default.synced", COLUMNS, rows(), dim=4)
    settings = {"backend": "mosaic", "embeddings": False, "index_name": "synced", **server.settings()}
    with pytest.raises(InvalidInputError, match="euclidean"):
        vecsearch.compute_similarity(**settings)
    with pytest.raises(InvalidInputError, match="dim=4"):
        vecsearch.compute_similarity(**settings, metric="euclidean", dim=5)
    with vecsearch.compute_similarity(**settings, metric="euclidean") as index:
        assert len(index) == 30


def test_a_direct_access_index_of_others_is_read(server):
    with vecsearch.compute_similarity(backend="mosaic", dim=4, embeddings=False, **server.settings()) as made:
        api = made.client.vector_search_indexes
        from databricks.sdk.service import vectorsearch

        spec = vectorsearch.DirectAccessVectorIndexSpec(
            embedding_vector_columns=[vectorsearch.EmbeddingVectorColumn(name="vector", embedding_dimension=4)],
            schema_json=json.dumps(COLUMNS),
        )
        kind = vectorsearch.VectorIndexType.DIRECT_ACCESS
        api.create_index("main.default.theirs", "stand-in", "id", kind, direct_access_index_spec=spec)
        held = [{**row, "vector": row["vector"].tolist()} for row in rows()]
        api.upsert_data_vector_index("main.default.theirs", json.dumps(held))
    with connected(server, "theirs") as index:
        assert index.search(VECTORS[2], 1)[0].ids.tolist() == ["r02"]
        with pytest.raises(vecsearch.VecsearchError, match="not made by vecsearch"):
            index.add_to_index(VECTORS[:1], ["new"])


def test_ours_is_ours_again(server):
    fields = {"year": "int", "taken": "datetime"}
    made = vecsearch.compute_similarity(
        embeddings=VECTORS,
        sample_ids=[f"r{n}" for n in range(30)],
        metadata=[{"year": n, "other": [str(n)]} for n in range(30)],
        backend="mosaic",
        index_name="ours",
        metadata_schema=fields,
        **server.settings(),
    )
    made.close()
    # What can be filtered by is read from the index, not from the settings.
    with connected(server, "ours") as index:
        assert (index.dim, index.metric) == (4, "cosine")
        assert index.capabilities.filter_fields == {"year": "number", "taken": "datetime"}
        assert set(index.search(VECTORS[0], 2, filter=F("year") < 2)[0].ids) == {"r0", "r1"}
        index.add_to_index(VECTORS[:1], ["more"], metadata=[{"year": 5}])
        assert len(index) == 31
