"""What goes over the wire to Pinecone: sizes, ids, names, numbers; indexes that others made; pods; a flaky network."""

from __future__ import annotations

import itertools
import time

import pytest
from engines import require

require("pinecone")

import numpy as np
from pinecone import Pinecone

import vecsearch
from vecsearch import F
from vecsearch.errors import ConfigError, UnsupportedError
from vecsearch.testing.standins.faults import CUT, DROPPED, LOST, refused
from vecsearch.testing.standins.pinecone import MAX_RESULT_BYTES, PineconeStandIn

HOSTS = (f"127.0.2.{number}" for number in itertools.count(1))


@pytest.fixture
def server():
    with PineconeStandIn(next(HOSTS)) as started:
        yield started


def created(server, vectors, ids, **more):
    return vecsearch.compute_similarity(
        embeddings=vectors, sample_ids=ids, backend="pinecone", **server.settings(), **more
    )


def rows(count, dim, seed=0):
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def test_upserts_and_fetches_keep_to_the_sizes_of_requests(server):
    vectors, ids = rows(300, 1536), [f"{'long ' * 60}{number:03}" for number in range(300)]
    index = created(server, vectors, ids)
    sizes = [len(request.body) for request in server.asked("upsert")]
    assert len(sizes) > 3
    assert max(sizes) <= 2_000_000
    assert np.array_equal(index.get_embeddings(sample_ids=ids).embeddings, vectors)
    urls = [sum(len(name) + len(value) + 2 for name, value in request.pairs) for request in server.asked("fetch")]
    assert max(urls) < 4200
    assert max(len(request.pairs) for request in server.asked("fetch")) <= 101
    index.close()


def test_answers_that_would_be_too_large_are_read_in_pieces(server):
    vectors, ids = rows(400, 600), [str(number) for number in range(400)]
    texts = ["x" * 20_000] * 400
    index = created(server, vectors, ids, documents=texts, metric="euclidean")
    assert MAX_RESULT_BYTES < 400 * 20_000
    found = index.search(vectors[7], 400, include=("documents",))[0]
    assert found.ids[0] == "7"
    assert len(found) == 400
    assert found.documents == texts
    assert index.count(F("number").exists() | ~F("number").exists()) == 400
    index.close()


def test_reading_by_filter_asks_for_less_where_pages_are_too_large(server):
    vectors, ids = rows(400, 8), [str(number) for number in range(400)]
    index = created(
        server, vectors, ids, documents=["x" * 20_000] * 400, metadata=[{"parity": n % 2} for n in range(400)]
    )
    assert index.count(F("parity") >= 0) == 400
    assert len(server.asked("fetch by metadata")) > 3
    index.close()


def test_ids_are_text_of_any_kind(server):
    ids = ["plain", "50%", "%%", "%41", "a b", "Zürich", "東京" * 300, "🦊", "x" * 4096, "a\nb", "~!@#$^&*()"]
    index = created(server, rows(len(ids), 8), ids)
    held = server.indexes[index.config.index_name].namespaces["__default__"].seen()
    assert {"plain", "a b", "~!@#$^&*()", "Z%C3%BCrich", "50%25"} <= set(held)
    assert all(native.isascii() and len(native) <= 512 for native in held)
    assert index.ids().tolist() == sorted(ids)
    assert sorted(index.search(rows(1, 8)[0], 20, include=())[0].ids) == sorted(ids)
    assert sorted(index.use_view(sample_ids=ids[:7]).search(rows(1, 8)[0], 20)[0].ids) == sorted(ids[:7])
    assert index.remove_from_index(sample_ids=ids) == len(ids)
    assert not server.indexes[index.config.index_name].namespaces["__default__"].seen()
    index.close()


def test_listing_ids_reads_no_rows(server):
    index = created(server, rows(250, 8), [str(number) for number in range(250)])
    before = len(server.requests)
    assert len(index.ids()) == index.count() == 250
    assert {request.path[-1] for request in server.requests[before:]} == {"list"}
    index.close()


def test_numbers_and_names_come_back_as_they_were_put(server):
    metadata = [{"one": 1, "whole": 2.0, "count": 3, "big": 2**62, "flag": True, "tags": [], "Size_2": "x"}]
    index = created(server, rows(1, 8), ["a"], metadata=metadata)
    found = index.get_metadata()["a"]
    assert found == metadata[0]
    assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in metadata[0].items()}
    assert index.count(F("one") == 1) == index.count(F("count") > 2) == index.count(F("flag") == True) == 1  # noqa: E712
    assert index.count(F("flag") == 1) == index.count(~F("one").exists()) == 0
    index.close()


