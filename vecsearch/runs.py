"""Run records: what an index is and how it was configured, one readable JSON file each, never its secrets.

A record is ``<home>/runs/<key>.json``. The key is the file's name and stands nowhere in it, so that a rename is one
rename of a file. Changes are made under a lock between processes; readers need none, as a file is always whole.
"""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from vecsearch import settings
from vecsearch.backends.base import Metric  # noqa: TC001  pydantic reads it
from vecsearch.catalogue import nearest
from vecsearch.errors import CorruptRunError, InvalidInputError, RunError, RunExistsError, RunNotFoundError
from vecsearch.files import atomic_write, fsync_directory, locked, storage_errors
from vecsearch.types import IndexConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMAT_VERSION = 1
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
FILTERS = ("backend", "metric", "model", "patches", "patches_field", "state", "supports_prompts")
_logger = logging.getLogger("vecsearch")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vecsearch")
    except PackageNotFoundError:  # a source tree that was never installed
        return "unknown"


class ModelSource(BaseModel):
    """From which provider a model comes, and its public settings: what `load_run` makes it from again."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    profile: str
    """The name that chose the model: a profile, or the provider itself."""
    provider: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)


class RunInfo(BaseModel):
    """The record of an index. ``settings`` are the backend's public ones, with ``path`` absolute."""

    # An unknown name is refused: a record of a later version is not half understood, nor cut down when it is written.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key: str = Field(exclude=True)
    format_version: Literal[1] = 1
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    vecsearch_version: str = Field(default_factory=_version)
    state: Literal["creating", "ready"] = "creating"
    profile: str
    """The name that chose the backend: a profile, or the backend itself."""
    backend: str
    """The backend's type."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    metric: Metric
    dim: int | None = Field(None, ge=1)
    patches: bool = False
    patches_field: str | None = None
    model: dict[str, JsonValue] | None = None
    """The model's ``name`` and fingerprint."""
    model_source: ModelSource | None = None
    """Of a model that was chosen by its name."""
    supports_prompts: bool = False

    @property
    def config(self) -> IndexConfig:
        """The configuration by attributes, as FiftyOne's code reads it: ``info.config.supports_prompts``."""
        name = None if self.model is None else self.model.get("name")
        return IndexConfig(
            method=self.backend,
            metric=self.metric,
            model=None if name is None else str(name),
            patches_field=self.patches_field,
            supports_prompts=self.supports_prompts,
            settings=self.settings,
        )


def check_key(key: object) -> str:
    """The key, or `InvalidInputError`."""
    if isinstance(key, str) and KEY.fullmatch(key):
        return key
    raise InvalidInputError(
        f"{key!r} cannot be the key of a run: letters, digits and '_', no digit first, at most 63 characters"
    )


def reserve(info: RunInfo, *, home: Path | None = None) -> None:
    """Take the key for an index that is about to be made. Of two processes one wins; `RunExistsError` for the other."""
    check_key(info.key)
    base = _home(home)
    with _exclusive(base):
        check_free(info.key, home=base)
        _write(base, info)


def check_free(key: str, *, home: Path | None = None) -> None:
    """Raise `RunExistsError` as `reserve` would, and take nothing: before work that would be lost."""
    base = _home(home)
    taken = _taken(base, key)
    if taken is not None:
        raise RunExistsError(_exists(base, key, taken))


def update(info: RunInfo, *, home: Path | None = None) -> None:
    """Write a record again, say as ``"ready"``.

    Raises `RunNotFoundError` where it was deleted or renamed since, and `RunError` where the key is another run by now,
    or where a run that is ready would go back to being created.
    """
    base = _home(home)
    with _exclusive(base):
        stored = get_run_info(info.key, home=base)
        if stored.created != info.created:
            raise RunError(f"the run {info.key!r} was replaced by another at {stored.created}; this record is stale")
        if (stored.state, info.state) == ("ready", "creating"):
            raise RunError(f"the run {info.key!r} is ready already; this record is stale")
        _write(base, info)


