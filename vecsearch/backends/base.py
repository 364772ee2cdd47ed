"""The page an adapter is written against: primitives, and data about what the engine can do.

A backend stores *rows* and answers *primitives*; it holds no policy. Everything else (checks, conflict policies,
batching, retries, chunked views, exact fallbacks, ordering) is written once, in front of it. What it receives is always
checked: float32 C-contiguous vectors of the index's width, unique ids, no empty call, at most ``batch_rows`` rows,
``1 <= k <= max_k``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args

from pydantic import Field, field_validator

from vecsearch.configured import Configured, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from vecsearch.filters import Filter

Metric = Literal["cosine", "euclidean", "dotproduct"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Fault = Literal["unavailable", "rate_limited", "denied", "not_found", "exists", "storage", "invalid"]
Part = Literal["vectors", "fields", "documents"]
FILTER_OPERATORS = frozenset({"eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "contains", "exists", "not"})
GivenClient = Annotated[Any, Field(exclude=True)]
"""The type of a setting that takes the engine's own client: used, never closed, never recorded."""
METADATA_TYPES = frozenset({"str", "int", "float", "bool", "datetime", "list"})


class Score(Enum):
    """What an engine's score means for a metric; ``vecsearch`` turns each into the one distance."""

    DISTANCE = "the distance itself: 1 - cos, the true euclidean length, or -<x, y>"
    SIMILARITY = "cos or <x, y>, larger is nearer"
    SQUARED = "the squared euclidean length"
    ONE_MINUS = "1 - <x, y>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What an engine lets an index be called; sets of characters as between the brackets of a regular expression."""

    characters: str
    first: str | None = None
    """Those that a name may begin with, where these are fewer."""
    last: str | None = None
    """Those that it may end with, where these are fewer."""
    shortest: int = 1
    longest: int = 255


