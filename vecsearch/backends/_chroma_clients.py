"""Clients of Chroma: of a server, of a folder that one process at a time may open, of memory.

Chroma lets two processes open one folder, and then answers searches from what each has in memory: rows of the other are
not found, without a word. So a process that opens a folder here holds a lock on it.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromadb
import httpx
from chromadb.api.client import Client as ChromaClient
from chromadb.config import Settings

from vecsearch.backends._clients import Client, ServerName
from vecsearch.errors import StorageError
from vecsearch.files import locked

if TYPE_CHECKING:
    from collections.abc import Hashable

    from vecsearch.backends.chroma import ChromaConfig

_LOCK = ".vecsearch.lock"
_LOCK_SECONDS = 0.5
_SPARE_BYTES = 16 << 20
_COPIES = 4  # of a row: in the log, in the database, in the graph, and in the graph that is being written
_guard = threading.RLock()
_held: dict[Path, tuple[ExitStack, int]] = {}
"""The locks of open folders, with how many clients of this process use each."""


def place_of(config: ChromaConfig) -> Hashable:
    """What two configurations have in common that mean the same rows."""
    if config.client is not None:
        return id(config.client)
    where = str(Path(config.path).expanduser().resolve()) if config.path else (config.host, config.port)
    return where, config.tenant, config.database


def check_room(config: ChromaConfig, carried: int) -> None:
    """Refuse a write of so many bytes where the disk is nearly full: Chroma's would never return (seen in 1.5.9)."""
    if config.path is not None and config.client is None:
        free = shutil.disk_usage(Path(config.path).expanduser()).free
        if free < _SPARE_BYTES + _COPIES * carried:
            raise StorageError(f"chroma: the disk of {config.path} is nearly full: {free >> 20} MiB are left")


def of(config: ChromaConfig) -> Client[Any]:
    """The client that a configuration means, opened when it is needed."""
    if config.client is not None or config.host is not None:
        return Client(config.client, lambda: _Bounded(config), lambda client: client.close())
    if config.path is None:
        return Client(None, lambda: _in_memory(config), lambda client: client.close())
    # Chroma shares its memory between the clients of one path, but only where the path is spelled the same.
    path = Path(config.path).expanduser().resolve()
    return Client(None, lambda: _folder(config, path), lambda client: _left(client, path))


def _settings(**given: Any) -> Any:
    """Settings of Chroma's, without telemetry, and without the ``.env`` of whatever folder this runs in."""
    without: dict[str, Any] = {"_env_file": None, "anonymized_telemetry": False}
    return Settings(**without, **given)


def _in_memory(config: ChromaConfig) -> Any:
    with _guard:
        return chromadb.EphemeralClient(_settings(), config.tenant, config.database)


def _folder(config: ChromaConfig, path: Path) -> Any:
    with _guard:
        _hold(path)
        try:
            return chromadb.PersistentClient(path, _settings(), config.tenant, config.database)
        except BaseException:
            _let_go(path)
            raise


def _left(client: Any, path: Path) -> None:
    with _guard:
        try:
            client.close()
        finally:
            _let_go(path)


def _hold(path: Path) -> None:
    lock, users = _held.get(path) or (ExitStack(), 0)
    if not users:
        try:
            lock.enter_context(locked(path / _LOCK, _LOCK_SECONDS))
        except StorageError as error:
            if not path.is_dir():
                raise StorageError(f"chroma: the folder {path} cannot be made: {error.__cause__}") from error
            raise StorageError(
                f"{error}; a folder of Chroma's is for one process at a time: for several, start "
                f"`chroma run --path {path}` and give its host"
            ) from error
    _held[path] = lock, users + 1


def _let_go(path: Path) -> None:
    lock, users = _held[path]
    if users > 1:
        _held[path] = lock, users - 1
        return
    del _held[path]
    lock.close()


class _Bounded(ChromaClient):
    """A client of a server that waits for no answer for ever, as Chroma's own does."""

    def __init__(self, config: ChromaConfig) -> None:
        self._seconds = config.timeout
        self._sessions: list[httpx.Client] = []
        settings = _settings(
            chroma_api_impl="chromadb.api.fastapi.FastAPI",
            chroma_server_host=config.host,
            chroma_server_http_port=config.port,
            chroma_server_ssl_enabled=config.ssl,
            chroma_server_headers=config.sent_headers(),
        )
        try:
            super().__init__(tenant=config.tenant, database=config.database, settings=settings)
        except BaseException:
            self._hang_up()
            raise

    def get_user_identity(self) -> Any:
        """The first call that is made of a server; its errors pass as they are."""
        self._bound(self._server)
        return self._server.get_user_identity()

    def _validate_tenant_database(self, tenant: str, database: str) -> None:
        self._bound(getattr(self._admin_client, "_server", None))  # the client within has connections of its own
        self._admin_client.get_tenant(name=tenant)
        self._admin_client.get_database(name=database, tenant=tenant)

    def _bound(self, server: Any) -> None:
        session = getattr(server, "_session", None)  # there is no public way to a deadline
        if isinstance(session, httpx.Client):
            session.timeout = httpx.Timeout(self._seconds)
            self._sessions.append(session)

    def close(self) -> None:
        """Close the connections, which Chroma's own leaves to the garbage collector."""
        super().close()
        self._hang_up()

    def _hang_up(self) -> None:
        for session in self._sessions:
            session.close()


__all__ = ("ServerName", "check_room", "of", "place_of")
