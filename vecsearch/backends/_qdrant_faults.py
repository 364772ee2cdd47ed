"""What Qdrant's errors mean: statuses of the two wires, and the plain exceptions of the client's local mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import httpx
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from vecsearch.backends import _faults

if TYPE_CHECKING:
    from vecsearch.backends.base import Fault

_LONGEST = 300


def meaning(error: Exception) -> Fault | None:
    """The fault, where it is one that is known."""
    if isinstance(error, UnexpectedResponse):
        return _faults.of_status(error.status_code)
    if isinstance(error, ResponseHandlingException):
        return "unavailable" if isinstance(error.source, httpx.TransportError) else None
    if isinstance(error, grpc.RpcError):
        return _faults.of_grpc(error)
    if isinstance(error, ResourceExhaustedResponse):
        return "rate_limited"
    text = str(error)
    if isinstance(error, ValueError) and text.startswith(("Collection ", "Alias ")):
        return "exists" if text.endswith("already exists") else "not_found" if text.endswith("not found") else None
    if isinstance(error, RuntimeError) and "already accessed by another instance" in text:
        return "storage"
    return None


def words(error: Exception) -> str:
    """What the server said, without the page around it."""
    if isinstance(error, grpc.RpcError):
        return _faults.said_by_grpc(error)
    if isinstance(error, UnexpectedResponse):
        return f"{error.status_code} {error.reason_phrase}: {_message(error)}"
    if isinstance(error, ResponseHandlingException):
        return f"{type(error.source).__name__}: {error.source}"
    return str(error)


def _message(error: UnexpectedResponse) -> str:
    """The text of an answer in the server's own form, or the beginning of any other."""
    try:
        status = error.structured()["status"]
        text = str(status["error"] if isinstance(status, dict) else status)
    except (ValueError, KeyError, TypeError):
        text = error.content.decode(errors="replace")
    return " ".join(text.split())[:_LONGEST]
