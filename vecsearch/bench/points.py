"""What one measurement is: a point, asked for by its spec, kept in a ``Store``.

Times are nanoseconds where they are single calls, seconds where they are whole phases; sizes are bytes. What was not
measured is ``None``, never zero.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from vecsearch.backends.base import Metric  # noqa: TC001  pydantic reads it

Kind = Literal["build", "search", "open", "filtered", "batch", "stream", "reopen", "overhead"]
CLOSED: tuple[Kind, ...] = ("search", "filtered", "batch")
"""Searches in a closed loop"""
Verdict = Literal["valid", "noisy", "invalid", "unavailable"]
Deployment = Literal["embedded", "local-server", "remote"]

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


# ---- what was asked


class FilterSpec(_Record):
    """A filter by its name; ``tree`` is its JSON form."""

    name: str
    tree: dict[str, JsonValue]
    pass_rate: Share
    """The share of the rows for which it holds."""
    correlation: str = "given"
    """How it lies to the queries: ``correlated``, ``random``, ``anti``, or ``given`` by the user."""
    lift: float | None = None
    """The pass rate among the nearest rows of the queries, over that among all: above 1 it helps."""


class Workload(_Record):
    """What is done; a field that a kind does not read has its default."""

    kind: Kind
    k: Annotated[int, Field(ge=1)] = 10
    concurrency: Annotated[int, Field(ge=1)] = 1
    """Threads that ask, in one process."""
    rate: Annotated[float, Field(gt=0)] | None = None
    """Queries a second at which ``open`` sends, and writes a second of ``stream``."""
    filter: FilterSpec | None = None
    batch: Annotated[int, Field(ge=1)] = 1
    """Queries in one call."""
    exact: bool = False
    repeats: Annotated[int, Field(ge=1)] = 3
    """Rounds over the queries within one process; each repeat is at least ``seconds`` long."""
    seconds: Annotated[float, Field(ge=0)] = 0.0
    most_seconds: Annotated[float, Field(gt=0)] | None = None
    """After so long no more is asked in a repeat, nor before it to warm up: a slow engine answers fewer queries."""
    warmup: Count = 100
    """Queries asked before, and not counted."""
    delete_share: Share = 0.0
    """How many rows ``stream`` deletes, the oldest first, for each that it inserts."""


class Spec(_Record):
    """All that decides a measurement: the same spec is the same point."""

    dataset: str
    dataset_sha256: str
    rows: Annotated[int, Field(ge=1)]
    dim: Annotated[int, Field(ge=1)]
    metric: Metric
    label: str
    """The name of the configuration: several may use one backend."""
    backend: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """What was requested of the backend, without secrets."""
    search_params: dict[str, JsonValue] = Field(default_factory=dict)
    """What was requested of each search: the points of one frontier differ in this alone."""
    fields: list[str] = Field(default_factory=list)
    """The metadata fields that the rows carry."""
    build: Count = 0
    """Which build of the same index."""
    seed: int = 0
    workload: Workload

    @property
    def key(self) -> str:
        """The name of the point: a hash of the spec."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


# ---- what was found


class DatasetFacts(_Record):
    """The data that was searched; hardness as ``vecsearch bench data inspect`` has it."""

    queries: Count
    duplicates: Count | None = None
    lid_median: float | None = None
    relative_contrast: float | None = None


