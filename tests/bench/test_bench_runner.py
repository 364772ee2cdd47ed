"""A run, from data to verdicts: of an honest backend, and of broken ones, which must be found out."""

import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from vecsearch import registry
from vecsearch.backends import _native
from vecsearch.backends.sklearn import SklearnBackend, SklearnConfig
from vecsearch.bench import runner, selecting
from vecsearch.bench.configurations import Configuration, configured, several
from vecsearch.bench.datasets import make
from vecsearch.bench.points import Workload
from vecsearch.bench.store import Store
from vecsearch.catalogue import Catalogue
from vecsearch.core import knn
from vecsearch.errors import ConfigError, InvalidInputError, MissingDependencyError, UnknownBackendError
from vecsearch.testing.wrappers import WrappedBackend

MS = 1_000_000
SEARCH = Workload(kind="search", repeats=2, warmup=0)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((20, 16))
    rows = (centres[rng.integers(0, 20, 460)] + 0.3 * rng.standard_normal((460, 16))).astype(np.float32)
    return make("small", rows[:400], rows[400:])


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def measure(store, data, *workloads, backend="sklearn", **options):
    """The points of one backend by the kind of workload, measured in this process."""
    job = runner.Job(data, workloads, **options)
    points = runner.run([job], [configured(backend)], store, isolate=False, progress=False)
    return {point.spec.workload.kind: point for point in points}


def failed(point):
    """The gates that did not hold, but for those that a busy machine shuts."""
    return {gate.name for gate in point.failed} - {"quiet", "spread", "ceiling", "rate"}


def test_an_honest_backend_passes_on_all_workloads(store, data):
    whole, sets = selecting.ranked(data)
    (filters,) = [selecting.made(whole, sets, [0.1])]
    workloads = [
        SEARCH,
        Workload(kind="search", repeats=2, concurrency=2),
        Workload(kind="open", rate=200, seconds=0.2, concurrency=4, repeats=1, warmup=0),
        Workload(kind="batch", batch=5, repeats=2, warmup=0),
        Workload(kind="stream", rate=1000, seconds=0.1, repeats=1, warmup=5, delete_share=0.5),
        Workload(kind="reopen", repeats=1, warmup=0),
        *(Workload(kind="filtered", filter=one, repeats=1, warmup=0) for one in filters),
    ]
    job = runner.Job(whole, tuple(workloads), query_sets=sets)
    points = runner.run([job], [configured("sklearn")], store, isolate=False, progress=False)
    assert len(points) == 1 + len(workloads)
    for point in points:
        assert failed(point) == set(), point.spec.workload
        assert point.spec.workload.kind == "build" or point.search.recall.strict == 1.0
    build, *_, reopened = points[:7]
    assert build.load.rows == build.control.count == 400
    assert build.control.exact_recall == 1.0
    assert build.resources.disk_bytes > 400 * 16 * 4
    assert reopened.reopen.first_query_seconds >= reopened.reopen.open_seconds > 0
    assert points[1].control.null_qps > points[1].search.qps
    arrays = store.arrays(points[1].key)
    assert len(arrays["service_ns"]) == 2 * 60
    assert arrays["recall"].shape == (60,)
    assert arrays["ids"].shape == (60, 10)
    streamed = next(point for point in points if point.stream)
    assert streamed.stream.inserted == 80
    assert streamed.stream.missing == 0
    assert streamed.stream.deleted == 40
    assert streamed.stream.remaining == 0
    assert streamed.control.count == 400 - 40


def test_filters_lie_with_the_queries_as_they_say(data):
    whole, sets = selecting.ranked(data)
    lifts = {one.correlation: one.lift for one in selecting.made(whole, sets, [0.2])}
    assert lifts["correlated"] > 1.5
    assert lifts["anti"] < 0.7
    assert 0.7 < lifts["random"] < 1.3
    assert all(one.pass_rate == 0.2 for one in selecting.made(whole, sets, [0.2]))


