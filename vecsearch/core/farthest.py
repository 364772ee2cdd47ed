"""Farthest-first traversal: few rows that lie far from each other.

Gonzalez, Clustering to minimize the maximum intercluster distance, Theoretical Computer Science 38, 1985: each next row
is the one whose nearest chosen row is farthest; the largest gap left is at most twice the best possible. Plainly done
it reads all rows once for every row chosen, and memory is what limits it.

Here a row is compared with the chosen ones only when that can matter. A row's gap never grows, so a gap that was known
earlier is an upper bound, and rows whose bound lies below the largest current gap can wait. The *front* is the few rows
with the largest gaps, kept current after each choice; when it falls to the level of the rows that wait, the highest of
these meet all the choices they have missed in one matrix product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vecsearch.core.greedy import ranks_of
from vecsearch.core.kernels import Float32Kernel
from vecsearch.core.metrics import CHUNK, Side, aligned_distances, as_rows, check_metric, unit_rows
from vecsearch.core.rows import Source, cached_norms, ranges, typical_row
from vecsearch.core.space import Space
from vecsearch.core.threads import Crew

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecsearch.core.metrics import Float64, Int64, Metric
    from vecsearch.core.space import Placed
    from vecsearch.core.threads import Progress

_FRONT_ELEMENTS = 1 << 20  # the front, 4 MiB: it is read once for every row chosen
_LEAST_FRONT = 64
_MEAN_BLOCK = 1024  # rows summed together; fixed, so that the mean depends on the rows alone


def farthest_first(
    rows: NDArray[np.float32],
    count: int,
    metric: Metric,
    *,
    order: NDArray[np.int64] | None = None,
    norms: NDArray[np.float64] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose rows that lie far from each other, each the farthest from those before it.

    The first is the row farthest from the mean (of the unit rows, for cosine). A smaller count gives a prefix of the
    answer for a larger one. Time O(n · count · d) at most.

    Args:
        rows: float32 (n, d), an array or a memory map.
        count: how many to choose, 0..n.
        metric: "cosine" or "euclidean".
        order: int permutation of 0..n-1; of rows with one gap the first in the order is chosen. 0..n-1 if not given.
        norms: float64 (n,), what `row_norms` gives for ``rows``, if it is at hand.
        threads: how many; the usable cores by default.
        progress: called with (done, total) in the calling thread.

    Returns:
        positions int64 (count,) in the order of choice, and gaps float64 (count,): the distance of each from the
        nearest of those before it, which never grows; infinite for the first.

    Raises:
        TypeError: not float32.
        ValueError: a count or an order that does not fit, another metric, or under cosine a zero row.

    """
    check_metric(metric, ("cosine", "euclidean"))
    rows = as_rows(rows)
    if not 0 <= count <= len(rows):
        raise ValueError(f"count must be in 0..{len(rows)}, not {count}")
    rank = ranks_of(np.arange(len(rows)) if order is None else np.asarray(order), len(rows))
    source = Source(rows, metric, None, cached_norms(norms, len(rows)))
    with Crew(threads, progress, count) as crew:
        if not count:
            return np.empty(0, dtype=np.int64), np.empty(0)
        source.measure(crew)
        return _Traversal(source, count, rank, crew).run()


