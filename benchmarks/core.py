"""Measure the core beside faiss, scikit-learn and the bare matrix product.

    python benchmarks/core.py [--wordnet FOLDER] [--runs 5] [--quick]

All run in one process, in turn (a, b, c, a, b, c...), so that other work on the machine meets each of them; a ratio
is the median of the ratios of the rounds. Between two calls lies a pause: the idle threads of a BLAS or of OpenMP
spin for some ten milliseconds after their work, and would take a core from whoever comes next. Memory is measured in
fresh processes, as the peak above what was resident before the call. Writes benchmarks/results/core.json and core.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from core_data import FULL, load

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
QUERIES, SKLEARN_QUERIES = 2048, 128
THREADS = 2
PAUSE = 0.15  # seconds
THRESH = 0.2  # of cosine distance: pairs of glosses closer than this say nearly the same


def resident(name):
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(name)


def peak_mib(call):
    """MiB resident at the peak of a call above what was resident before it."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
    before = resident("VmRSS")
    start = time.perf_counter()
    kept = call()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_mib": resident("VmHWM") - before, "result": kept}


def product(queries, rows):
    """The bare product, in blocks that stay in cache, BLAS on all threads."""
    out = np.empty((len(queries), 2048), dtype=np.float32)
    for start in range(0, len(rows), 2048):
        block = rows[start : start + 2048]
        np.matmul(queries, block.T, out=out[:, : len(block)])


def interleaved(calls, runs):
    times = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return times


def summary(times):
    return {"median": statistics.median(times), "min": min(times), "max": max(times), "runs": len(times)}


def ratio(times, of, to):
    return statistics.median(a / b for a, b in zip(times[of], times[to], strict=True))


def measure_knn(args):
    import faiss
    from sklearn.neighbors import NearestNeighbors

    from vecsearch.core import knn

    cases = []
    sizes = [20_000] if args.quick else [20_000, FULL]
    for data in ("wordnet", "mixture"):
        for n in sizes:
            for d in (64, 384, 768):
                rows = load(data, args.wordnet, n, d)
                queries = rows[np.random.default_rng(4).permutation(n)[:QUERIES]]
                slow = NearestNeighbors(algorithm="brute", metric="cosine", n_jobs=THREADS).fit(rows)
                for k in (1, 10, 100):
                    calls = {
                        "vecsearch": lambda q=queries, x=rows, k=k: knn(q, x, k, "cosine", threads=THREADS),
                        "faiss": lambda q=queries, x=rows, k=k: faiss.knn(q, x, k, metric=faiss.METRIC_INNER_PRODUCT),
                        "product": lambda q=queries, x=rows: product(q, x),
                    }
                    interleaved(calls, 1)
                    times = interleaved(calls, args.runs)
                    few = queries[:SKLEARN_QUERIES]
                    theirs = interleaved({"sklearn": lambda s=slow, q=few, k=k: s.kneighbors(q, k)}, 2)["sklearn"]
                    case = {"data": data, "n": n, "d": d, "k": k, "times": {a: summary(t) for a, t in times.items()}}
                    case["to_faiss"] = ratio(times, "vecsearch", "faiss")
                    case["to_product"] = ratio(times, "vecsearch", "product")
                    each = case["times"]["vecsearch"]["median"] / QUERIES
                    case["to_sklearn"] = each / (min(theirs) / SKLEARN_QUERIES)
                    cases.append(case)
                    print(knn_line(case), flush=True)
    return cases


def knn_line(case):
    ms = {name: 1000 * t["median"] for name, t in case["times"].items()}
    spread = case["times"]["vecsearch"]
    return (
        f"| {case['data']} | {case['n']:,} | {case['d']} | {case['k']} | {ms['vecsearch']:,.0f} "
        f"({1000 * spread['min']:,.0f}-{1000 * spread['max']:,.0f}) | {ms['faiss']:,.0f} | {ms['product']:,.0f} "
        f"| {case['to_faiss']:.2f} | {case['to_product']:.2f} | {case['to_sklearn']:.3f} |"
    )


def measure_few(args):
    """One query, where reading the rows is all there is to do."""
    import faiss

    from vecsearch.core import knn, row_norms

    n = 20_000 if args.quick else FULL
    rows = load("wordnet", args.wordnet, n, 384)
    norms = row_norms(rows)
    cases = []
    for q in (1, 16):
        queries = rows[:q].copy()
        calls = {
            "vecsearch": lambda q=queries: knn(q, rows, 10, "cosine", norms=norms, threads=THREADS),
            "faiss": lambda q=queries: faiss.knn(q, rows, 10, metric=faiss.METRIC_INNER_PRODUCT),
            "product": lambda q=queries: q @ rows.T,
        }
        interleaved(calls, 2)
        times = interleaved(calls, 4 * args.runs)
        cases.append(
            {
                "q": q,
                "n": n,
                "times": {a: summary(t) for a, t in times.items()},
                "to_faiss": ratio(times, "vecsearch", "faiss"),
                "to_product": ratio(times, "vecsearch", "product"),
            }
        )
    return cases


