"""What is done to an index: each workload is a function of an open index, and gives what it saw."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.bench import loops
from vecsearch.bench.points import Load, Reopen, Stream
from vecsearch.filters import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.bench.points import Workload
    from vecsearch.index import SimilarityIndex
    from vecsearch.results import Neighbors

    Native = Callable[[NDArray[np.float32], int], Sequence[str]]

EXACT_QUERIES = 100
_STREAM_SHARE = 0.8  # of the rows are there before the stream begins
_STREAM_ROWS = 100


@dataclass(slots=True)
class Seen:
    """What a workload saw: fields of an `Observation`, and arrays."""

    facts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


def names(rows: range) -> list[str]:
    """The ids of rows by their positions."""
    return [str(position) for position in rows]


def positions(answers: Sequence[Neighbors | None], sizes: Sequence[int], k: int) -> NDArray[np.int64]:
    """The rows that came back, a line a query, -1 behind the last; lines of -1 for a call that was not answered."""
    found = np.full((sum(sizes), k), -1, dtype=np.int64)
    line = 0
    for answer, size in zip(answers, sizes, strict=True):
        for offset, ranking in enumerate(answer or ()):
            ids = ranking.ids[:k]
            found[line + offset, : len(ids)] = [int(name) for name in ids]
        line += size
    return found


def load(index: SimilarityIndex, vectors: NDArray[np.float32], fields: list[dict[str, Any]] | None) -> Load:
    """Write all rows, and find one."""
    started, busy = time.perf_counter(), time.process_time()
    receipt = index.add_to_index(vectors, names(range(len(vectors))), metadata=fields, progress=False)
    index.save()
    written = time.perf_counter() - started
    index.search(np.array(vectors[:1]), 1, include=())
    return Load(
        rows=receipt.written,
        insert_seconds=written,
        searchable_seconds=time.perf_counter() - started,
        rows_per_second=receipt.written / written,
        cpu_seconds=time.process_time() - busy,
    )


def exact(index: SimilarityIndex, queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The exact answers to the first queries: by the engine, or where it cannot, from the rows that it gives back."""
    some = queries[:EXACT_QUERIES]
    found = index.search(some, k, exact=True, allow_scan=True, include=())
    return positions([found], [len(some)], k)


# ---- searches


def search(index: SimilarityIndex, queries: NDArray[np.float32], work: Workload, params: Mapping[str, Any]) -> Seen:
    """Ask all queries, closed or open, one by one or in batches, of all rows or those of a filter."""
    calls = [queries[start : start + work.batch] for start in range(0, len(queries), work.batch)]
    ask = _asking(index, calls, work, params)
    dials = ("concurrency", "repeats", "seconds", "most_seconds", "warmup")
    common = {name: getattr(work, name) for name in dials}
    if work.kind == "open":
        assert work.rate is not None  # noqa: S101  the runner refuses it
        samples = loops.opened(ask, len(calls), rate=work.rate, **common)
    else:
        samples = loops.closed(ask, len(calls), **common)
    return _seen(samples, calls, work.k)


def _asking(
    index: SimilarityIndex, calls: Sequence[NDArray[np.float32]], work: Workload, params: Mapping[str, Any]
) -> Callable[[int], Neighbors]:
    tree = None if work.filter is None else from_json(work.filter.tree)
    k, asked_exactly, given = work.k, work.exact, params or None

    def ask(number: int) -> Neighbors:
        return index.search(calls[number], k, filter=tree, exact=asked_exactly, include=(), params=given)

    return ask


def _seen(samples: loops.Samples, calls: Sequence[NDArray[np.float32]], k: int) -> Seen:
    answers = [samples.answers.get(number) for number in range(len(calls))]
    facts = {name: getattr(samples, name) for name in ("repeat_seconds", "cpu_seconds", "errors", "asked", "error")}
    # In an open loop that is shorter than a round, the queries that were not reached have no answers to be scored.
    asked = np.repeat([answer is not None for answer in answers], [len(call) for call in calls])
    ids = positions(answers, [len(call) for call in calls], k)
    return Seen(facts, {**samples.arrays(), "ids": ids, "answered": asked})


# ---- writes and searches at once


