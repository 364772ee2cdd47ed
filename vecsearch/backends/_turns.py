"""Readers together, writers alone: for engines that let a reader see half of a write."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_known: WeakValueDictionary[Hashable, Turns] = WeakValueDictionary()
_guard = threading.Lock()


class Turns:
    """A lock that any number of readers share, and that a writer has alone; whoever comes first, goes first."""

    def __init__(self) -> None:
        self._door = threading.Lock()
        """Everybody passes it; a writer stays in it until it is done, so that no reader overtakes it."""
        self._readers = _Readers(self._door)

    def reading(self) -> _Readers:
        """A block in which nobody writes."""
        return self._readers

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block in which nobody else reads or writes."""
        with self._door:
            self._readers.wait_until_gone()
            yield


class _Readers:
    """Those that read, and the block of each; every search is one, and a generator would take as long again."""

    def __init__(self, door: threading.Lock) -> None:
        self._door = door
        self._count = 0
        self._lock = threading.Lock()  # taken by itself: to go through the condition takes as long again
        self._gone = threading.Condition(self._lock)

    def __enter__(self) -> None:
        with self._door, self._lock:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1
            # A writer that waits for readers stands in the door; one that comes later sees for itself.
            if self._door.locked():
                self._gone.notify_all()

    def wait_until_gone(self) -> None:
        """Return when nobody reads; asked from within the door."""
        with self._lock:
            self._gone.wait_for(lambda: not self._count)


def turns(place: Hashable) -> Turns:
    """The lock of this place, the same for all who ask while somebody keeps it."""
    with _guard:
        return _known.setdefault(place, Turns())


__all__ = ("Turns", "turns")
