"""Where settings come from: the file, the environment, and edits, read into one snapshot.

Nothing is decided about a backend or a model here: a value stays as it was written, with the layer it was written in,
until it is opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsearch import registry
from vecsearch.catalogue import nearest

if TYPE_CHECKING:
    from vecsearch.catalogue import Catalogue

PROFILE_NAME = re.compile(r"[a-z][a-z0-9_-]*")
TOP_LEVEL = ("default_similarity_backend", "similarity_backends", "models")
ENV_HOME = "VECSEARCH_HOME"
ENV_PATH = "VECSEARCH_CONFIG_PATH"
ENV_DEFAULT = "VECSEARCH_DEFAULT_SIMILARITY_BACKEND"


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of thing that is configured by profiles: where its settings stand, and what its types are."""

    section: str
    """Of the file, and the name on ``vecsearch.config``."""
    prefix: str
    """Of the variables that set one thing."""
    allowed: str
    """The variable that names the profiles that may be used."""
    catalogue: Catalogue[Any]
    policed: tuple[str, ...]
    """The beginnings of variables that must be known ones."""
    takes_metric: bool = False

    @property
    def noun(self) -> str:
        """What messages call its types."""
        return self.catalogue.noun

    def environment_name(self, profile: str, key: str) -> str:
        """The variable that sets a key of a profile."""
        return f"{self.prefix}{_env_form(profile)}_{key.upper()}"


BACKENDS = Family(
    "similarity_backends",
    "VECSEARCH_SIMILARITY_",
    "VECSEARCH_SIMILARITY_BACKENDS",
    registry.BACKENDS,
    ("VECSEARCH_SIMILARITY_", "VECSEARCH_DEFAULT_"),
    takes_metric=True,
)
MODELS = Family("models", "VECSEARCH_MODEL_", "VECSEARCH_MODELS", registry.MODELS, ("VECSEARCH_MODEL",))


@dataclass(frozen=True, slots=True)
class Setting:
    """One value as one layer gave it."""

    key: str
    value: Any = field(repr=False)  # it may be a secret
    layer: str
    path: Path | None = None
    """The file that holds it, for a value of the file."""
    text: bool = False
    """Whether it is text from the environment, so that lists and dicts are JSON."""


Layer = Sequence[Setting]


@dataclass(frozen=True, slots=True)
class Edits:
    """What was set at run time; ``None`` is not set."""

    layer: str
    home: Path | None = None
    default_similarity_backend: str | None = None
    similarity_backends: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Snapshot:
    """All layers under the arguments, at one moment, as they are about one family."""

    family: Family
    environ: Mapping[str, str] = field(repr=False)
    home: Setting
    path: Setting
    default: Setting
    """The profile that is used where none is named; for models there is none."""
    profiles: dict[str, list[Layer]] = field(default_factory=dict)
    """The layers of each profile that is named anywhere, strongest first."""
    allowed: tuple[str, ...] | None = None
    """The names in the family's variable, if they exclude others."""
    problems: list[str] = field(default_factory=list)
    """What stops every profile."""
    profile_problems: dict[str, list[str]] = field(default_factory=dict)
    """What stops one profile."""
    ignored: list[str] = field(default_factory=list)
    """Sections of the file that are not ours."""

    def names(self) -> list[str]:
        """All profiles and types that can be named, sorted."""
        return sorted({*self.profiles, *self.family.catalogue.names()})

    def given(self, name: str, key: str) -> Setting | None:
        """The strongest value of a key of a profile."""
        found = (s for layer in self.profiles.get(name, ()) for s in layer if s.key == key and s.value is not None)
        return next(found, None)


def _env_form(profile: str) -> str:
    return profile.upper().replace("-", "_")


def take_snapshot(
    environ: Mapping[str, str], path: Path | None, edits: Sequence[Edits], family: Family = BACKENDS
) -> Snapshot:
    """Read all layers, ``edits`` strongest first. Problems are kept, not raised: the caller knows what they stop."""
    home = _home(environ, edits)
    file = Setting("config file", home.value / "config.json", home.layer)
    if path is not None:
        file = Setting("config file", path, "argument")
    elif environ.get(ENV_PATH):
        file = Setting("config file", Path(environ[ENV_PATH]).expanduser(), f"environment {ENV_PATH}")
    default = Setting("default_similarity_backend", registry.DEFAULT if family is BACKENDS else None, "default")
    snapshot = Snapshot(family, environ, home, file, default)

    content = _read_file(snapshot, required=file.layer != home.layer)
    for edit in edits:
        for name, values in getattr(edit, family.section).items():
            found = tuple(Setting(key, value, edit.layer) for key, value in values.items())
            snapshot.profiles.setdefault(name, []).append(found)
    from_file = _file_profiles(snapshot, content)
    from_environment = _environment_profiles(snapshot, {*snapshot.profiles, *from_file})
    for source in (from_environment, from_file):
        for name, layer in source.items():
            snapshot.profiles.setdefault(name, []).append(layer)
    for name in snapshot.profiles:
        if not PROFILE_NAME.fullmatch(name):
            problem = f"{name!r} cannot name a profile: lower-case letters, digits, '_' and '-', a letter first"
            snapshot.profile_problems.setdefault(name, []).append(problem)
    if family is BACKENDS:
        snapshot.default = _default(snapshot, edits, content)
    return snapshot


