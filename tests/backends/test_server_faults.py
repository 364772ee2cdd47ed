"""A server that is down, dies, hangs, or comes back: the same for every engine that is reached by a wire."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from engines import require
from hostile_wire import Wire

import vecsearch
from vecsearch import registry
from vecsearch.errors import ConfigError, ConnectionFailedError, IngestError, NotVisibleYetError, StorageError

VECTORS = np.random.default_rng(0).standard_normal((150, 8)).astype(np.float32)
IDS = [f"row {number}" for number in range(150)]
SLACK = 3.0  # of a machine that does other things as well

pytestmark = pytest.mark.slow


def qdrant_rest(folder):
    require("qdrant")
    from vecsearch.testing.standins.qdrant import QdrantStandIn

    with QdrantStandIn() as server:
        yield server.port, lambda port: {"backend": "qdrant", "url": f"http://127.0.0.1:{port}"}


def qdrant_grpc(folder):
    require("qdrant")
    from vecsearch.testing.standins.qdrant_grpc import QdrantGrpcStandIn

    with QdrantGrpcStandIn() as server:
        yield (
            server.port,
            lambda port: {"backend": "qdrant", "host": "127.0.0.1", "grpc_port": port, "prefer_grpc": True},
        )


def milvus(folder):
    require("milvus")
    from lite_server import LiteServer

    server = LiteServer(folder)
    yield server.port, lambda port: {"backend": "milvus", "uri": f"http://127.0.0.1:{port}"}
    server.stop()


def chroma(folder):
    require("chroma")
    from chroma_server import ChromaServer

    with ChromaServer(folder) as server:
        yield server.port, lambda port: {"backend": "chroma", "host": "127.0.0.1", "port": port}


def lancedb(folder):
    require("lancedb")
    from vecsearch.testing.standins.s3 import S3StandIn

    with S3StandIn() as server:
        options = server.options()
        yield (
            server.port,
            lambda port: {
                "backend": "lancedb",
                "uri": "s3://bucket/tables",
                "storage_options": {**options, "aws_endpoint": f"http://127.0.0.1:{port}"},
            },
        )


@pytest.fixture(scope="module", params=[qdrant_rest, qdrant_grpc, milvus, chroma, lancedb], ids=lambda f: f.__name__)
def server(request, tmp_path_factory):
    for port, settings in request.param(tmp_path_factory.mktemp("server")):
        registry.backend_class(settings(port)["backend"])  # to import it takes longer than some timeouts here
        yield port, settings


@pytest.fixture
def wire(server):
    made = Wire(server[0])
    yield made
    made.close()


@pytest.fixture
def create(server, wire):
    made = []

    def create(rows=40, **settings):
        settings = {"metadata": {"n": list(range(rows))}, **server[1](wire.port), **settings}
        made.append(vecsearch.compute_similarity(embeddings=VECTORS[:rows], sample_ids=IDS[:rows], **settings))
        return made[-1]

    yield create
    wire.mend()
    for index in made:
        patiently(index.cleanup)
        index.close()


def one_line(error):
    text = str(error)
    assert "\n" not in text, text
    assert len(text) < 700, text
    return text


def patiently(call):
    """What a call returns, which may fail for some seconds more: a client looks again only after a while."""
    for _ in range(10):
        try:
            return call()
        except ConnectionFailedError:
            time.sleep(0.3)
    return call()


CALLS = {
    "search": lambda index: index.search(VECTORS[0], 3),
    "count": len,
    "scan": lambda index: list(index.iter_embeddings(10)),
    "write": lambda index: index.add_to_index(VECTORS[:1], ["new"]),
    "remove": lambda index: index.remove_from_index(sample_ids=IDS[:1]),
}


def timed(call, limit, errors):
    started = time.monotonic()
    with pytest.raises(errors) as caught:
        call()
    assert time.monotonic() - started < limit + SLACK
    return caught.value


@pytest.mark.parametrize("how", ["cut", "deaden"])
def test_a_server_that_is_away_when_an_index_is_made(wire, create, how):
    getattr(wire, how)()
    error = timed(lambda: create(timeout=1.0), 1.0, ConnectionFailedError)
    assert "describe" in one_line(error)
    assert "is it running" in str(error)
    wire.mend()
    assert len(create()) == 40  # nothing was left in its place


@pytest.mark.parametrize("how", ["cut", "deaden"])
def test_a_server_that_goes_away(wire, create, how):
    index = create(timeout=1.0)
    getattr(wire, how)()
    for call in CALLS.values():
        error = timed(lambda call=call: call(index), 1.0, (ConnectionFailedError, NotVisibleYetError))
        assert "is it running" in one_line(error)
    assert not index.health().ok
    wire.mend()
    assert patiently(lambda: index.search(VECTORS[7], 1, exact=True))[0].ids.tolist() == ["row 7"]


@pytest.mark.parametrize("how", ["cut", "deaden"])
def test_a_server_that_comes_back_in_time_is_waited_for(wire, create, how):
    index = create(timeout=20.0)
    for call in (CALLS["search"], CALLS["write"], CALLS["count"]):
        getattr(wire, how)()
        timer = threading.Timer(0.5, wire.mend)
        timer.start()
        call(index)
        timer.join()
    assert len(index) == 41


def test_a_server_that_dies_in_mid_ingest_and_comes_back(wire, create):
    index = create(5, timeout=30.0, batch_rows=5, workers=2)
    timers = [threading.Timer(0.1, wire.cut), threading.Timer(0.9, wire.mend)]
    for timer in timers:
        timer.start()
    receipt = index.add_to_index(VECTORS[5:105], IDS[5:105])
    for timer in timers:
        timer.join()
    assert (receipt.written, len(index)) == (100, 105)
    assert index.ids().tolist() == sorted(IDS[:105])
    assert np.allclose(index.get_embeddings(sample_ids=IDS[:105]).embeddings, VECTORS[:105], rtol=1e-5)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_server_that_dies_in_mid_ingest_and_stays_away(wire, server, create, tmp_path, workers):
    index = create(5, index_name="ingested", timeout=2.0, batch_rows=5, workers=workers)
    read = []

    def source():
        for start in range(5, 150, 5):
            if start == 65:
                wire.cut()
            read.append(start)
            yield VECTORS[start : start + 5], IDS[start : start + 5]

    checkpoint = tmp_path / "checkpoint.json"
    with pytest.raises(IngestError) as caught:
        index.ingest(source(), checkpoint=checkpoint)
    error = caught.value
    assert isinstance(error.__cause__, ConnectionFailedError)
    assert str(checkpoint) in one_line(error)
    assert 0 < error.written <= 60
    assert len(read) < 29  # it did not go on to the end
    assert all(stop is None or start < stop for start, stop in error.remaining)
    lost = {row for start, stop in error.remaining for row in range(start, 145 if stop is None else stop)}
    written = {IDS[5 + row] for row in range(145) if row not in lost}
    assert len(written) == error.written
    wire.mend()
    place = {**server[1](wire.port), "timeout": 30.0, "batch_rows": 5}
    with vecsearch.connect("ingested", **place) as again:
        # Of what was under way some may have arrived, although no answer came.
        under_way = {IDS[5 + row] for start, stop in error.failed for row in range(start, stop)}
        assert written <= set(again.ids()) - set(IDS[:5]) <= written | under_way
        receipt = again.ingest(((VECTORS[s : s + 5], IDS[s : s + 5]) for s in range(5, 150, 5)), checkpoint=checkpoint)
        assert receipt.written >= len(lost)
        assert again.ids().tolist() == sorted(IDS)
        assert not checkpoint.exists()


def test_a_server_that_dies_while_it_is_asked_by_several_threads(wire, create):
    index = create(timeout=1.0)
    errors = []

    def ask():
        try:
            while True:
                index.search(VECTORS[0], 3)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    wire.cut()
    for thread in threads:
        thread.join(4 + 4 * SLACK)  # one after the other, where an engine is asked by one at a time
    assert [type(error) for error in errors] == [ConnectionFailedError] * 4
    wire.mend()
    assert len(patiently(lambda: index.search(VECTORS[0], 3))[0]) == 3


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "://",
        "http://",
        "ftp://localhost:1",
        "http//localhost",
        "http://localhost:99999",
        "http://a b:1",
        "s3:/x",
    ],
)
@pytest.mark.parametrize(("backend", "setting"), [("qdrant", "url"), ("milvus", "uri"), ("chroma", "host")])
def test_what_is_no_address_of_a_server_is_refused(backend, setting, address, tmp_path, monkeypatch):
    require(backend)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"'{setting}' .* must be the address of a server, http://host:port"):
        vecsearch.connect("abc", backend=backend, **{setting: address})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["", "localhost:8000", "s3:/bucket/x", "http://localhost:1", "gs://", "db://x", "S3"])
def test_what_is_no_place_of_tables_is_refused(place, tmp_path, monkeypatch):
    require("lancedb")
    monkeypatch.chdir(tmp_path)
    settings = {"embeddings": VECTORS[:2], "sample_ids": IDS[:2], "backend": "lancedb", "index_name": "t", "uri": place}
    if place == "S3":  # a folder may be called anything else
        vecsearch.compute_similarity(**settings)
        assert [path.name for path in tmp_path.iterdir()] == ["S3"]
        return
    with pytest.raises(ConfigError, match="a folder"):
        vecsearch.compute_similarity(**settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of clients that could not open it
@pytest.mark.parametrize("backend", ["qdrant", "milvus", "chroma", "lancedb"])
def test_a_folder_may_be_a_path_and_not_a_file(backend, tmp_path):
    require(backend)
    settings = {"embeddings": VECTORS[:2], "sample_ids": [1, 2], "backend": backend, "index_name": "abc"}
    with vecsearch.compute_similarity(path=tmp_path / "folder", **settings) as index:
        assert index.ids().tolist() == ["1", "2"]
        assert index.config.path == str(tmp_path / "folder")
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below", "/proc/none"):
        with pytest.raises(StorageError) as caught:
            vecsearch.compute_similarity(path=place, **settings)
        assert str(place) in one_line(caught.value)
    assert (tmp_path / "file").read_text() == "x"
