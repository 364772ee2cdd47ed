"""Settings: ``arguments > edits of vecsearch.config > environment > JSON file > defaults``.

Every layer is read when it is asked for, never at import, so a variable that changes is seen.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from vecsearch.catalogue import nearest
from vecsearch.errors import ConfigError, UnknownBackendError, UnknownSettingError, VecsearchError
from vecsearch.layers import BACKENDS, MODELS, Edits, Family, Snapshot, take_snapshot
from vecsearch.masking import MASK, masked, public_config
from vecsearch.resolving import Plan, Resolved, spellings
from vecsearch.resolving import resolve as _resolve

if TYPE_CHECKING:
    from vecsearch.backends.base import Backend, BackendConfig
    from vecsearch.explain import Explanation
    from vecsearch.models.base import EmbeddingModel, ModelConfig

_EDITABLE = ("default_similarity_backend", "home", "models", "similarity_backends")
_READABLE = (*_EDITABLE, "config_path", "runs_path")
# At module level, as context variables are never collected: each entry names the settings object that it belongs to.
_overrides: ContextVar[tuple[tuple[int, Edits], ...]] = ContextVar("vecsearch_overrides", default=())


class _UnknownProfileError(UnknownBackendError, KeyError):
    """So that ``in`` and ``get`` work."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would quote it


class Settings:
    """The settings of this process; ``vecsearch.config`` is the one that everything uses.

    Attributes: ``default_similarity_backend``, ``similarity_backends``, ``models`` and ``home`` can be edited;
    ``config_path`` and ``runs_path`` only read. Reading gives the value that wins, whichever layer it is in. Edits hold
    for the process::

        vecsearch.config.default_similarity_backend = "milvus"
        vecsearch.config.similarity_backends["milvus"]["uri"] = "http://localhost:19530"
        with vecsearch.config.override(default_similarity_backend="sklearn"):
            ...

    Another object is for tests: ``environ`` replaces ``os.environ``, ``path`` the configuration file.
    """

    _environ: Mapping[str, str] | None
    _path: Path | None
    _edits: Edits
    _lock: threading.RLock

    def __init__(self, environ: Mapping[str, str] | None = None, path: str | Path | None = None) -> None:
        # Past our own __setattr__, which refuses every name that is no setting.
        own = {"_environ": environ, "_path": None if path is None else Path(path), "_lock": threading.RLock()}
        self.__dict__.update(own, _edits=Edits("edit of vecsearch.config"))

    def __setattr__(self, name: str, value: Any) -> None:
        checked = _checked({name: value})
        with self._lock:
            self.__dict__["_edits"] = replace(self._edits, **checked)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _unknown(name, _READABLE)

    def __repr__(self) -> str:
        return f"<vecsearch settings, home {self.home}; .explain() shows every value and its layer>"

    @property
    def default_similarity_backend(self) -> str:
        """The backend or profile that is used where none is named."""
        return str(self.snapshot().default.value)

    @property
    def similarity_backends(self) -> Profiles:
        """The settings of each backend and profile: a live mapping of mappings, which can be edited."""
        return Profiles(self, BACKENDS)

    @property
    def models(self) -> Profiles:
        """The settings of each model provider and profile of a model, likewise."""
        return Profiles(self, MODELS)

    @property
    def home(self) -> Path:
        """Where the configuration file, the run records and the data of embedded backends lie."""
        return Path(self.snapshot().home.value)

    @property
    def config_path(self) -> Path:
        """The JSON file that is read, whether it exists or not."""
        return Path(self.snapshot().path.value)

    @property
    def runs_path(self) -> Path:
        """The directory of the run records."""
        return self.home / "runs"

    def snapshot(self, family: Family = BACKENDS) -> Snapshot:
        """All layers, read now, as they are about backends or about models."""
        mine = [edits for owner, edits in reversed(_overrides.get()) if owner == id(self)]
        environ = os.environ if self._environ is None else self._environ
        return take_snapshot(environ, self._path, [*mine, self._edits], family)

    @contextmanager
    def override(self, **settings: Any) -> Iterator[Settings]:
        """Lay some of what can be edited over all layers, within the block.

        It holds for this thread, or this asyncio task and those that it starts; other threads, a pool's included, do
        not see it. Arguments still win. Blocks nest.
        """
        edits = replace(Edits("config.override"), **_checked(settings))
        token = _overrides.set((*_overrides.get(), (id(self), edits)))
        try:
            yield self
        finally:
            _overrides.reset(token)

    def reset(self) -> None:
        """Forget all edits."""
        with self._lock:
            self.__dict__["_edits"] = Edits(self._edits.layer)

    def explain(self) -> Explanation:
        """Every setting, masked where secret, with the layer it comes from; and every problem."""
        from vecsearch.explain import explain

        return explain(self.snapshot(), self.snapshot(MODELS))

    def resolve(
        self,
        profile: str | BackendConfig | None,
        settings: Mapping[str, Any],
        *,
        recorded: Mapping[str, Any] | None = None,
        recorded_backend: str | None = None,
    ) -> Resolved[Backend[Any], BackendConfig]:
        """The backend and the validated configuration that the layers give; see `resolve`."""
        return _resolve(self.snapshot(), profile, settings, recorded=recorded, recorded_backend=recorded_backend)

    def resolve_model(
        self,
        profile: str,
        settings: Mapping[str, Any],
        *,
        recorded: Mapping[str, Any] | None = None,
        recorded_provider: str | None = None,
    ) -> Resolved[EmbeddingModel[Any], ModelConfig]:
        """The provider of a model and the validated configuration that the layers give; as for a backend."""
        snapshot = self.snapshot(MODELS)
        return _resolve(snapshot, profile, settings, recorded=recorded, recorded_backend=recorded_provider)

    def _edit(self, family: Family, profile: str, values: Mapping[str, Any] | None) -> None:
        """Replace what was edited of one profile, or forget it."""
        section = family.section
        with self._lock:
            others = {key: value for key, value in getattr(self._edits, section).items() if key != profile}
            if values is not None:
                others |= _checked_profiles(section, {profile: values})
            changed: dict[str, Any] = {section: others}
            self.__dict__["_edits"] = replace(self._edits, **changed)

    def _edited(self, family: Family, profile: str) -> Mapping[str, Any]:
        edited: Mapping[str, Any] = getattr(self._edits, family.section).get(profile, {})
        return edited


