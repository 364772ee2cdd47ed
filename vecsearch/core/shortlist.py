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
_SLACK = 256  # places beyond 2 k: how many candidates may wait before the shortlist is compacted


def capacity(k: int) -> int:
    """Places per query; each costs 12 bytes."""
    return 2 * k + _SLACK


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
        self._worth = k + k // 2 + 8  # candidates from which on a compaction pays
        self._exact = exact
        self._floor = np.full(count, -np.inf) if floor is None else floor.copy()
        self._margin = np.zeros(count)
        self._empty = _EMPTY * np.linspace(1.0, 2.0, capacity(k), dtype=np.float32)
        self._scores = np.tile(self._empty, (count, 1))
        self._places = np.empty((count, capacity(k)), dtype=np.int64)
        self._fill = np.zeros(count, dtype=np.int64)
        self._full = np.full(count, self._worth)
        self._seeded = floor is not None

    def offer(self, scores: Float32, margin: Float64, first_place: int) -> None:
        """Consider a tile.

        Args:
            scores: float32 (q, b), C-contiguous.
            margin: float64 (q,).
            first_place: the place of the first column; it and all after it come after every place offered before.

        """
        width = scores.shape[1]
        np.maximum(self._margin, margin, out=self._margin)
        if not self._seeded and width > self._k:
            np.maximum(self._floor, self._reached(_maxima(scores, 4 * self._k)) - self._margin, out=self._floor)
            self._seeded = True
        least = self._least_score(margin)
        # The best score of a query is cheaper to find than all hits, and late in a search few queries have any.
        open_queries = np.flatnonzero(scores.max(axis=1) >= least)
        if not open_queries.size:
            return
        if 2 * open_queries.size < len(scores):
            scores, least = scores[open_queries], least[open_queries]
        else:
            open_queries = np.arange(len(scores))
        hits = np.flatnonzero(scores >= least[:, None])
        row = hits // width
        query = open_queries[row]
        values, places = scores.ravel()[hits], hits - row * width + first_place
        counts = np.bincount(query, minlength=len(self._fill))
        if (self._fill + counts).max() > self._scores.shape[1]:
            self._compact(np.flatnonzero(self._fill > self._k))
            query, values, places, counts = self._settle_overflow(query, values, places, counts)
        self._append(query, values, places, counts)
        full = np.flatnonzero(self._fill >= self._full)
        if full.size * 4 >= len(self._fill):
            self._compact(full)

    def finish(self) -> tuple[Float64, Int64]:
        """The k nearest of all offered: distances and places (q, k) by (distance, place), padded with (inf, -1)."""
        self._compact(np.flatnonzero(self._fill > self._k))
        count, k = len(self._fill), self._k
        width = max(k, int(self._fill.max(initial=0)))
        query = np.repeat(np.arange(count), self._fill)
        slot = _rank_in_group(query, self._fill)
        flat = self._places[query, slot]
        places = np.full((count, width), -1, dtype=np.int64)
        places[query, slot] = flat
        distances = np.full((count, width), np.inf)
        distances[query, slot] = self._exact(query, flat)
        # Stable, and the places of a query ascend, so equal distances stay in the order of their places.
        best = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(distances, best, axis=1), np.take_along_axis(places, best, axis=1)

    def _least_score(self, margin: Float64) -> Float32:
        """The least score that may still belong to one of the k nearest, rounded down to float32."""
        with np.errstate(invalid="ignore"):  # inf - inf: a closed query meets an unknown margin
            return rounded_down(self._floor - margin)

    def _reached(self, scores: Float32) -> Float32:
        """The k-th best score of each row of scores."""
        kth = scores.shape[1] - self._k
        return np.partition(scores, kth, axis=1)[:, kth]

    def _append(self, query: Int64, values: Float32, places: Int64, counts: Int64) -> None:
        slot = _rank_in_group(query, counts) + self._fill[query]
        self._scores[query, slot] = values
        self._places[query, slot] = places
        self._fill += counts

    def _compact(self, queries: Int64) -> None:
        """Raise the floors of these queries to what their candidates show, and drop the candidates below."""
        if not queries.size:
            return
        width = int(self._fill[queries].max())
        scores = self._scores[queries, :width]
        self._floor[queries] = np.maximum(self._floor[queries], self._reached(scores) - self._margin[queries])
        keep = scores >= self._least_score(self._margin)[queries, None]
        keep &= np.arange(width) < self._fill[queries, None]
        kept = np.flatnonzero(keep)
        row = kept // width
        query = queries[row]
        values, places = scores.ravel()[kept], self._places[query, kept - row * width]
        self._scores[queries] = self._empty
        self._fill[queries] = 0
        self._append(query, values, places, np.bincount(query, minlength=len(self._fill)))
        self._full[queries] = self._fill[queries] + self._worth - self._k

    def _settle_overflow(
        self, query: Int64, values: Float32, places: Int64, counts: Int64
    ) -> tuple[Int64, Float32, Int64, Int64]:
        """Decide by pair distance for the queries that have no room for their hits; returns the hits of the others."""
        crowded = self._fill + counts > self._scores.shape[1]
        if not crowded.any():
            return query, values, places, counts
        ends = np.cumsum(counts)
        for one in np.flatnonzero(crowded).tolist():
            new = slice(ends[one] - counts[one], ends[one])
            self._settle(one, values[new], places[new])
        others = ~crowded[query]
        return query[others], values[others], places[others], np.where(crowded, 0, counts)

    def _settle(self, query: int, values: Float32, places: Int64) -> None:
        """Make room for one query's hits: by their scores if that is enough, else by pair distance."""
        k, fill, room = self._k, self._fill[query], self._scores.shape[1]
        places = np.concatenate([self._places[query, :fill], places])
        values = np.concatenate([self._scores[query, :fill], values])
        self._floor[query] = max(self._floor[query], self._reached(values[None])[0] - self._margin[query])
        best = np.flatnonzero(values >= self._least_score(self._margin)[query])
        if best.size > room - k // 2:
            distances = self._exact(np.full(len(places), query), places)
            best = np.argsort(distances, kind="stable")[:k]
            kth = distances[best[-1]]
            best.sort()
            if kth == 0 and self._space.metric != "dotproduct":
                self._floor[query] = np.inf  # k rows at distance zero come first: nothing later can displace them
            else:
                self._floor[query] = max(self._floor[query], self._space.target(self._queries, kth)[query])
        self._scores[query] = self._empty
        self._scores[query, : best.size], self._places[query, : best.size] = values[best], places[best]
        self._fill[query] = best.size


def _maxima(scores: Float32, least: int) -> Float32:
    """Maxima over disjoint groups of columns, at least ``least`` of them if there are so many columns.

    The k-th best of them is reached by k rows too, is nearly the k-th best of all, and much cheaper to find.
    """
    while (half := scores.shape[1] // 2) >= least:
        scores = np.maximum(scores[:, :half], scores[:, half : 2 * half])
    return scores


def _rank_in_group(group: Int64, counts: Int64) -> Int64:
    """0, 1, 2... within each group, for ascending ``group`` with ``counts`` members each."""
    starts = np.cumsum(counts) - counts
    return np.arange(len(group)) - starts[group]
