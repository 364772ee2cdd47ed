"""What users hear when Databricks is away, slow, throttles, or does half of it; and that nothing is lost."""

from __future__ import annotations

import time

import numpy as np
import pytest
from engines import require

require("mosaic")

import vecsearch
from vecsearch.errors import (
    AccessDeniedError,
    BackendError,
    ConfigError,
    ConnectionFailedError,
    NotVisibleYetError,
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
)
from vecsearch.testing.standins.mosaic import MosaicStandIn

VECTORS = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
IDS = [f"row {number}" for number in range(40)]


@pytest.fixture
def server():
    with MosaicStandIn() as started:
        yield started


def created(server, rows=40, **more):
    settings = {"backend": "mosaic", **server.settings(), **more}
    return vecsearch.compute_similarity(
        embeddings=VECTORS[:rows], sample_ids=IDS[:rows], metadata=[{"n": n} for n in range(rows)], **settings
    )


def one_line(error):
    text = str(error)
    assert "\n" not in text, text
    assert len(text) < 600
    assert "stand-in-token" not in text
    return text


def nearest(index):
    return index.search(VECTORS[0], 3)[0].ids.tolist()


def contents(index):
    held = index.get_embeddings()
    return dict(zip(held.sample_ids.tolist(), held.embeddings, strict=True))


# ---- what passes


@pytest.mark.parametrize(
    "fault", [refused(500), refused(429, retry_after=1), refused(503), DROPPED, LOST, CUT, BAD_JSON]
)
@pytest.mark.parametrize("route", ["query", "upsert", "delete", "scan"])
def test_what_passes_is_waited_for(server, fault, route):
    index = created(server, timeout=20.0)
    server.fail(fault, route=route)
    if route == "query":
        assert nearest(index)[0] == "row 0"
    elif route == "upsert":
        index.add_to_index(VECTORS[:2] * 2, ["row 0", "new"])
    elif route == "delete":
        assert index.remove_from_index(sample_ids=["row 39"]) == 1
    else:
        assert len(index) == 40
    assert server.faults.met[fault.name] == 1
    held = contents(index)
    wanted = dict(zip(IDS, VECTORS, strict=True))
    wanted |= {"row 0": VECTORS[0] * 2, "new": VECTORS[1] * 2} if route == "upsert" else {}
    wanted = {name: vector for name, vector in wanted.items() if route != "delete" or name != "row 39"}
    assert set(held) == set(wanted)
    assert all(np.allclose(held[name], vector, rtol=1e-5) for name, vector in wanted.items())
    index.close()


@pytest.mark.parametrize("fault", [LOST, CUT, DROPPED, refused(503)])
def test_an_index_whose_creation_was_not_heard_of_is_ours(server, fault):
    server.fail(fault, route="create")
    index = created(server, timeout=20.0)
    assert len(server.indexes) == 1
    assert len(index) == 40
    index.cleanup()
    assert not server.indexes
    index.close()


def test_an_index_of_others_is_not_taken_for_ours(server):
    created(server, index_name="taken").close()
    with pytest.raises(vecsearch.IndexExistsError):
        created(server, index_name="taken")
    index = vecsearch.connect("taken", backend="mosaic", **server.settings())
    assert len(index) == 40
    index.close()


def test_an_ingest_among_failures_is_exact(server):
    server.fail_at_random(0.1, 3, [refused(503), refused(429, retry_after=0), DROPPED, LOST, CUT, BAD_JSON])
    many = np.random.default_rng(1).standard_normal((1000, 8)).astype(np.float32)
    ids = [f"id {number}" for number in range(1000)]
    index = created(server, timeout=60.0, batch_rows=20)
    assert index.add_to_index(many, ids).written == 1000
    server.fail_at_random(0.0, 0)
    assert sum(server.faults.met.values()) > 4
    held = contents(index)
    assert sorted(held) == sorted(IDS + ids)
    assert all(np.allclose(held[name], vector, rtol=1e-5) for name, vector in zip(ids, many, strict=True))
    index.close()


# ---- what does not


