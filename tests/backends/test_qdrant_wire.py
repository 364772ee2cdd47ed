"""What goes over Qdrant's wires: options as they were given, writes that wait, exactness, quantisation, indexes."""

from __future__ import annotations

import warnings

import pytest
from engines import require

require("qdrant")

import numpy as np
from qdrant_client import QdrantClient, models

import vecsearch
from vecsearch import ConfigError, F, InvalidInputError, UnsupportedError
from vecsearch.testing.standins.qdrant import QdrantStandIn
from vecsearch.testing.standins.qdrant_grpc import QdrantGrpcStandIn

VECTORS = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
IDS = [f"row {number}" for number in range(30)]
METADATA = [{"number": number, "name": f"n{number % 3}"} for number in range(30)]


@pytest.fixture
def server():
    with QdrantStandIn() as started:
        yield started


@pytest.fixture(params=["rest", "grpc"])
def wire(request):
    """The settings of a server on either wire, and the collections behind it."""
    if request.param == "rest":
        with QdrantStandIn() as started:
            yield {"url": started.url}, started.store
    else:
        with QdrantGrpcStandIn() as started:
            yield {"host": "127.0.0.1", "grpc_port": started.port, "prefer_grpc": True}, started.store


def created(settings, **more):
    return vecsearch.compute_similarity(
        embeddings=VECTORS, sample_ids=IDS, metadata=METADATA, backend="qdrant", **settings, **more
    )


def bodies(server, method, *path):
    return [r.json() for r in server.requests if r.method == method and r.path[2:] == path]


OPTIONS = {
    "hnsw_config": {"m": 24, "ef_construct": 200},
    "optimizers_config": {"indexing_threshold": 5000},
    "wal_config": {"wal_capacity_mb": 16},
    "quantization_config": {"scalar": {"type": "int8", "quantile": 0.75, "always_ram": True}},
    "shard_number": 2,
    "replication_factor": 2,
    "write_consistency_factor": 2,
    "on_disk_payload": True,
    "on_disk": True,
}


def test_options_of_a_new_collection_arrive(wire):
    settings, store = wire
    index = created(settings, **OPTIONS, collection_name="photos", payload_indexes={"number": "integer"})
    asked = store.created["photos"].model_dump(mode="json", exclude_none=True)
    assert asked["vectors"] == {"size": 8, "distance": "Cosine", "on_disk": True}
    for name, value in OPTIONS.items():
        if name != "on_disk":
            assert asked[name] == value, name
    assert store.indexes["photos"] == {"number": models.PayloadSchemaType.INTEGER}
    assert index.config.index_name == "photos"
    index.close()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"hnsw_config": {"M": 16}}, "hnsw_config"),
        ({"hnsw_config": {"m": "many"}}, "hnsw_config"),
        ({"optimizers_config": {"threshold": 1}}, "optimizers_config"),
        ({"quantization_config": {"scalar": {"type": "int7"}}}, "quantization_config"),
        ({"shard_number": 0}, "shard_number"),
        ({"payload_indexes": {"number": "whatever"}}, "payload_indexes"),
        ({"client": "http://localhost:6333"}, "QdrantClient"),
        ({"path": "folder"}, "one of url, host and path"),
        ({"host": "localhost"}, "one of url, host and path"),
        ({"colection_name": "x"}, "collection_name"),
        ({"index_name": "a/b"}, "would do"),
        ({"index_name": ".."}, "would do"),
        ({"search_params": {"ef": 10}}, "hnsw_ef"),
    ],
)
def test_settings_that_are_wrong_are_refused_before_any_call(server, settings, word):
    with pytest.raises((ConfigError, InvalidInputError), match=word):
        created({"url": server.url, **settings})
    assert server.requests == []


def test_writes_wait_until_they_are_applied(server):
    index = created({"url": server.url})
    index.remove_from_index(sample_ids=IDS[:2])
    writes = [r for r in server.requests if r.path[2:] in (("points",), ("points", "delete")) and r.method != "GET"]
    assert [r.query.get("wait") for r in writes if r.method == "PUT" or r.path[-1] == "delete"] == ["true", "true"]
    index.close()


def test_search_parameters_and_exactness_arrive(server):
    index = created({"url": server.url, "search_params": {"hnsw_ef": 99}})
    index.search(VECTORS[:2], 3)
    index.search(VECTORS[0], 3, exact=True, params={"hnsw_ef": 7, "quantization": {"rescore": True}})
    first, second = bodies(server, "POST", "points", "query", "batch")
    assert [one["params"] for one in first["searches"]] == [{"hnsw_ef": 99, "exact": False}] * 2
    (one,) = second["searches"]
    assert one["params"]["exact"] is True
    assert one["params"]["hnsw_ef"] == 7
    assert one["params"]["quantization"]["ignore"] is True
    index.close()


