"""What users hear when a folder is full, gone or taken, when a store is away or slow: one clear error each."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from engines import require

require("lancedb")

import lancedb
import numpy as np

import vecsearch
from vecsearch import F
from vecsearch.backends import _lance_index as lance_index
from vecsearch.backends._lance_faults import meaning, words
from vecsearch.errors import (
    AccessDeniedError,
    BackendError,
    ConfigError,
    ConnectionFailedError,
    IndexExistsError,
    IndexNotFoundError,
    IngestError,
    InvalidInputError,
    StorageError,
)
from vecsearch.testing.standins.http import Answer
from vecsearch.testing.standins.s3 import S3StandIn

SLACK = 2.5  # of a machine that does other things as well
VECTORS = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
IDS = [f"r{number}" for number in range(40)]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "lance")


def created(folder, **settings):
    settings = {"path": folder, "embeddings": VECTORS, "sample_ids": IDS, "index_name": "t", **settings}
    return vecsearch.compute_similarity(backend="lancedb", **settings)


def one_line(error):
    text = str(error)
    assert "\n" not in text, text
    assert ".cargo" not in text, text
    assert len(text) < 700
    return text


# ---- folders


def test_a_table_that_is_there_already(folder):
    created(folder).close()
    with pytest.raises(IndexExistsError, match="already"):
        created(folder)
    assert lancedb.connect(folder).open_table("t").count_rows() == 40


def test_nothing_is_made_by_looking(folder, tmp_path):
    with pytest.raises(IndexNotFoundError, match="'t'"):
        vecsearch.connect("t", backend="lancedb", path=folder)
    assert not (tmp_path / "lance").exists()


def test_a_table_that_was_dropped_behind_our_back(folder):
    index = created(folder)
    lancedb.connect(folder).drop_table("t")
    for call in (
        lambda: index.search(VECTORS[0], 3),
        lambda: index.search(VECTORS[0], 3, filter=F("x") == 1),
        lambda: len(index),
        lambda: index.get_embeddings(sample_ids=IDS[:2]),
        lambda: index.add_to_index(VECTORS[:2], ["a", "b"]),
        lambda: index.remove_from_index(sample_ids=["r1"]),
        lambda: list(index.iter_embeddings(10)),
    ):
        with pytest.raises(IndexNotFoundError) as caught:
            call()
        one_line(caught.value)
    assert lancedb.connect(folder).list_tables().tables == []
    index.close()


def test_a_table_that_was_made_anew_with_another_width(folder):
    index = created(folder)
    lancedb.connect(folder).drop_table("t")
    other = created(folder, embeddings=np.ones((3, 4)), sample_ids=["a", "b", "c"])
    for call in (lambda: index.add_to_index(VECTORS[:1], ["new"]), lambda: index.search(VECTORS[0], 3)):
        with pytest.raises(BackendError):
            call()
    assert (len(other), other.ids().tolist()) == (3, ["a", "b", "c"])
    again = vecsearch.connect("t", backend="lancedb", path=folder)
    assert again.dim == 4
    with pytest.raises(InvalidInputError, match="8"):
        again.add_to_index(VECTORS[:1], ["new"])


@pytest.mark.parametrize("name", ["a b", "a/b", "../up", "..", ".hidden", "é", "", "n" * 250, "t'; DROP TABLE t; --"])
def test_names_that_no_table_can_have(folder, tmp_path, name):
    with pytest.raises(ConfigError, match="would do"):
        created(folder, index_name=name)
    assert not (tmp_path / "lance").exists()


def test_the_longest_name(folder):
    index = created(folder, index_name="n" * 249)
    assert len(index) == 40


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError) as caught:
        created(str(tmp_path / "file"))
    one_line(caught.value)


def test_a_damaged_table(folder, tmp_path):
    index = created(folder, index_type="NONE")
    (data,) = (tmp_path / "lance" / "t.lance" / "data").glob("*.lance")
    data.write_bytes(b"\0" * data.stat().st_size)
    index.close()
    index = vecsearch.connect("t", backend="lancedb", path=folder)
    with pytest.raises(BackendError) as caught:
        index.get_embeddings(sample_ids=IDS[:2])
    one_line(caught.value)


_FULL = """if True:
    import resource, signal, sys
    import numpy as np, vecsearch
    index = vecsearch.connect("t", backend="lancedb", path=sys.argv[1])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    rng = np.random.default_rng(1)
    try:
        index.add_to_index(rng.standard_normal((20, 8)), [f"small{n}" for n in range(20)])
        index.add_to_index(rng.standard_normal((20_000, 8)), [f"large{n}" for n in range(20_000)])
    except (vecsearch.errors.StorageError, vecsearch.errors.IngestError) as error:
        print(type(error).__name__, str(error).replace(chr(10), " ")[:300])
    print(len(index))
