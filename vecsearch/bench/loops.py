"""Asking in a loop, closed or open, from several threads; every single time is kept.

In a *closed* loop a thread asks when it has its answer: throughput. A stall then delays one query a thread, and hides.
In an *open* loop queries are sent on a schedule whatever the answers do, as users do; the response time runs from the
*intended* start, so that a stall is charged to every query that waited behind it (Gil Tene's coordinated omission).
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Ask = Callable[[int], Any]
"""Makes one call, by its number; what it gives back is kept as it is, so that reading it is not timed"""

_SOON = 0.02  # a schedule starts so much later, when all threads run


@dataclass(slots=True)
class Samples:
    """What one loop saw: arrays with an entry a call, and the answers to each call when it was first made."""

    service_ns: np.ndarray[Any, Any]
    response_ns: np.ndarray[Any, Any] | None
    started_ns: np.ndarray[Any, Any]
    """From the start of the repeat: sent, or to be sent."""
    query: np.ndarray[Any, Any]
    """The number of the call among the different ones."""
    repeat: np.ndarray[Any, Any]
    worker: np.ndarray[Any, Any]
    answers: dict[int, Any]
    repeat_seconds: list[float]
    cpu_seconds: float
    errors: int
    asked: int
    error: str | None

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """As they are stored."""
        names = ("service_ns", "response_ns", "started_ns", "query", "repeat", "worker")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(slots=True)
class _Worker:
    """What one thread saw in one repeat."""

    rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(service, response, started, query)"""
    answers: dict[int, Any] = field(default_factory=dict)
    errors: int = 0
    error: str | None = None
    ended: int = 0

    def call(self, ask: Ask, query: int, start: int, intended: int | None) -> None:
        sent = time.perf_counter_ns()
        try:
            answer = ask(query)
        except Exception as error:  # noqa: BLE001  counted beside the times, and the first is told
            self.errors += 1
            self.error = self.error or f"{type(error).__name__}: {error}"
            self.ended = time.perf_counter_ns()
            return
        self.ended = time.perf_counter_ns()
        begun = sent if intended is None else intended
        self.rows.append((self.ended - sent, self.ended - begun, begun - start, query))
        if query not in self.answers:
            self.answers[query] = answer


def closed(
    ask: Ask,
    calls: int,
    *,
    concurrency: int = 1,
    repeats: int = 3,
    seconds: float = 0.0,
    most_seconds: float | None = None,
    warmup: int = 0,
) -> Samples:
    """Each thread asks again when it has its answer.

    A repeat makes all ``calls`` different calls once, and goes on in turn until it has lasted ``seconds``. After
    ``most_seconds`` it begins no other call, though some were never made.
    """
    warm(ask, calls, warmup, most_seconds)

    def work(worker: _Worker, numbers: itertools.count[int], start: int) -> None:
        least, most = start + int(seconds * 1e9), _end(start, most_seconds)
        for number in numbers:
            now = time.perf_counter_ns()
            if now >= most or (number >= calls and now >= least):
                return
            worker.call(ask, number % calls, start, None)

    return _repeated(work, concurrency, repeats, opened=False)


def opened(
    ask: Ask,
    calls: int,
    *,
    rate: float,
    concurrency: int = 8,
    repeats: int = 1,
    seconds: float = 1.0,
    most_seconds: float | None = None,
    warmup: int = 0,
) -> Samples:
    """Calls are due at ``rate`` a second for ``seconds``; up to ``concurrency`` wait for answers at a time.

    The schedule never shifts: what is late is sent at once, and its response time tells how late it was. An engine that
    falls behind is still asked when ``seconds`` are over; after ``most_seconds`` nothing more is sent.
    """
    warm(ask, calls, warmup, most_seconds)
    total = max(1, round(rate * seconds))

    def work(worker: _Worker, numbers: itertools.count[int], start: int) -> None:
        most = _end(start, most_seconds)
        for number in numbers:
            if number >= total or time.perf_counter_ns() >= most:
                return
            due = start + int(number / rate * 1e9)
            left = due - time.perf_counter_ns()
            if left > 0:
                time.sleep(left / 1e9)
            worker.call(ask, number % calls, start, due)

    return _repeated(work, concurrency, repeats, opened=True)


def _end(start: int, most_seconds: float | None) -> float:
    return math.inf if most_seconds is None else start + most_seconds * 1e9


def warm(ask: Ask, calls: int, warmup: int, most_seconds: float | None) -> None:
    """Make so many calls that are not counted, as long as there is time."""
    most = _end(time.perf_counter_ns(), most_seconds)
    for number in range(warmup):
        if time.perf_counter_ns() >= most:
            return
        try:
            ask(number % calls)
        except Exception:  # noqa: BLE001, S112  what fails here fails again where it is counted
            continue


def _repeated(
    work: Callable[[_Worker, itertools.count[int], int], None], concurrency: int, repeats: int, *, opened: bool
) -> Samples:
    parts: list[tuple[int, int, _Worker]] = []
    lasted = []
    busy = time.process_time()
    for repeat in range(repeats):
        workers = [_Worker() for _ in range(concurrency)]
        start = _together(work, workers)
        lasted.append((max(worker.ended for worker in workers) - start) / 1e9)
        parts += [(repeat, number, worker) for number, worker in enumerate(workers)]
    return _merged(parts, lasted, time.process_time() - busy, opened=opened)


def _together(work: Callable[[_Worker, itertools.count[int], int], None], workers: list[_Worker]) -> int:
    """Have all workers begin at one moment, each in a thread of its own; the moment."""
    numbers = itertools.count()  # its next() is atomic
    start = time.perf_counter_ns() + int(_SOON * 1e9)

    def run(worker: _Worker) -> None:
        time.sleep(max(0, start - time.perf_counter_ns()) / 1e9)
        work(worker, numbers, start)

    threads = [threading.Thread(target=run, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return start


def _merged(parts: list[tuple[int, int, _Worker]], lasted: list[float], cpu: float, *, opened: bool) -> Samples:
    rows = np.array([row for _, _, worker in parts for row in worker.rows], dtype=np.int64).reshape(-1, 4)
    sizes = [len(worker.rows) for _, _, worker in parts]
    answers: dict[int, Any] = {}
    for _, _, worker in reversed(parts):  # the first repeat last, so that its answers stay
        answers.update(worker.answers)
    failed = sum(worker.errors for _, _, worker in parts)
    return Samples(
        service_ns=rows[:, 0],
        response_ns=rows[:, 1] if opened else None,
        started_ns=rows[:, 2],
        query=rows[:, 3],
        repeat=np.repeat([repeat for repeat, _, _ in parts], sizes).astype(np.int64),
        worker=np.repeat([number for _, number, _ in parts], sizes).astype(np.int64),
        answers=answers,
        repeat_seconds=lasted,
        cpu_seconds=cpu,
        errors=failed,
        asked=len(rows) + failed,
        error=next((worker.error for _, _, worker in parts if worker.error), None),
    )


__all__ = ("Ask", "Samples", "closed", "opened", "warm")
