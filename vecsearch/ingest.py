"""Writes: what is checked, what is done with rows that exist, and the two ways in; receipts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import checks
from vecsearch.backends.base import Backend, Spec
from vecsearch.errors import ExistingIdsError, InvalidInputError
from vecsearch.progress import reporting
from vecsearch.types import OnExisting, Receipt, Records
from vecsearch.uploads import Checkpoint, Piece, Upload, first_batch, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.backends.base import Capabilities, Metric
    from vecsearch.calls import Engine
    from vecsearch.tables import Chunk, Source


@dataclass(slots=True)
class Draft:
    """An index that is made by its first write: what is known of it before."""

    metric: Metric
    dim: int | None = None
    patches: bool | None = None


def ensure_created(engine: Engine, draft: Draft, records: Records) -> int:
    """Create the index in the engine, where there is none, for these rows; how many of them are in it then."""
    with engine.write_lock:
        if engine.spec is not None or records.vectors is None or engine.describe() is not None:
            return 0
        patches = records.sample_ids is not None if draft.patches is None else draft.patches
        dim = records.vectors.shape[1]
        spec = Spec(dim, draft.metric, patches=patches)
        in_one_step = type(engine.backend).create_with is not Backend.create_with
        first = first_batch(engine, records) if in_one_step else None
        engine.create(spec, first)
        return 0 if first is None else len(first)


# ---- checks of what is to be written


def checked(chunk: Chunk, draft: Draft, spec: Spec | None, capabilities: Capabilities) -> Records:
    """Rows as records, or one error that names what is wrong; nothing is written here."""
    dim = spec.dim if spec else draft.dim
    metric = spec.metric if spec else draft.metric
    vectors = checks.embeddings(chunk.embeddings, dim)
    if metric == "cosine":
        checks.no_zero_vectors(vectors, "cosine has no direction for them")
    elif not capabilities.zero_vectors:
        checks.no_zero_vectors(vectors, "this engine cannot store them")
    patches = spec.patches if spec else draft.patches
    labelled = chunk.label_ids is not None
    if patches is None:
        patches = labelled
    if patches and not labelled:
        raise InvalidInputError("this index has a row per label: give label_ids= beside sample_ids=")
    if labelled and not patches:
        raise InvalidInputError("this index has a row per sample: leave label_ids= out, or create a patch index")
    samples = checks.ids(chunk.sample_ids, unique=not patches)
    checks.same_length(len(vectors), len(samples), "sample_ids")
    labels = None
    if patches:
        labels = checks.ids(chunk.label_ids, "label_ids")
        checks.same_length(len(vectors), len(labels), "label_ids")
    metadata = checks.metadata(chunk.metadata, len(vectors))
    documents = checks.documents(chunk.documents, len(vectors))
    return Records(labels or samples, vectors, samples if patches else None, metadata, documents)


def refuse_existing(engine: Engine, ids: list[str]) -> None:
    """``on_existing="raise"``: nothing is written if a row is there."""
    existing = engine.existing(ids) if engine.spec is not None else set()
    if existing:
        found = [row_id for row_id in ids if row_id in existing]
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""  # noqa: PLR2004
        raise ExistingIdsError(f"already in the index: {found[:5]!r}{more}; nothing was written", found)


class Seen:
    """Which ids a stream has shown: eight bytes each, so that a stream of any length is checked for repeats."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.int64]] = []

    def add(self, ids: list[str]) -> None:
        """Remember these; an id that was there before is refused."""
        new = np.sort(np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids)))
        for run in self._runs:
            places = np.searchsorted(run, new)
            again = run[np.minimum(places, len(run) - 1)] == new
            if again.any():
                marks = set(new[again].tolist())
                repeated = [row_id for row_id in ids if hash(row_id) in marks]
                raise InvalidInputError(f"sample_ids: given more than once in one stream: {repeated[:5]!r}")
        self._runs.append(new)
        # Runs grow by doubling: few of them, each number moved a logarithmic number of times.
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]))


