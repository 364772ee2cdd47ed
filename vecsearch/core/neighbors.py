"""Exact k nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vecsearch.core.metrics import as_rows, check_metric, cross_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecsearch.core.metrics import Metric
    from vecsearch.core.threads import Progress


def knn(
    queries: NDArray[np.float32],
    rows: NDArray[np.float32],
    k: int,
    metric: Metric,
    *,
    positions: NDArray[np.int64] | None = None,
    norms: NDArray[np.float64] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest rows of each query."""
    del norms, threads
    check_metric(metric)
    rows = as_rows(rows)
    queries = as_rows(queries, "queries", rows.shape[1])
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    positions = np.arange(len(rows)) if positions is None else np.asarray(positions)
    k = min(k, len(positions))
    rows = rows[positions]
    distances, found = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    for q in range(len(queries)):
        all_distances = cross_distances(queries[q : q + 1], rows, metric)[0]
        best = np.argsort(all_distances, kind="stable")[:k]
        distances[q], found[q] = all_distances[best], positions[best]
        if progress is not None:
            progress(q + 1, len(queries))
    return distances, found


class Nearest:
    """The k nearest of rows that arrive in batches."""

    def __init__(self, queries: NDArray[np.float32], k: int, metric: Metric, *, threads: int | None = None) -> None:
        del threads
        check_metric(metric)
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self._queries = as_rows(queries, "queries")
        self._k = k
        self._metric: Metric = metric
        self._distances = np.empty((len(queries), 0))
        self._labels = np.empty((len(queries), 0), dtype=np.int64)

    def update(self, block: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Consider a batch of rows."""
        block = as_rows(block, "block", self._queries.shape[1])
        if len(labels) != len(block):
            raise ValueError(f"{len(block)} rows and {len(labels)} labels")
        distances = np.hstack([self._distances, cross_distances(self._queries, block, self._metric)])
        every = np.hstack([self._labels, np.broadcast_to(labels, (len(self._queries), len(block)))])
        best = np.lexsort((every, distances), axis=1)[:, : self._k]
        self._distances = np.take_along_axis(distances, best, axis=1)
        self._labels = np.take_along_axis(every, best, axis=1)

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distances and labels, sorted by (distance, label)."""
        return self._distances.copy(), self._labels.copy()
