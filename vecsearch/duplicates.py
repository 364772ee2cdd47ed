"""Near-duplicates and the most unique rows of anything that yields embeddings: an index, a view, the user's own object.

Both compare every row with every other through the exact core; answers depend on ids and vectors alone, not on the
order in which an engine stores or returns them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import checks
from vecsearch.core import farthest_first
from vecsearch.distances import checked_norms, comparable_metric
from vecsearch.errors import InvalidInputError
from vecsearch.near import by_fraction, by_thresh
from vecsearch.progress import reporting
from vecsearch.results import object_array
from vecsearch.selections import Duplicates, Unique
from vecsearch.spool import Source, check_source, gathered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.core import Metric

    Report = Callable[[int, int | None], None]

__all__ = ["Duplicates", "Source", "Unique", "find_duplicates", "find_unique"]

MAX_EDGES = 100_000_000
_UNITS = {
    "cosine": "cosine distance, 1 - cos, from 0 to 2",
    "euclidean": "euclidean distance, in the unit of the embeddings",
}


def find_duplicates(
    source: Source,
    thresh: float | None = None,
    fraction: float | None = None,
    *,
    priority: Any = None,
    metric: Metric | None = None,
    max_edges: int = MAX_EDGES,
    checkpoint: str | Path | None = None,
    progress: bool | Report | None = None,
) -> Duplicates:
    """Rows that lie within ``thresh`` of a row that is kept, or the ``fraction`` of rows that are most alike.

    Rows are walked best first; a row is kept unless it lies within ``thresh`` (inclusive) of one kept before. The order
    is by ascending id, so that storage order changes nothing, or by ``priority``.

    Args:
        source: an index, a view, or any object with ``dim``, ``metric`` and ``iter_embeddings(batch_size)``. Rows are
            named by label id where there are label ids, else by sample id.
        thresh: a distance of at least 0 in the unit of the metric; 0 finds rows in the same place. Choose it from
            ``index.plot_distances()``.
        fraction: instead, a share of the rows, 0 to 1: the largest ``thresh`` found whose duplicates are not more.
            ``.fraction`` has the true share. With 0 nothing is a duplicate; with 1 all but the first row are, and
            ``thresh`` is the distance to the farthest. If exact copies alone exceed it, nothing is and ``thresh`` is
            -1.
        priority: which of several alike to keep: a sequence of ids, best first, the others after them; or a mapping
            ``{id: value}``, highest kept first, rows without a value last. Ties are by ascending id. On an index also
            the name of a metadata field.
        metric: another metric than the index's; needed where that is dotproduct, which has no duplicates: a distance
            of ``-⟨x, y⟩`` says nothing about whether two rows are alike.
        max_edges: the most pairs within ``thresh`` to hold, at up to 32 bytes each: the default takes 3.2 GB.
        checkpoint: a folder that holds what was found so far, for work of hours: the same call on the same rows goes
            on there after a kill or Ctrl-C, and removes it when it ends. With ``thresh`` only.
        progress: a bar, ``False`` for none, or a callable ``(done, total)``.

    Returns:
        ``Duplicates``: ``unique_ids``, ``duplicate_ids``, ``neighbors_map``, ``thresh``, ``fraction``, ``keep_mask``.

    Raises:
        InvalidInputError: neither or both of ``thresh`` and ``fraction``, or one out of range; zero vectors under
            cosine; more than ``max_edges`` pairs; a priority that names no row; a checkpoint of other rows.
        UnsupportedError: dotproduct.
        StorageError: no room to spool the rows of an engine: ``rows * dim * 4`` bytes beyond 256 MiB.

    """
    check_source(source)
    chosen = comparable_metric(source, metric)
    thresh, fraction = _one_measure(thresh, fraction, chosen)
    _whole(max_edges, "max_edges")
    if checkpoint is not None and thresh is None:
        raise InvalidInputError("checkpoint= goes with thresh: a fraction is found by trying several")
    with gathered(source, progress) as rows:
        order = _order(rows.ids, priority)
        norms = checked_norms(rows, chosen)
        with reporting(progress, "comparing", "tiles") as report:
            if thresh is not None:
                kept = by_thresh(rows.vectors, thresh, chosen, order, norms, max_edges, report, checkpoint)
            else:
                assert fraction is not None  # noqa: S101  one of the two is given
                kept, thresh = by_fraction(rows.vectors, fraction, chosen, order, norms, max_edges, report)
        names = object_array(rows.ids)
    lost = order[~kept.keep[order]]
    return Duplicates(
        unique_ids=_frozen(names[order[kept.keep[order]]]),
        duplicate_ids=_frozen(names[lost]),
        nearest_ids=_frozen(names[kept.nearest[lost]]),
        distances=_frozen(kept.distance[lost]),
        thresh=float(thresh),
        fraction=len(lost) / len(names) if len(names) else 0.0,
        metric=chosen,
    )


def find_unique(
    source: Source,
    count: int,
    *,
    priority: Any = None,
    metric: Metric | None = None,
    progress: bool | Report | None = None,
) -> Unique:
    """The ``count`` rows that lie farthest from each other: farthest-first traversal (Gonzalez 1985).

    Starts from the row farthest from the mean and adds, again and again, the row farthest from all that are chosen. The
    least distance among them is at least half of the best possible for that count. The count is exact, and the answer
    to a smaller count is the beginning of the answer to a larger one. O(rows · count · dim).

    Args:
        source: as for ``find_duplicates``.
        count: how many; 0 gives none, more than there are gives all.
        priority: which of several equally far rows comes first; as for ``find_duplicates``.
        metric: another metric than the index's; needed where that is dotproduct.
        progress: a bar, ``False`` for none, or a callable ``(done, total)``.

    Returns:
        ``Unique``: ``unique_ids``, ``gaps``, ``thresh``, ``keep_mask``.

    Raises:
        InvalidInputError: a count that is no whole number or negative; zero vectors under cosine.
        UnsupportedError: dotproduct.
        StorageError: no room to spool the rows of an engine: ``rows * dim * 4`` bytes beyond 256 MiB.

    """
    check_source(source)
    chosen = comparable_metric(source, metric)
    _whole(count, "count")
    with gathered(source, progress) as rows:
        order = _order(rows.ids, priority)
        norms = checked_norms(rows, chosen)
        positions, gaps = np.empty(0, dtype=np.int64), np.empty(0)
        if len(rows.ids):
            wanted = min(int(count), len(rows.ids))
            with reporting(progress, "choosing") as report:
                positions, gaps = farthest_first(
                    rows.vectors, wanted, chosen, order=order, norms=norms, progress=report
                )
        names = object_array(rows.ids)
    left = np.ones(len(names), dtype=np.bool_)
    left[positions] = False
    return Unique(
        unique_ids=_frozen(names[positions]),
        gaps=_frozen(gaps),
        thresh=float(gaps.min()) if len(gaps) else math.inf,
        metric=chosen,
        other_ids=_frozen(object_array(sorted(names[left]))),
    )


def _one_measure(thresh: Any, fraction: Any, metric: Metric) -> tuple[float | None, float | None]:
    if (thresh is None) == (fraction is None):
        raise InvalidInputError(
            f"give {'one of' if thresh is None else 'only one of'} thresh (here a {_UNITS[metric]}) and fraction "
            "(a share of the rows, 0 to 1); index.plot_distances() shows what a thresh would find"
        )
    for value, name, most in ((thresh, "thresh", math.inf), (fraction, "fraction", 1.0)):
        if value is None:
            continue
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not 0 <= value <= most:
            allowed = "a share of the rows, from 0 to 1" if name == "fraction" else f"at least 0 (a {_UNITS[metric]})"
            raise InvalidInputError(f"{name} must be {allowed}, not {value!r}")
    return None if thresh is None else float(thresh), None if fraction is None else float(fraction)


def _whole(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise InvalidInputError(f"{name} must be a whole number of at least 0, not {value!r}")


def _order(ids: list[str], priority: Any) -> NDArray[np.int64]:
    """Positions of the rows, best first."""
    ascending = sorted(range(len(ids)), key=ids.__getitem__)
    if priority is None:
        return np.array(ascending, dtype=np.int64)
    if isinstance(priority, Mapping):
        best = _by_value(priority)
    elif isinstance(priority, (str, bytes)) or not isinstance(priority, Iterable):
        raise InvalidInputError(
            f"priority must be a sequence of ids, best first, or a mapping {{id: value}}, not {priority!r}"
        )
    else:
        best = {name: rank for rank, name in enumerate(checks.ids(priority, "priority"))}
    if best and ids and best.keys().isdisjoint(ids):
        raise InvalidInputError(
            f"priority names none of these rows: it has {list(best)[:3]!r}, the rows are {sorted(ids)[:3]!r} …"
        )
    ascending.sort(key=lambda position: best.get(ids[position], len(best)))
    return np.array(ascending, dtype=np.int64)


def _by_value(priority: Mapping[Any, Any]) -> dict[str, int]:
    """A rank for each id that has a value, the same for equal values, the highest value first."""
    values = {checks.text_id(name, "priority"): value for name, value in priority.items() if not _absent(value)}
    try:
        distinct = sorted(set(values.values()), reverse=True)
    except TypeError as error:
        raise InvalidInputError(f"priority: its values cannot be put in one order ({error})") from error
    rank = {value: position for position, value in enumerate(distinct)}
    return {name: rank[value] for name, value in values.items()}


def _absent(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NaTType", "NAType"):  # pandas' own absent values
        return True
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
