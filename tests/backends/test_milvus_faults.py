"""What users hear when Milvus is away, refuses, or is asked for what it has not; and what is left behind."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engines import require

require("milvus")

import numpy as np
from lite_server import LiteServer
from milvus_lite.storage.wal import WAL
from pymilvus import DataType, MilvusClient

import vecsearch
from vecsearch import F
from vecsearch.backends.milvus import MilvusBackend
from vecsearch.errors import (
    AccessDeniedError,
    BackendError,
    ConfigError,
    ConnectionFailedError,
    IndexNotFoundError,
    IngestError,
    InvalidInputError,
    StorageError,
    UnsupportedError,
    VecsearchError,
)

VECTORS = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
IDS = [f"row {number}" for number in range(40)]


@pytest.fixture
def server(tmp_path):
    made = LiteServer(tmp_path)
    yield made
    made.stop()


def created(rows=40, **settings):
    return vecsearch.compute_similarity(embeddings=VECTORS[:rows], sample_ids=IDS[:rows], backend="milvus", **settings)


def one_line(error):
    text = str(error)
    assert "\n" not in text, text
    assert len(text) < 700
    return text


# ---- servers


def test_a_server_that_goes_down_is_waited_for(server):
    index = created(uri=server.uri, timeout=20.0)
    server.stop()
    timer = threading.Timer(0.6, server.start)
    timer.start()
    assert index.search(VECTORS[0], 3)[0].ids[0] == "row 0"
    timer.join()
    server.stop()
    server.start()  # where the collection is not loaded any more
    assert len(index) == 40
    index.close()


def test_milvus_lite_behind_a_uri_is_known_for_what_it_is(server):
    index = created(uri=server.uri)
    assert index.capabilities.exactness == "always"
    index.add_to_index(VECTORS[:1], ["m"], metadata=[{"a": 1, "b": True}])
    index.add_to_index(VECTORS[:1], ["m"], metadata=[{"b": True}])
    assert index.get_metadata(["m"]) == {"m": {"b": True}}
    assert index.count(F("b") == 1) == 0
    index.close()


@pytest.mark.parametrize(
    "given",
    [{}, {"user": "root", "password": "wr0ng-secret"}, {"token": "root:wr0ng-secret"}, {"token": "wr0ng-secret"}],
)
def test_wrong_credentials(tmp_path, given):
    server = LiteServer(tmp_path, password="root:right-one")  # noqa: S106
    started = time.monotonic()
    with pytest.raises(AccessDeniedError, match="check the credentials") as caught:
        created(uri=server.uri, timeout=20.0, **given)
    assert time.monotonic() - started < 15
    assert "wr0ng" not in "".join(traceback.format_exception(caught.value))
    one_line(caught.value)
    for right in ({"user": "root", "password": "right-one"}, {"token": "root:right-one"}):
        with created(uri=server.uri, **right) as index:
            assert len(index) == 40
    server.stop()


def test_a_request_that_is_too_large(tmp_path):
    server = LiteServer(tmp_path, largest=50_000)
    index = created(rows=5, uri=server.uri, timeout=20.0)
    started = time.monotonic()
    with pytest.raises(BackendError, match="larger than max") as caught:
        index.add_to_index(VECTORS, IDS, documents=["x" * 3000] * 40)
    assert not isinstance(caught.value, ConnectionFailedError)
    assert time.monotonic() - started < 15  # it is not sent again and again
    one_line(caught.value)
    with pytest.raises(UnsupportedError, match=r"'row 1' have about \d+ bytes"):
        index.add_to_index(VECTORS[:2], IDS[:2], documents=["x", "x" * 70_000])
    assert len(index) == 5
    assert index.add_to_index(VECTORS, IDS, documents=["x" * 300] * 40).written == 40
    index.close()
    server.stop()


# ---- places


def test_a_full_disk(tmp_path, monkeypatch):
    index = created(rows=5, uri=str(tmp_path / "a.db"), batch_rows=5)
    true, written = WAL.write_insert, []

    def full(self, batch):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(batch.num_rows)
        true(self, batch)

    monkeypatch.setattr(WAL, "write_insert", full)
    with pytest.raises(IngestError) as caught:
        index.add_to_index(VECTORS[5:], IDS[5:])
    assert isinstance(caught.value.__cause__, StorageError)
    assert "No space left" in one_line(caught.value)
    assert (caught.value.written, len(index)) == (15, 20)
    monkeypatch.undo()
    ((start, stop),) = caught.value.remaining
    index.add_to_index(VECTORS[5:][start:stop], IDS[5:][start:stop])
    index.close()
    again = vecsearch.connect(index.config.index_name, backend="milvus", uri=str(tmp_path / "a.db"))
    assert again.ids().tolist() == sorted(IDS)
    again.close()


def test_first_rows_of_several_writers_come_one_after_the_other(tmp_path, monkeypatch):
    """Milvus Lite opens its log at the first row; two at once opened it twice, and one lost what it wrote."""
    path = str(tmp_path / "a.db")
    client = MilvusClient(path)
    one = vecsearch.compute_similarity(embeddings=False, dim=8, backend="milvus", uri=path, index_name="shared")
    two = vecsearch.connect("shared", backend="milvus", client=client)
    true, now, most = WAL.write_insert, [], []

    def watched(self, batch):
        now.append(batch)
        most.append(len(now))
        time.sleep(0.02)
        true(self, batch)
        now.pop()

    monkeypatch.setattr(WAL, "write_insert", watched)
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit((one, two)[n % 2].add_to_index, VECTORS[n : n + 1], IDS[n : n + 1]) for n in range(12)]
        assert sum(write.result(60).written for write in done) == 12
    assert max(most) == 1
    one.close()
    two.close()
    client.close()


def test_a_folder_of_another_process(tmp_path):
    path = str(tmp_path / "index.db")
    hold = f"from pymilvus import MilvusClient as C; c = C({path!r}); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StorageError, match="another process") as caught:
            created(uri=path, timeout=1.0)
        one_line(caught.value)
    finally:
        holder.communicate(b"\n", timeout=30)


def test_without_a_place_the_rows_are_temporary():
    index = created()
    folder = Path(index.config.path)
    assert len(index) == 40
    assert not index.capabilities.durable
    with pytest.raises(InvalidInputError, match="temporary"):
        index.save()
    assert folder.exists()
    index.close()
    assert not folder.exists()


@pytest.mark.parametrize(
    "settings", [{"uri": "http://x:1", "path": "y"}, {"token": "t"}, {"uri": "./x.db", "user": "u"}]
)
def test_settings_that_contradict(settings):
    with pytest.raises(ConfigError):
        created(**settings)


def test_a_client_of_the_users_is_used_and_left_open(tmp_path):
    client = MilvusClient(str(tmp_path / "mine.db"))
    index = created(client=client)
    assert index.client is client
    index.close()
    assert client.list_collections()
    other = created(uri=str(tmp_path / "mine.db"))
    other.close()
    assert len(client.list_collections()) == 2
    client.close()


def test_an_index_closed_leaves_another_of_its_folder_open(tmp_path):
    path = str(tmp_path / "both.db")
    one, two = created(uri=path), created(uri=path)
    one.close()
    assert len(two) == 40
    two.close()
    code = f"from pymilvus import MilvusClient as C; c = C({path!r}); assert len(c.list_collections()) == 2; c.close()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---- what is there


def test_a_missing_collection(tmp_path):
    with pytest.raises(IndexNotFoundError):
        vecsearch.connect("nothing_here", backend="milvus", uri=str(tmp_path / "a.db"))


@pytest.mark.parametrize("name", ["a-b", "a b", "1a", "a'; drop", "é", "x" * 256])
def test_names_that_milvus_refuses(tmp_path, name):
    with pytest.raises(ConfigError, match="would do"):
        created(uri=str(tmp_path / "a.db"), collection_name=name)


def foreign(client, key=DataType.INT64, **more):
    schema = client.create_schema(auto_id=False, enable_dynamic_field=more.pop("dynamic", True))
    schema.add_field("id", key, is_primary=True, **({"max_length": 99} if key == DataType.VARCHAR else {}))
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=8)
    schema.add_field("year", DataType.INT64)
    params = client.prepare_index_params()
    params.add_index("embedding", index_type="FLAT", metric_type="L2")
    client.create_collection("theirs", schema=schema, index_params=params)
    rows = [
        {"id": i if key == DataType.INT64 else f"k{i}", "embedding": VECTORS[i], "year": 2000 + i} for i in range(40)
    ]
    if more.get("extra", True):
        rows = [{**row, "kind": "even" if i % 2 == 0 else "odd"} for i, row in enumerate(rows)]
    client.insert("theirs", rows)


def test_a_collection_that_others_made(tmp_path):
    path = str(tmp_path / "a.db")
    client = MilvusClient(path)
    foreign(client)
    index = vecsearch.connect("theirs", backend="milvus", uri=path)
    assert (index.metric, index.dim, len(index)) == ("euclidean", 8, 40)
    found = index.search(VECTORS[7], 3)[0]
    assert found.ids[0] == "7"
    assert found.metadata[0] == {"year": 2007, "kind": "odd"}
    assert index.ids().tolist() == sorted(map(str, range(40)))
    index.add_to_index(VECTORS[:1], ["100"], metadata=[{"year": 1999}])
    assert client.get("theirs", [100])[0]["year"] == 1999
    assert index.remove_from_index(sample_ids=["100", "no number"]) == 1
    with pytest.raises(InvalidInputError, match="integers"):
        index.add_to_index(VECTORS[:1], ["abc"], metadata=[{"year": 1}])
    with pytest.raises(VecsearchError, match="documents"):
        index.add_to_index(VECTORS[:1], ["5"], metadata=[{"year": 1}], documents=["text"])
    index.close()
    client.close()


def test_texts_as_keys_of_others(tmp_path):
    path = str(tmp_path / "a.db")
    client = MilvusClient(path)
    foreign(client, DataType.VARCHAR)
    index = vecsearch.connect("theirs", backend="milvus", uri=path)
    assert index.search(ids=["k3"], k=2)[0].ids[0] == "k3"
    assert len(index.get_embeddings(sample_ids=["k39", "k1"]).embeddings) == 2
    index.close()
    client.close()


# ---- indexes and parameters


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"index_type": "HNSW", "index_params": {"m": 4}}, "no parameter 'm'; it has: M, efConstruction"),
        ({"index_type": "HNSW", "index_params": {"M": 1}}, "from 2 to 2048"),
        ({"index_type": "HNSW", "index_params": {"M": True}}, "from 2 to 2048"),
        ({"index_type": "IVF_FLAT", "index_params": {"nlist": "many"}}, "from 1 to 65536"),
        ({"index_type": "FLAT", "index_params": {"nlist": 4}}, "it has: none"),
        ({"index_type": "HNSW_SQ", "index_params": {"sq_type": "SQ3"}}, "SQ4U, SQ6, SQ8"),
        ({"index_type": "DISKANN"}, "Milvus Lite has no index DISKANN"),
        ({"index_type": "HNWS"}, "HNSW"),
        ({"consistency_level": "Weak"}, "Session"),
    ],
)
def test_settings_of_the_index_are_checked(tmp_path, settings, said):
    with pytest.raises((InvalidInputError, UnsupportedError, ConfigError), match=said):
        created(uri=str(tmp_path / "a.db"), **settings)


@pytest.mark.parametrize(
    ("kind", "params"),
    [("HNSW", {"ef": 100}), ("HNSW_SQ", {"ef": 40}), ("IVF_FLAT", {"nprobe": 8}), ("IVF_SQ8", {"nprobe": 8})],
)
def test_every_index_of_milvus_lite(tmp_path, kind, params):
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((600, 8)).astype(np.float32)
    ids = [f"{number:03d}" for number in range(600)]
    metadata = [{"share": number % 100} for number in range(600)]
    index = vecsearch.compute_similarity(
        embeddings=vectors,
        sample_ids=ids,
        metadata=metadata,
        metric="euclidean",
        backend="milvus",
        uri=str(tmp_path / "a.db"),
        index_type=kind,
    )
    index.client.flush(index.config.index_name)
    truth = np.linalg.norm(vectors - vectors[0], axis=1)
    found = index.search(vectors[0], 10, params=params)[0]
    assert np.allclose(found.distances, truth[[int(i) for i in found.ids]], rtol=1e-4, atol=1e-4)
    assert (
        np.isin(
            found.ids, np.argsort(truth)[:20].astype(str).tolist() + [f"{i:03d}" for i in np.argsort(truth)[:20]]
        ).mean()
        > 0.7
    )
    for most, rows in ((50, 300), (10, 60), (1, 6), (0, 0)):
        assert len(index.search(vectors[3], 40, filter=F("share") < most)[0]) == min(40, rows)
    assert len(index.search(vectors[3], 40, filter=(F("share") == 1) & (F("share") < 2))[0]) == 6
    with pytest.raises(InvalidInputError, match="no parameter"):
        index.search(vectors[0], 3, params={"level": 1})
    name = next(iter(params))
    with pytest.raises(InvalidInputError, match="from 1 to"):
        index.search(vectors[0], 3, params={name: 0})
    with pytest.raises(InvalidInputError, match="no search parameter 'radius'"):
        index.search(vectors[0], 3, params={"radius": 1.0})
    index.close()


def test_more_neighbours_than_ef(tmp_path):
    index = created(uri=str(tmp_path / "a.db"), index_type="HNSW")
    assert len(index.search(VECTORS[0], 30, params={"ef": 5})[0]) == 30
    index.close()


# ---- values and names


def test_names_that_are_words_of_the_expression_language(tmp_path):
    words = ["in", "like", "is", "null", "exists", "iso", "true", "AND", "json_contains"]
    metadata = [dict.fromkeys(words, number % 3) for number in range(40)]
    metadata[0] = {"in": ["a"], "json_contains": ["a"]}
    index = vecsearch.compute_similarity(
        embeddings=VECTORS, sample_ids=IDS, metadata=metadata, backend="milvus", uri=str(tmp_path / "a.db")
    )
    for word in words:
        assert index.count(F(word) == 1) == 13
        assert index.count(F(word).is_in([1, 2])) == 26
        assert index.count(F(word).not_in([1])) == 26
        assert index.count(~F(word).exists()) == (0 if word in metadata[0] else 1)
    assert index.count(F("json_contains").contains("a")) == 1
    with pytest.raises(UnsupportedError, match="called 'in'"):
        index.count(F("in").contains("a"))
    index.close()


def test_nothing_is_logged_of_a_failure_that_is_raised(tmp_path, caplog):
    index = created(uri=str(tmp_path / "a.db"))
    index.client.drop_collection(index.config.index_name)
    with caplog.at_level("WARNING"), pytest.raises(IndexNotFoundError):
        index.search(VECTORS[0], 3)
    assert not [record for record in caplog.records if record.name.startswith("pymilvus")]
    index.close()


def test_a_page_of_fewer_rows_is_not_the_end(tmp_path, monkeypatch):
    """As a server answers where a segment ends and others go on."""
    index = created(uri=str(tmp_path / "a.db"))
    whole = MilvusBackend._query

    def cut(self, expression, include, **options):
        return whole(self, expression, include, **options)[:7]

    monkeypatch.setattr(MilvusBackend, "_query", cut)
    assert index.ids().tolist() == sorted(IDS)
    index.close()
