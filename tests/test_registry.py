"""Names, the classes behind them, plug-ins, and what is said where one is missing."""

from __future__ import annotations

import sys
import threading
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from vecsearch import registry
from vecsearch.backends.base import Backend, BackendConfig
from vecsearch.errors import ConfigError, MissingDependencyError, UnknownBackendError


class FakeConfig(BackendConfig):
    url: str | None = None


class FakeBackend(Backend[FakeConfig]):
    name = "fake"
    Config = FakeConfig


class NoConfig(Backend[Any]):
    name = "noconfig"


@pytest.fixture
def plugins(monkeypatch):
    def declare(**targets):
        points = tuple(EntryPoint(name, target, registry.BACKENDS.group) for name, target in targets.items())
        monkeypatch.setattr(registry.BACKENDS, "plugins", points)

    declare()
    return declare


def built_in(monkeypatch, **entries):
    monkeypatch.setattr(registry.BACKENDS, "built_in", {**registry.BUILT_IN, **entries})


def test_the_table_is_sorted_and_its_names_are_names():
    assert list(registry.BUILT_IN) == sorted(registry.BUILT_IN)
    assert all(registry.BACKENDS.name.fullmatch(name) for name in registry.BUILT_IN)
    assert "sklearn" in registry.names()


@pytest.mark.parametrize("name", sorted(registry.BUILT_IN))
def test_every_built_in_is_what_the_table_says(name):
    pytest.importorskip(registry.BUILT_IN[name].client or "numpy")
    found = registry.backend_class(name)
    assert issubclass(found, Backend)
    assert found.name == name
    assert registry.name_of(found.Config) == name


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(UnknownBackendError, match=r"no backend 'sklaern'; did you mean 'sklearn'\? \(known: .*sklearn"):
        registry.backend_class("sklaern")


def test_a_missing_client_says_what_to_type(monkeypatch, plugins, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "vs_needs_client.py").write_text("import no_such_client_pkg.sub\n")
    built_in(monkeypatch, zz=registry.BuiltIn("vs_needs_client:X", "zz", "no_such_client_pkg.sub"))
    with pytest.raises(
        MissingDependencyError, match=r"the zz backend needs no_such_client_pkg.sub: pip install 'vecse"
    ):
        registry.backend_class("zz")
    assert not registry.is_installed("zz")


def test_a_missing_client_is_named_whatever_is_imported_before_it(monkeypatch, plugins, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "vs_needs_more.py").write_text("import no_such_helper_pkg\nimport no_such_client_pkg\n")
    built_in(monkeypatch, zz=registry.BuiltIn("vs_needs_more:X", "zz", "no_such_client_pkg"))
    with pytest.raises(MissingDependencyError, match=r"the zz backend needs no_such_client_pkg: pip install 'vecse"):
        registry.backend_class("zz")


@pytest.mark.parametrize("name", sorted(registry.BUILT_IN))
def test_every_built_in_loads_or_says_what_to_type(name):
    client = registry.BUILT_IN[name].client
    if registry.is_installed(name):
        pytest.skip(f"{client} is installed")
    with pytest.raises(MissingDependencyError, match=f"needs {client}: pip install 'vecsearch"):
        registry.backend_class(name)


def test_another_import_error_surfaces(monkeypatch, plugins, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "vs_broken_a.py").write_text("import no_such_helper_pkg\n")
    (tmp_path / "vs_broken_b.py").write_text("from json import no_such_name\n")
    built_in(
        monkeypatch,
        aa=registry.BuiltIn("vs_broken_a:X", "aa", "json"),
        bb=registry.BuiltIn("vs_broken_b:X", "bb", "json"),
    )
    with pytest.raises(ModuleNotFoundError, match="no_such_helper_pkg") as caught:
        registry.backend_class("aa")
    assert not isinstance(caught.value, MissingDependencyError)
    with pytest.raises(ImportError, match="no_such_name"):
        registry.backend_class("bb")


def test_clients_are_found_without_importing_them(monkeypatch, plugins, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "vs_present_client.py").write_text("raise AssertionError('imported')\n")
    built_in(
        monkeypatch,
        aa=registry.BuiltIn("x:X", "aa", "vs_present_client"),
        bb=registry.BuiltIn("x:X", "bb", "no_such_package.inner"),
    )
    assert registry.is_installed("aa")
    assert not registry.is_installed("bb")
    assert registry.is_installed("sklearn")
    assert not registry.is_installed("nonsense")
    assert "vs_present_client" not in sys.modules


def test_a_plugin_is_found_by_its_entry_point(plugins):
    plugins(fake=f"{__name__}:FakeBackend")
    assert "fake" in registry.names()
    assert registry.backend_class("fake") is FakeBackend
    assert registry.is_installed("fake")
    assert registry.name_of(FakeConfig) == "fake"


def test_a_plugin_of_an_installed_distribution(monkeypatch, tmp_path):
    info = tmp_path / "vs_mydb-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vs-mydb\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vecsearch.backends]\nmydb = vs_mydb:Nothing\n")
    (tmp_path / "vs_mydb.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    registry.BACKENDS.__dict__.pop("plugins", None)
    try:
        assert "mydb" in registry.names()
        with pytest.raises(ConfigError, match=r"distribution 'vs-mydb' declares the backend 'mydb' .* no such class"):
            registry.backend_class("mydb")
    finally:
        registry.BACKENDS.__dict__.pop("plugins", None)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("json:dumps", "no subclass of vecsearch.backends.Backend"),
        (f"{__name__}:NoConfig", "its Config is no subclass"),
    ],
)
def test_a_plugin_that_is_no_backend(plugins, target, reason):
    plugins(bad=target)
    with pytest.raises(ConfigError, match=reason):
        registry.backend_class("bad")


def test_a_plugin_cannot_take_a_name_that_is_taken(plugins, monkeypatch):
    plugins(sklearn=f"{__name__}:FakeBackend")
    with pytest.raises(ConfigError, match=r"'sklearn', which is built into vecsearch \(vecsearch.backends.sklearn:"):
        registry.backend_class("sklearn")
    twice = tuple(EntryPoint("fake", f"{module}:FakeBackend", registry.BACKENDS.group) for module in ("one", "two"))
    monkeypatch.setattr(registry.BACKENDS, "plugins", twice)
    with pytest.raises(ConfigError, match=r"one:FakeBackend.*two:FakeBackend.* both declare"):
        registry.backend_class("fake")


def test_a_plugin_needs_a_valid_name(plugins):
    plugins(**{"My-DB": f"{__name__}:FakeBackend"})
    assert "My-DB" not in registry.names()
    with pytest.raises(ConfigError, match="lower-case letters and digits"):
        registry.backend_class("My-DB")


def test_registered_holds_in_all_threads_and_restores_what_was(plugins):
    class Other(FakeBackend):
        pass

    seen: list[type] = []
    with registry.registered("fake", FakeBackend):
        with registry.registered("fake", Other):
            thread = threading.Thread(target=lambda: seen.append(registry.backend_class("fake")))
            thread.start()
            thread.join()
        assert registry.backend_class("fake") is FakeBackend
        assert registry.name_of(FakeConfig) == "fake"
    assert seen == [Other]
    assert "fake" not in registry.names()
    with pytest.raises(ConfigError, match="cannot name a backend"), registry.registered("No", FakeBackend):
        pass


def test_a_config_of_nobody(plugins):
    with pytest.raises(UnknownBackendError, match="FakeConfig belongs to no known backend"):
        registry.name_of(FakeConfig)
