"""``config`` and ``backends``: what is set up, and what there is."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

import vecsearch
from vecsearch.cli import options, output
from vecsearch.cli.commands import one_line, say
from vecsearch.errors import ConfigError

if TYPE_CHECKING:
    from vecsearch.backends.base import Capabilities
    from vecsearch.cli.probe import Answer

_SECONDS = 3.0


def config(
    explain: Annotated[bool, typer.Option("--explain", help="Where each value comes from.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show the settings in force, secrets masked, and what is wrong with them."""
    found = vecsearch.config.explain()
    if as_json:
        output.lines([found.to_json()])
        return
    rows = [(row.setting, _text(row.value), row.layer) for row in found.rows]
    first, second = (max(len(row[at]) for row in rows) for at in (0, 1))
    output.lines(
        (f"{name:<{first}}  {value:<{second}}  {layer}" if explain else f"{name:<{first}}  {value}").rstrip()
        for name, value, layer in rows
    )
    if found.ignored:
        say(f"sections of the file that are not for vecsearch: {', '.join(found.ignored)}")
    for problem in found.problems:
        say(f"problem: {one_line(problem)}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else output.plain_text(value)


def backends(
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for an answer.")] = _SECONDS,
    core: Annotated[bool, typer.Option("--core", help="What the exact core computes with here.")] = False,
    as_json: options.Json = False,
) -> None:
    """List the backends and profiles: what each can do, whether its client is installed, whether it answers."""
    if core:
        _core(as_json=as_json)
        return
    from vecsearch.cli.probe import probe

    snapshot = vecsearch.config.snapshot()
    answers = probe(snapshot.names(), timeout)
    if as_json:
        output.document([_record(answer, snapshot.default.value) for answer in answers])
        return
    columns = ("backend", "state", "exact", "metrics", "filters", "durable")
    cells = []
    for answer in answers:
        name = answer.name + (f" ({answer.backend})" if answer.backend not in ("", answer.name) else "")
        name += " *" if answer.name == snapshot.default.value else ""
        latency = f", {answer.latency_ms:.0f} ms" if answer.state == "answers" and answer.latency_ms else ""
        cells.append([name, answer.state + latency, *_abilities(answer.capabilities)])
    output.table(columns, cells)
    output.lines(["* the default"])
    for answer in answers:
        if answer.problem:
            say(f"{answer.name}: {one_line(answer.problem)}")


def _core(*, as_json: bool) -> None:
    from vecsearch.core import Facilities

    try:
        found = Facilities.here()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if as_json:
        output.document(found._asdict())
        return
    version = found.numkong or "not installed: pip install 'vecsearch[fast]'"
    output.lines(
        [
            f"kernels     {', '.join(found.kernels)} (the first that is of use for a piece of work)",
            f"available   {', '.join(found.available)}",
            f"numkong     {version}",
            f"processor   {', '.join(found.instructions) or 'unknown to vecsearch'}",
            f"threads     {found.threads}",
        ]
    )


def _abilities(capabilities: "Capabilities | None") -> list[str]:
    from vecsearch.backends.base import FILTER_OPERATORS, METRICS

    if capabilities is None:
        return ["", "", "", ""]
    lacking = sorted(FILTER_OPERATORS - capabilities.filter_operators)
    return [
        capabilities.exactness.replace("_", " "),
        "all" if set(METRICS) == set(capabilities.metrics) else " ".join(capabilities.metrics),
        f"all but {', '.join(lacking)}" if lacking else "all",
        "each write" if capabilities.durable else "save()",
    ]


def _record(answer: "Answer", default: str) -> dict[str, Any]:
    from vecsearch import registry

    capabilities = answer.capabilities
    entry = registry.BUILT_IN.get(answer.backend or answer.name)
    return {
        "name": answer.name,
        "backend": answer.backend or None,
        "default": answer.name == default,
        "installed": answer.state != "not installed",
        "install": f"pip install 'vecsearch[{entry.extra}]'" if entry and entry.extra else None,
        "state": answer.state,
        "latency_ms": answer.latency_ms,
        "problem": answer.problem or None,
        "capabilities": None
        if capabilities is None
        else {
            "exactness": capabilities.exactness,
            "metrics": sorted(capabilities.metrics),
            "filter_operators": sorted(capabilities.filter_operators),
            "metadata_types": sorted(capabilities.metadata_types),
            "max_k": capabilities.max_k,
            "zero_vectors": capabilities.zero_vectors,
            "durable": capabilities.durable,
            "local": capabilities.local,
        },
    }
