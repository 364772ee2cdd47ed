"""All pairs within a radius, by tiles of the upper triangle."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vecsearch.core.kernels import default_kernel
from vecsearch.core.metrics import Side, aligned_distances, as_rows, check_metric
from vecsearch.core.rows import Source, cached_norms, typical_row
from vecsearch.core.space import Space, rounded_down
from vecsearch.core.threads import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from vecsearch.core.metrics import Metric
    from vecsearch.core.threads import Progress

_TILE = 1024  # a tile has a million pairs: if all lie within the radius, that is still only 24 MB of edges


class Edges(NamedTuple):
    """Pairs of rows within the radius.

    Attributes:
        i: int64 (e,).
        j: int64 (e,), each greater than its i.
        distance: float64 (e,), the pair distance.

    """

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    distance: NDArray[np.float64]


class TooManyEdgesError(ValueError):
    """More pairs lie within the radius than were allowed.

    Attributes:
        max_edges: what was allowed.
        thresh: the radius.
        compared: pairs compared until then.
        pairs: all pairs there are.

    """

    def __init__(self, max_edges: int, thresh: float, compared: int, pairs: int) -> None:
        super().__init__(
            f"more than {max_edges:,} pairs lie within {thresh} of each other, found after {compared:,} of "
            f"{pairs:,} pairs"
        )
        self.max_edges = max_edges
        self.thresh = thresh
        self.compared = compared
        self.pairs = pairs


def radius_edges(
    rows: NDArray[np.float32],
    thresh: float,
    metric: Metric,
    *,
    norms: NDArray[np.float64] | None = None,
    max_edges: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Edges]:
    """Every unordered pair of rows with ``pair_distances <= thresh``, exactly once.

    The answer comes in parts as the caller takes them, some way ahead of which the work is done; the order of the
    parts and of the edges in them depends on the rows alone. Time O(n² d), memory O(tile).

    Args:
        rows: float32 (n, d), an array or a memory map.
        thresh: the radius, a distance in the metric.
        metric: "cosine" or "euclidean".
        norms: float64 (n,), what `row_norms` gives for ``rows``, if it is at hand.
        max_edges: raise as soon as there are more; None for no limit.
        threads: how many; the usable cores by default.
        progress: called with (pairs compared, all pairs) in the calling thread.

    Returns:
        An iterator of `Edges`. While it is not exhausted or closed, BLAS keeps to one thread in this process.

    Raises:
        TypeError: not float32.
        ValueError: another metric, thresh is not a number, or under cosine a zero row.
        TooManyEdgesError: from the iterator, more than ``max_edges``.

    """
    check_metric(metric, ("cosine", "euclidean"))
    rows = as_rows(rows)
    if np.isnan(thresh):
        raise ValueError("thresh must be a number, not nan")
    source = Source(rows, metric, None, cached_norms(norms, len(rows)))
    crew = Crew(threads)
    if len(rows) <= _TILE:
        crew.threads = 1
    return _edges(source, float(thresh), max_edges, crew, progress)


class _Tiles:
    """Compares tiles; shared by the threads."""

    def __init__(self, source: Source, thresh: float, crew: Crew) -> None:
        self._source = source
        self._thresh = thresh
        self._crew = crew
        self._space = Space(source.metric, default_kernel(), source.rows.shape[1], typical_row(source))
        self._side = Side(source.rows, source.metric, source.norms)

    def compare(self, tile: tuple[int, int]) -> Edges:
        """The edges of the tile whose first row and first column are given."""
        self._crew.tick(0)
        first, second = tile
        total = len(self._source)
        left = self._space.place(*self._source.block(first, min(first + _TILE, total)))
        right = self._space.place(*self._source.block(second, min(second + _TILE, total)))
        scores = np.empty((left.size, right.size), dtype=np.float32)
        margin = self._space.scores(left, right, scores)
        least = rounded_down(self._space.target(left, self._thresh) - margin)
        hits = np.flatnonzero(scores >= least[:, None])
        del scores
        i = hits // right.size
        j = hits - i * right.size
        i += first
        j += second
        if first == second:
            above = i < j
            i, j = i[above], j[above]
        distance = aligned_distances(self._side, self._side, i, j)
        within = distance <= self._thresh
        return Edges(i[within], j[within], distance[within])


def _edges(
    source: Source, thresh: float, max_edges: int | None, crew: Crew, progress: Progress | None
) -> Iterator[Edges]:
    total = len(source)
    starts = range(0, total, _TILE)
    pairs, compared, found = total * (total - 1) // 2, 0, 0
    with crew:
        source.measure(crew)
        tiles = [(first, second) for first in starts for second in starts[first // _TILE :]]
        compare = _Tiles(source, thresh, crew).compare
        for (first, second), edges in zip(tiles, crew.stream(compare, tiles), strict=True):
            height, width = min(_TILE, total - first), min(_TILE, total - second)
            compared += height * width if first != second else height * (height - 1) // 2
            found += len(edges.i)
            if max_edges is not None and found > max_edges:
                raise TooManyEdgesError(max_edges, thresh, compared, pairs)
            if len(edges.i):
                yield edges
            if progress is not None:
                progress(compared, pairs)
