"""kill -9 a process that saves, again and again: the folder must hold the old state or the new one, never a mix.

    python benchmarks/kill_during_save.py [--kills 50] [--rows 20000]

A child writes one number into every part of every row and saves, announcing when a save begins and ends. It is killed
at a random moment. Then the folder is opened: every checksum is compared, and all parts of all rows must carry one
number: that of the last save that ended (old) or of the one that was cut short (new).
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from vecsearch.backends.base import Rows, Spec
from vecsearch.backends.sklearn import SklearnBackend, SklearnConfig

DIM = 64
ALL = frozenset({"vectors", "fields", "documents"})


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def opened(path):
    return SklearnBackend(SklearnConfig(path=str(path)))


def state(path, rows):
    made = opened(path)
    if made.describe() is None:
        return 0
    made.verify()
    (batch,) = made.scan(rows + 1, ALL)
    value = batch.fields[0]["v"]
    check(batch.ids == [f"r{number}" for number in range(rows)], "the ids")
    check(batch.fields == [{"v": value}] * rows, "fields of two states")
    check(batch.documents == [str(value)] * rows, "documents of two states")
    check(bool(np.all(batch.vectors == value)), "vectors of two states")
    return value


def child(path, rows):
    made = opened(path)
    value = 0
    if made.describe() is None:
        made.create(Spec(DIM, "euclidean"))
    else:
        value = made.fetch(["r0"], ALL).fields[0]["v"]
    ids = [f"r{number}" for number in range(rows)]
    while True:
        value += 1
        vectors = np.full((rows, DIM), value, dtype=np.float32)
        made.upsert(Rows(ids, vectors, [{"v": value}] * rows, [str(value)] * rows))
        print("begin", value, flush=True)
        started = time.perf_counter()
        made.save()
        print("end", value, time.perf_counter() - started, flush=True)


def killed_once(path, rows, moment):
    """Kill the second save of a child at ``moment`` (a share of how long the first one took); before, and the lines."""
    command = [sys.executable, __file__, "--child", str(path), "--rows", str(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  this file
        try:
            process.stdout.readline()
            _, _, seconds = process.stdout.readline().split()
            process.stdout.readline()
            time.sleep(moment * float(seconds))
        finally:
            process.kill()
        rest = [line.split() for line in process.stdout.read().splitlines()]
    return float(seconds), rest


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.rows)
        return

    rng = np.random.default_rng(0)
    tally, inside, leftovers, durations = Counter(), 0, 0, []
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "table"
        for kill in range(options.kills):
            before = state(path, options.rows)
            moment = rng.uniform(0.7 * (kill % 2), 1.1)  # half of them late, when the manifest changes
            seconds, rest = killed_once(path, options.rows, moment)
            durations.append(seconds)
            old = before + 1 + sum(line[0] == "end" for line in rest)
            begun = before + 2 + sum(line[0] == "begin" for line in rest)
            found = state(path, options.rows)
            kind = "old" if found == old else "new" if found == begun else "WRONG"
            tally[kind] += 1
            inside += begun > old
            leftovers += len(list(path.glob("vectors-*"))) > 1
            print(f"kill {kill + 1}: ended {old}, begun {begun}, found {found}: {kind}", file=sys.stderr)
        last = opened(path)
        last.delete(["r0"])
        last.save()
        check(len(list(path.glob("*-*"))) == 8, "half-written files are left after a whole save")
    check(not tally["WRONG"], f"{tally['WRONG']} states were neither old nor new")
    print(f"- {platform.system()} {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"- {options.rows:,} rows x {DIM}; a save took {statistics.median(durations) * 1000:.0f} ms (median)")
    found = f"old state {tally['old']}, new state {tally['new']}, mixed 0"
    print(f"- {options.kills} kills at random moments, {inside} of them inside a save: {found}")
    print(f"- half-written files were left behind {leftovers} times; after one whole save none was there")


if __name__ == "__main__":
    main()
