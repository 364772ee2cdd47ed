"""``bench report`` and ``bench compare``: what is made of results."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vecsearch.cli import options, output
from vecsearch.cli.commands import say
from vecsearch.errors import InvalidInputError

_NO = 1
PAGE = "report.html"
Results = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that bench run has filled.", show_default=False)]


def report(
    folder: Results,
    html: Annotated[
        Path | None, typer.Option("--html", help="The page; report.html in the folder.", show_default=False)
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--export", help="Also a row a result, to a .csv or a .parquet.", show_default=False),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write results as one HTML page, and show what each backend reaches at equal recall.

    The page needs no network and no scripts, and can be printed.
    """
    from vecsearch.bench import export
    from vecsearch.bench import report as pages
    from vecsearch.bench.trials import at_equal_recall

    if table is not None:
        export.check(table)  # before the page is written
    points = list(_store(folder))
    path = html or folder / PAGE
    pages.write(points, path)
    if table is not None:
        export.write(points, table)
    rows = at_equal_recall(points)
    if as_json:
        exported = {} if table is None else {"export": str(table)}
        output.document({"html": str(path), **exported, "at_equal_recall": rows})
    elif rows:
        output.rows(rows, output.Format.table)
    say(f"the page is {path}{'' if table is None else f', the table {table}'}")


def compare(
    before: Annotated[Path, typer.Argument(metavar="A", help="The results before.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="The results after.", show_default=False)],
    bound: Annotated[float, typer.Option("--bound", help="How many times the cost is still good.")] = 1.10,
    recall_bound: Annotated[float, typer.Option("--recall-bound", help="How much less recall is still good.")] = 0.005,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Results of A may be missing in B.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show also what stayed the same.")] = False,
    as_json: options.Json = False,
) -> None:
    """Compare two runs of the same measurements. Exit code 1: something became worse.

    Worse means that the whole 95 % interval of a paired ratio lies beyond the bound, that a result is invalid which was
    not, or that it is missing. What is uncertain or noisy is shown, and does not fail.
    """
    from vecsearch.bench.comparing import compare as compared

    found = compared(_store(before), _store(after), bound=bound, recall_bound=recall_bound)
    failed = found.failed(allow_missing=allow_missing)
    if as_json:
        output.document({**asdict(found), "failed": failed})
    else:
        shown = [change for change in found.changes if everything or change.state != "same"]
        if shown:
            output.rows([_row(asdict(change)) for change in shown], output.Format.table)
        output.lines(f"broken   {one}" for one in found.broken)
        output.lines(f"missing  {one}" for one in found.missing)
        output.lines(f"added    {one}" for one in found.added)
    for warning in found.warnings:
        say(f"warning: {warning}")
    counts = {state: sum(change.state == state for change in found.changes) for state in _STATES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    say(f"{len(found.changes)} figures: {told}; {len(found.broken)} results broken, {len(found.missing)} missing")
    if failed:
        raise typer.Exit(_NO)


_STATES = ("worse", "uncertain", "noisy", "better", "same")


def _row(change: dict[str, Any]) -> dict[str, Any]:
    interval = "" if change["low"] is None else f"{change['low']:.3f} to {change['high']:.3f}"
    return {
        "state": change["state"],
        "result": change["result"],
        "figure": change["figure"],
        "before": f"{change['before']:,.4g}",
        "after": f"{change['after']:,.4g}",
        "ratio": f"{change['ratio']:.3f}",
        "95 %": interval,
    }


def _store(folder: Path) -> Any:
    from vecsearch.bench.store import Store

    store = Store(folder)
    if not len(store):
        raise InvalidInputError(f"{folder} holds no results; vecsearch bench run --out {folder} makes some")
    return store
