"""What an answer is worth: recall against the truth, and percentiles of times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vecsearch import core
from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from vecsearch.bench.datasets import Dataset
    from vecsearch.bench.truth import Positions, Truth

_TIE = 1e-6  # of the distance, and under cosine of 1: what float32 cannot tell apart
_SAMPLES = {0.99: 1_000, 0.999: 10_000}  # fewer say nothing of so rare a time


@dataclass(frozen=True, slots=True, eq=False)
class Recall:
    """How much of the truth each query found; arrays have one entry a query."""

    strict: NDArray[np.float64]
    """The share of the true rows, by position: of two rows at one distance only the first is true"""
    tied: NDArray[np.float64]
    """The share that counts every row no farther than the last true one; never below ``strict``"""
    matches: NDArray[np.int64]
    """How many rows there were to find: the smaller of k and those that pass the filter"""
    found: NDArray[np.int64]
    """How many different rows came back that exist and pass, of the first k"""
    repeated: int
    """Rows that came back more than once for a query"""
    foreign: int
    """Rows that came back and do not exist, or do not pass the filter"""

    @property
    def mean(self) -> float:
        """The mean of the strict recall."""
        return float(self.strict.mean())

    @property
    def tied_mean(self) -> float:
        """The mean of the recall that counts ties."""
        return float(self.tied.mean())

    @property
    def p5(self) -> float:
        """The strict recall that 5 % of the queries do not exceed."""
        return float(np.quantile(self.strict, 0.05, method="lower"))

    @property
    def short(self) -> int:
        """How many queries got fewer rows than there were to find."""
        return int(np.count_nonzero(self.found < self.matches))


def recall(
    dataset: Dataset,
    truth: Truth,
    found: Sequence[Sequence[int]] | NDArray[np.int64],
    k: int,
    positions: Positions = None,
) -> Recall:
    """Recall at k of what an engine returned, from the rows themselves: the distances it claims are not asked.

    Args:
        dataset: rows and queries.
        truth: `truth.truth` for the same dataset, k and positions.
        found: of each query the positions of the rows that came back, nearest first; an array may be padded with -1.
            Only the first k count, and each row once.
        k: how many were asked for.
        positions: the rows that pass the filter, as for `truth.truth`.

    Returns:
        Each share is of the rows that there were to find, never of k where fewer pass; a query that had nothing to
        find has found all of it.

    Raises:
        InvalidInputError: another number of answers than queries.

    """
    count = len(dataset.queries)
    if len(found) != count or len(truth.positions) != count:
        raise InvalidInputError(f"{len(found)} answers and truth for {len(truth.positions)}, for {count} queries")
    if k < truth.positions.shape[1]:
        raise InvalidInputError(f"the truth has {truth.positions.shape[1]} rows a query, for k = {k}")
    passes = _passing(len(dataset.vectors), positions)
    matches = np.count_nonzero(truth.positions >= 0, axis=1)
    strict, tied = np.ones(count), np.ones(count)
    usable = np.zeros(count, dtype=np.int64)
    repeated = foreign = 0
    for number, answer in enumerate(found):
        given = np.asarray(answer, dtype=np.int64)
        if isinstance(found, np.ndarray):
            given = given[given != -1]
        given = given[:k]
        rows = np.unique(given)
        repeated += len(given) - len(rows)
        kept = rows[passes(number, rows)]
        foreign += len(rows) - len(kept)
        usable[number] = len(kept)
        if not (wanted := int(matches[number])):
            continue
        strict[number] = int(np.isin(kept, truth.positions[number, :wanted]).sum()) / wanted
        reach = _reach(float(truth.distances[number, wanted - 1]), dataset.metric)
        near = core.pair_distances(dataset.queries[number], dataset.vectors[kept], dataset.metric)
        tied[number] = min(wanted, int((near <= reach).sum())) / wanted
    return Recall(strict, tied, matches, usable, repeated, foreign)


def _passing(rows: int, positions: Positions) -> Callable[[int, NDArray[np.int64]], NDArray[np.bool_]]:
    """A function of a query's number and positions: which of them exist and pass its filter."""

    def passes(number: int, found: NDArray[np.int64]) -> NDArray[np.bool_]:
        exist: NDArray[np.bool_] = (found >= 0) & (found < rows)
        if positions is None:
            return exist
        among = positions if isinstance(positions, np.ndarray) else positions[number]
        if not len(among):
            return np.zeros(len(found), dtype=np.bool_)
        place = np.minimum(np.searchsorted(among, found), len(among) - 1)
        exist &= among[place] == found
        return exist

    return passes


def _reach(radius: float, metric: str) -> float:
    """The distance up to which a row is as near as the last true one, as far as float32 can say."""
    return radius + _TIE * (abs(radius) + (1.0 if metric == "cosine" else 0.0))


@dataclass(frozen=True, slots=True)
class Times:
    """Percentiles in nanoseconds, each a time that was seen; None where the samples are too few to say."""

    count: int
    mean: float
    p50: int
    p90: int
    p95: int
    p99: int | None
    """Of at least 1,000 samples"""
    p999: int | None
    """Of at least 10,000 samples"""
    max: int


def times(samples: NDArray[np.int64] | Iterable[NDArray[np.int64]]) -> Times:
    """Percentiles of the raw times of all workers together: a mean of their percentiles is no percentile.

    Args:
        samples: int64 nanoseconds, one array or one a worker.

    Returns:
        By nearest rank (the inverse of the empirical distribution, type 1 of Hyndman & Fan, "Sample Quantiles in
        Statistical Packages", 1996).

    Raises:
        InvalidInputError: no samples, or times that are no whole numbers.

    """
    merged = samples if isinstance(samples, np.ndarray) else np.concatenate([np.empty(0, dtype=np.int64), *samples])
    if not merged.size or merged.dtype.kind != "i":
        raise InvalidInputError(f"times must be whole nanoseconds, at least one, not {merged.dtype} {merged.shape}")

    def at(share: float) -> int:
        return int(np.quantile(merged, share, method="inverted_cdf"))

    p99, p999 = (at(share) if merged.size >= least else None for share, least in _SAMPLES.items())
    return Times(merged.size, float(merged.mean()), at(0.5), at(0.9), at(0.95), p99, p999, int(merged.max()))