def test_a_row_that_pinecone_cannot_hold_is_refused(server):
    index = created(server, rows(1, 8), ["a"])
    many = {f"field_{number}": number for number in range(800)}
    before = len(server.asked("upsert"))
    with pytest.raises(UnsupportedError, match=r"'wide' have .* it holds 40000"):
        index.add_to_index(rows(1, 8), ["wide"], metadata=[many])
    assert len(server.asked("upsert")) == before
    index.close()


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
def test_an_index_that_others_made(server, metric):
    client = Pinecone(api_key="stand-in-key", host=server.url)
    client.indexes.create(
        name="theirs",
        schema={"fields": {"_values": {"type": "dense_vector", "dimension": 8, "metric": metric}}},
        timeout=-1,
    )
    vectors, ids = rows(20, 8), [f"50% {number:02}" for number in range(20)]
    data = client.index(host=client.indexes.describe("theirs").host)
    data.upsert(
        vectors=[
            {"id": row_id, "values": values, "metadata": {"year": 2000 + number, "genre": "x"}}
            for number, (row_id, values) in enumerate(zip(ids, vectors.tolist(), strict=True))
        ]
    )
    data.close()
    client.close()
    index = vecsearch.connect("theirs", backend="pinecone", **server.settings())
    assert (index.dim, index.metric, len(index)) == (8, metric, 20)
    assert index.ids().tolist() == ids
    assert index.get_metadata()[ids[3]] == {"year": 2003.0, "genre": "x"}
    exact = index.search(vectors[0], 20, exact=True, allow_scan=True)[0]
    found = index.search(vectors[0], 20)[0]
    assert found.ids.tolist() == exact.ids.tolist()
    assert found.distances == pytest.approx(exact.distances, rel=1e-4, abs=1e-5)
    assert sorted(index.search(vectors[0], 5, filter=F("year") >= 2015)[0].ids) == ids[15:]
    view = index.use_view(sample_ids=ids[:5])
    expected = [row_id for row_id in exact.ids if row_id in ids[:5]]
    assert view.search(vectors[0], 5)[0].ids.tolist() == expected
    assert view.search(vectors[0], 5)[0].distances == pytest.approx(
        [d for row_id, d in zip(exact.ids, exact.distances, strict=True) if row_id in ids[:5]], rel=1e-4, abs=1e-5
    )
    with pytest.raises(UnsupportedError, match="kinds"):
        index.count(F("genre") == "x")
    assert index.count(F("genre") == "x", allow_scan=True) == 20
    with pytest.raises(UnsupportedError, match="not ASCII"):
        index.add_to_index(vectors[:1], ["Zürich"])
    index.add_to_index(vectors[:1], ["new"])
    assert index.count() == 21
    assert index.remove_from_index(sample_ids=["Zürich", "new"]) == 1
    index.close()


def test_pods_and_their_settings(server):
    index = created(server, rows(3, 8), list("abc"), environment="us-east1-gcp", pod_type="p2.x1", replicas=2, shards=3)
    held = server.indexes[index.config.index_name]
    assert held.deployment == {
        "deployment_type": "pod",
        "environment": "us-east1-gcp",
        "pod_type": "p2.x1",
        "replicas": 2,
        "shards": 3,
    }
    index.close()
    index = created(server, rows(3, 8), list("abc"), cloud="gcp", region="europe-west4", tags={"team": "vision"})
    held = server.indexes[index.config.index_name]
    assert held.deployment == {"deployment_type": "managed", "cloud": "gcp", "region": "europe-west4"}
    assert held.tags["team"] == "vision"
    index.close()
    for wrong, said in (
        ({"index_type": "pod"}, "environment"),
        ({"replicas": 2}, "serverless"),
        ({"environment": "e", "pods": 3, "replicas": 2}, "replicas times shards"),
        ({"namespace": "Zürich"}, "namespace"),
        ({"client": 1}, "pinecone.Pinecone"),
        ({"index_name": "My_Index"}, "my-index"),
    ):
        with pytest.raises(ConfigError, match=said):
            created(server, rows(3, 8), list("abc"), **wrong)


def test_an_index_of_another_kind_is_not_opened(server):
    index = created(server, rows(3, 8), list("abc"), index_name="other", metric="euclidean", key="photos")
    index.close()
    server.indexes["other"].metric = "hamming"
    with pytest.raises(UnsupportedError, match="one dense vector"):
        vecsearch.connect("other", backend="pinecone", **server.settings())


@pytest.mark.parametrize("seed", [1, 2])
def test_an_ingest_while_a_tenth_of_all_requests_fails(server, seed):
    vectors, ids = rows(1500, 16, seed), [f"{number:05}" for number in range(1500)]
    metadata = [{"number": number} for number in range(1500)]
    index = created(server, vectors[:1], ids[:1], metadata=metadata[:1], batch_rows=50, timeout=30.0)
    faults = (refused(503), refused(500), refused(429, retry_after=0.1), DROPPED, LOST, CUT)
    server.fail_at_random(0.1, seed, faults)
    started = time.monotonic()
    receipt = index.add_to_index(vectors[1:], ids[1:], metadata=metadata[1:])
    assert time.monotonic() - started < 60
    server.fail_at_random(0, 0)
    assert receipt.written == 1499
    assert sum(server.faults.met.values()) > 0
    assert index.ids().tolist() == ids
    assert np.array_equal(index.get_embeddings(sample_ids=ids).embeddings, vectors)
    found = index.get_metadata()
    assert [found[row_id] for row_id in ids] == metadata
    index.close()


def test_the_earlier_shapes_of_the_control_plane(server):
    import json
    import urllib.request

    def ask(method, path, body=None):
        request = urllib.request.Request(  # noqa: S310  a stand-in on loopback
            server.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Api-Key": "stand-in-key", "X-Pinecone-Api-Version": "2025-10"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    spec = {"serverless": {"cloud": "aws", "region": "us-east-1"}}
    made = ask("POST", "/indexes", {"name": "old", "dimension": 3, "metric": "cosine", "spec": spec})
    assert (made["dimension"], made["metric"], made["vector_type"], made["spec"]) == (3, "cosine", "dense", spec)
    assert ask("GET", "/indexes")["indexes"] == [ask("GET", "/indexes/old")]
    index = vecsearch.connect("old", backend="pinecone", **server.settings())
    assert (index.dim, index.metric) == (3, "cosine")
    index.close()
