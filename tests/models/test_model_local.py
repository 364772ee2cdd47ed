"""sentence-transformers and MLflow, through modules of the same interface: both are too large for a test to install."""

import io
import sys
import types
from typing import ClassVar

import numpy as np
import pytest
from letters import DIM, count

import vecsearch
from vecsearch import ModelError


class FakeSentenceTransformer:
    """The constructor and ``encode`` of sentence-transformers 6.2, whose unknown arguments are errors."""

    made: ClassVar[list] = []
    calls: ClassVar[list] = []

    def __init__(
        self, model_name_or_path, *, device=None, revision=None, truncate_dim=None, local_files_only=False, token=None,
        trust_remote_code=False,
    ):  # fmt: skip
        assert trust_remote_code is False
        if model_name_or_path == "no/such":
            raise OSError("no/such is not a local folder and is not a valid model identifier")
        self.truncate_dim = truncate_dim
        self.made.append((model_name_or_path, device, revision, local_files_only, token))

    def encode(
        self, inputs, prompt_name=None, prompt=None, batch_size=32, show_progress_bar=None, convert_to_numpy=True,
        normalize_embeddings=False,
    ):  # fmt: skip
        self.calls.append(("encode", prompt, batch_size, show_progress_bar))
        texts = [one if isinstance(one, str) else f"image {one.mode}" for one in inputs]
        vectors = count([(prompt or "") + text for text in texts])[:, : self.truncate_dim]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if normalize_embeddings else vectors


class FakeWithPrompts(FakeSentenceTransformer):
    """From version 5 on."""

    def encode_query(self, inputs, prompt=None, **options):
        return self.encode(inputs, prompt="query: " if prompt is None else prompt, **options)

    def encode_document(self, inputs, prompt=None, **options):
        return self.encode(inputs, prompt="passage: " if prompt is None else prompt, **options)


@pytest.fixture(params=[FakeSentenceTransformer, FakeWithPrompts], ids=["old", "new"])
def library(request, monkeypatch):
    module = types.ModuleType("sentence_transformers")
    module.__spec__ = types.SimpleNamespace(name="sentence_transformers")
    module.SentenceTransformer = request.param
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setattr(FakeSentenceTransformer, "made", [])
    monkeypatch.setattr(FakeSentenceTransformer, "calls", [])
    return request.param


def test_texts_and_queries_with_the_models_own_prompts(library):
    model = vecsearch.load_model("sentence-transformers:org/model", device="cpu", token="hf", local_files_only=True)  # noqa: S106
    own = {"passage": "passage: ", "query": "query: "} if library is FakeWithPrompts else {"passage": "", "query": ""}
    np.testing.assert_array_equal(model.embed(["kite"]), count([own["passage"] + "kite"]))
    np.testing.assert_array_equal(model.embed_prompts(["kite"]), count([own["query"] + "kite"]))
    assert library.made == [("org/model", "cpu", None, True, "hf")]  # once
    assert (model.dim, library.calls[0][2:]) == (DIM, (1, False))


def test_instructions_shortening_and_length_make_another_model(library):
    settings = {"prompt": "store: ", "query_prompt": "ask: ", "dimensions": 5, "normalize": True, "revision": "v1"}
    model = vecsearch.load_model("sentence-transformers:org/instructor", **settings)
    found = model.embed(["kite"])
    assert found.shape == (1, 5)
    np.testing.assert_allclose(np.linalg.norm(found), 1, rtol=1e-6)
    model.embed_prompts(["kite"])
    assert [call[1] for call in library.calls] == ["store: ", "ask: "]
    expected = {"name": "sentence-transformers:org/instructor", "dim": 5, "modality": "text", **settings}
    assert model.fingerprint() == expected
    index = vecsearch.compute_similarity({"a": "kite", "b": "boat"}, model=model, key="kb")
    index.close()
    assert vecsearch.load_run("kb").search(text="boat", k=1)[0].ids.tolist() == ["b"]
    other = vecsearch.load_model("sentence-transformers:org/instructor", **{**settings, "prompt": "x"})
    with pytest.raises(vecsearch.InvalidInputError, match=r"the index holds vectors .*\(prompt 'store: '\)"):
        vecsearch.load_run("kb", model=other)


def test_images_of_clip(library, tmp_path):
    image_module = pytest.importorskip("PIL.Image", reason="comes with matplotlib")
    image = image_module.new("RGBA", (2, 2))
    image.save(tmp_path / "a.png")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    model = vecsearch.load_model("sentence-transformers:clip-ViT-B-32", modality="image")
    samples = {"path": str(tmp_path / "a.png"), "bytes": buffer.getvalue(), "pil": image, "broken": b"no image"}
    with pytest.warns(UserWarning, match="'broken': no image can be read from 8 bytes"):
        index = vecsearch.compute_similarity(samples, model=model)
    np.testing.assert_array_equal(index.get_embeddings(["pil", "path"]).embeddings, count(["image RGB"] * 2))
    assert index.search(text="image", k=1)[0].query_kind == "text"
    assert index.get_documents(["path"]) == {"path": None}


def test_a_model_that_is_not_there(library):
    with pytest.raises(ModelError, match="could not be opened: no/such is not a local folder"):
        vecsearch.load_model("sentence-transformers:no/such").embed(["a"])


class FakePyfunc:
    def __init__(self, uri):
        self.uri = uri
        self.asked = []

    def predict(self, data):
        self.asked.append(data)
        if hasattr(data, "columns"):
            import pandas as pd

            rows = count(list(data["text"]))
            return pd.DataFrame({"embedding": list(rows)}) if "one" in self.uri else pd.DataFrame(rows)
        return count(data).tolist()


@pytest.fixture
def mlflow(monkeypatch):
    module = types.ModuleType("mlflow")
    module.__spec__ = types.SimpleNamespace(name="mlflow")
    module.uris = []
    module.set_tracking_uri = module.uris.append
    module.pyfunc = types.SimpleNamespace(load_model=FakePyfunc)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return module


def test_a_pyfunc_of_lists(mlflow):
    model = vecsearch.load_model("mlflow:models:/clip/3", tracking_uri="http://127.0.0.1:1")
    np.testing.assert_array_equal(model.embed(["kite", "boat"]), count(["kite", "boat"]))
    assert (model.client.uri, model.client.asked, mlflow.uris) == (
        "models:/clip/3", [["kite", "boat"]], ["http://127.0.0.1:1"],
    )  # fmt: skip
    index = vecsearch.compute_similarity({"a": "kite", "b": "boat"}, model=model, key="kb")
    index.close()
    assert vecsearch.load_run("kb").search(text="boat", k=1)[0].ids.tolist() == ["b"]
    silent = vecsearch.load_model("mlflow:m", prompts=False)
    with pytest.raises(vecsearch.UnsupportedError, match="takes no text queries"):
        silent.embed_prompts(["a"])


@pytest.mark.parametrize("uri", ["models:/one", "models:/wide"])
def test_a_pyfunc_of_frames(mlflow, uri):
    pytest.importorskip("pandas", reason="extra pandas")
    model = vecsearch.load_model(f"mlflow:{uri}", input_name="text")
    np.testing.assert_array_equal(model.embed(["kite", "boat"]), count(["kite", "boat"]))
