"""The search for the k nearest: which rows meet which queries, through which kernel, on which thread."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vecsearch.core.kernels import Float32Kernel, kernel_chain, kernel_name
from vecsearch.core.kernels.int8 import Int8Kernel
from vecsearch.core.metrics import Side, check_norms, norms_of
from vecsearch.core.packed import STRETCH_ELEMENTS, Stretch, pack, packing_space, stretches
from vecsearch.core.rows import ranges
from vecsearch.core.scan import FEW_QUERIES, Scan, Share
from vecsearch.core.shortlist import capacity, nearest_first
from vecsearch.core.space import Space, rounded_down
from vecsearch.core.threads import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecsearch.core.kernels import Kernel
    from vecsearch.core.metrics import Float32, Float64, Int64, Metric
    from vecsearch.core.packed import Packed
    from vecsearch.core.rows import Source
    from vecsearch.core.threads import Progress

_TILE_QUERIES = 1024
_PACKED_QUERIES = 512  # of a tile: of like peaks, so that tiles differ in work, and threads want several
_MIN_QUERIES = 64  # a thread gets at least so many queries, or a share of the rows instead
_SHORTLIST_BYTES = 24 << 20  # of all threads together
_EXHAUSTIVE = 4  # from k = n / 4 on, finding candidates costs more than it saves
_SMALL_WORK = 1 << 22  # multiplications below which starting threads costs more than it saves
_PACK_QUERIES = 256  # packing rows for one search costs about what so many queries save
_PACK_ROWS = 4096


class Search:
    """The k nearest of fixed queries in any `Source`.

    Args:
        queries: float32 (q, d), checked.
        k: at least 1.
        metric: the metric.
        kernel: as in `knn`.

    Raises:
        ValueError: ``k`` below 1, no such kernel, or under cosine a zero query.

    """

    def __init__(self, queries: Float32, k: int, metric: Metric, kernel: str | None = None) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self.k = k
        self.metric: Metric = metric
        self.queries = np.ascontiguousarray(queries)
        self.norms = norms_of(self.queries)
        try:
            check_norms(self.norms, metric)
        except ValueError as error:
            raise ValueError(f"queries: {error}") from None
        self.side = Side(self.queries, metric, self.norms, ready=True)
        self._kernel = kernel_name(kernel)

    @cached_property
    def chain(self) -> tuple[Kernel, ...]:
        """The kernels, coarsest first; to ask what is here takes longer than a small search."""
        return kernel_chain(self._kernel)

    def crew(self, source: Source, threads: int | None, progress: Progress | None) -> Crew:
        """The threads for one `run`: one where the work is small."""
        crew = Crew(threads, progress, len(self.queries) * len(source))
        if self._is_small(source):
            crew.threads = 1
        return crew

    def run(
        self, source: Source, crew: Crew, worst: Float64 | None = None, packed: Packed | None = None
    ) -> tuple[Float64, Int64]:
        """Distances and places (q, k') by (distance, place), k' the smaller of k and the rows.

        Args:
            source: the rows.
            crew: the threads, entered.
            worst: float64 (q,), distances beyond which nothing is wanted; what is missing is (inf, -1).
            packed: the packed form of the same rows.

        """
        count, total, k = len(self.queries), len(source), min(self.k, len(source))
        distances = np.full((count, k), np.inf)
        places = np.full((count, k), -1, dtype=np.int64)
        if not count or not total:
            return distances, places
        if worst is None and k * _EXHAUSTIVE >= total:
            self._run_exhaustive(source, crew, distances, places)
            return distances, places
        few = count <= FEW_QUERIES and self._is_small(source)
        if worst is None and few and self._kernel in ("auto", Float32Kernel.name):
            best = self._at_once(source, k)
            crew.tick(count * total)
            return best
        space, ready = (None, ()) if packed is None else packed.follow(source, crew, count)
        to_pack = space is None and self._worth_packing(source)
        shares = self._shares(k, crew.threads, by_peak=bool(ready) or to_pack, together=bool(ready))
        one_stretch = len(source) * source.rows.shape[1] <= STRETCH_ELEMENTS
        if len(shares) > 1 and not (to_pack and one_stretch):
            source.measure(crew)  # several passes over the rows would each find the norms again
        if to_pack:
            space = packing_space(source)
        centre = self._centre() if space is None else space.centre
        alone = len(shares) == 1
        scans = [Scan(self, source, crew, k, share, centre, worst, alone=alone) for share in shares]
        for part in self._parts(source, crew, ready, space if to_pack else None):
            crew.run(lambda scan, part=part: scan.read(part), scans)  # type: ignore[misc]
        results = crew.run(Scan.finish, scans)
        for first in {int(scan.queries[0]): scan for scan in scans}.values():
            found = [result for scan, result in zip(scans, results, strict=True) if scan.queries is first.queries]
            near, where = (np.hstack(columns) for columns in zip(*found, strict=True))
            distances[first.queries], places[first.queries] = nearest_first(near, where, k)
        return distances, places

    def _is_small(self, source: Source) -> bool:
        multiplications: int = len(self.queries) * len(source) * source.rows.shape[1]
        return multiplications < _SMALL_WORK

    def _at_once(self, source: Source, k: int) -> tuple[Float64, Int64]:
        """One product of all queries and rows, and the pair distances of what its margin leaves.

        What `Scan` and `Shortlist` do for any queries and rows takes 0.4 ms, even where there is nothing to do.
        """
        count, total = len(self.queries), len(source)
        space = Space(self.metric, Float32Kernel(), source.rows.shape[1])
        block = space.block(*source.block(0, total), queries=count)
        tile = space.tile(space.queries(self.queries, self.norms), block, np.empty(count * total, dtype=np.float32))
        # k rows have a target of at least the k-th score less the margin; whatever may reach that is a candidate.
        kth = np.partition(tile.raw, total - k, axis=1)[:, total - k].astype(np.float64)
        query, near = np.nonzero(tile.raw >= rounded_down(kth - 2 * tile.margin)[:, None])
        distances = source.distances(self.side, query, near)
        order = np.lexsort((near, distances, query))
        best = order[np.searchsorted(query, np.arange(count))[:, None] + np.arange(k)]
        return distances[best], near[best]

    def _worth_packing(self, source: Source) -> bool:
        kernel, queries = self.chain[0], len(self.queries)
        enough = queries >= _PACK_QUERIES and len(source) >= _PACK_ROWS
        return enough and kernel.name == Int8Kernel.name and kernel.worth(queries, source.rows.shape[1])

    def _shares(self, k: int, threads: int, *, by_peak: bool, together: bool) -> list[Share]:
        """Tiles of queries against all rows; with few queries, all of them against shares of the rows.

        ``together``: few queries are one share, since packed blocks are scored on all threads at once.
        """
        count = len(self.queries)
        order = np.arange(count)
        if by_peak:  # queries of one tile share a step, as the rows of a block do
            lengths = self.norms if self.metric == "cosine" else 1.0
            order = np.argsort(np.abs(self.queries).max(axis=1) / lengths, kind="stable")
        most = min(
            _PACKED_QUERIES if by_peak else _TILE_QUERIES, max(1, _SHORTLIST_BYTES // (12 * capacity(k) * threads))
        )
        if together and count <= min(FEW_QUERIES, most):
            return [Share(order, 0, 1)]
        if count < _MIN_QUERIES * threads and count <= most:
            return [Share(order, number, threads) for number in range(threads)]
        tiles = -(-count // most)
        # The largest peaks first: they have the widest margins, and the longest work should not begin last.
        return [Share(order[slice(*part)], 0, 1) for part in ranges(count, -(-tiles // threads) * threads)[::-1]]

    def _centre(self) -> Float32 | None:
        if self.metric != "euclidean" or len(self.queries) < _MIN_QUERIES // 4:
            return None
        mean: Float64 = self.queries.mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)

    def _parts(
        self, source: Source, crew: Crew, ready: tuple[Stretch, ...], packing: Space | None
    ) -> Iterator[Stretch | tuple[int, int]]:
        """All rows, in stretches that are packed and ranges of places that are not."""
        yield from ready
        covered, total = ready[-1].stop if ready else 0, len(source)
        if packing is not None:
            for start, stop in stretches(covered, total, source.rows.shape[1]):
                yield pack(source, packing, start, stop, crew)
        elif covered < total:
            yield covered, total

    def _run_exhaustive(self, source: Source, crew: Crew, distances: Float64, places: Int64) -> None:
        """Every pair distance, a query at a time: nothing is left to propose when most rows are wanted."""
        total, k = len(source), distances.shape[1]
        source.measure(crew)
        every = np.arange(total)

        def rank(query: int) -> None:
            near = np.empty(total)
            for start in range(0, total, 1 << 14):
                part = every[start : start + (1 << 14)]
                near[start : start + len(part)] = source.distances(self.side, np.full(len(part), query), part)
                crew.tick(len(part))
            best = np.argsort(near, kind="stable")[:k]
            distances[query], places[query] = near[best], best

        crew.run(rank, range(len(distances)))
