"""``copy``: an index into another engine, and what differs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import vecsearch
from vecsearch.cli import inputs, options, output
from vecsearch.cli.commands import say
from vecsearch.cli.writing import OnExisting
from vecsearch.errors import InvalidInputError, RunNotFoundError, VecsearchError

if TYPE_CHECKING:
    from vecsearch.index import SimilarityIndex

_DIFFERENT = 1


class Verify(StrEnum):
    """How many rows are compared whole afterwards."""

    sample = "sample"
    full = "full"


def copy(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="A run; with --from, an index of that backend too.", show_default=False),
    ],
    target: Annotated[
        str | None,
        typer.Argument(metavar="DST", help="Another run, made if there is none; SRC's name if left out."),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="BACKEND", help="The backend or profile of SRC.", show_default=False)
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="BACKEND", help="The backend or profile of DST.", show_default=False)
    ] = None,
    settings: options.Set = None,
    verify: Annotated[
        Verify, typer.Option("--verify", help="Compare 1,000 rows drawn at random whole, or all.")
    ] = Verify.sample,
    on_existing: Annotated[
        OnExisting, typer.Option("--on-existing", help="What is done with rows that are in DST.")
    ] = OnExisting.overwrite,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="The same command goes on where it was stopped, or killed."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Copy an index into another, in bounded memory, and compare the two. Exit code 1: they differ.

    --set are settings of a DST that is made by this.
    """
    origin = _source(source, from_)
    try:
        copied, new = _target(target or source, origin, to, inputs.settings(settings or ()))
        try:
            report = vecsearch.copy_index(
                origin, copied, verify=verify.value, on_existing=on_existing.value, checkpoint=checkpoint
            )
        except VecsearchError:
            if new and not copied.count():
                options.closed(copied)
                vecsearch.delete_run(target or source, cleanup=True)
            raise
        finally:
            options.closed(copied)
    finally:
        options.closed(origin)
    if as_json:
        output.document({"source": source, "target": target or source, **report.to_dict()})
    else:
        output.lines(str(report).splitlines())
    if not report.ok:
        say("they differ")
        raise typer.Exit(_DIFFERENT)


def _source(name: str, backend: str | None) -> "SimilarityIndex":
    """The run of that name; where there is none on that backend, the index that the engine calls so."""
    if backend is None:
        return vecsearch.load_run(name)
    try:
        info = vecsearch.get_run_info(name)
    except (RunNotFoundError, InvalidInputError):  # the name of an index may be none that a run can have
        return vecsearch.connect(name, backend=backend)
    if backend in (info.profile, info.backend):
        return vecsearch.load_run(name)
    return vecsearch.connect(name, backend=backend)


def _target(
    key: str, source: "SimilarityIndex", backend: str | None, settings: dict[str, Any]
) -> "tuple[SimilarityIndex, bool]":
    """The run to copy into, and whether it was made for this."""
    if key == source.key:
        raise InvalidInputError(f"{key!r} is the source itself: name another run, vecsearch copy {key} DST")
    if key in vecsearch.list_runs():
        if settings:
            raise InvalidInputError(f"--set describes a new run, and {key!r} exists")
        info = vecsearch.get_run_info(key)
        if backend not in (None, info.profile, info.backend):
            raise InvalidInputError(f"the run {key!r} exists on {info.profile}, not on {backend}: name another run")
        return vecsearch.load_run(key), False
    index = vecsearch.compute_similarity(
        key=key,
        embeddings=False,
        metric=source.metric,
        backend=backend,
        patches_field=source.patches_field,
        **settings,
    )
    return index, True
