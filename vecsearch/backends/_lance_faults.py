"""What LanceDB's errors mean. They are ``ValueError`` and ``RuntimeError``, and differ in their texts alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vecsearch.backends.base import Fault

_PATTERNS: tuple[tuple[Fault, str], ...] = (
    ("not_found", r"^Table '.*' was not found|\bNot found: [^\n]*\.lance/_versions"),
    ("exists", r"^Table '.*' already exists"),
    ("denied", r"\b40[13] (Unauthorized|Forbidden)|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch"),
    ("denied", r"Unauthenticated|PermissionDenied \{"),
    ("rate_limited", r"\b429 Too Many Requests|\bSlowDown\b"),
    # Another writer came first: the same call again will do.
    ("unavailable", r"commit conflict|Too many concurrent writers|Query timeout|Merge insert timed out"),
    ("unavailable", r"error sending request|RetryError|Connect\b.*refused|operation timed out|dns error"),
    ("storage", r"No space left|Permission denied|Read-only file system|LocalFileSystem|Disk quota|os error \d+"),
)
_PLACE = re.compile(r",? */\S*\.cargo/registry/\S+")


def meaning(text: str) -> Fault | None:
    """The fault that a text speaks of."""
    return next((fault for fault, pattern in _PATTERNS if re.search(pattern, text, re.DOTALL)), None)


def words(text: str) -> str:
    """The text, without the place in the engine's source that it ends with."""
    return _PLACE.sub("", text).removeprefix("lance error: ")