def test_what_is_in_the_store_is_not_measured_again(store, data):
    first = measure(store, data, SEARCH)
    again = measure(store, data, SEARCH, Workload(kind="reopen", repeats=1))
    assert again["search"] == first["search"]
    assert again["build"] == first["build"]
    assert again["reopen"].run_id != first["search"].run_id
    assert {path.name for path in store.folder.iterdir()} == {"points"}


def test_a_budget_that_is_over_begins_nothing_and_the_next_run_goes_on(store, data):
    jobs, configurations = [runner.Job(data, (SEARCH,), builds=2)], [configured("sklearn")]
    assert runner.planned(jobs, configurations) == 4
    options = {"isolate": False, "progress": False}
    first = runner.run(jobs, configurations, store, budget=0.0, **options)
    assert [point.spec.workload.kind for point in first] == ["build", "build"]
    assert runner.run(jobs, configurations, store, **options)[0] == first[0]
    assert len(store) == 4


def test_a_frontier_is_searched_by_one_client_and_by_the_most(data):
    ladder = [Workload(kind="search", concurrency=level) for level in (1, 2, 4)]
    job = runner.Job(data, (*ladder, Workload(kind="batch", batch=10)))
    frontier = Configuration("one", "sklearn", search_params=({"ef": 2}, {"ef": 1}, {"ef": 3}))
    assert runner.planned([job], [frontier]) == 1 + len(ladder) + 1 + 2 * 2


def test_later_builds_get_the_first_search_alone(store, data):
    other = SEARCH.model_copy(update={"k": 3})
    job = runner.Job(data, (SEARCH, other, Workload(kind="reopen", repeats=1)), builds=2)
    points = runner.run([job], [configured("sklearn")], store, isolate=False, progress=False)
    kinds = [(point.spec.build, point.spec.workload.kind) for point in points]
    first = [(0, kind) for kind in ("build", "search", "search", "reopen")]
    assert kinds == [*first, (1, "build"), (1, "search")]
    assert points[-1].spec.workload == SEARCH


def test_what_was_not_asked_for_want_of_time_is_not_scored(store, data):
    class Slow(WrappedBackend, inner=SklearnBackend):
        """Takes a while."""

        def search(self, *arguments, **named):
            time.sleep(0.01)
            return super().search(*arguments, **named)

    work = Workload(kind="search", repeats=1, warmup=0, most_seconds=0.1)
    with registry.registered("slow", Slow):
        found = measure(store, data, work, backend="slow")["search"]
    assert 0 < found.search.asked < 60
    assert found.search.recall.strict == 1.0
    assert failed(found) == {"samples"}


def test_a_point_in_a_process_of_its_own(store, data):
    job = runner.Job(data, (SEARCH,))
    seen = []
    build, search = runner.run(
        [job], [configured("sklearn")], store, progress=lambda done, total: seen.append((done, total))
    )
    assert failed(build) == failed(search) == set()
    assert seen == [(1, 2), (2, 2)]
    assert build.resources.memory_peak > 1_000_000


# ---- broken backends


class Forgetful(WrappedBackend, inner=SklearnBackend):
    """Drops every twentieth row, and says nothing."""

    def upsert(self, rows):
        kept = [place for place, row_id in enumerate(rows.ids) if int(row_id) % 20]
        super().upsert(rows.take(kept))


class Lying(Forgetful, inner=SklearnBackend):
    """The same, and counts them all the same."""

    def upsert(self, rows):
        self.counted = getattr(self, "counted", 0) + len(rows)
        super().upsert(rows)

    def count(self, where=None):
        return getattr(self, "counted", 400) if where is None else super().count(where)


class Stalling(WrappedBackend, inner=SklearnBackend):
    """Lets everybody wait 40 ms every 250 ms."""

    lock, due = threading.Lock(), 0.0

    def search(self, *arguments, **named):
        with Stalling.lock:
            if time.perf_counter() >= Stalling.due:
                time.sleep(0.04)
                Stalling.due = time.perf_counter() + 0.25
        return super().search(*arguments, **named)


