"""Uploads: batches by rows and bytes, several at a time; which input rows are in; checkpoints to go on from."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsearch.errors import IngestError, InvalidInputError, UnsupportedError, VecsearchError
from vecsearch.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vecsearch.calls import Engine
    from vecsearch.progress import Report
    from vecsearch.types import OnExisting, Records

_CHECKPOINT_SECONDS = 1.0
_SAVE_SECONDS = 60.0
_FIRST_BYTES = 256 << 20


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
            engine.save()
        self.rows = rows
        atomic_write(self.path, json.dumps({"version": 1, "identity": self.identity, "rows": rows}, indent=1))
        self._written = time.monotonic()


@dataclass(slots=True)
class Piece:
    """One request: records, and the range of input rows that it settles."""

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

    def run(self, pieces: Iterator[Piece]) -> None:
        """Upload all pieces; an ``IngestError`` says what is in and what is not."""
        caps = self._engine.capabilities
        workers = 1 if caps.local or not caps.thread_safe else self._engine.config.workers
        try:
            if workers == 1:
                for piece in pieces:
                    self._send(piece)
            else:
                self._run_parallel(pieces, workers)
        except Exception as error:  # noqa: BLE001  the source is the user's and may raise anything
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

    def _send(self, piece: Piece) -> None:
        try:
            self._engine.upsert(piece.records)
        except VecsearchError:
            self._failed.append((piece.start, piece.stop))
            raise
        self.account(piece)

    def _run_parallel(self, pieces: Iterator[Piece], workers: int) -> None:
        with ThreadPoolExecutor(workers, thread_name_prefix="vecsearch-upload") as pool:
            pending: dict[Future[None], Piece] = {}
            try:
                for piece in pieces:
                    pending[pool.submit(self._engine.upsert, piece.records)] = piece
                    if len(pending) >= 2 * workers:
                        self._collect(pending, wait(pending, return_when=FIRST_COMPLETED).done)
                    if self._error is not None:
                        break
            finally:
                self._collect(pending, wait(pending).done)

    def _collect(self, pending: dict[Future[None], Piece], done: Iterable[Future[None]]) -> None:
        for future in done:
            piece = pending.pop(future)
            error = future.exception()
            if error is None:
                self.account(piece)
            elif isinstance(error, Exception):
                self._failed.append((piece.start, piece.stop))
                self._error = self._error or error
            else:
                raise error

    def account(self, piece: Piece) -> None:
        """The rows of a piece are in."""
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
        return [] if self._last is None else self._last.ids

    def _fail(self, error: Exception) -> None:
        self._keep()
        if self.written == 0:
            raise error
        remaining: list[tuple[int, int | None]] = []
        position = self.frontier
        for start, stop in self._done:
            if start > position:
                remaining.append((position, start))
            position = stop
        if self._total is None or position < self._total:
            remaining.append((position, self._total))
        resume = f"; resume with checkpoint={str(self._checkpoint.path)!r}" if self._checkpoint else ""
        raise IngestError(
            f"{self._engine.name}: {self.written} rows are written, input rows {_ranges(remaining)} are not{resume}: "
            f"{error}",
            written=self.written,
            failed=self._failed,
            remaining=remaining,
            checkpoint=self._checkpoint.path if self._checkpoint else None,
        ) from error


def _ranges(ranges: list[tuple[int, int | None]]) -> str:
    return ", ".join(f"{start} to {'end' if stop is None else stop - 1}" for start, stop in ranges[:5])


def pieces(engine: Engine, records: Records, start: int, upload: Upload, on_existing: OnExisting) -> Iterator[Piece]:
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
        yield Piece(records.take(slice(low, high)), covered, stop)
        covered = stop
    if not len(records):
        upload.advance(start, end)


def first_batch(engine: Engine, records: Records) -> Records:
    """So many of the first rows as go into a new index in one step."""
    bounds = _bounds(engine, records, max(len(records), 1), _FIRST_BYTES)
    return records.take(slice(*bounds[0])) if bounds else records


def _bounds(
    engine: Engine, records: Records, rows: int | None = None, limit: int | None = None
) -> list[tuple[int, int]]:
    most = engine.capabilities.batch_bytes
    rows, limit = rows or engine.batch_rows, limit or most
    refuse_large(engine, records)
    if limit is None or _at_most(records) * rows <= limit:
        return [(low, min(low + rows, len(records))) for low in range(0, len(records), rows)]
    sizes = _sizes(records)
    bounds, low, used = [], 0, 0
    for position, size in enumerate(sizes):
        if most is not None and size > most:
            raise UnsupportedError(
                f"{engine.name}: the row {records.ids[position]!r} has about {size} bytes; a request takes {most}"
            )
        if position > low and (used + size > limit or position - low >= rows):
            bounds.append((low, position))
            low, used = position, 0
        used += size
    if low < len(records):
        bounds.append((low, len(records)))
    return bounds


def refuse_large(engine: Engine, records: Records) -> None:
    """Refuse rows whose fields and documents are more than the engine holds in one row."""
    most = engine.capabilities.row_bytes
    if most is None or (records.metadata is None and records.documents is None):
        return
    for row_id, size in zip(records.ids, _sizes(replace(records, vectors=None)), strict=True):
        if size > most:
            raise UnsupportedError(
                f"{engine.name}: the metadata and document of the row {row_id!r} have about {size} bytes; "
                f"it holds {most}"
            )


def _sizes(records: Records) -> list[int]:
    """About how many bytes each row has on the wire."""
    fixed = _fixed(records)
    sizes = [fixed + len(row_id.encode()) for row_id in records.ids]
    for position, row in enumerate(records.metadata or ()):
        sizes[position] += sum(len(name) + len(str(value).encode()) + 16 for name, value in row.items())
    for position, document in enumerate(records.documents or ()):
        sizes[position] += len((document or "").encode())
    return sizes


def _at_most(records: Records) -> float:
    """What no row is larger than, where that is seen at once."""
    if records.metadata is not None or records.documents is not None:
        return math.inf
    return _fixed(records) + 4 * max(map(len, records.ids), default=0)


def _fixed(records: Records) -> int:
    return 64 + (0 if records.vectors is None else records.vectors.shape[1] * 4)