class _Traversal:
    """The state of one traversal. ``near`` is half the squared gap, in the space, wrong by at most ``margin``."""

    def __init__(self, source: Source, count: int, rank: Int64, crew: Crew) -> None:
        total, width = source.rows.shape
        self._source = source
        self._rank = rank
        self._crew = crew
        self._space = Space(source.metric, Float32Kernel(), width, typical_row(source))
        self._size = max(_LEAST_FRONT, _FRONT_ELEMENTS // width)
        self._side = Side(source.rows, source.metric, source.norms)
        self._chosen = np.empty(count, dtype=np.int64)
        self._chosen_rows = np.empty((count, width), dtype=np.float32)
        self._done = 0
        self._margin = 0.0
        self._near = np.full(total, np.inf)
        self._seen = np.zeros(total, dtype=np.int64)  # how many of the chosen ``near`` knows
        self._waiting = np.full(total, np.inf)  # ``near`` of the rows that wait; -inf for the front and the chosen
        self._front = np.empty(0, dtype=np.int64)
        self._front_rows: Placed | None = None
        self._gap = np.full(total, np.inf)  # exact, where it was needed
        self._gap_seen = np.zeros(total, dtype=np.int64)

    def run(self) -> tuple[Int64, Float64]:
        gaps = np.empty(len(self._chosen))
        gaps[0] = np.inf
        self._choose(self._start())
        for step in range(1, len(gaps)):
            self._renew_front()
            best = self._farthest()
            gaps[step] = self._gap[best]
            self._choose(best)
        return self._chosen, gaps

    def _start(self) -> int:
        """The row farthest from the mean."""
        source = self._source
        total, width = source.rows.shape
        starts = range(0, total, _MEAN_BLOCK)

        def add(start: int) -> Float64:
            block, norms = source.block(start, min(start + _MEAN_BLOCK, total))
            if source.metric == "cosine":
                block = unit_rows(block, norms)
            self._crew.tick(0)
            total_of_block: Float64 = np.add.reduce(block, axis=0, dtype=np.float64)
            return total_of_block

        mean = np.zeros(width)
        for part in self._crew.stream(add, starts):
            mean += part
        centre = (mean / total).astype(np.float32)[None]
        away = np.zeros(total)
        if centre.any():  # else no row is farther than another under cosine, and the order decides
            one = Side(centre, source.metric)

            def measure(part: tuple[int, int]) -> None:
                step = max(1, CHUNK // width)
                for start in range(*part, step):
                    index = np.arange(start, min(start + step, part[1]))
                    away[index] = aligned_distances(one, self._side, np.zeros_like(index), index)
                    self._crew.tick(0)

            self._crew.run(measure, ranges(total, self._crew.threads))
        elif source.metric == "euclidean" and source.norms is not None:
            away = source.norms
        return self._first_of(np.flatnonzero(away == away.max()))

    def _first_of(self, tied: Int64) -> int:
        return int(tied[np.argmin(self._rank[tied])])

    def _choose(self, row: int) -> None:
        step = self._done
        self._chosen[step], self._chosen_rows[step] = row, self._source.rows[row]
        self._waiting[row] = self._near[row] = -np.inf
        self._done += 1
        if self._front_rows is not None:
            self._approach(self._front, self._front_rows, step)
        self._crew.tick(1)
        self._crew.report()

    def _placed_choices(self, since: int) -> Placed:
        norms = self._source.norms_at(self._chosen[since : self._done])
        return self._space.block(self._chosen_rows[since : self._done], norms)

    def _approach(self, index: Int64, rows: Placed, since: int, choices: Placed | None = None) -> float:
        """Bring ``near`` of some rows up to date with the choices from ``since`` on; returns the margin."""
        choices = self._placed_choices(since) if choices is None else choices
        scores, _, margins = self._space.tile(rows, choices, np.empty(len(index) * choices.size, dtype=np.float32))
        margin = float(margins.max())
        nearest = self._space.half_squares(rows, scores.max(axis=1))
        self._near[index] = np.minimum(self._near[index], nearest)
        self._seen[index] = self._done
        if choices.size == 1:
            self._margin = max(self._margin, margin)
        return margin

    def _update(self, index: Int64) -> None:
        """`_approach` for rows that have waited, on all threads."""
        since = int(self._seen[index].min())
        if since == self._done:
            return
        choices = self._placed_choices(since)
        source = self._source
        step = max(64, min(2048, CHUNK * 8 // source.rows.shape[1]))

        def approach(part: tuple[int, int]) -> float:
            margin = 0.0
            buffer = np.empty((step, source.rows.shape[1]), dtype=np.float32)
            for start in range(*part, step):
                some = index[start : min(start + step, part[1])]
                block = np.take(source.rows, some, axis=0, out=buffer[: len(some)], mode="clip")
                placed = self._space.queries(block, source.norms_at(some), buffer[: len(some)])
                margin = max(margin, self._approach(some, placed, since, choices))
                self._crew.tick(0)
            return margin

        parts = ranges(len(index), self._crew.threads if len(index) > step else 1)
        self._margin = max(self._margin, *self._crew.run(approach, parts))

    def _renew_front(self) -> None:
        """Let rows that wait join the front until none that waits can be the farthest."""
        changed = False
        while True:
            top = self._near[self._front].max() if self._front.size else -np.inf
            highest = self._waiting.max()
            if highest == -np.inf or highest < top - 2 * self._margin:
                break
            cut = self._cut(self._waiting, highest)
            joining = np.flatnonzero(self._waiting >= cut)
            self._update(joining)
            self._waiting[joining] = -np.inf
            self._retire(np.concatenate([self._front, joining]))
            changed = True
        if changed or self._front_rows is None:
            rows = np.take(self._source.rows, self._front, axis=0)
            self._front_rows = self._space.queries(rows, self._source.norms_at(self._front), rows)

    def _cut(self, near: Float64, highest: float) -> float:
        """A value that the ``size`` highest reach; where more are equal, it may be more."""
        if self._size >= len(near):
            return float(np.nextafter(-np.inf, 0))
        cut = np.partition(near, len(near) - self._size)[len(near) - self._size]
        return float(min(highest, max(cut, np.nextafter(-np.inf, 0))))

    def _retire(self, front: Int64) -> None:
        """Make these the front, but send back to wait what is neither high nor near enough to the highest."""
        near = self._near[front]
        front, near = front[near > -np.inf], near[near > -np.inf]
        if len(front) > self._size:
            highest = near.max()
            stay = near >= min(self._cut(near, highest), highest - 2 * self._margin)
            self._waiting[front[~stay]] = near[~stay]
            front = front[stay]
        self._front = front

    def _farthest(self) -> int:
        """The row with the largest gap, by pair distances among those the margin leaves."""
        near = self._near[self._front]
        close = self._front[near >= near.max() - 2 * self._margin]
        close = close[self._near[close] > -np.inf]
        behind = close[(self._gap_seen[close] < self._done) & (self._gap[close] > 0)]
        for row in behind.tolist():
            missed = self._chosen[self._gap_seen[row] : self._done]
            distances = aligned_distances(self._side, self._side, np.full(len(missed), row), missed)
            self._gap[row] = min(self._gap[row], distances.min())
        self._gap_seen[behind] = self._done
        gaps = self._gap[close]
        return self._first_of(close[gaps == gaps.max()])
