"""Measure four engines through vecsearch and through their own clients: writes, single queries, a million rows.

    python benchmarks/engines.py [--wordnet FOLDER] [--only lancedb,chroma] [--parts writes,queries,small,million]

All run in one process, in turn, each round in another order and in fresh folders, so that other work on the machine
meets both sides; a ratio is the median of the ratios of the rounds. All engines run in this process, so that its CPU
time, which other work disturbs less, is all that a write costs. Queries go to both sides one by one, in turn. A million
rows are written in a process of its own, whose memory is sampled. Writes benchmarks/results/engines.json and
engines.md; what is not measured this time keeps its figures.
"""

import argparse
import gc
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from core_data import wordnet
from engines_native import ENGINES, TABLE, same, versions

import vecsearch

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DIM, K, SMALL = 384, 10, 2000
ROUNDS = {"lancedb": 9, "chroma": 3, "milvus": 3, "qdrant": 3}
QUERIES = {"lancedb": 300, "chroma": 1000, "milvus": 150, "qdrant": 150}
NOTES = "## What the figures say"
MILLION = {"qdrant": 100_000}  # a second a thousand rows, in its local mode


def clock(call):
    start = time.perf_counter()
    kept = call()
    return time.perf_counter() - start, kept


def check(promise, what):
    if not promise:
        raise AssertionError(f"not true: {what}")


def ours(kind, folder):
    """An empty index of ours; the engine is open, as it is on the other side."""
    return vecsearch.compute_similarity(
        embeddings=False, backend=kind.name, metric="cosine", index_name=TABLE, **kind().settings(folder)
    )


def one_write(kind, way, vectors, ids, folder):
    """Seconds until the rows are written, and until a query finds them; CPU seconds; and what was written to."""
    if way == "vecsearch":
        store = ours(kind, folder)
        write, search = lambda: store.add_to_index(vectors, ids), lambda: store.search(vectors[7], K, include=())
    else:
        store = kind()
        store.open(folder, vectors.shape[1])
        write, search = lambda: store.write(vectors, ids, way), lambda: store.search(vectors[7], K)
    busy = time.process_time()
    written, _ = clock(write)
    busy = time.process_time() - busy
    first, found = clock(search)
    check(len(found[0]) == K, "the rows are found")
    return {"written": written, "searchable": written + first, "cpu": busy}, store


def measure_writes(kind, vectors, ids, rounds, folder):
    """Rounds of all ways, each round begun by another; the first, in which everything is loaded, does not count."""
    ways = ["vecsearch", *kind.ways]
    times = {way: {"written": [], "searchable": [], "cpu": []} for way in ways}
    for number in range(-1, rounds):
        few = slice(None) if number >= 0 else slice(2000)
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            place = folder / f"{number}-{ways.index(way)}"
            gc.collect()
            seconds, store = one_write(kind, way, vectors[few], ids[few], place)
            store.close()
            shutil.rmtree(place, ignore_errors=True)
            if number >= 0:
                for what, value in seconds.items():
                    times[way][what].append(value)
                print(f"{kind.name}: {way}: {seconds}", flush=True)
    return times


def measure_queries(kind, vectors, ids, queries, folder):
    """Microseconds of each query on both sides, and whether the answers are the same."""
    _, index = one_write(kind, "vecsearch", vectors, ids, folder / "store")
    native = kind()
    native.of(index)
    times = {"ours": [], "theirs": []}
    for number, query in enumerate(queries):
        calls = [
            ("ours", lambda q=query: index.search(q, K, include=())[0]),
            ("theirs", lambda q=query: native.search(q, K)),
        ]
        found = {}
        for side, call in calls[:: 1 if number % 2 else -1]:
            seconds, found[side] = clock(call)
            times[side].append(1e6 * seconds)
        check(same(found["ours"], found["theirs"]), f"both sides answer query {number} alike")
    index.close()
    warm = len(queries) // 10
    return {side: values[warm:] for side, values in times.items()}


def interval(values, of=statistics.median, draws=2000):
    """A figure and its 95 % interval by bootstrap over the queries."""
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(values), (draws, len(values)))
    drawn = np.sort([of(np.asarray(values)[pick]) for pick in picks])
    return {"value": float(of(np.asarray(values))), "low": drawn[int(0.025 * draws)], "high": drawn[int(0.975 * draws)]}


