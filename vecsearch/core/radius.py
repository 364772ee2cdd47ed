"""All pairs within a radius, by tiles of the upper triangle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecsearch.core.kernels import kernel_chain, kernel_name
from vecsearch.core.kernels.int8 import Int8Kernel
from vecsearch.core.metrics import Side, aligned_distances, as_rows, check_metric
from vecsearch.core.packed import pack, packing_space, stretches
from vecsearch.core.rows import Source, cached_norms, typical_row
from vecsearch.core.space import Space, raw_bound
from vecsearch.core.threads import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from vecsearch.core.metrics import Float32, Float64, Int64, Metric
    from vecsearch.core.space import Placed
    from vecsearch.core.threads import Progress

_TILE = 1024
_TILE_PAIRS = 1 << 21  # if all pairs of a tile lie within the radius, that is still only 48 MB of edges
_GROUP_PAIRS = 1 << 24  # compared in one go
_MOST_PASSING = 64  # where more than one pair in so many passes, a finer kernel is cheaper than pair distances
_PACK_ROWS = 4096


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
    start: int = 0,
    kernel: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Edges]:
    """Every unordered pair of rows with ``pair_distances <= thresh``, exactly once.

    The answer comes in parts as the caller takes them, some way ahead of which the work is done; the order of the
    parts and of the edges in them depends on the rows and on `edge_order` alone. Time O(n² d). Memory O(tile) with the
    float kernels; with int8 the packed rows besides, a quarter of the rows.

    Args:
        rows: float32 (n, d), an array or a memory map.
        thresh: the radius, a distance in the metric.
        metric: "cosine" or "euclidean".
        norms: float64 (n,), what `row_norms` gives for ``rows``, if it is at hand.
        max_edges: raise as soon as there are more; None for no limit.
        start: pairs to leave out, compared by an earlier call on the same rows: what it told ``progress`` last.
        kernel: as in `knn`.
        threads: how many; ``VECSEARCH_THREADS`` or the usable cores by default.
        progress: called with (pairs compared, all pairs) in the calling thread.

    Returns:
        An iterator of `Edges`. While it is not exhausted or closed, BLAS keeps to one thread in this process.

    Raises:
        TypeError: not float32.
        ValueError: another metric, thresh is not a number, a kernel that is not available, or under cosine a zero row;
            from the iterator, a ``start`` at which no part ends.
        TooManyEdgesError: from the iterator, more than ``max_edges``.

    """
    check_metric(metric, ("cosine", "euclidean"))
    rows = as_rows(rows)
    if np.isnan(thresh):
        raise ValueError("thresh must be a number, not nan")
    source = Source(rows, metric, None, cached_norms(norms, len(rows)))
    kernel_name(kernel)  # refused here, and not when the first part is taken
    crew = Crew(threads)
    if len(rows) <= _TILE:
        crew.threads = 1
    return _edges(source, float(thresh), max_edges, start, kernel, crew, progress)


def edge_order(count: int, width: int, kernel: str | None = None) -> str:
    """A name for the order in which `radius_edges` compares ``count`` rows of this width on this machine."""
    return "by peak" if _packs(count, width, kernel) else "by place"


def _packs(count: int, width: int, kernel: str | None) -> bool:
    first = kernel_chain(kernel)[0]
    return count >= _PACK_ROWS and first.name == Int8Kernel.name and first.worth(_TILE, width)


class _Rows(NamedTuple):
    """A block of rows: their places, and their packed form, if they have one."""

    places: Int64
    placed: Placed | None


class _Item(NamedTuple):
    """Rows ``low`` to ``high`` of one block against all rows of others, ``pairs`` in all."""

    first: int
    low: int
    high: int
    others: range
    pairs: int


class _Tiles:
    """Compares blocks of rows; shared by the threads."""

    def __init__(self, source: Source, thresh: float, kernel: str | None, crew: Crew) -> None:
        self._source = source
        self._thresh = thresh
        self._crew = crew
        self._side = Side(source.rows, source.metric, source.norms)
        width, total = source.rows.shape[1], len(source)
        self._spaces = []
        if _packs(total, width, kernel):
            space = packing_space(source)
            parts = [pack(source, space, *part, crew) for part in stretches(0, total, width)]
            self.blocks: list[_Rows] = [_Rows(*block) for part in parts for block in part.blocks]
            self._spaces.append(space)
        else:
            starts = range(0, total, _TILE)
            self.blocks = [_Rows(np.arange(at, min(at + _TILE, total)), None) for at in starts]
        centre = self._spaces[0].centre if self._spaces else typical_row(source)
        for one in kernel_chain(kernel):
            if one.name != Int8Kernel.name and one.worth(_TILE, width):
                self._spaces.append(Space(source.metric, one, width, centre))

    def items(self) -> Iterator[_Item]:
        """The upper triangle, in parts: some rows of a block, and blocks that do not come before it."""
        sizes = [len(block.places) for block in self.blocks]
        widest = max(sizes, default=1)
        height = max(_TILE_PAIRS // widest, 1)
        group = max(_GROUP_PAIRS // (height * widest), 1)
        for first, size in enumerate(sizes):
            for low in range(0, size, height):
                high = min(low + height, size)
                for second in range(first, len(sizes), group):
                    others = range(second, min(second + group, len(sizes)))
                    pairs = (high - low) * sum(sizes[others.start : others.stop])
                    if first == second:
                        pairs -= (low + 1 + high) * (high - low) // 2
                    yield _Item(first, low, high, others, pairs)

    def compare(self, item: _Item) -> tuple[Int64, Int64, Float64]:
        """The edges of an item."""
        first = self.blocks[item.first].places[item.low : item.high]
        left: dict[str, Placed] = {}
        rows = self._rows(first)
        scratch = np.empty(_TILE_PAIRS, dtype=np.float32)
        found = []
        for second in item.others:
            self._crew.tick(0)
            i, j = self._near(left, rows, self.blocks[second], scratch)
            if item.first == second:
                above = i + item.low < j
                i, j = i[above], j[above]
            if len(i):
                i, j = first[i], self.blocks[second].places[j]
                distance = aligned_distances(self._side, self._side, i, j)
                within = distance <= self._thresh
                i, j = i[within], j[within]
                found.append((np.minimum(i, j), np.maximum(i, j), distance[within]))
        if not found:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
        ends_i, ends_j, distances = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return ends_i, ends_j, distances

    def _rows(self, places: Int64) -> tuple[Float32, Float64]:
        return self._source.take(places, np.empty((len(places), self._source.rows.shape[1]), dtype=np.float32))

    def _near(
        self, left: dict[str, Placed], rows: tuple[Float32, Float64], block: _Rows, scratch: Float32
    ) -> tuple[Int64, Int64]:
        """The pairs of a tile that the coarsest kernel of use cannot exclude."""
        hits: Any = None
        for space in self._spaces:
            name = space.kernel.name
            if name not in left:
                left[name] = space.queries(*rows)
            queries = left[name]
            right = block.placed if space is self._spaces[0] else None
            raw, unit, margin = space.tile(queries, right or space.block(*self._rows(block.places)), scratch)
            least = raw_bound(raw.dtype, (space.target(queries, self._thresh) - margin) / unit)
            some = np.flatnonzero(raw.max(axis=1) >= least)  # most tiles have no hits, most rows of the others none
            hits = np.flatnonzero(raw[some] >= least[some, None])
            if len(hits) * _MOST_PASSING <= raw.size:
                break
        i = hits // raw.shape[1]
        return some[i], hits - i * raw.shape[1]


def _edges(
    source: Source,
    thresh: float,
    max_edges: int | None,
    start: int,
    kernel: str | None,
    crew: Crew,
    progress: Progress | None,
) -> Iterator[Edges]:
    total = len(source)
    pairs, compared, found = total * (total - 1) // 2, 0, 0
    with crew:
        source.measure(crew)
        tiles = _Tiles(source, thresh, kernel, crew)
        items = list(tiles.items())
        skipped = 0
        while skipped < len(items) and compared < start:
            compared += items[skipped].pairs
            skipped += 1
        if compared != start:
            raise ValueError(f"start={start}: no part of the comparison ends there")
        parts = crew.stream(tiles.compare, items[skipped:])
        for item, (i, j, distance) in zip(items[skipped:], parts, strict=True):
            compared += item.pairs
            found += len(i)
            if max_edges is not None and found > max_edges:
                raise TooManyEdgesError(max_edges, thresh, compared, pairs)
            if len(i):
                yield Edges(i, j, distance)
            if progress is not None:
                progress(compared, pairs)
