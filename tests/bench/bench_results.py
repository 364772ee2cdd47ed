"""A made-up run over several engines, with everything a report shows."""

import numpy as np
from bench_points import MACHINE

from vecsearch.bench.points import (
    BackendFacts,
    Control,
    DatasetFacts,
    FilterSpec,
    Gate,
    Load,
    Overhead,
    Point,
    Recall,
    Reopen,
    Resources,
    Search,
    Spec,
    Stream,
    Times,
    Workload,
)

MACHINE = MACHINE.model_copy(update={"packages": {"vecsearch": "0.1.0", "numpy": "2.3.0"}, "memory_bytes": 8 * 2**30})
ENGINES = {
    "flat": (0.0, 900.0, "embedded"),
    "quick": (0.3, 9000.0, "embedded"),
    "served": (0.2, 1500.0, "local-server"),
}
MIB = 2**20


def times(p50_ms, samples=3000):
    values = [p50_ms * factor * 1e6 for factor in (1.05, 1, 1.4, 1.6, 2.5, 6, 9)]
    mean, p50, p90, p95, p99, p999, most = values
    if samples < 1000:
        p99 = None
    return Times(samples=samples, mean=mean, p50=p50, p90=p90, p95=p95, p99=p99,
                 p999=p999 if samples >= 10_000 else None, max=most)  # fmt: skip


def a_spec(label, kind="search", params=None, build=0, **workload):
    return Spec(
        dataset="mixture",
        dataset_sha256="ab" * 32,
        rows=20_000,
        dim=384,
        metric="cosine",
        label=label,
        backend=label,
        search_params=params or {},
        build=build,
        settings={"m": 16},
        workload=Workload(kind=kind, **workload),
    )


def a_result(spec, verdict="valid", **fields):
    known = spec.label in ENGINES
    facts = BackendFacts(
        deployment=ENGINES[spec.label][2] if known else "embedded",
        client={f"{spec.label}-client": "1.2.3"},
        settings={"m": 16, "metric": "cosine"},
        exactness="always" if spec.label == "flat" else "on_request",
    )
    gates = [
        Gate(name="rows", passed=True, detail="20,000 of 20,000"),
        Gate(name="exact", passed=True, detail="1.0000"),
    ]
    given = {"backend": facts, "gates": gates, "control": Control(null_qps=90_000.0, load_average=0.6)} | fields
    data = DatasetFacts(queries=1000, duplicates=0, lid_median=24.2, relative_contrast=1.24)
    return Point(run_id="r1", spec=spec, dataset=data, environment=MACHINE, verdict=verdict, **given)


def a_search(recall, qps, concurrency=1, samples=3000, **fields):
    around = [qps * 0.96, qps, qps * 1.03]
    p50 = 1e3 * concurrency / qps
    found = Recall(strict=recall, tied=min(1.0, recall + 0.002), p5=max(0.0, recall - 0.2), low=0.1, short=0.0)
    given = {"recall": found, "asked": samples, "qps": qps, "qps_repeats": around} | fields
    return Search(service=times(p50, samples), p50_repeats=[1e9 / one for one in around], **given)


def searches(label):
    miss, speed, _ = ENGINES[label]
    settings = [(0, {})] if miss == 0 else [(step, {"ef": 10 * 2**step}) for step in range(6)]
    for step, params in settings:
        recall, base = 1 - miss / 3**step, speed / 1.7**step
        for build in range(2):
            for clients in (1, 2, 4):
                qps = base * (1 + 0.02 * build) * clients / (1 + 0.25 * (clients - 1))
                spec = a_spec(label, params=params, build=build, concurrency=clients)
                yield a_result(spec, "noisy" if label == "quick" and step == 3 else "valid",
                               search=a_search(recall, qps, clients))  # fmt: skip


def others(label):
    miss, speed, _ = ENGINES[label]
    params = {} if miss == 0 else {"ef": 40}
    for rate in (100, 200, 400, 800):
        slow = times(1e3 / speed * (1 + (rate / speed) ** 2 * 20))
        quick = a_search(1 - miss / 9, speed, response=slow)
        search = quick.model_copy(update={"qps": rate * 0.99, "rate": float(rate)})
        yield a_result(a_spec(label, "open", params, rate=rate), search=search)
    for correlation, factor in {"correlated": 0.5, "random": 1, "anti": 3}.items():
        for passing in (0.01, 0.1, 0.5, 0.99):
            named = FilterSpec(name=f"{correlation} {passing:.0%}", tree={"tag": {"$eq": "x"}}, pass_rate=passing,
                               correlation=correlation, lift=1.0)  # fmt: skip
            recall = max(0.0, 1 - miss * factor / 5 / passing**0.4)
            yield a_result(a_spec(label, "filtered", params, filter=named), search=a_search(recall, speed / 3))
    for build in range(3):
        seconds = 10.0 / (1 + miss) + build
        load = Load(rows=20_000, insert_seconds=seconds * 0.3, searchable_seconds=seconds,
                    rows_per_second=20_000 / seconds, cpu_seconds=seconds * 1.8)  # fmt: skip
        use = Resources(disk_bytes=40 * MIB, memory_peak=int(90 * MIB * (1 + miss)), memory_steady=70 * MIB,
                        memory_base=30 * MIB)  # fmt: skip
        yield a_result(a_spec(label, "build", build=build), load=load, resources=use)
    yield a_result(a_spec(label, "batch", params, batch=100), search=a_search(1 - miss / 9, speed * 2))
    yield a_result(a_spec(label, "reopen"), reopen=Reopen(open_seconds=0.2, first_query_seconds=0.05, warm_p50=8e5))
    stream = Stream(inserted=5000, seconds=10, rows_per_second=500)
    yield a_result(a_spec(label, "stream", rate=500), stream=stream, search=a_search(0.97, 50))
    ratio = Overhead(samples=2000, native=times(1.0), ours=times(1.04), ratio=1.04, low=1.02, high=1.06,
                     difference=41_000.0, same_answers=1.0)  # fmt: skip
    yield a_result(a_spec(label, "overhead"), overhead=ratio)


def a_run():
    """All of it, and results that do not count."""
    points = [point for label in ENGINES for make in (searches, others) for point in make(label)]
    broken = Gate(name="rows", passed=False, detail="19,000 of 20,000 rows")
    points.append(a_result(a_spec("broken"), "invalid", gates=[broken], search=a_search(0.95, 50_000.0)))
    absent = Gate(name="available", passed=False, detail="pip install 'vecsearch[absent]'", verdict="unavailable")
    points.append(a_result(a_spec("absent"), "unavailable", gates=[absent], backend=None))
    return points


def raw(point, seed=0, slower=1.0, repeats=3, queries=200):
    """Arrays as a search leaves them: each query once a repeat."""
    generator = np.random.default_rng([seed, int(point.key, 16) % 2**32])
    hard = np.random.default_rng(1).lognormal(13.0, 0.3, queries)
    service = np.concatenate([hard * generator.lognormal(0, 0.05, queries) for _ in range(repeats)]) * slower
    count = np.arange(queries)
    return {
        "service_ns": service.astype(np.int64),
        "query": np.tile(count, repeats),
        "repeat": np.repeat(np.arange(repeats), queries),
        "recall": np.clip(np.random.default_rng(2).normal(0.95, 0.05, queries), 0, 1),
    }
