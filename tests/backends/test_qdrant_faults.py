"""What users hear when Qdrant is away, slow, full, or refuses: one clear error each, and what is in is known."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from engines import require

require("qdrant")

import numpy as np
from qdrant_client import QdrantClient

import vecsearch
from vecsearch.errors import (
    AccessDeniedError,
    BackendError,
    IngestError,
    StorageError,
)
from vecsearch.testing.standins.http import Answer
from vecsearch.testing.standins.qdrant import QdrantStandIn
from vecsearch.testing.standins.qdrant_grpc import QdrantGrpcStandIn

VECTORS = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
IDS = [f"row {number}" for number in range(40)]


@pytest.fixture(params=["rest", "grpc"])
def server(request):
    made = QdrantStandIn() if request.param == "rest" else QdrantGrpcStandIn()
    with made as started:
        yield started


@pytest.fixture
def rest():
    with QdrantStandIn() as started:
        yield started


def settings(server, **more):
    if isinstance(server, QdrantStandIn):
        return {"backend": "qdrant", "url": server.url, **more}
    return {"backend": "qdrant", "host": "127.0.0.1", "grpc_port": server.port, "prefer_grpc": True, **more}


def created(server, rows=40, **more):
    return vecsearch.compute_similarity(embeddings=VECTORS[:rows], sample_ids=IDS[:rows], **settings(server, **more))


def one_line(error):
    text = str(error)
    assert "\n" not in text, text
    assert len(text) < 500
    return text


# ---- servers


def test_connections_that_break_and_answers_of_a_busy_server_are_tried_again(rest):
    index = created(rest)
    busy = json.dumps({"status": {"error": "Too many requests"}}).encode()
    rest.fail(None, Answer(503, b"starting"), Answer(429, busy, {"Retry-After": "1"}), Answer(502, b""), None)
    assert len(index.search(VECTORS[0], 3)[0]) == 3
    index.close()


@pytest.mark.parametrize("given", [None, "wr0ng-secret"])
def test_wrong_credentials(given):
    with warnings.catch_warnings(), QdrantStandIn(api_key="right") as rest, QdrantGrpcStandIn(api_key="right") as grpc:
        warnings.simplefilter("ignore")  # the client's own, about keys that are not encrypted
        for server in (rest, grpc):
            with pytest.raises(AccessDeniedError, match="API key") as caught:
                created(server, api_key=given, https=False)
            assert "wr0ng" not in one_line(caught.value)


def test_a_request_that_is_too_large(rest):
    index = created(rest, rows=5)
    rest.max_request_bytes = 2000
    with pytest.raises(BackendError, match="larger than allowed") as caught:
        index.add_to_index(VECTORS, IDS, documents=["x" * 3000] * 40)
    one_line(caught.value)
    assert len(index) == 5
    index.close()


def test_an_answer_that_is_no_answer(rest):
    index = created(rest)
    rest.fail(Answer(200, b"<html>a proxy</html>"))
    with pytest.raises(BackendError, match="search"):
        index.search(VECTORS[0], 3)
    rest.fail(Answer(500, b"<html>a proxy</html>"))
    with pytest.raises(BackendError, match="500"):
        index.search(VECTORS[0], 3)
    index.close()


def test_health_says_what_is_wrong(server):
    index = created(server, timeout=1.0)
    assert index.health().ok
    server.stop()
    health = index.health()
    assert not health.ok
    assert "is it running" in health.problems[0]
    index.close()


# ---- folders


def refused_to_open(path):
    """What is said of a folder. The client that could not open it is collected here, with the file that it holds."""
    with pytest.raises(StorageError) as caught:
        vecsearch.connect("photos", backend="qdrant", path=str(path))
    text = one_line(caught.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del caught
        gc.collect()
    return text


def test_a_second_process_on_a_folder(tmp_path):
    code = f"""
import qdrant_client, sys
client = qdrant_client.QdrantClient(path={str(tmp_path / "q")!r})
print("open", flush=True)
sys.stdin.read()
client.close()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "open\n"
        refused = refused_to_open(tmp_path / "q")
        assert "another instance" in refused
        assert "other processes" in refused
        process.stdin.close()
        assert process.wait(20) == 0
    index = vecsearch.compute_similarity(embeddings=VECTORS, sample_ids=IDS, backend="qdrant", path=str(tmp_path / "q"))
    assert len(index) == 40
    index.close()