def query_summary(times):
    pairs = np.column_stack([times["ours"], times["theirs"]])
    return {
        "queries": len(pairs),
        "us": {
            side: {"p50": float(np.median(values)), "p95": float(np.quantile(values, 0.95))}
            for side, values in times.items()
        },
        "p50_ratio": interval(pairs, lambda some: float(np.median(some[:, 0]) / np.median(some[:, 1]))),
        "difference_us": interval(pairs, lambda some: float(np.median(some[:, 0] - some[:, 1]))),
    }


def write_summary(times):
    found = {}
    for way, kinds in times.items():
        found[way] = {
            what: {"median": statistics.median(values), "min": min(values), "max": max(values), "all": values}
            for what, values in kinds.items()
        }
        if way != "vecsearch":
            for what, values in kinds.items():
                pairs = zip(times["vecsearch"][what], values, strict=True)
                found[way][what]["ratio"] = statistics.median(a / b for a, b in pairs)
    return found


# ---- a million rows


def resident():
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def child(args):
    """``index.ingest`` of a mapped file in this process; prints one line of JSON."""
    kind = ENGINES[args.child]
    rows = len(np.load(args.file, mmap_mode="r"))
    ids = [f"row-{number:08}" for number in range(rows)]
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        index = ours(kind, Path(folder) / "store")
        index.add_to_index(np.eye(1, np.load(args.file, mmap_mode="r").shape[1]), ["first"])  # what is loaded is loaded
        before, peak, done = resident(), [0.0], threading.Event()

        def sample():
            while not done.wait(0.02):
                peak[0] = max(peak[0], resident())

        sampler = threading.Thread(target=sample)
        sampler.start()
        seconds, receipt = clock(lambda: index.ingest(args.file, sample_ids=ids))
        done.set()
        sampler.join()
        check((receipt.written, len(index)) == (rows, rows + 1), "all rows are in")
        index.close()
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_mib": peak[0] - before}))


def measure_million(kind, args):
    """Clusters of 128 dimensions in a file, so that the vector index that some engines make has work to do."""
    rows = args.rows_of_million or MILLION.get(kind.name, 1_000_000)
    rng = np.random.default_rng(6)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "rows.npy"
        held = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, 128))
        centres = rng.standard_normal((1000, 128), dtype=np.float32)
        for start in range(0, rows, 50_000):
            part = held[start : start + 50_000]
            part[:] = centres[rng.integers(0, 1000, len(part))] + rng.standard_normal(part.shape, dtype=np.float32)
        held.flush()
        del held
        command = [sys.executable, __file__, "--child", kind.name, "--file", str(path), "--folder", folder]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  this file
    found = json.loads(answer.stdout.splitlines()[-1])
    print(f"{kind.name}: {found}", flush=True)
    return found


# ---- the report


