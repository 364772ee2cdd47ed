"""All rows of a source at once, for work that compares every row with every other.

Rows that lie in this process already are used as they are. Others are read in one pass: up to 256 MiB stay in memory,
more goes to a temporary file that is mapped back, ``rows * dim * 4`` bytes on the disk of ``tempfile.gettempdir()``
(set ``TMPDIR`` to choose it). The file has no name while it is used, so that it is gone when the work ends, however it
ends. Nothing is kept between calls: a kept copy would go stale.
"""

from __future__ import annotations

import shutil
import tempfile
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self, cast

import numpy as np

from vecsearch import checks
from vecsearch.errors import InvalidInputError, StorageError, UnsupportedError
from vecsearch.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

_IN_MEMORY = 256 << 20
_BATCH_BYTES = 16 << 20


class Source(Protocol):
    """What can be searched for duplicates: an index, a view, or any object like this.

    It may also have ``matrix()``, which returns ``(ids, float32 array)`` that lie in memory, or ``None``; and a
    length, which lets the disk be checked before the first row is read.
    """

    @property
    def dim(self) -> int | None:
        """The width of a vector; ``None`` if there is none yet."""
        ...

    @property
    def metric(self) -> str:
        """``"cosine"``, ``"euclidean"`` or ``"dotproduct"``."""
        ...

    def iter_embeddings(self, batch_size: int = ...) -> Iterable[Any]:
        """Batches of ``(embeddings, sample_ids, label_ids)``; label ids are ``None`` where rows are samples."""
        ...


class Gathered:
    """Ids and vectors, aligned; ``vectors`` may be a memory map and is not to be written."""

    __slots__ = ("ids", "vectors")

    def __init__(self, ids: list[str], vectors: NDArray[np.float32]) -> None:
        self.ids = ids
        self.vectors = vectors


def check_source(source: Any) -> None:
    """Refuse what has no rows to read."""
    if not all(hasattr(source, name) for name in ("dim", "metric", "iter_embeddings")):
        raise InvalidInputError(
            f"{type(source).__name__} is no index: give one, a view of one, or an object with dim, metric and "
            "iter_embeddings(batch_size); for plain arrays write compute_similarity(embeddings=…, sample_ids=…)"
        )


@contextmanager
def gathered(source: Source, progress: bool | Callable[[int, int | None], None] | None = None) -> Iterator[Gathered]:
    """All rows of ``source`` for the time of a ``with`` block.

    A row is named by its label id where there are label ids, else by its sample id; of an id that a moving scan
    yields twice the first row is taken. Memory: 256 MiB at most for the vectors, and the ids.

    Raises ``InvalidInputError`` for rows that are no finite vectors of one width, ``StorageError`` where the
    temporary disk has no room; it says how much is needed and where.
    """
    matrix = source.matrix() if hasattr(source, "matrix") else None
    if matrix is not None:
        ids, vectors = matrix
        names = checks.ids(ids, "ids")
        vectors = checks.embeddings(vectors, source.dim or None)
        checks.same_length(len(vectors), len(names), "ids")
        yield Gathered(names, vectors)
        return
    names = []
    with reporting(progress, "reading") as report, _Spool(_length(source)) as spool:
        _read(source, names, spool, report)
        rows = Gathered(names, spool.array(source.dim or 0))
        try:
            yield rows
        except BaseException as error:
            if spool.on_disk:  # a notebook keeps the last traceback, and its frames would keep the disk in use
                traceback.clear_frames(error.__traceback__)
            raise
        finally:
            rows.vectors = np.empty((0, 0), dtype=np.float32)


@contextmanager
def taken(vectors: NDArray[np.float32], positions: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """A copy of the rows at ``positions``, in memory or on disk as their size asks."""
    with _Spool(len(positions)) as spool:
        step = max(1, _BATCH_BYTES // (4 * max(1, vectors.shape[1])))
        for start in range(0, len(positions), step):
            spool.add(vectors[positions[start : start + step]])
        yield spool.array(vectors.shape[1])


def _length(source: Any) -> int | None:
    if not hasattr(source, "__len__"):
        return None
    try:
        return len(source)
    except UnsupportedError:  # an engine that can iterate what it cannot count
        return None


def _read(source: Source, names: list[str], spool: _Spool, report: Callable[[int, int | None], None]) -> None:
    seen: set[str] = set()
    width = source.dim or None
    batch_size = max(64, _BATCH_BYTES // (4 * (width or 1024)))
    for embeddings, sample_ids, label_ids in source.iter_embeddings(batch_size):
        block = checks.embeddings(embeddings, width)
        ids = checks.ids(sample_ids if label_ids is None else label_ids, "ids", unique=False)
        checks.same_length(len(block), len(ids), "ids")
        fresh = []
        for position, row_id in enumerate(ids):
            if row_id not in seen:
                seen.add(row_id)
                fresh.append(position)
        if not fresh:
            continue
        width = width or block.shape[1]
        spool.add(block if len(fresh) == len(ids) else block[fresh])
        names.extend(ids if len(fresh) == len(ids) else [ids[position] for position in fresh])
        report(len(names), None if spool.total is None else max(spool.total, len(names)))


class _Spool:
    """Rows that are added in blocks and read back as one array."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._rows = 0
        self._width = 0
        self._blocks: list[NDArray[np.float32]] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks = []
        if self._file is not None:
            self._file.close()

    @property
    def on_disk(self) -> bool:
        return self._file is not None

    def add(self, block: NDArray[np.float32]) -> None:
        self._width = block.shape[1]
        left = max(len(block), 0 if self.total is None else self.total - self._rows)
        self._rows += len(block)
        if self._file is None and (self._rows - len(block) + left) * self._width * 4 <= _IN_MEMORY:
            # A block that is a view of the engine's own buffer may be overwritten by its next batch.
            self._blocks.append(block.copy())
            return
        self._check_room(left)
        try:
            if self._file is None:
                self._file = cast("BinaryIO", tempfile.TemporaryFile(prefix="vecsearch-"))  # noqa: SIM115  closed in __exit__
                for earlier in self._blocks:
                    self._file.write(earlier.data)
                self._blocks = []
            self._file.write(np.ascontiguousarray(block).data)
        except OSError as error:
            raise StorageError(f"{self._needs(left)}; writing there failed: {error}") from error

    def _check_room(self, left: int) -> None:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        missing = left + sum(map(len, self._blocks))
        if missing * self._width * 4 > free:
            raise StorageError(
                f"{self._needs(left)}, of which {_size(free)} is free; point TMPDIR to a larger disk, "
                "or take part of the rows with use_view"
            )

    def _needs(self, left: int) -> str:
        rows = max(self.total or 0, self._rows)
        more = "" if self.total is not None else " at least"
        return (
            f"{rows:,} rows of {self._width} dimensions need{more} {_size(rows * self._width * 4)} of temporary disk, "
            f"{_size(left * self._width * 4)} more in {tempfile.gettempdir()}"
        )

    def array(self, width: int) -> NDArray[np.float32]:
        if not self._rows:
            return np.empty((0, width), dtype=np.float32)
        if self._file is None:
            whole: Sequence[NDArray[np.float32]] = self._blocks
            self._blocks = []
            return whole[0] if len(whole) == 1 else np.concatenate(whole)
        try:
            self._file.flush()
        except OSError as error:
            raise StorageError(f"{self._needs(0)}; writing there failed: {error}") from error
        # As a plain array: every slice of numpy's own subclass would pay for its bookkeeping.
        return np.asarray(np.memmap(self._file, dtype=np.float32, mode="r", shape=(self._rows, self._width)))


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004  what the units mean
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