def test_a_workspace_that_is_down(server):
    server.stop()
    started = time.monotonic()
    with pytest.raises(ConnectionFailedError, match="is it running") as caught:
        created(server, timeout=1.0)
    assert time.monotonic() - started < 10
    one_line(caught.value)


def test_a_workspace_that_is_too_slow(server):
    index = created(server, timeout=1.0)
    server.delay = 3.0
    started = time.monotonic()
    with pytest.raises(ConnectionFailedError) as caught:
        nearest(index)
    assert time.monotonic() - started < 10
    one_line(caught.value)
    server.delay = 0.0
    index.close()


def test_a_pause_longer_than_the_call_is_not_slept(server):
    index = created(server, timeout=1.5)
    server.fail_at_random(1.0, 0, [refused(429, retry_after=3600)])
    started = time.monotonic()
    with pytest.raises(ConnectionFailedError, match=r"pause of 36\d\d s") as caught:
        nearest(index)
    assert time.monotonic() - started < 8
    assert "it asks for fewer calls" in one_line(caught.value)
    server.fail_at_random(0.0, 0)
    index.close()


@pytest.mark.parametrize("status", [503, 500])
def test_an_outage_that_lasts(server, status):
    index = created(server, timeout=1.5)
    server.fail_at_random(1.0, 0, [refused(status)])
    with pytest.raises(ConnectionFailedError, match=f"planned: {status}") as caught:
        nearest(index)
    one_line(caught.value)
    server.fail_at_random(0.0, 0)
    index.close()


def test_credentials_that_are_not_taken(server):
    with pytest.raises(AccessDeniedError, match="credentials") as caught:
        created(server, personal_access_token="wrong-token-8471")  # noqa: S106  planted
    assert "wrong-token-8471" not in one_line(caught.value)
    index = created(server)
    server.fail(EXPIRED, route="query")
    with pytest.raises(AccessDeniedError):
        nearest(index)
    index.close()


def test_what_the_service_refuses_is_said_once(server):
    index = created(server)
    before = len(server.requests)
    server.fail(refused(400), refused(400), route="query")
    with pytest.raises(BackendError, match="planned: 400") as caught:
        index.search(VECTORS[0], 3, include=())
    assert len(server.requests) == before + 1
    one_line(caught.value)
    index.close()


# ---- half of a batch


def test_rows_that_were_not_taken_are_named(server):
    index = created(server)
    server.fail(PARTIAL, route="upsert")
    with pytest.raises(BackendError, match=r"write: PARTIAL_SUCCESS: of 4 rows 2 .*'c', 'd'") as caught:
        index.add_to_index(VECTORS[:4], ["a", "b", "c", "d"])
    one_line(caught.value)
    index.add_to_index(VECTORS[:4], ["a", "b", "c", "d"])
    assert len(index) == 44
    server.fail(PARTIAL, route="delete")
    with pytest.raises(BackendError, match=r"delete: PARTIAL_SUCCESS.*'c', 'd'"):
        index.remove_from_index(sample_ids=["a", "b", "c", "d"])
    assert index.remove_from_index(sample_ids=["a", "b", "c", "d"]) == 2
    assert len(index) == 40
    index.close()


def test_pages_that_do_not_end(server):
    index = created(server)
    server.fail(SAME_PAGE, route="query")
    server.fail(SAME_PAGE, route="next page")
    with pytest.raises(BackendError, match="again and again"):
        index.search(VECTORS[0], 100)
    index.add_to_index(np.tile(VECTORS, (30, 1)), [f"more {n}" for n in range(1200)])
    server.fail(SAME_PAGE, SAME_PAGE, SAME_PAGE, route="scan")
    with pytest.raises(BackendError, match="again and again"):
        len(index)
    index.close()


# ---- rows by id


def test_rows_that_queries_leave_out_are_looked_for_again(server):
    index = created(server)
    for times, scans in ((1, 0), (2, 1)):
        server.misses = {"row 5": times}
        before = len(server.requests)
        found = index.get_embeddings(sample_ids=IDS[:10])
        assert found.sample_ids.tolist() == IDS[:10]
        asked = [server.route_name(request) for request in server.requests[before:]]
        assert asked.count("scan") == scans
        assert all(request.json()["num_results"] == 1 for request in server.asked("scan"))
    index.close()


