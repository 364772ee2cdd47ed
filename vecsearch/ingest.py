"""Writes: what is done with existing rows, batches by rows and bytes, parallel uploads, receipts, checkpoints."""

from __future__ import annotations

import json
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import checks
from vecsearch.backends.base import Spec
from vecsearch.errors import ExistingIdsError, IngestError, InvalidInputError, UnsupportedError, VecsearchError
from vecsearch.files import atomic_write
from vecsearch.progress import reporting
from vecsearch.types import OnExisting, Receipt, Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from vecsearch.backends.base import Metric
    from vecsearch.calls import Engine
    from vecsearch.progress import Report
    from vecsearch.tables import Chunk, Source

_CHECKPOINT_SECONDS = 1.0
_SAVE_SECONDS = 60.0
_VISIBLE_IDS = 1000


@dataclass(slots=True)
class Draft:
    """An index that is made by its first write: what is known of it before."""

    metric: Metric
    dim: int | None = None
    patches: bool | None = None


def ensure_created(engine: Engine, draft: Draft, dim: int, *, patches: bool) -> None:
    """Create the index in the engine with the first rows."""
    with engine.write_lock:
        if engine.spec is None and engine.describe() is None:
            engine.create(Spec(dim, draft.metric, patches=patches if draft.patches is None else draft.patches))


# ---- checks of what is to be written


def checked(chunk: Chunk, *, engine: Engine, draft: Draft, model_dim: int | None = None) -> Records:
    """Rows as records, or one error that names what is wrong; nothing is written here."""
    spec = engine.spec
    dim = spec.dim if spec else draft.dim or model_dim
    metric = spec.metric if spec else draft.metric
    vectors = checks.embeddings(chunk.embeddings, dim)
    if metric == "cosine":
        checks.no_zero_vectors(vectors, "cosine has no direction for them")
    elif not engine.capabilities.zero_vectors:
        checks.no_zero_vectors(vectors, f"{engine.name} cannot store them")
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


# ---- checkpoints


