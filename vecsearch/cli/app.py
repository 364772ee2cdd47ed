"""The commands, joined."""

from typing import Annotated

import typer

from vecsearch import __version__
from vecsearch.cli import audits, bench, copying, facts, reading, runs, serving, showing, writing
from vecsearch.cli.commands import Commands
from vecsearch.cli.output import lines

app = typer.Typer(cls=Commands, pretty_exceptions_enable=False, invoke_without_command=True)


def _version(asked: bool) -> None:
    if asked:
        lines([f"vecsearch {__version__}"])
        raise typer.Exit


@app.callback()
def top(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,  # noqa: ARG001
) -> None:
    """One similarity index over every vector engine.

    Start with: vecsearch demo
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_START, _INDEX, _CARE = "Start here", "Indexes", "Care"
app.command("demo", rich_help_panel=_START)(showing.demo)
app.command("config", rich_help_panel=_START)(facts.config)
app.command("backends", rich_help_panel=_START)(facts.backends)
app.command("dev-server", rich_help_panel=_START)(serving.dev_server)
app.command("create", rich_help_panel=_INDEX)(writing.create)
app.command("copy", rich_help_panel=_INDEX)(copying.copy)
app.command("ingest", rich_help_panel=_INDEX)(writing.ingest)
app.command("search", rich_help_panel=_INDEX)(reading.search)
app.command("get", rich_help_panel=_INDEX)(reading.get)
app.command("count", rich_help_panel=_INDEX)(reading.count)
app.command("remove", rich_help_panel=_INDEX)(writing.remove)
app.command("duplicates", rich_help_panel=_INDEX)(reading.duplicates)
app.command("unique", rich_help_panel=_INDEX)(reading.unique)
app.add_typer(runs.app, name="runs", rich_help_panel=_CARE)
app.command("check", rich_help_panel=_CARE)(audits.check)
app.command("recall", rich_help_panel=_CARE)(audits.recall)
app.command("conformance", rich_help_panel=_CARE)(audits.conformance)
app.add_typer(bench.app, name="bench", rich_help_panel=_CARE)
