"""Exact k nearest neighbours, of a matrix at hand or of rows that arrive in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vecsearch.core.metrics import as_rows, check_metric
from vecsearch.core.rows import Source, cached_norms
from vecsearch.core.search import Search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecsearch.core.metrics import Int64, Metric
    from vecsearch.core.packed import Packed
    from vecsearch.core.threads import Progress


def _check_positions(positions: NDArray[np.int64] | None, count: int) -> Int64 | None:
    if positions is None:
        return None
    positions = np.asarray(positions)
    if positions.ndim != 1 or (positions.size and not np.issubdtype(positions.dtype, np.integer)):
        raise ValueError(f"positions must be a sorted array of integers, not {positions.dtype} {positions.shape}")
    positions = positions.astype(np.int64, copy=False)
    if positions.size and (positions[0] < 0 or positions[-1] >= count or (np.diff(positions) <= 0).any()):
        raise ValueError(f"positions must ascend without repetition within 0..{count - 1}")
    return positions


def knn(
    queries: NDArray[np.float32],
    rows: NDArray[np.float32],
    k: int,
    metric: Metric,
    *,
    positions: NDArray[np.int64] | None = None,
    norms: NDArray[np.float64] | None = None,
    packed: Packed | None = None,
    kernel: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest rows of each query, exactly.

    Args:
        queries: float32 (q, d).
        rows: float32 (n, d), an array or a memory map; read in blocks, never copied whole.
        k: how many; all that are considered if there are fewer.
        metric: "cosine", "euclidean" or "dotproduct".
        positions: int (p,), ascending: only these rows are considered.
        norms: float64 (n,), what `row_norms` gives for ``rows``, if it is at hand.
        packed: the packed form of these rows, made for this metric; not used where ``positions`` are given.
        kernel: what proposes the candidates: "int8", "bfloat16", "float32", or "auto" for the fastest that is here.
            It changes the time and nothing else. None: the environment variable ``VECSEARCH_KERNEL``, else "auto".
        threads: how many; ``VECSEARCH_THREADS`` or the usable cores by default.
        progress: called with (done, total) in the calling thread.

    Returns:
        distances float64 (q, k') and positions int64 (q, k') in ``rows``, sorted by (distance, position), with k' the
        smaller of k and the rows considered. The distances are those of `pair_distances`.

    Raises:
        TypeError: not float32.
        ValueError: shapes that do not match, k below 1, positions that do not ascend, a kernel that is not available,
            or under cosine a zero row.

    """
    check_metric(metric)
    rows = as_rows(rows)
    queries = as_rows(queries, "queries", rows.shape[1])
    if packed is not None and packed.metric != metric:
        raise ValueError(f"packed is for {packed.metric}, not {metric}")
    search = Search(queries, k, metric, kernel)
    source = Source(rows, metric, _check_positions(positions, len(rows)), cached_norms(norms, len(rows)))
    with search.crew(source, threads, progress) as crew:
        distances, places = search.run(source, crew, packed=packed if positions is None else None)
    return distances, source.positions_of(places)


class Nearest:
    """The k nearest of rows that arrive in batches and are not kept.

    Args:
        queries: float32 (q, d).
        k: how many to find.
        metric: "cosine", "euclidean" or "dotproduct".
        threads: how many; the usable cores by default.

    Raises:
        TypeError: not float32.
        ValueError: k below 1, an unknown metric, or under cosine a zero query.

    """

    def __init__(self, queries: NDArray[np.float32], k: int, metric: Metric, *, threads: int | None = None) -> None:
        check_metric(metric)
        queries = as_rows(queries, "queries")
        self._search = Search(queries, k, metric)
        self._width = queries.shape[1]
        self._threads = threads
        self._distances = np.empty((len(queries), 0))
        self._labels = np.empty((len(queries), 0), dtype=np.int64)

    def update(self, block: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Consider a batch.

        Args:
            block: float32 (b, d).
            labels: int64 (b,), what the rows are called; they settle ties, and none should come twice.

        Raises:
            TypeError: not float32.
            ValueError: another width, lengths that differ, or under cosine a zero row; the batch is not considered.

        """
        block = as_rows(block, "block", self._width)
        labels = np.asarray(labels, dtype=np.int64)
        if labels.shape != (len(block),):
            raise ValueError(f"{len(block)} rows need labels of shape ({len(block)},), not {labels.shape}")
        ascending = bool((np.diff(labels) >= 0).all())
        source = Source(block, self._search.metric, None if ascending else np.argsort(labels, kind="stable"))
        k, held = self._search.k, self._labels.shape[1]
        worst = self._distances[:, -1] if held == k else None
        with self._search.crew(source, self._threads, None) as crew:
            near, places = self._search.run(source, crew, worst)
        positions = source.positions_of(places)
        # Padding sorts last: its distance is infinite, and it is cut off below since only held + b rows were seen.
        named = np.where(positions < 0, np.iinfo(np.int64).max, labels[positions] if len(labels) else -1)
        distances, named = np.hstack([self._distances, near]), np.hstack([self._labels, named])
        best = np.lexsort((named, distances), axis=1)[:, : min(k, held + len(block))]
        self._distances = np.take_along_axis(distances, best, axis=1)
        self._labels = np.take_along_axis(named, best, axis=1)

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distances float64 (q, k') and labels int64 (q, k') of what was considered, sorted by (distance, label)."""
        return self._distances.copy(), self._labels.copy()
