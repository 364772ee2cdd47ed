"""Calls that end when nothing has come for a while, whatever the client in between waits for; several at a time.

Some clients repeat a call as long as a server asks for, or with waits that no setting bounds. What is asked here is
given up then. What the client still does is left behind: a write may be carried out later, over a newer one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


def several(seconds: float, workers: int, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``function`` of each item, in their order; the first error ends all.

    Raises ``TimeoutError`` where ``seconds`` pass without an answer to any of them.
    """
    results: dict[int, R] = {}
    errors: list[BaseException] = []
    places = iter(range(len(items)))
    changed = threading.Condition()

    def work() -> None:
        while True:
            with changed:
                place = None if errors else next(places, None)
            if place is None:
                return
            try:
                found = function(items[place])
            except BaseException as error:  # noqa: BLE001  it is raised where the answer is waited for
                with changed:
                    errors.append(error)
                    changed.notify()
            else:
                with changed:
                    results[place] = found
                    changed.notify()

    for _ in range(min(workers, len(items))):
        # A daemon: one that is left behind does not keep the process from its end.
        threading.Thread(target=work, daemon=True).start()
    with changed:
        while len(results) < len(items):
            before = len(results)
            if errors:
                raise errors[0]
            if not changed.wait(seconds) and len(results) == before and not errors:
                errors.append(TimeoutError(f"no answer within {seconds:g} s"))
    return [results[place] for place in range(len(items))]


__all__ = ("several",)
