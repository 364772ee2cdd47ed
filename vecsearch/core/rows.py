"""The rows that a search considers, read block by block."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vecsearch.core.metrics import Side, aligned_distances, check_norms, norms_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecsearch.core.metrics import Float32, Float64, Int64, Metric
    from vecsearch.core.threads import Crew

BLOCK_ELEMENTS = 3 << 19  # 6 MiB of rows: with a tile of scores it stays in a core's share of L3
_SAMPLE = 1024  # rows that make a typical row


class Source:
    """The rows that are considered, by their *place*: 0..len-1 in the order that settles ties.

    Args:
        rows: float32 (n, d).
        metric: refuses zero rows under cosine.
        positions: int64, which rows, in the order of the places; None for all.
        norms: float64 (n,) of all rows, or None.

    """

    def __init__(
        self, rows: Float32, metric: Metric, positions: Int64 | None = None, norms: Float64 | None = None
    ) -> None:
        self.rows = rows
        self.metric = metric
        self.positions = positions
        self.norms = norms if norms is None or positions is None else norms[positions]
        if self.norms is not None:
            check_norms(self.norms, metric)
        self._side = Side(rows, metric, norms)

    def __len__(self) -> int:
        return len(self.rows) if self.positions is None else len(self.positions)

    def positions_of(self, places: Int64) -> Int64:
        """The positions in ``rows`` of places; -1 stays -1."""
        if self.positions is None:
            return places
        return np.where(places < 0, -1, self.positions[places])

    def norms_at(self, places: Int64) -> Float64:
        """Norms of the rows at places, once they are measured."""
        if self.norms is None:
            raise RuntimeError("norms are found by measure(), which was not called")
        return self.norms[places]

    def block(self, start: int, stop: int, buffer: Float32 | None = None) -> tuple[Float32, Float64]:
        """Rows of a range of places, C-contiguous, and their norms. May lie in ``buffer`` or be the rows."""
        if self.positions is None:
            block = np.ascontiguousarray(self.rows[start:stop])
        else:
            out = None if buffer is None else buffer[: stop - start]
            block = np.take(self.rows, self.positions[start:stop], axis=0, out=out, mode="clip")
        if self.norms is not None:
            return block, self.norms[start:stop]
        norms = norms_of(block)
        check_norms(norms, self.metric, start)
        return block, norms

    def take(self, places: Int64, buffer: Float32) -> tuple[Float32, Float64]:
        """Copies of the rows at any places, in ``buffer``, and their norms."""
        positions = places if self.positions is None else self.positions[places]
        block = np.take(self.rows, positions, axis=0, out=buffer[: len(places)], mode="clip")
        return block, norms_of(block) if self.norms is None else self.norms[places]

    def learn(self, start: int, stop: int, norms: Float64) -> None:
        """Keep the norms of a range of places that somebody found on the way."""
        if self.norms is None and stop - start == len(self):
            self._keep(norms)

    def _keep(self, norms: Float64) -> None:
        self.norms = norms
        if self.positions is None:
            self._side = Side(self.rows, self.metric, norms)

    def measure(self, crew: Crew) -> None:
        """Find all norms once, for passes over the rows that would each find them again."""
        if self.norms is not None:
            return
        norms = np.empty(len(self))
        step = max(1, BLOCK_ELEMENTS // 8 // self.rows.shape[1])

        def fill(part: tuple[int, int]) -> None:
            buffer = np.empty((step, self.rows.shape[1]), dtype=np.float32)
            for start in range(*part, step):
                stop = min(start + step, part[1])
                norms[start:stop] = self.block(start, stop, buffer)[1]
                crew.tick(0)

        crew.run(fill, ranges(len(self), crew.threads))
        self._keep(norms)

    def distances(self, queries: Side, query: Int64, places: Int64) -> Float64:
        """Pair distances of aligned queries and places."""
        positions = places if self.positions is None else self.positions[places]
        return aligned_distances(queries, self._side, query, positions)


def typical_row(source: Source) -> Float32 | None:
    """A row near the middle of the rows, float32 (d,); None if there are none. Any would do, a good one is faster."""
    sample = source.rows[:: max(1, len(source.rows) // _SAMPLE)][:_SAMPLE]
    return sample.mean(axis=0, dtype=np.float64).astype(np.float32) if len(sample) else None


def ranges(total: int, parts: int) -> list[tuple[int, int]]:
    """0..total in at most ``parts`` ranges of nearly one size, none empty."""
    parts = max(1, min(parts, total))
    edges = [total * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))


def cached_norms(norms: NDArray[np.float64] | None, count: int) -> Float64 | None:
    """Norms as `row_norms` made them. Raises TypeError or ValueError where they cannot be that."""
    if norms is None:
        return None
    norms = np.asarray(norms)
    if norms.dtype != np.float64:
        raise TypeError(f"norms must be the float64 of row_norms, not {norms.dtype}")
    if norms.shape != (count,):
        raise ValueError(f"norms must have shape ({count},), not {norms.shape}")
    return norms
