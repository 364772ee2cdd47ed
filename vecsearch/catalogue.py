"""Names of one kind of thing, and the classes behind them; nothing is imported before it is asked for."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from vecsearch.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class BuiltIn(NamedTuple):
    """Where a built-in class lives, and what must be installed for it."""

    target: str
    """``module:Class``"""
    extra: str | None
    """The extra of vecsearch that installs its client."""
    client: str | None
    """The package that it imports."""


class Catalogue(Generic[T]):
    """The built-in classes of one kind, and those of other distributions, by entry points of ``group``.

    ``base`` is what each class derives from, ``config`` what its ``Config`` derives from; ``room`` is the module that
    both are imported from. ``unknown`` is raised for a name that is none.
    """

    def __init__(
        self,
        noun: str,
        group: str,
        built_in: Mapping[str, BuiltIn],
        *,
        base: type[T],
        config: type,
        name: str,
        unknown: type[ConfigError] = ConfigError,
    ) -> None:
        self.noun = noun
        self.group = group
        self.built_in = built_in
        self.name = re.compile(name)
        self.unknown = unknown
        self._base = base
        self._config = config
        self._lock = threading.Lock()
        self._registered: dict[str, type[T]] = {}

    @cached_property
    def plugins(self) -> tuple[EntryPoint, ...]:
        """The entry points of the group. Cached: the scan reads every installed distribution."""
        from importlib.metadata import entry_points

        return tuple(sorted(entry_points(group=self.group), key=lambda point: (point.name, point.value)))

    def names(self) -> list[str]:
        """All names, sorted: built in, from plug-ins, and registered for a test."""
        plugins = (point.name for point in self.plugins if self.name.fullmatch(point.name))
        return sorted({*self.built_in, *self._registered, *plugins})

    def load(self, name: str) -> type[T]:
        """The class of a name, imported now.

        Raises ``unknown`` with the known names, `MissingDependencyError` with the pip line where the client is not
        installed, and `ConfigError` for a plug-in that is no such class or takes a name that is not free.
        """
        with self._lock:
            if name in self._registered:
                return self._registered[name]
        points = [point for point in self.plugins if point.name == name]
        if name in self.built_in:
            if points:
                raise ConfigError(
                    f"{_origin(points[0])} declares a {self.noun} {name!r}, which is built into vecsearch"
                    f" ({self.built_in[name].target}); uninstall it, or have it take another name"
                )
            module, _, attribute = self.built_in[name].target.partition(":")
            with self.importing(name):
                found: type[T] = getattr(import_module(module), attribute)
            return found
        if not points:
            known = self.names()
            raise self.unknown(f"no {self.noun} {name!r}{nearest(name, known)} (known: {', '.join(known)})")
        if len(points) > 1:
            origins = " and ".join(f"{_origin(point)} ({point.value})" for point in points)
            raise ConfigError(f"{origins} both declare a {self.noun} {name!r}; uninstall one")
        return self._load(points[0])

    def _load(self, point: EntryPoint) -> type[T]:
        """The class of a plug-in, checked, since its author may see this error first."""
        wrong = f"{_origin(point)} declares the {self.noun} {point.name!r} as {point.value!r}, but"
        if not self.name.fullmatch(point.name):
            raise ConfigError(f"{wrong} the name of a {self.noun} is lower-case letters and digits")
        try:
            found = point.load()
        except AttributeError as error:
            raise ConfigError(f"{wrong} there is no such class") from error
        if not (isinstance(found, type) and issubclass(found, self._base)):
            raise ConfigError(f"{wrong} that is no subclass of {self.group}.{self._base.__name__}")
        config = getattr(found, "Config", None)
        if not (isinstance(config, type) and issubclass(config, self._config)):
            raise ConfigError(f"{wrong} its Config is no subclass of {self.group}.{self._config.__name__}")
        return found

    @contextmanager
    def importing(self, name: str) -> Iterator[None]:
        """Say which ``pip install`` is missing when the client of ``name`` cannot be imported in this block.

        Only the absence of the client, or of what would have come with it, is translated; any other ``ImportError`` is
        a bug, and surfaces.
        """
        try:
            yield
        except ModuleNotFoundError as error:
            entry = self.built_in.get(name)
            if entry is None or entry.client is None:
                raise
            if self.is_installed(name) and not _belongs(error.name, entry.client):
                raise
            raise MissingDependencyError(self._missing(name, entry)) from error

    def require(self, name: str) -> None:
        """Raise `MissingDependencyError` where the client is not installed, without importing it."""
        entry = self.built_in.get(name)
        if entry is not None and not self.is_installed(name):
            raise MissingDependencyError(self._missing(name, entry))

    def _missing(self, name: str, entry: BuiltIn) -> str:
        install = f"vecsearch[{entry.extra}]"
        return f"the {name} {self.noun} needs {entry.client}: pip install {install!r}"

    def is_installed(self, name: str) -> bool:
        """Whether the client is installed, found without importing it. A plug-in counts as installed."""
        entry = self.built_in.get(name)
        if name in self._registered or entry is None:
            return name in self.names()
        if entry.client is None:
            return True
        try:
            return find_spec(entry.client) is not None
        except ModuleNotFoundError:  # the package around a dotted name is missing
            return False

    def name_of(self, config: type) -> str:
        """The name whose class a config class belongs to."""
        module = config.__module__
        mine = self.built_in
        near_first = sorted(self.names(), key=lambda name: name not in mine or not mine[name].target.startswith(module))
        for name in near_first:
            entry = mine.get(name)
            if entry is not None and name not in self._registered and not entry.target.startswith(f"{module}:"):
                continue  # a built-in lives beside its config: no need to import the others
            found: Any = self.load(name)
            if found.Config is config:
                return name
        raise self.unknown(f"{config.__name__} belongs to no known {self.noun}; known: {', '.join(self.names())}")

    @contextmanager
    def registered(self, name: str, cls: type[T]) -> Iterator[None]:
        """Make ``name`` mean ``cls`` within the block, in all threads: for tests, and for wrappers.

        It may stand in for a built-in. What the name meant before comes back at the end.
        """
        if not self.name.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name a {self.noun}: lower-case letters and digits, a letter first")
        with self._lock:
            before = self._registered.get(name)
            self._registered[name] = cls
        try:
            yield
        finally:
            with self._lock:
                if before is None:
                    self._registered.pop(name, None)
                else:
                    self._registered[name] = before


def _origin(point: EntryPoint) -> str:
    return f"the distribution {point.dist.name!r}" if point.dist is not None else "an installed distribution"


def _belongs(missing: str | None, client: str) -> bool:
    """Whether the missing module is the client, or a package that holds it (``databricks`` of ``databricks.x``)."""
    return missing is not None and (missing == client or client.startswith(f"{missing}."))


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean 'x'?``, or nothing where no known name is near: for messages about an unknown name."""
    import difflib  # only an error needs it

    cases = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), list(cases), n=1, cutoff=cutoff)
    return f"; did you mean {cases[close[0]]!r}?" if close else ""


__all__ = ("BuiltIn", "Catalogue", "nearest")
