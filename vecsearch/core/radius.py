"""All pairs within a radius."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vecsearch.core.metrics import as_rows, check_metric, cross_distances

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from vecsearch.core.metrics import Metric
    from vecsearch.core.threads import Progress


class Edges(NamedTuple):
    """Pairs of rows within the radius."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    distance: NDArray[np.float64]


class TooManyEdgesError(ValueError):
    """More pairs lie within the radius than were allowed."""

    def __init__(self, max_edges: int, thresh: float, done: int, total: int) -> None:
        super().__init__(f"more than {max_edges} pairs lie within {thresh}; {done} of {total} tiles were compared")
        self.max_edges = max_edges
        self.thresh = thresh
        self.done = done
        self.total = total


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
    """Every pair of rows within ``thresh`` of each other, once, as (i, j) with i < j."""
    del norms, threads
    check_metric(metric, ("cosine", "euclidean"))
    rows = as_rows(rows)
    count, step = 0, 256
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        distances = cross_distances(block, rows[start:], metric)
        i, j = np.nonzero(distances <= thresh)
        upper = i < j
        i, j = i[upper], j[upper]
        count += len(i)
        if max_edges is not None and count > max_edges:
            raise TooManyEdgesError(max_edges, thresh, start, len(rows))
        if len(i):
            yield Edges(i + start, j + start, distances[i, j])
        if progress is not None:
            progress(min(start + step, len(rows)), len(rows))
