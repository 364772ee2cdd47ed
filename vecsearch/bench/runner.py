"""Points, one after the other, each in a fresh process; what is in the store already is not measured again.

An index is built by one process and opened by the others, so that building is paid once, and each search starts cold
with memory of its own. Builds are repeated with all configurations in turn, so that a machine that slows down
meanwhile slows down all of them.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from vecsearch.backends._native import NATIVE
from vecsearch.bench import gates, null, scoring, selecting, worker
from vecsearch.bench.environment import environment
from vecsearch.bench.points import (
    CLOSED,
    Control,
    DatasetFacts,
    Environment,
    Gate,
    Overhead,
    Point,
    Search,
    Spec,
    Workload,
)
from vecsearch.bench.processes import in_process
from vecsearch.bench.tasks import Observation, Task, put_data
from vecsearch.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.bench.configurations import Configuration
    from vecsearch.bench.datasets import Dataset
    from vecsearch.bench.store import Store

    Perform = Callable[[Task], Observation]

_CEILING_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Job:
    """A dataset and what is done on it."""

    dataset: Dataset
    workloads: tuple[Workload, ...]
    query_sets: Mapping[str, Dataset] = field(default_factory=dict)
    """The dataset with other queries, by the names in ``selecting.QUERY_SETS``."""
    builds: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Hardness, for `DatasetFacts`."""

    @property
    def k(self) -> int:
        """The largest number of neighbours asked for."""
        return max((work.k for work in self.workloads), default=10)


def run(
    jobs: Sequence[Job],
    configurations: Sequence[Configuration],
    store: Store,
    *,
    isolate: bool = True,
    timeout: float = 1800.0,
    budget: float | None = None,
    progress: Any = None,
) -> list[Point]:
    """Measure what is missing in the store, and give all points that were asked for.

    ``isolate=False`` measures in this process: for backends that only this process knows. ``timeout`` is for one
    process; after it, it is ended and the point says so. After ``budget`` seconds no other measurement is begun: those
    points are not among what is given.
    """
    groups = _groups(jobs, configurations)
    asked = [spec for group in groups for spec in group.specs]
    end = math.inf if budget is None else time.monotonic() + budget
    with _folder(store.folder) as folder, reporting(progress, "measuring", "points") as report:
        perform: Perform = in_process(timeout) if isolate else worker.perform
        session = _Session(store, folder, perform, environment())
        for done, _ in enumerate(_until(end, groups, session), 1):
            report(done, len(asked))
    return [store.get(spec.key) for spec in asked if spec.key in store]


def planned(jobs: Sequence[Job], configurations: Sequence[Configuration]) -> int:
    """How many points a run has."""
    return sum(len(group.specs) for group in _groups(jobs, configurations))


def _groups(jobs: Sequence[Job], configurations: Sequence[Configuration]) -> list[_Group]:
    return [
        _Group(job, configuration, build)
        for job in jobs
        for build in range(job.builds)
        for configuration in configurations
    ]


def _until(end: float, groups: Sequence[_Group], session: _Session) -> Iterator[Spec]:
    for group in groups:
        with closing(session.points(group)) as points:
            for spec in points:
                yield spec
                if time.monotonic() >= end:
                    break


class _Group:
    """One build of one configuration, and all that is measured on it."""

    def __init__(self, job: Job, configuration: Configuration, build: int) -> None:
        self.job, self.configuration, self.build = job, configuration, build
        self._fields = sorted({name for row in job.dataset.metadata or () for name in row})
        self.build_spec = self._spec(Workload(kind="build", k=job.k, repeats=1, warmup=0), {})
        first, *others = configuration.search_params
        searches = [work for work in job.workloads if work.kind == "search"] or [*job.workloads]
        levels = [work.concurrency for work in searches]
        self.specs = [self.build_spec]
        for work in job.workloads:
            if work.kind == "overhead" and configuration.backend not in NATIVE:
                continue  # no client but vecsearch itself
            if build and work != searches[0]:
                continue  # a graph that came out otherwise shows in any search
            # Both sides of the overhead are asked with what the adapter does by itself.
            self.specs.append(self._spec(work, {} if work.kind == "overhead" else first))
            if work.kind == "search" and work.concurrency in (min(levels), max(levels)):  # frontiers of both ends
                self.specs += [self._spec(work, params) for params in others]

    def _spec(self, work: Workload, params: Mapping[str, Any]) -> Spec:
        dataset, configuration = self.job.dataset, self.configuration
        rows, dim = dataset.vectors.shape
        return Spec(
            dataset=dataset.name,
            dataset_sha256=dataset.sha256,
            rows=rows,
            dim=dim,
            metric=dataset.metric,
            label=configuration.label,
            backend=configuration.backend,
            settings=dict(configuration.shown),
            search_params=dict(params),
            fields=self._fields,
            build=self.build,
            workload=work,
        )


