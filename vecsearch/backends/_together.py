"""Searches that several threads ask for at once: one of them answers for all."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from vecsearch.core.metrics import Float32

Answer = TypeVar("Answer")


class Together(Generic[Answer]):
    """While one thread searches, others that want the same with other queries wait; then one of them answers for all.

    A search has all cores, so that two at once stand in each other's way; and one of several queries takes little
    longer than one of one, since it reads the rows once for all of them.
    """

    def __init__(self) -> None:
        self._begin()
        _known.add(self)

    def _begin(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._busy: set[Hashable] = set()
        self._waiting: dict[Hashable, list[_Call[Answer]]] = {}

    def search(self, what: Hashable, queries: Float32, find: Callable[[Float32], list[Answer]]) -> list[Answer]:
        """``find(queries)``, an answer a query. Calls of one ``what`` differ in their queries alone."""
        call: _Call[Answer] = _Call(queries)  # not _Call[Answer](…), which takes microseconds
        with self._changed:
            self._waiting.setdefault(what, []).append(call)
            while call.answers is None and what in self._busy:
                self._changed.wait()
            if call.answers is not None:
                return call.answers
            self._busy.add(what)
            waiting = self._waiting.pop(what, [])
        answers = None
        try:
            if waiting != [call]:
                with suppress(Exception):  # what fails for all may not fail for each
                    answers = _answers([call, *(other for other in waiting if other is not call)], find)
            return find(queries) if answers is None else answers
        finally:
            with self._changed:
                self._busy.discard(what)
                self._changed.notify_all()


class _Call(Generic[Answer]):
    """The queries of one thread, and their answers."""

    __slots__ = ("answers", "queries")

    def __init__(self, queries: Float32) -> None:
        self.queries = queries
        self.answers: list[Answer] | None = None


def _answers(calls: Sequence[_Call[Answer]], find: Callable[[Float32], list[Answer]]) -> list[Answer]:
    """Those of the first call; the others are given theirs."""
    answers = find(np.concatenate([call.queries for call in calls]))
    stops = np.cumsum([len(call.queries) for call in calls]).tolist()
    for call, start, stop in zip(calls[1:], stops, stops[1:], strict=False):
        call.answers = answers[start:stop]
    return answers[: stops[0]]


_known: WeakSet[Together[Any]] = WeakSet()


def _forked() -> None:
    """Begin anew: a child process has none of the threads that searched or waited."""
    for together in _known:
        together._begin()  # noqa: SLF001  of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
