"""Farthest-first traversal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vecsearch.core.greedy import ranks_of
from vecsearch.core.metrics import as_rows, check_metric, pair_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecsearch.core.metrics import Metric
    from vecsearch.core.threads import Progress


def farthest_first(
    rows: NDArray[np.float32],
    count: int,
    metric: Metric,
    *,
    order: NDArray[np.int64] | None = None,
    norms: NDArray[np.float64] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows that lie far from each other: Gonzalez 1985."""
    del norms, threads
    check_metric(metric, ("cosine", "euclidean"))
    rows = as_rows(rows)
    if not 0 <= count <= len(rows):
        raise ValueError(f"count must be in 0..{len(rows)}, not {count}")
    order = np.arange(len(rows)) if order is None else np.asarray(order)
    ranks_of(order, len(rows))
    chosen, gaps = np.empty(count, dtype=np.int64), np.empty(count)
    if not count:
        return chosen, gaps
    ordered = rows[order]
    wide = ordered.astype(np.float64)
    if metric == "cosine":
        wide /= np.linalg.norm(wide, axis=1)[:, None]
    mean = wide.mean(axis=0).astype(np.float32)
    away = pair_distances(mean, ordered, metric) if mean.any() else np.zeros(len(rows))
    gap = np.full(len(rows), np.inf)
    for step in range(count):
        best = int(np.argmax(away if step == 0 else gap))
        chosen[step], gaps[step] = order[best], gap[best]
        gap = np.minimum(gap, pair_distances(ordered[best], ordered, metric))
        taken = np.isin(order, chosen[: step + 1])
        gap[taken] = -np.inf
        if progress is not None:
            progress(step + 1, count)
    return chosen, gaps
