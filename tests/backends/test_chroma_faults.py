"""What goes wrong with Chroma, and what is said then: servers down, slow, dying; collections lost, taken, foreign."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from engines import require

require("chroma")

import chromadb
import numpy as np
from chroma_server import ChromaServer
from chromadb.config import Settings

import vecsearch
from vecsearch import F
from vecsearch.errors import (
    AccessDeniedError,
    BackendError,
    ConfigError,
    IndexExistsError,
    IndexNotFoundError,
    InvalidInputError,
    StorageError,
    UnsupportedError,
    VecsearchError,
)

EVIL = ['"', "'; DROP TABLE embeddings; --", "\\", "{x}", "$eq", "a\0b", "%s", '{"$ne": 1}', "ключ"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ChromaServer(tmp_path_factory.mktemp("server")) as running:
        yield running


def _create(**arguments):
    return vecsearch.compute_similarity(
        backend="chroma", **{"embeddings": np.eye(4), "sample_ids": list("abcd"), **arguments}
    )


@contextmanager
def _answering(answer):
    """A server of ours, which answers every request by ``answer(handler)``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def do_POST(self):
            answer(self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as standing:
        standing.daemon_threads = True
        thread = threading.Thread(target=standing.serve_forever)
        thread.start()
        try:
            yield {"host": "127.0.0.1", "port": standing.server_port}
        finally:
            standing.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "name"), [(401, "AuthError"), (403, "AuthorizationError"), (403, None)])
def test_wrong_credentials_are_named_and_not_shown(status, name):
    seen = []

    def refuse(handler):
        seen.append((handler.headers["Authorization"], handler.headers["x-team"]))
        body = json.dumps({"error": name, "message": "Forbidden"}).encode() if name else b"Forbidden"
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with _answering(refuse) as place, pytest.raises(AccessDeniedError) as caught:
        _create(**place, token="hunter2", headers={"x-team": "s3cret"}, timeout=5)  # noqa: S106
    assert seen[0] == ("Bearer hunter2", "s3cret")
    assert "hunter2" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_tenant_that_is_not_there(server):
    with pytest.raises(VecsearchError, match="nobody"):
        _create(host="127.0.0.1", port=server.port, tenant="nobody", timeout=5)


def test_a_server_that_dies_in_mid_ingest_and_comes_back(tmp_path):
    with ChromaServer(tmp_path) as server:
        index = _create(host="127.0.0.1", port=server.port, embeddings=False, dim=8, timeout=40)
        vectors = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32)

        batches = [(list(range(start, start + 100))) for start in range(0, 600, 100)]
        for number, batch in enumerate(batches):
            if number == 3:
                server.stop()
                threading.Timer(0.5, server.start).start()
            index.add_to_index(vectors[batch], [f"r{row:03d}" for row in batch])
        assert len(index) == 600
        assert index.search(vectors[550], 1, exact=True)[0].ids.tolist() == ["r550"]
        index.close()


def test_a_collection_that_was_deleted_or_made_anew_behind_our_back(server):
    place = {"host": "127.0.0.1", "port": server.port, "timeout": 2}
    index = _create(**place, index_name="vanishing")
    index.client.delete_collection("vanishing")
    for call in (
        lambda: index.search(np.ones(4), 1),
        lambda: index.add_to_index(np.eye(4)[:1], ["x"]),
        index.count,
        lambda: index.remove_from_index(sample_ids=["a"]),
        lambda: index.get_embeddings(sample_ids=["a"]),
    ):
        with pytest.raises(IndexNotFoundError, match="vanishing"):
            call()
    other = _create(**place, index_name="vanishing", embeddings=np.ones((1, 4)), sample_ids=["new"])
    assert index.search(np.ones(4), 5)[0].ids.tolist() == ["new"]
    other.cleanup()
    wider = _create(**place, index_name="vanishing", embeddings=np.ones((1, 5)), sample_ids=["new"])
    with pytest.raises(IndexNotFoundError, match="another index"):
        index.count()
    wider.cleanup()
    wider.close()
    other.close()
    index.close()


def test_an_index_that_is_there_already(server):
    place = {"host": "127.0.0.1", "port": server.port, "timeout": 5}
    index = _create(**place, index_name="taken")
    with pytest.raises(IndexExistsError, match="already"):
        _create(**place, index_name="taken")
    with pytest.raises(IndexNotFoundError, match="nowhere"):
        vecsearch.connect("nowhere", backend="chroma", **place)
    index.cleanup()
    index.close()


