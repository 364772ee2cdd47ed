"""Exact k nearest neighbours, of a matrix at hand or of rows that arrive in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vecsearch.core.kernels import default_kernel
from vecsearch.core.metrics import Side, as_rows, check_metric, check_norms, norms_of
from vecsearch.core.rows import BLOCK_ELEMENTS, Source, cached_norms, ranges
from vecsearch.core.shortlist import Shortlist, capacity
from vecsearch.core.space import Space
from vecsearch.core.threads import Crew

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecsearch.core.metrics import Float32, Float64, Int64, Metric
    from vecsearch.core.space import Placed
    from vecsearch.core.threads import Progress

_TILE_QUERIES = 1024
_TILE_SCORES = 1 << 20  # 4 MiB of scores; square tiles make the fastest products
_MIN_QUERIES = 64  # a thread gets at least so many queries, or a share of the rows instead
_SHORTLIST_BYTES = 24 << 20  # of all threads together
_EXHAUSTIVE = 4  # from k = n / 4 on, finding candidates costs more than it saves
_SMALL_WORK = 1 << 22  # multiplications below which starting threads costs more than it saves


class _Job(NamedTuple):
    """A range of queries against a range of places."""

    first_query: int
    last_query: int
    start: int
    stop: int


class Search:
    """The k nearest of fixed queries in any `Source`.

    Args:
        queries: float32 (q, d), checked.
        k: at least 1.
        metric: the metric.

    Raises:
        ValueError: ``k`` below 1, or under cosine a zero query.

    """

    def __init__(self, queries: Float32, k: int, metric: Metric) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self.k = k
        self.metric: Metric = metric
        self._queries = np.ascontiguousarray(queries)
        self._norms = norms_of(self._queries)
        try:
            check_norms(self._norms, metric)
        except ValueError as error:
            raise ValueError(f"queries: {error}") from None
        self._side = Side(self._queries, metric, self._norms, ready=True)
        width = queries.shape[1]
        centre = None
        if metric == "euclidean" and len(queries) >= _MIN_QUERIES // 4:
            centre = queries.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._space = Space(metric, default_kernel(), width, centre)

    def crew(self, source: Source, threads: int | None, progress: Progress | None) -> Crew:
        """The threads for one `run`: one where the work is small."""
        small = len(self._queries) * len(source) * source.rows.shape[1] < _SMALL_WORK
        crew = Crew(threads, progress, len(self._queries) * len(source))
        if small:
            crew.threads = 1
        return crew

    def run(self, source: Source, crew: Crew, worst: Float64 | None = None) -> tuple[Float64, Int64]:
        """Distances and places (q, k') by (distance, place), k' the smaller of k and the rows.

        Args:
            source: the rows.
            crew: the threads, entered.
            worst: float64 (q,), distances beyond which nothing is wanted; what is missing is (inf, -1).

        """
        count, total, k = len(self._queries), len(source), min(self.k, len(source))
        distances = np.full((count, k), np.inf)
        places = np.full((count, k), -1, dtype=np.int64)
        if not count or not total:
            return distances, places
        if worst is None and k * _EXHAUSTIVE >= total:
            self._run_exhaustive(source, crew, distances, places)
            return distances, places
        jobs = self._jobs(total, k, crew.threads)
        if jobs[0].first_query != jobs[-1].first_query:
            source.measure(crew)
        results = crew.run(lambda job: self._scan(job, source, k, crew, worst), jobs)
        for at in {job.first_query: job for job in jobs}.values():
            found = [result for job, result in zip(jobs, results, strict=True) if job.first_query == at.first_query]
            # Ranges of places ascend, and the sort is stable: equal distances stay in the order of their places.
            near, where = (np.hstack(parts) for parts in zip(*found, strict=True))
            if len(found) > 1:
                best = np.argsort(near, axis=1, kind="stable")[:, :k]
                near, where = np.take_along_axis(near, best, axis=1), np.take_along_axis(where, best, axis=1)
            distances[at.first_query : at.last_query] = near
            places[at.first_query : at.last_query] = where
        return distances, places

    def _jobs(self, total: int, k: int, threads: int) -> list[_Job]:
        """Tiles of queries against all rows; with few queries, all of them against shares of the rows."""
        count = len(self._queries)
        most = min(_TILE_QUERIES, max(1, _SHORTLIST_BYTES // (12 * capacity(k) * threads)))
        if count < _MIN_QUERIES * threads and count <= most:
            return [_Job(0, count, *part) for part in ranges(total, threads)]
        tiles = -(-count // most)
        return [_Job(*part, 0, total) for part in ranges(count, -(-tiles // threads) * threads)]

    def _scan(self, job: _Job, source: Source, k: int, crew: Crew, worst: Float64 | None) -> tuple[Float64, Int64]:
        count, width = job.last_query - job.first_query, source.rows.shape[1]
        step = min(max(64, min(BLOCK_ELEMENTS // width, _TILE_SCORES // count, 1 << 14)), job.stop - job.start)
        queries, shortlist = self._tile(job, source, k, worst)
        gathered = np.empty((step if source.positions is not None else 0, width), dtype=np.float32)
        copied = np.empty((step, width), dtype=np.float32)
        scores_buffer = np.empty(count * step, dtype=np.float32)
        for start in range(job.start, job.stop, step):
            stop = min(start + step, job.stop)
            block, norms = source.block(start, stop, gathered)
            placed = self._space.place(block, norms, copied[: stop - start], queries=count)
            size = count * placed.size
            scores = scores_buffer[:size].reshape(count, placed.size)
            margin = self._space.scores(queries, placed, scores)
            shortlist.offer(scores, margin, start)
            crew.tick(size)
        return shortlist.finish()

    def _tile(self, job: _Job, source: Source, k: int, worst: Float64 | None) -> tuple[Placed, Shortlist]:
        part = slice(job.first_query, job.last_query)
        queries = self._space.place(self._queries[part], self._norms[part])

        def exact(query: Int64, places: Int64) -> Float64:
            return source.distances(self._side, query + job.first_query, places)

        floor = None if worst is None else self._space.target(queries, worst[part])
        return queries, Shortlist(self._space, queries, k, exact, floor)

    def _run_exhaustive(self, source: Source, crew: Crew, distances: Float64, places: Int64) -> None:
        """Every pair distance, a query at a time: nothing is left to propose when most rows are wanted."""
        total, k = len(source), distances.shape[1]
        source.measure(crew)
        every = np.arange(total)

        def rank(query: int) -> None:
            near = np.empty(total)
            for start in range(0, total, 1 << 14):
                part = every[start : start + (1 << 14)]
                near[start : start + len(part)] = source.distances(self._side, np.full(len(part), query), part)
                crew.tick(len(part))
            best = np.argsort(near, kind="stable")[:k]
            distances[query], places[query] = near[best], best

        crew.run(rank, range(len(distances)))


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
        threads: how many; the usable cores by default.
        progress: called with (done, total) in the calling thread.

    Returns:
        distances float64 (q, k') and positions int64 (q, k') in ``rows``, sorted by (distance, position), with k' the
        smaller of k and the rows considered. The distances are those of `pair_distances`.

    Raises:
        TypeError: not float32.
        ValueError: shapes that do not match, k below 1, positions that do not ascend, or under cosine a zero row.

    """
    check_metric(metric)
    rows = as_rows(rows)
    queries = as_rows(queries, "queries", rows.shape[1])
    search = Search(queries, k, metric)
    source = Source(rows, metric, _check_positions(positions, len(rows)), cached_norms(norms, len(rows)))
    with search.crew(source, threads, progress) as crew:
        distances, places = search.run(source, crew)
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
