"""``vecsearch dev-server``: a stand-in for a cloud service, to try things without an account."""

import json
import shlex
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from vecsearch.cli import output
from vecsearch.cli.commands import say
from vecsearch.errors import MissingDependencyError, UnknownBackendError

if TYPE_CHECKING:
    from vecsearch.testing.standins.service import ServiceStandIn

STAND_INS = {
    "mosaic": "vecsearch.testing.standins.mosaic:MosaicStandIn",
    "pinecone": "vecsearch.testing.standins.pinecone:PineconeStandIn",
}
"""Backend -> where its stand-in lies."""


def dev_server(
    backend: Annotated[
        str, typer.Argument(metavar="NAME", help=f"One of: {', '.join(STAND_INS)}.", show_default=False)
    ],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0: a free port.")] = 0,
) -> None:
    """Run a stand-in for a cloud service on 127.0.0.1 until Ctrl-C; its rows end with it.

    It follows the public protocol, and is no measure of the service's speed or recall. It needs the extra "testing".
    """
    with _made(backend, port) as server:
        settings = server.settings()
        output.lines([f"# {backend}, {server.protocol}, at {server.url}"])
        output.lines(
            f"export VECSEARCH_SIMILARITY_{backend.upper()}_{name.upper()}={shlex.quote(_text(value))}"
            for name, value in settings.items()
        )
        output.lines(["# or in config.json:", json.dumps({"similarity_backends": {backend: settings}})])
        sys.stdout.flush()
        say("Ctrl-C ends it")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say(f"{len(server.requests)} requests")


def _made(backend: str, port: int) -> "ServiceStandIn":
    if backend not in STAND_INS:
        raise UnknownBackendError(f"there is no stand-in for {backend!r}; there is one for: {', '.join(STAND_INS)}")
    module, _, name = STAND_INS[backend].partition(":")
    try:
        made: ServiceStandIn = getattr(import_module(module), name)(port=port)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "vecsearch":
            raise
        raise MissingDependencyError(f"dev-server needs {error.name}: pip install 'vecsearch[testing]'") from error
    return made


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
