"""The candidates of a tile of queries: cheap to pass by, exact when they are settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.core.space import raw_bound, rounded_down, rounded_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecsearch.core.metrics import Float32, Float64, Int64
    from vecsearch.core.space import Placed, Space, Tile

Exact = Callable[["Int64", "Int64"], "Float64"]  # (query of the tile, place) aligned -> pair distances

# What stands in empty slots: below every score, and no two alike, since partition is slow among equals.
_EMPTY = np.float32(-1e38)
_SLACK = 768  # slots beyond 4 k: room for what one tile may bring where rows lie in the order of their topics
_FIRST_LOOK = 2.5  # with so many times k candidates a query, the k best are settled first, and decide on the others
_EARLY_LOOK = 0.5  # the same before the end, where the k best are not known yet: with so many slots in use
_RUN = 256  # columns
_LAST = np.iinfo(np.int64).max


def capacity(k: int) -> int:
    """Slots per query; each costs 12 bytes."""
    return 4 * k + _SLACK


class Shortlist:
    """For each of q queries, every row that may be among its k nearest.

    Rows are offered tile by tile with approximate scores and a certified margin. ``floor`` is a target (see `Space`)
    that k rows are known to reach. A row whose score is more than the margin below the floor cannot be among the k
    nearest and is passed by, which costs one comparison. Of the others the *upper* bound of the target is kept: their
    score and the margin. Where bounds cannot tell candidates apart (ties, or a useless margin) until the slots run
    out, pair distances decide early.

    Args:
        space: any space of the metric and centre of the tiles.
        queries: the queries in it.
        k: how many to find.
        exact: pair distances by (query, place).
        floor: float64 (q,), what k rows seen before are known to reach.

    """

    def __init__(self, space: Space, queries: Placed, k: int, exact: Exact, floor: Float64 | None = None) -> None:
        count = queries.size
        self._space = space
        self._queries = queries
        self._k = k
        self._exact = exact
        self._floor = np.full(count, -np.inf) if floor is None else floor.copy()
        self._margin = np.zeros(count)  # the largest of the tiles
        self._room = capacity(k)
        self._empty = _EMPTY * np.linspace(1.0, 2.0, self._room, dtype=np.float32)
        self._uppers = np.tile(self._empty, (count, 1))
        self._places = np.empty((count, self._room), dtype=np.int64)
        self._fill = np.zeros(count, dtype=np.int64)
        self._worth = np.full(count, k + k // 2 + 8)  # with so many candidates, a new floor pays
        # The last place that can still be among the k nearest: beyond it where k rows before lie at distance zero.
        self._last = np.full(count, _LAST)
        self._seeded = floor is not None
        self._sparse = False

    def offer(self, tile: Tile, places: int | Int64, most: int | None = None) -> bool:
        """Consider a tile.

        Args:
            tile: scores of all queries and b rows.
            places: the place of the first row, where they ascend one by one; or int64 (b,).
            most: do nothing where more scores than this pass.

        Returns:
            Whether it was considered.

        """
        hits = self._passing(tile, places)
        if most is not None and len(hits) > most:
            return False
        np.maximum(self._margin, tile.margin, out=self._margin)
        if hits.size:
            self._add(hits, tile, places)
        return True

    def _passing(self, tile: Tile, places: int | Int64) -> Int64:
        """Flat indices, ascending, of the scores that may belong to one of the k nearest."""
        raw, unit, margin = tile
        if not self._seeded and raw.shape[1] > self._k:
            reached = unit * self._reached(_maxima(raw, 4 * self._k))
            np.maximum(self._floor, reached - margin, out=self._floor)
            self._seeded = True
        least = raw_bound(raw.dtype, (self._floor - margin) / unit)
        closed = np.flatnonzero(self._last < _LAST)
        if closed.size:
            nothing_new = self._last[closed] < (places if isinstance(places, int) else places.min())
            least[closed[nothing_new]] = _above_all(raw.dtype)
        if not self._sparse:
            hits = np.flatnonzero(raw >= least[:, None])
        else:  # the best score of a run of columns is cheaper to find than all hits, and few runs have any
            width = raw.shape[1]
            run = _RUN if width % _RUN == 0 else width
            runs, bounds = raw.reshape(-1, run), np.repeat(least, width // run)
            some = np.flatnonzero(runs.max(axis=1) >= bounds)
            hits = np.flatnonzero(runs[some] >= bounds[some, None])
            inside = hits // run
            hits += (some[inside] - inside) * run
        self._sparse = 8 * _RUN * len(hits) < raw.size
        return hits

    def _add(self, hits: Int64, tile: Tile, places: int | Int64) -> None:
        raw, unit, margin = tile
        query = hits // raw.shape[1]
        uppers = rounded_up(unit * raw.ravel()[hits] + margin[query])
        columns = hits - query * raw.shape[1]
        at = columns + places if isinstance(places, int) else places[columns]
        late = at > self._last[query]  # too late to displace k rows at distance zero
        if late.any():
            query, uppers, at = query[~late], uppers[~late], at[~late]
        counts = np.bincount(query, minlength=len(self._fill))
        queries = np.flatnonzero(counts)
        counts = counts[queries]
        crowded = np.count_nonzero(self._fill[queries] + counts > self._room)
        if crowded:
            if crowded * 8 > len(self._fill):
                self._compact()
            queries, uppers, at, counts = self._settle_crowded(queries, uppers, at, counts)
        self._append(queries, uppers, at, counts)
        ready = np.flatnonzero(self._fill >= self._worth)
        if ready.size * 4 >= len(self._fill):
            self._raise_floor(ready)

    def finish(self) -> tuple[Float64, Int64]:
        """The k nearest of all offered: distances and places (q, k) by (distance, place), padded with (inf, -1)."""
        k = self._k
        self._raise_floor(np.flatnonzero(self._fill > k))
        kept, counts = self._candidates()
        if len(kept) > _FIRST_LOOK * k * len(counts):
            self._look_first(np.flatnonzero(counts > k))
            kept, counts = self._candidates()
        query = np.repeat(np.arange(len(counts)), counts)
        found = self._places.ravel()[kept]
        width = max(k, int(counts.max(initial=0)))
        at = _slots(np.arange(len(counts)) * width, counts)
        places = np.full((len(counts), width), -1, dtype=np.int64)
        distances = np.full((len(counts), width), np.inf)
        places.ravel()[at] = found
        distances.ravel()[at] = self._exact(query, found)
        return nearest_first(distances, places, k)

    def _look_first(self, queries: Int64) -> None:
        """Raise the floors of these queries to the exact k-th best of the k that look best."""
        k = self._k
        if not queries.size:
            return
        best = np.argpartition(self._uppers[queries], self._room - k, axis=1)[:, self._room - k :]
        places = np.take_along_axis(self._places[queries], best, axis=1)
        distances = self._exact(np.repeat(queries, k), places.ravel()).reshape(len(queries), k)
        kth = np.zeros(len(self._floor))
        kth[queries] = distances.max(axis=1)
        reached = self._space.target(self._queries, kth)[queries]
        self._floor[queries] = np.maximum(self._floor[queries], reached)

    def _reached(self, scores: NDArray[Any]) -> NDArray[Any]:
        """The k-th best of each row of scores."""
        kth = scores.shape[1] - self._k
        return np.partition(scores, kth, axis=1)[:, kth]

    def _lower(self, uppers: Float32, margin: Float64) -> Float64:
        """What a target is at least, by its upper bound, which was rounded up."""
        wide = uppers.astype(np.float64)
        with np.errstate(invalid="ignore"):
            lower = wide - 2 * margin - np.abs(wide) * 2.0**-22
        return np.where(np.isfinite(margin), lower, -np.inf)

    def _raise_floor(self, queries: Int64) -> None:
        """Raise the floors of these queries, with more than k candidates each, to what their candidates show."""
        if not queries.size:
            return
        fill = self._fill[queries]
        uppers = self._uppers[queries, : int(fill.max())]
        reached = self._lower(self._reached(uppers), self._margin[queries])
        self._floor[queries] = np.maximum(self._floor[queries], reached)
        self._worth[queries] = fill + self._k // 2 + 8
        self._look_first(queries[fill > _EARLY_LOOK * self._room])

    def _candidates(self) -> tuple[Int64, Int64]:
        """Flat indices of the candidates that are not below their floors, and how many each query has."""
        keep = self._uppers >= rounded_down(self._floor)[:, None]
        keep &= np.arange(self._room) < self._fill[:, None]
        kept = np.flatnonzero(keep)
        return kept, _counts(kept, len(self._fill), self._room)

    def _compact(self) -> None:
        """Drop the candidates below the floors."""
        self._raise_floor(np.flatnonzero(self._fill > self._k))
        kept, counts = self._candidates()
        uppers, places = self._uppers.ravel()[kept], self._places.ravel()[kept]
        self._uppers[:] = self._empty
        self._fill[:] = 0
        self._append(np.arange(len(counts)), uppers, places, counts)
        self._worth = self._fill + self._k // 2 + 8

    def _append(self, queries: Int64, uppers: Float32, places: Int64, counts: Int64) -> None:
        at = _slots(queries * self._room + self._fill[queries], counts)
        self._uppers.ravel()[at] = uppers
        self._places.ravel()[at] = places
        self._fill[queries] += counts

    def _settle_crowded(
        self, queries: Int64, uppers: Float32, places: Int64, counts: Int64
    ) -> tuple[Int64, Float32, Int64, Int64]:
        """Make room, one by one, for the queries that have none for their hits; returns the hits of the others."""
        crowded = self._fill[queries] + counts > self._room
        if not crowded.any():
            return queries, uppers, places, counts
        ends = np.cumsum(counts)
        for one in np.flatnonzero(crowded).tolist():
            new = slice(ends[one] - counts[one], ends[one])
            self._settle(int(queries[one]), uppers[new], places[new])
        others = np.repeat(~crowded, counts)
        return queries[~crowded], uppers[others], places[others], counts[~crowded]

    def _settle(self, query: int, uppers: Float32, places: Int64) -> None:
        """Make room for one query's hits: by their bounds if that is enough, else by pair distance."""
        k, fill = self._k, self._fill[query]
        places = np.concatenate([self._places[query, :fill], places])
        uppers = np.concatenate([self._uppers[query, :fill], uppers])
        shown = self._lower(self._reached(uppers[None]), self._margin[query])[0]
        self._floor[query] = max(self._floor[query], shown)
        best = np.flatnonzero(uppers >= rounded_down(self._floor[query : query + 1]))
        if best.size > self._room - k // 2:
            first = np.argpartition(uppers, len(uppers) - k)[len(uppers) - k :]
            kth = self._exact(np.full(k, query), places[first]).max()
            self._floor[query] = max(self._floor[query], self._space.target(self._queries, kth)[query])
            best = np.flatnonzero(uppers >= rounded_down(self._floor[query : query + 1]))
        if best.size > self._room - k // 2:
            distances = self._exact(np.full(len(places), query), places)
            best = np.lexsort((places, distances))[:k]
            kth = distances[best[-1]]
            self._floor[query] = max(self._floor[query], self._space.target(self._queries, kth)[query])
            if kth == 0 and self._space.metric != "dotproduct":
                self._last[query] = places[best].max()
        self._uppers[query] = self._empty
        self._uppers[query, : best.size], self._places[query, : best.size] = uppers[best], places[best]
        self._fill[query] = best.size
        self._worth[query] = best.size + k // 2 + 8


