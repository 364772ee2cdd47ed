"""The bootstrap of paired measurements (Efron 1979): builds, repeats and queries resampled together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

_RESAMPLES, _RESAMPLES_OF_QUANTILES = 2_000, 400
_ENDS = (0.025, 0.975)


class Interval(NamedTuple):
    """What was measured, and where 95 % of the resamples lie."""

    middle: float
    low: float
    high: float


def calls(arrays: Mapping[str, NDArray[Any]], name: str) -> Rows | None:
    """Times by repeat and query, the median where a repeat asked a query several times.

    NaN where a repeat did not ask a query; ``None`` where the calls were not kept, or held several queries.
    """
    if not {name, "query", "repeat"} <= arrays.keys() or not len(arrays[name]):
        return None
    query, repeat = arrays["query"].astype(np.int64), arrays["repeat"].astype(np.int64)
    if query.min() < 0 or repeat.min() < 0:
        return None
    values = arrays[name].astype(np.float64)
    width, height = int(query.max()) + 1, int(repeat.max()) + 1
    cell = repeat * width + query
    order = np.lexsort((values, cell))
    counts = np.bincount(cell, minlength=width * height)
    asked = counts > 0
    starts, values = (np.cumsum(counts) - counts)[asked], values[order]
    middles: Rows = np.full(width * height, np.nan)
    middles[asked] = (values[starts + (counts[asked] - 1) // 2] + values[starts + counts[asked] // 2]) / 2
    return middles.reshape(height, width)


def matched(before: Sequence[Rows], after: Sequence[Rows]) -> tuple[list[Rows], list[Rows]]:
    """Both sides with only the queries that every row of both has; empty where there is none."""
    rows = [*before, *after]
    width = min((one.shape[1] for one in rows), default=0)
    if not (before and after and width):
        return [], []
    known = np.all([np.isfinite(one[:, :width]).all(axis=0) for one in rows], axis=0)
    if not known.any():
        return [], []
    old, new = ([one[:, :width][:, known] for one in side] for side in (before, after))
    return old, new


def paired(
    before: Sequence[Rows], after: Sequence[Rows], generator: np.random.Generator, *, logarithms: bool
) -> Interval:
    """The mean difference after less before, over queries; of logarithms it is a ratio.

    Each side is a list of builds, each an array of repeats by queries; the queries of both are the same. A resample
    draws builds, repeats within each, and queries, these the same for both sides.
    """
    sides = [np.concatenate(side) for side in (before, after)]
    old, new = (np.log(side) if logarithms else side for side in sides)
    even = [_even(side) for side in (before, after)]
    middle = float((even[1] @ new - even[0] @ old).mean())
    width = old.shape[1]
    drawn = [_drawn(side, generator, _RESAMPLES) for side in (before, after)]
    differences = drawn[1] @ new - drawn[0] @ old
    if width > 1:
        counts = generator.multinomial(width, np.full(width, 1 / width), _RESAMPLES)
        found = (differences * counts).sum(axis=1) / width
    else:
        found = differences[:, 0]
    low, high = np.quantile(found, _ENDS)
    ends = (middle, float(low), float(high))
    return Interval(*(float(np.exp(end)) for end in ends)) if logarithms else Interval(*ends)


def paired_quantile(
    before: Sequence[Rows], after: Sequence[Rows], share: float, generator: np.random.Generator
) -> Interval:
    """The ratio of a quantile of all calls, after over before, resampled as in ``paired``."""
    old, new = np.concatenate(before), np.concatenate(after)
    middle = float(np.quantile(new, share) / np.quantile(old, share))
    weights = [_drawn(side, generator, _RESAMPLES_OF_QUANTILES) for side in (before, after)]
    found = np.empty(_RESAMPLES_OF_QUANTILES)
    for number in range(_RESAMPLES_OF_QUANTILES):
        queries = generator.integers(old.shape[1], size=old.shape[1])
        ends = [
            float(np.quantile(np.repeat(rows[:, queries], _times(drawn[number]), axis=0), share))
            for rows, drawn in zip((old, new), weights, strict=True)
        ]
        found[number] = ends[1] / ends[0]
    low, high = np.quantile(found, _ENDS)
    return Interval(middle, float(low), float(high))


def _times(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Weights as how often each row is taken."""
    times: NDArray[np.int64] = np.rint(weights / weights[weights > 0].min()).astype(np.int64)
    return times


def _even(builds: Sequence[Rows]) -> Rows:
    """The same weight for each build, and within it for each repeat."""
    return np.concatenate([np.full(len(rows), 1 / len(rows) / len(builds)) for rows in builds])


def _drawn(builds: Sequence[Rows], generator: np.random.Generator, resamples: int) -> Rows:
    """Weights of the rows in each resample, (resamples, rows)."""
    sizes = [len(rows) for rows in builds]
    often = generator.multinomial(len(builds), np.full(len(builds), 1 / len(builds)), resamples)
    parts = []
    for number, size in enumerate(sizes):
        # A build that was drawn n times has its repeats drawn n times over.
        counts = generator.multinomial(often[:, number] * size, np.full(size, 1 / size))
        parts.append(counts / size / len(builds))
    return np.concatenate(parts, axis=1)


__all__ = ("Interval", "calls", "matched", "paired", "paired_quantile")