"""


def test_a_file_that_may_not_grow_as_on_a_full_disk(folder):
    created(folder).close()
    done = subprocess.run(
        [sys.executable, "-c", _FULL, folder], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("StorageError"), done.stdout
    assert done.stdout.splitlines()[-1] == "60"
    index = vecsearch.connect("t", backend="lancedb", path=folder)
    assert len(index) == 60
    index.add_to_index(VECTORS[:1], ["works again"])
    assert len(index) == 61


def test_rows_that_were_refused_leave_no_column(folder):
    index = created(folder)
    with pytest.raises(InvalidInputError):
        index.add_to_index(np.full((1, 8), np.nan), ["a"], metadata={"never": [1]})
    with pytest.raises(InvalidInputError):
        index.add_to_index(VECTORS[:2], ["a", "a"], metadata={"never": [1, 2]})
    with pytest.raises(InvalidInputError):
        index.add_to_index(VECTORS[:1], ["a"], metadata={"x`; DROP": [1]})
    assert index.client.open_table("t").schema.names == ["id", "vector", "document"]


def test_vectors_too_long_for_the_engine_are_no_silent_gap(folder):
    index = created(folder, metric="euclidean")
    index.add_to_index(np.full((1, 8), 1e30), ["far"])
    try:
        ranking = index.search(VECTORS[0], 41, exact=True)[0]
    except BackendError as error:
        one_line(error)
    else:
        assert len(ranking) == 41
        assert ranking.ids[-1] == "far"
    assert len(index.search(VECTORS[0], 41, exact=True, allow_scan=True)[0]) == 41


def test_upkeep_that_fails_is_a_warning(folder, monkeypatch, caplog):
    index = created(folder)

    def broken(*_):
        raise RuntimeError("lance error: No space left on device (os error 28), /x/.cargo/registry/src/a.rs:1:2")

    monkeypatch.setattr("vecsearch.backends._lance_index.keep_up", broken)
    rows = np.random.default_rng(1).standard_normal((1000, 8))
    assert index.add_to_index(rows, [f"s{n}" for n in range(1000)]).written == 1000
    assert "No space left" in caplog.text
    assert ".cargo" not in caplog.text
    assert len(index) == 1040


def test_the_index_is_made_after_the_write_however_long_it_takes(folder, monkeypatch):
    index = created(folder, timeout=1.0, index_rows=300, index_type="IVF_FLAT")
    made = threading.Event()
    true, running = lance_index.keep_up, []

    def slow(*arguments):
        running.append(threading.get_ident())
        made.wait(20)
        true(*arguments)

    monkeypatch.setattr("vecsearch.backends._lance_index.keep_up", slow)
    rows = np.random.default_rng(1).standard_normal((300, 8))
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(index.add_to_index, rows, [f"s{n}" for n in range(300)])
        try:
            while not running:
                time.sleep(0.01)
            # Meanwhile others read and write; and nobody else makes it, too.
            assert len(index) == 340
            assert index.add_to_index(rows[:5], [f"t{n}" for n in range(5)]).written == 5
            index.wait(timeout=0.1)
            assert not writer.done()
            time.sleep(1.2)
        finally:
            made.set()
        assert writer.result(20).written == 300
    assert len(running) == 1
    assert index.health().ok
    assert lance_index.of_vectors(index.client.open_table("t")) is not None


def test_upkeep_that_failed_is_made_up_for_by_waiting(folder, monkeypatch):
    index = created(folder, index_rows=300)
    with monkeypatch.context() as patch:
        patch.setattr("vecsearch.backends._lance_index.keep_up", lambda *_: 1 / 0)
        index.add_to_index(np.random.default_rng(1).standard_normal((300, 8)), [f"s{n}" for n in range(300)])
    assert "index.wait() makes it" in index.health().problems[0]
    index.wait()
    assert index.health().ok


# ---- threads and processes


def test_eight_threads_read_while_two_write(folder):
    index = created(folder, metadata={"n": list(range(40))}, index_rows=300)
    other = vecsearch.connect("t", backend="lancedb", path=folder)
    errors, done = [], threading.Event()

    def write(target, prefix):
        try:
            for turn in range(12):
                rows = np.random.default_rng(turn).standard_normal((50, 8))
                target.add_to_index(
                    rows, [f"{prefix}{n}" for n in range(50)], metadata={f"f{prefix}{turn % 3}": [turn] * 50}
                )
                target.remove_from_index(sample_ids=[f"{prefix}{turn}"])
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    def read(target):
        try:
            while not done.is_set():
                assert len(target.search(VECTORS[:3], 5)[2]) == 5
                assert len(target.search(VECTORS[0], 40, filter=F("n") < 40, exact=True)[0]) == 40
                assert target.get_embeddings(sample_ids=IDS[:5]).embeddings.tobytes() == VECTORS[:5].tobytes()
                assert target.count(filter=F("n") >= 0) == 40
                assert sum(len(batch.sample_ids) for batch in target.iter_embeddings(20)) >= 40
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    readers = [threading.Thread(target=read, args=(target,)) for target in (index, other) * 4]
    writers = [threading.Thread(target=write, args=pair) for pair in ((index, "a"), (other, "b"))]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert errors == []
    assert len(index) == len(other) == 40 + 2 * 49


def test_writers_of_the_same_new_rows_do_not_double_them(folder):
    created(folder).close()
    indexes = [vecsearch.connect("t", backend="lancedb", path=folder) for _ in range(4)]
    ids = [f"new{n}" for n in range(100)]
    errors = []

    def write(index, seed):
        try:
            for turn in range(5):
                index.add_to_index(np.random.default_rng(seed + turn).standard_normal((100, 8)), ids)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=write, args=(index, 10 * n)) for n, index in enumerate(indexes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(indexes[0]) == 140
    assert len(set(indexes[1].ids())) == 140


def test_a_writer_that_is_killed_leaves_whole_batches(folder):
    created(folder).close()
    code = """if True:
        import sys, numpy as np, vecsearch
        index = vecsearch.connect("t", backend="lancedb", path=sys.argv[1])
        for turn in range(10_000):
            rows = np.full((100, 8), turn + 1.0)
            index.add_to_index(rows, [f"k{n}" for n in range(100)], metadata={"turn": [turn] * 100})
            print(turn, flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if int(line) >= 5:
            break
    child.kill()
    child.wait()
    child.stdout.close()
    index = vecsearch.connect("t", backend="lancedb", path=folder)
    assert len(index) == 140
    turns = {row["turn"] for row in index.get_metadata(sample_ids=[f"k{n}" for n in range(100)]).values()}
    assert len(turns) == 1
    assert index.add_to_index(VECTORS[:1], ["after"]).written == 1


# ---- object stores


@pytest.fixture
def store():
    with S3StandIn() as running:
        yield running


def in_store(store, rows=40, **settings):
    settings = {
        "uri": "s3://bucket/tables",
        "storage_options": store.options(),
        "embeddings": VECTORS[:rows],
        "sample_ids": IDS[:rows],
        "index_name": "t",
        **settings,
    }
    return vecsearch.compute_similarity(backend="lancedb", **settings)


def test_a_table_in_a_store(store):
    index = in_store(store, key="stored", metadata={"n": list(range(40))})
    other = vecsearch.connect("t", backend="lancedb", uri="s3://bucket/tables", storage_options=store.options())
    other.add_to_index(VECTORS[:1], ["new"], documents=["text"])
    assert (len(index), index.search(VECTORS[7], 1)[0].ids.tolist()) == (41, ["r7"])
    assert index.remove_from_index(filter=F("n") < 10) == 10
    assert len(other) == 31
    other.cleanup()
    assert not [name for name in store.objects if "t.lance" in name]
    with pytest.raises(IndexNotFoundError):
        index.count()


@pytest.mark.parametrize(
    "call",
    [
        lambda index: index.search(VECTORS[0], 3),
        lambda index: index.search(VECTORS[0], 3, filter=F("n") == 1),
        len,
        lambda index: index.get_embeddings(sample_ids=IDS[:2]),
        lambda index: index.add_to_index(VECTORS[:1], ["new"]),
        lambda index: index.remove_from_index(sample_ids=IDS[:2]),
        lambda index: list(index.iter_embeddings(10)),
        lambda index: index.cleanup(),
        None,
    ],
)
def test_a_store_that_does_not_answer_is_given_up_in_time(store, call):
    index = None if call is None else in_store(store, timeout=2.0, metadata={"n": list(range(40))})
    store.delay = 20.0
    started = time.monotonic()
    with pytest.raises(ConnectionFailedError) as caught:
        in_store(store, timeout=2.0) if call is None else call(index)
    assert time.monotonic() - started < 2 + SLACK
    one_line(caught.value)
    if index is not None:
        index.close()
    assert time.monotonic() - started < 2 + 2 * SLACK


@pytest.mark.parametrize("status", [401, 403])
def test_a_store_that_refuses_the_keys(store, status):
    store.fail(*[Answer(status, b"")] * 1000)
    with pytest.raises(AccessDeniedError, match=str(status)) as caught:
        in_store(store, timeout=5.0)
    assert store.requests
    chain, texts = caught.value, []
    while chain is not None:
        texts.append(f"{chain} {chain!r}")
        chain = chain.__cause__
    assert store.options()["aws_secret_access_key"] not in "".join(texts)
    one_line(caught.value)


def test_a_store_that_is_busy_is_asked_again(store):
    store.fail(*[Answer(503, b"")] * 1000)
    with pytest.raises(ConnectionFailedError, match=r"503|no answer"):
        in_store(store, timeout=2.0)
    assert len(store.requests) > 2


def test_a_store_that_stays_away_in_mid_ingest_leaves_an_account(store):
    index = in_store(store, rows=5, timeout=2.0, batch_rows=5, workers=1)
    held = store.answer

    def full(request):
        written = sum(name.endswith(".lance") for name in store.objects)
        return held(request) if request.method != "PUT" or written < 8 else Answer(507, b"the bucket is full")

    store.answer = full
    many = np.random.default_rng(1).standard_normal((100, 8)).astype(np.float32)
    ids = [f"new {number}" for number in range(100)]
    with pytest.raises(IngestError) as caught:
        index.add_to_index(many, ids)
    one_line(caught.value)
    assert 0 < caught.value.written < 100
    assert len(index) == 5 + caught.value.written
    store.answer = held
    ((start, stop),) = caught.value.remaining
    index.add_to_index(many[start:stop], ids[start:stop])
    assert len(index) == 105


def test_the_keys_of_a_store_are_not_shown(tmp_path):
    index = vecsearch.compute_similarity(
        backend="lancedb",
        uri=str(tmp_path / "lance"),
        storage_options={"aws_secret_access_key": "planted-secret"},
        embeddings=False,
        key="quiet",
    )
    records = "".join(path.read_text() for path in (tmp_path / "home" / "runs").glob("*.json"))
    assert records
    assert "planted" not in records + repr(index.config) + repr(index)


# ---- texts of the engine


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Table 'x' was not found", "not_found"),
        ("lance error: Not found: tmp/a.lance/_versions, /r/.cargo/registry/src/i/commit.rs:653:26", "not_found"),
        ("lance error: Not found: tmp/a.lance/data/0.lance, /r/.cargo/registry/src/i/x.rs:1:2", None),
        ("Table 'x' already exists", "exists"),
        (
            "lance error: Retryable commit conflict for version 23: preempted. Please retry., /a/.cargo/registry/b",
            "unavailable",
        ),
        ("lance error: Too many concurrent writers. Attempted 10 times", "unavailable"),
        (
            "{ method: GET, uri: Some(http://h/b), inner: Status { status: 403, body: None } }",
            "denied",
        ),
        (
            "{ method: PUT, uri: Some(http://h/b), inner: Status { status: 429, body: None } }",
            "rate_limited",
        ),
        ("Invalid input, num_sub_vectors must divide vector dimension 32, but got 7", None),
        ("LanceError(IO): Generic LocalFileSystem error: No space left on device (os error 28)", "storage"),
        ("Permission denied (os error 13)", "storage"),
    ],
)
def test_what_texts_mean(text, fault):
    assert meaning(text) == fault
    assert ".cargo" not in words(text)


def test_what_is_left_of_a_long_text():
    text = (
        'x { y { method: GET, uri: Some(http://h/b?c), retries: 3, inner: Status { status: 503, body: Some("no") } }) }'
    )
    assert words(text) == 'GET http://h/b?c: Status { status: 503, body: Some("no")'
    assert len(words("y" * 5000)) < 500