def test_rows_that_are_not_there_cost_no_scan_of_the_index(server):
    index = created(server)
    before = len(server.requests)
    assert not index.contains([f"nobody {number}" for number in range(500)]).any()
    assert {server.route_name(request) for request in server.requests[before:]} == {"query"}
    assert len(server.requests) - before <= 2
    index.close()


def test_answers_that_would_be_too_large_come_in_parts(server):
    index = created(server)
    texts = ["x" * 600_000] * 40
    index.add_to_index(VECTORS, IDS, documents=texts)
    ranking = index.search(VECTORS[0], 40, include=("documents",))[0]
    assert ranking.documents == texts
    assert len(index.get_metadata(sample_ids=IDS)) == 40
    assert len(index) == 40
    index.close()


def test_keys_in_a_url(server):
    server.max_url_bytes = 16 << 10
    keys = [f"{'é' * 1500}{number}" for number in range(60)]
    index = created(server)
    index.add_to_index(np.tile(VECTORS, (2, 1))[:60], keys)
    assert index.remove_from_index(sample_ids=keys) == 60
    assert len(server.asked("delete")) == 60
    index.close()


# ---- endpoints and readiness


def test_an_endpoint_that_is_missing(server):
    with pytest.raises(ConfigError, match="create_endpoint=True"):
        created(server, endpoint_name="nowhere")
    with pytest.raises(ConfigError, match="endpoint_name"):
        created(server, endpoint_name=None)
    assert not server.indexes
    index = created(server, endpoint_name="made", create_endpoint=True, endpoint_type="STORAGE_OPTIMIZED")
    assert server.endpoints["made"].type == "STORAGE_OPTIMIZED"
    assert index.capabilities.joins_by_or
    index.close()


def test_what_is_not_ready_is_waited_for(server):
    server.ready_after = 0.5
    index = created(server, endpoint_name="made", create_endpoint=True)
    assert nearest(index)[0] == "row 0"
    index.close()
    server.ready_after = 60.0
    with pytest.raises(BackendError, match="PROVISIONING after"):
        created(server, endpoint_name="slow", create_endpoint=True, ready_timeout=0.6)


def test_an_endpoint_that_is_off(server):
    server.endpoints["stand-in"].state = "OFFLINE"
    with pytest.raises(BackendError, match="OFFLINE"):
        created(server)
    server.endpoints["stand-in"].state = "RED_STATE"
    with pytest.raises(BackendError, match="RED_STATE"):
        created(server)


def test_health_says_what_the_service_says(server):
    index = created(server)
    assert index.health().ok
    server.endpoints["stand-in"].state = "YELLOW_STATE"
    assert "YELLOW_STATE" in " ".join(index.health().problems)
    index.close()


# ---- late writes


def test_an_overwritten_row_is_seen_as_it_was_last_written(server):
    index = created(server)
    server.lag = 0.4
    for number in range(3):
        index.set_metadata([{"n": f"changed {number}"}], ["row 3"], mode="replace")
        assert index.get_metadata(sample_ids=["row 3"]) == {"row 3": {"n": f"changed {number}"}}
    assert index.remove_from_index(sample_ids=["row 3"]) == 1
    assert not index.contains(["row 3"]).any()
    index.close()


def test_a_write_that_is_not_seen_in_time(server):
    index = created(server, timeout=2.0)
    server.lag = 60.0
    with pytest.raises(NotVisibleYetError, match="written"):
        index.add_to_index(VECTORS[:1], ["late"])
    index.add_to_index(VECTORS[:1], ["later"], wait=False)
    index.close()


def test_the_figure_of_the_service_is_taken_where_it_is_trusted(server):
    index = created(server, trust_row_count=True)
    before = len(server.asked("scan"))
    assert len(index) == 40
    index.clear()
    assert len(index) == 0
    assert len(server.asked("scan")) == before + 2  # those of clear: a page, and the end
    index.close()
