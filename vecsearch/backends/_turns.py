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
        self._empty = threading.Condition(threading.Lock())
        self._reading = _Reading(self)

    def reading(self) -> _Reading:
        """A block in which nobody writes."""
        return self._reading

    def enter(self) -> None:
        """One reader more."""
        with self._door, self._empty:
            self._readers += 1

    def leave(self) -> None:
        """One reader less."""
        with self._empty:
            self._readers -= 1
            # A writer that waits for readers stands in the door; one that comes later sees for itself.
            if self._door.locked():
                self._empty.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block in which nobody else reads or writes."""
        with self._door:
            with self._empty:
                self._empty.wait_for(lambda: not self._readers)
            yield


class _Reading:
    """The block of a reader; every search is one, and a generator would take as long again."""

    def __init__(self, held: Turns) -> None:
        self._turns = held

    def __enter__(self) -> None:
        self._turns.enter()

    def __exit__(self, *_: object) -> None:
        self._turns.leave()


def turns(place: Hashable) -> Turns:
    """The lock of this place, the same for all who ask while somebody keeps it."""
    with _guard:
        return _known.setdefault(place, Turns())


__all__ = ("Turns", "turns")
