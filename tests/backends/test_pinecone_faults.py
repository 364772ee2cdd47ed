"""What users hear when Pinecone is away, slow, busy, or half done: one clear error each, and what is in is known."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import threading
import time

import pytest
from engines import require

require("pinecone")

import numpy as np

import vecsearch
from vecsearch.errors import (
    AccessDeniedError,
    BackendError,
    ConfigError,
    ConnectionFailedError,
    IndexExistsError,
    IndexNotFoundError,
    IngestError,
    NotVisibleYetError,
    UnsupportedError,
)
from vecsearch.testing.standins.faults import (
    BAD_JSON,
    CUT,
    DROPPED,
    EXPIRED,
    LOST,
    PARTIAL,
    SAME_PAGE,
    refused,
    slow,
)
from vecsearch.testing.standins.lag import Clock
from vecsearch.testing.standins.pinecone import PineconeStandIn

KEY = "planted-pc-k3y"
VECTORS = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
IDS = [f"row {number:02}" for number in range(40)]
# The client counts the failures of a host in this process, and stops to repeat calls: each test has a host of its own.
HOSTS = (f"127.0.1.{number}" for number in itertools.count(1))


def serving(**more):
    return PineconeStandIn(next(HOSTS), api_key=KEY, **more)


@pytest.fixture
def server():
    with serving() as started:
        yield started


def created(server, rows=40, **more):
    columns = {"embeddings": VECTORS[:rows], "sample_ids": IDS[:rows]} if rows else {"embeddings": False}
    return vecsearch.compute_similarity(
        **{"backend": "pinecone", **server.settings(), **columns, "timeout": 20.0, **more}
    )


def one_line(error):
    text = str(error)
    assert "\n" not in text, text
    assert len(text) < 600
    assert KEY not in text
    return text


def assert_whole(index, rows=40):
    assert index.ids().tolist() == IDS[:rows]
    assert np.array_equal(index.get_embeddings(sample_ids=IDS[:rows]).embeddings, VECTORS[:rows])


BRIEF = {"429": refused(429, retry_after=0.05), "503": refused(503), "dropped": DROPPED, "cut": CUT, "lost": LOST}


@pytest.mark.parametrize("fault", BRIEF.values(), ids=BRIEF)
@pytest.mark.parametrize("route", ["upsert", "query", "fetch", "list", "delete", "describe"])
def test_what_passes_is_not_heard_of(server, fault, route):
    index = created(server, rows=30)
    server.fail(fault, route=route)
    if route == "describe":
        index.close()
        index = vecsearch.connect(index.config.index_name, backend="pinecone", **server.settings())
    index.add_to_index(VECTORS[30:], IDS[30:])
    assert index.search(VECTORS[3], 5)[0].ids[0] == IDS[3]
    assert index.remove_from_index(sample_ids=IDS[-1:]) == 1
    index.add_to_index(VECTORS[-1:], IDS[-1:])
    assert_whole(index)
    assert sum(server.faults.met.values()) == 1
    index.close()


@pytest.mark.parametrize("fault", [LOST, CUT, DROPPED, refused(503)], ids=lambda fault: fault.name)
def test_an_index_is_made_once(server, fault):
    server.fail(fault, route="create")
    index = created(server, index_name="photos")
    assert list(server.indexes) == ["photos"]
    assert_whole(index)
    index.close()


def test_an_index_of_somebody_else_is_not_taken_for_ours(server):
    created(server, index_name="photos").close()
    server.fail(refused(404), refused(404), route="describe")  # it was made between our look and our request
    with pytest.raises(IndexExistsError, match="photos") as caught:
        created(server, index_name="photos")
    one_line(caught.value)


def test_a_batch_of_which_a_part_is_taken(server):
    index = created(server, rows=0, dim=8)
    server.fail(PARTIAL, route="upsert")
    with pytest.raises(BackendError, match=r"20 of 40 rows .*row 00.*row 39") as caught:
        index.add_to_index(VECTORS, IDS)
    one_line(caught.value)
    index.add_to_index(VECTORS, IDS)
    assert_whole(index)
    index.close()


def test_a_part_of_an_ingest_is_accounted_for(server):
    index = created(server, rows=0, dim=8, batch_rows=10, workers=1)
    server.fail(slow(0), PARTIAL, route="upsert")
    with pytest.raises(IngestError, match="5 of 10 rows") as caught:
        index.add_to_index(VECTORS, IDS)
    assert (caught.value.written, caught.value.remaining) == (10, [(10, 40)])
    index.add_to_index(VECTORS[10:], IDS[10:])
    assert_whole(index)
    index.close()


@pytest.mark.parametrize("route", ["query", "fetch", "upsert", "list"])
def test_an_answer_that_is_no_answer(server, route):
    index = created(server)
    server.fail(BAD_JSON, route=route)
    with pytest.raises(BackendError, match="pinecone") as caught:
        {
            "query": lambda: index.search(VECTORS[0], 3),
            "fetch": lambda: index.get_embeddings(sample_ids=IDS[:3]),
            "upsert": lambda: index.add_to_index(VECTORS, IDS),
            "list": index.count,
        }[route]()
    one_line(caught.value)
    assert_whole(index)
    index.close()


def test_credentials_that_are_wrong_or_expire(server):
    index = created(server)
    for route, call in (
        ("query", lambda: index.search(VECTORS[0], 3)),
        ("upsert", lambda: index.add_to_index(VECTORS, IDS)),
    ):
        server.fail(EXPIRED, route=route)
        with pytest.raises(AccessDeniedError, match="check the credentials") as caught:
            call()
        one_line(caught.value)
    index.close()
    with pytest.raises(AccessDeniedError, match="Invalid API Key") as caught:
        created(server, api_key="wr0ng-s3cret")
    assert "wr0ng" not in one_line(caught.value)


def test_no_key_at_all(server, monkeypatch):
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="PINECONE_API_KEY"):
        vecsearch.connect("photos", backend="pinecone", host=server.url)
    monkeypatch.setenv("PINECONE_API_KEY", KEY)
    with pytest.raises(IndexNotFoundError):
        vecsearch.connect("photos", backend="pinecone", host=server.url)


@pytest.mark.parametrize("route", ["list", "fetch by metadata"])
def test_a_page_that_comes_again_is_not_read_for_ever(server, route):
    index = created(server, metadata=[{"number": number} for number in range(40)])
    server.fail(*[SAME_PAGE] * 50, route=route)
    with pytest.raises(BackendError, match="again and again"):
        index.count(None if route == "list" else vecsearch.F("number") >= 0)
    assert len(server.asked(route)) < 6
    index.close()


def test_a_slow_service_ends_at_the_deadline(server):
    index = created(server, timeout=1.0)
    server.fail(*[slow(5.0)] * 9, route="query")
    started = time.monotonic()
    with pytest.raises(ConnectionFailedError, match="search") as caught:
        index.search(VECTORS[0], 3)
    assert time.monotonic() - started < 4
    one_line(caught.value)
    index.close()


def test_a_service_that_asks_for_a_minute_is_not_waited_for(server):
    index = created(server, timeout=1.0)
    for route, call in (
        ("query", lambda: index.search(VECTORS[0], 3)),
        ("upsert", lambda: index.add_to_index(VECTORS, IDS)),
        ("delete", lambda: index.remove_from_index(sample_ids=IDS[:3])),
    ):
        server.fail(*[refused(429, retry_after=60)] * 3, route=route)
        started = time.monotonic()
        with pytest.raises(ConnectionFailedError, match="no answer within 1 s"):
            call()
        assert time.monotonic() - started < 4
    index.close()


def test_a_service_that_is_down(server):
    index = created(server)
    server.stop()
    timer = threading.Timer(0.6, server.start)
    timer.start()
    assert index.search(VECTORS[0], 3)[0].ids[0] == IDS[0]
    timer.join()
    server.stop()
    with pytest.raises(ConnectionFailedError, match="is it running") as caught:
        vecsearch.connect(index.config.index_name, backend="pinecone", **server.settings(), timeout=1.0)
    one_line(caught.value)
    server.start()
    index.close()


def test_an_index_that_takes_its_time(server):
    server.ready_after = 0.4
    index = created(server)
    assert_whole(index)
    assert len(server.asked("describe")) > 2
    server.ready_after = 60.0
    with pytest.raises(ConnectionFailedError, match="still Initializing after 1 s") as caught:
        created(server, timeout=1.0)
    one_line(caught.value)
    index.close()


def test_an_index_that_is_gone(server):
    index = created(server, index_name="photos")
    server.indexes.clear()
    for call in (
        lambda: index.search(VECTORS[0], 3),
        index.count,
        lambda: index.get_embeddings(sample_ids=IDS[:2]),
        lambda: index.add_to_index(VECTORS, IDS),
        lambda: list(index.iter_embeddings(10)),
    ):
        with pytest.raises(IndexNotFoundError, match="photos") as caught:
            call()
        one_line(caught.value)
    index.cleanup()
    index.close()


@pytest.mark.parametrize("numbered", [True, False], ids=["by number", "by asking"])
def test_writes_that_are_seen_late(server, numbered):
    server.says_lsn = numbered
    index = created(server)
    server.lag = 0.4
    started = time.monotonic()
    index.add_to_index(VECTORS[:1], ["new"])
    assert time.monotonic() - started >= 0.4
    assert index.search(VECTORS[0], 2)[0].ids.tolist() == ["new", IDS[0]]
    assert index.count() == 41
    started = time.monotonic()
    assert index.remove_from_index(sample_ids=["new"]) == 1
    assert time.monotonic() - started >= 0.4
    assert index.search(VECTORS[0], 2)[0].ids[0] == IDS[0]
    assert_whole(index)
    index.close()


def test_a_row_that_is_replaced_is_waited_for(server):
    index = created(server)
    server.lag = 0.3
    index.add_to_index(-VECTORS[:1], IDS[:1])
    assert np.array_equal(index.get_embeddings(sample_ids=IDS[:1]).embeddings, -VECTORS[:1])
    index.close()


def test_writes_that_are_never_seen():
    clock = Clock()
    with serving(clock=clock) as server:
        index = created(server, timeout=1.0)
        server.lag = 10.0
        with pytest.raises(NotVisibleYetError, match="not visible after 1 s"):
            index.add_to_index(VECTORS[:1], ["new"])
        clock.advance(10)
        index.wait()
        assert "new" in index.ids()
        index.close()


def test_a_service_without_fetch_by_metadata():
    with serving(fetches_by_metadata=False) as server:
        index = created(server, metadata=[{"number": float(number)} for number in range(40)])
        few, many = vecsearch.F("number") < 3, vecsearch.F("number") < 30
        assert len(index.search(VECTORS[0], 5, filter=many)[0]) == 5
        with pytest.raises(UnsupportedError, match="allow_scan"):
            index.count(few)
        with pytest.raises(UnsupportedError, match="whether there are more is not known"):
            index.search(VECTORS[0], 5, filter=few)
        assert index.count(few, allow_scan=True) == 3
        assert sorted(index.search(VECTORS[0], 5, filter=few, allow_scan=True)[0].ids) == IDS[:3]
        index.close()


def test_an_index_with_other_namespaces_is_not_deleted(server):
    index = created(server, index_name="photos", namespace="mine")
    data = index.client.index(host=index.client.indexes.describe("photos").host)
    data.upsert(vectors=[{"id": "a", "values": [1.0] * 8}], namespace="theirs")
    data.close()
    with pytest.raises(UnsupportedError, match="theirs"):
        index.cleanup()
    assert index.clear() == 40
    assert server.indexes["photos"].namespaces["theirs"].seen()
    index.close()


def test_deletion_protection_is_kept(server):
    index = created(server, index_name="photos", deletion_protection="enabled")
    with pytest.raises(AccessDeniedError, match="Deletion protection"):
        index.cleanup()
    index.close()


def test_the_key_is_nowhere(server, caplog, tmp_path, monkeypatch):
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path))
    caplog.set_level(logging.DEBUG)
    index = created(server, key="planted", timeout=5.0)
    index.search(VECTORS[0], 3)
    texts = [repr(index), repr(index.config), str(index.config), repr(index.client), repr(index.health())]
    for fault in (refused(400), refused(403), BAD_JSON, EXPIRED):
        # A 400 may mean that the answer would be too large: then less is asked for, once.
        server.fail(*[fault] * (2 if fault.status == 400 else 1), route="query")
        with pytest.raises(BackendError) as caught:
            index.search(VECTORS[0], 3)
        error = caught.value
        while error is not None:
            texts += [str(error), repr(error)]
            error = error.__cause__ or error.__context__
    index.close()
    texts += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    texts += [record.getMessage() for record in caplog.records]
    texts += [f"{request.path} {request.pairs} {request.body!r}" for request in server.requests]
    assert len(texts) > 50
    assert [text for text in texts if KEY in text] == []
    assert all(request.headers["api-key"] == KEY for request in server.requests)


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("raise Exception('pinecone-client has been renamed to pinecone')", "renamed"),
        ("__version__ = '7.3.0'", "pinecone"),
        ("", "pinecone"),
    ],
    ids=["stub", "old", "remains"],
)
def test_the_old_package_beside_the_client(tmp_path, package, said):
    (tmp_path / "pinecone").mkdir()
    (tmp_path / "pinecone" / "__init__.py").write_text(package)
    (tmp_path / "pinecone_client-6.0.0.dist-info").mkdir()
    (tmp_path / "pinecone_client-6.0.0.dist-info" / "METADATA").write_text("Name: pinecone-client\nVersion: 6.0.0\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import vecsearch\n"
        "try: vecsearch.connect('x', backend='pinecone')\n"
        "except vecsearch.MissingDependencyError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert said in done.stdout
    assert "pip uninstall -y pinecone-client pinecone" in done.stdout
