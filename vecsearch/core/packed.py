"""Rows in the form that the int8 kernel reads, kept between searches.

The error of a block is set by its largest component, so rows are packed in the order of their *peaks*: rows of like
size share a block, and one row with an outlier spoils the bound of its own kind only.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vecsearch.core.kernels import kernel_chain, numkong
from vecsearch.core.kernels.int8 import Codes, Int8Kernel, encode, packed, step_for
from vecsearch.core.metrics import norms_of
from vecsearch.core.rows import ranges, typical_row
from vecsearch.core.space import Placed, Space, Tile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecsearch.core.metrics import Float32, Int64, Metric
    from vecsearch.core.rows import Source
    from vecsearch.core.threads import Crew

_BLOCK_ROWS = (1024, 4096)  # many, so that few calls do much; fewer where that would put unlike rows in a block
_BLOCKS = 32
STRETCH_ELEMENTS = 1 << 26  # 64 MiB packed: what is packed and sorted at a time, so that no size needs more memory
_PART_ROWS = 1024  # rows whose peaks are looked for at a time: they stay in L2
_SAMPLE = 1024  # rows that are looked at to decide whether to turn them
_WORTH_TURNING = 0.75
_LEAST_TAIL = 2048  # new rows that are packed at once; fewer cost less as they are
_TAIL_SHARE = 32
_LEAST_ASKED = 8  # packing takes about as long as ten queries of the rows as they are
_GOLDEN = 0.618034  # multiples of it, without their whole part, spread evenly
_EIGHTHS = 20  # bits of a float32 below its exponent and three bits of its fraction: like peaks share a key


class Block(NamedTuple):
    """Some rows: their places, and how the kernel sees them."""

    places: Int64
    placed: Placed


class Stretch:
    """The rows of a range of places, packed.

    Attributes:
        start, stop: the range.
        blocks: the rows, so that the first few resemble all.
        places: int64 (stop - start,), the place of each packed row.
        space: what they are packed in.
        block_rows: the rows of the largest block.

    """

    def __init__(self, start: int, stop: int, blocks: list[Block], space: Space) -> None:
        self.start = start
        self.stop = stop
        self.blocks = blocks
        self.places = np.concatenate([block.places for block in blocks])
        self.space = space
        self.block_rows = max(len(block.places) for block in blocks)
        self._offsets = np.cumsum([0, *(len(block.places) for block in blocks)])
        self._worst = np.array([float(block.placed.operand.error[0]) for block in blocks])
        self._steps = np.array([block.placed.operand.step for block in blocks])
        self._reach = np.array([block.placed.reach for block in blocks])
        self._stretch = max(block.placed.stretch for block in blocks)

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def nbytes(self) -> int:
        """Memory of the packed rows and what belongs to them."""
        packed_rows: int = sum(block.placed.operand.operand.nbytes for block in self.blocks)
        return packed_rows + self.places.nbytes

    def tile(self, queries: Placed, first: int, last: int, crew: Crew) -> tuple[Tile, Int64]:
        """Float32 scores of few queries and the rows of some blocks at once, on all threads; the places of the rows.

        One selection for a hundred blocks: with one query it costs more than the scores of a block do.
        """
        places = self.places[self._offsets[first] : self._offsets[last]]
        worst = Codes(None, 1.0, self._worst[first:last].max(keepdims=True))
        reach = float(self._reach[first:last].max())
        margin = self.space.margin(queries, Placed(worst, len(places), 1.0, reach, None, self._stretch))
        if not np.isfinite(margin).all():
            return Tile(np.zeros((queries.size, len(places)), dtype=np.float32), 1.0, margin), places
        scores = np.empty((queries.size, len(places)), dtype=np.float32)
        parts = [(first + start, first + stop) for start, stop in ranges(last - first, crew.threads)]
        crew.split(lambda part: self._score(queries, first, part, scores), parts)
        # Four roundings of a score: its whole number, the unit, the product, the term.
        margin += 2.0**-21 * (2 * np.asarray(queries.lengths) * reach + reach * reach)
        return Tile(scores, 1.0, margin), places

    def _score(self, queries: Placed, origin: int, part: tuple[int, int], scores: Float32) -> None:
        blocks, offsets = self.blocks[slice(*part)], self._offsets[part[0] : part[1] + 1] - self._offsets[part[0]]
        count, shift = queries.size, int(self._offsets[part[0]] - self._offsets[origin])
        raw = np.empty(count * int(offsets[-1]), dtype=np.int32)
        numkong.products(queries.operand.operand, [block.placed.operand.operand for block in blocks], raw)
        units = (queries.operand.step * self._steps[slice(*part)]).astype(np.float32)
        for unit, block, start, stop in zip(units, blocks, offsets, offsets[1:], strict=False):
            some = scores[:, shift + start : shift + stop]
            whole = raw[count * start : count * stop].reshape(count, -1)
            np.multiply(whole, unit, out=some, casting="same_kind", dtype=np.float32)
            if self.space.metric == "euclidean":
                some -= (0.5 * np.square(block.placed.lengths)).astype(np.float32)


def pack(source: Source, space: Space, start: int, stop: int, crew: Crew) -> Stretch:
    """The rows of places ``start`` to ``stop`` in blocks, in the order of their peaks, on all threads."""
    width = source.rows.shape[1]
    peaks = np.empty(stop - start, dtype=np.float32)
    norms_found = np.empty(stop - start)

    def measure(part: tuple[int, int]) -> None:
        buffer = np.empty((3, _PART_ROWS, width), dtype=np.float32)
        for first in range(*part, _PART_ROWS):
            last = min(first + _PART_ROWS, part[1])
            rows, norms = source.block(start + first, start + last, buffer[0])
            norms_found[first:last] = norms
            moved = space.moved(rows, norms, buffer[1, : last - first])[0]
            np.abs(moved, out=buffer[2, : last - first]).max(axis=1, out=peaks[first:last])
            crew.tick(0)

    crew.run(measure, ranges(stop - start, crew.threads))
    source.learn(start, stop, norms_found)
    # A stable sort of few different keys: alike rows stay in the order of their places, as ties are settled.
    order = np.argsort((peaks.view(np.int32) >> _EIGHTHS).astype(np.int16), kind="stable")
    size = min(max((stop - start) // _BLOCKS // _BLOCK_ROWS[0] * _BLOCK_ROWS[0], _BLOCK_ROWS[0]), _BLOCK_ROWS[1])
    firsts = np.arange(0, stop - start, size)
    # Blocks of like peaks stand apart, so that a search soon knows how near the nearest are.
    firsts = firsts[np.argsort(np.arange(len(firsts)) * _GOLDEN % 1.0)]
    starts = [start + order[first : first + size] for first in firsts]

    def fill(part: tuple[int, int]) -> list[Block]:
        buffer = np.empty((_PART_ROWS, width), dtype=np.float32)
        found = []
        for places in starts[slice(*part)]:
            found.append(Block(places, _packed_rows(source, space, places, peaks[places - start].max(), buffer)))
            crew.tick(0)
        return found

    blocks = crew.run(fill, ranges(len(starts), crew.threads))
    return Stretch(start, stop, [block for part in blocks for block in part], space)


def _packed_rows(source: Source, space: Space, places: Int64, peak: float, buffer: Float32) -> Placed:
    """Rows as the kernel sees them, read a few at a time."""
    count = len(places)
    codes, error, lengths = np.empty((count, buffer.shape[1]), dtype=np.int8), np.empty(count), np.ones(count)
    step, stretch = step_for(float(peak)), 0.0
    for first in range(0, count, len(buffer)):
        part = slice(first, min(first + len(buffer), count))
        rows, norms = source.take(places[part], buffer)
        moved, lengths[part], beyond = space.moved(rows, norms, rows)
        error[part] = encode(moved, step, codes[part])
        stretch = max(stretch, beyond)
    operand, reach = packed(Codes(codes, step or 1.0, error)), float(lengths.max())
    return Placed(operand, count, 1.0 if space.metric == "cosine" else lengths, reach, None, stretch)


def packing_space(source: Source) -> Space:
    """The space that rows like these are packed in: turned, where that makes their peaks smaller."""
    centre = typical_row(source) if source.metric == "euclidean" else None
    plain, other = (
        Space(source.metric, Int8Kernel(), source.rows.shape[1], centre, turn=turn) for turn in (False, True)
    )
    sample = np.ascontiguousarray(source.rows[:: max(1, len(source.rows) // _SAMPLE)][:_SAMPLE])
    norms = norms_of(sample)
    some = np.isfinite(norms) & (norms > 0)
    peaks = [np.abs(space.moved(sample[some], norms[some])[0]).max(axis=1).sum() for space in (plain, other)]
    return other if peaks[1] < _WORTH_TURNING * peaks[0] else plain


def stretches(start: int, stop: int, width: int) -> Iterator[tuple[int, int]]:
    """A range of places in parts that are packed at a time."""
    step = max(_BLOCK_ROWS[1], STRETCH_ELEMENTS // width)
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


class Packed:
    """The packed form of a matrix that grows: what makes a search of few queries pay no conversion.

    It follows the matrix by itself: once a few queries have been asked, all rows are packed; rows that are appended
    later, when there are enough of them, and until then they are searched as they are. Rows must not change in place,
    nor numkong's instruction sets while a search runs. Memory: dim (rounded up to 64) + 12 bytes a row, 8 more under
    euclidean and dotproduct: about a quarter of the rows themselves. Several threads may search with it at once.

    Args:
        metric: the metric of the searches.
        kernel: as in `knn`; with another first kernel than "int8" nothing is packed.
        max_bytes: pack so many bytes at most, the rest is searched as it is; None for no limit.

    """

    def __init__(self, metric: Metric, *, kernel: str | None = None, max_bytes: int | None = None) -> None:
        self.metric = metric
        self._kernel = kernel
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._asked = 0
        self._space: Space | None = None
        self._stretches: tuple[Stretch, ...] = ()
        self._instructions: frozenset[str] = frozenset()

    @property
    def nbytes(self) -> int:
        """Memory in use."""
        return sum(stretch.nbytes for stretch in self._stretches)

    def follow(self, source: Source, crew: Crew, queries: int) -> tuple[Space | None, tuple[Stretch, ...]]:
        """The stretches that cover the first rows of a source, packed now if that is due and nobody else is at it.

        ``queries`` are about to be asked.
        """
        if kernel_chain(self._kernel)[0].name != Int8Kernel.name:
            return None, ()
        instructions = numkong.capabilities()
        if self._lock.acquire(blocking=False):
            try:
                self._asked += queries
                if instructions != self._instructions:  # numkong lays rows out for the instructions that are in use
                    self._space, self._stretches, self._instructions = None, (), instructions
                if self._asked >= _LEAST_ASKED:
                    self._extend(source, crew)
                space, found = self._space, self._stretches
            finally:
                self._lock.release()
        else:
            space, found, known = self._space, self._stretches, self._instructions
            if known != instructions:
                return None, ()
        # A reader of fewer rows than are packed: it reads as they are those that share a stretch with later ones.
        return space, tuple(stretch for stretch in found if stretch.stop <= len(source))

    def _extend(self, source: Source, crew: Crew) -> None:
        kept = list(self._stretches)
        total, width = len(source), source.rows.shape[1]
        covered = kept[-1].stop if kept else 0
        if total - covered < max(_LEAST_TAIL, covered // _TAIL_SHARE):
            return
        longest = max(_BLOCK_ROWS[1], STRETCH_ELEMENTS // width)
        # As in a log-structured merge: a stretch is packed again only when as many rows have come after it.
        while kept and len(kept[-1]) < min(longest, total - kept[-1].stop):
            kept.pop()
        space = self._space or packing_space(source)
        for start, stop in stretches(kept[-1].stop if kept else 0, total, width):
            bytes_to_be = sum(stretch.nbytes for stretch in kept) + (stop - start) * ((width + 63) // 64 * 64 + 20)
            if self._max_bytes is not None and bytes_to_be > self._max_bytes:
                break
            kept.append(pack(source, space, start, stop, crew))
        self._space, self._stretches = space, tuple(kept)
