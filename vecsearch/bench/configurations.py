"""Which engines are compared: configurations by name, from the same layers as everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from vecsearch import registry
from vecsearch.errors import ConfigError, InvalidInputError, MissingDependencyError
from vecsearch.masking import public_config, secret_values
from vecsearch.settings import config, resolve

if TYPE_CHECKING:
    from pydantic import JsonValue

    from vecsearch.backends.base import BackendConfig

_ENTRY = frozenset({"type", "search_params"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """One way to run an engine."""

    label: str
    backend: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """For the engine, credentials included."""
    shown: Mapping[str, JsonValue] = field(default_factory=dict)
    """Those that may be recorded."""
    search_params: tuple[Mapping[str, Any], ...] = ({},)
    """Each is a point of the frontier."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    problem: str | None = None
    """Why it cannot run here."""


def configured(
    name: str, settings: Mapping[str, Any] | None = None, *, label: str | None = None, search_params: Sequence[Any] = ()
) -> Configuration:
    """A backend or profile by its name, its settings from all layers, these on top.

    An index of the user's is never touched: the name and the folder of the index are the benchmark's own. Raises
    ``ConfigError``, ``UnknownBackendError``; a client that is not installed is the ``problem`` of what is returned.
    """
    frontier = tuple(dict(params) for params in search_params) or ({},)
    try:
        found = resolve(name, dict(settings or {}))
    except MissingDependencyError as error:
        return Configuration(label or name, _type(name), search_params=frontier, problem=str(error))
    for params in frontier:
        _check_params(found.backend_class.search_params, params, found.backend)
    own = _own(found.config)
    return Configuration(
        label=label or name,
        backend=found.backend,
        settings=own | _secrets(found.config),
        shown={key: value for key, value in public_config(found.config).items() if key in own},
        search_params=frontier,
        secrets=tuple(
            text for key in found.config.secret_fields() for text in secret_values(getattr(found.config, key)) if text
        ),
    )


def several(backends: Sequence[str] | Mapping[str, Any] | None = None) -> list[Configuration]:
    """Configurations by names, or by label: ``{"fine": {"type": "qdrant", "hnsw_config": {"m": 32}}}``.

    An entry holds settings of its backend, and may hold ``search_params``: one dict, or a list of them, each a point
    of the frontier; all other workloads use the first. Without any, all backends that are known.
    """
    if backends is None:
        return [_if_configured(name) for name in registry.names()]
    if isinstance(backends, str):
        raise InvalidInputError(f"backends is a list of names or a dict, not {backends!r}")
    if not isinstance(backends, Mapping):
        repeated = {name for name in backends if list(backends).count(name) > 1}
        if repeated:
            raise InvalidInputError(f"backend {min(repeated)!r} is named twice; give configurations by a dict")
        return [configured(name) for name in backends]
    found = []
    for label, entry in backends.items():
        if not isinstance(entry, Mapping):
            raise InvalidInputError(f"the configuration {label!r} must be a table of settings, not {entry!r}")
        params = entry.get("search_params", ())
        settings = {key: value for key, value in entry.items() if key not in _ENTRY}
        listed = [params] if isinstance(params, Mapping) else params
        found.append(configured(entry.get("type", label), settings, label=label, search_params=listed))
    return found


def _if_configured(name: str) -> Configuration:
    """A backend that nobody named: what it lacks is its problem, not an error."""
    try:
        return configured(name)
    except ConfigError as error:
        return Configuration(name, _type(name), problem=str(error))


def _type(name: str) -> str:
    """The backend of a profile whose client is missing."""
    snapshot = config.snapshot()
    entry = snapshot.given(name, "type")
    return name if entry is None else str(entry.value)


def _own(settings: BackendConfig) -> dict[str, Any]:
    """The settings that are no secrets and do not say which index is meant."""
    if getattr(settings, "client", None) is not None:
        raise InvalidInputError("a client object cannot be handed to another process; give its url or path")
    shown = settings.model_fields_set - settings.secret_fields() - {"index_name"}
    dumped: dict[str, Any] = settings.model_dump(mode="json", include=set(shown), exclude_none=True)
    path = dumped.get("path")
    if path is not None and "://" not in str(path):  # a folder of the user's; the benchmark has its own
        del dumped["path"]
    return dumped


def _secrets(settings: BackendConfig) -> dict[str, Any]:
    given = {name: getattr(settings, name) for name in settings.secret_fields() & settings.model_fields_set}
    return {name: _revealed(value) for name, value in given.items() if value is not None}


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _revealed(part) for key, part in value.items()}
    return value


def _check_params(known: frozenset[str], params: Mapping[str, Any], backend: str) -> None:
    unknown = set(params) - known
    if unknown:
        has = ", ".join(sorted(known)) or "none"
        raise InvalidInputError(f"{backend} has no search parameter {min(unknown)!r}; it has: {has}")


__all__ = ("Configuration", "configured", "several")