def get_run_info(key: str, *, home: Path | None = None) -> RunInfo:
    """The record of a run. Raises `RunNotFoundError` with the keys there are, `CorruptRunError` with the file."""
    check_key(key)
    base = _home(home)
    if key not in _keys(base):  # not left to the file system: some take IMG.json for img.json
        raise RunNotFoundError(_not_found(base, key))
    return _read(base, key)


def list_runs(*, home: Path | None = None, **filters: Any) -> list[str]:
    """The keys of the runs, sorted, that agree with all filters; a filter that is ``None`` is not given.

    Filters: ``backend`` (a backend or a profile), ``metric``, ``model`` (its name), ``patches``, ``patches_field``,
    ``state`` (``"creating"``, ``"ready"``), ``supports_prompts``. Damaged records are logged and left out;
    `corrupt_runs` has them.
    """
    for name in filters:
        if name not in FILTERS:
            raise InvalidInputError(
                f"runs have no filter {name!r}{nearest(name, FILTERS)}; filters: {', '.join(FILTERS)}"
            )
    wanted = {name: value for name, value in filters.items() if value is not None}
    infos, corrupt = _read_all(_home(home))
    for error in corrupt:
        _logger.warning("left out of the list of runs: %s", error)
    return [info.key for info in infos if all(_agrees(info, name, value) for name, value in wanted.items())]


def corrupt_runs(*, home: Path | None = None) -> list[CorruptRunError]:
    """The records that cannot be read; each has its ``path``."""
    return _read_all(_home(home))[1]


def rename_run(old: str, new: str, *, home: Path | None = None) -> None:
    """Give a run another key. Its data stay where they are, also for those who have the index open."""
    check_key(new)
    base = _home(home)
    with _exclusive(base):
        info = get_run_info(old, home=base)
        if info.state == "creating":
            raise RunError(f"the run {old!r} is being created, or its creation failed; it cannot be renamed")
        taken = _taken(base, new)
        if taken is not None and taken != old:  # a change of case is no clash with itself
            raise RunExistsError(_exists(base, new, taken))
        source, target = _path(base, old), _path(base, new)
        with storage_errors("rename", source):
            source.rename(target)
            fsync_directory(target.parent)


def delete_record(key: str, *, only: RunInfo | None = None, home: Path | None = None) -> None:
    """Remove a record, damaged ones too; the index itself stays.

    With ``only``, the record must still be that run: whoever fails to create an index may not remove the run of another
    process that took the key since. Raises `RunNotFoundError`, `RunError`.
    """
    check_key(key)
    base = _home(home)
    with _exclusive(base):
        if key not in _keys(base):
            raise RunNotFoundError(_not_found(base, key))
        if only is not None and get_run_info(key, home=base).created != only.created:
            raise RunError(f"the run {key!r} was replaced by another; it was left as it is")
        path = _path(base, key)
        with storage_errors("delete", path):
            path.unlink()
            fsync_directory(path.parent)


def data_path(backend: str, key: str, *, home: Path | None = None) -> Path:
    """A directory for the data of a new run: ``<home>/data/<backend>/<key>``.

    After a rename that directory may belong to another run; then ``<key>-2`` and so on, which no key can be called.
    Nothing is made.
    """
    base = _home(home).absolute()
    claimed = {info.settings.get("path") for info in _read_all(base)[0]}
    first = base / "data" / backend / check_key(key)
    number, path = 1, first
    while str(path) in claimed or path.exists():
        number += 1
        path = first.with_name(f"{key}-{number}")
    return path


def _home(home: Path | None) -> Path:
    return settings.config.home if home is None else home


def _path(home: Path, key: str) -> Path:
    return home / "runs" / f"{key}.json"


@contextmanager
def _exclusive(home: Path) -> Iterator[None]:
    with locked(home / "runs" / ".lock"):
        yield


