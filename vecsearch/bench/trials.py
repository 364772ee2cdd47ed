"""Points put together for reading: the builds of one configuration are one trial."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from vecsearch.bench.frontier import Reached, Spot, at, frontier

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from vecsearch.bench.points import Point, Search, Spec

Quantile = Literal["p50", "p95", "p99"]
K = TypeVar("K", bound="Hashable")
T = TypeVar("T")

TARGETS = (0.90, 0.95, 0.99)
COUNTED = ("valid", "noisy")
USUAL = 0.95


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration that was searched: the same spec but for the number of the build."""

    points: tuple[Point, ...]

    @property
    def spec(self) -> Spec:
        """What was asked, of the first build."""
        return self.points[0].spec

    @property
    def name(self) -> str:
        """The configuration. An exact search by an engine that also approximates is another: nothing lies between."""
        return name_of(self.points[0])

    @property
    def params(self) -> str:
        """What was set for the search, as text."""
        return ", ".join(f"{name}={value}" for name, value in sorted(self.spec.search_params.items())) or "defaults"

    @property
    def deployment(self) -> str:
        """The deployment class of the engine."""
        facts = self.points[0].backend
        return facts.deployment if facts else "?"

    @property
    def key(self) -> str:
        """The result that stands for the trial: of the build with the median speed."""
        return sorted(self.points, key=lambda point: _search(point).qps)[(len(self.points) - 1) // 2].key

    @property
    def noisy(self) -> bool:
        """Whether one of the builds was measured among noise."""
        return any(point.verdict == "noisy" for point in self.points)

    @property
    def recall(self) -> float | None:
        """Strict recall, the mean of the builds; ``None`` where there is no truth to compare with."""
        found = [search.recall.strict for point in self.points if (search := _search(point)).recall is not None]
        return statistics.fmean(found) if found else None

    def median(self, value: Callable[[Search], float | None]) -> float | None:
        """The median of the builds."""
        found = [one for point in self.points if (one := value(_search(point))) is not None]
        return statistics.median(found) if found else None

    @property
    def qps(self) -> float:
        """Queries a second, the median of the builds."""
        return statistics.median(_search(point).qps for point in self.points)

    @property
    def qps_spread(self) -> tuple[float, float]:
        """The slowest and the fastest repeat of all builds."""
        found = [one for point in self.points for one in (_search(point).qps_repeats or [_search(point).qps])]
        return min(found), max(found)

    def service_ms(self, quantile: Quantile) -> float | None:
        """A quantile of the service times in milliseconds, the median of the builds."""
        return in_ms(self.median(lambda search: getattr(search.service, quantile)))

    def response_ms(self, quantile: Quantile) -> float | None:
        """The same of the response times, where there are any."""
        return in_ms(self.median(lambda search: getattr(search.response, quantile, None)))


def _search(point: Point) -> Search:
    assert point.search is not None  # noqa: S101  trials() takes no other
    return point.search


def in_ms(nanoseconds: float | None) -> float | None:
    """Nanoseconds as milliseconds."""
    return None if nanoseconds is None else nanoseconds / 1e6


def name_of(point: Point) -> str:
    """The configuration by which a reader knows a point."""
    sometimes = point.spec.workload.exact and not (point.backend and point.backend.exactness == "always")
    return f"{point.spec.label}, exact" if sometimes else point.spec.label


def grouped(values: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Values by a key, both in the order they came."""
    groups: dict[K, list[T]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return groups


def whatever_build(spec: Spec) -> str:
    """What the builds of one configuration have in common."""
    return spec.model_copy(update={"build": 0}).key


def trials(points: Iterable[Point]) -> list[Trial]:
    """The searches that count: valid or noisy, builds together, by name, then by recall."""
    counted = [point for point in points if point.search is not None and point.verdict in COUNTED]
    groups = grouped(sorted(counted, key=lambda one: one.spec.build), lambda one: whatever_build(one.spec))
    made = [Trial(tuple(group)) for group in groups.values()]
    return sorted(made, key=lambda trial: (trial.name, trial.recall or 0.0, trial.params))


def qps_front(found: Iterable[Trial]) -> list[Spot[Trial]]:
    """The frontier of recall and queries a second."""
    return frontier([Spot(one.recall, one.qps, one) for one in found if one.recall is not None], larger=True)


def tail_front(found: Iterable[Trial], quantile: Quantile) -> list[Spot[Trial]]:
    """The frontier of recall and a quantile, in milliseconds, of the trials with samples enough to have one."""
    spots = [
        Spot(t.recall, ms, t) for t in found if t.recall is not None and (ms := t.service_ms(quantile)) is not None
    ]
    return frontier(spots, larger=False)


def tail(found: Iterable[Trial]) -> Quantile:
    """The quantile that is shown of these: p99, or p95 where none of them has samples enough."""
    return "p99" if any(trial.service_ms("p99") is not None for trial in found) else "p95"


@dataclass(frozen=True, slots=True)
class Standing:
    """What one backend reaches at each of ``TARGETS``."""

    name: str
    deployment: str
    qps: tuple[Reached[Trial] | None, ...]
    tail: tuple[Reached[Trial] | None, ...]
    tail_measured: bool
    best: Trial


def standings(found: Sequence[Trial], quantile: Quantile) -> list[Standing]:
    """The table at equal recall: by deployment class, the fastest at ``USUAL`` recall first."""
    made = []
    for name, own in grouped((one for one in found if one.recall is not None), lambda one: one.name).items():
        fast, short = qps_front(own), tail_front(own, quantile)
        qps, tails = (tuple(at(front, target) for target in TARGETS) for front in (fast, short))
        best = max(own, key=lambda one: one.recall or 0.0)
        made.append(Standing(name, own[0].deployment, qps, tails, bool(short), best))
    middle = TARGETS.index(USUAL)

    def order(one: Standing) -> tuple[str, float, str]:
        reached = one.qps[middle]
        return one.deployment, -reached.value if reached else 0.0, one.name

    return sorted(made, key=order)


def usual(found: Iterable[Trial]) -> list[Trial]:
    """Of each backend, the trials of one setting: the least that reaches ``USUAL`` recall, else the best it has."""
    kept = []
    for own in grouped(found, lambda one: one.name).values():
        settings = grouped(own, lambda one: one.params)
        recall = {params: statistics.fmean([one.recall or 0.0 for one in group]) for params, group in settings.items()}
        enough = [params for params, value in recall.items() if value >= USUAL]
        chosen = min(enough, key=recall.__getitem__) if enough else max(recall, key=recall.__getitem__)
        kept += settings[chosen]
    return kept


def at_equal_recall(points: Iterable[Point]) -> list[dict[str, Any]]:
    """The table at equal recall as records, for one client: queries a second, ``None`` where it was not reached."""
    found = [trial for trial in trials(points) if trial.spec.workload.kind == "search"]
    single = [trial for trial in found if trial.spec.workload.concurrency == 1]
    quantile = tail(single)
    rows = []
    for (data, k), own in grouped(single, lambda trial: (trial.spec.dataset, trial.spec.workload.k)).items():
        for one in standings(own, quantile):
            row: dict[str, Any] = {"data": data, "k": k, "backend": one.name, "class": one.deployment}
            for target, fast, short in zip(TARGETS, one.qps, one.tail, strict=True):
                row[f"qps@{target:.2f}"] = None if fast is None else round(fast.value, 1)
                row[f"{quantile}_ms@{target:.2f}"] = None if short is None else round(short.value, 3)
            rows.append({**row, "best_recall": one.best.recall})
    return rows
