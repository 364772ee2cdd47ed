"""The client of an engine: opened when it is first needed, closed only if we made it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C")


class Client(Generic[C]):
    """A client that the user gave, or one that ``make`` makes once, at the first ``get``, and ``end`` closes."""

    def __init__(self, given: C | None, make: Callable[[], C], end: Callable[[C], Any]) -> None:
        self._given = given
        self._make = make
        self._end = end
        self._made: C | None = None
        self._given_up = False
        self._lock = threading.Lock()

    def get(self) -> C:
        """The client. What ``make`` raises is raised at each call until it succeeds."""
        known = self._made if self._given is None else self._given  # not "or": a connection without tables is false
        if known is not None:
            return known
        with self._lock:
            if self._made is None:
                made = self._make()
                if self._given_up:  # nobody waited for it
                    self._end(made)
                    raise RuntimeError("closed before it was open")
                self._made = made
            return self._made

    def close(self) -> None:
        """Close what was made here; a client that was given stays open, since it is its owner's."""
        if not self._lock.acquire(blocking=False):  # it is being made, by a call that was given up
            self._given_up = True
            return
        try:
            made, self._made = self._made, None
        finally:
            self._lock.release()
        if made is not None:
            self._end(made)
