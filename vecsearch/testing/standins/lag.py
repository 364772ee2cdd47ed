"""Rows of a service that answers a write before readers see it, and a clock that a test moves."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R")


class Clock:
    """Seconds that pass when they are told to; in the place of ``time.monotonic``."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class LaggingRows(Generic[R]):
    """Rows by id. Writes are numbered, and readers see each ``lag()`` seconds after it, in order.

    Not safe for threads: whoever holds it calls it under a lock.
    """

    def __init__(self, clock: Callable[[], float], lag: Callable[[], float]) -> None:
        self.committed = 0
        """The number of the last write."""
        self._clock = clock
        self._lag = lag
        self._seen: dict[str, R] = {}
        self._indexed = 0
        self._waiting: deque[tuple[float, Mapping[str, R | None]]] = deque()

    def write(self, changes: Mapping[str, R | None]) -> int:
        """Put rows, or remove those that are ``None``; the number of this write."""
        self.committed += 1
        self._waiting.append((self._clock() + self._lag(), changes))
        return self.committed

    @property
    def indexed(self) -> int:
        """The number of the last write that readers see."""
        self.seen()
        return self._indexed

    def seen(self) -> dict[str, R]:
        """The rows as readers see them now; not to be changed."""
        while self._waiting and self._waiting[0][0] <= self._clock():
            self._apply(self._seen, self._waiting.popleft()[1])
            self._indexed += 1
        return self._seen

    def written(self) -> dict[str, R]:
        """The rows as they will be once every write is seen."""
        rows = dict(self.seen())
        for _, changes in self._waiting:
            self._apply(rows, changes)
        return rows

    @staticmethod
    def _apply(rows: dict[str, R], changes: Mapping[str, R | None]) -> None:
        for row_id, row in changes.items():
            if row is None:
                rows.pop(row_id, None)
            else:
                rows[row_id] = row


__all__ = ("Clock", "LaggingRows")