class BackendConfig(Configured):
    """The settings common to all backends; an adapter's own model derives from it.

    A field is a secret, says which index is meant, or is a connection setting: see ``Configured``. A field called
    ``path`` gets ``<home>/data/<backend>/<key>`` where the user gives none, and none of the settings ``elsewhere``. A
    client that the user made is a field of type ``GivenClient``.
    """

    elsewhere: ClassVar[frozenset[str]] = frozenset()
    """The settings that say where the index lies without a ``path``, such as ``url``."""

    index_name: Annotated[str | None, Identity()] = Field(None, description="the name of the index in the engine")
    search_params: dict[str, Any] = Field(default_factory=dict, description="the engine's search options, every search")
    allow_scan: bool = Field(default=False, description="answer by reading all rows where the engine cannot")
    timeout: float = Field(60.0, gt=0, description="seconds for one call, its retries included")
    workers: int = Field(4, ge=1, le=64, description="parallel uploads while writing")
    batch_rows: int | None = Field(None, ge=1, description="rows in one request; less than the engine's limit")

    @field_validator("*", mode="before")
    @classmethod
    def _path_as_text(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @property
    def wants_path(self) -> bool:
        """Whether the index needs a folder of its own that the user did not name."""
        placed = ("path", *self.elsewhere)
        return "path" in type(self).model_fields and all(getattr(self, name, None) is None for name in placed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine can do, as data. Each field is one question."""

    metrics: Mapping[Metric, Score]
    """Which metrics, and what does the engine's score mean for each?"""
    exactness: Literal["always", "on_request", "never"] = "always"
    """Does a search return the true nearest rows: always, when asked (``exact=True``), or never?"""
    true_distances: bool = True
    """Are the scores of the hits computed from the stored vectors, not from quantised ones?"""
    filter_operators: frozenset[str] = FILTER_OPERATORS
    """Which filter operators does it answer itself? ``"not"``: the complement of a leaf."""
    strict_operators: frozenset[str] = FILTER_OPERATORS
    """Which filter operators are false on a row without the field, and on a value of another kind?

    ``"not"``: is the complement of those the plain one, true on such rows? Where one of ``filter_operators`` is not
    strict, the kinds of a row's values are kept beside it, and asked for where the answer depends on them. Where
    ``"not"`` is not, no condition but ``contains`` reaches the engine negated.
    """
    complements_absent: bool = False
    """Is the complement of ``contains`` true on a row without the field? Then rows without fields need no kinds."""
    orders_texts: bool = True
    """Does it compare texts by order (``lt``, ``lte``, ``gt``, ``gte``), by code point?"""
    joins_by_or: bool = True
    """Does it answer alternatives, conditions that are joined by ``or``?"""
    filter_fields: Mapping[str, str] | None = None
    """Which metadata fields can a filter name, and with values of which kind (``str``, ``number``, ``bool``,
    ``datetime``, ``list``)? ``None``: any field, with any value."""
    filters_in: frozenset[Literal["search", "scan", "count"]] = frozenset({"search", "scan", "count"})
    """Which primitives take a ``where``?"""
    max_k: int | None = None
    """How many neighbours can one query ask for?"""
    max_hits: int | None = None
    """How many rows can one search return, the answers to all of its queries together?"""
    max_filter_ids: int | None = None
    """How many ids can one ``where`` name?"""
    batch_rows: int = 1000
    """How many rows can one upsert, delete or fetch carry?"""
    batch_bytes: int | None = None
    """How many bytes of vectors, fields and documents can one upsert carry, or of vectors one search?"""
    row_bytes: int | None = None
    """How many bytes of fields and documents can one row hold?"""
    index_names: Names | None = None
    """What may an index be called? ``None``: anything."""
    metadata_types: frozenset[str] = METADATA_TYPES
    """Which metadata types come back, and filter, exactly as they were put?"""
    max_int: int = 2**63 - 1
    """The largest integer (either sign) that comes back exactly."""
    id_form: Literal["text", "uuid"] = "text"
    """Does it take any text as an id, or UUIDs only?"""
    zero_vectors: bool = True
    """Does it store a vector of zeros (on metrics other than cosine)?"""
    normalises: frozenset[Metric] = frozenset()
    """Under which metrics do vectors come back with the length 1, whatever it was?"""
    thread_safe: bool = True
    """May several threads call it at once?"""
    ends_in_time: bool = True
    """Does a call end by itself when the ``timeout`` of the configuration is over? Where not, it is given up."""
    local: bool = False
    """Do the rows lie in this process, so that a scan needs nobody's leave?"""
    durable: bool = True
    """Is a write safe on disk without ``save()``?"""
    dims: tuple[int, int] = (1, 65_536)
    """The smallest and largest width of a vector."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What an index is: fixed when it is created."""

    dim: int
    metric: Metric
    patches: bool = False
    ours: bool = True
    """Was it made by vecsearch? An adapter says ``False`` for an index that it finds without our marker."""


@dataclass(slots=True)
class Rows:
    """Rows on their way to or from an engine, columns aligned; a column that was not asked for is ``None``.

    ``vectors`` is float32 ``(n, dim)``; ``fields`` are the native fields of each row, plain values under safe names.
    """

    ids: list[str]
    vectors: NDArray[np.float32] | None = None
    fields: list[dict[str, Any]] | None = None
    documents: list[str | None] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Sequence[int]) -> Rows:
        """The rows at these positions, in this order."""

        def part(column: list[Any] | None) -> list[Any] | None:
            return None if column is None else [column[position] for position in positions]

        vectors = None if self.vectors is None else self.vectors[list(positions)]
        return Rows([self.ids[position] for position in positions], vectors, part(self.fields), part(self.documents))


@dataclass(slots=True)
class Hits:
    """The answer to a search: per query its rows, nearest first, with the engine's own scores (any length <= k)."""

    scores: list[NDArray[np.floating[Any]]]
    rows: list[Rows]


@dataclass(frozen=True, slots=True)
class Where:
    """Which rows: those named by ``ids`` (``None``: all) for which ``filter`` holds (``None``: all).

    ``filter`` is in normal form (``vecsearch.filters.normal_form``): conditions, each possibly negated and each with
    values of one kind, joined by and/or; never a constant.
    """

    ids: Sequence[str] | None = None
    filter: Filter | None = None


C = TypeVar("C", bound=BackendConfig)


class Backend(ABC, Generic[C]):
    """An engine, as a dozen primitives. One instance serves one index; calls may come from several threads.

    ``describe`` or ``create`` is always called before any other primitive, and ``spec`` holds what they settled. Where
    an index has vanished, primitives raise (fault ``not_found``). What is handed over is the receiver's: a backend
    neither keeps an object that it was given, nor gives out one that it keeps.

    Raise the client's own exceptions: ``errors`` says what each means, and the caller in front retries, translates and
    names the operation. The most derived class in ``errors`` wins; where no class says enough, ``fault`` does.
    """

    name: ClassVar[str]
    Config: ClassVar[type[BackendConfig]]
    capabilities: Capabilities
    """On the class, or on the instance where it depends on the configuration."""
    errors: ClassVar[Mapping[type[Exception], Fault]] = {}
    search_params: ClassVar[frozenset[str]] = frozenset()
    """The names that ``params=`` and the setting ``search_params`` may hold."""

    spec: Spec | None = None
    """What the index is; set by the caller after ``describe`` and ``create``."""

    def __init__(self, config: C) -> None:
        self.config = config

    def fault(self, error: Exception) -> Fault | None:
        """What an exception means whose class is not in ``errors``, by its status or its text; ``None``: a failure."""
        del error
        return None

    def reason(self, error: Exception) -> str:
        """What an exception says, for the message of ours; an adapter shortens what would take a page."""
        return str(error)

    @property
    def client(self) -> Any:
        """The engine's own client or object: the way around vecsearch, at your own risk."""
        return None

    @abstractmethod
    def describe(self) -> Spec | None:
        """What the engine holds under the configured name, or ``None`` where it holds nothing."""

    @abstractmethod
    def create(self, spec: Spec) -> None:
        """Make the index. Raise (fault ``exists``) where there is one."""

    def create_with(self, spec: Spec, rows: Rows) -> None:
        """Make the index together with its first rows, all or nothing; for engines that do both in one step.

        Called instead of ``create`` and an ``upsert`` where an adapter overrides it. In a new index there is nothing to
        replace, so that rows need not be looked up by id. Their number is bounded by their bytes alone.
        """
        raise NotImplementedError

    @abstractmethod
    def upsert(self, rows: Rows) -> None:
        """Write whole rows, every column given: a row of the same id is replaced, fields and document included."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; unknown ids do nothing."""

    @abstractmethod
    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """The rows of these ids, in any order, without those that do not exist."""

    @abstractmethod
    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        *,
        include: frozenset[Part],
        exact: bool,
        params: Mapping[str, Any],
    ) -> Hits:
        """The ``k`` nearest rows of each query among ``where``, in native scores.

        ``exact`` is only ever true where ``capabilities.exactness`` is not ``"never"``.
        """

    @abstractmethod
    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Every row among ``where`` once, as of the moment of this call, in batches of at most ``batch_rows``."""

    @abstractmethod
    def count(self, where: Where | None = None) -> int:
        """The exact number of rows among ``where``."""

    def visible(self, written: Sequence[str], deleted: Sequence[str]) -> bool:
        """Whether later calls see these writes; asked again until it says yes. An engine that waits says yes."""
        del written, deleted
        return True

    def problems(self) -> list[str]:
        """What is wrong with the engine or the stored data, in plain words, for ``index.health()``."""
        return []

    @abstractmethod
    def drop(self) -> None:
        """Delete the index and its rows from the engine; nothing where there is none."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files; never deletes. Called once."""

    # For engines whose rows lie in this process; the others leave these alone.

    @property
    def unsaved(self) -> bool:
        """Whether ``save()`` has something to write."""
        return False

    def save(self) -> None:
        """Make every write durable: afterwards a crash leaves the new state."""

    def reload(self) -> None:
        """Read again what another process may have saved."""

    def matrix(self) -> tuple[Sequence[str], NDArray[np.float32]] | None:
        """All ids and vectors as they lie in memory or in a file, without a copy; ``None`` where they do not."""
        return None


__all__ = (
    "FILTER_OPERATORS",
    "METADATA_TYPES",
    "METRICS",
    "Backend",
    "BackendConfig",
    "Capabilities",
    "Fault",
    "GivenClient",
    "Hits",
    "Identity",
    "Metric",
    "Names",
    "Part",
    "Rows",
    "Score",
    "Spec",
    "Where",
)
