"""hnswlib through the benchmark harness, against a plain loop over hnswlib and against figures measured elsewhere.

    python benchmarks/crosscheck.py --wordnet FOLDER [--queries 10000] [--variants]

20,000 WordNet glosses (384 wide, cosine), k = 10, M 16, ef_construction 200, ef from 10 to 320. The plain loop knows
nothing of vecsearch: it adds the same rows in the same order, asks the same queries, and its ids are compared with
brute force in float64. The figures from elsewhere are of the same glosses, but which rows and queries were drawn is not
known: so many queries are asked, and the sampling error of theirs is told. ``--variants`` builds other graphs to say
what the draw, the order of the rows and the threads change. Writes benchmarks/results/crosscheck.md. Exit code 1:
harness and plain loop differ by more than 0.005, or a point is invalid.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import hnswlib
import numpy as np
from hnswlib_peer import NAME, HnswlibBackend
from parity import machine

import vecsearch
from vecsearch import registry
from vecsearch.bench import datasets, runner, selecting
from vecsearch.bench.configurations import configured
from vecsearch.bench.points import Workload
from vecsearch.bench.store import Store

RESULTS = Path(__file__).resolve().parent / "results"
ROWS, K, EFS, M, EF_CONSTRUCTION, SEED = 20_000, 10, (10, 20, 80, 320), 16, 200, 100
REPEATS, WARMUP, TOLERANCE, WIDE = 3, 100, 0.005, 1.96
EPSILON = 1e-3  # added to the distance of the k-th by ann-benchmarks, whatever the metric is


class Published(NamedTuple):
    strict: float
    epsilon: float
    loop: float


# ann-benchmarks' hnswlib on this set, measured independently, and another plain loop beside it.
SOURCE = "ann-benchmarks' hnswlib on this set, measured independently"
PUBLISHED_QUERIES = 1000
PUBLISHED = {
    10: Published(0.8530, 0.8646, 0.8515),
    20: Published(0.9333, 0.9412, 0.9337),
    80: Published(0.9935, 0.9949, 0.9935),
    320: Published(0.9996, 0.9999, 0.9996),
}


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# ---- through the harness


class Measured(NamedTuple):
    recall: np.ndarray  # strict, a query
    ids: np.ndarray
    p50: float  # nanoseconds
    verdict: str
    failed: list[str]


def through_harness(dataset):
    """What the runner measures, by ef; and the recall of its exact leg."""
    work = Workload(kind="search", k=K, repeats=REPEATS, warmup=WARMUP)
    settings = {"m": M, "ef_construction": EF_CONSTRUCTION, "seed": SEED, "threads": 1}
    found, exact = {}, None
    with registry.registered(NAME, HnswlibBackend), tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "points")
        with vecsearch.config.override(home=folder):
            chosen = configured(NAME, settings, search_params=[{"ef": ef} for ef in EFS])
            points = runner.run([runner.Job(dataset, (work,))], [chosen], store, isolate=False)
        for point in points:
            exact = point.control.exact_recall
            if point.search is None:
                if point.verdict == "invalid" or point.spec.workload.kind != "build":
                    raise SystemExit(f"{point.spec.workload.kind}: {point.verdict}: {point.failed}")
                continue
            arrays = store.arrays(point.key)
            p50 = point.search.service.p50
            found[point.spec.search_params["ef"]] = Measured(
                arrays["recall"], arrays["ids"], p50, point.verdict, [gate.name for gate in point.failed]
            )
    return found, exact


# ---- without it


class Truth:
    """The nearest rows of every query, by brute force in float64; the lower row first where they are as near."""

    def __init__(self, rows, queries):
        self._rows, self._queries = _unit(rows), _unit(queries)
        self.nearest = np.empty((len(queries), K), dtype=np.int64)
        self.reach = np.empty(len(queries))
        for start in range(0, len(queries), 500):
            distances = 1.0 - self._queries[start : start + 500] @ self._rows.T
            reach = np.partition(distances, K - 1, axis=1)[:, K - 1]
            for number, (line, far) in enumerate(zip(distances, reach, strict=True), start):
                near = np.flatnonzero(line <= far)
                self.nearest[number] = near[np.lexsort((near, line[near]))][:K]
            self.reach[start : start + 500] = reach

    def strict(self, ids):
        """The share of the true rows among those found, a query."""
        return np.array([len(set(a) & set(b)) for a, b in zip(ids.tolist(), self.nearest.tolist(), strict=True)]) / K

    def epsilon(self, ids):
        """Recall as ann-benchmarks defines it: what is no farther than the true k-th and a bit counts."""
        distances = 1.0 - np.einsum("qkd,qd->qk", self._rows[ids], self._queries)
        return (distances <= self.reach[:, None] + EPSILON).sum(axis=1) / K


def _unit(vectors):
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def graph_of(rows, threads=1):
    graph = hnswlib.Index(space="cosine", dim=rows.shape[1])
    graph.init_index(max_elements=len(rows), M=M, ef_construction=EF_CONSTRUCTION, random_seed=SEED)
    graph.add_items(rows, np.arange(len(rows)), num_threads=threads)
    graph.set_num_threads(1)
    return graph


def plain_loop(graph, queries, ef):
    """One query at a time: ids, and the median of the times in nanoseconds."""
    graph.set_ef(ef)
    ids, times = np.empty((len(queries), K), dtype=np.int64), []
    for query in queries[:WARMUP]:
        graph.knn_query(query, k=K)
    for _ in range(REPEATS):
        for number, query in enumerate(queries):
            begun = time.perf_counter_ns()
            found, _ = graph.knn_query(query, k=K)
            times.append(time.perf_counter_ns() - begun)
            ids[number] = found[0]
    return ids, float(np.median(times))


# ---- what the draw, the order and the threads change


def variants(vectors, queries):
    """Name, rows, queries and threads of building, of graphs that differ from that of the check in one thing."""

    def drawn(seed):
        order = np.random.default_rng(seed).permutation(len(vectors))
        return order[queries : queries + ROWS], order[:queries]

    kept, asked = drawn(0)
    ordered = np.sort(kept)
    yield "its rows in random order", kept, asked, 1
    yield "its graph built by two threads", ordered, asked, 2
    yield f"{ROWS - PUBLISHED_QUERIES:,} of its rows", np.sort(kept[: ROWS - PUBLISHED_QUERIES]), asked, 1
    for seed in (1, 2):
        other, others = drawn(seed)
        yield f"other rows and queries (seed {seed})", np.sort(other), others, 1
    among = np.random.default_rng(0).permutation(ROWS + queries)
    yield f"of the first {ROWS + queries:,} of the file", np.sort(among[queries:]), among[:queries], 1


def varied(folder, queries):
    vectors = np.load(folder / "embeddings-f16.npy", mmap_mode="r", allow_pickle=False)
    found = []
    for name, kept, asked, threads in variants(vectors, queries):
        some, queried = (vectors[chosen].astype(np.float32) for chosen in (kept, asked))
        truth, graph, recall = Truth(some, queried), graph_of(some, threads), []
        for ef in EFS:
            graph.set_ef(ef)
            recall.append(truth.strict(graph.knn_query(queried, k=K)[0].astype(np.int64)))
        found.append((name, recall))
        say(f"{name}: {', '.join(f'{one.mean():.4f}' for one in recall)}")
    return found


# ---- the report


def error(values, count=None):
    """The standard error of a mean over so many queries."""
    return float(values.std(ddof=1)) / np.sqrt(count or len(values))


def report(args, found, plain, exact, others):
    command = f"python benchmarks/crosscheck.py --queries {args.queries}"
    packages = ", ".join(f"{name} {version(name)}" for name in ("hnswlib", "numpy"))
    lines = [
        "# The harness against a plain loop, and against figures from elsewhere",
        "",
        f"`{command}{' --variants' if others else ''}` on {machine()}; {packages}.",
        "",
        (
            f"{ROWS:,} WordNet glosses x 384, cosine, k = {K}, {args.queries:,} queries held out; hnswlib with M {M}, "
            f"ef_construction {EF_CONSTRUCTION}, built by one thread, asked by one. Recall is strict, by ids; ± is the "
            f"95 % interval over the queries. The harness' exact leg: recall {exact:.4f}."
        ),
        "",
        "## The harness and a plain loop",
        "",
        (
            "The loop adds the same rows in the same order to hnswlib itself, and its ids are compared with brute "
            "force in float64 numpy: no line of vecsearch is in it. The times were taken one side after the other on a "
            "shared machine: they are no comparison of speed. Those of the harness are of whole calls of "
            "`index.search`. A point is noisy where the machine or the harness is in the way of its times."
        ),
        "",
        "| ef | harness | ± | plain loop | difference | same rows found | p50 harness, µs | p50 plain, µs | point |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for ef in EFS:
        ours, (ids, strict, _, p50) = found[ef], plain[ef]
        same = np.mean([set(a) == set(b) for a, b in zip(ours.ids.tolist(), ids.tolist(), strict=True)])
        lines.append(
            f"| {ef} | {ours.recall.mean():.4f} | {WIDE * error(ours.recall):.4f} | {strict.mean():.4f} | "
            f"{ours.recall.mean() - strict.mean():+.4f} | {same:.2%} | {ours.p50 / 1e3:.0f} | {p50 / 1e3:.0f} | "
            f"{ours.verdict}{': ' if ours.failed else ''}{', '.join(ours.failed)} |"
        )
    lines += against_published(found, plain)
    if others:
        lines += [
            "",
            "## What the draw changes",
            "",
            (
                f"The plain loop on graphs that differ in one thing, {args.queries:,} queries each. Brackets: the "
                f"standard error of a mean over {PUBLISHED_QUERIES:,} queries."
            ),
            "",
            f"| | {' | '.join(f'ef {ef}' for ef in EFS)} |",
            f"|---|{'---|' * len(EFS)}",
        ]
        lines += [
            f"| {name} | {' | '.join(f'{one.mean():.4f} ({error(one, PUBLISHED_QUERIES):.4f})' for one in recall)} |"
            for name, recall in others
        ]
    return "\n".join([*lines, ""])


def against_published(found, plain):
    lines = [
        "",
        "## Figures from elsewhere",
        "",
        (
            f"Published is {SOURCE}, with {PUBLISHED_QUERIES:,} queries; another plain loop was measured beside it. "
            "Which rows and queries were drawn for them is not known, so that they have a sampling error of their own, "
            "told as their ±. Least and most: the harness' recall over each "
            f"{PUBLISHED_QUERIES:,} of its queries in turn. z: the difference in standard errors of both."
        ),
        "",
        "| ef | published | ± | harness | ± | difference | within 0.005 | z | least-most of 1,000 | the other loop |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    near, far = [], []
    for ef in EFS:
        known, recall = PUBLISHED[ef], found[ef].recall
        difference = recall.mean() - known.strict
        theirs, own = error(recall, PUBLISHED_QUERIES), error(recall)
        within = abs(difference) <= TOLERANCE
        (near if within else far).append(ef)
        parts = [recall[at : at + PUBLISHED_QUERIES].mean() for at in range(0, len(recall), PUBLISHED_QUERIES)]
        lines.append(
            f"| {ef} | {known.strict:.4f} | {WIDE * theirs:.4f} | {recall.mean():.4f} | {WIDE * own:.4f} | "
            f"{difference:+.4f} | {'yes' if within else 'no'} | {difference / np.hypot(theirs, own):+.1f} | "
            f"{min(parts):.4f}-{max(parts):.4f} | {known.loop:.4f} |"
        )
    lines += [
        "",
        f"Within {TOLERANCE}: ef {', '.join(map(str, near)) or 'none'}; not: {', '.join(map(str, far)) or 'none'}.",
        "",
        (
            "By ann-benchmarks' own definition (a row no farther than the true k-th and 0.001 counts), of the ids of "
            "the plain loop:"
        ),
        "",
        "| ef | published | plain loop | difference |",
        "|---|---|---|---|",
    ]
    for ef in EFS:
        value = plain[ef][2].mean()
        lines.append(f"| {ef} | {PUBLISHED[ef].epsilon:.4f} | {value:.4f} | {value - PUBLISHED[ef].epsilon:+.4f} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", required=True, help="the folder of embeddings-f16.npy and glosses.jsonl.gz")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--variants", action="store_true", help="also other draws, orders and threads")
    args = parser.parse_args()
    loaded = datasets.load(f"wordnet:{args.wordnet}", rows=ROWS, queries=args.queries)
    dataset = selecting.without_fields(loaded)
    found, exact = through_harness(dataset)
    say("the harness: " + ", ".join(f"{found[ef].recall.mean():.4f}" for ef in EFS))
    truth, graph, plain = Truth(dataset.vectors, dataset.queries), graph_of(dataset.vectors), {}
    for ef in EFS:
        ids, p50 = plain_loop(graph, dataset.queries, ef)
        plain[ef] = (ids, truth.strict(ids), truth.epsilon(ids), p50)
    say("the plain loop: " + ", ".join(f"{plain[ef][1].mean():.4f}" for ef in EFS))
    others = [("the graph of the check", [plain[ef][1] for ef in EFS])] if args.variants else []
    others += varied(Path(args.wordnet), args.queries) if args.variants else []
    text = report(args, found, plain, exact, others)
    print(text)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "crosscheck.md").write_text(text, encoding="utf-8")
    differ = any(abs(found[ef].recall.mean() - plain[ef][1].mean()) > TOLERANCE for ef in EFS)
    if differ or exact != 1.0 or any(one.verdict == "invalid" for one in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
