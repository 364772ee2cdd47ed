"""Measure the screened core (int8, bfloat16) beside faiss and beside its own float32 path, and check every answer.

    python benchmarks/screening.py [--wordnet FOLDER] [--runs 5] [--quick]

Ratios are medians of interleaved rounds in one process, with pauses between calls, as in core.py. Single queries are
asked one after the other, 50 of each engine in turn. ``packed`` is what an index keeps; ``cold`` packs the rows in the
call. Every answer is compared: ids and distances with the float32 kernel bit for bit, ids of 1,000 queries of each
data set with a float64 brute force. Writes benchmarks/results/screening.json and screening.md.
"""

import argparse
import json
import statistics
import time

import numpy as np
from core import PAUSE, RESULTS, ROOT, THREADS, interleaved, machine, peak_mib, summary
from core_data import FULL, load

QUERIES, SINGLE, CHECKED = 2048, 50, 1000
SIZES = (15_000, 30_000, 60_000, FULL)
RADIUS = 0.1


def ratios(times, of, to):
    each = sorted(a / b for a, b in zip(times[of], times[to], strict=True))
    return {"median": statistics.median(each), "min": each[0], "max": each[-1]}


def same(found, expected):
    return all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def wrong_ids(queries, rows, found):
    """How many of the ids that are found are no nearest neighbours by float64, ties within 1e-9 aside."""
    wrong = 0
    wide = rows.astype(np.float64)
    for start in range(0, len(queries), 100):
        scores = queries[start : start + 100].astype(np.float64) @ wide.T
        ids = found[start : start + 100]
        least = np.partition(scores, -ids.shape[1], axis=1)[:, -ids.shape[1]]
        wrong += int((np.take_along_axis(scores, ids, axis=1) < least[:, None] - 1e-9).sum())
    return wrong


def measure_knn(args):
    import faiss

    from vecsearch.core import Packed, knn, row_norms

    cases = []
    for data in ("wordnet", "mixture"):
        for d in (128, 384, 768):
            rows = load(data, args.wordnet, args.n, d)
            queries = rows[np.random.default_rng(4).permutation(args.n)[:QUERIES]]
            norms, kept = row_norms(rows), Packed("cosine")
            settings = {"k": 10, "metric": "cosine", "norms": norms, "threads": THREADS}
            calls = {
                "packed": lambda q=queries, x=rows, s=settings, p=kept: knn(q, x, packed=p, **s),
                "cold": lambda q=queries, x=rows: knn(q, x, 10, "cosine", threads=THREADS),
                "float32": lambda q=queries, x=rows, s=settings: knn(q, x, kernel="float32", **s),
                "faiss": lambda q=queries, x=rows: faiss.knn(q, x, 10, metric=faiss.METRIC_INNER_PRODUCT),
            }
            answers = {name: call() for name, call in calls.items() if name != "faiss"}
            times = interleaved(calls, args.runs)
            case = {"data": data, "n": args.n, "d": d, "times": {name: summary(t) for name, t in times.items()}}
            case["ratios"] = {name: ratios(times, "faiss", name) for name in ("packed", "cold", "float32")}
            others = [knn(queries[:300], rows, kernel=kernel, **settings) for kernel in args.kernels]
            others += [knn(queries[:300], rows, 10, "cosine", packed=kept, threads=threads) for threads in (1, 3)]
            case["same"] = all(same(answers[name], answers["float32"]) for name in ("packed", "cold")) and all(
                same(other, [part[:300] for part in answers["float32"]]) for other in others
            )
            case["wrong_ids"] = wrong_ids(queries[:CHECKED], rows, answers["packed"][1][:CHECKED])
            case["bytes_a_row"] = kept.nbytes / args.n
            cases.append(case)
            print(knn_line(case), flush=True)
    return cases