class BackendFacts(_Record):
    """The engine that answered. Deployment classes are compared with care: one has a network, the other has not."""

    deployment: Deployment
    client: dict[str, str] = Field(default_factory=dict)
    """The versions of the packages in use."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """What the backend says it uses, without secrets."""
    exactness: Literal["always", "on_request", "never"]


class Load(_Record):
    """A build. Starting the process and making the vectors is no part of it."""

    rows: Count
    insert_seconds: Seconds
    """Until the rows were written and saved."""
    searchable_seconds: Seconds
    """Until a search had found a row, the insert included."""
    rows_per_second: Annotated[float, Field(ge=0)]
    cpu_seconds: Seconds


class Times(_Record):
    """Quantiles of single calls in nanoseconds, from all samples together; ``None`` where there are too few."""

    samples: Count
    mean: float
    p50: float
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    """From 1,000 samples on."""
    p999: float | None = None
    """From 10,000 samples on."""
    max: float


class Recall(_Record):
    """The share of the true nearest rows that came back, over queries."""

    strict: Share
    """By ids."""
    tied: Share
    """A row at the distance of the true k-th counts, the distance recomputed."""
    p5: Share
    """The 5th percentile over the queries, strict."""
    low: Share
    """The lowest of a query, strict."""
    short: Share
    """The share of queries with fewer rows than there are."""
    repeated: Count = 0
    """Ids that came twice in one answer."""


class Search(_Record):
    """A search, filtered or not, closed or open."""

    service: Times
    """From when a query was sent."""
    response: Times | None = None
    """From when it should have been sent: with the wait behind a stall. Open loop only."""
    qps: float
    """Queries a second: all queries over the time of all repeats."""
    rate: float | None = None
    """At how many queries a second they were to be sent; open loop only."""
    qps_repeats: list[float]
    p50_repeats: list[float]
    """The median service time of each repeat, in nanoseconds."""
    errors: Count = 0
    asked: Count
    error: str | None = None
    """The first error."""
    recall: Recall | None = None
    cpu_seconds: Seconds | None = None


class Stream(_Record):
    """Inserts and deletes while searches run; the searches are in ``search``."""

    inserted: Count
    seconds: Seconds
    rows_per_second: float
    behind_seconds: Seconds = 0.0
    """How late the last write was against its plan."""
    missing: Count = 0
    """Rows that were inserted, and not found afterwards."""
    deleted: Count = 0
    remaining: Count = 0
    """Rows that were deleted, and found afterwards."""


class Reopen(_Record):
    """A fresh process opens the index that another has made."""

    open_seconds: Seconds
    first_query_seconds: Seconds
    warm_p50: float
    """Median of later queries, in nanoseconds."""


class Overhead(_Record):
    """The same queries through the engine's own client and through vecsearch, in turn; nanoseconds."""

    samples: Count
    native: Times
    ours: Times
    ratio: float
    """Of the medians, vecsearch over the client."""
    low: float
    high: float
    """95 % of bootstrap resamples of the pairs."""
    difference: float
    """The median of the differences of the pairs."""
    same_answers: Share


class Resources(_Record):
    """The process that asked, which is the engine too where it is embedded."""

    disk_bytes: Count | None = None
    """Of the files of the index; ``None`` on a server."""
    memory_peak: Count | None = None
    """Largest anonymous resident memory."""
    memory_steady: Count | None = None
    """Anonymous resident memory at the end."""
    memory_base: Count | None = None
    """The same before the index was opened."""


class Control(_Record):
    """What tells whether the other figures mean anything."""

    null_qps: float | None = None
    """What the harness reaches with a backend that does nothing, at the same concurrency."""
    exact_recall: Share | None = None
    """Recall of exact searches on the same index: must be 1."""
    count: Count | None = None
    """The rows that the backend counts."""
    load_average: float | None = None
    steal: Share | None = None
    """The share of processor time that the host took away."""
    others: Share | None = None
    """The share of processor time that other work took."""


class Environment(_Record):
    """The machine and the software; neither host names nor paths."""

    cpu: str
    cores: Count
    affinity: Count
    memory_bytes: Count | None = None
    memory_limit: Count | None = None
    cpu_limit: float | None = None
    system: str
    kernel: str
    python: str
    packages: dict[str, str] = Field(default_factory=dict)
    packages_sha256: str
    threads: dict[str, str] = Field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None


class Gate(_Record):
    """One condition on which the figures count. Where it fails, the verdict is what ``verdict`` says."""

    name: str
    passed: bool
    detail: str
    verdict: Verdict = "invalid"


class Point(_Record):
    """One result."""

    schema_version: Literal[1] = 1
    run_id: str
    started: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    seconds: Seconds = 0.0
    """How long it took in all, the start of the process included."""
    spec: Spec
    dataset: DatasetFacts
    backend: BackendFacts | None = None
    load: Load | None = None
    search: Search | None = None
    stream: Stream | None = None
    reopen: Reopen | None = None
    overhead: Overhead | None = None
    resources: Resources = Resources()
    control: Control = Control()
    environment: Environment
    gates: list[Gate] = Field(default_factory=list)
    verdict: Verdict

    @property
    def key(self) -> str:
        """The key of the spec."""
        return self.spec.key

    @property
    def failed(self) -> list[Gate]:
        """The gates that did not hold."""
        return [gate for gate in self.gates if not gate.passed]


__all__ = (
    "BackendFacts",
    "Control",
    "DatasetFacts",
    "Environment",
    "FilterSpec",
    "Gate",
    "Load",
    "Overhead",
    "Point",
    "Recall",
    "Reopen",
    "Resources",
    "Search",
    "Spec",
    "Stream",
    "Times",
    "Workload",
)
