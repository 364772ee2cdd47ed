"""What a server does to its callers on a bad day: planned for the next requests, or drawn at random for a share of all.

A ``Fault`` is data; the server acts on it. Those that only the service behind the server can act on (a batch of which
a part is written, a page token that comes twice) reach its routes by name.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vecsearch.testing.standins.http import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong with one request."""

    name: str
    instead: Answer | None = None
    """Said instead of the answer; nothing is carried out."""
    status: int | None = None
    """Said instead of the answer, with a text in the service's own form; nothing is carried out."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that go with ``status``."""
    carried_out: bool = True
    """Whether the request does what it asks for, whatever its caller hears."""
    reply: Literal["whole", "cut", "garbled", "none"] = "whole"
    """What is left of the answer: all, half of its body, a body that is no JSON, a connection that ends in silence."""
    seconds: float = 0.0
    """What passes before the answer."""


DROPPED = Fault(name="dropped", carried_out=False, reply="none")
LOST = Fault(name="reply lost", reply="none")
CUT = Fault(name="cut body", reply="cut")
BAD_JSON = Fault(name="bad JSON", reply="garbled")
EXPIRED = Fault(name="expired token", status=401)
PARTIAL = Fault(name="partial batch")
SAME_PAGE = Fault(name="repeated page token")


def refused(status: int, *, retry_after: float | str | None = None) -> Fault:
    """A refusal such as 429, 500 or 503; ``retry_after`` in seconds, or as the text of the header."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault(name=str(status), status=status, headers=headers)


def slow(seconds: float) -> Fault:
    """An answer that takes its time."""
    return Fault(name="slow", seconds=seconds)


class Plan:
    """Which request meets which fault; counts those that were met."""

    def __init__(self) -> None:
        self.met: Counter[str] = Counter()
        self._next: dict[str | None, deque[Fault]] = defaultdict(deque)
        self._share = 0.0
        self._random = random.Random(0)  # noqa: S311  a draw that can be repeated
        self._drawn: Sequence[Fault] = ()
        self._lock = threading.Lock()

    def add(self, faults: Sequence[Fault], route: str | None) -> None:
        """The next requests of this route (``None``: of any) meet these, in turn."""
        with self._lock:
            self._next[route].extend(faults)

    def draw(self, share: float, seed: int, faults: Sequence[Fault]) -> None:
        """From now on this share of all requests meets one of these, drawn at random; 0: none any more."""
        with self._lock:
            self._share, self._drawn = share, tuple(faults)
            self._random.seed(seed)

    def take(self, route: str) -> Fault | None:
        """What a request of this route meets."""
        with self._lock:
            for queue in (self._next[route], self._next[None]):
                if queue:
                    return self._noted(queue.popleft())
            if self._share and self._random.random() < self._share:
                return self._noted(self._random.choice(self._drawn))
        return None

    def _noted(self, fault: Fault) -> Fault:
        self.met[fault.name] += 1
        return fault


__all__ = (
    "BAD_JSON",
    "CUT",
    "DROPPED",
    "EXPIRED",
    "LOST",
    "PARTIAL",
    "SAME_PAGE",
    "Fault",
    "Plan",
    "refused",
    "slow",
)
