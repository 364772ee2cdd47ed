"""OpenAI's protocol, over a real connection to a stand-in: the wire, what is refused, and what is tried again."""

import json
import logging
import traceback

import numpy as np
import pytest
from engines import require_model
from letters import DIM, count

require_model("openai")

import vecsearch
from vecsearch import AccessDeniedError, ConfigError, ConnectionFailedError, ModelError
from vecsearch.testing.standins.embeddings import EmbeddingStandIn
from vecsearch.testing.standins.http import Answer

KEY = "sk-planted-s3cr3t"
TEXTS = ["kite", "boat", "sail", "oar", "mast"]


@pytest.fixture
def server():
    with EmbeddingStandIn({"letters": count}, token=KEY) as server:
        yield server


@pytest.fixture
def load(server):
    def _load(name="openai:letters", **settings):
        given = {"base_url": f"{server.url}/v1/", "api_key": KEY, "timeout": 5.0, **settings}
        return vecsearch.load_model(name, **given)

    return _load


def posted(server):
    return [request.json() for request in server.requests]


def test_vectors_come_by_their_index(server, load):
    model = load(batch_size=2)
    np.testing.assert_allclose(model.embed(TEXTS), count(TEXTS))  # the stand-in answers backwards
    assert posted(server)[0] == {"model": "letters", "input": ["kite", "boat"], "encoding_format": "float"}
    assert [len(body["input"]) for body in posted(server)] == [2, 2, 1]
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert load().fingerprint() == {"name": "openai:letters", "dim": None}


def test_dimensions_shorten_and_make_another_model(server, load):
    model = load(dimensions=5)
    assert model.embed(["kite"]).shape == (1, 5)
    assert posted(server)[0]["dimensions"] == 5
    assert model.fingerprint() == {"name": "openai:letters", "dim": 5, "dimensions": 5}


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_passes_is_tried_again(server, load, status):
    later = Answer(status, b"busy", {"Retry-After": "0.05"})
    server.fail(later, None, later)
    np.testing.assert_allclose(load().embed(TEXTS), count(TEXTS))
    assert len(server.requests) == 4


def test_the_deadline_holds(server, load):
    server.fail(*[Answer(503, b"")] * 100)
    with pytest.raises(ConnectionFailedError, match=r"cannot be reached: http.*/v1 answered 503: Service Unavailable"):
        load(timeout=0.5).embed(TEXTS)


def test_a_wait_beyond_the_deadline_is_not_begun(server, load):
    server.fail(Answer(429, b"", {"Retry-After": "3600"}))
    with pytest.raises(ConnectionFailedError, match="429: Too Many Requests"):
        load().embed(TEXTS)
    assert len(server.requests) == 1


def test_a_server_that_is_down(server, load):
    server.stop()
    with pytest.raises(ConnectionFailedError, match="cannot be reached"):
        load(timeout=0.5).embed(TEXTS)


def test_a_slow_answer_ends_at_the_deadline(server, load):
    server.delay = 1.0
    with pytest.raises(ConnectionFailedError, match="timed out"):
        load(timeout=0.3).embed(TEXTS)


def test_what_does_not_pass_is_told_in_the_words_of_the_service(server, load):
    with pytest.raises(ModelError, match=r"failed on 1 samples: .* answered 404: The model 'lettres' does not exist"):
        load("openai:lettres").embed(["a"])
    with pytest.raises(AccessDeniedError, match="answered 401: bad key"):
        load(api_key="wrong").embed(["a"])
    with pytest.raises(ModelError, match="an empty string") as caught:
        load().embed(["a", ""])
    assert caught.value.of_samples
    assert len(server.requests) == 3


def test_a_text_that_is_refused_is_skipped(load):
    with pytest.warns(UserWarning, match="1 of 4 samples were skipped.* 'b': .*empty string"):
        index = vecsearch.compute_similarity({"a": "kite", "b": "", "c": "boat", "d": "oar"}, model=load())
    assert set(index.ids()) == {"a", "c", "d"}
    assert index.search(text="boat", k=1)[0].ids.tolist() == ["c"]


