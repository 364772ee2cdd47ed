"""What a workspace holds: endpoints, indexes, rows; how rows are checked and said."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.testing.standins import mosaic_schemas as schemas
from vecsearch.testing.standins.http import Answer, RefusalError
from vecsearch.testing.standins.mosaic_filters import from_dict, from_text
from vecsearch.testing.standins.service import in_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.testing.standins.lag import LaggingRows

MAX_RESULT_BYTES = 10 << 20
_INT_BITS = {"integer": 31, "long": 63}

Values = dict[str, Any]


@dataclass(slots=True)
class Endpoint:
    """Where indexes are served."""

    name: str
    type: str
    ready_at: float
    state: str | None = None
    """In the place of PROVISIONING and ONLINE."""


@dataclass(slots=True)
class Index:
    """One index: its columns, and the rows as they were written."""

    name: str
    endpoint: Endpoint
    key: str
    vector: str
    dim: int
    columns: dict[str, str]
    ready_at: float
    rows: LaggingRows[Values]
    synced: bool = False
    """A Delta Sync index, which the API does not write to."""
    says_columns: bool = True
    """Whether a Delta Sync index lists its columns."""

    @property
    def kinds(self) -> dict[str, str]:
        """What the columns' values are."""
        return {name: schemas.TYPES[held] for name, held in self.columns.items()}

    def shown(self, url: str, now: float) -> dict[str, Any]:
        """Its description."""
        ready, rows = now >= self.ready_at, len(self.rows.seen())
        vector = [{"name": self.vector, "embedding_dimension": self.dim}]
        status: dict[str, Any] = {"ready": ready, "index_url": f"{url}/{self.name}"}
        status["message"] = "Index is ready." if ready else "Index is being created."
        if rows:  # a count of 0 is left out
            status["indexed_row_count"] = rows
        if self.synced:
            spec: dict[str, Any] = {"source_table": f"{self.name}_source", "pipeline_type": "TRIGGERED"}
            spec["embedding_vector_columns"] = vector
            if self.says_columns:
                spec["columns_to_sync"] = sorted(self.columns)
            kind = {"index_type": "DELTA_SYNC", "delta_sync_index_spec": spec}
        else:
            direct = {"embedding_vector_columns": vector, "schema_json": json.dumps(self.columns)}
            kind = {"index_type": "DIRECT_ACCESS", "direct_access_index_spec": direct}
        names = {"name": self.name, "endpoint_name": self.endpoint.name, "primary_key": self.key}
        return {**names, "status": status, **kind}

    def row(self, given: Any) -> Values:
        """A row as it is written, checked against the columns; null where a column is not given."""
        unknown = set(given) - set(self.columns)
        if unknown:
            raise RefusalError(400, f"the index has no column {min(unknown)!r}")
        row: Values = {}
        for name, held in self.columns.items():
            value, kind = given.get(name), schemas.TYPES[held]
            if value is None and name not in (self.key, self.vector):
                row[name] = None
            elif kind == "vector":
                if not isinstance(value, list) or len(value) != self.dim or not all(map(is_finite, value)):
                    raise RefusalError(400, f"{name!r} must be a list of {self.dim} finite numbers")
                row[name] = np.array(value, dtype=np.float32)
            else:
                row[name] = typed(value, held, name)
        if row[self.key] == "":
            raise RefusalError(400, "a primary key is empty")
        return row

    def filter(self, body: Mapping[str, Any]) -> Callable[[Values], Any] | None:
        """What the filter of a query holds for, in the dialect of the endpoint."""
        standard = self.endpoint.type == "STANDARD"
        if ("filter_string" if standard else "filters_json") in body:
            raise RefusalError(400, f"this dialect of filters is not that of an endpoint of type {self.endpoint.type}")
        if "filters_json" in body:
            return from_dict(body["filters_json"], self.kinds)
        return from_text(body["filter_string"], self.kinds) if "filter_string" in body else None


@dataclass(slots=True)
class Page:
    """What is left of an answer."""

    index: str
    columns: list[str]
    rows: list[list[Any]] = field(default_factory=list)


def status(taken: Sequence[str], failed: Sequence[str]) -> dict[str, Any]:
    """What is said of a write, with the status 200 whatever came of it."""
    if not failed:
        return {"status": "SUCCESS", "result": {"success_row_count": len(taken)}}
    status = "PARTIAL_SUCCESS" if taken else "FAILURE"
    return {"status": status, "result": {"success_row_count": len(taken), "failed_primary_keys": list(failed)}}


def is_finite(value: Any) -> bool:
    """Whether it is a number of a vector."""
    return type(value) in (int, float) and math.isfinite(value)


def typed(value: Any, held: str, name: str) -> Any:
    """A value of a column of this type."""
    kind = schemas.TYPES[held]
    right = {"str": (str,), "bool": (bool,), "int": (int,), "float": (int, float)}[kind]
    if type(value) not in right or (kind == "int" and not -(2 ** _INT_BITS[held]) <= value < 2 ** _INT_BITS[held]):
        raise RefusalError(400, f"{name!r}: {value!r} is no value of a column of type {held}"[:300])
    return float(value) if kind == "float" else value


def scores(query: NDArray[np.float32], rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """1 / (1 + d²), rounded as a service may."""
    if not rows:
        return np.empty(0, dtype=np.float32)
    squares = ((np.array(rows, dtype=np.float64) - query.astype(np.float64)) ** 2).sum(axis=1)
    found: NDArray[np.float32] = (1.0 / (1.0 + squares)).astype(np.float32)
    return found


def shown_value(value: Any) -> Any:
    """A value as a query says it."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def scanned(value: Any) -> dict[str, Any]:
    """A value of a scan, whose numbers are all doubles."""
    if value is None:
        return {}
    if isinstance(value, np.ndarray):
        return {"list_value": {"values": [{"number_value": one} for one in value.tolist()]}}
    if isinstance(value, bool):
        return {"bool_value": value}
    return {"string_value": value} if isinstance(value, str) else {"number_value": float(value)}


def bounded(said: Any) -> Answer:
    """An answer that is not too large."""
    answer = in_json(200, said)
    if len(answer.body) > MAX_RESULT_BYTES:
        raise RefusalError(400, f"the result is larger than {MAX_RESULT_BYTES} bytes; ask for less")
    return answer


__all__ = (
    "MAX_RESULT_BYTES",
    "Endpoint",
    "Index",
    "Page",
    "Values",
    "bounded",
    "scanned",
    "scores",
    "shown_value",
    "status",
)
