"""Models by name: profiles, layers, entry points, and the record that another process makes the model from."""

import json
import os
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from letters import DIM, Letters, LettersConfig, count

import vecsearch
from vecsearch import ConfigError, ConnectionFailedError, InvalidInputError, MissingDependencyError, registry
from vecsearch.models import EmbeddingModel

SECRET = "s3cr3t-planted"  # noqa: S105  a planted one
TEXTS = {"a": "kite", "b": "boat"}


@pytest.fixture(autouse=True)
def letters():
    with registry.MODELS.registered("letters", Letters):
        yield
    vecsearch.config.reset()


def configure(home, **models):
    home.mkdir(exist_ok=True)
    (home / "config.json").write_text(json.dumps({"models": models}))


@pytest.mark.parametrize("provider", sorted(registry.PROVIDERS))
def test_every_provider_is_what_the_table_says(provider):
    """Without its client: a model is imported and configured before anything is opened."""
    found = registry.MODELS.load(provider)
    assert issubclass(found, EmbeddingModel)
    assert found.provider == provider
    assert registry.MODELS.name_of(found.Config) == provider
    assert list(registry.PROVIDERS) == sorted(registry.PROVIDERS)


def test_a_name_is_a_provider_and_its_model():
    model = vecsearch.load_model("letters:latin:v2", batch_size=3)
    assert (model.name, model.config.model, model.batch_size) == ("letters:latin:v2", "latin:v2", 3)
    assert vecsearch.load_model("letters", model="x").name == "letters:x"


