"""One thread's part of a search: a tile of queries, and all rows or a share of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vecsearch.core.kernels.int8 import Int8Kernel
from vecsearch.core.packed import Stretch
from vecsearch.core.rows import BLOCK_ELEMENTS, ranges
from vecsearch.core.shortlist import Shortlist
from vecsearch.core.space import Space

if TYPE_CHECKING:
    from vecsearch.core.metrics import Float32, Float64, Int64
    from vecsearch.core.packed import Block
    from vecsearch.core.rows import Source
    from vecsearch.core.search import Search
    from vecsearch.core.space import Placed, Tile
    from vecsearch.core.threads import Crew

_TILE_SCORES = 1 << 20  # 4 MiB of scores; square tiles make the fastest products
FEW_QUERIES = 64  # so few meet several packed blocks at once, on all threads, and are searched in one scan
_MOST_PASSING = 64  # where more than one score in so many passes, a finer kernel is cheaper than pair distances
_PATIENCE = 4  # tiles in a row for which a kernel was of no use, before it is given up


class Share(NamedTuple):
    """What one thread searches: these queries, and the ``number``-th of ``of`` shares of the rows."""

    queries: Int64
    number: int
    of: int

    def within(self, start: int, stop: int) -> tuple[int, int]:
        """Its part of a range."""
        parts = ranges(stop - start, self.of)
        first, last = parts[self.number] if self.number < len(parts) else (0, 0)
        return start + first, start + last


class Scan:
    """Reads rows part by part, each with the coarsest kernel that is of use, and keeps what may be among the nearest.

    Args:
        search: the queries and the kernels.
        source: the rows.
        crew: is told of progress.
        k: how many, at most the rows.
        share: what is searched.
        centre: of the spaces, under euclidean.
        worst: float64 (all queries,), distances beyond which nothing is wanted.
        alone: it is the only scan, and may use all threads. (Several that waited for the same threads would for ever.)

    """

    def __init__(
        self,
        search: Search,
        source: Source,
        crew: Crew,
        k: int,
        share: Share,
        centre: Float32 | None,
        worst: Float64 | None,
        *,
        alone: bool,
    ) -> None:
        self.queries = share.queries
        self._share = share
        self._source = source
        self._crew = crew
        self._k = k
        self._together = alone and len(share.queries) <= FEW_QUERIES
        self._rows = search.queries[share.queries]
        self._norms = search.norms[share.queries]
        width = self._rows.shape[1]
        finer = [kernel for kernel in search.chain if kernel.name != Int8Kernel.name]
        finer = [kernel for kernel in finer if kernel.worth(len(self._rows), width)]
        self._finer = [kernel.name for kernel in finer]
        self._spaces = {kernel.name: Space(search.metric, kernel, width, centre) for kernel in finer}
        self._left: dict[str, Placed] = {}
        self._useless = dict.fromkeys([Int8Kernel.name, *self._finer], 0)
        self._scratch = np.empty(0, dtype=np.float32)

        def exact(query: Int64, places: Int64) -> Float64:
            return source.distances(search.side, share.queries[query], places)

        last = self._finer[-1]
        floor = None if worst is None else self._spaces[last].target(self._placed(last), worst[share.queries])
        self._shortlist = Shortlist(self._spaces[last], self._placed(last), k, exact, floor)

    def read(self, part: Stretch | tuple[int, int]) -> None:
        """Consider its share of a part of the rows."""
        if isinstance(part, Stretch):
            self._read_packed(part)
        else:
            self._read_plain(*self._share.within(*part))

    def finish(self) -> tuple[Float64, Int64]:
        """Distances and places of the nearest of all that was read."""
        return self._shortlist.finish()

    def _placed(self, kernel: str) -> Placed:
        if kernel not in self._left:
            self._left[kernel] = self._spaces[kernel].queries(self._rows, self._norms)
        return self._left[kernel]

    def _scratch_for(self, columns: int) -> Float32:
        if self._scratch.size < len(self._rows) * columns:
            self._scratch = np.empty(len(self._rows) * columns, dtype=np.float32)
        return self._scratch

    def _read_packed(self, stretch: Stretch) -> None:
        count = len(self._rows)
        first, stop = self._share.within(0, len(stretch.blocks))
        step = max(1, _TILE_SCORES // (count * stretch.block_rows)) if self._together else 1
        for start in range(first, stop, step):
            blocks = stretch.blocks[start : min(start + step, stop)]
            if self._useless[Int8Kernel.name] >= _PATIENCE or not self._offer_packed(stretch, start, blocks):
                for block in blocks:
                    self._read_again(block)
            self._crew.tick(count * sum(len(block.places) for block in blocks))

    def _offer_packed(self, stretch: Stretch, start: int, blocks: list[Block]) -> bool:
        if Int8Kernel.name not in self._left:
            self._left[Int8Kernel.name] = stretch.space.queries(self._rows, self._norms)
        queries = self._left[Int8Kernel.name]
        if self._together:
            tile, places = stretch.tile(queries, start, start + len(blocks), self._crew)
        else:
            places = blocks[0].places
            tile = stretch.space.tile(queries, blocks[0].placed, self._scratch_for(len(places)))
        return self._offer(Int8Kernel.name, tile, places)

    def _read_again(self, block: Block) -> None:
        gathered, copied = np.empty((2, len(block.places), self._rows.shape[1]), dtype=np.float32)
        rows, norms = self._source.take(block.places, gathered)
        self._score(rows, norms, block.places, copied)

    def _read_plain(self, first: int, stop: int) -> None:
        count, width = self._rows.shape
        step = min(max(64, min(BLOCK_ELEMENTS // width, _TILE_SCORES // count, 1 << 14)), max(1, stop - first))
        gathered = np.empty((step if self._source.positions is not None else 0, width), dtype=np.float32)
        copied = np.empty((step, width), dtype=np.float32)
        for start in range(first, stop, step):
            rows, norms = self._source.block(start, min(start + step, stop), gathered)
            self._score(rows, norms, start, copied[: len(rows)])
            self._crew.tick(count * len(rows))

    def _score(self, rows: Float32, norms: Float64, places: int | Int64, out: Float32) -> None:
        """Consider rows with the float kernels; ``out`` is room for a copy of them."""
        for name in self._finer:
            if self._useless[name] >= _PATIENCE:
                continue
            space = self._spaces[name]
            block = space.block(rows, norms, out, queries=len(self._rows))
            tile = space.tile(self._placed(name), block, self._scratch_for(len(rows)))
            if self._offer(name, tile, places):
                return

    def _offer(self, name: str, tile: Tile, places: int | Int64) -> bool:
        """Consider a tile, unless so much of it passes that a finer kernel should look; the last kernel must."""
        most = None if name == self._finer[-1] else tile.raw.size // _MOST_PASSING + 2 * self._k * len(tile.raw)
        done = self._shortlist.offer(tile, places, most)
        self._useless[name] = 0 if done else self._useless[name] + 1
        return done
