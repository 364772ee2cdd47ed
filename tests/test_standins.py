"""What stand-ins of services are made of: schemas bite, each fault is what it says, writes are seen late."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("jsonschema")

from vecsearch.testing.standins.faults import BAD_JSON, CUT, DROPPED, EXPIRED, LOST, PARTIAL, refused, slow
from vecsearch.testing.standins.http import Answer, RefusalError
from vecsearch.testing.standins.lag import Clock, LaggingRows
from vecsearch.testing.standins.service import Route, ServiceStandIn, record

_PUT = record("id", id={"type": "string"}, vector={"numbers": True})


class Shelf(ServiceStandIn):
    """Takes things and gives them back."""

    protocol, checked_with = "1", "nothing"

    def __init__(self):
        super().__init__()
        self.things = {}

    def routes(self):
        return [
            Route("put", "POST", "/shelves/{shelf}", self.put, _PUT),
            Route("get", "GET", "/shelves/{shelf}/{thing}", self.get, parameters=frozenset({"ids"})),
        ]

    def put(self, call):
        if call.meets(PARTIAL):
            return {"taken": 0}
        self.things[call.parts["shelf"], call.body["id"]] = call.body
        return {"taken": 1}

    def get(self, call):
        thing = self.things.get((call.parts["shelf"], call.parts["thing"]))
        if thing is None:
            raise RefusalError(404, "no such thing")
        return {"thing": thing, "ids": call.values("ids")}


@pytest.fixture
def shelf():
    with Shelf() as started:
        yield started


def ask(server, method, path, body=None):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, content)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def put(server, thing="x", **more):
    return ask(server, "POST", "/shelves/a", {"id": thing, **more})


def test_routes_and_the_journal(shelf):
    assert put(shelf, vector=[1, 2.5])[0] == 200
    status, _, body = ask(shelf, "GET", "/shelves/a/x?ids=1&ids=2")
    assert (status, json.loads(body)["ids"]) == (200, ["1", "2"])
    assert ask(shelf, "GET", "/shelves/a/y")[0] == 404
    assert ask(shelf, "GET", "/shelves")[0] == 404
    assert [request.json()["id"] for request in shelf.asked("put")] == ["x"]
    assert len(shelf.asked("get")) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "no JSON"),
        ({}, "id"),
        ({"id": 1}, r"\$\.id"),
        ({"id": "x", "colour": "red"}, "colour"),
        ({"id": "x", "vector": [1, "2"]}, "finite"),
        ({"id": "x", "vector": [True]}, "finite"),
        (b'{"id": "x", "vector": [NaN]}', "finite"),
    ],
)
def test_a_request_that_does_not_fit_its_schema(shelf, body, said):
    status, _, text = ask(shelf, "POST", "/shelves/a", body)
    assert status == 400
    assert said.replace("\\", "") in text.decode()
    assert shelf.things == {}


def test_unknown_parameters_and_long_urls_are_refused(shelf):
    put(shelf)
    assert ask(shelf, "GET", "/shelves/a/x?id=1")[0] == 400
    shelf.max_url_bytes = 100
    assert ask(shelf, "GET", f"/shelves/a/x?ids={'1' * 100}")[0] == 414


def test_faults_are_met_in_turn_each_by_its_route(shelf):
    shelf.fail(refused(429, retry_after=2), Answer(418, b"tea"), route="put")
    shelf.fail(EXPIRED)
    assert ask(shelf, "GET", "/shelves/a/x")[0] == 401
    status, headers, _ = put(shelf)
    assert (status, headers["Retry-After"]) == (429, "2")
    assert put(shelf)[::2] == (418, b"tea")
    assert shelf.things == {}
    assert put(shelf)[0] == 200
    assert shelf.faults.met == {"429": 1, "418": 1, "expired token": 1}


@pytest.mark.parametrize(("fault", "done"), [(DROPPED, False), (LOST, True)])
def test_a_connection_that_ends_in_silence(shelf, fault, done):
    shelf.fail(fault)
    with pytest.raises(http.client.RemoteDisconnected):
        put(shelf)
    assert bool(shelf.things) == done


def test_answers_that_are_cut_or_garbled(shelf):
    shelf.fail(CUT, BAD_JSON)
    with pytest.raises(http.client.IncompleteRead):
        put(shelf, "x")
    with pytest.raises(json.JSONDecodeError):
        json.loads(put(shelf, "y")[2])
    assert len(shelf.things) == 2


def test_what_the_service_does_itself_reaches_its_route(shelf):
    shelf.fail(PARTIAL, slow(0.05))
    assert json.loads(put(shelf)[2]) == {"taken": 0}
    assert json.loads(put(shelf)[2]) == {"taken": 1}


def test_a_share_of_requests_fails_the_same_way_each_time():
    def statuses(seed):
        with Shelf() as server:
            server.fail_at_random(0.3, seed, (refused(503), refused(500)))
            found = [put(server)[0] for _ in range(200)]
            server.fail_at_random(0, 0)
            assert put(server)[0] == 200
        return found

    once = statuses(7)
    assert once == statuses(7) != statuses(8)
    assert 35 < len(once) - once.count(200) < 85
    assert set(once) == {200, 500, 503}


def test_requests_may_come_from_several_threads(shelf):
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda number: put(shelf, str(number))[0], range(80))) == {200}
    assert len(shelf.things) == len(shelf.requests) == 80


def test_writes_are_seen_when_their_time_has_come():
    clock = Clock()
    rows = LaggingRows(clock, lambda: 2.0)
    assert rows.write({"a": 1, "b": 2}) == 1
    clock.advance(1)
    assert rows.write({"a": None, "c": 3}) == 2
    assert (rows.seen(), rows.indexed, rows.committed) == ({}, 0, 2)
    assert rows.written() == {"b": 2, "c": 3}
    clock.advance(1)
    assert (dict(rows.seen()), rows.indexed) == ({"a": 1, "b": 2}, 1)
    clock.advance(1)
    assert (rows.seen(), rows.indexed) == ({"b": 2, "c": 3}, 2)
