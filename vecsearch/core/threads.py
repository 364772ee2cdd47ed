"""Python threads over tiles, each with a BLAS of one thread.

numpy releases the interpreter lock in products, comparisons and copies, so threads over tiles keep every core busy
through selection as well; threads inside BLAS would leave all but one idle there.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

Progress = Callable[[int, int], None]
Item = TypeVar("Item")
Result = TypeVar("Result")

VARIABLE = "VECSEARCH_THREADS"
"""The environment variable that says how many threads a call uses that names no number."""
_POLL = 0.1  # seconds between two reports of progress


def usable_cores() -> int:
    """The number of cores this process may use: what ``VECSEARCH_THREADS`` says, else those it may run on.

    Raises:
        ValueError: the variable is no whole number of at least 1.

    """
    asked = os.environ.get(VARIABLE)
    if asked:
        if not asked.isdecimal() or not int(asked):
            raise ValueError(f"{VARIABLE}={asked!r}: must be a whole number of at least 1")
        return int(asked)
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # finding the loaded libraries takes a millisecond; numpy's never changes


class _OneBlasThread:
    """Limits BLAS to one thread while anybody is inside.

    The limit belongs to the process. Were each user to save and restore it, two overlapping users could leave it at
    one for good; counted, the first sets it and the last restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limit: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()
                self._limit = None


_one_blas_thread = _OneBlasThread()


@cache
def _kept_threads() -> ThreadPoolExecutor:
    """Starting a thread takes as long as half a search of one query does."""
    return ThreadPoolExecutor(max(1, usable_cores() - 1), thread_name_prefix="vecsearch-core-kept")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_kept_threads.cache_clear)


class StoppedError(RuntimeError):
    """A worker ends early because its caller has failed or was interrupted; never seen by a user."""


class Crew:
    """The threads of one call: made when it begins, gone when it ends, however it ends.

    Args:
        threads: how many; the usable cores if None.
        progress: called in the calling thread with (done, total).
        total: the total it is given.

    Raises:
        ValueError: ``threads`` below one.

    """

    def __init__(self, threads: int | None, progress: Progress | None = None, total: int = 0) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self.threads = usable_cores() if threads is None else threads
        self._progress = progress
        self._total = total
        self._done = 0
        self._reported = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._executor: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        _one_blas_thread.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        try:
            if self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
        finally:
            _one_blas_thread.leave()

    def tick(self, amount: int) -> None:
        """Count work as done; ends the worker if the call is over. Called once a tile, so a stop is prompt."""
        if self._stop.is_set():
            raise StoppedError
        with self._lock:
            self._done += amount
        if self._executor is None:
            self.report()

    def report(self) -> None:
        """Tell the caller how far it is, if that has changed."""
        if self._progress is not None and self._done != self._reported:
            self._reported = self._done
            self._progress(self._done, self._total)

    def _submit(self, work: Callable[[Item], Result], item: Item) -> Future[Result]:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="vecsearch-core")
        return self._executor.submit(work, item)

    def run(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """The results of all items, in their order."""
        if self.threads == 1 or len(items) <= 1:
            return [work(item) for item in items]
        futures = [self._submit(work, item) for item in items]
        waiting: set[Future[Result]] = set(futures)
        while waiting:
            done, waiting = wait(waiting, _POLL if self._progress else None, FIRST_EXCEPTION)
            for future in done:
                future.result()
            self.report()
        return [future.result() for future in futures]

    def split(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """As `run`, for a millisecond of work, an item a thread: on threads that are kept for it, and this one."""
        if self.threads == 1 or len(items) <= 1:
            return [work(item) for item in items]
        futures = [_kept_threads().submit(work, item) for item in items[1:]]
        first = work(items[0])
        return [first, *(future.result() for future in futures)]

    def stream(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the order of the items, computed only a little ahead of whoever takes them."""
        if self.threads == 1:
            yield from map(work, items)
            return
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(self._submit(work, item))
            if len(pending) > self.threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
