"""``runs``: the records of indexes."""

from contextlib import suppress
from typing import Annotated, Any

import typer

import vecsearch
from vecsearch.cli import options, output
from vecsearch.cli.commands import say
from vecsearch.errors import CorruptRunError

app = typer.Typer(help="The recorded indexes: list, look at, rename, delete.", no_args_is_help=True)


@app.command("list")
def list_(backend: options.Backend = None, fmt: options.Rows = None, as_json: options.Json = False) -> None:
    """List the runs."""
    form = output.chosen(fmt, as_json=as_json)
    infos = [vecsearch.get_run_info(key) for key in vecsearch.list_runs(backend=backend)]
    records: list[dict[str, Any]] = [
        {
            "key": info.key,
            "backend": info.profile,
            "metric": info.metric,
            "dim": info.dim,
            "labels": info.patches,
            "model": info.config.model,
            "created": f"{info.created:%Y-%m-%d %H:%M}" if form is output.Format.table else info.created.isoformat(),
            "state": info.state,
        }
        for info in infos
    ]
    if not records and form is output.Format.table:
        say("no runs yet; vecsearch demo makes one, and so does vecsearch create")
        return
    output.rows(records, form)


@app.command("info")
def info_(key: options.Key, as_json: options.Json = False) -> None:
    """Show the record of a run."""
    info = vecsearch.get_run_info(key)
    record = {"key": info.key, **info.model_dump(mode="json")}
    if as_json:
        output.document(record)
        return
    settings = record.pop("settings")
    rows = [*record.items(), *((f"settings.{name}", value) for name, value in settings.items())]
    width = max(len(name) for name, _ in rows)
    output.lines(f"{name:<{width}}  {_text(value)}".rstrip() for name, value in rows)


def _text(value: object) -> str:
    return value if isinstance(value, str) else output.plain_text(value)


@app.command()
def rename(
    old: options.Key, new: Annotated[str, typer.Argument(metavar="NEW", help="Its new key.", show_default=False)]
) -> None:
    """Give a run another key; its data stay where they are."""
    vecsearch.rename_run(old, new)
    say(f"{old} is now {new}")


@app.command()
def delete(
    key: options.Key,
    cleanup: Annotated[bool, typer.Option("--cleanup", help="Delete the index in the engine too.")] = False,
    yes: options.Yes = False,
) -> None:
    """Delete the record of a run. An index in files of vecsearch's own goes with it."""
    if not yes:
        with suppress(CorruptRunError):  # a damaged record can be deleted
            vecsearch.get_run_info(key)  # no question about what is not there
    options.confirmed(f"Delete the run {key}{' and its index' if cleanup else ''}?", yes=yes)
    vecsearch.delete_run(key, cleanup=cleanup)
    say(f"{key} is deleted")
