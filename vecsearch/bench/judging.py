"""The figures of one configuration in two runs, and what is to be thought of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from vecsearch.bench.pairing import Interval, calls, matched, paired, paired_quantile
from vecsearch.bench.trust import asked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from vecsearch.bench.points import Point
    from vecsearch.bench.store import Store

    Builds = list[NDArray[np.float64]]

State = Literal["worse", "better", "same", "uncertain", "noisy"]

_ENOUGH_ROWS, _ENOUGH_CALLS = 3, 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """One figure before and after.

    ``ratio`` is of costs: above 1 is worse. Of recall it is the difference, and below 0 is worse. ``low`` and
    ``high`` hold 95 % of bootstrap resamples; they are ``None`` where there were too few measurements to resample.
    """

    result: str
    figure: str
    before: float
    after: float
    ratio: float
    low: float | None
    high: float | None
    state: State
    keys_before: tuple[str, ...]
    keys_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many times as slow, and how much less recall, is still good."""

    cost: float
    recall: float


class Side:
    """The builds of one configuration in one run."""

    def __init__(self, store: Store, points: Sequence[Point]) -> None:
        self.points = points
        self.arrays = [store.arrays(point.key) for point in points]
        self.noisy = any(point.verdict == "noisy" for point in points)
        self.keys = tuple(point.key for point in points)

    def figures(self, value: Callable[[Point], float | None]) -> Builds:
        """One figure of each build, as an array of one."""
        return [np.array([[one]], dtype=np.float64) for point in self.points if (one := value(point)) is not None]

    def repeats(self, value: Callable[[Point], Sequence[float]]) -> Builds:
        """A figure of each repeat of each build."""
        return [np.array(found, dtype=np.float64)[:, None] for point in self.points if (found := value(point))]

    def queries(self, name: str) -> Builds:
        """Nanoseconds by build, repeat and query; empty where calls held several queries or were not kept."""
        found = [one for arrays in self.arrays if (one := calls(arrays, name)) is not None]
        return found if len(found) == len(self.arrays) else []

    def recall(self) -> Builds:
        """Recall by build and query, NaN where it was not asked; empty where it was not kept."""
        if any("recall" not in arrays for arrays in self.arrays):
            return []
        return [arrays["recall"][None, :].astype(np.float64) for arrays in self.arrays]


def changes(old: Side, new: Side, bounds: Bounds, generator: np.random.Generator) -> list[Change]:
    """All figures that both sides have."""
    judge = _Judge(old, new, bounds, generator)
    kind = old.points[0].spec.workload.kind
    found = [*judge.times(), judge.recall(), judge.overhead()]
    if kind == "build":
        found += [
            judge.ratio("seconds until searchable", _each(old, new, _searchable)),
            judge.ratio("bytes on disk", _each(old, new, lambda point: point.resources.disk_bytes), steady=True),
            judge.ratio("peak memory, bytes", _each(old, new, lambda point: point.resources.memory_peak)),
        ]
    return [change for change in found if change is not None]


def _each(old: Side, new: Side, value: Callable[[Point], float | None]) -> tuple[Builds, Builds]:
    return old.figures(value), new.figures(value)


def _searchable(point: Point) -> float | None:
    return point.load.searchable_seconds if point.load else None


def _mean_recall(point: Point) -> float | None:
    return point.search.recall.strict if point.search and point.search.recall else None


def _medians(point: Point) -> Sequence[float]:
    return point.search.p50_repeats if point.search else ()


def _per_query(point: Point) -> Sequence[float]:
    return [1e9 / one for one in point.search.qps_repeats if one > 0] if point.search else ()


