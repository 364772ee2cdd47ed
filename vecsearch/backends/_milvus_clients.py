"""Clients of Milvus: a server's, or Milvus Lite in a folder of this process; pymilvus's own error log kept quiet.

Milvus Lite runs as a server in a thread of this process, which holds its folder until the process ends: the client's
``close()`` leaves it running. Here it ends with the last client of ours, unless the user had it running before.

Two that write to one collection at once spoil its log: both open the same file for the first row, and the rows of one
are not in it (seen in 3.2.2). So its clients take turns, whoever they belong to, and however many indexes they serve.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator
from pymilvus import MilvusClient

from vecsearch.backends._clients import IMPATIENT, Client, check_address
from vecsearch.backends._turns import turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from vecsearch.backends.milvus import MilvusConfig

SUFFIX = ".db"


def _checked(uri: str) -> str:
    lite = "://" not in uri and uri.endswith(SUFFIX)
    return uri if lite or uri.startswith("unix:") else check_address(uri, schemes=("http", "https", "tcp"))


Uri = Annotated[str, AfterValidator(_checked)]
"""The type of a setting that takes a server's address, or a folder of Milvus Lite."""
_guard = threading.Lock()
_users: dict[str, int] = {}
_found_running: set[str] = set()


def of(config: MilvusConfig) -> Client[MilvusClient]:
    """The client of a configuration; nothing is opened yet."""
    if config.lite_path is not None:
        path = str(config.lite_path.absolute())
        return Client(None, lambda: _lite(path, config.timeout), lambda client: _ended(client, path))
    return Client(config.client, lambda: _server(config), lambda client: client.close())


def turn(client: MilvusClient) -> AbstractContextManager[None]:
    """A block in which no other call of ours reaches the Milvus Lite behind this client."""
    # Each has a port of its own, which all of its clients talk to; there is no public way to it.
    return turns(("milvus", getattr(getattr(client, "_config", None), "address", id(client)))).writing()


def _server(config: MilvusConfig) -> MilvusClient:
    # A connection of its own: the client would share one by address and token alone, whatever else was asked for.
    return MilvusClient(timeout=config.timeout, dedicated=True, grpc_options=dict(IMPATIENT), **config.connection)


def _lite(path: str, timeout: float) -> MilvusClient:
    from milvus_lite.server_manager import server_manager_instance as servers

    with _guard:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        running: Mapping[str, Any] = getattr(servers, "_servers", {})
        if path not in _users and path in running:
            _found_running.add(path)
        client = MilvusClient(path, timeout=timeout, dedicated=True)
        _users[path] = _users.get(path, 0) + 1
        return client


def _ended(client: MilvusClient, path: str) -> None:
    from milvus_lite.server_manager import server_manager_instance as servers

    with _guard:
        client.close()
        _users[path] -= 1
        if _users[path]:
            return
        del _users[path]
        if path in _found_running:
            _found_running.discard(path)
        else:
            servers.release_server(path)


class _Quiet(logging.Filter):
    """Drops what pymilvus logs of a failed call of ours, a whole traceback: the caller gets the error itself."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept."""
        del record
        return not getattr(self.calls, "ours", False)


_quiet = _Quiet()
for _name in ("pymilvus.decorators", "pymilvus.client.connection_manager"):
    logging.getLogger(_name).addFilter(_quiet)


@contextmanager
def quiet() -> Iterator[None]:
    """A block whose calls pymilvus does not log."""
    before = getattr(_quiet.calls, "ours", False)
    _quiet.calls.ours = True
    try:
        yield
    finally:
        _quiet.calls.ours = before
