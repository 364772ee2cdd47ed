"""The options that several commands have, and the index they open."""

import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import vecsearch
from vecsearch.cli.output import Format
from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecsearch.index import SimilarityIndex


def _keys(incomplete: str) -> list[str]:
    """The keys that the shell offers."""
    return [key for key in vecsearch.list_runs() if key.startswith(incomplete)]


Key = Annotated[str, typer.Argument(metavar="KEY", help="The run.", show_default=False, autocompletion=_keys)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Rows = Annotated[
    Format | None,
    typer.Option("--format", help="How rows are written: a table (the default), a line of JSON each, CSV, one JSON."),
]
Filter = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help='Only rows for which it holds: \'{"year": {"$gte": 2020}}\'.'),
]
AllowScan = Annotated[
    bool, typer.Option("--allow-scan", help="Answer by reading all rows what the engine cannot answer.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the backend; again for more. Lists as JSON."),
]
Backend = Annotated[
    str | None, typer.Option("--backend", help="A backend or a profile of the configuration.", show_default=False)
]
OptionalFile = Annotated[Path | None, typer.Option(show_default=False)]


@contextmanager
def opened(key: str) -> "Iterator[SimilarityIndex]":
    """The index of a run, closed at the end."""
    index = vecsearch.load_run(key)
    try:
        yield index
    finally:
        closed(index)


def closed(index: "SimilarityIndex") -> None:
    """Close; a command that failed has said so, and needs no warning that its changes are not saved."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        index.close()


def confirmed(question: str, *, yes: bool) -> None:
    """Ask before something is deleted; where nobody can be asked, ``--yes`` must be given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{question} Nobody can be asked here: say so with --yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidInputError("stopped; nothing was removed")


def where(index: "SimilarityIndex") -> str:
    """A short description of an index."""
    return f"{index.config.method}, {index.metric}, {index.dim or 'no'} dimensions"
