"""Clients of Qdrant: of a server, of rows in memory, of a folder that indexes of one process share.

The client's local mode is not safe for threads: one that writes while another reads leaves arrays of different
lengths behind. So each local client has a lock, whoever it belongs to, and however many indexes lie in it.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from weakref import WeakKeyDictionary

from pydantic import AfterValidator
from qdrant_client import QdrantClient

from vecsearch.backends._clients import IMPATIENT, Client, check_address

if TYPE_CHECKING:
    from vecsearch.backends.qdrant import QdrantConfig

MEMORY = ":memory:"
Url = Annotated[str, AfterValidator(lambda url: url if url == MEMORY else check_address(url, bare=True))]
"""The type of a setting that takes a server's address, or ``":memory:"``."""
_guard = threading.RLock()
_locks: WeakKeyDictionary[QdrantClient, Any] = WeakKeyDictionary()
_folders: dict[Path, tuple[QdrantClient, int]] = {}
"""Open folders, with how many indexes use each: a folder takes one client at a time."""


def of(config: QdrantConfig) -> Client[QdrantClient]:
    """The client that a configuration means, opened when it is needed."""
    return Client(config.client, lambda: _opened(config), _ended)


def is_local(client: QdrantClient) -> bool:
    """Whether the rows lie in this process."""
    return in_memory(client) or client.init_options.get("path") is not None


def in_memory(client: QdrantClient) -> bool:
    """Whether the rows end with the client."""
    return bool(client.init_options.get("location") == MEMORY)


def lock_of(client: QdrantClient) -> Any:
    """To be held around each call."""
    lock = _locks.get(client)
    if lock is None:
        with _guard:
            lock = _locks.setdefault(client, threading.RLock() if is_local(client) else contextlib.nullcontext())
    return lock


def _opened(config: QdrantConfig) -> QdrantClient:
    if config.path is not None:
        return _folder(Path(config.path).expanduser().resolve())
    if config.in_memory:
        return QdrantClient(MEMORY)
    named = {
        "url": config.url,
        "host": config.host,
        "port": config.port,
        "grpc_port": config.grpc_port,
        "prefer_grpc": config.prefer_grpc,
        "https": config.https,
        "prefix": config.prefix,
        "api_key": config.api_key.get_secret_value() if config.api_key else None,
        "timeout": config.timeout,
        "grpc_options": dict(IMPATIENT) if config.prefer_grpc else None,
    }
    given: Any = {name: value for name, value in named.items() if value is not None}
    # The check of versions warns from a thread of its own; describe and create say what is missing.
    return QdrantClient(check_compatibility=False, **given)


def _folder(path: Path) -> QdrantClient:
    with _guard:
        client, users = _folders.get(path, (None, 0))
        if client is None:
            # Calls come from several threads, though one at a time.
            client = QdrantClient(path=str(path), force_disable_check_same_thread=True)
        _folders[path] = client, users + 1
        return client


def _ended(client: QdrantClient) -> None:
    with _guard:
        for path, (known, users) in list(_folders.items()):
            if known is client and users > 1:
                _folders[path] = client, users - 1
                return
            if known is client:
                del _folders[path]
    with lock_of(client):
        client.close()


@atexit.register
def _at_exit() -> None:
    """Close what was left open: the client's own finalizer fails once Python is shutting down."""
    with _guard:
        for client, _ in _folders.values():
            client.close()
        _folders.clear()