def _home(environ: Mapping[str, str], edits: Sequence[Edits]) -> Setting:
    for edit in edits:
        if edit.home is not None:
            return Setting("home", edit.home, edit.layer)
    if environ.get(ENV_HOME):
        return Setting("home", Path(environ[ENV_HOME]).expanduser(), f"environment {ENV_HOME}")
    return Setting("home", Path("~/.vecsearch").expanduser(), "default")


def _read_file(snapshot: Snapshot, *, required: bool) -> Mapping[str, Any]:
    path: Path = snapshot.path.value
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if required:
            snapshot.problems.append(f"no configuration file at {path} (from {snapshot.path.layer})")
        return {}
    except OSError as error:
        snapshot.problems.append(f"cannot read the configuration file {path}: {error.strerror or error}")
        return {}
    except json.JSONDecodeError as error:
        snapshot.problems.append(f"{path} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}")
        return {}
    except UnicodeDecodeError:
        snapshot.problems.append(f"{path} is no UTF-8 text")
        return {}
    if not isinstance(content, dict):
        snapshot.problems.append(f"{path} must hold a JSON object with {' and '.join(TOP_LEVEL)}")
        return {}
    for name in content:
        if name in TOP_LEVEL:
            continue
        close = nearest(name, TOP_LEVEL, cutoff=0.7)
        if close:
            snapshot.problems.append(f"{path}: unknown name {name!r}{close}")
        else:  # a section of FiftyOne's, whose file works as it is
            snapshot.ignored.append(name)
    return content


def _file_profiles(snapshot: Snapshot, content: Mapping[str, Any]) -> dict[str, Layer]:
    path: Path = snapshot.path.value
    section = snapshot.family.section
    entries = content.get(section) or {}
    if not isinstance(entries, dict):
        snapshot.problems.append(f"{path}: {section!r} must be an object of names and their settings")
        return {}
    found: dict[str, Layer] = {}
    for name, values in entries.items():
        if isinstance(values, dict):
            found[name] = tuple(
                Setting(key, value, f"file {path}", path=path)
                for key, value in values.items()
                # FiftyOne's way to name its own class; ours come from the registry alone.
                if not (key == "config_cls" and isinstance(value, str) and value.startswith("fiftyone."))
            )
        else:
            found[name] = ()
            problem = f'{path}: the settings of {name!r} must be an object, such as {{"url": "…"}}'
            snapshot.profile_problems.setdefault(name, []).append(problem)
    return found


def _environment_profiles(snapshot: Snapshot, named: set[str]) -> dict[str, Layer]:
    """Give each variable with the family's prefix to the longest profile name that it starts with."""
    family = snapshot.family
    # An empty variable is one that is not set: compose files and CI cannot say it otherwise.
    ours = {key: value for key, value in snapshot.environ.items() if value and key.startswith(family.policed)}
    ours.pop(ENV_DEFAULT, None)
    listed = [name.strip() for name in ours.pop(family.allowed, "").split(",") if name.strip()]
    found: dict[str, list[Setting]] = {name: [] for name in listed if name != "*"}
    if listed and "*" not in listed:
        snapshot.allowed = tuple(found)
    if not ours:
        return dict(found)
    known = sorted({*named, *found, *family.catalogue.names()})
    for variable, value in sorted(ours.items()):
        matches = [
            name
            for name in known
            if variable.startswith(family.environment_name(name, "")) and variable != family.environment_name(name, "")
        ]
        longest = max(map(len, matches), default=0)
        owners = [name for name in matches if len(name) == longest]
        if not owners:
            snapshot.problems.append(f"unknown environment variable {variable}{_suggestion(family, variable, known)}")
        for name in owners:
            key = variable.removeprefix(family.environment_name(name, "")).lower()
            found.setdefault(name, []).append(Setting(key, value, f"environment {variable}", text=True))
            if len(owners) > 1:
                problem = f"{variable} could mean any of the profiles {', '.join(owners)}: rename one"
                snapshot.profile_problems.setdefault(name, []).append(problem)
    return dict(found)


def _suggestion(family: Family, variable: str, known: list[str]) -> str:
    """The nearest variable that would be valid: of ours, or with a known profile in place of the unknown one."""
    candidates = [ENV_DEFAULT, family.allowed] if family is BACKENDS else [family.allowed]
    parts = variable.removeprefix(family.prefix).split("_")
    if variable.startswith(family.prefix) and len(parts) > 1:
        tails = ["_".join(parts[at:]) for at in range(1, len(parts))]
        candidates += [family.environment_name(name, tail) for name in known for tail in tails]
    close = nearest(variable, candidates, cutoff=0.8)
    return close or f"; profiles are {', '.join(known)}, and {family.allowed} can name others"


def _default(snapshot: Snapshot, edits: Sequence[Edits], content: Mapping[str, Any]) -> Setting:
    key = "default_similarity_backend"
    for edit in edits:
        if edit.default_similarity_backend is not None:
            return Setting(key, edit.default_similarity_backend, edit.layer)
    if snapshot.environ.get(ENV_DEFAULT):
        return Setting(key, snapshot.environ[ENV_DEFAULT].strip(), f"environment {ENV_DEFAULT}")
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        snapshot.problems.append(f"{snapshot.path.value}: {key!r} must be the name of a backend, as text")
    elif value is not None:
        return Setting(key, value, f"file {snapshot.path.value}")
    return snapshot.default


__all__ = ("BACKENDS", "MODELS", "Edits", "Family", "Layer", "Setting", "Snapshot", "take_snapshot")
