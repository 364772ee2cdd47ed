"""What the index adds to the core: one query and one write, through vecsearch and straight, in turn in one process.

python benchmarks/overhead.py
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

import vecsearch
from vecsearch import core

ROWS, DIM, RUNS = 1000, 384, 1001
data = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
queries = np.random.default_rng(1).normal(size=(RUNS, 1, DIM)).astype(np.float32)
ids = [str(number) for number in range(ROWS)]
index = vecsearch.compute_similarity(
    embeddings=data, sample_ids=ids, metadata=[{"n": number} for number in range(ROWS)]
)
norms = core.row_norms(data)


def clock(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e3


cases: dict[str, list[float]] = {"core.knn": [], "search, ids only": [], "search, metadata": [], "search, filtered": []}
for query in queries:
    cases["core.knn"].append(clock(lambda q=query: core.knn(q, data, 10, "cosine", norms=norms)))  # type: ignore[misc]
    cases["search, ids only"].append(clock(lambda q=query: index.search(q, 10, include=())))  # type: ignore[misc]
    cases["search, metadata"].append(clock(lambda q=query: index.search(q, 10)))  # type: ignore[misc]
    cases["search, filtered"].append(
        clock(lambda q=query: index.search(q, 10, filter=vecsearch.F("n") >= ROWS // 2))  # type: ignore[misc]
    )
base = statistics.median(cases["core.knn"])
print(f"one query, k=10, {ROWS} x {DIM}, cosine\n\n| | median us | p95 us | over core.knn |\n|---|---|---|---|")
for name, values in cases.items():
    p95 = statistics.quantiles(values, n=20)[-1]
    print(f"| {name} | {statistics.median(values):.0f} | {p95:.0f} | {statistics.median(values) - base:+.0f} us |")
