"""``check``, ``recall`` and ``conformance``: questions that can be answered with no, by exit code 1."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

import vecsearch
from vecsearch.cli import inputs, options, output
from vecsearch.cli.commands import in_words_of_the_command_line, one_line, say
from vecsearch.errors import ConfigError, InvalidInputError, RunNotFoundError, VecsearchError

_NO = 1
_SECONDS = 10.0


def check(
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="A run; without it all runs.", show_default=False)
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", help="Instead: whether a backend or profile answers.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for an answer.")] = _SECONDS,
    as_json: options.Json = False,
) -> None:
    """Check that indexes and backends answer. Exit code 1: one of them does not."""
    if key is not None and backend is not None:
        raise InvalidInputError("check a run or a backend: give KEY or --backend, not both")
    if backend is not None:
        found = [_backend(backend, timeout)]
    elif key is not None:
        found = [_run(key, timeout, strict=True)]
    else:
        found = [_run(one, timeout, strict=False) for one in vecsearch.list_runs()]
        found += [_failed("run", error.path.stem, str(error)) for error in _corrupt()]
        found = found or [_backend(vecsearch.config.default_similarity_backend, timeout)]
    ok = all(one["ok"] for one in found)
    if as_json:
        output.document({"ok": ok, "checks": found})
    else:
        for one in found:
            rows = "" if one["rows"] is None else f", {one['rows']:,} rows"
            latency = "" if one["latency_ms"] is None else f", {one['latency_ms']:.1f} ms"
            state = "ok" if one["ok"] else "NOT OK"
            output.lines([f"{state}  {one['kind']} {one['name']} ({one['backend'] or '?'}{rows}{latency})"])
            output.lines(f"        {one_line(problem)}" for problem in one["problems"])
    if not ok:
        raise typer.Exit(_NO)


def _corrupt() -> list[Any]:
    from vecsearch.runs import corrupt_runs

    return list(corrupt_runs())


def _run(key: str, timeout: float, *, strict: bool) -> dict[str, Any]:
    """The health of a run; ``strict``: what is wrong with the question or the configuration is an error."""
    try:
        index = vecsearch.load_run(key, timeout=timeout)
    except (RunNotFoundError, ConfigError, InvalidInputError) as error:
        if strict:
            raise
        return _failed("run", key, str(error))
    except VecsearchError as error:
        return _failed("run", key, str(error))
    try:
        health = index.health()
    finally:
        options.closed(index)
    return {
        "kind": "run",
        "name": key,
        "ok": health.ok,
        "backend": health.backend,
        "rows": health.size,
        "latency_ms": None if health.latency_ms is None else round(health.latency_ms, 3),
        "problems": [in_words_of_the_command_line(problem) for problem in health.problems],
    }


def _backend(name: str, timeout: float) -> dict[str, Any]:
    from vecsearch.cli.probe import probe

    names = vecsearch.config.snapshot().names()
    if name not in names:
        from vecsearch.catalogue import nearest

        raise InvalidInputError(f"no backend or profile {name!r}{nearest(name, names)} (known: {', '.join(names)})")
    answer = probe([name], timeout)[0]
    return {
        **_failed("backend", name, answer.problem),
        "ok": answer.ok,
        "backend": answer.backend or None,
        "latency_ms": answer.latency_ms,
    }


def _failed(kind: str, name: str, problem: str) -> dict[str, Any]:
    problems = [in_words_of_the_command_line(problem)] if problem else []
    nothing = dict.fromkeys(("backend", "rows", "latency_ms"))
    return {"kind": kind, "name": name, "ok": False, **nothing, "problems": problems}


def recall(
    key: options.Key,
    k: Annotated[int, typer.Option("-k", help="How many neighbours.")] = 10,
    queries: Annotated[int, typer.Option("--queries", help="How many rows to ask for, drawn at random.")] = 200,
    at_least: Annotated[
        float | None, typer.Option("--min", help="Exit code 1 below this, from 0 to 1.", show_default=False)
    ] = None,
    filter_: options.Filter = None,
    seed: Annotated[int, typer.Option("--seed", help="Which rows are drawn.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Measure how much of the exact answer the index finds, and how fast."""
    if at_least is not None and not 0 <= at_least <= 1:
        raise InvalidInputError(f"--min must be from 0 to 1, not {at_least:g}")
    with options.opened(key) as index:
        report = index.measure_recall(queries, k, filter=inputs.filter_tree(filter_), seed=seed)
    ok = at_least is None or report.recall >= at_least
    if as_json:
        output.document({"key": key, **asdict(report), "min": at_least, "ok": ok})
    else:
        bounds = f"95 % within {report.low:.4f} and {report.high:.4f}, {report.queries} queries"
        times = f"{report.p50_ms:.2f} ms  (median; 95 % below {report.p95_ms:.2f} ms)"
        output.lines([f"recall@{report.k}  {report.recall:.4f}  ({bounds})", f"time       {times}"])
    if not ok:
        say(f"below {at_least:g}")
        raise typer.Exit(_NO)


def conformance(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A backend.", show_default=False)],
    settings: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Run the conformance suite against a backend. Exit code 1: a test failed.

    Each test makes an index of its own and deletes it. It needs: pip install 'vecsearch[testing]'
    """
    from vecsearch.testing import run_conformance

    report = run_conformance(name, inputs.settings(settings or ()))
    if as_json:
        output.lines([report.to_json()])
    else:
        for result in report.results:
            if result.outcome not in ("passed", "skipped"):
                output.lines([f"{result.outcome:<8}{result.name}  {one_line(result.reason)}".rstrip()])
        counts = f"{report.passed} passed, {report.failed} failed"
        output.lines([f"{name}: {counts}, {report.xfailed} known gaps, {report.skipped} skipped"])
    if report.failed:
        raise typer.Exit(_NO)
