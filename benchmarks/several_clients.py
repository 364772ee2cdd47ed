"""Several threads that ask the embedded default one query after the other, beside faiss.

    python benchmarks/several_clients.py [--wordnet FOLDER] [--rows 2000,20000,116000] [--seconds 2] [--rounds 5]

Sides take turns, round by round; a ratio is the median of the rounds' ratios. *apart* is vecsearch with `threads` set,
which lets each search run by itself. faiss searches its flat index, the exact one, with one thread a query, or with as
many as there are cores: the better of the two is shown. Writes benchmarks/results/several_clients.md.
"""

import argparse
import shlex
import statistics
import sys
import time
from pathlib import Path

import faiss
import numpy as np
from core_data import load

import vecsearch
from vecsearch.bench import loops
from vecsearch.bench.environment import cores, environment

RESULTS = Path(__file__).resolve().parent / "results" / "several_clients.md"
SIDES = ("vecsearch", "apart", "faiss")
CLIENTS = (1, 2, 4, 8)
CORES = cores()
K, QUERIES = 10, 1000
PAUSE = 0.15  # seconds: the threads of OpenMP spin for a while after their work


def closed_loop(ask, clients, seconds):
    """Queries a second of so many threads, and the 99th percentile of their milliseconds."""
    found = loops.closed(ask, QUERIES, concurrency=clients, repeats=1, seconds=seconds, most_seconds=seconds)
    if found.errors:
        raise RuntimeError(found.error)
    return len(found.service_ns) / found.repeat_seconds[0], float(np.percentile(found.service_ns, 99)) / 1e6


def asked(rows, queries):
    """What asks for a query, by its number, on each side; all answer alike."""
    made = {
        name: vecsearch.compute_similarity(embeddings=rows, metric="cosine", backend="sklearn", **settings)
        for name, settings in (("vecsearch", {}), ("apart", {"threads": CORES}))
    }
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    near = flat.search(queries[:20], K)[0]
    for index in made.values():
        np.testing.assert_allclose([1 - found.distances for found in index.search(queries[:20], K)], near, atol=1e-5)

    def by_faiss(number, cores):
        faiss.omp_set_num_threads(cores)  # of the thread that calls
        flat.search(queries[number : number + 1], K)

    return {
        "vecsearch": lambda number: made["vecsearch"].search(queries[number], K, include=()),
        "apart": lambda number: made["apart"].search(queries[number], K, include=()),
        "faiss": lambda number: by_faiss(number, 1),
        "faiss, all cores": lambda number: by_faiss(number, CORES),
    }


def measure(rows, queries, args):
    """A line of the table for each number of clients."""
    calls = asked(rows, queries)
    for ask in calls.values():
        closed_loop(ask, 1, args.seconds / 4)
    for clients in CLIENTS:
        rate, p99 = ({name: [] for name in calls} for _ in range(2))
        for number in range(args.rounds):
            first = number % len(calls)
            for name in (*list(calls)[first:], *list(calls)[:first]):
                time.sleep(PAUSE)
                queries_a_second, slowest = closed_loop(calls[name], clients, args.seconds)
                rate[name].append(queries_a_second)
                p99[name].append(slowest)
        if statistics.median(rate["faiss, all cores"]) > statistics.median(rate["faiss"]):
            rate["faiss"], p99["faiss"] = rate["faiss, all cores"], p99["faiss, all cores"]
        shown = [
            f"{statistics.median(rate[name]):,.0f} ({min(rate[name]):,.0f}-{max(rate[name]):,.0f})" for name in SIDES
        ]
        for name in SIDES[1:]:
            ratios = [ours / theirs for ours, theirs in zip(rate["vecsearch"], rate[name], strict=True)]
            shown.append(f"**{statistics.median(ratios):.2f}**")
        yield [f"{len(rows):,}", str(clients), *shown, *(f"{statistics.median(p99[name]):.1f}" for name in SIDES)]


def report(lines, args):
    """The page of results."""
    head = ["rows", "clients", *(f"{name}, queries/s" for name in SIDES), "to apart", "to faiss"]
    head += [f"{name}, p99 ms" for name in SIDES]
    machine = environment()
    command = ["FOLDER" if Path(word) == args.wordnet else word for word in sys.argv[1:]]
    data = "WordNet glosses" if args.wordnet else "a mixture of topics"
    return [
        "# Several clients of the embedded default",
        "",
        f"    python benchmarks/several_clients.py {shlex.join(command)}",
        "",
        f"{machine.cpu}, {CORES} cores, {machine.python}, numpy {np.__version__},",
        f"faiss {faiss.__version__}; {data} x 384, cosine, k = {K}. Medians of {args.rounds} rounds (least-most) of",
        f"{args.seconds:g} s. *apart*: each search by itself. A ratio above 1: vecsearch answers more queries.",
        "",
        *(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, help="the folder of the WordNet embeddings; else a mixture of topics")
    parser.add_argument("--rows", default="2000,20000,116000")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    lines = []
    for count in map(int, args.rows.split(",")):
        rows = load("wordnet" if args.wordnet else "mixture", args.wordnet, count + QUERIES, 384)
        order = np.random.default_rng(0).permutation(len(rows))
        for line in measure(rows[order[QUERIES:]], rows[order[:QUERIES]], args):
            print(*line, flush=True)
            lines.append(line)
    RESULTS.write_text("\n".join(report(lines, args)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
