"""What an HTTP status means for a model's endpoint."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vecsearch.backends.base import Fault

_DENIED = (401, 403)
_NOT_FOUND = (404, 405)
_LATER = (408, 425, 429)
_SERVER = 500


def fault_of(status: int) -> Fault | None:
    """``None`` for a refusal that may lie with a sample: too long, too large, empty."""
    if status in _DENIED:
        return "denied"
    if status in _NOT_FOUND:
        return "not_found"
    if status in _LATER:
        return "rate_limited"
    return "unavailable" if status >= _SERVER else None


def seconds(value: str | None) -> float:
    """A ``Retry-After``, in seconds or as a date; 0 where there is none that can be read."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    from datetime import datetime

    return max(0.0, (when - datetime.now(when.tzinfo)).total_seconds())


__all__ = ("fault_of", "seconds")