def child(args):
    """One measurement in a fresh process; prints one line of JSON."""
    import faiss
    from threadpoolctl import threadpool_limits

    from vecsearch.core import farthest_first, knn, radius_edges

    threadpool_limits(THREADS)
    faiss.omp_set_num_threads(THREADS)
    what, n, d = args.child, args.n, args.d
    rows = load("wordnet", args.wordnet, n, d)
    queries = rows[:QUERIES].copy()
    small = rows[:600].copy()
    knn(small, small, 5, "cosine")  # threads, BLAS buffers and imports are not what is asked

    def faiss_range():
        index = faiss.IndexFlatIP(d)
        index.add(rows)
        limits, _, _ = index.range_search(rows, 1 - THRESH)
        return (int(limits[-1]) - n) // 2

    calls = {
        "knn": lambda: knn(queries, rows, 100, "cosine", threads=THREADS)[0].shape[1],
        "radius": lambda: sum(len(edges.i) for edges in radius_edges(rows, THRESH, "cosine", threads=THREADS)),
        "faiss_range": faiss_range,
        "farthest": lambda: len(farthest_first(rows, 500, "cosine", threads=THREADS)[0]),
    }
    print(json.dumps(peak_mib(calls[what])))


def fresh(args, what, n, d=384):
    command = [sys.executable, __file__, "--child", what, "--n", str(n), "--d", str(d), "--wordnet", args.wordnet]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    print(what, n, d, found, flush=True)
    return {"what": what, "n": n, "d": d, **found}


def measure_fresh(args):
    full = 20_000 if args.quick else FULL
    found = [fresh(args, "knn", full, 768)]
    for n in sorted({20_000, full}):
        for _ in range(args.runs if n < FULL else 1):
            found += [fresh(args, "radius", n), fresh(args, "faiss_range", n)]
    found += [fresh(args, "farthest", full) for _ in range(args.runs)]
    return found


def measure_greedy():
    from vecsearch.core import greedy_keep

    rng = np.random.default_rng(5)
    n, e = 1_000_000, 20_000_000
    i = rng.integers(0, n - 1, e)
    j = i + 1 + (rng.integers(0, n, e) % (n - 1 - i))
    distance = rng.random(e)
    found = peak_mib(lambda: int(greedy_keep(n, i, j, distance).keep.sum()))
    return {"n": n, "edges": e, **found}


def machine():
    import faiss
    import sklearn

    names = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return {
        "cpu": names[0].split(":")[1].strip(),
        "cores": os.cpu_count(),
        "threads": THREADS,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "faiss": faiss.__version__,
        "scikit-learn": sklearn.__version__,
        "load_before": os.getloadavg()[1],
    }


def report(found):
    cases = found["knn"]
    middle = {
        name: statistics.median(case[name] for case in cases) for name in ("to_faiss", "to_product", "to_sklearn")
    }
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    lines = [
        "# The exact core, measured",
        "",
        f"`{found['command']}`; {facts}.",
        "",
        "The machine was shared while this ran; ratios of interleaved rounds stand that better than times do.",
        "",
        f"## k nearest neighbours, cosine, {QUERIES} queries, milliseconds",
        "",
        (
            f"Median over the cases: **{middle['to_faiss']:.2f}** of the time of `faiss.knn`, "
            f"**{middle['to_product']:.2f}** of the bare float32 product, {middle['to_sklearn']:.3f} of scikit-learn's "
            f"brute force (a query, from {SKLEARN_QUERIES}). Norms are not cached. Below 1 is faster."
        ),
        "",
        "| data | n | d | k | vecsearch, median (min-max) | faiss | product | to faiss | to product | to sklearn |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(knn_line, cases),
        "",
        "## Few queries (k = 10, d = 384, cached norms), milliseconds",
        "",
        "| queries | n | vecsearch | faiss | product | to faiss | to product |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in found["few"]:
        ms = [f"{1000 * case['times'][name]['median']:.1f}" for name in ("vecsearch", "faiss", "product")]
        lines.append(
            f"| {case['q']} | {case['n']:,} | {' | '.join(ms)} | {case['to_faiss']:.2f} | {case['to_product']:.2f} |"
        )
    lines += [
        "",
        "## In fresh processes: seconds, and MiB at the peak above rows and queries",
        "",
        (
            f"`radius` and `faiss_range` find all pairs within cosine {THRESH}; `farthest` chooses 500; `knn` is "
            "2,048 x 100 and includes its result (3 MiB). faiss holds a copy of the rows in its index."
        ),
        "",
        "| what | n | d | seconds, median (min-max) | peak MiB | result |",
        "|---|---|---|---|---|---|",
    ]
    for key in dict.fromkeys((one["what"], one["n"], one["d"]) for one in found["fresh"]):
        same = [one for one in found["fresh"] if (one["what"], one["n"], one["d"]) == key]
        seconds, peak = [one["seconds"] for one in same], max(one["peak_mib"] for one in same)
        lines.append(
            f"| {key[0]} | {key[1]:,} | {key[2]} | {statistics.median(seconds):.2f} ({min(seconds):.2f}-"
            f"{max(seconds):.2f}) | {peak:.0f} | {same[0]['result']:,} |"
        )
    greedy = found["greedy"]
    lines += [
        "",
        (
            f"Greedy over {greedy['edges']:,} random edges of {greedy['n']:,} rows: {greedy['seconds']:.1f} s, "
            f"{greedy['peak_mib']:.0f} MiB, {greedy['result']:,} kept."
        ),
        "",
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", default=str(ROOT.parent / "shared" / "data" / "wordnet"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="20,000 rows only, nothing is written")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--d", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    import faiss
    from threadpoolctl import threadpool_limits

    threadpool_limits(THREADS)
    faiss.omp_set_num_threads(THREADS)
    found = {"command": f"python benchmarks/core.py --runs {args.runs}", "machine": machine()}
    found["fresh"] = measure_fresh(args)
    found["greedy"] = measure_greedy()
    found["few"] = measure_few(args)
    found["knn"] = measure_knn(args)
    text = report(found)
    print(text)
    if not args.quick:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "core.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "core.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
