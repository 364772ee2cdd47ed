"""From layers to one validated configuration of one backend, or of one model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, get_args, get_origin

from pydantic import AliasChoices, BaseModel, SecretStr, ValidationError

from vecsearch.backends.base import METRICS, Metric
from vecsearch.catalogue import nearest
from vecsearch.configured import Configured
from vecsearch.errors import ConfigError
from vecsearch.layers import BACKENDS, Layer, Setting, Snapshot
from vecsearch.masking import dereference, is_reference, masked, warn_exposed

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from vecsearch.catalogue import Catalogue

RECORD = "the run record"
_KINDS = {"string_type": "text", "bytes_type": "bytes", "dict_type": "a table of names and values"}
_ELSEWHERE = {
    "brain_key": "the name of a run is key=",
    "config_cls": "a backend of your own comes from an installed plug-in, never from a class name in a setting",
    "metric": "give it to compute_similarity as metric=; an index that exists knows its own",
}


T = TypeVar("T")
C = TypeVar("C", bound=Configured)


@dataclass(frozen=True, slots=True)
class Resolved(Generic[T, C]):
    """A backend, or a model's provider, its validated configuration, and the layer that each value came from."""

    profile: str
    backend: str
    """The type: the name in the registry."""
    backend_class: type[T]
    config: C = field(repr=False)  # its URLs may hold passwords
    layers: Mapping[str, str]
    metric: Metric | None = None
    """The metric for new indexes, where a layer gives one (FiftyOne's files do)."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "resolved settings hold credentials and are not pickled: pass the key of the run, or the profile"
        )


def resolve(
    snapshot: Snapshot,
    profile: str | Configured | None,
    settings: Mapping[str, Any],
    *,
    recorded: Mapping[str, Any] | None = None,
    recorded_backend: str | None = None,
) -> Resolved[Any, Any]:
    """The configuration of a profile of the snapshot's family; see `vecsearch.settings.resolve`."""
    if snapshot.problems:
        raise ConfigError("\n".join(snapshot.problems))
    first = [Setting(key, value, "argument") for key, value in settings.items()]
    if isinstance(profile, Configured):
        first = _from_object(profile, first)
        profile = snapshot.family.catalogue.name_of(type(profile))
    if profile is not None and not isinstance(profile, str):
        noun = snapshot.family.noun
        raise ConfigError(f"a {noun} is given by its name or its configuration object, not by {profile!r}")
    plan = Plan.make(snapshot, profile, recorded_backend)
    if plan.refusal():
        raise plan.catalogue.unknown(plan.refusal())
    plan.gather([first, *snapshot.profiles.get(plan.profile, ())], recorded)
    config, problems = plan.validate(plan.chosen)
    if plan.asked and config is not None:
        problems += plan.contradictions(config)
    plan.raise_problems([*plan.problems, *problems])
    if config is None:
        raise AssertionError("a configuration is validated or has problems")
    plan.warn_exposed()
    layers = {name: plan.chosen[name].layer if name in plan.chosen else "default" for name in plan.model.model_fields}
    if plan.metric is not None:
        layers["metric"] = plan.metric.layer
    return Resolved(
        profile=plan.profile,
        backend=plan.backend,
        backend_class=plan.backend_class,
        config=config,
        layers=MappingProxyType(layers),
        metric=None if plan.metric is None else plan.metric.value,
    )


def _from_object(config: Configured, arguments: list[Setting]) -> list[Setting]:
    """What was set in a configuration object counts as arguments; the layers fill in what was not."""
    kind = type(config).__name__
    given = [setting.key for setting in arguments if setting.value is not None]
    if given:
        raise ConfigError(
            f"settings come in {kind}(…) or as arguments, not both: move {', '.join(given)} into {kind}(…)"
        )
    return [Setting(name, getattr(config, name), f"argument {kind}(…)") for name in sorted(config.model_fields_set)]