def stream(
    index: SimilarityIndex,
    vectors: NDArray[np.float32],
    fields: list[dict[str, Any]] | None,
    queries: NDArray[np.float32],
    work: Workload,
    params: Mapping[str, Any],
) -> Seen:
    """Insert at ``rate`` rows a second for ``seconds`` into an index of most of the rows, while it is searched.

    The oldest rows are deleted meanwhile, ``delete_share`` of them for each that comes. The searches meanwhile are
    timed; the answers that are scored are those to one more round at the end, against the rows that are live then.
    """
    first = max(1, int(_STREAM_SHARE * len(vectors)))
    index.add_to_index(vectors[:first], names(range(first)), metadata=fields and fields[:first], progress=False)
    rate = work.rate or np.inf
    wanted = min(len(vectors) - first, rate * max(work.seconds, 0.1))
    writer = _Writer(index, vectors, fields, first, first + int(wanted), rate, work.delete_share)
    calls = [queries[place : place + 1] for place in range(len(queries))]
    ask = _asking(index, calls, work, params)
    loops.warm(ask, len(calls), work.warmup, work.most_seconds)
    thread = threading.Thread(target=writer.run, daemon=True)
    thread.start()
    samples = loops.closed(
        ask, len(calls), concurrency=work.concurrency, repeats=1, seconds=work.seconds, most_seconds=work.most_seconds
    )
    thread.join()
    index.save()
    seen = _seen(samples, calls, work.k)
    last = _seen(loops.closed(ask, len(calls), repeats=1, most_seconds=work.most_seconds), calls, work.k)
    seen.arrays |= {name: last.arrays[name] for name in ("ids", "answered")}
    inserted = range(first, writer.done)
    found = Stream(
        inserted=len(inserted),
        seconds=writer.seconds,
        rows_per_second=len(inserted) / writer.seconds if writer.seconds else 0.0,
        behind_seconds=writer.behind,
        missing=len(inserted) - _held(index, inserted),
        deleted=writer.deleted,
        remaining=_held(index, range(writer.deleted)),
    )
    failed = 1 if writer.error else 0
    seen.facts.update(
        stream=found,
        live=(writer.deleted, writer.done),
        errors=samples.errors + failed,
        asked=samples.asked + failed,
        error=samples.error or writer.error,
    )
    return seen


def _held(index: SimilarityIndex, rows: range) -> int:
    return int(np.count_nonzero(index.contains(names(rows)))) if rows else 0


class _Writer:
    """Inserts rows on a schedule that does not shift, and deletes the oldest for them."""

    def __init__(
        self,
        index: SimilarityIndex,
        vectors: NDArray[np.float32],
        fields: list[dict[str, Any]] | None,
        first: int,
        end: int,
        rate: float,
        delete_share: float,
    ) -> None:
        self.done, self.deleted = first, 0
        self.seconds = self.behind = 0.0
        self.error: str | None = None
        self._index, self._vectors, self._fields, self._first, self._end = index, vectors, fields, first, end
        self._rate, self._delete_share = rate, delete_share

    def run(self) -> None:
        """Until all rows are in; the first error ends it."""
        begun = time.perf_counter()
        for start in range(self._first, self._end, _STREAM_ROWS):
            due = begun + (start - self._first) / self._rate
            time.sleep(max(0.0, due - time.perf_counter()))
            rows = range(start, min(start + _STREAM_ROWS, self._end))
            some = None if self._fields is None else self._fields[rows.start : rows.stop]
            try:
                self._index.add_to_index(
                    self._vectors[rows.start : rows.stop], names(rows), metadata=some, progress=False
                )
                self.done = rows.stop
                self._delete()
            except Exception as error:  # noqa: BLE001  told beside the figures
                self.error = f"{type(error).__name__}: {error}"
                break
            self.behind = max(self.behind, time.perf_counter() - due - len(rows) / self._rate)
        self.seconds = time.perf_counter() - begun

    def _delete(self) -> None:
        old = range(self.deleted, int(self._delete_share * (self.done - self._first)))
        if old:
            self._index.remove_from_index(names(old))
            self.deleted = old.stop


# ---- vecsearch against the client


def overhead(index: SimilarityIndex, native: Native, queries: NDArray[np.float32], work: Workload) -> Seen:
    """The same query through vecsearch and through the client, in turn, each query begun by the other side.

    So whatever else the machine does meets both; the pairs are compared, not two runs.
    """

    def both(number: int) -> None:
        index.search(queries[number], work.k, include=())
        native(queries[number], work.k)

    loops.warm(both, len(queries), work.warmup, work.most_seconds)
    times = np.empty((2, work.repeats * len(queries)), dtype=np.int64)
    same = np.empty(times.shape[1], dtype=np.bool_)
    done, most = 0, time.perf_counter() + work.repeats * (work.most_seconds or np.inf)
    for number in range(times.shape[1]):
        query = queries[number % len(queries)]
        found: list[Any] = [(), ()]
        for side in (0, 1) if number % 2 else (1, 0):
            begun = time.perf_counter_ns()
            found[side] = native(query, work.k) if side else index.search(query, work.k, include=())[0].ids
            times[side, number] = time.perf_counter_ns() - begun
        same[number] = set(found[0]) == set(found[1])
        done += 1
        if time.perf_counter() >= most:
            break
    return Seen({"asked": 2 * done}, {"ours_ns": times[0, :done], "native_ns": times[1, :done], "same": same[:done]})


# ---- the first query after a start


def reopen(
    opened: Callable[[], SimilarityIndex], queries: NDArray[np.float32], work: Workload, params: Mapping[str, Any]
) -> tuple[Seen, SimilarityIndex]:
    """Open in this fresh process, ask once, then all; the files may still be in the memory of the system."""
    started = time.perf_counter()
    index = opened()
    ready = time.perf_counter() - started
    index.search(queries[:1], work.k, include=(), params=params or None)
    first = time.perf_counter() - started
    calls = [queries[place : place + 1] for place in range(len(queries))]
    samples = loops.closed(_asking(index, calls, work, params), len(calls), repeats=1, most_seconds=work.most_seconds)
    seen = _seen(samples, calls, work.k)
    seen.facts["reopen"] = Reopen(
        open_seconds=ready,
        first_query_seconds=first,
        warm_p50=float(np.median(samples.service_ns)) if len(samples.service_ns) else 0.0,
    )
    return seen, index
