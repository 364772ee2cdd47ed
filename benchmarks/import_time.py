"""What ``import vecsearch`` and its first use cost over numpy and pydantic, in fresh processes, in turn.

python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

BEFORE = "import time, numpy, pydantic; start = time.perf_counter();"
AFTER = "; print(time.perf_counter() - start)"
CASES = {
    "import vecsearch": "import vecsearch",
    "first index of 2 rows, searched": (
        "import vecsearch; vecsearch.compute_similarity(embeddings=[[1.0, 0.0], [0.0, 1.0]]).search([[1.0, 1.0]])"
    ),
    "vecsearch --help (whole process)": "from vecsearch.cli import main",
}
RUNS = 11


def once(code: str) -> float:
    done = subprocess.run([sys.executable, "-c", BEFORE + code + AFTER], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout) * 1e3


times: dict[str, list[float]] = {name: [] for name in CASES}
for _ in range(RUNS):
    for name, code in CASES.items():
        times[name].append(once(code))
print("| over numpy and pydantic | median ms | least | most |\n|---|---|---|---|")
for name, values in times.items():
    print(f"| {name} | {statistics.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")
