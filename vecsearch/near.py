"""Which rows to drop as near-duplicates: by a threshold, or by the share of rows that may be dropped."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from itertools import count
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from vecsearch.core import Kept, TooManyEdgesError, edge_order, greedy_keep, pair_distances, radius_edges
from vecsearch.distances import other_distances
from vecsearch.errors import InvalidInputError
from vecsearch.pair_file import PairFile
from vecsearch.spool import taken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.core import Metric, Progress

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]
    Int64 = NDArray[np.int64]

_Number = TypeVar("_Number", np.int32, np.float64)

NO_THRESH = -1.0  # below every distance
_EDGE_BYTES = 32  # int32 ends and a float64 distance, and as much again while they are sorted
_COPY_PAIRS = 1_000_000  # more pairs of exact copies than this are not worth an edge each
_SAMPLE, _NEIGHBOURS = 2048, 256  # rows asked for their nearest, to guess a first radius
_RETRIES = 12  # radii tried below one that held too many pairs
_BLOCK = 1 << 22  # elements looked at in one step


def by_thresh(
    rows: Float32,
    thresh: float,
    metric: Metric,
    order: Int64,
    norms: Float64,
    max_edges: int,
    progress: Progress,
    checkpoint: str | Path | None = None,
) -> Kept:
    """Greedy selection at ``thresh``: positions in ``order`` are walked best first.

    Raises ``InvalidInputError`` where more than ``max_edges`` pairs lie within ``thresh``, or the ``checkpoint`` is
    of something else.
    """
    try:
        first, many = _copies(rows, order)
        if not many:
            with _pair_file(checkpoint, rows, thresh, metric) as pairs:
                return _Graph(rows, thresh, metric, order, norms, max_edges, progress, pairs).kept()
        originals = np.flatnonzero(first == np.arange(len(rows)))
        with taken(rows, originals) as few, _pair_file(checkpoint, few, thresh, metric) as pairs:
            within = _within(order, originals)
            graph = _Graph(few, thresh, metric, within, norms[originals], max_edges, progress, pairs)
            return _with_copies(graph.kept(), originals, first)
    except TooManyEdgesError as error:
        raise _too_many(error, len(rows)) from error


def by_fraction(
    rows: Float32, fraction: float, metric: Metric, order: Int64, norms: Float64, max_edges: int, progress: Progress
) -> tuple[Kept, float]:
    """Greedy selection at the largest threshold found that drops no more than ``fraction`` of the rows.

    Returns the selection and its threshold. The pairs within an upper bound are found once, and the threshold by
    bisection over their distances; the bound grows until it drops more than is allowed.
    """
    allowed = int(fraction * len(rows) + 1e-9)  # 0.29 of 100 rows are 29, though the product is a little less
    first, many = _copies(rows, order)
    if not many:
        return _at_most(rows, allowed, metric, order, norms, max_edges, progress)
    originals = np.flatnonzero(first == np.arange(len(rows)))
    allowed -= len(rows) - len(originals)
    if allowed < 0:
        return _all_kept(len(rows)), NO_THRESH
    with taken(rows, originals) as few:
        within = _within(order, originals)
        kept, thresh = _at_most(few, allowed, metric, within, norms[originals], max_edges, progress)
        if thresh == NO_THRESH:
            return _all_kept(len(rows)), NO_THRESH
        return _with_copies(kept, originals, first), thresh


class _Graph:
    """The pairs within a radius, nearest first."""

    def __init__(
        self,
        rows: Float32,
        radius: float,
        metric: Metric,
        order: Int64,
        norms: Float64,
        max_edges: int,
        progress: Progress,
        pairs: PairFile | None = None,
    ) -> None:
        self._n = len(rows)
        self._order = order
        ends: tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]] = ([], [])
        distances: list[Float64] = []
        start = 0
        if pairs is not None:
            saved, start = pairs.load(), pairs.compared
            ends[0].append(saved["i"])
            ends[1].append(saved["j"])
            distances.append(saved["distance"])
            max_edges -= len(saved)

        def report(compared: int, total: int) -> None:
            if pairs is not None:
                pairs.mark(compared)
            progress(compared, total)

        if len(rows) > 1:
            for edges in radius_edges(
                rows, radius, metric, norms=norms, max_edges=max_edges, start=start, progress=report
            ):
                if pairs is not None:
                    pairs.add(edges)
                ends[0].append(edges.i.astype(np.int32))
                ends[1].append(edges.j.astype(np.int32))
                distances.append(edges.distance)
        self._i, self._j = (_joined(one, np.empty(0, dtype=np.int32)) for one in ends)
        self._distance = _joined(distances, np.empty(0))

    def sort(self) -> None:
        """Put the pairs in ascending order of distance."""
        by = np.argsort(self._distance, kind="stable")
        self._i, self._j = self._i[by], self._j[by]
        self._distance = self._distance[by]

    def __len__(self) -> int:
        return len(self._distance)

    def kept(self, edges: int | None = None) -> Kept:
        """The greedy selection under all pairs, or the nearest so many."""
        part = slice(edges)
        i, j = cast("Int64", self._i[part]), cast("Int64", self._j[part])  # any whole numbers will do
        return greedy_keep(self._n, i, j, self._distance[part], self._order)

    def dropped(self, edges: int | None = None) -> int:
        """How many rows that selection drops."""
        return self._n - int(np.count_nonzero(self.kept(edges).keep))

    def bisect(self, allowed: int) -> tuple[Kept, float]:
        """A selection that drops at most ``allowed`` rows, while the next greater distance drops more.

        All pairs at one distance are taken together. Needs sorted pairs that drop more than ``allowed``.
        """
        low, high = 0, len(self)
        while True:
            middle = self._distance[(low + high) // 2]
            start = int(np.searchsorted(self._distance, middle, side="left"))
            stop = int(np.searchsorted(self._distance, middle, side="right"))
            edges = stop if stop < high else start
            if edges <= low:
                break
            if self.dropped(edges) <= allowed:
                low = edges
            else:
                high = edges
        if low:
            return self.kept(low), float(self._distance[low - 1])
        return self.kept(0), 0.0 if self._distance[0] > 0 else NO_THRESH


def _at_most(
    rows: Float32, allowed: int, metric: Metric, order: Int64, norms: Float64, max_edges: int, progress: Progress
) -> tuple[Kept, float]:
    if allowed >= len(rows) - 1:
        return _first_kept(rows, metric, order)
    graph = _bracket(rows, allowed, metric, order, norms, max_edges, progress)
    graph.sort()
    return graph.bisect(allowed)


def _bracket(
    rows: Float32, allowed: int, metric: Metric, order: Int64, norms: Float64, max_edges: int, progress: Progress
) -> _Graph:
    """The pairs within a radius that drops more than ``allowed`` rows, and not many more pairs than it takes."""
    radii = _radii(rows, allowed, metric, order, norms)
    low, high, tries = 0.0, None, 0
    radius = next(radii)
    while True:
        try:
            graph = _Graph(rows, radius, metric, order, norms, max_edges, progress)
        except TooManyEdgesError as error:
            if tries == _RETRIES:
                raise _too_many(error, len(rows), allowed) from error
            high, tries = radius, tries + 1
        else:
            if graph.dropped() > allowed:
                return graph
            low = radius
            del graph  # before the next one takes its memory
        if high is None:
            radius = next(radii)
            continue
        radius = (low + high) / 2


def _radii(rows: Float32, allowed: int, metric: Metric, order: Int64, norms: Float64) -> Iterator[float]:
    """Ever larger radii; the last is sure to drop all rows but one.

    The first holds a nearest neighbour for 2.2 times as many rows as may be dropped: where duplicates come in pairs
    one of two is dropped. Then come as many rows doubled, then the distance that holds k rows around one in two, k
    doubled: medians, since the farthest outlier would bring nearly all pairs.
    """
    sample = order[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)]
    near = other_distances(rows, np.unique(sample), _NEIGHBOURS, metric, norms)
    nearest = np.sort(near[:, 0])
    rank, greatest = 2.2 * allowed / len(rows) * len(near), -1.0
    rank += 3 * rank**0.5 + 1  # a sample's quantile errs by about the root of its rank
    ladder = []
    while rank < 0.95 * len(nearest):
        ladder.append(nearest[int(rank)])
        rank *= 2
    ladder += [np.median(near[:, k - 1]) for k in (2**power for power in range(9)) if k <= near.shape[1]]
    for radius in ladder:
        if radius > greatest:
            yield float(radius)
            greatest = float(radius)
    farthest = float(pair_distances(rows[order[0]], rows, metric).max())
    for power in count(1):
        if greatest <= 0 or greatest * 1.2**power >= farthest:
            break
        yield greatest * 1.2**power
    yield farthest


def _first_kept(rows: Float32, metric: Metric, order: Int64) -> tuple[Kept, float]:
    """All rows are dropped for the first, at the least threshold that does so."""
    kept = _all_kept(len(rows))
    if len(rows) <= 1:
        return kept, 0.0
    best = int(order[0])
    kept.keep[:] = False
    kept.keep[best] = True
    kept.nearest[:] = best
    kept.nearest[best] = -1
    kept.distance[:] = pair_distances(rows[best], rows, metric)
    kept.distance[best] = 0.0
    return kept, float(kept.distance.max())


def _all_kept(n: int) -> Kept:
    return Kept(np.ones(n, dtype=np.bool_), np.full(n, -1, dtype=np.int64), np.zeros(n))


def _copies(rows: Float32, order: Int64) -> tuple[Int64, bool]:
    """For each row the first row in ``order`` with the same bits, and whether copies make too many pairs.

    A copy has the distances of its original from everything, and 0 from it: it is dropped for it, or for what the
    original is dropped for. So copies can be left out of the comparison, in which g of them would be g²/2 pairs.
    """
    n = len(rows)
    first = np.arange(n)
    if n < 2:  # noqa: PLR2004  a pair
        return first, False
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    digests = _digests(rows)
    by = np.lexsort((rank, digests))
    starts = np.flatnonzero(np.concatenate([[True], digests[by][1:] != digests[by][:-1]]))
    sizes = np.diff(np.append(starts, n))
    if int((sizes * (sizes - 1) // 2).sum()) <= _COPY_PAIRS:
        return first, False
    candidate = np.empty(n, dtype=np.int64)
    candidate[by] = np.repeat(by[starts], sizes)
    members = np.flatnonzero(candidate != first)
    step = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(members), step):
        part = members[start : start + step]
        same = (rows[part].view(np.uint32) == rows[candidate[part]].view(np.uint32)).all(axis=1)
        first[part[same]] = candidate[part[same]]
    return first, True


def _digests(rows: Float32) -> NDArray[np.uint64]:
    """A number for each row that equal bits share; unequal rows share one by chance, 1 in 2**32 or rarer."""
    factors = np.random.default_rng(0).integers(0, 2**64, rows.shape[1], dtype=np.uint64) | np.uint64(1)
    digests = np.empty(len(rows), dtype=np.uint64)
    step = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        bits = np.ascontiguousarray(rows[start : start + step]).view(np.uint32)
        digests[start : start + step] = bits.astype(np.uint64) @ factors
    return digests


def _within(order: Int64, originals: Int64) -> Int64:
    """The order of the originals, in their own numbering."""
    number = np.full(len(order), -1, dtype=np.int64)
    number[originals] = np.arange(len(originals))
    ordered = number[order]
    kept: Int64 = ordered[ordered >= 0]
    return kept


def _with_copies(kept: Kept, originals: Int64, first: Int64) -> Kept:
    """The selection among originals, widened to the copies."""
    whole = _all_kept(len(first))
    whole.keep[originals] = kept.keep
    whole.nearest[originals] = np.where(kept.keep, -1, originals[kept.nearest])
    whole.distance[originals] = kept.distance
    copies = np.flatnonzero(first != np.arange(len(first)))
    model = first[copies]
    whole.nearest[copies] = np.where(whole.keep[model], model, whole.nearest[model])
    whole.distance[copies] = whole.distance[model]
    whole.keep[copies] = False
    return whole


def _pair_file(
    checkpoint: str | Path | None, rows: Float32, thresh: float, metric: Metric
) -> AbstractContextManager[PairFile | None]:
    if checkpoint is None:
        return nullcontext()
    digest = hashlib.blake2b(_digests(rows).tobytes(), digest_size=16).hexdigest()
    identity = {"rows": [len(rows), rows.shape[1], digest], "thresh": thresh, "metric": metric}
    return PairFile(checkpoint, {**identity, "order of work (kernel)": edge_order(*rows.shape)})


def _joined(parts: list[NDArray[_Number]], nothing: NDArray[_Number]) -> NDArray[_Number]:
    """One array; the parts are given up."""
    whole = np.concatenate(parts) if parts else nothing
    parts.clear()
    return whole


def _too_many(error: TooManyEdgesError, n: int, allowed: int | None = None) -> InvalidInputError:
    held = error.max_edges * _EDGE_BYTES / 2**30
    most = n * (n - 1) // 2 * _EDGE_BYTES / 2**30
    less = "a smaller thresh" if allowed is None else "a smaller fraction"
    found = "are within" if allowed is None else f"must be seen to drop {allowed:,}, those within"
    return InvalidInputError(
        f"more than {error.max_edges:,} pairs of the {n:,} rows {found} {error.thresh:.4g}; give {less}, or allow "
        f"more pairs: vecsearch.find_duplicates(index, …, max_edges=…). {error.max_edges:,} take up to {held:.1f} "
        f"GiB, all pairs of these rows {most:.1f} GiB"
    )
