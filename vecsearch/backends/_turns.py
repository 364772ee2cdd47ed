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
        self._readers = 0
        self._empty = threading.Condition()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A block in which nobody writes."""
        with self._door, self._empty:
            self._readers += 1
        try:
            yield
        finally:
            with self._empty:
                self._readers -= 1
                self._empty.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block in which nobody else reads or writes."""
        with self._door:
            with self._empty:
                self._empty.wait_for(lambda: not self._readers)
            yield


def turns(place: Hashable) -> Turns:
    """The lock of this place, the same for all who ask while somebody keeps it."""
    with _guard:
        return _known.setdefault(place, Turns())


__all__ = ("Turns", "turns")