class _Judge:
    def __init__(self, old: Side, new: Side, bounds: Bounds, generator: np.random.Generator) -> None:
        self.old, self.new, self.bounds, self.generator = old, new, bounds, generator
        self.noisy = old.noisy or new.noisy

    def times(self) -> list[Change | None]:
        """Of single calls, paired by query where they were kept; of all calls together where several clients ask."""
        if self.old.points[0].search is None:
            return []
        work = self.old.points[0].spec.workload
        name = "response_ns" if work.kind == "open" else "service_ns"
        single = matched(self.old.queries(name), self.new.queries(name))
        made = []
        if all(single):
            made += [self.ratio("time of a query, ns", single), self._tail(single)]
        else:
            made.append(self.ratio("median time, ns", (self.old.repeats(_medians), self.new.repeats(_medians))))
        if work.concurrency > 1:
            through = self.old.repeats(_per_query), self.new.repeats(_per_query)
            made.append(self.ratio("time by throughput, ns", through))
        return made

    def ratio(self, figure: str, sides: tuple[Builds, Builds], *, steady: bool = False) -> Change | None:
        """``steady``: the figure is the same each time, and one measurement is enough."""
        if not all(sides) or any(rows.min() <= 0 for side in sides for rows in side):
            return None
        interval = paired(*sides, self.generator, logarithms=True)
        before, after = (float(np.exp(np.mean([np.log(rows).mean() for rows in side]))) for side in sides)
        enough = min(map(_height, sides)) >= _ENOUGH_ROWS
        return self._cost(figure, (before, after), interval, enough=enough, steady=steady)

    def _tail(self, sides: tuple[Builds, Builds]) -> Change | None:
        if min(sum(rows.size for rows in side) for side in sides) < _ENOUGH_CALLS:
            return None
        interval = paired_quantile(*sides, 0.99, self.generator)
        before, after = (float(np.quantile(np.concatenate(side), 0.99)) for side in sides)
        enough = min(map(_height, sides)) >= _ENOUGH_ROWS
        return self._cost("p99 of a query, ns", (before, after), interval, enough=enough)

    def overhead(self) -> Change | None:
        """The adapter's own cost: the widest interval that both measurements allow."""
        old, new = self.old.points[0].overhead, self.new.points[0].overhead
        if old is None or new is None or min(old.low, new.low) <= 0:
            return None
        interval = Interval(new.ratio / old.ratio, new.low / old.high, new.high / old.low)
        return self._cost("vecsearch over the client", (old.ratio, new.ratio), interval, enough=True)

    def recall(self) -> Change | None:
        """Recall, paired by query: noise does not touch it."""
        sides = matched(self.old.recall(), self.new.recall())
        if not (single := all(sides)):
            sides = self.old.figures(_mean_recall), self.new.figures(_mean_recall)
            if not all(sides):
                return None
        interval, bound = paired(*sides, self.generator, logarithms=False), self.bounds.recall
        before, after = (float(np.mean([rows.mean() for rows in side])) for side in sides)
        state: State = "same"
        if interval.middle < -bound:
            state = "worse" if interval.high < -bound else "uncertain"
        elif interval.low > bound:
            state = "better"
        return self._made("recall", (before, after), interval, state, known=single)

    def _cost(
        self, figure: str, values: tuple[float, float], interval: Interval, *, enough: bool, steady: bool = False
    ) -> Change:
        bound = self.bounds.cost
        state: State = "same"
        if interval.middle > bound:
            state = "worse" if steady or (enough and interval.low > bound) else "uncertain"
        elif interval.middle < 1 / bound and (steady or (enough and interval.high < 1 / bound)):
            state = "better"
        if self.noisy and not steady and state != "same":
            state = "noisy"
        return self._made(figure, values, interval, state, known=enough and not steady)

    def _made(
        self, figure: str, values: tuple[float, float], interval: Interval, state: State, *, known: bool = True
    ) -> Change:
        name = asked(self.old.points[0], build=False)
        low, high = (interval.low, interval.high) if known else (None, None)
        return Change(name, figure, *values, interval.middle, low, high, state, self.old.keys, self.new.keys)


def _height(builds: Builds) -> int:
    return sum(len(rows) for rows in builds)
