"""Frozen values that pass between a user and an index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

OnExisting = Literal["overwrite", "skip", "raise"]
OnMissing = Literal["raise", "skip"]
IfExists = Literal["raise", "load", "replace"]
Aggregation = Literal["mean", "post-mean", "post-min", "post-max"]
QueryKind = Literal["vector", "id", "text"]
Include = Literal["metadata", "documents", "embeddings"]
MetadataMode = Literal["merge", "replace"]


class Embeddings(NamedTuple):
    """Vectors with their ids, aligned: unpacks as ``embeddings, sample_ids, label_ids``."""

    embeddings: NDArray[np.float32]
    """float32, shape (n, dim)"""
    sample_ids: NDArray[np.object_]
    """str, shape (n,)"""
    label_ids: NDArray[np.object_] | None
    """str, shape (n,); ``None`` where the index has a row per sample"""


@dataclass(slots=True)
class Records:
    """Rows as a user means them, columns aligned; a column that was not asked for is ``None``.

    ``ids`` is the identity of each row: the label id on a patch index, else the sample id.
    """

    ids: list[str]
    vectors: NDArray[np.float32] | None = None
    sample_ids: list[str] | None = None
    """The sample of each label; ``None`` where the index has a row per sample."""
    metadata: list[dict[str, Any]] | None = None
    documents: list[str | None] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Sequence[int] | NDArray[np.int64] | slice) -> Records:
        """The rows at these positions, in this order."""
        columns = (self.sample_ids, self.metadata, self.documents)
        if isinstance(positions, slice):
            parts: list[Any] = [None if column is None else column[positions] for column in columns]
            return Records(self.ids[positions], None if self.vectors is None else self.vectors[positions], *parts)
        chosen = [int(position) for position in positions]
        parts = [None if column is None else [column[i] for i in chosen] for column in columns]
        return Records([self.ids[i] for i in chosen], None if self.vectors is None else self.vectors[chosen], *parts)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a write did: rows written, rows left as they were (``on_existing="skip"``), and how long it took."""

    written: int
    skipped: int = 0
    seconds: float = 0.0
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One row of a ranking, as plain Python values."""

    id: str
    distance: float
    sample_id: str
    label_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an index answers, how fast, and what is wrong in plain words."""

    ok: bool
    backend: str
    size: int | None = None
    latency_ms: float | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecallReport:
    """Recall of an index against the exact answer over sampled rows as queries.

    ``recall`` is the mean share of the true ``k`` nearest that came back (a row at the distance of the true k-th
    counts); ``low`` and ``high`` bound it with 95 % confidence (bootstrap over queries); times are per query, in
    milliseconds.
    """

    recall: float
    low: float
    high: float
    queries: int
    k: int
    p50_ms: float
    p95_ms: float


class IndexConfig:
    """How an index is made, by attributes; never a secret.

    ``method`` (the backend), ``model``, ``metric``, ``patches_field``, ``supports_prompts``, and each of the backend's
    public settings.
    """

    def __init__(
        self,
        *,
        method: str,
        metric: str,
        model: str | None,
        patches_field: str | None,
        supports_prompts: bool,
        settings: Mapping[str, Any],
    ) -> None:
        own = {
            "method": method,
            "metric": metric,
            "model": model,
            "patches_field": patches_field,
            "supports_prompts": supports_prompts,
        }
        self.__dict__.update({**settings, **own})

    method: str
    metric: str
    model: str | None
    patches_field: str | None
    supports_prompts: bool

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the configuration has no public setting {name!r}; it has {', '.join(sorted(self.__dict__))}"
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"the configuration is a record, {name!r} cannot be changed")

    def __repr__(self) -> str:
        return f"IndexConfig({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IndexConfig) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # settings hold lists


class Model(Protocol):
    """What turns samples and prompts into vectors.

    It may have a ``modality`` (``"text"``, ``"image"``: what ``embed`` takes) and a ``batch_size`` too.
    """

    @property
    def name(self) -> str:
        """What tells it from other models, for people."""
        ...

    @property
    def dim(self) -> int | None:
        """The width of its vectors, as far as it is known."""
        ...

    @property
    def supports_prompts(self) -> bool:
        """Whether texts can be queries."""
        ...

    def embed(self, samples: Sequence[Any]) -> NDArray[np.float32]:
        """Embeddings of samples: float32, shape (n, dim)."""
        ...

    def embed_prompts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of texts used as queries: float32, shape (n, dim)."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """What tells this model from another: JSON-ready."""
        ...
