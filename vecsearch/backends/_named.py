"""Rows named by ids, for engines that cannot select by ids, or not in good time.

Rows are read by id instead, the filter is applied here, and what is left is ranked exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vecsearch.backends.base import Hits, Rows, Score
from vecsearch.core import knn
from vecsearch.filters import predicate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Metric, Part, Where

    Fetch = Callable[[Sequence[str], frozenset[Part]], Rows]

_BATCH = 1000
_VECTORS: frozenset[Part] = frozenset({"vectors"})
_FIELDS: frozenset[Part] = frozenset({"fields"})


def named(fetch: Fetch, where: Where, include: frozenset[Part], batch_rows: int = _BATCH) -> Iterator[Rows]:
    """The rows of ``where.ids`` that are there, and for which the filter holds."""
    ids = where.ids or ()
    holds = None if where.filter is None else predicate(where.filter)
    for start in range(0, len(ids), batch_rows):
        rows = fetch(ids[start : start + batch_rows], include if holds is None else include | _FIELDS)
        if holds is not None:
            rows = rows.take([place for place, fields in enumerate(rows.fields or ()) if holds(fields)])
            rows.fields = rows.fields if "fields" in include else None
        yield rows


def nearest(
    fetch: Fetch,
    queries: NDArray[np.float32],
    k: int,
    where: Where,
    include: frozenset[Part],
    metric: Metric,
    score: Score,
) -> Hits:
    """The nearest of these rows, with the scores that the engine would give them."""
    batches = list(named(fetch, where, _VECTORS))
    ids = [row_id for batch in batches for row_id in batch.ids]
    if not ids:
        return Hits([np.empty(0) for _ in queries], [fetch([], include) for _ in queries])
    vectors = np.concatenate([batch.vectors for batch in batches if batch.vectors is not None])
    distances, places = knn(queries, vectors, min(k, len(ids)), metric)
    found = fetch([ids[place] for place in np.unique(places)], include)
    row = {row_id: place for place, row_id in enumerate(found.ids)}
    rows = [found.take([row[ids[place]] for place in line]) for line in places]
    return Hits([*_scores(distances, metric, score)], rows)


def _scores(distances: NDArray[np.float64], metric: Metric, score: Score) -> NDArray[np.float64]:
    if score is Score.SIMILARITY:
        return 1.0 - distances if metric == "cosine" else -distances
    return distances**2 if score is Score.SQUARED else distances


__all__ = ("named", "nearest")