def test_search_parameters_that_are_wrong_are_refused_before_any_call(server):
    index = created({"url": server.url})
    before = len(server.requests)
    for params, word in (
        ({"hnsw_ef": "many"}, "hnsw_ef"),
        ({"quantization": {"rescoring": True}}, "rescoring"),
        ({"ef": 10}, "'ef'"),
        ({"exact": True}, "'exact'"),
    ):
        with pytest.raises(InvalidInputError, match=word):
            index.search(VECTORS[0], 3, params=params)
    assert len(server.requests) == before
    index.close()


def test_distances_of_a_quantised_collection_come_from_its_vectors(server):
    index = created({"url": server.url}, metric="euclidean", quantization_config=OPTIONS["quantization_config"])
    assert not index.capabilities.true_distances
    ranking = index.search(VECTORS[3], 5)[0]
    true = np.sort(np.linalg.norm(VECTORS.astype(float) - VECTORS[3], axis=1))[:5]
    np.testing.assert_allclose(ranking.distances, true, rtol=1e-5, atol=1e-6)
    (search,) = bodies(server, "POST", "points", "query", "batch")
    assert all(one["with_vector"] is True for one in search["searches"])
    name = index.config.index_name
    index.close()
    again = vecsearch.connect(name, backend="qdrant", url=server.url)
    assert not again.capabilities.true_distances
    again.close()


def test_only_what_is_needed_of_the_payload_is_sent(server):
    index = created({"url": server.url}, documents=["a text"] * 30)
    index.search(VECTORS[0], 3, include=())
    index.search(VECTORS[0], 3, include=("documents",))
    first, second = bodies(server, "POST", "points", "query", "batch")
    assert first["searches"][0]["with_payload"] == {"exclude": ["_vs_document"]}  # the ids are in it
    assert second["searches"][0]["with_payload"] is True
    index.close()


def test_a_filter_is_data(server):
    index = created({"url": server.url})
    index.search(VECTORS[0], 3, filter=(F("name") == "n1") & ~(F("number") > 20))
    (search,) = bodies(server, "POST", "points", "query", "batch")
    text = str(search["searches"][0]["filter"])
    assert "'n1'" in text
    assert "'gt': 20.0" in text
    index.close()


def test_a_server_that_keeps_no_metadata_is_refused(wire):
    settings, store = wire
    store.keeps_metadata = False
    with pytest.raises(UnsupportedError, match=r"1\.16"):
        created(settings, collection_name="photos")
    assert not store.exists("photos")


@pytest.mark.parametrize("kind", ["memory", "folder", "server"])
def test_a_client_that_was_given_is_used_and_stays_open(kind, server, tmp_path):
    if kind == "server":
        client = QdrantClient(url=server.url, check_compatibility=False)
    else:
        client = QdrantClient(":memory:") if kind == "memory" else QdrantClient(path=str(tmp_path / "folder"))
    one = created({"client": client}, collection_name="one", metric="dotproduct")
    two = created({"client": client}, collection_name="two")
    assert one.client is client
    one.close()
    assert len(two) == 30
    two.close()
    assert client.count("one").count == 30
    again = vecsearch.connect("one", backend="qdrant", client=client)
    assert (again.metric, again.dim, len(again)) == ("dotproduct", 8, 30)
    again.cleanup()
    again.close()
    assert not client.collection_exists("one")
    client.close()


def test_a_given_client_is_in_no_record(server):
    client = QdrantClient(url=server.url, check_compatibility=False)
    index = created({"client": client}, key="photos")
    assert set(vecsearch.get_run_info("photos").settings) == {"index_name"}
    index.close()
    again = vecsearch.load_run("photos", client=client)
    assert len(again) == 30
    again.close()
    client.close()


def test_the_key_of_the_server_is_sent_and_shown_nowhere(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client's own, about keys that are not encrypted
        with QdrantStandIn(api_key="s3cret-key") as server:
            index = created({"url": server.url, "api_key": "s3cret-key", "https": False}, key="secretive")
            assert server.requests[0].headers["api-key"] == "s3cret-key"
            assert "s3cret" not in repr(index.config) + repr(index) + str(vecsearch.get_run_info("secretive"))
            index.close()


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
def test_both_wires_give_the_same_answers(metric):
    with QdrantStandIn() as rest, QdrantGrpcStandIn(rest.store) as grpc:
        index = created({"url": rest.url}, metric=metric, collection_name="shared")
        other = vecsearch.connect("shared", backend="qdrant", host="127.0.0.1", grpc_port=grpc.port, prefer_grpc=True)
        one, two = (i.search(VECTORS[:4], 7, filter=F("number") < 20) for i in (index, other))
        for a, b in zip(one, two, strict=True):
            assert a.ids.tolist() == b.ids.tolist()
            np.testing.assert_allclose(a.distances, b.distances, atol=1e-6)
            assert a.metadata == b.metadata
        assert {"QueryBatch", "Get"} <= set(grpc.calls)
        index.close()
        other.close()
