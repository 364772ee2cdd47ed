"""The first part of the report: whether its numbers can be trusted, and for what."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING

from vecsearch.bench.gates import MOST_OTHER_WORK
from vecsearch.bench.markup import Markup, element, joined, link, table
from vecsearch.bench.scales import number
from vecsearch.bench.summary import reasons, what
from vecsearch.bench.trials import COUNTED, grouped, whatever_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vecsearch.bench.points import Environment, Point

_SIGNS = {"valid": "✓", "noisy": "≈", "invalid": "✗", "unavailable": "○"}
_GIB = 2**30
_FEW = 20
_BOUND = 0.5


def badge(verdict: str) -> Markup:
    """A verdict as a sign, a word and a colour."""
    return element("span", f"{_SIGNS.get(verdict, '?')} {verdict}", class_=f"verdict {verdict}")


def trust(points: Sequence[Point]) -> Markup:
    """Verdicts, gates, noise, deployment classes, data and machine."""
    parts = [
        _answer(points),
        _backends(points),
        _failures(points),
        _gates(points),
        _data(points),
        _machines(points),
    ]
    return element("section", element("h2", "Can I trust this?"), *parts, id="trust")


def _answer(points: Sequence[Point]) -> Markup:
    """The short answer, a sentence a thing."""
    counts = Counter(point.verdict for point in points)
    said = [f"{counts['valid']} of {len(points)} results are valid."]
    if counts["noisy"]:
        said.append(f"Noisy: {counts['noisy']}. Their order may be chance; they are marked wherever they stand.")
    if counts["invalid"]:
        said.append(f"Invalid: {counts['invalid']}. A gate failed; no table or figure below counts them.")
    missing = sorted({point.spec.label for point in points if point.verdict == "unavailable"})
    if missing:
        said.append(f"Not available here, so not measured: {', '.join(missing)}.")
    machines = {_machine(point.environment) for point in points}
    if len(machines) > 1:
        said.append(f"The results come from {len(machines)} different machines or packages: do not compare them.")
    classes = {point.backend.deployment for point in points if point.backend and point.verdict in COUNTED}
    if len(classes) > 1:
        said.append(
            f"Deployment classes are mixed ({', '.join(sorted(classes))}): an embedded engine has no network between "
            "it and the query, a server has. Compare within a class."
        )
    others = max((point.control.others or 0.0 for point in points), default=0.0)
    if others > MOST_OTHER_WORK:
        said.append(f"The machine had other work: it took up to {others:.0%} of the processors.")
    bad = counts["invalid"] or not counts["valid"] or len(machines) > 1
    state = "bad" if bad else "mixed" if counts["noisy"] or missing else "good"
    return element("ul", *(element("li", one) for one in said), class_=f"answer {state}")


def _backends(points: Sequence[Point]) -> Markup:
    rows = []
    for label, own in grouped(points, lambda point: point.spec.label).items():
        facts = next((point.backend for point in own if point.backend), None)
        counts = Counter(point.verdict for point in own)
        verdicts = joined([joined([f"{count} ", badge(verdict)]) for verdict, count in counts.items()], ", ")
        versions = ", ".join(f"{name} {one}" for name, one in sorted(facts.client.items())) if facts else ""
        exact = {"always": "always", "on_request": "on request", "never": "never"}[facts.exactness] if facts else ""
        called = label if label == own[0].spec.backend else f"{label} ({own[0].spec.backend})"
        deployment = facts.deployment if facts else "not available"
        effective = facts.settings if facts and facts.settings else own[0].spec.settings
        settings = ", ".join(f"{name}={value}" for name, value in sorted(effective.items())) or "defaults"
        figures = [measure(own) for measure in (_repeats, _rebuilt, _ceiling, _busy)]
        rows.append([called, deployment, versions, exact, settings, verdicts, *figures])
    names = ("repeats differ by", "builds differ by", "of the ceiling", "other work")
    head = ("backend", "class", "client", "exact", "settings in effect", "results", *names)
    about = element(
        "p",
        "Repeats: the largest spread of the median time over the repeats of one result, as its coefficient of "
        "variation. Builds: the slowest over the fastest build of the same settings, by median time. Ceiling: the "
        "largest share of what the harness reaches with a backend that does nothing; above 50 % it measures itself. "
        "Other work: the largest share of the processors that others took, the host of a virtual machine included.",
    )
    return joined([table(head, rows, "Backends"), about])


def _repeats(own: Iterable[Point]) -> str:
    found = [value for point in own if point.search and (value := _variation(point.search.p50_repeats)) is not None]
    return f"{max(found):.0%}" if found else ""


def _variation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) / statistics.fmean(values) if len(values) > 1 and any(values) else None


def _rebuilt(own: Sequence[Point]) -> str:
    found = []
    for group in grouped((point for point in own if point.search), lambda point: whatever_build(point.spec)).values():
        medians = [point.search.service.p50 for point in group if point.search]
        if len(medians) > 1 and min(medians) > 0:
            found.append(max(medians) / min(medians))
    return f"{max(found):.2f} times" if found else "one build" if any(point.search for point in own) else ""


def _ceiling(own: Iterable[Point]) -> str:
    found = [point.search.qps / point.control.null_qps for point in own if point.search and point.control.null_qps]
    return f"{max(found):.0%}{' (bound)' if max(found) > _BOUND else ''}" if found else ""


def _busy(own: Iterable[Point]) -> str:
    controls = [point.control for point in own if point.control.others is not None or point.control.steal is not None]
    return f"{max((one.others or 0) + (one.steal or 0) for one in controls):.0%}" if controls else ""


def _failures(points: Sequence[Point]) -> Markup | None:
    """Every result that is not valid, and why."""
    found = [point for point in points if point.verdict != "valid"]
    if not found:
        return None
    rows = [[link(p.key, asked(p)), badge(p.verdict), reasons(p.failed)] for p in sorted(found, key=_worst_first)]
    made = table(("result", "verdict", "why"), rows, "Results that are not valid", class_="failed")
    title = element("summary", f"What is wrong with {len(found)} results")
    return element("details", title, made, open="" if len(found) <= _FEW else None)


def _worst_first(point: Point) -> tuple[int, str]:
    return ("invalid", "unavailable", "noisy").index(point.verdict), asked(point)


def asked(point: Point, *, build: bool = True) -> str:
    """What was asked, in one line."""
    spec = point.spec
    params = [f"{name}={value}" for name, value in sorted(spec.search_params.items())]
    exact = ["exact"] if spec.workload.exact else []
    said = [spec.label, *params, what(spec.workload), *exact, spec.dataset]
    return ", ".join([*said, f"build {spec.build}"] if build else said)


def _gates(points: Sequence[Point]) -> Markup | None:
    groups = grouped(((gate, point) for point in points for gate in point.gates), lambda pair: pair[0].name)
    rows = []
    for name, pairs in groups.items():
        failed = grouped((point for gate, point in pairs if not gate.passed), lambda point: point.spec.label)
        count = sum(map(len, failed.values()))
        links = [link(own[0].key, f"{label}: {len(own)}") for label, own in failed.items()]
        state = badge(next(gate.verdict for gate, _ in pairs if not gate.passed)) if failed else "✓ all"
        held = f"{len(pairs) - count}\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}{len(pairs)}"
        rows.append([name, held, state, joined(links, ", ")])
    return table(("gate", "held", "where it failed", "failed at"), rows, "Gates") if rows else None


def _data(points: Sequence[Point]) -> Markup:
    rows = []
    for own in grouped(points, lambda point: (point.spec.dataset_sha256, point.spec.rows, point.spec.metric)).values():
        spec, facts = own[0].spec, own[0].dataset
        known = [_or_nothing(value) for value in (facts.duplicates, facts.lid_median, facts.relative_contrast)]
        name = element("span", spec.dataset, title=f"sha256 {spec.dataset_sha256}")
        rows.append(
            [name, f"{spec.rows:,}", str(spec.dim), spec.metric, f"{facts.queries:,}", *known, spec.dataset_sha256[:12]]
        )
    names = ("duplicates", "intrinsic dimension", "relative contrast", "content")
    return table(("data", "rows", "dimensions", "metric", "queries", *names), rows, "Data")


def _or_nothing(value: float | None) -> str:
    return "" if value is None else number(value)


def _machine(environment: Environment) -> str:
    """What must be the same for numbers to be comparable: not the state of our own source."""
    return environment.model_copy(update={"commit": None, "dirty": None}).model_dump_json()


def _machines(points: Sequence[Point]) -> Markup:
    groups = list(grouped((point.environment for point in points), lambda one: one.model_dump_json()).values())
    each = [_facts_of(group[0]) for group in groups]
    common = dict(pair for pair in each[0].items() if all(pair in facts.items() for facts in each))
    others = [name for name in each[0] if name not in common]
    known = [pair for pair in common.items() if pair[1]]
    tables = [table(("what", "value"), known, "Machine and software", class_="facts")]
    if others:
        rows = [[*(facts[name] for name in others), str(len(group))] for facts, group in zip(each, groups, strict=True)]
        tables.append(table((*others, "results"), rows, "Not the same for all results"))
    return joined(tables)


def _facts_of(environment: Environment) -> dict[str, str]:
    one = environment
    limits = [f"{one.cpu_limit:g} processors"] if one.cpu_limit is not None else []
    limits += [_gib(one.memory_limit)] if one.memory_limit is not None else []
    changed = {True: " with changes", False: "", None: ""}[one.dirty]
    return {
        "processor": f"{one.cpu}, {one.cores} cores, {one.affinity} of them for this",
        "memory": _gib(one.memory_bytes) if one.memory_bytes is not None else "unknown",
        "limits": ", ".join(limits) or "none",
        "system": f"{one.system}, kernel {one.kernel}",
        "Python": one.python,
        "threads": ", ".join(f"{name}={value}" for name, value in sorted(one.threads.items())) or "not limited",
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(one.packages.items())),
        "all packages": f"sha256 {one.packages_sha256[:16]}",
        "source": f"{one.commit}{changed}" if one.commit else "an installed package",
    }


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"