class Doubling(WrappedBackend, inner=SklearnBackend):
    """Finds the nearest row twice, and not the last."""

    capabilities = replace(SklearnBackend.capabilities, exactness="on_request")

    def search(self, queries, k, where, *, exact, **named):
        hits = super().search(queries, k, where, exact=False, **named)
        if not exact:
            hits.rows = [row.take([0, *range(len(row) - 1)]) for row in hits.rows]
        return hits


class Failing(WrappedBackend, inner=SklearnBackend):
    """Answers one search in ten with an error."""

    asked = 0

    def search(self, *arguments, **named):
        Failing.asked += 1
        if Failing.asked % 10 == 0:
            raise ValueError("secret-free failure")
        return super().search(*arguments, **named)


class Deaf(WrappedBackend, inner=SklearnBackend):
    """A server that does not answer."""

    errors = {OSError: "unavailable"}  # noqa: RUF012

    def describe(self):
        raise ConnectionRefusedError("nobody there")


@pytest.mark.parametrize(
    ("broken", "gate"), [(Forgetful, "rows"), (Lying, "exact leg"), (Doubling, "unique ids"), (Failing, "errors")]
)
def test_a_broken_backend_is_found_out(store, data, broken, gate):
    with registry.registered("broken", broken):
        points = measure(store, data, SEARCH, backend="broken")
    assert points["search"].verdict == "invalid"
    assert gate in {name for point in points.values() for name in failed(point)}


def test_dropped_rows_cost_recall(store, data):
    with registry.registered("broken", Lying):
        found = measure(store, data, SEARCH, backend="broken")["search"].search
    assert 0.9 < found.recall.strict < 0.99


@pytest.mark.timing
def test_a_stall_shows_in_the_open_loop(store, data):
    smooth = Workload(kind="open", rate=200, seconds=1.0, concurrency=4, repeats=1, warmup=0)
    with registry.registered("broken", Stalling):
        found = measure(store, data, smooth, backend="broken")["open"].search
    assert found.response.p95 > 20 * MS
    assert found.response.p50 < found.response.p95 / 2
    assert found.rate == 200


def test_a_backend_that_is_away_is_shown_as_such(store, data):
    with registry.registered("broken", Deaf):
        gone = runner.run(
            [runner.Job(data, (SEARCH,), builds=2)],
            [Configuration("away", "broken", {"timeout": 0.1})],
            store,
            isolate=False,
            progress=False,
        )
    assert [point.verdict for point in gone] == ["unavailable"] * 4
    assert "nobody there" in gone[0].gates[0].detail
    # It may be there the next time.
    with registry.registered("broken", SklearnBackend):
        back = runner.run(
            [runner.Job(data, (SEARCH,))],
            [Configuration("away", "broken", {"timeout": 0.1})],
            store,
            isolate=False,
            progress=False,
        )
    assert {point.verdict for point in back} & {"unavailable", "invalid"} == set()


# ---- against the client


class Own(SklearnBackend):
    """The embedded default under another name, so that a client of its own can be given to it."""

    name = "own"


@pytest.mark.timing
def test_overhead_is_that_of_pairs_and_both_sides_must_find_the_same(store, data, monkeypatch):
    def client(vectors, name, metric):
        return lambda query, k: [str(place) for place in knn(query[None], vectors, k, metric)[1][0]]

    def slow(vectors, name, metric):
        search = client(vectors, name, metric)
        return lambda query, k: time.sleep(0.02) or search(query, k)[1:]

    work = Workload(kind="overhead", repeats=1, warmup=2)
    assert "overhead" not in measure(store, data, work)  # it has no client but vecsearch
    with registry.registered("own", Own):
        monkeypatch.setitem(_native.NATIVE, "own", slow)
        point = measure(store, data, work, backend="own")["overhead"]
    assert point.overhead.samples == 60
    assert point.overhead.ratio < 0.6
    assert point.overhead.low <= point.overhead.ratio <= point.overhead.high
    assert point.overhead.difference < -5 * MS
    assert point.verdict == "invalid"
    assert failed(point) == {"same answers"}


