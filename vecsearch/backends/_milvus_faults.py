"""What Milvus's errors mean: codes of the server, which older releases and Milvus Lite often leave at "unexpected"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from pymilvus.exceptions import ConnectionConfigException, MilvusException

from vecsearch.backends import _faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vecsearch.backends.base import Fault

_NO_CONNECTION = 2
_CODES: Mapping[int, Fault] = {
    _NO_CONNECTION: "unavailable",  # the service is away, or the client cannot connect
    8: "rate_limited",
    100: "not_found",
    1400: "denied",
    1401: "denied",
    1402: "denied",
}
_TEXTS: Mapping[str, Fault] = {
    "auth check fail": "denied",
    "unauthenticated": "denied",
    "permission deny": "denied",
    "retry timeout": "unavailable",
    "retry run out": "unavailable",
    "not ready": "unavailable",
    "is not healthy": "unavailable",
    "already exist": "exists",
    "duplicate collection": "exists",
    "no space left": "storage",
    "permission denied": "storage",
    "input/output error": "storage",
}


def _refused(error: Exception) -> grpc.RpcError | None:
    """The error of the wire, where there is one: what the client does not try again reaches us as it is.

    A client that is refused at the door says that no server is there; what the server said is the cause of that.
    """
    if isinstance(error, grpc.RpcError):
        return error
    known = getattr(error, "code", None) == _NO_CONNECTION and isinstance(error.__cause__, grpc.RpcError)
    return error.__cause__ if known and _faults.of_grpc(error.__cause__) == "denied" else None


def meaning(error: Exception) -> Fault | None:
    """The fault, where it is one that is known."""
    refused = _refused(error)
    if refused is not None:
        return _faults.of_grpc(refused)
    if isinstance(error, ConnectionConfigException):
        return "storage" if "local milvus" in error.message else "invalid"
    if not isinstance(error, MilvusException):
        return "storage" if isinstance(error, OSError) else None
    text = str(error.message).lower()
    return _CODES.get(error.code) or next((fault for part, fault in _TEXTS.items() if part in text), "invalid")


def words(error: Exception) -> str:
    """What was said, without the trace that the server sends along."""
    refused = _refused(error)
    if refused is not None:
        return _faults.said_by_grpc(refused)
    if isinstance(error, ConnectionConfigException) and "local milvus" in error.message:
        return f"{error.message}: another process may hold the folder, or it cannot be written"
    if isinstance(error, MilvusException):
        return str(error.message).partition("\nstack trace")[0][:500]
    return str(error)
