"""What is measured when nobody says more: three sizes of the same questions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vecsearch.bench import datasets, inspecting, selecting
from vecsearch.bench.points import FilterSpec, Workload
from vecsearch.bench.runner import Job
from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vecsearch.bench.datasets import Dataset
    from vecsearch.filters import Filter


_LATEST = 2  # an open loop that has fallen behind ends after so many times its length


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset by its name; ``brief``: only built and searched."""

    name: str
    rows: int | None = None
    brief: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The dials of a run."""

    sources: tuple[Source, ...]
    queries: int = 1000
    ks: tuple[int, ...] = (10,)
    concurrency: tuple[int, ...] = (1, 2)
    repeats: int = 3
    warmup: int = 100
    seconds: float = 1.0
    """The least length of a repeat."""
    most_seconds: float | None = 30.0
    """The largest length of a repeat: a slow engine is asked fewer queries."""
    builds: int = 1
    """How often each index is built. All but the first only get the first search."""
    pass_rates: tuple[float, ...] = ()
    batches: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    """Queries a second of the open loop."""
    open_seconds: float = 10.0
    open_concurrency: int = 16
    stream: float | None = None
    """Rows a second that are inserted while others are searched."""
    stream_seconds: float = 10.0
    delete_share: float = 0.5
    """Rows that are deleted for each that is inserted."""
    reopen: bool = True
    overhead: bool = False
    seed: int = 0
    filters: Mapping[str, Filter | Mapping[str, Any]] = field(default_factory=dict)
    """Filters of the user's own, by name."""

    def __post_init__(self) -> None:
        for name, least in (("k", self.ks), ("concurrency", self.concurrency), ("batches", self.batches)):
            if any(number < 1 for number in least):
                raise InvalidInputError(f"{name} must be at least 1, not {min(least)}")
        for name, count in (("repeats", self.repeats), ("builds", self.builds), ("queries", self.queries)):
            if count < 1:
                raise InvalidInputError(f"{name} must be at least 1, not {count}")
        if any(rate <= 0 for rate in self.rates):
            raise InvalidInputError(f"a rate must be positive, not {min(self.rates):g}")


SUITES: Mapping[str, Suite] = {
    # Minutes on two cores, whatever the engines are: some write a hundred rows a second.
    "smoke": Suite(
        sources=(Source("digits", 1000, brief=True), Source("mixture", 1000)),
        queries=100,
        warmup=20,
        seconds=0.0,
        most_seconds=2.0,
        pass_rates=(0.1,),
        rates=(50.0,),
        open_seconds=2.0,
        open_concurrency=8,
    ),
    "standard": Suite(
        sources=(Source("mixture", 20_000),),
        concurrency=(1, 2, 4),
        most_seconds=3.0,
        pass_rates=(0.01, 0.1, 0.5),
        batches=(100,),
        rates=(20.0, 100.0),
        stream=100.0,
        overhead=True,
    ),
    "full": Suite(
        sources=(Source("mixture", 100_000),),
        ks=(10, 100),
        concurrency=(1, 2, 4),
        most_seconds=3.0,
        builds=3,
        pass_rates=(0.01, 0.1, 0.5),
        batches=(100,),
        rates=(20.0, 100.0),
        open_seconds=15.0,
        stream=100.0,
        stream_seconds=15.0,
        overhead=True,
    ),
}


def suite(name: str, **changes: Any) -> Suite:
    """A suite by its name, with other dials; those that are ``None`` stay."""
    if name not in SUITES:
        raise InvalidInputError(f"no suite {name!r}; there are {', '.join(SUITES)}")
    return replace(SUITES[name], **{dial: value for dial, value in changes.items() if value is not None})


def jobs(chosen: Suite, given: Sequence[Dataset] | None = None) -> list[Job]:
    """The jobs of a suite, its data made or loaded; ``given`` are datasets instead of its own."""
    if given is not None:
        return [_job(chosen, dataset, brief=False) for dataset in given]
    loaded = (
        (datasets.load(one.name, rows=one.rows, queries=chosen.queries, seed=chosen.seed), one.brief)
        for one in chosen.sources
    )
    return [_job(chosen, dataset, brief=brief) for dataset, brief in loaded]


def _job(chosen: Suite, dataset: Dataset, *, brief: bool) -> Job:
    k = min(chosen.ks[0], len(dataset.vectors))
    base = Workload(
        kind="search",
        k=k,
        repeats=chosen.repeats,
        warmup=chosen.warmup,
        seconds=chosen.seconds,
        most_seconds=chosen.most_seconds,
    )
    if brief:
        return Job(selecting.without_fields(dataset), (base,), facts=_hardness(dataset))
    filters: list[FilterSpec] = []
    sets: Mapping[str, Dataset] = {}
    # The same rows are built with or without fields: what is filtered must carry them, what is not need not.
    if chosen.pass_rates:
        dataset, sets = selecting.ranked(dataset, chosen.seed)
        filters = selecting.made(dataset, sets, chosen.pass_rates)
    elif not chosen.filters:
        dataset = selecting.without_fields(dataset)
    filters += [selecting.spec(dataset, name, tree) for name, tree in chosen.filters.items()]
    return Job(
        dataset,
        tuple(_workloads(chosen, base, filters, len(dataset.vectors))),
        query_sets=sets,
        builds=chosen.builds,
        facts=_hardness(dataset),
    )


def _workloads(chosen: Suite, base: Workload, filters: Sequence[FilterSpec], rows: int) -> list[Workload]:
    def with_(**changes: Any) -> Workload:
        return base.model_copy(update=changes)

    found = [with_(k=min(k, rows), concurrency=threads) for k in chosen.ks for threads in chosen.concurrency]
    arrivals = {"seconds": chosen.open_seconds, "most_seconds": _LATEST * chosen.open_seconds}
    found += [
        with_(kind="open", rate=rate, concurrency=chosen.open_concurrency, repeats=1, **arrivals)
        for rate in chosen.rates
    ]
    found += [with_(kind="filtered", filter=one) for one in filters]
    found += [with_(kind="batch", batch=size) for size in chosen.batches]
    if chosen.reopen:
        found.append(with_(kind="reopen", repeats=1, seconds=0.0, warmup=0))
    if chosen.overhead:
        found.append(with_(kind="overhead", seconds=0.0))
    if chosen.stream is not None:
        writes = {"rate": chosen.stream, "delete_share": chosen.delete_share}
        lasting = {"seconds": chosen.stream_seconds, "most_seconds": chosen.stream_seconds, "repeats": 1}
        found.append(with_(kind="stream", **writes, **lasting))
    return found


def _hardness(dataset: Dataset) -> dict[str, Any]:
    """What makes a dataset hard, for the record of each point."""
    found = inspecting.inspect(dataset)
    return {
        "duplicates": found.duplicates,
        "lid_median": found.lid_median,
        "relative_contrast": found.contrast_median,
    }


__all__ = ("SUITES", "Source", "Suite", "jobs", "suite")