# ---- the two ways in


def add(
    engine: Engine, draft: Draft, records: Records, *, on_existing: OnExisting, progress: Any, wait: bool
) -> Receipt:
    """Write checked rows that lie in memory."""
    checks.choice(on_existing, OnExisting, "on_existing")
    started = time.monotonic()
    if not len(records):
        return Receipt(0)
    with engine.write_lock:
        if on_existing == "raise":
            refuse_existing(engine, records.ids)
        with reporting(progress, "writing") as report:
            upload = Upload(engine, report, len(records), None)
            upload.run(_pieces(engine, draft, records, 0, upload, on_existing))
    if wait:
        engine.wait_until_visible(upload.visible_ids(), [])
    return Receipt(upload.written, upload.skipped, time.monotonic() - started)


def stream(
    engine: Engine,
    draft: Draft,
    source: Source,
    *,
    on_existing: OnExisting,
    checkpoint: str | Path | None,
    progress: Any,
    wait: bool,
) -> Receipt:
    """Write a source of any length in bounded memory; the same call with the same ``checkpoint`` goes on."""
    checks.choice(on_existing, OnExisting, "on_existing")
    started = time.monotonic()
    if on_existing == "raise":
        _refuse_existing_in(engine, draft, source)
    kept = None
    if checkpoint is not None:
        identity = {"source": source.fingerprint, "backend": engine.name, "index": engine.config.index_name}
        kept = Checkpoint.open(checkpoint, identity)
        if not engine.capabilities.durable:
            engine.save()  # refuses now what could not be kept later
    with engine.write_lock, reporting(progress, "writing") as report:
        upload = Upload(engine, report, source.total, kept)
        upload.run(_stream_pieces(engine, draft, source, upload, on_existing))
        if kept is not None:
            kept.write(upload.frontier, engine)
            kept.path.unlink(missing_ok=True)
    if wait:
        engine.wait_until_visible(upload.visible_ids(), [])
    return Receipt(upload.written, upload.skipped, time.monotonic() - started, None if kept is None else kept.path)


def _stream_pieces(
    engine: Engine, draft: Draft, source: Source, upload: Upload, on_existing: OnExisting
) -> Iterator[Piece]:
    done, position, seen = upload.frontier, 0, Seen()
    for chunk in source.read():
        records = _checked_at(chunk, position, engine, draft)
        rows = len(records)
        seen.add(records.ids)
        if position + rows > done:
            offset = max(0, done - position)
            rest = records.take(slice(offset, None)) if offset else records
            yield from _pieces(engine, draft, rest, position + offset, upload, on_existing)
        position += rows


def _checked_at(chunk: Chunk, position: int, engine: Engine, draft: Draft) -> Records:
    try:
        return checked(chunk, draft, engine.spec, engine.capabilities)
    except InvalidInputError as error:
        if position == 0:
            raise
        raise InvalidInputError(f"in the rows from {position} on: {error}") from error


def _refuse_existing_in(engine: Engine, draft: Draft, source: Source) -> None:
    if not source.repeatable:
        raise InvalidInputError(
            'on_existing="raise" reads the source twice, and an iterator can be read once; use "skip"'
        )
    position = 0
    for chunk in source.read():
        records = _checked_at(chunk, position, engine, draft)
        refuse_existing(engine, records.ids)
        position += len(records)


def _pieces(
    engine: Engine, draft: Draft, records: Records, start: int, upload: Upload, on_existing: OnExisting
) -> Iterator[Piece]:
    """Records in pieces to upload; the first of a new index may be in already."""
    made = ensure_created(engine, draft, records)
    if made:
        upload.account(Piece(records.take(slice(made)), start, start + made))
        records = records.take(slice(made, None))
    if len(records) or not made:
        yield from pieces(engine, records, start + made, upload, on_existing)