class Profiles(MutableMapping[str, MutableMapping[str, Any]]):
    """``config.similarity_backends`` or ``config.models``: every known name, and a live mapping of its settings."""

    def __init__(self, settings: Settings, family: Family) -> None:
        self._settings = settings
        self._family = family

    def _names(self) -> list[str]:
        return self._settings.snapshot(self._family).names()

    def __getitem__(self, name: str) -> Profile:
        known = self._names()
        if name not in known:
            hint = f"; a new profile is {self._family.section}[{name!r}] = {{'type': …}}"
            raise _UnknownProfileError(f"no {self._family.noun} or profile {name!r}{nearest(str(name), known)}{hint}")
        return Profile(self._settings, self._family, name)

    def __setitem__(self, name: str, values: Mapping[str, Any]) -> None:
        self._settings._edit(self._family, name, values)  # noqa: SLF001  one room

    def __delitem__(self, name: str) -> None:
        """Forget what was edited; the other layers stay."""
        if not self._settings._edited(self._family, name):  # noqa: SLF001  one room
            raise _UnknownProfileError(f"nothing was edited of {name!r}; other layers are edited where they are")
        self._settings._edit(self._family, name, None)  # noqa: SLF001  one room

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return f"<settings of {', '.join(self)}>"


class Profile(MutableMapping[str, Any]):
    """The settings of one profile over all layers. Writing edits; lists and tables that are read cannot be changed.

    Secrets are read as ``SecretStr``.
    """

    def __init__(self, settings: Settings, family: Family, name: str) -> None:
        self._settings = settings
        self._family = family
        self._name = name

    def _shown(self) -> Iterator[tuple[str, Any, Any]]:
        """The key of each setting, its value, and what may be shown of it."""
        snapshot = self._settings.snapshot(self._family)
        try:
            model = Plan.make(snapshot, self._name).model
        except (VecsearchError, ImportError):  # unknown, or its client is missing: then everything counts as secret
            model = None
        names = spellings(model) if model is not None else {}
        seen: set[str] = set()
        for setting in (setting for layer in snapshot.profiles.get(self._name, ()) for setting in layer):
            key = names.get(setting.key, setting.key)
            if setting.value is not None and key not in seen:
                seen.add(key)
                shown = setting.value if key == "type" else masked(model, names.get(setting.key), setting.value)
                yield key, setting.value, shown

    def _read(self) -> dict[str, Any]:
        return {key: _guarded(value, shown) for key, value, shown in self._shown()}

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        with self._settings._lock:  # noqa: SLF001  one room
            edited = dict(self._settings._edited(self._family, self._name))  # noqa: SLF001
            self._settings._edit(self._family, self._name, {**edited, key: value})  # noqa: SLF001

    def __delitem__(self, key: str) -> None:
        """Forget an edit; the other layers stay."""
        with self._settings._lock:  # noqa: SLF001  one room
            edited = dict(self._settings._edited(self._family, self._name))  # noqa: SLF001
            del edited[key]
            self._settings._edit(self._family, self._name, edited)  # noqa: SLF001

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr({key: shown for key, _, shown in self._shown()})


