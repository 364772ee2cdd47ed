"""``vecsearch.config`` itself: edits, overrides, explain; and secrets, which nothing shows."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import threading
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr
from settings_fakes import SECRET, build, fake_backends, profiles

from vecsearch import registry
from vecsearch.errors import ConfigError, MissingDependencyError


@pytest.fixture(autouse=True)
def backends():
    with fake_backends():
        yield


@pytest.fixture
def make(tmp_path):
    return partial(build, tmp_path)


# Secrets


def test_references_are_followed_when_the_backend_is_opened(make, tmp_path):
    (tmp_path / "key").write_text(f"{SECRET}\n")
    file = f"file:{tmp_path / 'key'}"
    config = make(
        profiles(
            qdrant={
                "api_key": "env:X_KEY",
                "url": "env:X_KEY",
                "storage_options": {"a": file, "b": "env:X_KEY", "c": "d"},
            }
        ),
        X_KEY=SECRET,
    )
    found = config.resolve("qdrant", {}).config
    assert found.api_key.get_secret_value() == SECRET
    assert {key: value.get_secret_value() for key, value in found.storage_options.items()} == {
        "a": SECRET,
        "b": SECRET,
        "c": "d",
    }
    assert found.url == "env:X_KEY"  # no secret, so no reference
    assert config.resolve("qdrant", {"api_key": file}).config.api_key.get_secret_value() == SECRET
    assert "env:X_KEY" in str(config.explain())
    assert file in str(config.explain())
    assert SECRET not in str(config.explain())


@pytest.mark.parametrize(
    ("reference", "missing"),
    [
        ("env:X_NONE", "the environment variable X_NONE, which is not set"),
        ("file:/no/such/file", "the file /no/such/file, which cannot be read: No such file or directory"),
        ("file:/", "the file /, which cannot be read: Is a directory"),
        ("file:{tmp}/empty", "empty, which holds no text"),
        ("file:{tmp}/binary", "binary, which holds no text"),
    ],
)
def test_a_missing_secret_names_itself_and_the_cure(make, tmp_path, reference, missing):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    config = make(profiles(prod={"type": "pinecone", "api_key": reference.format(tmp=tmp_path)}))
    with pytest.raises(ConfigError, match=f"'api_key' .*{missing}; set it, or VECSEARCH_SIMILARITY_PROD_API_KEY"):
        config.resolve("prod", {})
    assert missing in str(config.explain())
    assert make().resolve("sklearn", {}).backend == "sklearn"


def test_no_message_quotes_a_secret(make):
    values = [
        {"api_key": 12345},
        {"api_key": f"{SECRET} {SECRET}"},
        {"api_kye": SECRET},
        {"storage_options": {"a": [SECRET]}},
        {"storage_options": SECRET},
        {"port": 1, "url": 2, "api_key": [SECRET]},
    ]
    for arguments in values:
        with pytest.raises(ConfigError) as caught:
            make().resolve("qdrant", arguments)
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in repr(error) + str(error)
            assert "12345" not in str(error)
            error = error.__cause__ or error.__context__


def test_nothing_that_is_printed_shows_a_secret(make):
    url = f"https://me:{SECRET}@host"
    config = make(
        profiles(
            qdrant={"api_key": SECRET, "url": url, "api_keey": SECRET, "storage_options": {"k": SECRET}},
            unknown={"password": SECRET},
        ),
        SIMILARITY_PINECONE_API_KEY=SECRET,
    )
    config.similarity_backends["pinecone"]["api_key"] = SECRET
    explanation = config.explain()
    views = [repr(view) + str(dict(view)) for view in config.similarity_backends.values() if "url" not in view]
    shown = [str(explanation), repr(explanation), explanation.to_json(), repr(config), repr(config.similarity_backends)]
    shown += [repr(config.similarity_backends["qdrant"]), *views, repr(config.snapshot())]
    assert all(SECRET not in text for text in shown)
    assert "https://***@host" in shown[0]
    found = make({}).resolve("qdrant", {"api_key": SECRET, "url": url})
    assert SECRET not in repr(found)
    with pytest.raises(TypeError, match="hold credentials and are not pickled"):
        pickle.dumps(found)


def test_a_secret_is_read_wrapped(make):
    config = make(profiles(qdrant={"api_key": SECRET, "storage_options": {"k": SECRET}}, prod={"password": SECRET}))
    view = config.similarity_backends["qdrant"]
    assert view["api_key"] == SecretStr(SECRET)
    assert view["storage_options"]["k"] == SecretStr(SECRET)
    assert config.similarity_backends["prod"]["password"] == SecretStr(SECRET)


def test_a_file_with_secrets_that_all_can_read_is_logged_once(make, tmp_path, caplog):
    config = make(profiles(qdrant={"api_key": SECRET}))
    path = tmp_path / "config.json"
    with caplog.at_level(logging.WARNING, logger="vecsearch"):
        config.resolve("qdrant", {})
        assert not caplog.records
        path.chmod(0o644)
        config.resolve("sklearn", {})
        assert not caplog.records
        config.resolve("qdrant", {})
        config.resolve("qdrant", {})
    assert [record.name for record in caplog.records] == ["vecsearch"]
    assert str(path) in caplog.text
    assert SECRET not in caplog.text
    assert "every user can read it" in str(config.explain())
    path.write_text(json.dumps(profiles(qdrant={"api_key": "env:X_KEY"})))
    assert "every user can read it" not in str(config.explain())


# The object


def test_unknown_attributes(make):
    config = make()
    with pytest.raises(
        ConfigError, match=r"no setting 'defualt_similarity_backend'; did you mean 'default_similarity_"
    ):
        config.defualt_similarity_backend = "x"
    with pytest.raises(ConfigError, match="did you mean 'similarity_backends'"):
        _ = config.similarity_backend
    with pytest.raises(ConfigError, match="no setting 'zzz'; settings are default_similarity_backend, home"):
        config.zzz = 1
    assert not hasattr(config, "similarity_backend")
    assert getattr(config, "zzz", 5) == 5
    with pytest.raises(ConfigError, match="did you mean 'home'"), config.override(hom="x"):
        pass
    with pytest.raises(ConfigError, match="'runs_path' follows from 'home'"):
        config.runs_path = Path("x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_similarity_backend", 3),
        ("home", 3),
        ("similarity_backends", [1]),
        ("similarity_backends", {"qdrant": 1}),
    ],
)
def test_assignments_are_checked(make, name, value):
    with pytest.raises(ConfigError, match="must be"):
        setattr(make(), name, value)


def test_edits_are_live_and_lost_edits_refused(make):
    given = {"qdrant": {"hnsw": {"m": 1}, "hosts": ["a"]}}
    config = make(profiles(qdrant={"url": "file"}))
    config.similarity_backends = given
    given["qdrant"]["hnsw"]["m"] = 9
    view = config.similarity_backends["qdrant"]
    assert config.resolve("qdrant", {}).config.hnsw == {"m": 1}
    with pytest.raises(TypeError):
        view["hnsw"]["m"] = 2
    with pytest.raises(AttributeError):
        view["hosts"].append("b")
    view["hnsw"] = {"m": 3}
    view.update(port=4)
    assert (view["url"], view["port"], len(view)) == ("file", 4, 4)
    del view["port"]
    assert "port" not in view
    with pytest.raises(KeyError):
        del view["url"]  # of another layer
    config.similarity_backends["qdrant"] = {"port": 8}
    assert config.resolve("qdrant", {}).config.hnsw is None
    del config.similarity_backends["qdrant"]
    assert dict(view) == {"url": "file"}


def test_profiles_by_edits(make):
    config = make()
    names = set(config.similarity_backends)
    assert names >= {"pinecone", "qdrant", "sklearn"}
    assert "prod" not in config.similarity_backends
    with pytest.raises(KeyError, match="no backend or profile 'qdrnt'; did you mean 'qdrant'"):
        config.similarity_backends["qdrnt"]["url"] = "x"
    config.similarity_backends["prod"] = {"type": "qdrant", "url": "p"}
    assert config.resolve("prod", {}).config.url == "p"
    assert set(config.similarity_backends) == names | {"prod"}


def test_overrides_nest_and_belong_to_one_thread_or_task(make):
    config, other = make(), make()
    seen: list[str] = []

    async def task(name: str) -> str:
        with config.override(default_similarity_backend=name):
            await asyncio.sleep(0.001)
            return config.default_similarity_backend

    async def both() -> list[str]:
        return list(await asyncio.gather(task("qdrant"), task("pinecone")))

    with config.override(default_similarity_backend="qdrant"), config.override(home="/elsewhere"):
        thread = threading.Thread(target=lambda: seen.append(config.default_similarity_backend))
        thread.start()
        thread.join()
        assert config.default_similarity_backend == "qdrant"
        assert other.default_similarity_backend == "sklearn"
        assert config.runs_path == Path("/elsewhere/runs")
    assert seen == ["sklearn"]
    assert asyncio.run(both()) == ["qdrant", "pinecone"]
    assert config.default_similarity_backend == "sklearn"


def test_edits_from_many_threads_are_all_kept(make):
    config = make()

    def edit(number: int) -> None:
        config.similarity_backends["qdrant"][f"k{number}"] = number

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(config.similarity_backends["qdrant"]) == 20


def test_explain_shows_each_layer(make, tmp_path):
    config = make(profiles(prod={"type": "qdrant", "port": 2, "hnsw": {"m": 1}}), SIMILARITY_PROD_URL="u")
    config.default_similarity_backend = "prod"
    explanation = config.explain()
    rows = {row.setting: (row.value, row.layer) for row in explanation.rows}
    file = f"file {tmp_path / 'config.json'}"
    assert rows["default_similarity_backend"] == ("prod", "edit of vecsearch.config")
    assert rows["prod.type"] == ("qdrant", file)
    assert rows["prod.port"] == (2, file)
    assert rows["prod.url"] == ("u", "environment VECSEARCH_SIMILARITY_PROD_URL")
    assert rows["prod.timeout"] == (60.0, "default")
    assert rows["home"] == (str(tmp_path), "environment VECSEARCH_HOME")
    assert str(explanation).splitlines()[0].split() == ["SETTING", "VALUE", "FROM"]
    assert json.loads(explanation.to_json())["rows"][0]["setting"] == "home"
    assert not explanation.problems


def test_explain_survives_a_backend_that_cannot_be_imported(make, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "vs_settings_client.py").write_text("import no_such_client_xyz\n")
    row = registry.BuiltIn("vs_settings_client:X", "zz", "no_such_client_xyz")
    monkeypatch.setattr(registry.BACKENDS, "built_in", {**registry.BUILT_IN, "zz": row})
    config = make(profiles(zz={"url": "visible?", "api_key": SECRET}))
    shown = str(config.explain())
    assert "pip install 'vecsearch[zz]'" in shown
    assert "visible?" not in shown
    with pytest.raises(MissingDependencyError):
        config.resolve("zz", {})
