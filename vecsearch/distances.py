"""What every comparison of all rows begins with: its metric, the lengths, and the nearest other row of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vecsearch import checks
from vecsearch.core import METRICS, knn, row_norms
from vecsearch.errors import InvalidInputError, UnsupportedError
from vecsearch.progress import reporting
from vecsearch.results import object_array
from vecsearch.spool import check_source, gathered

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from vecsearch.core import Metric, Progress
    from vecsearch.spool import Gathered, Source

    Report = Callable[[int, int | None], None]


def nearest_distances(
    source: Source,
    *,
    metric: Metric | None = None,
    sample: int | None = None,
    progress: bool | Report | None = None,
) -> tuple[NDArray[np.object_], NDArray[np.float64], int]:
    """Each row's distance to its nearest other row.

    Args:
        source: as for ``find_duplicates``.
        metric: another metric than the index's; needed where that is dotproduct.
        sample: of how many rows at most, spread evenly over the ids; they are compared with all rows.
        progress: a bar, ``False`` for none, or a callable ``(done, total)``.

    Returns:
        ids (m,), distances (m,) and the number of all rows; m is 0 where there are fewer than two rows.

    Raises:
        As ``find_duplicates``.

    """
    check_source(source)
    chosen = comparable_metric(source, metric)
    with gathered(source, progress) as rows:
        total = len(rows.ids)
        norms = checked_norms(rows, chosen)
        if total < 2:  # noqa: PLR2004  a pair
            return object_array([]), np.empty(0), total
        picked = np.array(sorted(range(total), key=rows.ids.__getitem__), dtype=np.int64)
        if sample is not None and sample < total:
            picked = picked[np.linspace(0, total - 1, checks.positive(sample, "sample")).astype(np.int64)]
        with reporting(progress, "comparing", "tiles") as report:
            distances = other_distances(rows.vectors, picked, 1, chosen, norms, report)[:, 0]
        return object_array([rows.ids[position] for position in picked.tolist()]), distances, total


def other_distances(
    rows: NDArray[np.float32],
    picked: NDArray[np.int64],
    k: int,
    metric: Metric,
    norms: NDArray[np.float64],
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Distances of each picked row to its ``k`` nearest other rows, ascending: (len(picked), min(k, n - 1))."""
    queries = rows[picked]
    distances, positions = knn(queries, rows, k + 1, metric, norms=norms, progress=progress)
    own = positions == picked[:, None]
    # Where more copies of a row exist than were asked for, the row itself may not be among them: any one goes.
    own[~own.any(axis=1), -1] = True
    others: NDArray[np.float64] = distances[~own].reshape(len(picked), -1)
    return others


def comparable_metric(source: Source, metric: str | None) -> Metric:
    """The metric to compare by; refuses those under which nothing is a duplicate of anything."""
    chosen = source.metric if metric is None else metric
    for known in METRICS:
        if known == chosen:
            break
    else:
        raise InvalidInputError(f"metric must be one of {', '.join(METRICS)}, not {chosen!r}")
    if known == "dotproduct":
        raise UnsupportedError(
            "the dotproduct -⟨x, y⟩ of two rows does not say how alike they are; "
            'pass metric="cosine" or metric="euclidean"'
        )
    return known


def checked_norms(rows: Gathered, metric: Metric) -> NDArray[np.float64]:
    """The length of each row; refuses rows that the metric cannot compare, by their ids."""
    if not rows.ids:
        return np.empty(0)
    norms = row_norms(rows.vectors)
    zero = np.flatnonzero(norms == 0) if metric == "cosine" else ()
    if len(zero):
        names = [rows.ids[position] for position in zero]
        raise InvalidInputError(
            f"{len(names)} rows are vectors of zeros, which have no cosine distance: {names[:5]!r}; leave them out "
            'with use_view, or pass metric="euclidean"'
        )
    return norms