def knn_line(case):
    ms = {name: 1000 * t["median"] for name, t in case["times"].items()}
    faster = {name: f"{r['median']:.2f} ({r['min']:.2f}-{r['max']:.2f})" for name, r in case["ratios"].items()}
    return (
        f"| {case['data']} | {case['d']} | {ms['packed']:.0f} | {ms['cold']:.0f} | {ms['float32']:.0f} | "
        f"{ms['faiss']:.0f} | **{faster['packed']}** | {faster['cold']} | {faster['float32']} | "
        f"{'yes' if case['same'] else 'NO'} | {case['wrong_ids']} |"
    )


def measure_single(args):
    """One client that asks one query after the other."""
    import faiss

    import vecsearch
    from vecsearch.core import Packed, knn, row_norms

    rows = load("wordnet", args.wordnet, args.n, 384)
    norms, kept = row_norms(rows), Packed("cosine")
    flat = faiss.IndexFlatIP(384)
    flat.add(rows)
    index = vecsearch.compute_similarity(
        embeddings=rows, sample_ids=[str(number) for number in range(args.n)], threads=THREADS, progress=False
    )
    calls = {
        "knn, packed": lambda q: knn(q, rows, 10, "cosine", norms=norms, packed=kept, threads=THREADS),
        "index.search": lambda q: index.search(q, k=10, include=()),
        "knn, float32": lambda q: knn(q, rows, 10, "cosine", norms=norms, kernel="float32", threads=THREADS),
        "faiss.IndexFlatIP": lambda q: flat.search(q, 10),
    }
    samples = {name: [] for name in calls}
    for turn in range(args.runs + 1):
        for name, call in calls.items():
            time.sleep(PAUSE)
            for number in range(SINGLE):
                query = rows[(turn * SINGLE + number) * 7 % args.n][None]
                start = time.perf_counter()
                call(query)
                if turn:  # the first round warms up
                    samples[name].append(time.perf_counter() - start)
    return {
        name: {"p50": float(np.percentile(t, 50)), "p95": float(np.percentile(t, 95)), "queries": len(t)}
        for name, t in samples.items()
    }


def pairs(rows, **settings):
    from vecsearch.core import radius_edges

    return sum(len(edges.i) for edges in radius_edges(rows, RADIUS, "cosine", threads=THREADS, **settings))


