"""An exact search: by Chroma those rows that its graph leads to, and by their vectors here those that it leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.core import knn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Metric, Rows


def ranked(
    queries: NDArray[np.float32],
    k: int,
    ids: Sequence[str],
    metric: Metric,
    *,
    ask: Callable[[NDArray[np.float32]], Mapping[str, Any]],
    vectors: Callable[[Sequence[str]], Rows],
) -> list[list[tuple[float, str]]]:
    """Per query the ``k`` best of the rows ``ids``, as scores of Chroma's and ids.

    ``ask`` has Chroma rank as many rows as there are; ``vectors`` reads rows.
    """
    wanted = set(ids)
    read: dict[str, NDArray[np.float32]] = {}
    answers = []
    for query in queries:
        found = ask(query[None])
        reached: list[str] = found["ids"][0]
        left_out = sorted(wanted.difference(reached))
        rows = vectors([row_id for row_id in left_out if row_id not in read])
        if rows.vectors is not None:
            read.update(zip(rows.ids, rows.vectors, strict=True))
        scored = list(zip(found["distances"][0], reached, strict=True))
        scored += _scores(query, [(row_id, read[row_id]) for row_id in left_out if row_id in read], metric)
        answers.append(sorted(scored)[:k])
    return answers


def _scores(
    query: NDArray[np.float32], rows: Sequence[tuple[str, NDArray[np.float32]]], metric: Metric
) -> list[tuple[float, str]]:
    """The scores that Chroma would give to these rows."""
    if not rows:
        return []
    distances, places = knn(query[None], np.stack([vector for _, vector in rows]), len(rows), metric)
    scores = {"cosine": distances, "euclidean": distances**2, "dotproduct": 1.0 + distances}[metric]
    return [(float(score), rows[place][0]) for score, place in zip(scores[0], places[0], strict=True)]


__all__ = ("ranked",)