def test_indexes_of_one_folder_share_it(tmp_path):
    place = {"backend": "qdrant", "path": str(tmp_path / "q")}
    one = vecsearch.compute_similarity(embeddings=VECTORS, sample_ids=IDS, index_name="one", **place)
    two = vecsearch.compute_similarity(embeddings=VECTORS[:10], sample_ids=IDS[:10], index_name="two", **place)
    again = vecsearch.connect("one", backend="qdrant", path=str(tmp_path / "." / "q"))
    assert one.client is two.client is again.client
    one.close()
    assert (len(two), len(again)) == (10, 40)
    again.add_to_index(VECTORS[:1], ["new"])
    again.close()
    two.close()
    alone = QdrantClient(path=str(tmp_path / "q"))  # nobody holds it any more
    assert (alone.count("one").count, alone.count("two").count) == (41, 10)
    alone.close()


def test_a_full_disk(tmp_path):
    index = vecsearch.compute_similarity(
        embeddings=VECTORS[:5], sample_ids=IDS[:5], backend="qdrant", path=str(tmp_path / "q"), batch_rows=5
    )
    collection = index.client._client.collections[index.config.index_name]
    pages = collection.storage.storage.execute("PRAGMA page_count").fetchone()[0]
    collection.storage.storage.execute(f"PRAGMA max_page_count = {pages + 20}")
    many = np.random.default_rng(1).standard_normal((300, 8)).astype(np.float32)
    with pytest.raises(IngestError) as caught:
        index.add_to_index(many, [f"new {number}" for number in range(300)], documents=["x" * 2000] * 300)
    assert isinstance(caught.value.__cause__, StorageError)
    assert "full" in one_line(caught.value.__cause__)
    assert 0 < caught.value.written < 300
    index.close()
    again = vecsearch.connect(index.config.index_name, backend="qdrant", path=str(tmp_path / "q"))
    assert len(again) >= 5 + caught.value.written
    assert set(again.ids()) >= {f"new {number}" for number in range(caught.value.remaining[0][0])}
    again.close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "file" in refused_to_open(tmp_path / "file" / "q")


def test_a_damaged_folder(tmp_path):
    index = vecsearch.compute_similarity(
        embeddings=VECTORS, sample_ids=IDS, backend="qdrant", path=str(tmp_path / "q"), index_name="photos"
    )
    index.close()
    (database,) = (tmp_path / "q").rglob("*.sqlite")
    database.write_bytes(b"no database" * 1000)
    assert "not a database" in refused_to_open(tmp_path / "q")


# ---- threads


@pytest.mark.parametrize("kind", ["memory", "folder", "server"])
def test_eight_threads_read_while_two_write(kind, rest, tmp_path):
    place = {"memory": {"client": QdrantClient(":memory:")}, "folder": {"path": str(tmp_path / "q")}}.get(
        kind, {"url": rest.url}
    )
    # Two indexes in one place: the local mode is not safe for threads, whichever collection they use.
    indexes = [
        vecsearch.compute_similarity(
            embeddings=VECTORS, sample_ids=IDS, backend="qdrant", index_name=f"i{number}", metric="euclidean", **place
        )
        for number in range(2)
    ]
    done = threading.Event()

    def read(number):
        index, asked = indexes[number % 2], 0
        while not done.is_set() or asked == 0:
            ranking = index.search(VECTORS[number], 10)[0]
            assert len(ranking) == 10
            assert ranking.ids[0] == IDS[number]
            assert ranking.distances[0] == pytest.approx(0, abs=1e-5)
            assert len(index) >= 40
            asked += 1
        return asked

    def write(number):
        for turn in range(15):
            ids = [f"w{number} {turn} {row}" for row in range(6)]
            indexes[number].add_to_index(VECTORS[10:16] + 50, ids)
            indexes[number].remove_from_index(sample_ids=ids[:3])

    with ThreadPoolExecutor(10) as pool:
        readers = [pool.submit(read, number) for number in range(8)]
        writers = [pool.submit(write, number) for number in range(2)]
        try:
            for writer in writers:
                writer.result(60)
        finally:
            done.set()
        assert all(reader.result(60) for reader in readers)
    for index in indexes:
        assert len(index) == 40 + 15 * 3
        index.close()
