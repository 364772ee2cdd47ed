"""A client is made once, when it is needed, and closed only by whoever made it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import BaseModel

from vecsearch.backends._clients import Client
from vecsearch.backends.base import BackendConfig, GivenClient
from vecsearch.masking import public_config
from vecsearch.testing import own_server


class Config(BackendConfig):
    elsewhere = frozenset({"url", "client"})
    path: str | None = None
    url: str | None = None
    client: GivenClient = None


def test_it_is_made_once_and_closed_once():
    made, closed = [], []
    client = Client(None, lambda: made.append(object()) or made[-1], closed.append)
    assert made == []
    client.close()
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: client.get(), range(8)))
    assert set(got) == set(made)
    client.close()
    client.close()
    assert closed == made
    assert len(made) == 1


def test_one_that_was_given_is_used_and_stays_open():
    given, closed = object(), []
    client = Client(given, lambda: pytest.fail("none is made"), closed.append)
    assert client.get() is given
    client.close()
    assert closed == []


def test_what_fails_is_tried_again():
    answers = iter([OSError("no"), "yes"])

    def make():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    client = Client(None, make, lambda _: None)
    with pytest.raises(OSError, match="no"):
        client.get()
    assert client.get() == "yes"


def test_one_that_is_still_being_made_is_ended_when_it_is_there():
    begun, may_end, closed = threading.Event(), threading.Event(), []

    def make():
        begun.set()
        may_end.wait(20)
        return "late"

    client = Client(None, make, closed.append)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(client.get)
        begun.wait(20)
        client.close()  # does not wait for it
        may_end.set()
        with pytest.raises(RuntimeError, match="closed before"):
            late.result(20)
    assert closed == ["late"]


def test_a_given_client_is_neither_recorded_nor_shown():
    class Secretive(BaseModel):
        hidden: str = "t0ken"

    config = Config(client=Secretive(), index_name="a")
    assert public_config(config) == {"index_name": "a"}
    assert "t0ken" not in repr(config)


def test_a_path_is_made_where_nothing_else_says_where():
    assert Config().wants_path
    assert not Config(path="here").wants_path
    assert not Config(url="http://localhost").wants_path
    assert not Config(client=object()).wants_path
    assert not BackendConfig().wants_path


def test_the_environment_names_a_server(monkeypatch):
    assert own_server("nosuch") == {}
    monkeypatch.setenv("VECSEARCH_TEST_NOSUCH_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("VECSEARCH_TEST_NOSUCH_HNSW_CONFIG", '{"m": 16}')
    monkeypatch.setenv("VECSEARCH_TEST_NOSUCHER_URL", "another")
    assert own_server("nosuch") == {"url": "http://127.0.0.1:1", "hnsw_config": {"m": 16}}
