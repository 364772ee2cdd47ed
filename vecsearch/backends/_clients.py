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
        self._lock = threading.Lock()

    def get(self) -> C:
        """The client. What ``make`` raises is raised at each call until it succeeds."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def close(self) -> None:
        """Close what was made here; a client that was given stays open, since it is its owner's."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            self._end(made)
