"""10,000 rows written to a cloud service while a tenth of all requests fails: what is in afterwards, and what it took.

    python benchmarks/flaky_ingest.py [pinecone …] [--rows 10000] [--share 0.1] [--seed 0]

The service is a stand-in on loopback, the client the vendor's own. Six things go wrong, drawn at random with a seed:
429 with Retry-After, 500, 503, a connection that ends before the request is carried out, one that ends after it, and an
answer of which a half arrives. The same ingest without faults is timed beside it. What the service holds is compared
with what was sent, row by row, past vecsearch. The rate of failures is reported as it was met. Exits with 1 if a row is
lost, doubled or changed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np

import vecsearch
from vecsearch.testing.standins.faults import CUT, DROPPED, LOST, refused

DIM, BATCH = 64, 50
FAULTS = (refused(429, retry_after=0.2), refused(500), refused(503), DROPPED, LOST, CUT)
RESULT = Path(__file__).parent / "results" / "flaky_ingest.md"


def held_by_pinecone(server, name):
    """{id: (vector, number)} in the stand-in."""
    rows = server.indexes[name].namespaces["__default__"].written()
    return {row.metadata["_vs_key"]: (row.values, row.metadata["number"]) for row in rows.values()}


def held_by_mosaic(server, name):
    """{id: (vector, number)} in the stand-in."""
    rows = server.indexes[f"main.default.{name}"].rows.written()
    return {key: (row["vector"], json.loads(row["_vs_rest"])["number"]) for key, row in rows.items()}


# backend -> its stand-in, what that holds, and the metric under which that keeps vectors as they are
STAND_INS = {
    "mosaic": ("vecsearch.testing.standins.mosaic:MosaicStandIn", held_by_mosaic, "euclidean"),
    "pinecone": ("vecsearch.testing.standins.pinecone:PineconeStandIn", held_by_pinecone, "cosine"),
}


def ingested(backend, vectors, ids, share, seed, host):
    target, held_by, metric = STAND_INS[backend]
    module, _, attribute = target.partition(":")
    with getattr(import_module(module), attribute)(host) as server:
        index = vecsearch.compute_similarity(
            embeddings=False,
            dim=DIM,
            metric=metric,
            backend=backend,
            batch_rows=BATCH,
            timeout=120,
            **server.settings(),
        )
        metadata = [{"number": float(number)} for number in range(len(ids))]
        before = len(server.requests)
        server.fail_at_random(share, seed, FAULTS)
        started = time.perf_counter()
        receipt = index.add_to_index(vectors, ids, metadata=metadata)
        seconds = time.perf_counter() - started
        server.fail_at_random(0, 0)
        held = held_by(server, index.config.index_name)
        writes = len(server.asked("upsert"))
        missing = [row_id for row_id in ids if row_id not in held]
        changed = [
            row_id
            for number, row_id in enumerate(ids)
            if row_id in held and not (np.array_equal(held[row_id][0], vectors[number]) and held[row_id][1] == number)
        ]
        report = {
            "seconds": seconds,
            "rows": receipt.written,
            "requests": len(server.requests) - before,
            "failed": sum(server.faults.met.values()),
            "kinds": dict(server.faults.met),
            "retries": writes - -(-len(ids) // BATCH),
            "missing": len(missing),
            "changed": len(changed),
            "surplus": len(held) - (len(ids) - len(missing)),
            "listed": len(index.ids()),
        }
        index.close()
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backends", nargs="*", help=f"of {', '.join(STAND_INS)}; all where none is named")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    vectors = np.random.default_rng(options.seed).standard_normal((options.rows, DIM)).astype(np.float32)
    ids = [f"row {number:06}" for number in range(options.rows)]
    command = f"--rows {options.rows} --share {options.share} --seed {options.seed}"
    lines = [
        "# An ingest while requests fail",
        "",
        f"    python benchmarks/flaky_ingest.py {command}",
        "",
        f"- {platform.system()} {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
        f"- {options.rows:,} rows x {DIM}, {BATCH} a request, 4 workers; the vendor's client, a stand-in on loopback",
        "- missing, changed, surplus: rows of the service that differ from what was sent",
        "",
        "| backend | share that fails | seconds | requests | failed | sent again | missing | changed | surplus |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    wrong = 0
    for number, backend in enumerate(options.backends or STAND_INS):
        for step, share in enumerate((0.0, options.share)):
            # A host of its own: clients remember the failures of a host.
            host = f"127.0.3.{2 * number + step + 1}"
            found = ingested(backend, vectors, ids, share, options.seed, host)
            wrong += found["missing"] + found["changed"] + found["surplus"] + (found["listed"] != options.rows)
            kinds = ", ".join(f"{name}: {count}" for name, count in sorted(found["kinds"].items()))
            lines.append(
                f"| {backend} | {share:.0%} | {found['seconds']:.1f} | {found['requests']} | {found['failed']}"
                f"{f' ({kinds})' if kinds else ''} | {found['retries']} | {found['missing']} | {found['changed']} | "
                f"{found['surplus']} |"
            )
            print(lines[-1], flush=True)
    RESULT.write_text("\n".join(lines) + "\n")
    print(f"written: {RESULT}")
    return 1 if wrong else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["VECSEARCH_HOME"] = home
        sys.exit(main())
