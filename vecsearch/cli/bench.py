"""``bench``: which engine, on which data."""

import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from vecsearch.cli import bench_data, inputs, options, output, reports
from vecsearch.cli.commands import say
from vecsearch.errors import InvalidInputError

app = typer.Typer(
    help="Measure engines on your own data: speed, recall, and whether to believe it.", no_args_is_help=True
)

app.add_typer(bench_data.app, name="data")
app.command("report")(reports.report)
app.command("compare")(reports.compare)

_NO = 1
_OUT = Path("vecsearch-bench")


@app.command("env")
def env(as_json: options.Json = False) -> None:
    """Show what is recorded of this machine with each result: no host name, no path."""
    from vecsearch.bench.environment import environment

    found = environment().model_dump(mode="json")
    if as_json:
        output.document(found)
        return
    output.table(["what", "value"], [[name, value] for name, value in found.items()])


@app.command("run")
def run(
    suite: Annotated[str, typer.Option("--suite", help="smoke (minutes), standard, or full (hours).")] = "smoke",
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            "--backends",
            help="A backend or profile; again, or by commas, for more. All that are known.",
        ),
    ] = None,
    configurations: Annotated[
        Path | None,
        typer.Option(
            "--configurations",
            help='TOML or JSON: {"name": {"type": "qdrant", SETTING: …, "search_params": [{…}, {…}]}}.',
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", "--embeddings", help="digits, mixture, wordnet:FOLDER, or a file; again for more."),
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", help="Rows of each dataset.", show_default=False)] = None,
    queries: Annotated[int | None, typer.Option("--queries", help="Queries held out.", show_default=False)] = None,
    k: Annotated[str | None, typer.Option("-k", help="How many neighbours: 10, or 10,100.", show_default=False)] = None,
    concurrency: Annotated[
        str | None, typer.Option("--concurrency", help="Threads that ask: 1,2,4.", show_default=False)
    ] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", help="Queries a second of the open loop: 20,100.", show_default=False)
    ] = None,
    repeats: Annotated[int | None, typer.Option("--repeats", help="Rounds of each search.", show_default=False)] = None,
    builds: Annotated[int | None, typer.Option("--builds", help="Builds of each index.", show_default=False)] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which rows and queries are drawn.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Where results lie; a run goes on where it stopped.")] = _OUT,
    html: Annotated[
        Path | None, typer.Option("--html", help="The page; report.html in the folder.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds for one measurement.")] = 1800.0,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="Seconds after which no measurement is begun.", min=0, show_default=False),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure backends, each point in a process of its own, and write the page of all results in the folder.

    Exit code 1: a result is invalid, or a backend that was named cannot run.
    """
    from vecsearch.bench import report, summary
    from vecsearch.bench.configurations import several
    from vecsearch.bench.datasets import load
    from vecsearch.bench.runner import planned
    from vecsearch.bench.runner import run as measure
    from vecsearch.bench.store import Store
    from vecsearch.bench.suites import jobs as jobs_of
    from vecsearch.bench.suites import suite as chosen_suite

    chosen = chosen_suite(
        suite,
        queries=queries,
        ks=_numbers(k, "-k", int),
        concurrency=_numbers(concurrency, "--concurrency", int),
        rates=_numbers(rate, "--rate", float),
        repeats=repeats,
        builds=builds,
        seed=seed,
    )
    named = [name for given in backend or () for name in given.split(",")]
    if named and configurations is not None:
        raise InvalidInputError("--backend and --configurations are two ways to say which; give one")
    if rows is not None and not dataset:
        raise InvalidInputError("--rows goes with --dataset")
    found = several(_table(configurations) if configurations is not None else named or None)
    given = None
    if dataset:
        given = [load(name, rows=rows, queries=chosen.queries, seed=seed) for name in dataset]
    store, jobs, page = Store(out), jobs_of(chosen, given), html or out / reports.PAGE
    points = measure(jobs, found, store, timeout=timeout, budget=budget)
    report.write(store, page)
    if as_json:
        output.document([point.model_dump(mode="json") for point in points])
    else:
        hidden = ("key",) if sys.stdout.isatty() else ()
        records = [{name: value for name, value in row.items() if name not in hidden} for row in summary.rows(points)]
        output.rows(records, output.Format.table)
    for label, problem in summary.unavailable(points).items():
        say(f"{label} is not available: {problem}")
    left = planned(jobs, found) - len(points)
    if left:
        say(f"{left} measurements were not begun in {budget:g} s; the same command goes on")
    say(f"{summary.verdict(points)}; the page is {page}")
    asked_for = bool(named or configurations)
    if any(point.verdict == "invalid" or (asked_for and point.verdict == "unavailable") for point in points):
        raise typer.Exit(_NO)


def _numbers(text: str | None, option: str, kind: type[int] | type[float]) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) <= 0:
        raise InvalidInputError(f"{option} takes positive numbers by commas, not {text!r}")
    return found


def _table(path: Path) -> dict[str, Any]:
    """Configurations from a file."""
    text = inputs.text(path)
    try:
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"{path} is no {'TOML' if path.suffix == '.toml' else 'JSON'}: {error}") from error
    if not isinstance(found, dict) or not found:
        raise InvalidInputError(f"{path} must hold configurations by name")
    return found
