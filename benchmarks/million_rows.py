"""A million rows in the embedded backend: written in batches, saved, opened in a fresh process, searched.

    python benchmarks/million_rows.py [--rows 1000000] [--dim 128]

Times are of one run; "opened" runs are processes of their own, and the time is from the first call to the first answer
(imports apart).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vecsearch.backends.base import Rows, Spec, Where
from vecsearch.backends.sklearn import SklearnBackend, SklearnConfig
from vecsearch.filters import F

ALL = frozenset({"vectors", "fields", "documents"})
FIELDS = frozenset({"fields"})
TENANTS = 100


class Clock:
    """Lines of a table, and how long each took."""

    def __init__(self):
        self.lines = {}

    def __call__(self, what, function):
        started = time.perf_counter()
        result = function()
        self.lines[what] = time.perf_counter() - started
        return result


def resident():
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def opened(path):
    return SklearnBackend(SklearnConfig(path=None if path is None else str(path)))


def search(made, query, k=10, where=None):
    return made.search(query, k, where, include=FIELDS, exact=True, params={})


def best(function, times=5):
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return min(taken)


def batches(rows, dim, size):
    rng = np.random.default_rng(0)
    for start in range(0, rows, size):
        stop = min(rows, start + size)
        fields = [{"tenant": f"t{number % TENANTS}", "n": number} for number in range(start, stop)]
        ids = [f"row-{number:08}" for number in range(start, stop)]
        yield Rows(ids, rng.standard_normal((stop - start, dim), dtype=np.float32), fields)


def write(path, rows, dim):
    clock, made = Clock(), opened(path)
    made.create(Spec(dim, "cosine"))
    taken = []
    for batch in batches(rows, dim, 10_000):
        started = time.perf_counter()
        made.upsert(batch)
        taken.append(time.perf_counter() - started)
        del batch
    clock.lines["upsert, batches of 10,000, all"] = sum(taken)
    tenth = max(1, len(taken) // 10)
    clock.lines["  of it the first tenth"] = sum(taken[:tenth])
    clock.lines["  of it the last tenth"] = sum(taken[-tenth:])
    gc.collect()
    memory = resident()
    clock("save", made.save)
    one = next(batches(1, dim, 1))
    clock("overwrite one row", lambda: made.upsert(one))
    clock("overwrite one row again", lambda: made.upsert(one))
    query = one.vectors
    clock.lines["search k=10, one dead row (best of 5)"] = best(lambda: search(made, query))
    return {"times": clock.lines, "resident MiB": {"after the upserts": memory, "after all": resident()}}


def cold(path, dim):
    """Opened and searched once, the files not in the page cache of the system."""
    for file in path.iterdir():
        with file.open("rb") as handle:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    clock, made = Clock(), opened(path)
    query = np.random.default_rng(1).standard_normal((1, dim), dtype=np.float32)
    clock("open + first search, nothing cached by the system", lambda: search(made, query))
    return {"times": clock.lines, "resident MiB": {}}


def read(path, dim):
    clock = Clock()
    query = np.random.default_rng(1).standard_normal((1, dim), dtype=np.float32)
    before = resident()
    started = time.perf_counter()
    made = opened(path)
    clock("open", made.describe)
    clock("first search k=10, with fields", lambda: search(made, query))
    clock.lines["open + first search"] = time.perf_counter() - started
    memory = resident() - before
    clock.lines["search k=10 (best of 5)"] = best(lambda: search(made, query))
    many = np.random.default_rng(2).standard_normal((512, dim), dtype=np.float32)
    clock("search of 512 queries", lambda: search(made, many))
    clock("first fetch by id (learns all ids)", lambda: made.fetch(["row-00000007"], ALL))
    clock("fetch of 1,000 ids", lambda: made.fetch([f"row-{7 * number:08}" for number in range(1000)], ALL))
    tenant = Where(None, F("tenant") == "t7")
    clock("first search with a filter (1 % match)", lambda: search(made, query, where=tenant))
    clock.lines["search with the same filter (best of 5)"] = best(lambda: search(made, query, where=tenant))
    other = Where(None, F("tenant") == "t8")
    clock("search with another value of the field", lambda: search(made, query, where=other))
    ids = tuple(f"row-{number:08}" for number in range(0, 100_000, 10))
    clock.lines["search among 10,000 ids (best of 5)"] = best(lambda: search(made, query, where=Where(ids)))
    clock("scan of everything", lambda: sum(len(batch) for batch in made.scan(10_000, ALL)))
    clock("first write (copies to memory)", lambda: made.upsert(next(batches(1, dim, 1))))
    clock("verify every checksum", made.verify)
    return {"times": clock.lines, "resident MiB": {"added by open + first search": memory, "after all": resident()}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--step", choices=["write", "read", "cold"])
    parser.add_argument("--path", type=Path)
    options = parser.parse_args()
    if options.step:
        arguments = (
            (options.path, options.rows, options.dim) if options.step == "write" else (options.path, options.dim)
        )
        step = {"write": write, "read": read, "cold": cold}[options.step](*arguments)
        step["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(step))
        return

    print(f"- {platform.system()} {platform.machine()}, {os.cpu_count()} cores", end=", ")
    print(f"Python {platform.python_version()}, numpy {np.__version__}")
    print(f"- {options.rows:,} rows x {options.dim} float32, two fields a row, no documents")
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "table"
        for step in ("write", "read", "cold"):
            command = [sys.executable, __file__, "--step", step, "--path", str(path)]
            command += ["--rows", str(options.rows), "--dim", str(options.dim)]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603  this file
            found = json.loads(answer.stdout)
            print(f"\n| {'written' if step == 'write' else 'opened in a fresh process'} | seconds |\n|---|---|")
            for what, seconds in found["times"].items():
                print(f"| {what} | {seconds:.4f} |")
            sizes = [f"{what} {size:.0f} MiB" for what, size in found["resident MiB"].items()]
            sizes.append(f"peak {found['peak MiB']:.0f} MiB")
            print(f"\nResident: {', '.join(sizes)}.")
        size = sum(file.stat().st_size for file in path.iterdir()) / 2**20
        print(f"\nOn disk: {size:.0f} MiB.")


if __name__ == "__main__":
    main()