def _keys(home: Path) -> list[str]:
    """The names of the record files, sorted, damaged ones included."""
    with storage_errors("read", home / "runs"):
        try:
            files = os.listdir(home / "runs")  # noqa: PTH208  a glob takes a directory it may not read for an empty one
        except FileNotFoundError:
            return []
    return sorted(file.removesuffix(".json") for file in files if file.endswith(".json") and file[0] != ".")


def _taken(home: Path, key: str) -> str | None:
    """The key that differs from this one at most in case."""
    return next((other for other in _keys(home) if other.lower() == key.lower()), None)


def _exists(home: Path, key: str, taken: str) -> str:
    if taken != key:
        return f"the key {key!r} differs only in case from the run {taken!r}; choose another"
    try:
        creating = _read(home, key).state == "creating"
    except CorruptRunError as error:
        return f"{error}; delete_run({key!r}) removes the record"
    if creating:
        return f"the run {key!r} is being created, or its creation failed: then delete_run({key!r}, cleanup=True)"
    return f"a run {key!r} exists: load_run({key!r}) opens it, if_exists='replace' or delete_run({key!r}) removes it"


def _not_found(home: Path, key: str) -> str:
    import difflib

    keys = _keys(home)
    near_first = sorted(keys, key=lambda other: -difflib.SequenceMatcher(None, key.lower(), other.lower()).ratio())
    known = f"the runs are {', '.join(near_first)}" if keys else "there are no runs"
    return f"no run {key!r} in {home / 'runs'}; {known}"


def _agrees(info: RunInfo, name: str, value: object) -> bool:
    if name == "backend":
        return value in (info.backend, info.profile)
    return bool(getattr(info.config if name == "model" else info, name) == value)


def _read_all(home: Path) -> tuple[list[RunInfo], list[CorruptRunError]]:
    infos, corrupt = [], []
    for key in _keys(home):
        try:
            infos.append(_read(home, key))
        except CorruptRunError as error:
            corrupt.append(error)
        except RunNotFoundError:  # deleted or renamed since the directory was read
            continue
    return infos, corrupt


def _read(home: Path, key: str) -> RunInfo:
    path = _path(home, key)
    try:
        with storage_errors("read", path):
            text = path.read_bytes()
    except OSError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise RunNotFoundError(_not_found(home, key)) from None
        raise
    if not KEY.fullmatch(key):
        raise CorruptRunError(f"{path} is no run record: {key!r} cannot be a key", path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CorruptRunError(f"{path} cannot be read: {error}", path) from error
    if not isinstance(content, dict):
        raise CorruptRunError(f"{path} cannot be read: it holds no JSON object", path)
    version = content.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise CorruptRunError(f"{path} was written by a later vecsearch (format {version}): upgrade to read it", path)
    problems: list[str] = []
    try:
        if "key" in content:  # the file's name decides
            problems.append("key: not expected")
        info = RunInfo.model_validate({**content, "key": key})
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
    if problems:
        raise CorruptRunError(f"{path} cannot be read: {'; '.join(problems)}", path)
    return info.model_copy(update={"settings": _with_path(info.settings, lambda text: str(home.absolute() / text))})


def _write(home: Path, info: RunInfo) -> None:
    """Write a record; a path within the home is written relative to it, so that the home can be moved."""
    base = home.absolute()

    def relative(text: str) -> str:
        path = Path(text).expanduser().absolute()
        return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)

    stored = info.model_copy(update={"settings": _with_path(info.settings, relative)})
    atomic_write(_path(home, info.key), json.dumps(stored.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def _with_path(recorded: dict[str, JsonValue], change: Callable[[str], str]) -> dict[str, JsonValue]:
    """Settings with a changed ``path``, unless it is none of the file system: ``s3://bucket``, ``:memory:``."""
    path = recorded.get("path")
    if not isinstance(path, str) or "://" in path or path.startswith(":"):
        return recorded
    return {**recorded, "path": change(path)}


__all__ = (
    "ModelSource",
    "RunInfo",
    "check_free",
    "check_key",
    "corrupt_runs",
    "data_path",
    "delete_record",
    "get_run_info",
    "list_runs",
    "rename_run",
    "reserve",
    "update",
)
