"""Backend names and the classes behind them; nothing is imported before it is asked for.

A backend of another distribution is found by an entry point of the group ``vecsearch.backends``::

    [project.entry-points."vecsearch.backends"]
    mydb = "vecsearch_mydb:MyDbBackend"
"""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from vecsearch.backends.base import Backend, BackendConfig
from vecsearch.errors import ConfigError, MissingDependencyError, UnknownBackendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.metadata import EntryPoint

GROUP = "vecsearch.backends"
NAME = re.compile(r"[a-z][a-z0-9]*")


class BuiltIn(NamedTuple):
    """Where a built-in backend lives, and what must be installed for it."""

    target: str
    """``module:Class``"""
    extra: str | None
    """The extra of vecsearch that installs its client."""
    client: str | None
    """The package that it imports."""


DEFAULT = "sklearn"
BUILT_IN: Mapping[str, BuiltIn] = {
    "chroma": BuiltIn("vecsearch.backends.chroma:ChromaBackend", "chroma", "chromadb"),
    "lancedb": BuiltIn("vecsearch.backends.lancedb:LanceBackend", "lancedb", "lancedb"),
    "milvus": BuiltIn("vecsearch.backends.milvus:MilvusBackend", "milvus", "pymilvus"),
    "mosaic": BuiltIn("vecsearch.backends.mosaic:MosaicBackend", "mosaic", "databricks.sdk"),
    "pinecone": BuiltIn("vecsearch.backends.pinecone:PineconeBackend", "pinecone", "pinecone"),
    "qdrant": BuiltIn("vecsearch.backends.qdrant:QdrantBackend", "qdrant", "qdrant_client"),
    "sklearn": BuiltIn("vecsearch.backends.sklearn:SklearnBackend", None, None),
}

_lock = threading.Lock()
_registered: dict[str, type[Backend[Any]]] = {}


@cache
def _plugins() -> tuple[EntryPoint, ...]:
    """The entry points of our group. Cached: the scan reads every installed distribution."""
    from importlib.metadata import entry_points

    return tuple(sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)))


def names() -> list[str]:
    """All backend names, sorted: built in, from plug-ins, and registered for a test."""
    found = {*BUILT_IN, *_registered, *(point.name for point in _plugins() if NAME.fullmatch(point.name))}
    return sorted(found)


def backend_class(name: str) -> type[Backend[Any]]:
    """The class of a backend, imported now.

    Raises `UnknownBackendError` with the known names, `MissingDependencyError` with the pip line where the client is
    not installed, and `ConfigError` for a plug-in that is no backend or takes a name that is not free.
    """
    with _lock:
        if name in _registered:
            return _registered[name]
    points = [point for point in _plugins() if point.name == name]
    if name in BUILT_IN:
        if points:
            raise ConfigError(
                f"{_origin(points[0])} declares a backend {name!r}, which is built into vecsearch"
                f" ({BUILT_IN[name].target}); uninstall it, or have it take another name"
            )
        module, _, attribute = BUILT_IN[name].target.partition(":")
        with importing(name):
            found: type[Backend[Any]] = getattr(import_module(module), attribute)
        return found
    if not points:
        raise UnknownBackendError(f"no backend {name!r}{nearest(name, names())} (known: {', '.join(names())})")
    if len(points) > 1:
        origins = " and ".join(f"{_origin(point)} ({point.value})" for point in points)
        raise ConfigError(f"{origins} both declare a backend {name!r}; uninstall one")
    return _load(points[0])


def _load(point: EntryPoint) -> type[Backend[Any]]:
    """The class of a plug-in, checked, since its author may see this error first."""
    wrong = f"{_origin(point)} declares the backend {point.name!r} as {point.value!r}, but"
    if not NAME.fullmatch(point.name):
        raise ConfigError(f"{wrong} a backend's name is lower-case letters and digits")
    try:
        found = point.load()
    except AttributeError as error:
        raise ConfigError(f"{wrong} there is no such class") from error
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise ConfigError(f"{wrong} that is no subclass of vecsearch.backends.Backend")
    config = getattr(found, "Config", None)
    if not (isinstance(config, type) and issubclass(config, BackendConfig)):
        raise ConfigError(f"{wrong} its Config is no subclass of vecsearch.backends.BackendConfig")
    return found


def _origin(point: EntryPoint) -> str:
    return f"the distribution {point.dist.name!r}" if point.dist is not None else "an installed distribution"


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Say which ``pip install`` is missing when the client of a backend cannot be imported in this block.

    Only the absence of the client itself is translated; any other ``ImportError`` is a bug, and surfaces.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        entry = BUILT_IN.get(name)
        if entry is None or entry.client is None or not _belongs(error.name, entry.client):
            raise
        install = f"vecsearch[{entry.extra}]"
        raise MissingDependencyError(f"the {name} backend needs {entry.client}: pip install {install!r}") from error


def _belongs(missing: str | None, client: str) -> bool:
    """Whether the missing module is the client, or a package that holds it (``databricks`` of ``databricks.x``)."""
    return missing is not None and (missing == client or client.startswith(f"{missing}."))


def is_installed(name: str) -> bool:
    """Whether the client of a backend is installed, found without importing it. A plug-in counts as installed."""
    entry = BUILT_IN.get(name)
    if name in _registered or entry is None:
        return name in names()
    if entry.client is None:
        return True
    try:
        return find_spec(entry.client) is not None
    except ModuleNotFoundError:  # the package around a dotted name is missing
        return False


def name_of(config: type[BackendConfig]) -> str:
    """The backend that a config class belongs to."""
    module = config.__module__
    near_first = sorted(names(), key=lambda name: name not in BUILT_IN or not BUILT_IN[name].target.startswith(module))
    for name in near_first:
        entry = BUILT_IN.get(name)
        if entry is not None and name not in _registered and not entry.target.startswith(f"{module}:"):
            continue  # a built-in lives beside its config: no need to import the others
        if backend_class(name).Config is config:
            return name
    raise UnknownBackendError(f"{config.__name__} belongs to no known backend; known: {', '.join(names())}")


@contextmanager
def registered(name: str, cls: type[Backend[Any]]) -> Iterator[None]:
    """Make ``name`` mean ``cls`` within the block, in all threads: for tests, and for wrappers around a backend.

    It may stand in for a built-in. What the name meant before comes back at the end.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot name a backend: lower-case letters and digits, a letter first")
    with _lock:
        before = _registered.get(name)
        _registered[name] = cls
    try:
        yield
    finally:
        with _lock:
            if before is None:
                _registered.pop(name, None)
            else:
                _registered[name] = before


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean 'x'?``, or nothing where no known name is near: for messages about an unknown name."""
    import difflib  # only an error needs it

    cases = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), list(cases), n=1, cutoff=cutoff)
    return f"; did you mean {cases[close[0]]!r}?" if close else ""


__all__ = (
    "BUILT_IN",
    "BuiltIn",
    "backend_class",
    "importing",
    "is_installed",
    "name_of",
    "names",
    "nearest",
    "registered",
)