def test_unknown_names_are_errors_with_the_nearest(own_home):
    configure(own_home, clip={"type": "letters", "model": "latin"})
    for name, message in (
        (
            "lettres:latin",
            r"no model provider or profile 'lettres'; did you mean 'letters'\? \(known: clip, databricks",
        ),
        ("clipp", "did you mean 'clip'"),
        ("letters", "needs 'model': give it as an argument, as VECSEARCH_MODEL_LETTERS_MODEL, or in .*config.json"),
        ("", "no model provider or profile ''"),
    ):
        with pytest.raises(ConfigError, match=message):
            vecsearch.load_model(name)
    for settings, message in (
        ({"kee": "x"}, r"the letters model provider has no setting 'kee' \(argument\); did you mean 'key'"),
        ({"metric": "cosine"}, "has no setting 'metric'"),
        ({"batch_size": 0}, "'batch_size'.*greater than or equal to 1, not 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            vecsearch.load_model("letters:latin", **settings)
    with pytest.raises(ConfigError, match="names the model, and so does model='b'"):
        vecsearch.load_model("letters:a", model="b")
    with pytest.raises(ConfigError, match="model_settings= go with a model that is chosen by its name"):
        vecsearch.compute_similarity(["a"], model=count, model_settings={"key": "x"})


def test_the_layers_are_those_of_backends(own_home, monkeypatch):
    configure(own_home, clip={"type": "letters", "model": "file", "batch_size": 1, "timeout": 1})
    monkeypatch.setenv("VECSEARCH_MODEL_CLIP_BATCH_SIZE", "2")
    monkeypatch.setenv("VECSEARCH_MODEL_CLIP_TIMEOUT", "2")
    monkeypatch.setenv("VECSEARCH_MODEL_CLIP_URL", "env")
    vecsearch.config.models["clip"]["timeout"] = 3
    with vecsearch.config.override(models={"clip": {"url": "override"}}):
        config = vecsearch.load_model("clip").config
        assert (config.model, config.batch_size, config.timeout, config.url) == ("file", 2, 3, "override")
    assert vecsearch.load_model("clip:argument", timeout=4).config.timeout == 4
    assert vecsearch.load_model("clip:argument").config.model == "argument"
    shown = str(vecsearch.config.explain())
    assert "models.clip.batch_size" in shown
    assert "environment VECSEARCH_MODEL_CLIP_BATCH_SIZE" in shown
    assert "clip" in vecsearch.config.models
    with pytest.raises(ConfigError, match=r"no model provider or profile 'clop'.*models\['clop'\] = "):
        vecsearch.config.models["clop"]


def test_variables_declare_profiles_and_stop_only_models(monkeypatch):
    monkeypatch.setenv("VECSEARCH_MODELS", "mine")
    monkeypatch.setenv("VECSEARCH_MODEL_MINE_TYPE", "letters")
    monkeypatch.setenv("VECSEARCH_MODEL_MINE_MODEL", "latin")
    assert vecsearch.load_model("mine").name == "letters:latin"
    with pytest.raises(ConfigError, match=r"'letters' is not among VECSEARCH_MODELS=mine; '\*' there allows all"):
        vecsearch.load_model("letters:latin")
    monkeypatch.setenv("VECSEARCH_MODEL_MNIE_MODEL", "x")
    with pytest.raises(ConfigError, match="VECSEARCH_MODEL_MNIE_MODEL; did you mean 'VECSEARCH_MODEL_MINE_MODEL'"):
        vecsearch.load_model("mine")
    assert any("MNIE" in problem for problem in vecsearch.config.explain().problems)
    vecsearch.compute_similarity(embeddings=[[1.0, 2.0]]).close()


def test_secrets_by_reference_and_never_shown(own_home, monkeypatch, tmp_path):
    (tmp_path / "key").write_text(f"{SECRET}\n")
    configure(
        own_home,
        one={"type": "letters", "model": "latin", "key": "env:LETTERS_KEY"},
        two={"type": "letters", "model": "latin", "key": f"file:{tmp_path / 'key'}"},
        three={"type": "letters", "model": "latin", "key": SECRET, "batch_size": "many"},
    )
    with pytest.raises(ConfigError, match="LETTERS_KEY, which is not set; set it, or VECSEARCH_MODEL_ONE_KEY"):
        vecsearch.load_model("one")
    monkeypatch.setenv("LETTERS_KEY", SECRET)
    models = [vecsearch.load_model(name) for name in ("one", "two")]
    assert [model.config.key.get_secret_value() for model in models] == [SECRET, SECRET]
    vecsearch.compute_similarity(TEXTS, model=models[0], key="kb").close()
    with pytest.raises(ConfigError) as caught:
        vecsearch.load_model("three")
    explanation = vecsearch.config.explain()
    shown = [repr(models[0].config), str(explanation), explanation.to_json(), repr(vecsearch.config.models["three"])]
    shown += [str(caught.value), (own_home / "runs" / "kb.json").read_text()]
    assert not [text for text in shown if SECRET in text]


def test_a_missing_client_says_what_to_type_before_anything_is_sent(monkeypatch):
    row = registry.BuiltIn("letters:Letters", "letters", "no_such_client_pkg")
    monkeypatch.setattr(registry.MODELS, "built_in", {**registry.PROVIDERS, "missing": row})
    with pytest.raises(MissingDependencyError, match=r"needs no_such_client_pkg: pip install 'vecsearch\[letters\]'"):
        vecsearch.load_model("missing:latin")


def test_a_provider_of_another_distribution(monkeypatch):
    points = tuple(
        EntryPoint(name, target, registry.MODELS.group)
        for name, target in (("outside", "letters:Outside"), ("other", "letters:Letters"), ("broken", "letters:count"))
    )
    monkeypatch.setattr(registry.MODELS, "plugins", points)
    vecsearch.compute_similarity(TEXTS, model="outside:latin", key="kb").close()
    assert vecsearch.load_run("kb").search(text="boat", k=1)[0].ids.tolist() == ["b"]
    with pytest.raises(ConfigError, match="the model provider 'other' calls itself 'letters'"):
        vecsearch.load_model("other:latin")
    with pytest.raises(
        ConfigError, match=r"declares the model provider 'broken' .* no subclass of vecsearch.models.Emb"
    ):
        vecsearch.load_model("broken:latin")


def test_a_run_makes_its_model_again():
    index = vecsearch.compute_similarity(
        TEXTS, model="letters:latin", model_settings={"key": SECRET, "url": "http://me:pw@x", "batch_size": 7}, key="kb"
    )
    info = vecsearch.get_run_info("kb")
    assert info.model == {"name": "letters:latin", "dim": DIM}
    assert info.model_source.model_dump() == {
        "profile": "letters",
        "provider": "letters",
        "settings": {"model": "latin", "url": "http://x", "batch_size": 7},
    }
    assert (info.config.model, info.config.supports_prompts) == ("letters:latin", True)
    index.close()
    again = vecsearch.load_run("kb")
    assert again.search(text="boat", k=1)[0].ids.tolist() == ["b"]
    assert again.sort_by_similarity("a", k=1).query_kind == "id"
    again.add_samples(["sail"], ["c"])
    model = again.get_model()
    assert (model.name, model.dim, model.batch_size, model.made().config.key) == ("letters:latin", DIM, 7, None)
    np.testing.assert_array_equal(again.compute_embeddings(["oar"]).embeddings, count(["oar"]))
    again.save()
    assert vecsearch.get_run_info("kb").model_source == info.model_source


def test_credentials_are_needed_by_who_asks_in_words_only(own_home, monkeypatch):
    configure(own_home, lab={"type": "letters", "model": "latin", "key": "env:LETTERS_KEY"})
    monkeypatch.setenv("LETTERS_KEY", SECRET)
    vecsearch.compute_similarity(TEXTS, model="lab", key="kb").close()
    monkeypatch.delenv("LETTERS_KEY")
    index = vecsearch.load_run("kb")
    assert index.search(ids="a", k=1)[0].ids.tolist() == ["a"]
    with pytest.raises(ConfigError, match="LETTERS_KEY, which is not set"):
        index.search(text="boat")
    assert vecsearch.load_run("kb", model_settings={"key": "k"}).search(text="boat", k=1)[0].ids.tolist() == ["b"]
    configure(own_home)  # the profile is gone: the record knows its provider
    assert vecsearch.load_run("kb").search(text="boat", k=1)[0].ids.tolist() == ["b"]


def test_the_record_says_which_model_and_the_layers_how_to_reach_it(own_home):
    configure(own_home, lab={"type": "letters", "model": "latin", "url": "old"})
    vecsearch.compute_similarity(TEXTS, model="lab", key="kb").close()
    configure(own_home, lab={"type": "letters", "model": "greek", "url": "new"})
    config = vecsearch.load_run("kb").get_model().made().config
    assert (config.model, config.url) == ("latin", "new")
    with pytest.raises(ConfigError, match="the run record says model='latin', the argument model='greek'"):
        vecsearch.load_run("kb", model_settings={"model": "greek"})
    configure(own_home, lab={"type": "openai", "model": "latin"})
    with pytest.raises(ConfigError, match="made with the letters model provider, but 'lab' is of openai"):
        vecsearch.load_run("kb").search(text="boat")


def test_another_models_vectors_are_refused_before_a_write():
    vecsearch.compute_similarity(TEXTS, model="letters:latin", key="kb").close()
    for other in ("letters:greek", count):
        with pytest.raises(InvalidInputError, match="the index holds vectors of the model 'letters:latin'"):
            vecsearch.load_run("kb", model=other)
        with pytest.raises(InvalidInputError, match="the index holds vectors of the model 'letters:latin'"):
            vecsearch.compute_similarity(["x"], model=other, key="kb", if_exists="load")
    same = vecsearch.load_run("kb", model="letters:latin")
    assert same.add_samples(["sail"], ["c"]).written == 1
    wider = LettersConfig(model="latin")
    model = Letters(wider)
    model.dim = DIM + 1
    with pytest.raises(InvalidInputError, match="dim 27"):
        vecsearch.load_run("kb", model=model)


def test_a_record_names_no_class_and_no_module(own_home):
    """A file that was tampered with chooses among the known providers, and cannot bring code of its own."""
    vecsearch.compute_similarity(TEXTS, model="letters:latin", key="kb").close()
    path = own_home / "runs" / "kb.json"
    record = json.loads(path.read_text())
    for provider in ("os:system", "letters.Letters", "nobody"):
        record["model_source"]["provider"] = record["model_source"]["profile"] = provider
        path.write_text(json.dumps(record))
        with pytest.raises(ConfigError, match="which is no model provider"):
            vecsearch.load_run("kb").search(text="boat")


def test_a_run_without_a_name_for_its_model_says_so():
    vecsearch.compute_similarity(TEXTS, model=count, key="kb").close()
    assert vecsearch.get_run_info("kb").model_source is None
    index = vecsearch.load_run("kb")
    assert index.get_model() is None
    with pytest.raises(vecsearch.UnsupportedError, match=r"the model that made the vectors \('count'\): pass model="):
        index.search(text="boat")
    with pytest.raises(ConfigError, match="run 'kb' records no model that can be made from a name"):
        vecsearch.load_run("kb", model_settings={"key": "k"})


def test_attaching_takes_a_model(tmp_path):
    vecsearch.compute_similarity(
        TEXTS, model="letters:latin", index_name="mine", path=str(tmp_path / "x"), key="a"
    ).close()
    index = vecsearch.connect("mine", path=str(tmp_path / "x"), model="letters:latin", key="b")
    assert index.search(text="boat", k=1)[0].ids.tolist() == ["b"]
    assert vecsearch.get_run_info("b").model_source.provider == "letters"


def test_a_query_that_cannot_be_embedded_is_one_error():
    index = vecsearch.compute_similarity(TEXTS, model="letters:latin", model_settings={"timeout": 0.2})
    with pytest.raises(vecsearch.ModelError, match="a bad text"):
        index.search(text="bad")
    Letters.fails += [ConnectionResetError("gone")] * 50
    try:
        with pytest.raises(ConnectionFailedError, match="letters:latin cannot be reached"):
            index.search(text="boat")
    finally:
        Letters.fails.clear()


def test_naming_a_model_loads_no_client():
    code = (
        "import sys, vecsearch; clients = 'httpx databricks.sdk mlflow sentence_transformers tokenizers'.split();"
        "[vecsearch.registry.MODELS.load(name) for name in vecsearch.registry.PROVIDERS];"
        "print([name for name in clients if name in sys.modules])"
    )
    import subprocess

    command = [sys.executable, "-c", f"import vecsearch.registry; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=dict(os.environ))
    assert done.stdout == "[]\n"
