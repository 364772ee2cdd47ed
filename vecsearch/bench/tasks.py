"""What the runner hands to the process that measures, and what it gets back."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path  # noqa: TC003  pydantic reads it
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from vecsearch.backends.base import Metric  # noqa: TC001  pydantic reads it
from vecsearch.bench.points import BackendFacts, Load, Reopen, Resources, Stream, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_VECTORS, _FIELDS = "vectors.npy", "fields.jsonl"


class Task(BaseModel):
    """One thing to do. It may hold credentials: it goes through a pipe, and is written nowhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    action: Literal["build", "measure", "drop"]
    home: Path
    """The vecsearch home of this build: records and files of the index."""
    data: Path
    """The folder of `put_data`."""
    out: Path
    """Where the arrays go."""
    backend: str
    settings: dict[str, Any] = Field(default_factory=dict, repr=False)
    search_params: dict[str, JsonValue] = Field(default_factory=dict)
    metric: Metric
    queries: str = "queries"
    k: int = 10
    workload: Workload | None = None


class Observation(BaseModel):
    """What the process saw; scores and verdicts are made of it elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: str | None = None
    """Why there is nothing more."""
    unavailable: bool = False
    """The problem: a client that is not installed, or a server that does not answer."""
    backend: BackendFacts | None = None
    load: Load | None = None
    count: int | None = None
    """The rows that the backend counts."""
    live: tuple[int, int] | None = None
    """The rows that were in the index at the end, from the first to before the last."""
    stream: Stream | None = None
    reopen: Reopen | None = None
    repeat_seconds: list[float] = Field(default_factory=list)
    cpu_seconds: float | None = None
    errors: int = 0
    asked: int = 0
    error: str | None = None
    resources: Resources = Resources()
    others: float | None = None
    steal: float | None = None
    load_average: float | None = None


# ---- the data, as files that every process maps


def put_data(
    folder: Path, vectors: NDArray[np.float32], queries: Mapping[str, Any], fields: Sequence[Mapping[str, Any]] | None
) -> None:
    """Write rows, sets of queries by name, and metadata to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / _VECTORS, np.ascontiguousarray(vectors), allow_pickle=False)
    for name, values in queries.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)
    if fields is not None:
        with (folder / _FIELDS).open("w", encoding="utf-8") as file:
            for row in fields:
                file.write(json.dumps(row, default=_in_json) + "\n")


def vectors_of(folder: Path) -> NDArray[np.float32]:
    """The rows, as a memory map."""
    return np.load(folder / _VECTORS, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def queries_of(folder: Path, name: str) -> NDArray[np.float32]:
    """A set of queries, in memory."""
    return np.load(folder / f"{name}.npy", allow_pickle=False)  # type: ignore[no-any-return]


def fields_of(folder: Path) -> list[dict[str, Any]] | None:
    """The metadata of each row, or ``None``."""
    if not (folder / _FIELDS).exists():
        return None
    with (folder / _FIELDS).open(encoding="utf-8") as file:
        return [{name: _from_json(value) for name, value in json.loads(line).items()} for line in file]


def _in_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"metadata of the type {type(value).__name__} cannot be handed on")


def _from_json(value: Any) -> Any:
    return datetime.fromisoformat(value["$datetime"]) if isinstance(value, dict) else value


__all__ = ("Observation", "Task", "fields_of", "put_data", "queries_of", "vectors_of")