@dataclass(slots=True)
class Checkpoint:
    """How far an ingest has come, in a small JSON file: the rows before ``rows`` are in the index."""

    path: Path
    identity: dict[str, Any]
    rows: int = 0
    _written: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, path: str | Path, identity: dict[str, Any]) -> Checkpoint:
        """The checkpoint at ``path``, new or as an earlier ingest of the same source into the same index left it."""
        path = Path(path)
        if not path.exists():
            return cls(path, identity)
        try:
            saved = json.loads(path.read_text())
            rows, before = int(saved["rows"]), saved["identity"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(
                f"{path} is no checkpoint of an ingest ({error}); delete it to start over"
            ) from error
        if before != identity:
            raise InvalidInputError(f"{path} belongs to another source or index: {before}; delete it to start over")
        return cls(path, identity, rows)

    def due(self, *, durable: bool) -> bool:
        """Whether it is time to write it again."""
        return time.monotonic() - self._written >= (_CHECKPOINT_SECONDS if durable else _SAVE_SECONDS)

    def write(self, rows: int, engine: Engine) -> None:
        """Record that the rows before ``rows`` are in the index, after making sure that they are."""
        if not engine.capabilities.durable:
            engine.call("save", engine.backend.save)
        self.rows = rows
        atomic_write(self.path, json.dumps({"version": 1, "identity": self.identity, "rows": rows}, indent=1))
        self._written = time.monotonic()


# ---- the upload


@dataclass(slots=True)
class _Piece:
    records: Records
    start: int
    stop: int


class Upload:
    """Sends pieces to the engine, several at a time, and keeps account of the input rows that are in."""

    def __init__(self, engine: Engine, report: Report, total: int | None, checkpoint: Checkpoint | None) -> None:
        self._engine = engine
        self._report = report
        self._total = total
        self._checkpoint = checkpoint
        self._done: list[tuple[int, int]] = []
        self._failed: list[tuple[int, int]] = []
        self._error: Exception | None = None
        self._last: Records | None = None
        self.written = 0
        self.skipped = 0
        self.frontier = checkpoint.rows if checkpoint else 0
        """All input rows before this one are done."""

    def run(self, pieces: Iterator[_Piece]) -> None:
        """Upload all pieces; an ``IngestError`` says what is in and what is not."""
        caps = self._engine.capabilities
        workers = 1 if caps.local or not caps.thread_safe else self._engine.config.workers
        try:
            if workers == 1:
                for piece in pieces:
                    self._send(piece)
            else:
                self._run_parallel(pieces, workers)
        except Exception as error:  # the source is the user's and may raise anything
            self._fail(self._error or error)
        except BaseException:  # an interrupt: what is in stays known
            self._keep()
            raise
        if self._error is not None:
            self._fail(self._error)
        self._report(self.written + self.skipped, self._total)

    def _keep(self) -> None:
        if self._checkpoint is not None and self.frontier > self._checkpoint.rows:
            self._checkpoint.write(self.frontier, self._engine)

    def _send(self, piece: _Piece) -> None:
        try:
            self._engine.upsert(piece.records)
        except VecsearchError:
            self._failed.append((piece.start, piece.stop))
            raise
        self._account(piece)

    def _run_parallel(self, pieces: Iterator[_Piece], workers: int) -> None:
        with ThreadPoolExecutor(workers, thread_name_prefix="vecsearch-upload") as pool:
            pending: dict[Future[None], _Piece] = {}
            try:
                for piece in pieces:
                    pending[pool.submit(self._engine.upsert, piece.records)] = piece
                    if len(pending) >= 2 * workers:
                        self._collect(pending, wait(pending, return_when=FIRST_COMPLETED).done)
                    if self._error is not None:
                        break
            finally:
                self._collect(pending, wait(pending).done)

    def _collect(self, pending: dict[Future[None], _Piece], done: Iterable[Future[None]]) -> None:
        for future in done:
            piece = pending.pop(future)
            error = future.exception()
            if error is None:
                self._account(piece)
            elif isinstance(error, Exception):
                self._failed.append((piece.start, piece.stop))
                self._error = self._error or error
            else:
                raise error

    def _account(self, piece: _Piece) -> None:
        self.written += len(piece.records)
        self._last = piece.records
        self.advance(piece.start, piece.stop)
        if self._checkpoint is not None and self._checkpoint.due(durable=self._engine.capabilities.durable):
            self._checkpoint.write(self.frontier, self._engine)

    def advance(self, start: int, stop: int) -> None:
        """The input rows ``start`` to ``stop`` are done: written, or there already."""
        self._done.append((start, stop))
        self._done.sort()
        while self._done and self._done[0][0] <= self.frontier:
            self.frontier = max(self.frontier, self._done.pop(0)[1])
        self._report(self.written + self.skipped, self._total)

    def visible_ids(self) -> list[str]:
        """The last ids written: when they are seen, those before are."""
        return [] if self._last is None else self._last.ids[-_VISIBLE_IDS:]

    def _fail(self, error: Exception) -> None:
        self._keep()
        if self.written == 0:
            raise error
        remaining: list[tuple[int, int | None]] = []
        position = self.frontier
        for start, stop in self._done:
            remaining.append((position, start))
            position = stop
        if self._total is None or position < self._total:
            remaining.append((position, self._total))
        resume = f"; resume with checkpoint={str(self._checkpoint.path)!r}" if self._checkpoint else ""
        raise IngestError(
            f"{self._engine.name}: {self.written} rows are written, input rows {_ranges(remaining)} are not{resume}: {error}",
            written=self.written,
            failed=self._failed,
            remaining=remaining,
            checkpoint=self._checkpoint.path if self._checkpoint else None,
        ) from error


def _ranges(ranges: list[tuple[int, int | None]]) -> str:
    return ", ".join(f"{start}–{'end' if stop is None else stop - 1}" for start, stop in ranges[:5])


def pieces(engine: Engine, records: Records, start: int, upload: Upload, on_existing: OnExisting) -> Iterator[_Piece]:
    """Records in batches by rows and bytes; with ``on_existing="skip"``, without the rows that are there.

    Each piece covers a range of input rows; together they cover all, skipped rows included.
    """
    end = start + len(records)
    inputs = range(start, end)
    if on_existing == "skip":
        existing = engine.existing(records.ids)
        new = [position for position, row_id in enumerate(records.ids) if row_id not in existing]
        upload.skipped += len(records) - len(new)
        records, inputs = records.take(new), [start + position for position in new]  # type: ignore[assignment]
    covered = start
    for low, high in _bounds(engine, records):
        stop = end if high == len(records) else inputs[high - 1] + 1
        yield _Piece(records.take(slice(low, high)), covered, stop)
        covered = stop
    if not len(records):
        upload.advance(start, end)


def _bounds(engine: Engine, records: Records) -> list[tuple[int, int]]:
    rows, limit = engine.batch_rows, engine.capabilities.batch_bytes
    if limit is None:
        return [(low, min(low + rows, len(records))) for low in range(0, len(records), rows)]
    sizes = _sizes(records)
    bounds, low, used = [], 0, 0
    for position, size in enumerate(sizes):
        if size > limit:
            raise UnsupportedError(
                f"{engine.name}: the row {records.ids[position]!r} has about {size} bytes; {limit} is the most in a request"
            )
        if position > low and (used + size > limit or position - low >= rows):
            bounds.append((low, position))
            low, used = position, 0
        used += size
    if low < len(records):
        bounds.append((low, len(records)))
    return bounds


def _sizes(records: Records) -> list[int]:
    """About how many bytes each row has on the wire."""
    fixed = 0 if records.vectors is None else records.vectors.shape[1] * 4
    sizes = [fixed + len(row_id.encode()) + 64 for row_id in records.ids]
    for position, row in enumerate(records.metadata or ()):
        sizes[position] += sum(len(name) + len(str(value).encode()) + 16 for name, value in row.items())
    for position, document in enumerate(records.documents or ()):
        sizes[position] += len((document or "").encode())
    return sizes


# ---- the two ways in


def add(
    engine: Engine, draft: Draft, records: Records, *, on_existing: OnExisting, progress: Any, wait: bool
) -> Receipt:  # noqa: ANN401
    """Write checked rows that lie in memory."""
    checks.choice(on_existing, OnExisting, "on_existing")
    started = time.monotonic()
    if not len(records):
        return Receipt(0)
    with engine.write_lock:
        if on_existing == "raise":
            refuse_existing(engine, records.ids)
        _ensure(engine, draft, records)
        with reporting(progress, "writing") as report:
            upload = Upload(engine, report, len(records), None)
            upload.run(pieces(engine, records, 0, upload, on_existing))
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
    progress: Any,  # noqa: ANN401
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
            engine.call("save", engine.backend.save)  # refuses now what could not be kept later
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
) -> Iterator[_Piece]:
    done, position, seen = upload.frontier, 0, Seen()
    for chunk in source.read():
        records = _checked_at(chunk, position, engine, draft)
        rows = len(records)
        seen.add(records.ids)
        if position + rows > done:
            _ensure(engine, draft, records)
            offset = max(0, done - position)
            rest = records.take(slice(offset, None)) if offset else records
            yield from pieces(engine, rest, position + offset, upload, on_existing)
        position += rows


def _checked_at(chunk: Chunk, position: int, engine: Engine, draft: Draft) -> Records:
    try:
        return checked(chunk, engine=engine, draft=draft)
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


def _ensure(engine: Engine, draft: Draft, records: Records) -> None:
    if engine.spec is None and records.vectors is not None:
        ensure_created(engine, draft, records.vectors.shape[1], patches=records.sample_ids is not None)
