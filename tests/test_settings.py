"""The layers, profiles and run records, and what is said about a mistake in them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr
from settings_fakes import SECRET, Qdrant, QdrantConfig, build, fake_backends, profiles

from vecsearch import masking, settings
from vecsearch.errors import ConfigError, UnknownBackendError
from vecsearch.settings import Settings, public_config


@pytest.fixture(autouse=True)
def backends():
    with fake_backends():
        yield


@pytest.fixture
def make(tmp_path):
    return partial(build, tmp_path)


# The layers


def test_each_layer_wins_over_the_ones_below(make, tmp_path):
    config = make(profiles(qdrant={"url": "file", "port": 1}), SIMILARITY_QDRANT_URL="env")
    found = config.resolve("qdrant", {})
    assert (found.config.url, found.config.port, found.config.grpc) == ("env", 1, False)
    assert found.layers["url"] == "environment VECSEARCH_SIMILARITY_QDRANT_URL"
    assert found.layers["port"] == f"file {tmp_path / 'config.json'}"
    assert found.layers["grpc"] == "default"
    assert found.backend_class is Qdrant
    config.similarity_backends["qdrant"]["url"] = "edit"
    assert config.resolve("qdrant", {}).config.url == "edit"
    with config.override(similarity_backends={"qdrant": {"url": "override"}}):
        assert config.resolve("qdrant", {}).config.url == "override"
        assert config.resolve("qdrant", {"url": "argument"}).config.url == "argument"
    assert config.resolve("qdrant", {}).layers["url"] == "edit of vecsearch.config"
    config.reset()
    assert config.resolve("qdrant", {}).config.url == "env"


def test_none_is_not_given_in_every_layer(make):
    config = make(profiles(qdrant={"url": "file", "port": None}), SIMILARITY_QDRANT_MODE="")
    config.similarity_backends["qdrant"]["url"] = None
    found = config.resolve("qdrant", {"url": None, "grpc": None})
    assert (found.config.url, found.config.port, found.config.mode) == ("file", 6333, "fast")
    assert found.config.model_fields_set == {"url"}


def test_a_layer_replaces_whole_values(make):
    config = make(profiles(qdrant={"hnsw": {"m": 16, "ef": 100}}), SIMILARITY_QDRANT_HNSW='{"m": 4}')
    assert config.resolve("qdrant", {}).config.hnsw == {"m": 4}


def test_the_default_backend(make):
    assert make().resolve(None, {}).backend == "sklearn"
    assert make({"default_similarity_backend": "qdrant"}).resolve(None, {}).backend == "qdrant"
    config = make(DEFAULT_SIMILARITY_BACKEND="pinecone", SIMILARITY_PINECONE_API_KEY="x")
    assert config.default_similarity_backend == "pinecone"
    config.default_similarity_backend = "sklearn"
    assert config.resolve(None, {}).backend == "sklearn"
    with config.override(default_similarity_backend="qdrant"):
        assert config.resolve(None, {}).backend == "qdrant"


def test_layers_are_read_at_each_call(make, tmp_path):
    environ = {"VECSEARCH_HOME": str(tmp_path)}
    config = Settings(environ=environ)
    assert config.resolve("qdrant", {}).config.port == 6333
    environ["VECSEARCH_SIMILARITY_QDRANT_PORT"] = "1"
    assert config.resolve("qdrant", {}).config.port == 1


def test_the_process_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path))
    assert settings.config.home == tmp_path
    assert settings.config.runs_path == tmp_path / "runs"
    assert settings.resolve("qdrant", {"port": 3}).config.port == 3


# The file


def test_the_default_file_may_be_absent_but_a_named_one_not(make, tmp_path):
    assert make().config_path == tmp_path / "config.json"
    missing = tmp_path / "other.json"
    with pytest.raises(
        ConfigError, match=r"no configuration file at .*other.json \(from environment VECSEARCH_CONFIG_P"
    ):
        make(CONFIG_PATH=str(missing)).resolve("sklearn", {})
    with pytest.raises(ConfigError, match=r"other.json \(from argument"):
        Settings(environ={}, path=missing).resolve("sklearn", {})
    missing.write_text(json.dumps({"default_similarity_backend": "qdrant"}))
    assert make(CONFIG_PATH=str(missing)).default_similarity_backend == "qdrant"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'{{"similarity_backends": {{"qdrant": {{"api_key": "{SECRET}",}}}}}}', "is no JSON: .* in line 1, column"),
        ("[1]", "must hold a JSON object"),
        ('{"similarity_backends": ["qdrant"]}', "'similarity_backends' must be an object"),
        ('{"default_similarity_backend": 3}', "must be the name of a backend"),
        (
            '{"defualt_similarity_backend": "qdrant"}',
            "unknown name 'defualt_.*did you mean 'default_similarity_backend'",
        ),
        ('{"similarity_backend": {}}', "did you mean 'similarity_backends'"),
    ],
)
def test_a_bad_file_is_named_and_not_quoted(make, tmp_path, text, reason):
    config = make(text)
    with pytest.raises(ConfigError, match=reason) as caught:
        config.resolve("sklearn", {})
    assert str(tmp_path / "config.json") in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.args[0] in str(config.explain())


def test_a_file_that_is_no_text_or_no_file(make, tmp_path):
    config = make()
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is no UTF-8 text"):
        config.resolve(None, {})
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"default_similarity_backend": "qdrant"}')
    assert config.default_similarity_backend == "qdrant"  # an editor's byte order mark
    with pytest.raises(ConfigError, match="cannot read the configuration file"):
        make(CONFIG_PATH=str(tmp_path)).resolve(None, {})


def test_a_brain_config_works_as_it_is(make):
    config = make(
        {
            "default_similarity_backend": "qdrant",
            "similarity_backends": {
                "qdrant": {
                    "config_cls": "fiftyone.brain.internal.core.qdrant.QdrantSimilarityConfig",
                    "url": "http://localhost:6333",
                    "collection_name": "a",
                    "metric": "euclidean",
                    "hnsw": None,
                },
                "redis": {"config_cls": "fiftyone.brain.Redis", "host": "h", "password": SECRET},
            },
            "default_visualization_method": "umap",
            "visualization_methods": {"umap": {"config_cls": "fiftyone.x"}},
            "default_brain_method": "x",
        },
        SIMILARITY_REDIS_PORT="1",
    )
    found = config.resolve(None, {})
    assert (found.backend, found.config.url, found.config.index_name) == ("qdrant", "http://localhost:6333", "a")
    assert found.metric == "euclidean"
    explanation = config.explain()
    assert explanation.ignored == ("default_visualization_method", "visualization_methods", "default_brain_method")
    assert SECRET not in str(explanation)
    with pytest.raises(UnknownBackendError, match="the profile 'redis' needs a 'type'"):
        config.resolve("redis", {})


def test_a_class_is_never_loaded_by_its_name(make):
    with pytest.raises(ConfigError, match=r"no setting 'config_cls'.*from an installed plug-in"):
        make(profiles(qdrant={"config_cls": "os.path"})).resolve("qdrant", {})


# The environment


def test_types_come_from_the_model_and_are_not_guessed(make):
    config = (
        make(
            SIMILARITY_QDRANT_API_KEY="0123",
            SIMILARITY_QDRANT_URL="1e5",
            SIMILARITY_QDRANT_INDEX_NAME="nan",
            SIMILARITY_QDRANT_NAMESPACE="p@ss,word",
            SIMILARITY_QDRANT_PORT="12",
            SIMILARITY_QDRANT_GRPC="true",
            SIMILARITY_QDRANT_HOSTS='["a", "b"]',
            SIMILARITY_QDRANT_STORAGE_OPTIONS='{"token": "007"}',
        )
        .resolve("qdrant", {})
        .config
    )
    assert config.api_key.get_secret_value() == "0123"
    assert (config.url, config.index_name, config.namespace) == ("1e5", "nan", "p@ss,word")
    assert (config.port, config.grpc, config.hosts) == (12, True, ["a", "b"])
    assert config.storage_options["token"].get_secret_value() == "007"


def test_tables_and_lists_are_json_and_nothing_else(make):
    for name, value in {"HNSW": "m=4", "HOSTS": "a,b", "STORAGE_OPTIONS": f'{{"a": "{SECRET}"'}.items():
        config = make(**{f"SIMILARITY_QDRANT_{name}": value})
        with pytest.raises(
            ConfigError, match=f"environment VECSEARCH_SIMILARITY_QDRANT_{name}.* must be JSON"
        ) as caught:
            config.resolve("qdrant", {})
        assert SECRET not in str(caught.value)


def test_the_longest_profile_name_owns_a_variable(make):
    file = profiles(my={"type": "qdrant"}, my_db={"type": "qdrant"})
    config = make(file, SIMILARITY_MY_DB_URL="long", SIMILARITY_MY_URL="short")
    assert config.resolve("my", {}).config.url == "short"
    assert config.resolve("my_db", {}).config.url == "long"


def test_profile_names_with_a_dash(make):
    config = make(profiles(**{"my-db": {"type": "qdrant"}}), SIMILARITY_MY_DB_URL="u")
    assert config.resolve("my-db", {}).config.url == "u"
    config = make(profiles(**{"my-db": {"type": "qdrant"}, "my_db": {"type": "qdrant"}}), SIMILARITY_MY_DB_URL="u")
    with pytest.raises(ConfigError, match="could mean any of the profiles my-db, my_db"):
        config.resolve("my-db", {})
    assert config.resolve("sklearn", {}).backend == "sklearn"


def test_the_list_of_backends_names_and_limits(make):
    config = make(
        SIMILARITY_BACKENDS=" prod , qdrant",
        SIMILARITY_PROD_TYPE="pinecone",
        SIMILARITY_PROD_API_KEY="k",
        DEFAULT_SIMILARITY_BACKEND="prod",
    )
    assert config.resolve("prod", {}).backend == "pinecone"
    assert config.resolve("qdrant", {}).backend == "qdrant"
    with pytest.raises(UnknownBackendError, match=r"'sklearn' is not among VECSEARCH_SIMILARITY_BACKENDS=prod,qdrant;"):
        config.resolve("sklearn", {})
    assert not config.explain().problems
    assert "is not among" in str(make(SIMILARITY_BACKENDS="qdrant").explain())
    assert make(SIMILARITY_BACKENDS="prod,*").resolve(None, {}).backend == "sklearn"


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SIMILARITY_QDRNT_URL", "VECSEARCH_SIMILARITY_QDRANT_URL"),
        ("SIMILARITY_QDRNT_API_KEY", "VECSEARCH_SIMILARITY_QDRANT_API_KEY"),
        ("DEFAULT_SIMILARTY_BACKEND", "VECSEARCH_DEFAULT_SIMILARITY_BACKEND"),
        ("DEFAULT_BACKEND", "VECSEARCH_DEFAULT_SIMILARITY_BACKEND"),
        ("SIMILARITY_BACKEND", "VECSEARCH_SIMILARITY_BACKENDS"),
        ("SIMILARITY_XYZ", "profiles are .*pinecone, qdrant, sklearn"),
    ],
)
def test_a_variable_of_nobody_stops_everything(make, variable, meant):
    config = make(**{variable: SECRET})
    with pytest.raises(ConfigError, match=f"unknown environment variable VECSEARCH_{variable};.*{meant}") as caught:
        config.resolve("sklearn", {})
    assert SECRET not in str(caught.value)
    assert variable in str(config.explain())


def test_a_mistyped_parameter_stops_only_who_uses_the_backend(make):
    config = make(
        profiles(pinecone={"api_kye": SECRET}, qdrant={"prot": 2}, **{"Bad Name": {}, "odd": 3}),
        SIMILARITY_QDRANT_TIMEOUTT="9",
    )
    assert config.resolve("sklearn", {}).backend == "sklearn"
    with pytest.raises(ConfigError) as caught:
        config.resolve("qdrant", {})
    assert "no setting 'prot' (file" in str(caught.value)
    assert "did you mean 'port'?" in str(caught.value)
    assert "'timeoutt' (environment VECSEARCH_SIMILARITY_QDRANT_TIMEOUTT); did you mean 'timeout'?" in str(caught.value)
    shown = str(config.explain())
    assert all(
        part in shown for part in ("'api_kye'", "'prot'", "'timeoutt'", "'Bad Name' cannot name", "of 'odd' must")
    )
    assert SECRET not in shown


# Names and types


def test_unknown_arguments(make):
    config = make(DEFAULT_SIMILARITY_BACKEND="qdrant")
    with pytest.raises(
        ConfigError, match=r"the qdrant backend has no setting 'ulr' \(argument\); did you mean 'url'\?"
    ):
        config.resolve("qdrant", {"ulr": 1})
    with pytest.raises(ConfigError, match=r"\('qdrant' came from VECSEARCH_DEFAULT_SIMILARITY_BACKEND\)"):
        config.resolve(None, {"zzzz": 1})
    with pytest.raises(ConfigError, match="it has allow_scan, api_key"):
        config.resolve("qdrant", {"zzzz": 1})
    with pytest.raises(ConfigError, match=r"'brain_key'.*; the name of a run is key="):
        config.resolve("qdrant", {"brain_key": "a"})
    with pytest.raises(ConfigError, match=r"\('sklearn' is the default\)"):
        make().resolve(None, {"url": "a"})


def test_wrong_types_name_field_layer_and_what_is_expected(make):
    config = make(profiles(qdrant={"mode": "slow", "url": 5}), SIMILARITY_QDRANT_PORT="http://u:pw@h")
    with pytest.raises(ConfigError) as caught:
        config.resolve("qdrant", {"workers": 0})
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert any(
        "'port' (environment VECSEARCH_SIMILARITY_QDRANT_PORT): input should be a valid integer" in x for x in lines
    )
    assert any("'mode' (file" in line and "'fast' or 'exact', not 'slow'" in line for line in lines)
    assert any("'workers' (argument)" in line and "greater than or equal to 1" in line for line in lines)
    assert "pw" not in str(caught.value)


def test_aliases_in_every_layer(make):
    config = make(profiles(qdrant={"collection_name": "file"}))
    assert config.resolve("qdrant", {}).config.index_name == "file"
    assert config.resolve("qdrant", {"index_name": "arg"}).config.index_name == "arg"
    assert config.resolve("qdrant", {"collection_name": "arg"}).config.index_name == "arg"
    config.similarity_backends["qdrant"]["index_name"] = "edit"
    assert config.resolve("qdrant", {}).config.index_name == "edit"
    assert config.similarity_backends["qdrant"]["index_name"] == "edit"
    with pytest.raises(ConfigError, match=r"'index_name' and 'collection_name' are one setting.*\(argument\)"):
        config.resolve("qdrant", {"index_name": "a", "collection_name": "a"})
    both = make(profiles(qdrant={"collection_name": "a", "index_name": "b"}))
    with pytest.raises(ConfigError, match="are one setting"):
        both.resolve("qdrant", {})


def test_required_settings_say_where_to_put_them(make, tmp_path):
    config = make(profiles(prod={"type": "pinecone"}))
    with pytest.raises(
        ConfigError, match=r"'prod' \(pinecone\) needs 'api_key': .* as VECSEARCH_SIMILARITY_PROD_API_KEY"
    ):
        config.resolve("prod", {})
    assert not config.explain().problems  # it may come as an argument


def test_rules_over_several_fields(make):
    with pytest.raises(ConfigError, match=r"the pinecone backend: no such region$"):
        make().resolve("pinecone", {"api_key": "k", "region": "nowhere"})


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (
            {"type": "pinecne"},
            r"'prod' has the type 'pinecne' \(file .*\), which is no backend; did you mean 'pinecone'",
        ),
        ({"type": 3}, "has the type 3"),
        ({"url": "x"}, r"the profile 'prod' needs a 'type', since no backend has that name \(known: .*pinecone"),
    ],
)
def test_a_profile_needs_a_known_type(make, entry, reason):
    config = make({"default_similarity_backend": "prod", **profiles(prod=entry)})
    with pytest.raises(UnknownBackendError, match=reason) as caught:
        config.resolve(None, {})
    assert "('prod' came from file" in str(caught.value)


def test_an_unknown_default_is_an_error_and_never_replaced(make):
    config = make(DEFAULT_SIMILARITY_BACKEND="qdrnt")
    with pytest.raises(
        UnknownBackendError, match=r"'qdrnt'; did you mean 'qdrant'\? \(known: .*pinecone, qdrant, sklearn\)"
    ):
        config.resolve(None, {})


def test_two_profiles_of_one_backend(make):
    config = make(profiles(staging={"type": "qdrant", "url": "s"}, prod={"type": "qdrant", "url": "p"}))
    found = [config.resolve(name, {}) for name in ("staging", "prod", "qdrant")]
    assert [(f.profile, f.backend, f.config.url) for f in found] == [
        ("staging", "qdrant", "s"),
        ("prod", "qdrant", "p"),
        ("qdrant", "qdrant", None),
    ]


def test_a_configuration_object_takes_the_place_of_arguments(make):
    config = make(SIMILARITY_QDRANT_API_KEY="k", SIMILARITY_QDRANT_URL="env")
    found = config.resolve(QdrantConfig(url="object"), {"port": None})
    assert (found.backend, found.config.url, found.config.api_key.get_secret_value()) == ("qdrant", "object", "k")
    assert found.layers["url"] == "argument QdrantConfig(…)"
    with pytest.raises(ConfigError, match=r"not both: move port into QdrantConfig"):
        config.resolve(QdrantConfig(url="object"), {"port": 1})
    secret = config.resolve(QdrantConfig(api_key=SecretStr(SECRET)), {})
    assert secret.config.api_key.get_secret_value() == SECRET


@pytest.mark.parametrize("backend", [3, ["qdrant"], Qdrant])
def test_a_backend_is_a_name_or_a_configuration(make, backend):
    with pytest.raises(ConfigError, match="by its name or its configuration object, not by"):
        make().resolve(backend, {})


def test_metric_in_a_layer(make):
    assert make().resolve("qdrant", {}).metric is None
    with pytest.raises(ConfigError, match=r"'metric' \(file .* must be one of cosine, euclidean, dotproduct"):
        make(profiles(qdrant={"metric": "l2"})).resolve("qdrant", {})


# Run records


def test_the_record_decides_which_index_and_the_layers_how_to_reach_it(make):
    config = make(profiles(qdrant={"index_name": "other", "url": "new", "namespace": "n"}))
    recorded = {"index_name": "mine", "url": "old", "port": 5}
    found = config.resolve("qdrant", {}, recorded=recorded)
    assert (found.config.index_name, found.config.namespace) == ("mine", "")
    assert (found.config.url, found.config.port) == ("new", 5)
    assert found.layers["index_name"] == found.layers["port"] == "the run record"
    assert config.resolve("qdrant", {"port": 6}, recorded=recorded).config.port == 6


def test_an_argument_may_only_agree_with_the_record(make):
    recorded = {"index_name": "mine"}
    assert make().resolve("qdrant", {"collection_name": "mine"}, recorded=recorded).config.index_name == "mine"
    assert make().resolve("qdrant", {"namespace": ""}, recorded=recorded).config.namespace == ""
    with pytest.raises(ConfigError, match=r"record says index_name='mine', the argument collection_name='b'"):
        make().resolve("qdrant", {"collection_name": "b"}, recorded=recorded)
    with pytest.raises(ConfigError, match=r"record says namespace='', the argument namespace='n'"):
        make().resolve("qdrant", {"namespace": "n"}, recorded=recorded)
    with pytest.raises(ConfigError, match=r"'namespace' \(argument\): input should be a valid string, not 3"):
        make().resolve("qdrant", {"namespace": 3}, recorded=recorded)
    with pytest.raises(ConfigError, match=r"no setting 'cls' \(the run record\)"):
        make().resolve("qdrant", {}, recorded={"cls": "os.system"})


def test_the_type_in_the_record(make):
    config = make(profiles(prod={"type": "pinecone", "api_key": "k"}))
    config.similarity_backends["qdrant"]["api_key"] = "q"
    found = config.resolve("gone", {}, recorded={}, recorded_backend="qdrant")
    assert (found.profile, found.backend, found.config.api_key) == ("qdrant", "qdrant", SecretStr("q"))
    with pytest.raises(ConfigError, match="made with the qdrant backend, but 'prod' is of pinecone"):
        config.resolve("prod", {}, recorded={}, recorded_backend="qdrant")
    with pytest.raises(UnknownBackendError, match=r"no backend 'lost'|the type 'lost' \(the run record\)"):
        config.resolve("gone", {}, recorded={}, recorded_backend="lost")


def test_public_config_is_what_was_set_without_secrets(make):
    config = (
        make(SIMILARITY_QDRANT_API_KEY=SECRET)
        .resolve(
            "qdrant",
            {
                "url": f"https://user:{SECRET}@host:6333/a@b",
                "hosts": [f"http://{SECRET}@one", "two"],
                "hnsw": {"link": f"grpc://u:{SECRET}@h"},
                "storage_options": {"aws_secret": SECRET},
                "path": Path("/data/x"),
                "port": 6333,
            },
        )
        .config
    )
    public = public_config(config)
    assert public == {
        "url": "https://host:6333/a@b",
        "hosts": ["http://one", "two"],
        "hnsw": {"link": "grpc://h"},
        "path": "/data/x",
        "port": 6333,
    }
    assert SECRET not in json.dumps(public)
    again = make().resolve("qdrant", {}, recorded=public).config
    assert (again.port, again.path) == (6333, Path("/data/x"))


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://host/a@b", "https://host/a@b"),
        ("https://host:6333/a@b", "https://host:6333/a@b"),
        ("https://[::1]:6333/a@b", "https://[::1]:6333/a@b"),
        ("https://user:pa@ss@host", "https://host"),
        ("https://user:pa/ss@host", "https://host"),
        ("https://user:pa#ss@host/x", "https://host/x"),
        ("https://token@host", "https://host"),
        ("s3://bucket/path", "s3://bucket/path"),
        ("someone@example.org", "someone@example.org"),
    ],
)
def test_user_and_password_leave_a_url(url, bare):
    assert masking.without_userinfo(url) == bare
    assert masking.masked(QdrantConfig, "url", url) == (url if bare == url else bare.replace("://", "://***@"))
