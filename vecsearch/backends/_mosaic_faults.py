"""What the errors of the Databricks SDK mean, and of the libraries below it, which it lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests
from databricks.sdk import errors
from databricks.sdk.errors.base import DatabricksError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vecsearch.backends.base import Fault

_LONGEST = 300
ERRORS: Mapping[type[Exception], Fault] = {
    # Every error of the SDK is an OSError, and says nothing of a disk.
    DatabricksError: "invalid",
    errors.Unauthenticated: "denied",
    errors.PermissionDenied: "denied",
    errors.NotFound: "not_found",
    errors.ResourceConflict: "exists",
    errors.Aborted: "unavailable",
    errors.TooManyRequests: "rate_limited",
    # Every primitive may be repeated, and the SDK repeats none of these by itself but the last.
    errors.InternalError: "unavailable",
    errors.NotImplemented: "invalid",
    errors.DataLoss: "storage",
    errors.DeadlineExceeded: "unavailable",
    errors.TemporarilyUnavailable: "unavailable",
    # A body that was cut, and one that is no JSON, are let through as they are.
    requests.RequestException: "unavailable",
    requests.exceptions.InvalidURL: "invalid",
    requests.exceptions.InvalidHeader: "invalid",
}
_BAD_GATEWAY = ("bad gateway", "502")


def meaning(error: Exception) -> Fault | None:
    """By the class, as in ``ERRORS``; by its text where the class says too little."""
    if isinstance(error, TimeoutError):  # what is left once the SDK has given up
        return "rate_limited" if isinstance(_behind(error), errors.TooManyRequests) else "unavailable"
    if type(error) is DatabricksError and any(word in str(error).lower() for word in _BAD_GATEWAY):
        return "unavailable"  # a status that the SDK has no class for, and no attribute
    if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        return "denied" if _is_oauth(str(error)) else None
    matches = [(len(kind.__mro__), fault) for kind, fault in ERRORS.items() if isinstance(error, kind)]
    return max(matches)[1] if matches else None


def _is_oauth(text: str) -> bool:
    return any(word in text for word in ("invalid_client", "unauthorized_client", "access_denied", " auth: "))


def _behind(error: Exception) -> BaseException | None:
    return error.__cause__ or error.__context__


def words(error: Exception) -> str:
    """What happened, and what was behind it where the SDK only says that it gave up."""
    text = str(error) or type(error).__name__
    behind = _behind(error)
    if isinstance(error, TimeoutError) and behind is not None:
        text = f"{text}: {behind}"
    elif isinstance(error, requests.RequestException):
        text = f"{type(error).__name__}: {text}"
    # Behind a refusal the SDK lists its settings and variables.
    text = " ".join(text.partition(" Config: ")[0].split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


__all__ = ("meaning", "words")