def measure_pairs(args):
    import faiss

    rows = load("wordnet", args.wordnet, min(50_000, args.n), 384)
    flat = faiss.IndexFlatIP(384)
    flat.add(rows)
    found = {}

    def keep(name, call):
        return lambda: found.__setitem__(name, call())

    calls = {
        "vecsearch": keep("vecsearch", lambda: pairs(rows)),
        "faiss": keep("faiss", lambda: (int(flat.range_search(rows, 1 - RADIUS)[0][-1]) - len(rows)) // 2),
    }
    times = interleaved(calls, args.runs)
    found["float32"] = pairs(rows, kernel="float32")
    times = {
        "n": len(rows),
        "times": {a: summary(t) for a, t in times.items()},
        "ratio": ratios(times, "faiss", "vecsearch"),
    }
    return {**times, "pairs": found}


def measure_growth(args):
    from vecsearch.core import Packed, farthest_first, knn, row_norms

    found = {}
    for n in [size for size in SIZES if size <= args.n]:
        rows = load("wordnet", args.wordnet, n, 384)
        norms, kept = row_norms(rows), Packed("cosine")
        knn(rows[:QUERIES], rows, 10, "cosine", norms=norms, packed=kept)
        work = {
            "2,048 queries": lambda r=rows, m=norms, p=kept: knn(r[:QUERIES], r, 10, "cosine", norms=m, packed=p),
            "50 single queries": lambda r=rows, m=norms, p=kept: [
                knn(r[number : number + 1], r, 10, "cosine", norms=m, packed=p) for number in range(50)
            ],
            "all pairs": lambda r=rows: pairs(r),
            "500 farthest": lambda r=rows, m=norms: farthest_first(r, 500, "cosine", norms=m, threads=THREADS),
        }
        for name, call in work.items():
            times = []
            for _ in range(3):
                time.sleep(PAUSE)
                times.append(peak_mib(lambda c=call: (c(), 0)[1]))
            middle = statistics.median(one["seconds"] for one in times)
            found.setdefault(name, []).append([n, middle, max(one["peak_mib"] for one in times)])
            print(name, found[name][-1], flush=True)
    for points in found.values():
        points.append(float(np.polyfit(*np.log([point[:2] for point in points]).T, 1)[0]))
    return found


def report(found):
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    lines = [
        "# The screened core, measured",
        "",
        f"`{found['command']}`; {facts}. Kernels here: {', '.join(found['kernels'])}.",
        "",
        f"## {QUERIES:,} queries, k = 10, cosine, {found['knn'][0]['n']:,} rows: milliseconds, and times faster",
        "",
        (
            "`packed`: with the packed rows that an index keeps; `cold`: packed within the call, from bare rows; "
            "`float32`: numpy alone. Ratios are faiss's time over ours, median (min-max) of the rounds. `same`: ids "
            "and distances are those of float32, bit for bit, for every kernel and 1, 2 and 3 threads. `wrong ids`: of "
            f"{CHECKED:,} queries, against a float64 brute force."
        ),
        "",
        "| data | d | packed | cold | float32 | faiss.knn | packed: times faster | cold | float32 | same | wrong ids |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *map(knn_line, found["knn"]),
        "",
        "Packed rows take "
        + ", ".join(f"{c['bytes_a_row']:.0f} bytes at d = {c['d']}" for c in found["knn"][:3])
        + " each.",
        "",
        f"## One query at a time, {found['knn'][0]['n']:,} x 384, k = 10, milliseconds",
        "",
        "| | p50 | p95 | faster at p50 | faster at p95 |",
        "|---|---|---|---|---|",
    ]
    theirs = found["single"]["faiss.IndexFlatIP"]
    for name, one in found["single"].items():
        lines.append(
            f"| {name} | {1000 * one['p50']:.2f} | {1000 * one['p95']:.2f} | {theirs['p50'] / one['p50']:.1f} | "
            f"{theirs['p95'] / one['p95']:.1f} |"
        )
    near = found["pairs"]
    seconds = {name: t["median"] for name, t in near["times"].items()}
    ratio = near["ratio"]
    lines += [
        "",
        f"## All pairs within {RADIUS} of {near['n']:,} x 384",
        "",
        (
            f"{seconds['vecsearch']:.2f} s, faiss range search {seconds['faiss']:.2f} s: **{ratio['median']:.1f} times "
            f"faster** ({ratio['min']:.1f}-{ratio['max']:.1f}). Pairs: {near['pairs']['vecsearch']:,}, by float32 "
            f"{near['pairs']['float32']:,}, faiss {near['pairs']['faiss']:,}."
        ),
        "",
        "## How it grows: seconds (MiB at the peak above what was resident), wordnet, d = 384",
        "",
        "| work | " + " | ".join(f"{point[0]:,}" for point in found["growth"]["all pairs"][:-1]) + " | exponent |",
        "|---|" + "---|" * len(found["growth"]["all pairs"]),
    ]
    for name, points in found["growth"].items():
        cells = " | ".join(f"{seconds:.3f} ({peak:.0f})" for _, seconds, peak in points[:-1])
        lines.append(f"| {name} | {cells} | {points[-1]:.2f} |")
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", default=str(ROOT.parent / "shared" / "data" / "wordnet"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="30,000 rows only, nothing is written")
    args = parser.parse_args()
    import faiss
    from threadpoolctl import threadpool_limits

    from vecsearch.core import Facilities

    threadpool_limits(THREADS)
    faiss.omp_set_num_threads(THREADS)
    args.n = 30_000 if args.quick else FULL
    args.kernels = Facilities.here().kernels
    found = {"command": f"python benchmarks/screening.py --runs {args.runs}", "machine": machine()}
    found["kernels"] = args.kernels
    found["single"] = measure_single(args)
    found["pairs"] = measure_pairs(args)
    found["knn"] = measure_knn(args)
    found["growth"] = measure_growth(args)
    text = report(found)
    print(text)
    if not args.quick:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "screening.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "screening.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