def _without(body, *keys):
    return {key: value for key, value in body.items() if key not in keys}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: {**body, "data": body["data"][1:]}, "4 embeddings .* for 5 samples"),
        (lambda body: {**body, "data": body["data"] * 2}, "10 embeddings .* for 5 samples"),
        (lambda body: {**body, "data": [{**item, "index": 0} for item in body["data"]]}, "numbered its 5 embeddings"),
        (lambda body: {**body, "data": [{**item, "index": "x"} for item in body["data"]]}, "numbered its 5 embeddings"),
        (lambda body: {**body, "data": [_without(item, "embedding") for item in body["data"]]}, "without data"),
        (lambda body: _without(body, "data"), "without data"),
        (lambda body: [body], "without data"),
        (
            lambda body: {**body, "data": [{**item, "embedding": "AAAA"} for item in body["data"]]},
            "array of numbers",
        ),
        (
            lambda body: {**body, "data": [{**body["data"][0], "embedding": [1.0]}, *body["data"][1:]]},
            "different lengths",
        ),
        (
            lambda body: {**body, "data": [{**item, "embedding": [1e300] * 3} for item in body["data"]]},
            "beyond float32",
        ),
    ],
)
def test_an_answer_that_is_none_is_refused(server, load, change, message):
    server.change = change
    with pytest.raises(ModelError, match=message):
        load().embed(TEXTS)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data": ['])
def test_a_cut_body_is_refused(server, load, body):
    server.fail(Answer(200, body))
    with pytest.raises(ModelError, match="answered 200 with what is no JSON"):
        load().embed(TEXTS)


def test_a_redirect_does_not_carry_the_key_elsewhere(server, load):
    with EmbeddingStandIn({"letters": count}) as elsewhere:
        server.fail(Answer(307, b"", {"Location": f"{elsewhere.url}/v1/embeddings"}))
        with pytest.raises(ModelError, match="answered 307"):
            load().embed(TEXTS)
        assert elsewhere.requests == []


def test_the_width_may_not_change(server, load):
    model = load()
    model.embed(["a"])
    server.change = lambda body: {**body, "data": [{**item, "embedding": [1.0, 2.0]} for item in body["data"]]}
    with pytest.raises(ModelError, match=f"gave 2 dimensions, it has {DIM}"):
        model.embed(["a"])


def test_what_is_no_url_is_refused_where_it_stands():
    with pytest.raises(ConfigError, match="the openai model provider: 'base_url' \\(argument\\): must start with http"):
        vecsearch.load_model("openai:m", base_url="localhost:8000")
    with pytest.raises(ConfigError, match=r"has no setting 'base_ulr' .*did you mean 'base_url'"):
        vecsearch.load_model("openai:m", base_ulr="http://x")


def test_no_secret_in_a_record_a_log_a_repr_or_an_error(server, load, caplog, own_home):
    seen = []
    with caplog.at_level(logging.DEBUG):
        model = load(headers={"X-Tenant": KEY})
        index = vecsearch.compute_similarity(dict(zip("abcde", TEXTS, strict=True)), model=model, key="kb")
        seen += [repr(index), repr(index.config), repr(model), repr(model.config), str(index.get_model())]
        for answer in (
            Answer(401, f"no: {KEY}".encode()),
            Answer(400, json.dumps({"error": KEY}).encode()),
            Answer(404, KEY.encode()),
        ):
            server.fail(answer)
            with pytest.raises(vecsearch.VecsearchError) as caught:
                index.search(text="boat")
            seen.append("".join(traceback.format_exception(caught.value)))
        assert server.requests[0].headers["x-tenant"] == KEY
    files = [path.read_bytes() for path in own_home.rglob("*") if path.is_file()]
    assert any(b"openai:letters" in content for content in files)
    assert not [content for content in files if KEY.encode() in content]
    assert not [text for text in [*seen, caplog.text] if KEY in text]