# ---- processes


def test_a_process_that_does_not_end_or_dies_is_a_failed_point(store, data, monkeypatch):
    job = runner.Job(data, (SEARCH,))
    build, search = runner.run([job], [configured("sklearn")], store, timeout=0.01, progress=False)
    assert build.verdict == search.verdict == "invalid"
    assert "had not ended after 0.01 s" in build.gates[0].detail
    monkeypatch.setattr("vecsearch.bench.processes._MODULE", "vecsearch.bench.nothing")
    died = runner.run([job], [configured("sklearn")], Store(store.folder / "b"), timeout=60, progress=False)[0]
    assert "ended with 1" in died.gates[0].detail
    assert "vecsearch.bench.nothing" in died.gates[0].detail


# ---- configurations


def test_secrets_and_places_of_the_user_are_not_recorded(monkeypatch, tmp_path):
    monkeypatch.setenv("VECSEARCH_SIMILARITY_QDRANT_API_KEY", "hush-hush")
    pytest.importorskip("qdrant_client")
    found = configured("qdrant", {"url": "http://user:pass@localhost:1", "index_name": "mine"})
    assert found.settings["api_key"] == "hush-hush"
    assert "index_name" not in found.settings
    assert "hush" not in json.dumps(dict(found.shown)) + repr(found)
    assert "pass" not in json.dumps(dict(found.shown)) + repr(found)
    local = configured("sklearn", {"path": str(tmp_path)})
    assert "path" not in local.settings


def test_configurations_by_label_have_frontiers_of_their_own():
    entries = {
        "fast": {"type": "sklearn", "threads": 1},
        "sklearn": {},
    }
    found = several(entries)
    assert [(one.label, one.backend) for one in found] == [("fast", "sklearn"), ("sklearn", "sklearn")]
    assert found[0].shown == {"threads": 1}
    assert found[0].search_params == ({},)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (["nothing"], UnknownBackendError, "nothing"),
        (["sklearn", "sklearn"], InvalidInputError, "named twice"),
        ("sklearn", InvalidInputError, "a list of names"),
        ({"x": 3}, InvalidInputError, "must be a table"),
        ({"sklearn": {"thread": 1}}, ConfigError, "thread"),
        ({"sklearn": {"search_params": [{"ef": 1}]}}, InvalidInputError, "no search parameter 'ef'"),
    ],
)
def test_configurations_that_mean_nothing_are_refused(given, error, said):
    with pytest.raises(error, match=said):
        several(given)


def test_of_all_backends_one_that_lacks_its_settings_is_not_available():
    class Demanding(SklearnConfig):
        """Does not run without."""

        account: str

    class Needy(SklearnBackend):
        """A service."""

        Config = Demanding

    with registry.registered("needy", Needy):
        found = {one.label: one.problem for one in several()}
        with pytest.raises(ConfigError, match="account"):
            several(["needy"])
    assert "account" in found["needy"]
    assert found["sklearn"] is None


def test_a_client_that_is_missing_is_a_backend_that_is_not_available(store, data, monkeypatch):
    def missing(_, name):
        raise MissingDependencyError(f"the {name} backend needs it: pip install it")

    monkeypatch.setattr(Catalogue, "load", missing)
    found = configured("qdrant")
    monkeypatch.undo()
    assert found.problem == "the qdrant backend needs it: pip install it"
    points = runner.run([runner.Job(data, (SEARCH,))], [found], store, isolate=False, progress=False)
    assert [point.verdict for point in points] == ["unavailable"] * 2
    assert "pip install it" in points[0].gates[0].detail
