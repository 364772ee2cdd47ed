"""Copy an index into another, of whatever engine, and compare the two."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from vecsearch import checks, ingest
from vecsearch.backends.base import BackendConfig
from vecsearch.calls import EVERYTHING, batches
from vecsearch.comparison import Comparison, compare
from vecsearch.errors import InvalidInputError
from vecsearch.index import SimilarityIndex
from vecsearch.models.given import same_fingerprint
from vecsearch.progress import reporting
from vecsearch.rows import all_ids, fetched
from vecsearch.scopes import Scope, scan
from vecsearch.tables import Chunk, Source
from vecsearch.views import View

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vecsearch.calls import Engine
    from vecsearch.types import OnExisting, Records

Verify = Literal["sample", "full"]
_READ_ROWS = 8192
_SAMPLED_ROWS = 1000
_MANNERS = set(BackendConfig.model_fields) - {"index_name"}
"""The settings that say how to talk to an engine."""


@dataclass(slots=True)
class CopyReport(Comparison):
    """What a copy wrote, and how source and target compare after it; ``mismatches`` says what differs."""

    written: int = 0
    skipped: int = 0
    seconds: float = 0.0
    """Of the copy; the comparison took ``verify_seconds`` more."""
    verify_seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.mismatches

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {**asdict(self), "ok": self.ok, "mismatches": self.mismatches}

    def __str__(self) -> str:
        skipped = f", {self.skipped:,} skipped" if self.skipped else ""
        answers = f"{self.queries} {'exact' if self.exact else 'approximate'} queries"
        farthest = f"largest difference of a distance {self.largest_distance_difference:.2g}"
        lines = [
            f"copied     {self.written:,} rows{skipped} ({self.seconds:.1f} s)",
            f"rows       {self.source_rows:,} in the source, {self.target_rows:,} in the target",
            f"compared   {self.compared_rows:,} rows whole: largest vector error {self.largest_vector_error:.2g}",
            f"answers    {answers}: {self.overlap:.4f} of the nearest {self.k} agree, {farthest}",
            *(f"MISMATCH   {one}" for one in self.mismatches),
        ]
        return "\n".join(lines)


def copy_index(
    source: View,
    target: SimilarityIndex,
    *,
    verify: Verify = "sample",
    on_existing: OnExisting = "overwrite",
    checkpoint: str | Path | None = None,
    seed: int = 0,
    progress: Any = None,
) -> CopyReport:
    """Write every row of ``source`` (an index or a view) into ``target``: vectors, ids, labels, metadata, documents.

    Rows stream through in bounded memory; the target is made by the first of them, with the metric, width and kind of
    the source. With ``checkpoint``, a path, the same call goes on where the last one ended, also after a kill; it needs
    a source that does not change meanwhile. Afterwards the two are compared: the ids of all rows, 1,000 rows drawn by
    ``seed`` whole (``verify="full"``: all rows), and the answers to 100 queries. Rows that were in the target before,
    and are not in the source, are differences too.

    A difference is not an error: look at ``report.mismatches``. Raises ``InvalidInputError`` where the target has
    another metric, width, model or kind of rows (nothing is written), ``IngestError`` for a copy that ends half-way.
    """
    checks.choice(verify, Verify, "verify")
    _refuse_unlike(source, target)
    engine, scope = source._engine, source._scope  # noqa: SLF001  the rooms behind one door
    into = target._engine  # noqa: SLF001
    draft = replace(target._handle.draft, dim=source.dim, patches=source.is_patches)  # noqa: SLF001
    rows = Source(lambda: _streamed(engine, scope), None, {}, repeatable=True)
    if checkpoint is not None:
        ids = sorted(all_ids(engine, scope))
        rows = Source(lambda: _in_order(engine, ids), len(ids), _fingerprint(engine, ids), repeatable=True)
    receipt = ingest.stream(
        into, draft, rows, on_existing=on_existing, checkpoint=checkpoint, progress=progress, wait=True
    )
    if target._handle.model_record is None:  # noqa: SLF001
        target._handle.recorded_model = source._handle.model_record  # noqa: SLF001
        target._handle.model = source._handle.model  # noqa: SLF001  so that its run can be asked in words too
    if target.key is not None:
        target.save()
    started = time.monotonic()
    with reporting(progress, "comparing") as report:
        found = compare(engine, scope, into, whole=verify == "full", rows=_SAMPLED_ROWS, seed=seed, report=report)
    return CopyReport(
        **{part.name: getattr(found, part.name) for part in fields(found)},
        written=receipt.written,
        skipped=receipt.skipped,
        seconds=receipt.seconds,
        verify_seconds=time.monotonic() - started,
    )


def _refuse_unlike(source: View, target: SimilarityIndex) -> None:
    """Refuse a target that cannot hold the rows of the source as they are."""
    for name, value, kind in (("source", source, View), ("target", target, SimilarityIndex)):
        if not isinstance(value, kind):
            raise InvalidInputError(f"{name}: an open {kind.__name__} is needed, not {type(value).__name__}")
    if _place(source) == _place(target):
        raise InvalidInputError("source and target are the same index")
    if source.metric != target.metric:
        raise InvalidInputError(
            f"the source has the metric {source.metric}, the target {target.metric}: distances would change; create "
            f"the target with metric={source.metric!r}"
        )
    if source.dim is not None and target.dim not in (None, source.dim):
        raise InvalidInputError(f"the source has {source.dim} dimensions, the target {target.dim}")
    made = target.dim is not None or target.is_patches
    if made and source.dim is not None and source.is_patches != target.is_patches:
        kinds = [f"a row per {'label' if view.is_patches else 'sample'}" for view in (source, target)]
        raise InvalidInputError(
            f"the source has {kinds[0]}, the target {kinds[1]}: create the target with embeddings=False and no dim=, "
            "and the copy decides"
        )
    same_fingerprint(source._handle.model_record, target._handle.model_record)  # noqa: SLF001


def _place(view: View) -> Any:
    """What tells one index from another, as far as settings say; how it is called says nothing in one's own folder."""
    engine = view._engine  # noqa: SLF001
    config = engine.config
    if engine.capabilities.local:
        return getattr(config, "path", None) or id(engine)
    if not engine.capabilities.durable:
        return id(engine)
    return engine.name, id(getattr(config, "client", None)), config.model_dump(exclude=_MANNERS)


def _fingerprint(engine: Engine, ids: list[str]) -> dict[str, Any]:
    digest = hashlib.blake2b("\0".join(ids).encode(), digest_size=16).hexdigest()
    return {"kind": "index", "backend": engine.name, "name": engine.config.index_name, "rows": len(ids), "ids": digest}


def _streamed(engine: Engine, scope: Scope) -> Iterator[Chunk]:
    return (_chunk(batch) for batch in scan(engine, scope, EVERYTHING, _READ_ROWS))


def _in_order(engine: Engine, ids: list[str]) -> Iterator[Chunk]:
    """The rows in ascending order of their ids: an order that a second reading has again."""
    return (_chunk(fetched(engine, Scope(), batch, EVERYTHING, "raise")) for batch in batches(ids, _READ_ROWS))


def _chunk(records: Records) -> Chunk:
    labels = None if records.sample_ids is None else records.ids
    samples = records.ids if records.sample_ids is None else records.sample_ids
    return Chunk(records.vectors, samples, labels, records.metadata, records.documents)


__all__ = ("CopyReport", "copy_index")