def machine():
    names = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return {
        "cpu": names[0].split(":")[1].strip(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def report(found):
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    engines = found["engines"]
    used = ", ".join(f"{n} {v}" for one in engines.values() for n, v in one["versions"].items())
    lines = [
        "# The engines, through vecsearch and by their own clients",
        "",
        f"`{found['command']}`; {facts}; {used}.",
        "",
        "The machine was shared while this ran: ratios of interleaved rounds stand that better than times do.",
        "",
        "## Writing 50,000 x 384 with ids into an empty store, seconds",
        "",
        (
            "WordNet glosses, cosine. To create the table or collection is part of the time on both sides, to open the "
            "store is not; *searchable* is the time until a query has found ten rows. A ratio is vecsearch's time to "
            "the client's: below 1 vecsearch is the faster one."
        ),
        "",
        "| engine | way | written, median (min-max) | searchable | CPU | ratio: written | searchable | CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in engines.items():
        for way, times in one.get("writes", {}).items():
            spread = times["written"]
            ratios = [f"**{times[what]['ratio']:.2f}**" if "ratio" in times[what] else "" for what in times]
            lines.append(
                f"| {name} | {way} | {spread['median']:.2f} ({spread['min']:.2f}-{spread['max']:.2f}) | "
                f"{times['searchable']['median']:.2f} | {times['cpu']['median']:.2f} | {' | '.join(ratios)} |"
            )
    lines += ["", "The clients' own ways:", ""]
    lines += [f"- {name}, {way}: {text}." for name in engines for way, text in ENGINES[name].ways.items()]
    lines += [
        "",
        "## One query, k = 10, ids and distances, microseconds",
        "",
        (
            "Asked of both sides in turn, query by query, of one store that vecsearch has written, with those "
            "50,000 rows, and with 2,000 of them, where the engine's own time hides less; brackets are 95 % bootstrap "
            "intervals. The answers of both sides were compared and are the same."
        ),
        "",
        "| engine | rows | queries | vecsearch p50 | p95 | client p50 | p95 | ratio of p50 | median difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    asked = [(name, one, part) for part in ("queries", "small") for name, one in engines.items() if part in one]
    for name, one, part in asked:
        q, rows = one[part], SMALL if part == "small" else 50_000
        mine, theirs, r, d = q["us"]["ours"], q["us"]["theirs"], q["p50_ratio"], q["difference_us"]
        lines.append(
            f"| {name} | {rows:,} | {q['queries']} | {mine['p50']:,.0f} | {mine['p95']:,.0f} | "
            f"{theirs['p50']:,.0f} | {theirs['p95']:,.0f} | **{r['value']:.3f}** [{r['low']:.3f}, {r['high']:.3f}] | "
            f"{d['value']:+,.0f} [{d['low']:+,.0f}, {d['high']:+,.0f}] |"
        )
    large = {name: one["million"] for name, one in engines.items() if one.get("million")}
    if large:
        lines += [
            "",
            "## `index.ingest` of a mapped `.npy`, 128 wide, in a process of its own",
            "",
            (
                "Memory is the peak of anonymous memory above what was there before: the 8 bytes an id by which "
                "repeats are found are in it, and what the engine keeps. The indexes that it makes are in the time."
            ),
            "",
            "| engine | rows | seconds | rows a second | peak MiB |",
            "|---|---|---|---|---|",
        ]
        for name, one in large.items():
            rate = one["rows"] / one["seconds"]
            lines.append(f"| {name} | {one['rows']:,} | {one['seconds']:.1f} | {rate:,.0f} | {one['peak_mib']:.0f} |")
    return "\n".join([*lines, "", *notes()])


def notes():
    """What somebody wrote at the end of the report, and which stays."""
    written = RESULTS / "engines.md"
    text = written.read_text(encoding="utf-8") if written.exists() else ""
    return [NOTES + text.partition(NOTES)[2]] if NOTES in text else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", default=str(ROOT.parent / "shared" / "data" / "wordnet"))
    parser.add_argument("--only", default=",".join(ENGINES), help="engines, by commas")
    parser.add_argument("--rows", type=int, default=50_000, help="less than 50,000: nothing is written")
    parser.add_argument("--rounds", type=int, help="of writes; by default 9, or 3 where a write takes long")
    parser.add_argument("--queries", type=int)
    parser.add_argument("--folder", help="where the stores lie")
    parser.add_argument("--parts", default="writes,queries,small", help="of these and million")
    parser.add_argument("--rows-of-million", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "Local mode is not recommended")
    os.environ.setdefault("VECSEARCH_HOME", tempfile.mkdtemp(prefix="vecsearch-bench-"))
    if args.child:
        child(args)
        return
    kept = RESULTS / "engines.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {"engines": {}}
    found["command"] = "python benchmarks/engines.py --parts writes,queries,small"
    found["machine"] = machine()
    rows = wordnet(args.wordnet, args.rows + 1000, DIM)
    vectors, held_out = np.ascontiguousarray(rows[: args.rows]), rows[args.rows :]
    ids = [f"row-{number:06}" for number in range(args.rows)]
    for name in args.only.split(","):
        kind = ENGINES[name]
        if versions(kind) is None:
            print(f"{name}: not installed")
            continue
        one = {"versions": versions(kind), "date": datetime.now(UTC).date().isoformat()}
        before = found["engines"].get(name, {})
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            place = Path(folder)
            if "writes" in args.parts:
                one["writes"] = write_summary(measure_writes(kind, vectors, ids, args.rounds or ROUNDS[name], place))
            queries = held_out[: args.queries or QUERIES[name]]
            for part, few in (("queries", None), ("small", SMALL)):
                if part in args.parts:
                    times = measure_queries(kind, vectors[:few], ids[:few], queries, place / part)
                    one[part] = query_summary(times)
                    print(one[part], flush=True)
        if "million" in args.parts:
            one["million"] = measure_million(kind, args)
        found["engines"][name] = {**before, **one}
        if args.rows >= 50_000:
            kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = report(found)
    print(text)
    if args.rows >= 50_000:
        (RESULTS / "engines.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
