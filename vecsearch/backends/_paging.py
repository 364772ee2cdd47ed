"""Pages that a service gives one by one, each with the token of the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from vecsearch.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

P = TypeVar("P")
K = TypeVar("K", bound="Hashable")


def pages(service: str, ask: Callable[[K | None], tuple[P, K | None]]) -> Iterator[P]:
    """Every page: ``ask`` gets the token of a page (``None``: the first) and gives the page and the next token.

    A token that comes a second time is an error: it would be asked for without end.
    """
    token: K | None = None
    seen: set[K] = set()
    while True:
        page, token = ask(token)
        if token is not None and token in seen:
            raise BackendError(
                f"{service} gives page {len(seen) + 1} again and again; what comes after it is not known"
            )
        yield page
        if token is None:
            return
        seen.add(token)


__all__ = ("pages",)