def nearest_first(distances: Float64, places: Int64, k: int) -> tuple[Float64, Int64]:
    """The first k of each row by (distance, place)."""
    best = np.argsort(distances, axis=1, kind="stable")
    near = np.take_along_axis(distances, best, axis=1)
    # Ties are rare: only rows that have some near the top are sorted again.
    tied = np.flatnonzero(((near[:, 1:] == near[:, :-1]) & np.isfinite(near[:, 1:]))[:, :k].any(axis=1))
    if tied.size:
        best[tied] = np.lexsort((places[tied], distances[tied]), axis=1)
    best = best[:, :k]
    return near[:, :k], np.take_along_axis(places, best, axis=1)


def _above_all(dtype: np.dtype[Any]) -> float:
    """A raw score that none reaches."""
    return np.inf if dtype == np.float32 else np.iinfo(dtype).max


def _counts(flat: Int64, rows: int, width: int) -> Int64:
    """How many of ascending flat indices lie in each row of a (rows, width) array."""
    return np.diff(np.searchsorted(flat, np.arange(rows + 1) * width))


def _slots(starts: Int64, counts: Int64) -> Int64:
    """``starts[r], starts[r] + 1...``, ``counts[r]`` of them, row after row."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def _maxima(scores: NDArray[Any], least: int) -> NDArray[Any]:
    """Maxima over disjoint groups of columns, at least ``least`` of them if there are so many columns.

    The k-th best of them is reached by k rows too, is nearly the k-th best of all, and much cheaper to find.
    """
    while (half := scores.shape[1] // 2) >= least:
        scores = np.maximum(scores[:, :half], scores[:, half : 2 * half])
    return scores
