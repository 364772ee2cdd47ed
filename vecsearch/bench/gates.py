"""The conditions on which figures count, and the verdict."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from vecsearch.bench.points import Gate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from vecsearch.bench.points import Control, Load, Overhead, Recall, Search, Stream, Verdict

MOST_ERRORS = 0.001
MOST_OF_CEILING = 0.5
MOST_SPREAD = 0.10
MOST_OTHER_WORK = 0.20
MOST_STEAL = 0.05
LEAST_OF_RATE = 0.95
LEAST_ALIKE = 0.99
LEAST_SAMPLES = 20


def available(problem: str | None) -> Gate:
    """Whether the backend could be opened at all."""
    return Gate(name="available", passed=problem is None, detail=problem or "it answers", verdict="unavailable")


def finished(problem: str | None) -> Gate:
    """Whether the measurement came to its end."""
    return Gate(name="finished", passed=problem is None, detail=problem or "without an error")


def rows(expected: int, counted: int | None) -> Gate:
    """Whether the backend holds the rows that were written."""
    detail = f"the backend counts {counted} of {expected} rows"
    return Gate(name="rows", passed=counted == expected, detail=detail)


def exact(control: Control) -> Gate:
    """Whether an exact search on the same index finds exactly the truth."""
    found = control.exact_recall
    detail = "no exact search was made" if found is None else f"recall of exact searches {found:.4f}"
    return Gate(name="exact leg", passed=found == 1.0, detail=detail)


def answers(recall: Recall, foreign: int) -> list[Gate]:
    """Whether the answers are such as may be scored."""
    return [
        Gate(name="unique ids", passed=recall.repeated == 0, detail=f"{recall.repeated} ids came twice in an answer"),
        Gate(name="own rows", passed=foreign == 0, detail=f"{foreign} ids are none that may be found"),
        Gate(name="whole answers", passed=recall.short == 0, detail=f"{recall.short:.2%} of the answers are short"),
        Gate(name="recall", passed=recall.tied > 0, detail=f"recall {recall.strict:.4f}, {recall.tied:.4f} with ties"),
    ]


def errors(failed: int, asked: int) -> Gate:
    """Whether so few calls failed that the others stand for all."""
    share = failed / asked if asked else 1.0
    return Gate(name="errors", passed=share <= MOST_ERRORS, detail=f"{failed} of {asked} calls failed")


def settings(requested: Mapping[str, JsonValue], effective: Mapping[str, JsonValue]) -> Gate:
    """Whether the backend uses what was requested."""
    other = [name for name, value in requested.items() if effective.get(name) != value]
    detail = f"not as requested: {', '.join(sorted(other))}" if other else "as requested"
    return Gate(name="settings", passed=not other, detail=detail)


def ceiling(qps: float, null_qps: float | None) -> Gate:
    """Whether the engine was the slow part, not the harness."""
    if null_qps is None:
        return Gate(name="ceiling", passed=True, detail="not measured")
    share = qps / null_qps
    detail = f"{share:.0%} of the {null_qps:,.0f} queries/s that a backend reaches which does nothing"
    return Gate(name="ceiling", passed=share <= MOST_OF_CEILING, detail=detail, verdict="noisy")


def samples(search: Search) -> Gate:
    """Whether there were calls enough for a median to mean something."""
    count = search.service.samples
    detail = f"{count} calls were timed"
    return Gate(name="samples", passed=count >= LEAST_SAMPLES, detail=detail, verdict="noisy")


def spread(search: Search) -> Gate:
    """Whether the repeats agree: the coefficient of variation of their medians."""
    values = search.p50_repeats
    if len(values) < 2:  # noqa: PLR2004  one has no spread
        return Gate(name="spread", passed=True, detail="one repeat", verdict="noisy")
    share = statistics.stdev(values) / statistics.fmean(values)
    detail = f"the medians of {len(values)} repeats vary by {share:.1%}"
    return Gate(name="spread", passed=share <= MOST_SPREAD, detail=detail, verdict="noisy")


def kept_up(search: Search) -> Gate:
    """Whether queries were answered as fast as they were sent; else the wait grows with the length of the test."""
    rate = search.rate or 0.0
    detail = f"{search.qps:,.1f} of {rate:,.1f} queries/s were answered"
    return Gate(name="rate", passed=search.qps >= LEAST_OF_RATE * rate, detail=detail, verdict="noisy")


def quiet(control: Control) -> Gate:
    """Whether the machine had nothing else to do."""
    others, steal = control.others, control.steal
    if others is None or steal is None:
        return Gate(name="quiet", passed=True, detail="the system does not say", verdict="noisy")
    detail = f"other work took {others:.0%} of the processors, the host {steal:.0%}"
    passed = others <= MOST_OTHER_WORK and steal <= MOST_STEAL
    return Gate(name="quiet", passed=passed, detail=detail, verdict="noisy")


def stored(load: Load, expected: int) -> Gate:
    """Whether the build wrote what it was given."""
    return Gate(name="written", passed=load.rows == expected, detail=f"{load.rows} of {expected} rows were written")


def streamed(stream: Stream) -> list[Gate]:
    """Whether all that was inserted can be found, and nothing that was deleted."""
    missing = f"{stream.missing} of {stream.inserted} inserted rows are missing"
    remaining = f"{stream.remaining} of {stream.deleted} deleted rows are still there"
    return [
        Gate(name="inserted rows", passed=stream.missing == 0, detail=missing),
        Gate(name="deleted rows", passed=stream.remaining == 0, detail=remaining),
    ]


def alike(overhead: Overhead) -> Gate:
    """Whether both sides did the same work."""
    detail = f"{overhead.same_answers:.2%} of the answers are the same on both sides"
    return Gate(name="same answers", passed=overhead.same_answers >= LEAST_ALIKE, detail=detail)


def verdict(gates: Sequence[Gate]) -> Verdict:
    """The worst of what the failed gates say."""
    said = {gate.verdict for gate in gates if not gate.passed}
    return next((word for word in _WORST_FIRST if word in said), "valid")


_WORST_FIRST: tuple[Verdict, ...] = ("unavailable", "invalid", "noisy")
