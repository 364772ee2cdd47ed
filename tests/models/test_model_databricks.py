"""Databricks Model Serving through the real SDK and a stand-in: records, base64 images, limits, errors."""

import base64
import json
import logging
import traceback

import numpy as np
import pytest
from engines import require_model
from letters import DIM, count

require_model("databricks")

import vecsearch
from vecsearch import AccessDeniedError, ConfigError, ConnectionFailedError, ModelError, UnsupportedError
from vecsearch.testing.standins.embeddings import EmbeddingStandIn
from vecsearch.testing.standins.http import Answer

TOKEN = "dapi-planted-s3cr3t"  # noqa: S105  a planted one
TEXTS = ["kite", "boat", "sail"]


def images(payloads):
    """Vectors of images: those of the letters that the bytes spell."""
    return count([base64.b64decode(payload, validate=True)[:99].decode("latin-1") for payload in payloads])


@pytest.fixture
def server():
    with EmbeddingStandIn({"clip-text": count, "clip-image": images}, token=TOKEN) as server:
        yield server


@pytest.fixture
def load(server):
    def _load(name="databricks:clip-text", **settings):
        given = {"workspace_url": server.url, "personal_access_token": TOKEN, "timeout": 5.0, **settings}
        return vecsearch.load_model(name, **given)

    return _load


def posted(server):
    return [request for request in server.requests if request.method == "POST"]


def test_texts_are_records_of_input(server, load):
    model = load(batch_size=2)
    np.testing.assert_allclose(model.embed(TEXTS), count(TEXTS))
    first, second = posted(server)
    assert first.path == ("serving-endpoints", "clip-text", "invocations")
    assert first.json() == {"dataframe_records": [{"input": "kite"}, {"input": "boat"}]}
    assert second.json() == {"dataframe_records": [{"input": "sail"}]}


def test_images_are_indexed_and_texts_are_queries(server, load, tmp_path):
    (tmp_path / "boat.jpg").write_bytes(b"boat")
    model = load("databricks:clip-image", modality="image", prompt_endpoint="clip-text")
    samples = {"path": str(tmp_path / "boat.jpg"), "bytes": b"kite"}
    index = vecsearch.compute_similarity(samples, model=model, key="photos")
    assert index.search(text="boat", k=1)[0].ids.tolist() == ["path"]
    assert index.get_documents(["path"]) == {"path": None}  # a path is no document
    assert [request.path[1] for request in posted(server)] == ["clip-image", "clip-text"]
    with pytest.warns(UserWarning, match="'gone': the image .* cannot be read: No such file"):
        index.add_samples([str(tmp_path / "none.jpg"), b"oar"], ["gone", "oar"])
    assert set(index.ids()) == {"path", "bytes", "oar"}
    alone = load("databricks:clip-image", modality="image")
    with pytest.raises(UnsupportedError, match="takes no text queries"):
        alone.embed_prompts(["boat"])


def test_an_image_of_pillow_is_sent_as_png(server, load):
    image = pytest.importorskip("PIL.Image", reason="comes with matplotlib").new("RGB", (3, 3))
    load("databricks:clip-image", modality="image").embed([image])
    sent = posted(server)[0].json()["dataframe_records"][0]["input"]
    assert base64.b64decode(sent).startswith(b"\x89PNG")
    with pytest.raises(ModelError, match="an image is a path, the bytes of a file, or a PIL image, not ndarray"):
        load("databricks:clip-image", modality="image").embed([np.zeros((3, 3, 3))])


def test_requests_stay_under_the_limit_of_bytes(server, load):
    model = load("databricks:clip-image", modality="image", timeout=60.0)
    model.embed([b"a" * 5_000_000] * 4)
    assert [len(request.json()["dataframe_records"]) for request in posted(server)] == [2, 2]
    assert max(len(request.body) for request in posted(server)) <= 16 << 20
    with pytest.raises(ModelError, match=r"a sample takes .* bytes are the most"):
        model.embed([b"a" * 12_000_000])


def test_an_endpoint_that_sleeps_is_waited_for(server, load):
    model = load()
    _ = model.client  # its own requests are not those that fail
    server.fail(*[Answer(503, b'{"error_code": "TEMPORARILY_UNAVAILABLE"}', {"Retry-After": "1"})])
    np.testing.assert_allclose(model.embed(TEXTS), count(TEXTS))
    server.fail(Answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "x"}'))
    np.testing.assert_allclose(model.embed(TEXTS), count(TEXTS))


def test_the_deadline_holds(server, load):
    model = load(timeout=1.0)
    _ = model.client
    server.fail(*[Answer(503, b'{"error_code": "TEMPORARILY_UNAVAILABLE"}', {"Retry-After": "1"})] * 50)
    with pytest.raises(ConnectionFailedError, match="cannot be reached"):
        model.embed(TEXTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: {"predictions": body["predictions"][:2]}, "2 embeddings .* for 3 samples"),
        (lambda body: {"predictions": [*body["predictions"][:2], [1.0]]}, "different lengths"),
        (lambda _: {"predictions": [["x"] * DIM] * 3}, "array of numbers"),
        (lambda _: {"predictions": {"0": 1}}, "array of numbers"),
        (lambda _: {}, "without predictions"),
    ],
)
def test_predictions_that_are_none_are_refused(server, load, change, message):
    server.change = change
    with pytest.raises(ModelError, match=message):
        load().embed(TEXTS)


def test_nan_is_refused(server, load):
    model = load()
    _ = model.client
    server.fail(Answer(200, json.dumps({"predictions": [[float("nan")] * 3] * 3}).encode()))
    with pytest.raises(ModelError, match="NaN"):
        model.embed(TEXTS)


def test_errors_are_ours(load):
    with pytest.raises(ModelError, match="no endpoint clip-txet"):
        load("databricks:clip-txet").embed(TEXTS)
    with pytest.raises(AccessDeniedError, match="refused the credentials: bad token"):
        load(personal_access_token="dapi-wrong").embed(TEXTS)  # noqa: S106  none


def test_half_a_login_is_refused():
    for wrong, message in (
        ({"service_principal_client_id": "me"}, "both"),
        (
            {
                "personal_access_token": TOKEN,
                "service_principal_client_id": "me",
                "service_principal_client_secret": "x",
            },
            "not both",
        ),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            vecsearch.load_model("databricks:clip", **wrong)
        assert TOKEN not in str(caught.value)


def test_no_secret_in_a_record_a_log_or_an_error(server, load, caplog, own_home):
    seen = []
    with caplog.at_level(logging.DEBUG):
        model = load()
        index = vecsearch.compute_similarity(dict(zip("abc", TEXTS, strict=True)), model=model, key="kb")
        seen += [repr(index), repr(model.config), str(index.config)]
        for status, code in ((401, "UNAUTHENTICATED"), (400, "BAD_REQUEST")):
            server.fail(Answer(status, json.dumps({"error_code": code, "message": f"no: {TOKEN}"}).encode()))
            with pytest.raises(vecsearch.VecsearchError) as caught:
                index.search(text="boat")
            seen.append("".join(traceback.format_exception(caught.value)))
    files = [path.read_bytes() for path in own_home.rglob("*") if path.is_file()]
    assert any(b"databricks:clip-text" in content for content in files)
    assert not [content for content in files if TOKEN.encode() in content]
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("vecsearch"))
    assert not [text for text in [*seen, ours] if TOKEN in text]
