"""The same rows in every backend: do they give the same answers, and does everything come back as it was put?

    python benchmarks/parity.py [--rows 20000] [--backends sklearn,chroma,lancedb,milvus,qdrant]

WordNet glosses (384 wide) with metadata of every type. The truth is brute force in float64 and Python's own evaluation
of each filter. Exact searches must give the true rows (up to equal distances); the others true distances and no short
answer. Then every backend is copied into every other, and the copy compared whole. Exit code 1: something differs.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np

import vecsearch
from vecsearch import F

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
QUERIES, K, RELATIVE, ABSOLUTE = 200, 10, 1e-4, 1e-5
CLIENTS = {"chroma": "chromadb", "lancedb": "lancedb", "milvus": "milvus-lite", "qdrant": "qdrant-client"}
START = datetime(2026, 1, 1, tzinfo=UTC)

# A filter, and what it means in Python.
FILTERS = {
    "50 %": (F("half") == 1, lambda m: m["half"] == 1),
    "10 %": (F("tenth") == "yes", lambda m: m.get("tenth") == "yes"),
    "1 %": (F("percent") < 1, lambda m: m["percent"] < 1),
    "0.1 %": (F("mille").is_in([7]), lambda m: m["mille"] == 7),
    "one row": (F("number") == 4321, lambda m: m["number"] == 4321),
    "none": (F("pos") == "no such thing", lambda _: False),
    "text": (F("pos") == "verb", lambda m: m["pos"] == "verb"),
    "not text": (F("pos") != "noun", lambda m: m["pos"] != "noun"),
    "one of": (F("lex").is_in([3, 4, 5]), lambda m: m["lex"] in (3, 4, 5)),
    "none of": (~F("lex").is_in([3, 4, 5]), lambda m: m["lex"] not in (3, 4, 5)),
    "float range": ((F("length") > 2.5) & (F("length") <= 5), lambda m: 2.5 < m["length"] <= 5),
    "absent field": (F("rare").exists(), lambda m: "rare" in m),
    "present field": (~F("rare").exists(), lambda m: "rare" not in m),
    "unequal on absent": (F("rare") != "x", lambda m: m.get("rare", "x") != "x"),
    "list member": (F("words").contains("run"), lambda m: "run" in m["words"]),
    "no list member": (~F("words").contains("entity"), lambda m: "entity" not in m["words"]),
    "bool": (F("long") == True, lambda m: m["long"] is True),  # noqa: E712  a filter is built of it
    "instant": (F("seen") >= START + timedelta(hours=5), lambda m: m["seen"] >= START + timedelta(hours=5)),
    "quotes": (F("quoted") == 'it\'s "x" \\ {}', lambda m: m.get("quoted") == 'it\'s "x" \\ {}'),
    "either": ((F("pos") == "verb") | (F("mille") < 20), lambda m: m["pos"] == "verb" or m["mille"] < 20),
}


def rows_of(folder, count):
    """Vectors, ids, metadata and documents."""
    with gzip.open(folder / "glosses.jsonl.gz", "rt") as lines:
        glosses = [json.loads(line) for line in lines]
    chosen = np.sort(np.random.default_rng(1).permutation(len(glosses))[:count])
    glosses = [glosses[number] for number in chosen]
    vectors = np.load(folder / "embeddings-f16.npy", mmap_mode="r")[chosen].astype(np.float32)
    metadata = []
    for number, gloss in enumerate(glosses):
        row = {"number": number, "half": number % 2, "percent": number % 100, "mille": number % 1000}
        row |= {"pos": gloss["pos"], "lex": gloss["lex"], "words": gloss["words"], "length": len(gloss["gloss"]) / 16}
        row |= {"long": len(gloss["gloss"]) > 100, "seen": START + timedelta(minutes=number), "big": 2**60 + number}
        row |= {"tenth": "yes"} if number % 10 == 3 else {}
        row |= {"rare": "xyz"[number % 3]} if number % 50 == 0 else {}
        row |= {"quoted": 'it\'s "x" \\ {}', "name": "Zürich 東京 DROP TABLE x; --"} if number % 500 == 1 else {}
        metadata.append(row)
    documents = [gloss["gloss"] if number % 7 else None for number, gloss in enumerate(glosses)]
    return vectors, [gloss["id"] for gloss in glosses], metadata, documents


class Truth:
    """True distances, by float64."""

    def __init__(self, vectors, metric):
        rows = vectors.astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1)
        self.metric = metric
        self.rows = rows / lengths[:, None] if metric == "cosine" else rows
        self.scale = 1.0 if metric == "cosine" else float(np.median(lengths)) ** (2 if metric == "dotproduct" else 1)

    def distances(self, number):
        if self.metric == "dotproduct":
            return -(self.rows @ self.rows[number])
        difference = self.rows - self.rows[number]
        squared = np.einsum("ij,ij->i", difference, difference)
        return squared / 2 if self.metric == "cosine" else np.sqrt(squared)

    def slack(self, distances):
        return RELATIVE * np.abs(distances) + ABSOLUTE * self.scale


def check(ranking, asked, truth, place, allowed, found, *, exact):
    """One answer against the truth: is it short, are distances wrong, rows out of scope, rows not the nearest?"""
    true = truth.distances(asked)
    numbers = np.array([place[row_id] for row_id in ranking.ids], dtype=np.int64)
    distances = np.asarray(ranking.distances, dtype=np.float64)
    candidates = true if allowed is None else true[allowed]
    wanted = min(K, len(candidates))
    found["searches"] += 1
    found["short"] += len(numbers) < wanted
    found["out of scope"] += 0 if allowed is None else int((~np.isin(numbers, allowed)).sum())
    if not len(numbers):
        return
    error = np.abs(distances - true[numbers])
    found["largest distance difference"] = max(found["largest distance difference"], float(error.max()))
    found["wrong distances"] += int((error > truth.slack(true[numbers])).sum())
    reach = np.partition(candidates, wanted - 1)[wanted - 1]
    beyond = true[numbers] > reach + truth.slack(np.array([reach]))
    found["wrong ids" if exact else "approximate misses"] += int(beyond.sum())


def searched(index, vectors, found, **options):
    """A batch of searches, with leave to scan where that is asked for."""
    try:
        return index.search(vectors, K, include=(), **options)
    except vecsearch.UnsupportedError:
        found["scans"] += len(vectors)
        return index.search(vectors, K, include=(), allow_scan=True, **options)


COUNTS = ("searches", "short", "out of scope", "wrong distances", "wrong ids", "wrong counts", "scans")
COUNTS += ("approximate misses",)


def measured(index, content, truth, scopes, queries):
    """All searches on one backend, and the round trip."""
    vectors, ids, metadata, documents = content
    place = {row_id: number for number, row_id in enumerate(ids)}
    found = dict.fromkeys(COUNTS, 0) | {"largest distance difference": 0.0}
    for exact in (True, False):
        for number, ranking in zip(queries, searched(index, vectors[queries], found, exact=exact), strict=True):
            check(ranking, number, truth, place, None, found, exact=exact)
    for position, (name, (filter_, _)) in enumerate(FILTERS.items()):
        some = queries[position * 10 : position * 10 + 10]
        for exact in (True, False):
            rankings = searched(index, vectors[some], found, filter=filter_, exact=exact)
            for number, ranking in zip(some, rankings, strict=True):
                check(ranking, number, truth, place, scopes[name], found, exact=exact)
        found["wrong counts"] += index.count(filter_, allow_scan=True) != len(scopes[name])
    back = index.get_embeddings(ids).embeddings
    largest = np.abs(vectors).max(axis=1)
    found["vector error"] = float((np.abs(back - vectors).max(axis=1) / largest).max())
    found["metadata differences"] = differing(index.get_metadata(ids), dict(zip(ids, metadata, strict=True)))
    found["document differences"] = differing(index.get_documents(ids), dict(zip(ids, documents, strict=True)))
    return found


def differing(found, put):
    def typed(value):
        return {name: (type(part), part) for name, part in value.items()} if isinstance(value, dict) else value

    return sum(typed(found.get(row_id)) != typed(value) for row_id, value in put.items())


def wrong(found):
    bad = ("short", "out of scope", "wrong distances", "wrong ids", "wrong counts")
    bad += ("metadata differences", "document differences")
    return sum(found[name] for name in bad) + (found["vector error"] > 1e-6)


def filled(backend, metric, content):
    vectors, ids, metadata, documents = content
    return vecsearch.compute_similarity(
        backend=backend, metric=metric, key=f"parity_{backend}", embeddings=vectors, sample_ids=ids,
        metadata=metadata, documents=documents, progress=False,
    )  # fmt: skip


def copies(indexes, metric):
    """Every backend into every other; the copies are deleted again."""
    found = []
    for first, second in itertools.permutations(indexes, 2):
        key = f"from_{first}_to_{second}"
        target = vecsearch.compute_similarity(embeddings=False, metric=metric, backend=second, key=key)
        report = vecsearch.copy_index(indexes[first], target, verify="full", progress=False)
        target.close()
        vecsearch.delete_run(key, cleanup=True)
        figures = {"from": first, "to": second, "rows": report.compared_rows, "seconds": report.seconds}
        figures |= {"vector error": report.largest_vector_error, "overlap": report.overlap, "exact": report.exact}
        figures |= {"distance difference": report.largest_distance_difference, "mismatches": report.mismatches}
        found.append(figures)
        say(f"{first} -> {second}: {report.seconds:.0f} s, {report.mismatches or 'identical'}")
    return found


def say(text):
    print(text, file=sys.stderr, flush=True)


def report(found):
    lines = [
        "# The same rows in every backend",
        "",
        f"`{found['command']}` on {found['machine']}; {', '.join(found['versions'])}.",
        "",
        (
            f"{found['rows']:,} WordNet glosses x {found['dim']}, {found['metric']}, k = {K}; {QUERIES} queries and "
            f"{len(FILTERS)} filters ({', '.join(FILTERS)}). The truth is float64 brute force."
        ),
        "",
        (
            "| backend | searches | largest distance difference | wrong ids, exact | short | filter wrong | "
            "counts wrong | misses, not exact | vector error | metadata, documents changed |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found["backends"].items():
        lines.append(
            f"| {name} | {one['searches']} | {one['largest distance difference']:.1e} | {one['wrong ids']} | "
            f"{one['short']} | {one['out of scope']} | {one['wrong counts']} | {one['approximate misses']} | "
            f"{one['vector error']:.1e} | {one['metadata differences']}, {one['document differences']} |"
        )
    scans = ", ".join(f"{name} {one['scans']}" for name, one in found["backends"].items() if one["scans"])
    lines += [
        "",
        (
            "Largest distance difference: to the true distance of the row returned. Vector error: of a component, as a "
            "share of the row's largest (engines that keep unit vectors give the length back in float32). "
            f"Searches that needed leave to scan: {scans or 'none'}."
        ),
        "",
        "## Copied from each into each, and compared whole",
        "",
        "| from | to | rows compared | vector error | answers that agree | distance difference | differences |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found["copies"]:
        lines.append(
            f"| {one['from']} | {one['to']} | {one['rows']:,} | {one['vector error']:.1e} | {one['overlap']:.4f} | "
            f"{one['distance difference']:.1e} | {'; '.join(one['mismatches']) or 'none'} |"
        )
    return "\n".join([*lines, ""])


def machine():
    with Path("/proc/cpuinfo").open() as file:
        kind = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    return f"{len(os.sched_getaffinity(0))} cores of {kind or platform.processor()}, Python {platform.python_version()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", default=str(ROOT.parent / "shared" / "data" / "wordnet"))
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--metric", default="cosine", choices=["cosine", "euclidean", "dotproduct"])
    parser.add_argument("--backends", default=",".join(["sklearn", *CLIENTS]))
    parser.add_argument("--no-copies", action="store_true")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/parity.md and .json")
    args = parser.parse_args()
    names = args.backends.split(",")
    content = rows_of(Path(args.wordnet), args.rows)
    truth = Truth(content[0], args.metric)
    scopes = {
        name: np.array([number for number, row in enumerate(content[2]) if holds(row)], dtype=np.int64)
        for name, (_, holds) in FILTERS.items()
    }
    queries = np.random.default_rng(0).choice(args.rows, QUERIES, replace=False)
    asked = [f"--{name} {value}" for name, value in (("rows", args.rows), ("metric", args.metric))]
    found = {"command": f"python benchmarks/parity.py {' '.join(asked)} --write", "machine": machine()}
    found["versions"] = [f"{CLIENTS[name]} {version(CLIENTS[name])}" for name in names if name in CLIENTS]
    found |= {"rows": args.rows, "dim": content[0].shape[1], "metric": args.metric, "backends": {}, "copies": []}
    with tempfile.TemporaryDirectory() as home:
        os.environ["VECSEARCH_HOME"] = home
        indexes = {}
        for name in names:
            started = time.perf_counter()
            indexes[name] = filled(name, args.metric, content)
            say(f"{name}: filled in {time.perf_counter() - started:.0f} s")
            found["backends"][name] = measured(indexes[name], content, truth, scopes, queries)
            say(f"{name}: {time.perf_counter() - started:.0f} s, {found['backends'][name]}")
        if not args.no_copies:
            found["copies"] = copies(indexes, args.metric)
        for index in indexes.values():
            index.close()
    text = report(found)
    print(text)
    if args.write:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "parity.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "parity.md").write_text(text, encoding="utf-8")
    if any(map(wrong, found["backends"].values())) or any(one["mismatches"] for one in found["copies"]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
