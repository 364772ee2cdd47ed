"""The client of an engine: opened when it is first needed, closed only if we made it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

C = TypeVar("C")
IMPATIENT: Mapping[str, int] = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 1000}
"""Options of a gRPC channel. By itself it waits up to two minutes before it looks again for a server that was away, and
refuses every call until then, however long the server has been back."""


def check_address(given: str, *, schemes: tuple[str, ...] = ("http", "https"), bare: bool = False) -> str:
    """The address of a server as it was given, or a ``ValueError`` that says what one looks like.

    ``bare``: a name without a scheme will do, with or without a port.
    """
    example = f"{schemes[0]}://host:port"
    try:
        parts = urlsplit(given if "://" in given else f"//{given}")
        wrong = not parts.hostname or parts.port == 0 or any(letter.isspace() for letter in given)
    except ValueError:  # a port that is none
        wrong = True
    else:
        wrong = wrong or (parts.scheme not in schemes if "://" in given else not bare or bool(parts.path))
    if wrong:
        others = f" ({', '.join(schemes)})" if len(schemes) > 1 else ""
        raise ValueError(f"must be the address of a server, {example}{others}")
    return given


ServerName = Annotated[str, AfterValidator(partial(check_address, bare=True))]
"""The type of a setting that takes a server's address, or its name alone."""


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
