"""What LanceDB's errors mean. They are ``ValueError`` and ``RuntimeError``, and differ in their texts alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vecsearch.backends._faults import of_status

if TYPE_CHECKING:
    from vecsearch.backends.base import Fault

_PATTERNS: tuple[tuple[Fault, str], ...] = (
    ("not_found", r"^Table '.*' was not found|\bNot found: [^\n]*\.lance/_versions"),
    ("exists", r"^Table '.*' already exists"),
    # Another writer came first: the same call again will do.
    ("unavailable", r"commit conflict|Too many concurrent writers|Query timeout|Merge insert timed out"),
    ("unavailable", r"\bkind: (Connect|Timeout|Request)\b|error sending request|RetryError"),
    ("denied", r"Unauthenticated|PermissionDenied \{"),
    ("storage", r"No space left|Permission denied|Read-only file system|LocalFileSystem|Disk quota|os error \d+"),
)
_STATUS = re.compile(r"\bstatus: (\d{3})\b")
# An object store's error: what was asked, and after the last "inner:" what came of it.
_ASKED = re.compile(r"method: (\w+), uri: Some\((.*?)\).*\binner: (.*)", re.DOTALL)
_PLACE = re.compile(r",? */\S*\.cargo/registry/\S+|, location: Location .*", re.DOTALL)
_LONGEST = 400


def meaning(text: str) -> Fault | None:
    """The fault that a text speaks of."""
    status = _STATUS.search(text)
    if status is not None:
        return of_status(int(status[1]))
    return next((fault for fault, pattern in _PATTERNS if re.search(pattern, text, re.DOTALL)), None)


def words(text: str) -> str:
    """The text, without the engine's inner life and the place in its source that it ends with."""
    text = _PLACE.sub("", text).removeprefix("lance error: ")
    asked = _ASKED.search(text)
    if asked is not None:
        text = f"{asked[1]} {asked[2]}: {asked[3].partition(' }')[0]}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
