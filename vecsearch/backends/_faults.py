"""What the codes of the two wires mean, HTTP statuses and gRPC codes, and what their errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vecsearch.backends.base import Fault

_STATUSES: Mapping[int, Fault] = {
    401: "denied",
    403: "denied",
    404: "not_found",
    408: "unavailable",
    409: "exists",
    429: "rate_limited",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
    507: "storage",
}
_CODES: Mapping[str, Fault] = {
    "UNAVAILABLE": "unavailable",
    "DEADLINE_EXCEEDED": "unavailable",
    "UNAUTHENTICATED": "denied",
    "PERMISSION_DENIED": "denied",
    "NOT_FOUND": "not_found",
    "ALREADY_EXISTS": "exists",
}


def of_status(status: int | None) -> Fault:
    """The meaning of an HTTP status; what is not known is a refusal, since a repetition would not mend it."""
    return _STATUSES.get(status or 0, "invalid")


def of_grpc(error: Any) -> Fault:
    """The meaning of a ``grpc.RpcError``, whose ``code`` is a method.

    RESOURCE_EXHAUSTED is both "too many calls" and "message too large", of which only the first passes with time.
    """
    code = getattr(error.code(), "name", "")
    if code == "RESOURCE_EXHAUSTED":
        return "invalid" if "larger than max" in str(error.details()) else "rate_limited"
    return _CODES.get(code, "invalid")


def said_by_grpc(error: Any) -> str:
    """The code and the details of a ``grpc.RpcError``, whose own text is a page."""
    return f"{getattr(error.code(), 'name', error.code())}: {error.details()}"
