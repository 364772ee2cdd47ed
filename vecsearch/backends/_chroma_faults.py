"""What Chroma's errors mean: classes that say little, so that texts must."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from chromadb import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vecsearch.backends.base import Fault

CLASSES: Mapping[type[Exception], Fault] = {
    errors.NotFoundError: "not_found",
    errors.AuthorizationError: "denied",
    errors.ChromaAuthError: "denied",
    errors.RateLimitError: "rate_limited",
    errors.UniqueConstraintError: "exists",
    errors.InvalidArgumentError: "invalid",
    errors.InvalidDimensionException: "invalid",
    errors.BatchSizeExceededError: "invalid",
    httpx.TransportError: "unavailable",
    OSError: "storage",
}
# Read in the chroma crate and from SQLite, which both reach us as InternalError or as a plain exception.
_TEXTS: tuple[tuple[str, Fault], ...] = (
    ("with different settings", "storage"),  # "An instance of Chroma already exists"
    ("already exists", "exists"),
    ("disk is full", "storage"),
    ("No space left", "storage"),
    ("disk I/O error", "storage"),
    ("readonly database", "storage"),
    ("database is locked", "storage"),
    ("unable to open database", "storage"),
    ("is not a database", "storage"),
    ("database disk image is malformed", "storage"),
    ("Forbidden", "denied"),
    ("Unauthorized", "denied"),
)


def meaning(error: Exception) -> Fault | None:
    """The fault, where the text tells."""
    text = str(error)
    return next((fault for words, fault in _TEXTS if words in text), None)


def words(error: Exception) -> str:
    """What Chroma said, with what to do where it says what is wrong only."""
    text = str(error)
    if "with different settings" in text:
        return f"{text}: this program has opened it already; give that client as client="
    return text or type(error).__name__


__all__ = ("CLASSES", "meaning", "words")
