"""Points as rows of a table, and what they say together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vecsearch.bench.points import Gate, Point, Verdict, Workload

_MS = 1e6
_WORST_FIRST: tuple[Verdict, ...] = ("invalid", "noisy", "valid")


def rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """A row a point: what was asked, what was found, what it is worth. Times are milliseconds."""
    return [_row(point) for point in points]


def _row(point: Point) -> dict[str, Any]:
    spec, found = point.spec, point.search
    recall = found.recall if found else None
    # In an open loop the answer to "how long" is from when it should have been sent.
    times = None if found is None else found.response or found.service
    return {
        "data": spec.dataset,
        "backend": spec.label + _params(spec.search_params),
        "what": what(spec.workload) + (f" #{spec.build}" if spec.build else ""),
        "verdict": point.verdict,
        "recall": None if recall is None else recall.strict,
        "p5": None if recall is None else recall.p5,
        "qps": None if found is None else round(found.qps, 1),
        "p50_ms": None if times is None else times.p50 / _MS,
        "p95_ms": None if times is None or times.p95 is None else times.p95 / _MS,
        "p99_ms": None if times is None or times.p99 is None else times.p99 / _MS,
        "over_client": None if point.overhead is None else point.overhead.ratio,
        "rows_s": None if point.load is None else round(point.load.rows_per_second),
        "why": reasons(point.failed),
        "key": point.key,
    }


def reasons(failed: Iterable[Gate]) -> str:
    """What failed gates say, in one line."""
    return "; ".join(f"{gate.name}: {gate.detail}" for gate in failed)


def what(work: Workload) -> str:
    """A workload in a few words."""
    threads = f" x{work.concurrency}" if work.concurrency > 1 else ""
    if work.kind == "open":
        return f"open {work.rate:g}/s"
    if work.kind == "filtered" and work.filter is not None:
        return f"filter {work.filter.name}{threads}"
    if work.kind == "batch":
        return f"batch {work.batch}{threads}"
    if work.kind == "stream":
        return f"stream {work.rate:g}/s{threads}" if work.rate else f"stream{threads}"
    return f"{work.kind} k={work.k}{threads}" if work.kind == "search" else work.kind


def _params(params: Any) -> str:
    return f" {','.join(f'{name}={value}' for name, value in params.items())}" if params else ""


def verdict(points: Sequence[Point]) -> str:
    """One line on what all the points are worth."""
    counts = Counter(point.verdict for point in points)
    parts = [f"{counts[word]} {word}" for word in (*_WORST_FIRST, "unavailable") if counts[word]]
    return f"{len(points)} points: {', '.join(parts)}" if points else "no points"


def unavailable(points: Sequence[Point]) -> dict[str, str]:
    """The configurations that could not run, and why."""
    return {point.spec.label: point.gates[0].detail for point in points if point.verdict == "unavailable"}


__all__ = ("reasons", "rows", "unavailable", "verdict", "what")