@dataclass(slots=True)
class Plan:
    """What is known about one profile before its values are validated."""

    snapshot: Snapshot
    profile: str
    backend: str
    backend_class: Any
    chooser: str = ""
    """Who chose the backend, where the caller did not."""
    chosen: dict[str, Setting] = field(default_factory=dict)
    asked: dict[str, Setting] = field(default_factory=dict)
    """Arguments for what the run record decides: they may only agree with it."""
    metric: Setting | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def model(self) -> type[Configured]:
        """The model of the settings."""
        config: type[Configured] = self.backend_class.Config
        return config

    @property
    def catalogue(self) -> Catalogue[Any]:
        """The types of the family."""
        return self.snapshot.family.catalogue

    @property
    def label(self) -> str:
        """How messages call it."""
        noun = self.snapshot.family.noun
        return f"the {self.backend} {noun}" if self.profile == self.backend else f"{self.profile!r} ({self.backend})"

    @classmethod
    def make(cls, snapshot: Snapshot, profile: str | None, recorded_backend: str | None = None) -> Plan:
        """Find the type of a profile. Raises the family's error for an unknown name, or what importing it raises."""
        family, catalogue = snapshot.family, snapshot.family.catalogue
        chooser = ""
        if profile is None:
            profile = snapshot.default.value
            layer = snapshot.default.layer.removeprefix("environment ")
            chooser = f" ({profile!r} came from {layer})" if layer != "default" else f" ({profile!r} is the default)"
        given = snapshot.given(profile, "type")
        backend = profile if given is None else given.value
        known = catalogue.names()
        if given is None and profile not in known:
            if recorded_backend is None:
                if profile in snapshot.profiles:
                    message = f"the profile {profile!r} needs a 'type', since no {family.noun} has that name"
                else:
                    message = f"no {family.noun} or profile {profile!r}{nearest(profile, snapshot.names())}"
                raise catalogue.unknown(f"{message} (known: {', '.join(snapshot.names())}){chooser}")
            profile = backend = recorded_backend
        if not isinstance(backend, str) or backend not in known:
            layer = RECORD if given is None else given.layer
            close = nearest(str(backend), known)
            message = f"the profile {profile!r} has the type {backend!r} ({layer}), which is no {family.noun}{close}"
            raise catalogue.unknown(f"{message} (known: {', '.join(known)}){chooser}")
        if recorded_backend is not None and backend != recorded_backend:
            otherwise = ", or copy it with copy_index" if family is BACKENDS else ""
            raise ConfigError(
                f"the run was made with the {recorded_backend} {family.noun}, but {profile!r} is of {backend}: open it"
                f" with a profile of {recorded_backend}{otherwise}"
            )
        plan = cls(snapshot, profile, backend, catalogue.load(backend), chooser)
        plan.problems += snapshot.profile_problems.get(profile, [])
        return plan

    def refusal(self) -> str:
        """Why the environment does not allow this profile, or nothing."""
        allowed = self.snapshot.allowed
        if allowed is None or self.profile in allowed:
            return ""
        variable = self.snapshot.family.allowed
        return f"{self.profile!r} is not among {variable}={','.join(allowed)}; '*' there allows all{self.chooser}"

    def gather(self, layers: Iterable[Layer], recorded: Mapping[str, Any] | None = None) -> None:
        """Choose, for each field, the strongest layer that gives it, and check every name in every layer."""
        identity = self.model.identity_fields() if recorded is not None else frozenset()
        for at, layer in enumerate(layers):
            for name, setting in self._by_field(layer).items():
                if name not in identity:
                    self.chosen.setdefault(name, setting)
                elif at == 0:
                    self.asked[name] = setting
        if recorded is not None:
            record = [Setting(key, value, RECORD) for key, value in recorded.items()]
            for name, setting in self._by_field(record).items():
                self.chosen.setdefault(name, setting)

    def _by_field(self, layer: Layer) -> dict[str, Setting]:
        names = spellings(self.model)
        found: dict[str, Setting] = {}
        for setting in layer:
            takes_metric = self.snapshot.family.takes_metric and "metric" not in names
            if setting.key == "metric" and takes_metric and setting.layer != "argument":
                self._take_metric(setting)
                continue
            if setting.key == "type" and setting.layer != "argument":
                continue
            name = names.get(setting.key)
            if name is None:
                self.problems.append(self._unknown(setting, names))
            elif setting.value is None:
                continue  # not given, in every layer
            elif name in found:
                keys = f"{found[name].key!r} and {setting.key!r}"
                self.problems.append(f"{self.label}: {keys} are one setting, give one of them ({setting.layer})")
            else:
                found[name] = setting
        return found

    def _take_metric(self, setting: Setting) -> None:
        if setting.value is None or self.metric is not None:
            return
        if setting.value not in METRICS:
            choices = ", ".join(METRICS)
            self.problems.append(f"{self.label}: 'metric' ({setting.layer}) must be one of {choices}")
        else:
            self.metric = setting

    def _unknown(self, setting: Setting, names: Mapping[str, str]) -> str:
        message = f"{self.label} has no setting {setting.key!r} ({setting.layer})"
        if setting.key in _ELSEWHERE and self.snapshot.family is BACKENDS:
            return f"{message}; {_ELSEWHERE[setting.key]}"
        return message + (nearest(setting.key, names) or f"; it has {', '.join(sorted(names))}")

    def validate(self, chosen: Mapping[str, Setting], *, complete: bool = True) -> tuple[Configured | None, list[str]]:
        """The model of these values, or what is wrong with them; ``complete=False`` overlooks what is only missing.

        Nothing is raised from pydantic's error: as a context it would carry the values along.
        """
        data, problems = self._values(chosen)
        try:
            return self.model.model_validate(data), problems
        except ValidationError as error:
            errors = error.errors(include_url=False)
        for fault in errors:
            name = spellings(self.model).get(str(fault["loc"][0])) if fault["loc"] else None
            missing = name is None or fault["type"] == "missing"
            unread = name in chosen and name not in data  # its problem is known
            if not unread and (complete or not missing):
                problems.append(self._complaint(fault, name, chosen))
        return None, problems

    def _values(self, chosen: Mapping[str, Setting]) -> tuple[dict[str, Any], list[str]]:
        """The values with JSON read and references followed, and what went wrong with that."""
        secret = self.model.secret_fields()
        data: dict[str, Any] = {}
        problems: list[str] = []
        for name, setting in chosen.items():
            value = setting.value
            if setting.text and takes_json(self.model.model_fields[name].annotation):
                value = _from_json(value)
                if value is None:
                    problems.append(f'{self.where(setting)} must be JSON, such as {{"name": 1}} or ["a", "b"]')
                    continue
            if name in secret:
                try:
                    value = dereference(value, self.snapshot.environ)
                except LookupError as error:
                    variable = self.snapshot.family.environment_name(self.profile, name)
                    problems.append(f"{self.where(setting)} {error.args[0]}; set it, or {variable}")
                    continue
            data[name] = value
        return data, problems

    def where(self, setting: Setting) -> str:
        """How messages call a value."""
        return f"{self.label}: {setting.key!r} ({setting.layer})"

    def _complaint(self, error: ErrorDetails, name: str | None, chosen: Mapping[str, Setting]) -> str:
        """An error of pydantic about a field in our words, without its input where that may be secret."""
        message = error["msg"].removeprefix("Value error, ")
        if name is None:  # of the whole model
            return f"{self.label}: {message}"
        if error["type"] == "missing":
            variable = self.snapshot.family.environment_name(self.profile, name)
            return (
                f"{self.label} needs {name!r}: give it as an argument, as {variable}, or in {self.snapshot.path.value}"
            )
        setting = chosen[name]
        if name in self.model.secret_fields():  # a validator's own message could quote it
            return f"{self.where(setting)} is not valid: it must be {_KINDS.get(error['type'], 'as documented')}"
        shown = masked(self.model, name, setting.value)
        return f"{self.where(setting)}: {message[:1].lower()}{message[1:]}, not {shown!r}"

    def contradictions(self, config: Configured) -> list[str]:
        """The arguments that differ from what the record says about which index is meant."""
        other, problems = self.validate({**self.chosen, **self.asked})
        backends = self.snapshot.family is BACKENDS
        otherwise = "connect(…) to the other index" if backends else "make another index with the other model"
        for name, setting in self.asked.items():
            if other is not None and getattr(other, name) != getattr(config, name):
                mine, theirs = (masked(self.model, name, getattr(c, name)) for c in (config, other))
                problems.append(
                    f"the run record says {name}={mine!r}, the argument {setting.key}={theirs!r}: leave it out,"
                    f" or {otherwise}"
                )
        return problems

    def raise_problems(self, problems: Sequence[str]) -> None:
        """Raise them all at once, with who chose the backend."""
        if problems:
            text = "\n".join(dict.fromkeys(problems))
            raise ConfigError(f"{text}{self.chooser}")

    def exposed(self) -> dict[str, list[Setting]]:
        """The secrets that stand in plain text in a file, by file."""
        found: dict[str, list[Setting]] = {}
        for name in sorted(self.model.secret_fields() & self.chosen.keys()):
            setting = self.chosen[name]
            parts = setting.value.values() if isinstance(setting.value, Mapping) else [setting.value]
            if setting.path is not None and not all(is_reference(part) for part in parts):
                found.setdefault(str(setting.path), []).append(setting)
        return found

    def warn_exposed(self) -> None:
        """Log, once a file, that a secret lies open to all users."""
        for settings in self.exposed().values():
            if settings[0].path is not None:
                warn_exposed(settings[0].path, ", ".join(setting.key for setting in settings))


