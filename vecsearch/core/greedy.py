"""Greedy selection over a graph of near pairs: keep the best, drop what lies near something kept.

A row is kept if and only if no row that comes before it in the order is both kept and joined to it by an edge. It is
the lexicographically first maximal independent set. Time O(n + e log e): one sort of 8-byte keys puts the edges in
compressed rows, then one walk over the rows that have an edge marks what each kept row drops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOW = np.int64((1 << 32) - 1)
_BLOCK = 1 << 20  # edges handled at a time, so that temporaries stay small beside the edges themselves


class Kept(NamedTuple):
    """The outcome of `greedy_keep`.

    Attributes:
        keep: bool (n,).
        nearest: int64 (n,), for each dropped row the nearest kept row among its edges, -1 for a kept row.
        distance: float64 (n,), the distance of the two; 0 for a kept row.

    """

    keep: NDArray[np.bool_]
    nearest: NDArray[np.int64]
    distance: NDArray[np.float64]


def greedy_keep(
    n: int,
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    distance: NDArray[np.float64],
    order: NDArray[np.int64] | None = None,
) -> Kept:
    """Drop each row that lies near a kept row which comes before it.

    Args:
        n: number of rows, below 2**31.
        i: int (e,), one end of each edge; each unordered pair once, in any direction and order.
        j: int (e,), the other end.
        distance: float (e,), the distance of the two ends.
        order: int permutation of 0..n-1, best first; 0..n-1 if not given.

    Returns:
        `Kept`. Of several nearest kept rows at one distance, the one that comes first in the order. Beside the
        result it needs 8 bytes an edge and some 30 bytes a row.

    Raises:
        ValueError: lengths that differ, an end outside the rows, an edge of a row to itself, or no permutation.

    """
    i, j, distance = np.asarray(i), np.asarray(j), np.asarray(distance)
    if not i.shape == j.shape == distance.shape or i.ndim != 1:
        raise ValueError(f"i, j and distance must be aligned: {i.shape}, {j.shape}, {distance.shape}")
    if not 0 <= n < 1 << 31:
        raise ValueError(f"n must be in 0..2**31-1, not {n}")
    order = np.arange(n) if order is None else np.asarray(order)
    rank = ranks_of(order, n)

    keys = np.empty(len(i), dtype=np.int64)
    for start in range(0, len(i), _BLOCK):
        part = slice(start, start + _BLOCK)
        _check_ends(i[part], j[part], n)
        first, second = rank[i[part]], rank[j[part]]
        np.left_shift(np.minimum(first, second), 32, out=keys[part])
        keys[part] |= np.maximum(first, second)
    keys.sort()
    dropped = _walk(keys, n)
    del keys

    keep = np.empty(n, dtype=np.bool_)
    keep[order] = ~dropped
    nearest, near = _nearest_kept(keep, i, j, distance, rank, order)
    return Kept(keep, nearest, near)


def ranks_of(order: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The place of each row in ``order``, int64 (n,). Raises ValueError if it is no permutation of 0..n-1."""
    if order.shape != (n,) or (n and not np.issubdtype(order.dtype, np.integer)):
        raise ValueError(f"order must be a permutation of 0..{n - 1}: shape {order.shape}, {order.dtype}")
    rank = np.full(n, -1, dtype=np.int64)
    if n and (order.min() < 0 or order.max() >= n):
        raise ValueError(f"order must be a permutation of 0..{n - 1}: it goes from {order.min()} to {order.max()}")
    rank[order] = np.arange(n)
    if n and rank.min() < 0:
        raise ValueError(f"order must be a permutation of 0..{n - 1}: {int(np.argmin(rank))} is missing")
    return rank


def _check_ends(i: NDArray[np.int64], j: NDArray[np.int64], n: int) -> None:
    if min(i.min(), j.min()) < 0 or max(i.max(), j.max()) >= n:
        raise ValueError(f"an edge ends outside the {n} rows")
    if (i == j).any():
        raise ValueError("an edge joins a row to itself")


def _walk(keys: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """Which ranks are dropped, from sorted keys (earlier rank << 32 | later rank). Overwrites the keys."""
    counts = np.zeros(n, dtype=np.int64)
    for start in range(0, len(keys), _BLOCK):
        earlier = keys[start : start + _BLOCK] >> 32
        counts[earlier[0] : earlier[-1] + 1] += np.bincount(earlier - earlier[0])
    keys &= _LOW
    heads = np.flatnonzero(counts)
    ends = np.cumsum(counts[heads])
    dropped = np.zeros(n, dtype=np.bool_)
    begin = 0
    for head, end in zip(heads.tolist(), ends.tolist(), strict=True):
        if not dropped[head]:
            dropped[keys[begin:end]] = True
        begin = end
    return dropped


def _nearest_kept(
    keep: NDArray[np.bool_],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    distance: NDArray[np.float64],
    rank: NDArray[np.int64],
    order: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each dropped row the least (distance, rank) among its kept neighbours."""
    n = len(keep)
    near = np.full(n, np.inf)
    best = np.full(n, n, dtype=np.int64)
    for settle_ties in (False, True):
        for start in range(0, len(i), _BLOCK):
            part = slice(start, start + _BLOCK)
            a, b, d = i[part], j[part], distance[part]
            useful = keep[a] != keep[b]  # two kept rows never share an edge, two dropped rows say nothing
            a, b, d = a[useful], b[useful], d[useful]
            kept, lost = np.where(keep[a], a, b), np.where(keep[a], b, a)
            if settle_ties:
                tied = d == near[lost]
                np.minimum.at(best, lost[tied], rank[kept[tied]])
            else:
                np.minimum.at(near, lost, d)
    nearest = np.full(n, -1, dtype=np.int64)
    lost_rows = np.flatnonzero(~keep)
    nearest[lost_rows] = order[best[lost_rows]]
    near[keep] = 0.0
    return nearest, near
