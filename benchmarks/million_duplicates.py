"""``find_duplicates`` on a million rows, through the public API, from the saved index; with the peak memory.

    python benchmarks/million_duplicates.py [--rows 1000000] [--dim 128] [--thresh 0.02]

One row in a hundred is a noisy copy of another; all of them must be found. The rows are a mixture of topics, so that
the neighbourhoods are as crowded as those of real embeddings.
"""

import argparse
import os
import platform
import resource
import tempfile
import time

import numpy as np

import vecsearch

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=1_000_000)
parser.add_argument("--dim", type=int, default=128)
parser.add_argument("--thresh", type=float, default=0.02)
options = parser.parse_args()

generator = np.random.default_rng(0)
topics = generator.normal(size=(options.rows // 100, options.dim)).astype(np.float32)
planted = options.rows // 100


def batches(size=10_000):
    for start in range(0, options.rows, size):
        rows = topics[generator.integers(len(topics), size=size)]
        rows = rows + 0.8 * generator.normal(size=rows.shape).astype(np.float32)
        # The first rows of each batch are followed by copies of them, noisy by a tenth of the threshold.
        copies = size // 100
        noise = generator.normal(size=(copies, options.dim)) * np.sqrt(0.2 * options.thresh)
        rows[copies : 2 * copies] = rows[:copies] * (1 + noise)
        yield rows, [f"{number:07}" for number in range(start, start + size)]


def resident() -> float:
    with open("/proc/self/statm") as file:  # noqa: PTH123  Linux
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


with tempfile.TemporaryDirectory() as home:
    os.environ["VECSEARCH_HOME"] = home
    if os.fork() == 0:  # written by another process, so that the peak below is that of reading and comparing
        with vecsearch.compute_similarity(embeddings=False, dim=options.dim, key="million") as index:
            index.ingest(batches())
            index.save()
        os._exit(0)
    os.wait()
    started = time.perf_counter()
    index = vecsearch.load_run("million")
    first = index.search(np.ones(options.dim), k=10)
    opened = time.perf_counter() - started
    before = resident()
    started = time.perf_counter()
    duplicates = index.find_duplicates(thresh=options.thresh, progress=False)
    taken = time.perf_counter() - started
    size = 10_000
    expected = {
        f"{start + size // 100 + number:07}" for start in range(0, options.rows, size) for number in range(size // 100)
    }
    missed = expected - set(duplicates.duplicate_ids)
    print(f"- {platform.system()} {platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}")
    print(f"- {len(index):,} rows x {index.dim}, opened and searched in {opened:.2f} s")
    print(f"- find_duplicates(thresh={options.thresh}): {taken:.0f} s; {duplicates!r}")
    print(f"- {planted:,} noisy copies planted, {len(missed)} missed")
    print(f"- resident before {before:.0f} MiB (mapped rows and imports), peak {peak():.0f} MiB")
