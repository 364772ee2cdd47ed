"""What a user gets from a cloud service that misbehaves: every fault, in every operation, once and for ever.

    python benchmarks/fault_matrix.py [pinecone …]

The service is a stand-in on loopback, the client the vendor's own. Each cell is an index of 40 rows of its own, one
operation of which meets the fault. What the service holds afterwards is compared with what it must, past vecsearch: the
rows before, or the rows after the operation (either, where it failed), none lost, none doubled. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np

import vecsearch
from vecsearch import F
from vecsearch.testing.standins.faults import (
    BAD_JSON,
    CUT,
    DROPPED,
    EXPIRED,
    LOST,
    PARTIAL,
    SAME_PAGE,
    refused,
    slow,
)

RESULT = Path(__file__).parent / "results" / "fault_matrix.md"
TIMEOUT, ROWS, DIM, MANY = 1.0, 40, 8, 60
VECTORS = np.random.default_rng(0).standard_normal((ROWS + 5, DIM)).astype(np.float32)
IDS = [f"row {number:02}" for number in range(ROWS + 5)]
FAULTS = {
    "429, Retry-After: 0.1 s": refused(429, retry_after=0.1),
    "429, Retry-After: 60 s": refused(429, retry_after=60),
    "503": refused(503),
    "slower than the timeout": slow(2 * TIMEOUT),
    "dropped before the answer": DROPPED,
    "done, but the answer is lost": LOST,
    "answer cut": CUT,
    "answer is no JSON": BAD_JSON,
    "expired credentials": EXPIRED,
    "part of a batch": PARTIAL,
    "same page again": SAME_PAGE,
}


def held_by_pinecone(server):
    """{id: vector} in the stand-in, of an index or of none."""
    namespaces = [rows for index in server.indexes.values() for rows in index.namespaces.values()]
    return {row.metadata["_vs_key"]: row.values for rows in namespaces for row in rows.written().values()}


def held_by_mosaic(server):
    """The same."""
    return {key: row["vector"] for index in server.indexes.values() for key, row in index.rows.written().items()}


def opened(_, again):
    again().close()


def written(index, _):
    index.add_to_index(VECTORS[ROWS:], IDS[ROWS:])


def removed(index, _):
    index.remove_from_index(sample_ids=IDS[:5])


def got(index, _):
    index.get_embeddings(sample_ids=IDS[:5])


def searched(index, _):
    index.search(VECTORS[0], 3)


def counted(index, _):
    index.count()


def counted_by_filter(index, _):
    index.count(F("number") > 3, allow_scan=True)


# operation -> the route, what is done, the faults that only it can meet
PINECONE = {
    "create": ("create", None, ()),
    "open": ("describe", opened, ()),
    "write": ("upsert", written, (PARTIAL,)),
    "remove": ("delete", removed, ()),
    "get": ("fetch", got, ()),
    "search": ("query", searched, ()),
    "count": ("list", counted, (SAME_PAGE,)),
    "count by filter": ("fetch by metadata", counted_by_filter, (SAME_PAGE,)),
}
MOSAIC = {
    "create": ("create", None, ()),
    "open": ("describe", opened, ()),
    "write": ("upsert", written, (PARTIAL,)),
    "remove": ("delete", removed, (PARTIAL,)),
    "get": ("query", got, ()),
    "search": ("query", searched, ()),
    "count by filter": ("scan", counted_by_filter, ()),
}
# backend -> its stand-in, its operations, what that holds, a metric under which it keeps vectors as they are
STAND_INS = {
    "mosaic": ("vecsearch.testing.standins.mosaic:MosaicStandIn", MOSAIC, held_by_mosaic, "euclidean"),
    "pinecone": ("vecsearch.testing.standins.pinecone:PineconeStandIn", PINECONE, held_by_pinecone, "cosine"),
}
hosts = (f"127.0.{4 + number // 250}.{1 + number % 250}" for number in range(5000))


def created(backend, server, **more):
    return vecsearch.compute_similarity(
        embeddings=VECTORS[:ROWS],
        sample_ids=IDS[:ROWS],
        metadata=[{"number": float(number)} for number in range(ROWS)],
        metric=STAND_INS[backend][3],
        backend=backend,
        **server.settings(),
        **more,
    )


def outcome(call):
    started = time.perf_counter()
    try:
        call()
    except vecsearch.VecsearchError as error:
        name = type(error).__name__
    else:
        name = "answered"
    return name, time.perf_counter() - started


def cell(backend, operation, fault, times):
    """What the user gets, after how long, and whether the service holds what it must."""
    target, operations, held, _ = STAND_INS[backend]
    module, _, name = target.partition(":")
    route, call, _ = operations[operation]
    with getattr(import_module(module), name)(next(hosts)) as server:
        indexes = []

        def again():
            index = vecsearch.connect(server_index, backend=backend, timeout=TIMEOUT, **server.settings())
            indexes.append(index)
            return index

        if call is None:
            server.fail(*[fault] * times, route=route)
            name, seconds = outcome(lambda: indexes.append(created(backend, server, timeout=TIMEOUT)))
        else:
            index = created(backend, server)
            server_index = index.config.index_name
            index.close()
            index = again()
            server.fail(*[fault] * times, route=route)
            name, seconds = outcome(lambda: call(index, again))
        if not server.faults.met[fault.name]:
            raise SystemExit(f"{backend}: {operation} never came to {fault.name}")
        found = held(server)
        for index in indexes:
            index.close()
    before = dict(zip(IDS[:ROWS], VECTORS, strict=False))
    after = {
        "create": {},
        "write": dict(zip(IDS, VECTORS, strict=True)),
        "remove": dict(zip(IDS[5:ROWS], VECTORS[5:ROWS], strict=True)),
    }.get(operation, before)
    everything = {**before, **after}
    right = all(row_id in everything and np.array_equal(row, everything[row_id]) for row_id, row in found.items())
    if name == "answered":
        right &= set(found) == set(before if operation == "create" else after)
    elif operation != "create":
        right &= set(before) & set(after) <= set(found)
    return name, seconds, right


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backends", nargs="*", help=f"of {', '.join(STAND_INS)}; all where none is named")
    options = parser.parse_args()
    lines = [
        "# What a user gets from a service that misbehaves",
        "",
        "    python benchmarks/fault_matrix.py",
        "",
        f"The vendor's client, a stand-in on loopback, timeout={TIMEOUT:g} s. A fault that comes once / that stays. In",
        "every cell the service held the rows before the operation or those after it: none lost, doubled or changed.",
        "",
    ]
    wrong = []
    for backend in options.backends or STAND_INS:
        operations = STAND_INS[backend][1]
        lines += [f"## {backend}", "", f"| | {' | '.join(operations)} |", "|---" * (len(operations) + 1) + "|"]
        slowest = 0.0
        for label, fault in FAULTS.items():
            row = []
            for operation, (_, _, own) in operations.items():
                if fault in (PARTIAL, SAME_PAGE) and fault not in own:
                    row.append("")
                    continue
                once, stays = (cell(backend, operation, fault, times) for times in (1, MANY))
                wrong += [(backend, label, operation) for _, _, right in (once, stays) if not right]
                slowest = max(slowest, once[1], stays[1])
                row.append(once[0] if once[0] == stays[0] else f"{once[0]} / {stays[0]}")
            if not any(row):
                continue
            lines.append(f"| {label} | {' | '.join(row)} |")
            print(lines[-1], flush=True)
        lines += ["", f"The slowest took {slowest:.1f} s.", ""]
    RESULT.write_text("\n".join(lines))
    print(f"written: {RESULT}; wrong: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["VECSEARCH_HOME"] = home
        sys.exit(main())