class _Session:
    """What lasts over the points of one run."""

    def __init__(self, store: Store, folder: Path, perform: Perform, machine: Environment) -> None:
        self.store, self.folder, self.perform, self.machine = store, folder, perform, machine
        self.run_id = uuid4().hex[:12]
        self._data: dict[str, Path] = {}
        self._unavailable: dict[str, str] = {}
        self._embedded: set[str] = set()
        self._ceilings: dict[tuple[str, int, int, int], float | None] = {}

    def points(self, group: _Group) -> Generator[Spec]:
        """Measure those that are missing; yields each spec when its point is in the store."""
        missing = [spec for spec in group.specs if not self._done(spec)]
        yield from (spec for spec in group.specs if spec not in missing)
        if not missing:
            return
        label = group.configuration.label
        problem = group.configuration.problem or self._unavailable.get(label)
        if problem is not None:
            yield from self._refused(group, missing, problem)
            return
        home = self.folder / f"index-{uuid4().hex[:8]}"
        try:
            yield from self._measured(group, missing, home)
        finally:
            self._removed(group, home)

    def _done(self, spec: Spec) -> bool:
        # What was not available may be by now.
        return spec.key in self.store and self.store.get(spec.key).verdict != "unavailable"

    def _measured(self, group: _Group, missing: list[Spec], home: Path) -> Iterator[Spec]:
        started = time.monotonic()
        seen, arrays = self._performed(group, self._task(group, home, action="build"))
        if seen.unavailable:
            self._unavailable[group.configuration.label] = seen.problem or ""
            yield from self._refused(group, missing, seen.problem or "")
            return
        if seen.backend is not None and seen.backend.deployment == "embedded":
            self._embedded.add(group.configuration.label)
        exact = scoring.exact_recall(group.job.dataset, arrays["exact_ids"]) if "exact_ids" in arrays else None
        if group.build_spec in missing:
            found = [] if seen.load is None else [gates.stored(seen.load, group.build_spec.rows)]
            self._put(group, group.build_spec, seen, arrays, found, Control(exact_recall=exact), started)
            yield group.build_spec
        for spec in missing:
            if spec is not group.build_spec:
                self._measure(group, spec, home, exact)
                yield spec

    def _measure(self, group: _Group, spec: Spec, home: Path, exact: float | None) -> None:
        work, started = spec.workload, time.monotonic()
        # A stream writes: it has an index of its own.
        place = home.with_name(f"{home.name}-stream") if work.kind == "stream" else home
        name = selecting.QUERY_SETS[work.filter.correlation] if work.filter is not None else "queries"
        task = self._task(group, place, action="measure", queries=name, workload=work, search_params=spec.search_params)
        seen, arrays = self._performed(group, task)
        if place != home:
            self._removed(group, place)
        control = Control(exact_recall=exact, null_qps=self._ceiling(group, spec))
        dataset = group.job.query_sets.get(name, group.job.dataset)
        found: Search | None = None
        against: Overhead | None = None
        kept: dict[str, NDArray[Any]] = {}
        said: list[Gate] = []
        if seen.problem is None and work.kind == "overhead":
            against, said = scoring.overhead(arrays, spec.seed)
        elif seen.problem is None:
            passing = self._passing(dataset, spec, seen)
            found, kept, said = scoring.search(spec, dataset, passing, seen, arrays)
            said += [] if found is None else scoring.performance(spec, found, control)
            said += [] if seen.stream is None else gates.streamed(seen.stream)
        self._put(group, spec, seen, {**arrays, **kept}, said, control, started, search=found, overhead=against)

    @staticmethod
    def _passing(dataset: Dataset, spec: Spec, seen: Observation) -> NDArray[np.int64] | None:
        if spec.workload.filter is not None:
            return selecting.passing(dataset, spec.workload.filter.tree)
        return None if seen.live is None else np.arange(*seen.live, dtype=np.int64)

    def _put(
        self,
        group: _Group,
        spec: Spec,
        seen: Observation,
        arrays: Mapping[str, NDArray[Any]],
        said: list[Gate],
        control: Control,
        started: float,
        **parts: Any,
    ) -> None:
        control = control.model_copy(
            update={
                "count": seen.count,
                "load_average": seen.load_average,
                "steal": seen.steal,
                "others": seen.others,
            }
        )
        found = [gates.finished(seen.problem)]
        if seen.problem is None:
            expected = spec.rows if seen.live is None else len(range(*seen.live))
            effective = {} if seen.backend is None else seen.backend.settings
            found += [gates.rows(expected, seen.count), gates.exact(control), gates.settings(spec.settings, effective)]
            found += [*said, gates.quiet(control)]
        point = self._point(
            group,
            spec,
            seconds=time.monotonic() - started,
            backend=seen.backend,
            load=seen.load,
            stream=seen.stream,
            reopen=seen.reopen,
            resources=seen.resources,
            control=control,
            gates=found,
            verdict=gates.verdict(found),
            **parts,
        )
        self.store.put(point, arrays)

    def _refused(self, group: _Group, missing: list[Spec], problem: str) -> Iterator[Spec]:
        for spec in missing:
            gate = gates.available(problem)
            self.store.put(self._point(group, spec, gates=[gate], verdict="unavailable"))
            yield spec

    def _point(self, group: _Group, spec: Spec, **parts: Any) -> Point:
        facts = DatasetFacts(queries=len(group.job.dataset.queries), **group.job.facts)
        return Point(run_id=self.run_id, spec=spec, dataset=facts, environment=self.machine, **parts)

    # ---- processes

    def _removed(self, group: _Group, home: Path) -> None:
        """Delete an index: files with their folder, and what lies elsewhere through its engine."""
        if group.configuration.label not in self._embedded:
            self.perform(self._task(group, home, action="drop"))
        shutil.rmtree(home, ignore_errors=True)

    def _task(self, group: _Group, home: Path, **parts: Any) -> Task:
        return Task(
            home=home,
            data=self._staged(group.job),
            out=self.folder / "out",
            backend=group.configuration.backend,
            settings=dict(group.configuration.settings),
            metric=group.job.dataset.metric,
            k=group.job.k,
            **parts,
        )

    def _staged(self, job: Job) -> Path:
        """The folder with the data of a job."""
        dataset = job.dataset
        if dataset.sha256 not in self._data:
            folder = self.folder / f"data-{len(self._data)}"
            queries = {name: some.queries for name, some in job.query_sets.items()}
            put_data(folder, dataset.vectors, {**queries, "queries": dataset.queries}, dataset.metadata)
            self._data[dataset.sha256] = folder
        return self._data[dataset.sha256]

    def _performed(self, group: _Group, task: Task) -> tuple[Observation, dict[str, NDArray[Any]]]:
        shutil.rmtree(task.out, ignore_errors=True)
        seen = self.perform(task)
        for secret in group.configuration.secrets:
            seen = seen.model_copy(
                update={
                    name: text.replace(secret, "***")
                    for name in ("problem", "error")
                    if (text := getattr(seen, name)) is not None
                }
            )
        file = task.out / worker.ARRAYS
        if not file.exists():
            return seen, {}
        with np.load(file, allow_pickle=False) as held:
            return seen, {name: held[name] for name in held.files}

    def _ceiling(self, group: _Group, spec: Spec) -> float | None:
        """What a backend that does nothing reaches in the same loop."""
        work = spec.workload
        if work.kind not in CLOSED:
            return None
        key = (spec.dataset_sha256, work.k, work.concurrency, work.batch)
        if key not in self._ceilings:
            changes = {"kind": "search", "filter": None, "exact": False, "repeats": 1, "seconds": _CEILING_SECONDS}
            home = self.folder / "null"
            task = self._task(group, home, action="measure", workload=work.model_copy(update=changes))
            seen = self.perform(task.model_copy(update={"backend": null.NAME, "settings": {}}))
            queries = seen.asked * work.batch
            self._ceilings[key] = queries / sum(seen.repeat_seconds) if seen.repeat_seconds else None
        return self._ceilings[key]


@contextmanager
def _folder(store: Path) -> Iterator[Path]:
    """A folder for indexes and data beside the points, so that they lie on the disk that was chosen."""
    store.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f".work-{os.getpid()}-", dir=store))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


__all__ = ("Job", "planned", "run")
