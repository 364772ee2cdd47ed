"""Two runs of the same measurements: what became slower, by how much, and whether that is more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.bench.judging import Bounds, Change, Side, State
from vecsearch.bench.judging import changes as judged
from vecsearch.bench.trials import COUNTED, grouped, whatever_build
from vecsearch.bench.trust import asked
from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vecsearch.bench.points import Environment, Point
    from vecsearch.bench.store import Store

BOUND, RECALL_BOUND = 1.10, 0.005
_ORDER: tuple[State, ...] = ("worse", "uncertain", "noisy", "better", "same")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two runs."""

    changes: tuple[Change, ...]
    """The worst first."""
    broken: tuple[str, ...]
    """Results that counted before, and do not any more, with the reason."""
    missing: tuple[str, ...]
    """Results that are only in the first."""
    added: tuple[str, ...]
    """Results that are only in the second."""
    warnings: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """The figures that are worse by more than the bound, chance excluded."""
        return tuple(change for change in self.changes if change.state == "worse")

    def failed(self, *, allow_missing: bool = False) -> bool:
        """Whether something is worse: a figure, a result that broke, or one that is gone."""
        return bool(self.regressions or self.broken or (self.missing and not allow_missing))


def compare(
    before: Store, after: Store, *, bound: float = BOUND, recall_bound: float = RECALL_BOUND, seed: int = 0
) -> Comparison:
    """Compare the results of the same specs in two folders; builds of one configuration go together.

    Times are paired by query: the ratio is the geometric mean over queries, resampled over builds, repeats and queries
    at once, so that it is no narrower than the runs differ. A figure is worse if its whole interval lies beyond the
    bound (``bound`` times as slow, ``recall_bound`` less recall); ``uncertain`` if only its middle does; not judged if
    one side is noisy, except for recall, which noise does not touch.

    Raises:
        InvalidInputError: a bound makes no sense, or the folders have no result in common.
    """
    if not bound >= 1:
        raise InvalidInputError(f"the bound is how many times as slow is still good, 1 or more, not {bound:g}")
    if not 0 <= recall_bound <= 1:
        raise InvalidInputError(f"the bound on recall is from 0 to 1, not {recall_bound:g}")
    first, second = _groups(before), _groups(after)
    common = [key for key in first if key in second]
    if not common:
        raise InvalidInputError(
            f"no result is both in {before.folder} ({len(first)}) and in {after.folder} ({len(second)}): "
            "only runs of the same suite, data and settings can be compared"
        )
    generator = np.random.default_rng(seed)
    changes: list[Change] = []
    broken = []
    for key in common:
        old, new = _counted(first[key]), _counted(second[key])
        if old and new:
            changes += judged(Side(before, old), Side(after, new), Bounds(bound, recall_bound), generator)
        elif old:
            broken.append(f"{_named(first[key])}: {second[key][0].verdict} ({_why(second[key])})")
    changes.sort(key=lambda one: (_ORDER.index(one.state), one.result, one.figure))
    return Comparison(
        tuple(changes),
        tuple(broken),
        tuple(_named(first[key]) for key in first if key not in second and _counted(first[key])),
        tuple(_named(second[key]) for key in second if key not in first),
        tuple(_warnings(first, second)),
    )


def _groups(store: Store) -> dict[str, list[Point]]:
    return grouped(store, lambda point: whatever_build(point.spec))


def _counted(points: Iterable[Point]) -> list[Point]:
    return [point for point in points if point.verdict in COUNTED]


def _named(points: Sequence[Point]) -> str:
    return asked(points[0], build=False)


def _why(points: Iterable[Point]) -> str:
    return "; ".join(dict.fromkeys(f"{gate.name}: {gate.detail}" for point in points for gate in point.failed))


def _warnings(first: dict[str, list[Point]], second: dict[str, list[Point]]) -> list[str]:
    machines = [{_hardware(point.environment) for own in run.values() for point in own} for run in (first, second)]
    if machines[0] == machines[1] and len(machines[0]) == 1:
        return []
    return ["the runs come from different machines: the ratios compare those, too"]


def _hardware(one: Environment) -> tuple[Any, ...]:
    return one.cpu, one.cores, one.affinity, one.memory_bytes, one.memory_limit, one.cpu_limit