def spellings(model: type[Configured]) -> dict[str, str]:
    """Every spelling of every setting -> its field: the field's own name and its aliases."""
    found: dict[str, str] = {}
    for name, info in model.model_fields.items():
        choices = info.validation_alias.choices if isinstance(info.validation_alias, AliasChoices) else ()
        for alias in (info.alias, info.validation_alias, *choices):
            if isinstance(alias, str):
                found[alias] = name
    return found | {name: name for name in model.model_fields}


def takes_json(annotation: Any) -> bool:
    """Whether a field holds a list or a table, which the environment gives as JSON."""
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, BaseModel | Mapping | Sequence | set | frozenset):
        return not issubclass(origin, str | bytes)
    if isinstance(origin, type) and (dataclasses.is_dataclass(origin) or issubclass(origin, SecretStr)):
        return dataclasses.is_dataclass(origin)
    return any(takes_json(part) for part in get_args(annotation))


def _from_json(text: str) -> Any:
    """A list or a table; ``None`` for any other text."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None


def check(snapshot: Snapshot, plan: Plan) -> list[str]:
    """What is wrong with a profile as configured; what is only missing may still come as an argument."""
    plan.gather(snapshot.profiles.get(plan.profile, ()))
    _, problems = plan.validate(plan.chosen, complete=False)
    return list(dict.fromkeys([*plan.problems, *problems]))


__all__ = ("Plan", "Resolved", "check", "resolve", "spellings")
