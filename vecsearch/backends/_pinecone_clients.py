"""Pinecone's client: found in the right package, pointed at the right hosts, its errors read.

Its own retries of the data plane cannot be set: four attempts, a Retry-After of up to a minute each, and none at all
once a process has seen some fifty failures of a host. So an attempt gets a quarter of the timeout, requests are
bounded by a deadline of ours, and the calls in front repeat what failed.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from vecsearch.backends import _faults
from vecsearch.backends._clients import Client
from vecsearch.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from vecsearch.backends.base import Fault
    from vecsearch.backends.pinecone import PineconeConfig

_OLDEST = 10
_STUB = "pinecone-client"
_ATTEMPTS = 4
_SHORTEST = 1.0
_LONGEST = 300
_INSTALL = "pip install --force-reinstall 'pinecone>=10'"


def stub_installed() -> bool:
    """Whether the old package, of which only an error is left, lies beside the client: both own the same files."""
    try:
        version(_STUB)
    except PackageNotFoundError:
        return False
    return True


def _broken(why: str) -> MissingDependencyError:
    first = f"pip uninstall -y {_STUB} pinecone, then " if stub_installed() else ""
    return MissingDependencyError(
        f"the pinecone backend needs the package pinecone 10 or later: {why}; {first}{_INSTALL}"
    )


try:
    import pinecone
    from pinecone import ApiError, Pinecone, PineconeConnectionError, PineconeError, PineconeTimeoutError, RetryConfig
except ModuleNotFoundError as error:
    if error.name != "pinecone" or stub_installed():
        raise _broken(f"what is installed is broken ({error})") from error
    raise
except Exception as error:  # the stub raises a plain Exception when it is imported
    raise _broken(f"what is installed is another ({error})") from error
if int(pinecone.__version__.partition(".")[0]) < _OLDEST:
    raise _broken(f"version {pinecone.__version__} is installed")


def of(config: PineconeConfig) -> Client[Pinecone]:
    """The client that a configuration means, made when it is needed; nothing is sent by that."""
    return Client(config.client, lambda: _made(config), lambda client: client.close())


def _made(config: PineconeConfig) -> Pinecone:
    if config.api_key is None and not os.environ.get("PINECONE_API_KEY"):
        raise ConfigError(
            "pinecone: no api_key is given: set api_key, VECSEARCH_SIMILARITY_PINECONE_API_KEY or PINECONE_API_KEY"
        )
    return Pinecone(
        api_key=config.api_key.get_secret_value() if config.api_key else None,
        timeout=max(_SHORTEST, config.timeout / _ATTEMPTS),
        connection_pool_maxsize=4 * config.workers,
        retry_config=RetryConfig(max_retries=0),  # of the control plane: the calls in front repeat what failed
        source_tag="vecsearch",
        host=config.host,
        proxy_url=config.proxy_url,
        ssl_ca_certs=config.ssl_ca_certs,
    )


def meaning(error: Exception) -> Fault | None:
    """What an error of the client means; the service answers 500 and 502 to 504 where it could not, this time."""
    if isinstance(error, ApiError):
        return "unavailable" if error.status_code == 500 else _faults.of_status(error.status_code)  # noqa: PLR2004
    if isinstance(error, PineconeConnectionError | PineconeTimeoutError | TimeoutError):
        return "unavailable"
    return "invalid" if isinstance(error, PineconeError) else None


def words(error: Exception) -> str:
    """What the service said, in a line."""
    return " ".join(str(error).split())[:_LONGEST]


def status_of(error: Any) -> int | None:
    """The HTTP status that an error is about, if it is."""
    return error.status_code if isinstance(error, ApiError) else None


__all__ = ("ApiError", "Pinecone", "meaning", "of", "status_of", "stub_installed", "words")