def test_collections_of_other_tools(tmp_path):
    client = chromadb.PersistentClient(tmp_path / "theirs", Settings(anonymized_telemetry=False))
    theirs = client.create_collection("theirs", embedding_function=None, configuration={"hnsw": {"space": "ip"}})
    with pytest.raises(UnsupportedError, match="no width"):
        vecsearch.connect("theirs", backend="chroma", client=client)
    theirs.add(
        ids=["a", "b"], embeddings=[[1, 2, 3], [4, 5, 6]], metadatas=[{"n": 1, "l": [1, 2]}, None], documents=["d", "e"]
    )
    index = vecsearch.connect("theirs", backend="chroma", client=client)
    assert (index.metric, index.dim, len(index)) == ("dotproduct", 3, 2)
    ranking = index.search([1.0, 1, 1], 2)[0]
    assert ranking.ids.tolist() == ["b", "a"]
    assert ranking.distances.tolist() == [-15, -6]
    assert ranking.documents == ["e", "d"]
    assert index.count(filter=F("n") == 1) == 1
    with pytest.raises(UnsupportedError):
        index.search([1.0, 1, 1], 2, filter=F("n") != 2)
    with pytest.raises(InvalidInputError, match="4"):
        index.search(np.ones(4), 1)
    index.close()
    client.close()


@pytest.mark.parametrize("name", ["ab", "x" * 513, "-abc", "a b c", "a/b/c", "'; DROP TABLE x;--", "abc_"])
def test_names_that_chroma_does_not_take(name, tmp_path):
    with pytest.raises(ConfigError, match="would do"):
        _create(path=str(tmp_path), index_name=name)


def test_texts_are_data(server):
    rows = [{"text": evil, "tags": [evil]} for evil in EVIL]
    ids = [evil.replace("\0", "") for evil in EVIL]
    index = _create(
        host="127.0.0.1", port=server.port, embeddings=np.eye(len(EVIL)), sample_ids=ids, metadata=rows, documents=EVIL
    )
    for row_id, evil, row in zip(ids, EVIL, rows, strict=True):
        for tree in (F("text") == evil, F("tags").contains(evil), F("text").is_in([evil, "x"])):
            assert index.search(np.ones(len(EVIL)), 9, filter=tree)[0].ids.tolist() == [row_id]
        assert index.count(filter=F("text") != evil) == len(EVIL) - 1
        assert index.get_metadata([row_id])[row_id] == row
        assert index.search(ids=[row_id], k=1)[0].documents == [evil]
    index.cleanup()
    index.close()


def test_ids_of_64_kb_and_rows_that_are_large(server):
    index = _create(host="127.0.0.1", port=server.port)
    with pytest.raises(InvalidInputError):
        index.add_to_index(np.eye(4)[:1], ["x" * 65_536])
    with pytest.raises(UnsupportedError, match="big"):
        index.add_to_index(np.eye(4)[:1], ["big"], documents=["x" * (5 << 20)])
    index.add_to_index(np.eye(4)[:1], ["fits"], documents=["\1" * (3 << 20)])  # six bytes each as JSON
    assert index.search(np.eye(4)[0], 9, include=("documents",))[0].documents.count("\1" * (3 << 20)) == 1
    index.cleanup()
    index.close()


_CHILD = """
import sys
import numpy as np, vecsearch
try:
    vecsearch.compute_similarity(backend="chroma", path=sys.argv[1], embeddings=np.eye(2), sample_ids=["a", "b"])
except vecsearch.VecsearchError as error:
    print(type(error).__name__, str(error))
else:
    print("no error")
"""


def _in_another_process(path):
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(path)], capture_output=True, text=True, timeout=100, check=False
    )
    return done.stdout + done.stderr[-2000:]


def test_a_second_process_on_a_folder(tmp_path):
    index = _create(path=str(tmp_path))
    answer = _in_another_process(tmp_path)
    assert answer.startswith("StorageError")
    assert "chroma run --path" in answer
    index.close()
    again = _create(path=str(tmp_path))
    again.close()


def test_a_full_disk(tmp_path, monkeypatch):
    """Refused before it is full, because Chroma's own write would then never return."""
    index = _create(path=str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(VecsearchError, match="nearly full: 1 MiB"):
        index.add_to_index(np.eye(4), list("efgh"))
    monkeypatch.undo()
    assert len(index) == 4
    index.close()


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        _create(path=str(tmp_path / "file"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "chroma.sqlite3").write_text("this is no database" * 100)
    with pytest.raises((StorageError, BackendError)):
        _create(path=str(tmp_path / "broken"))


def test_a_folder_that_the_program_has_open_with_settings_of_its_own(tmp_path):
    theirs = chromadb.PersistentClient(tmp_path.resolve(), Settings(anonymized_telemetry=False, allow_reset=True))
    with pytest.raises(StorageError, match="give that client as client="):
        _create(path=str(tmp_path))
    theirs.close()


def test_memory_cannot_be_saved():
    index = _create()
    with pytest.raises(InvalidInputError, match="memory only"):
        index.save()
    index.close()