def _guarded(value: Any, shown: Any) -> Any:
    """A value that refuses changes, since a change of what was read would be lost, with secrets as ``SecretStr``."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: _guarded(part, shown[key]) for key, part in value.items()})
    if isinstance(value, list | tuple) and shown != MASK:
        return tuple(_guarded(part, seen) for part, seen in zip(value, shown, strict=True))
    return SecretStr(str(value)) if shown == MASK and not isinstance(value, SecretStr) else value


def _unknown(name: str, known: tuple[str, ...]) -> UnknownSettingError:
    hint = nearest(name, known) or f"; settings are {', '.join(known)}"
    return UnknownSettingError(f"vecsearch.config has no setting {name!r}{hint}")


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their names and types, copied, so that the caller's objects stay the caller's."""
    checked: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _READABLE and name not in _EDITABLE:
            raise ConfigError(
                f"{name!r} follows from 'home'; set that, or the environment variable VECSEARCH_CONFIG_PATH"
            )
        if name not in _EDITABLE:
            raise _unknown(name, _EDITABLE)
        if name in (BACKENDS.section, MODELS.section):
            checked[name] = _checked_profiles(name, value or {})
        elif value is None:
            checked[name] = None
        elif name == "home" and isinstance(value, str | os.PathLike):
            checked[name] = Path(value).expanduser()
        elif name == "default_similarity_backend" and isinstance(value, str):
            checked[name] = value
        else:
            raise ConfigError(f"{name!r} must be {'a path' if name == 'home' else 'the name of a backend'}")
    return checked


def _checked_profiles(section: str, profiles: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(profiles, Mapping):
        raise ConfigError(f"{section!r} must be a mapping of names and their settings")
    for name, values in profiles.items():
        if not isinstance(values, Mapping):
            raise ConfigError(f"the settings of {name!r} must be a mapping, such as {{'url': '…'}}")
    return {name: copy.deepcopy(dict(values)) for name, values in profiles.items()}


config = Settings()


def resolve(
    profile: str | BackendConfig | None,
    settings: Mapping[str, Any],
    *,
    recorded: Mapping[str, Any] | None = None,
    recorded_backend: str | None = None,
) -> Resolved[Backend[Any], BackendConfig]:
    """The backend and the validated configuration that all layers of `config` give.

    ``profile`` is a backend, a profile, or the backend's configuration object, which then takes the place of
    ``settings``; ``None`` is the default backend. ``settings`` are the caller's arguments; ``None`` in any layer is
    "not given". With ``recorded``, the settings of a run record, the record decides which index is meant (an argument
    that says otherwise is an error), and stands behind the file for everything else. ``recorded_backend`` is the type
    in the record: it serves where the profile is gone, and a profile of another type is an error.

    Raises `ConfigError` with all that is wrong, `UnknownBackendError`, `MissingDependencyError`.
    """
    return config.resolve(profile, settings, recorded=recorded, recorded_backend=recorded_backend)


__all__ = ("Profile", "Profiles", "Resolved", "Settings", "config", "public_config", "resolve")
