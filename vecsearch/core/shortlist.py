"""The candidates of a tile of queries: cheap to pass by, exact when they are settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vecsearch.core.space import rounded_down

if TYPE_CHECKING:
    from vecsearch.core.metrics import Float32, Float64, Int64
    from vecsearch.core.space import Placed, Space

Exact = Callable[["Int64", "Int64"], "Float64"]  # (query of the tile, place) aligned -> pair distances

# What stands in empty places: below every score, and no two alike, since partition is slow among equals.
_EMPTY = np.float32(-1e38)
_SLACK = 768  # places beyond 4 k: room for what one tile may bring where rows lie in the order of their topics


def capacity(k: int) -> int:
    """Places per query; each costs 12 bytes."""
    return 4 * k + _SLACK


class Shortlist:
    """For each of q queries, every row that may be among its k nearest.

    Rows are offered tile by tile, in ascending order of their place, with approximate scores and a certified margin.
    ``floor`` is a target (see `Space`) that k rows are known to reach. A row whose score is more than the margin below
    the floor cannot be among the k nearest and is passed by, which costs one comparison. Where scores cannot tell
    candidates apart (ties, or a useless margin) until the places run out, pair distances decide early.

    Args:
        space: what the scores are of.
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
        self._margin = np.zeros(count)
        self._room = capacity(k)
        self._empty = _EMPTY * np.linspace(1.0, 2.0, self._room, dtype=np.float32)
        self._scores = np.tile(self._empty, (count, 1))
        self._places = np.empty((count, self._room), dtype=np.int64)
        self._fill = np.zeros(count, dtype=np.int64)
        self._worth = np.full(count, k + k // 2 + 8)  # with so many candidates, a new floor pays
        self._closed = np.zeros(count, dtype=np.bool_)  # has k rows at distance zero: nothing later can displace them
        self._seeded = floor is not None
        self._sparse = False

    def offer(self, scores: Float32, margin: Float64, first_place: int) -> None:
        """Consider a tile.

        Args:
            scores: float32 (q, b), C-contiguous.
            margin: float64 (q,).
            first_place: the place of the first column; it and all after it come after every place offered before.

        """
        np.maximum(self._margin, margin, out=self._margin)
        if not self._seeded and scores.shape[1] > self._k:
            np.maximum(self._floor, self._reached(_maxima(scores, 4 * self._k)) - self._margin, out=self._floor)
            self._seeded = True
        least = self._least_score(margin)
        least[self._closed] = np.inf
        queries, hits, counts = self._hits(scores, least)
        if not hits.size:
            return
        width = scores.shape[1]
        values = scores.ravel()[hits]
        hits += np.repeat(first_place - queries * width, counts)
        crowded = np.count_nonzero(self._fill[queries] + counts > self._room)
        if crowded:
            if crowded * 8 > len(self._fill):
                self._compact()
            queries, values, hits, counts = self._settle_crowded(queries, values, hits, counts)
        self._append(queries, values, hits, counts)
        ready = np.flatnonzero(self._fill >= self._worth)
        if ready.size * 4 >= len(self._fill):
            self._raise_floor(ready)

    def finish(self) -> tuple[Float64, Int64]:
        """The k nearest of all offered: distances and places (q, k) by (distance, place), padded with (inf, -1)."""
        self._raise_floor(np.flatnonzero(self._fill > self._k))
        kept, counts = self._candidates()
        query = np.repeat(np.arange(len(counts)), counts)
        found = self._places.ravel()[kept]
        width = max(self._k, int(counts.max(initial=0)))
        at = _slots(np.arange(len(counts)) * width, counts)
        places = np.full((len(counts), width), -1, dtype=np.int64)
        distances = np.full((len(counts), width), np.inf)
        places.ravel()[at] = found
        distances.ravel()[at] = self._exact(query, found)
        # Stable, and the places of a query ascend, so equal distances stay in the order of their places.
        best = np.argsort(distances, axis=1, kind="stable")[:, : self._k]
        return np.take_along_axis(distances, best, axis=1), np.take_along_axis(places, best, axis=1)

    def _hits(self, scores: Float32, least: Float32) -> tuple[Int64, Int64, Int64]:
        """Queries, flat indices of their scores that pass, and how many of them each has; both ascend."""
        queries, chosen = np.arange(len(scores)), scores
        if self._sparse:  # the best score of a query is cheaper to find than all hits, and few queries have any
            queries = np.flatnonzero(scores.max(axis=1) >= least)
            chosen = scores[queries]
        hits = np.flatnonzero(chosen >= least[queries, None])
        width = scores.shape[1]
        counts = _counts(hits, len(queries), width)
        if self._sparse:
            hits += np.repeat((queries - np.arange(len(queries))) * width, counts)
        self._sparse = bool(3 * np.count_nonzero(counts) < len(scores))
        return queries, hits, counts

    def _least_score(self, margin: Float64) -> Float32:
        """The least score that may still belong to one of the k nearest, rounded down to float32."""
        return rounded_down(self._floor - margin)

    def _reached(self, scores: Float32) -> Float32:
        """The k-th best score of each row of scores."""
        kth = scores.shape[1] - self._k
        return np.partition(scores, kth, axis=1)[:, kth]

    def _raise_floor(self, queries: Int64) -> None:
        """Raise the floors of these queries, with more than k candidates each, to what their candidates show."""
        if not queries.size:
            return
        fill = self._fill[queries]
        reached = self._reached(self._scores[queries, : int(fill.max())])
        self._floor[queries] = np.maximum(self._floor[queries], reached - self._margin[queries])
        self._worth[queries] = fill + self._k // 2 + 8

    def _candidates(self) -> tuple[Int64, Int64]:
        """Flat indices of the candidates that are not below their floors, and how many each query has."""
        keep = self._scores >= self._least_score(self._margin)[:, None]
        keep &= np.arange(self._room) < self._fill[:, None]
        kept = np.flatnonzero(keep)
        return kept, _counts(kept, len(self._fill), self._room)

    def _compact(self) -> None:
        """Drop the candidates below the floors."""
        self._raise_floor(np.flatnonzero(self._fill > self._k))
        kept, counts = self._candidates()
        values, places = self._scores.ravel()[kept], self._places.ravel()[kept]
        self._scores[:] = self._empty
        self._fill[:] = 0
        self._append(np.arange(len(counts)), values, places, counts)
        self._worth = self._fill + self._k // 2 + 8

    def _append(self, queries: Int64, values: Float32, places: Int64, counts: Int64) -> None:
        at = _slots(queries * self._room + self._fill[queries], counts)
        self._scores.ravel()[at] = values
        self._places.ravel()[at] = places
        self._fill[queries] += counts

    def _settle_crowded(
        self, queries: Int64, values: Float32, places: Int64, counts: Int64
    ) -> tuple[Int64, Float32, Int64, Int64]:
        """Make room, one by one, for the queries that have none for their hits; returns the hits of the others."""
        crowded = self._fill[queries] + counts > self._room
        if not crowded.any():
            return queries, values, places, counts
        ends = np.cumsum(counts)
        for one in np.flatnonzero(crowded).tolist():
            new = slice(ends[one] - counts[one], ends[one])
            self._settle(int(queries[one]), values[new], places[new])
        others = np.repeat(~crowded, counts)
        return queries[~crowded], values[others], places[others], counts[~crowded]

    def _settle(self, query: int, values: Float32, places: Int64) -> None:
        """Make room for one query's hits: by their scores if that is enough, else by pair distance."""
        k, fill = self._k, self._fill[query]
        places = np.concatenate([self._places[query, :fill], places])
        values = np.concatenate([self._scores[query, :fill], values])
        self._floor[query] = max(self._floor[query], self._reached(values[None])[0] - self._margin[query])
        best = np.flatnonzero(values >= self._least_score(self._margin)[query])
        if best.size > self._room - k // 2:
            distances = self._exact(np.full(len(places), query), places)
            best = np.argsort(distances, kind="stable")[:k]
            kth = distances[best[-1]]
            best.sort()
            self._floor[query] = max(self._floor[query], self._space.target(self._queries, kth)[query])
            self._closed[query] = kth == 0 and self._space.metric != "dotproduct"
        self._scores[query] = self._empty
        self._scores[query, : best.size], self._places[query, : best.size] = values[best], places[best]
        self._fill[query] = best.size
        self._worth[query] = best.size + k // 2 + 8


def _counts(flat: Int64, rows: int, width: int) -> Int64:
    """How many of ascending flat indices lie in each row of a (rows, width) array."""
    return np.diff(np.searchsorted(flat, np.arange(rows + 1) * width))


def _slots(starts: Int64, counts: Int64) -> Int64:
    """``starts[r], starts[r] + 1...``, ``counts[r]`` of them, row after row."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def _maxima(scores: Float32, least: int) -> Float32:
    """Maxima over disjoint groups of columns, at least ``least`` of them if there are so many columns.

    The k-th best of them is reached by k rows too, is nearly the k-th best of all, and much cheaper to find.
    """
    while (half := scores.shape[1] // 2) >= least:
        scores = np.maximum(scores[:, :half], scores[:, half : 2 * half])
    return scores
