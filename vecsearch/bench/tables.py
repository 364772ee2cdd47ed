"""The tables of the report that are no part of a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vecsearch.bench.figures import clients, noise
from vecsearch.bench.markup import Markup, element, joined, link, table
from vecsearch.bench.scales import number
from vecsearch.bench.trials import COUNTED, TARGETS, grouped, in_ms, standings, tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vecsearch.bench.frontier import Reached
    from vecsearch.bench.points import Point
    from vecsearch.bench.trials import Standing, Trial

__all__ = ("COUNTED", "at_recall", "batches", "brief", "overheads", "reopened", "streams")


def at_recall(found: Sequence[Trial], k: int) -> list[Markup]:
    """Speed and tail latency at equal recall, for one client and for the most."""
    levels = grouped(
        (trial for trial in found if trial.recall is not None), lambda trial: trial.spec.workload.concurrency
    )
    made = []
    for level in sorted({min(levels, default=0), max(levels, default=0)} - {0}):
        quantile = tail(levels[level])
        rows = [_standing(one) for one in standings(levels[level], quantile)]
        head = ["backend", "class"]
        for target in TARGETS:
            head += [f"queries a second at {target:.2f}", f"{quantile} at {target:.2f}, ms"]
        caption = f"At equal recall@{k}, {clients(level)}"
        made.append(table([*head, "highest recall"], rows, caption, class_="standing"))
    if not made:
        return []
    about = element(
        "p",
        "Between two measured settings the value is interpolated (its logarithm, linear in recall), and both are "
        "named; “at” names the one that was measured, with more recall than asked where nothing lower was. Nothing is "
        "extrapolated: what was not reached says so. Recall is strict: by ids, against an exact search.",
    )
    return [element("h3", f"Speed at equal recall, k = {k}"), about, *made]


def _standing(one: Standing) -> list[str]:
    cells: list[str] = [one.name, one.deployment]
    for fast, short in zip(one.qps, one.tail, strict=True):
        missing = "not reached" if one.tail_measured or fast is None else "too few samples"
        cells += [_reached(fast, "not reached"), _reached(short, missing)]
    shown = f"{one.best.recall or 0.0:.4f}"
    return [*cells, joined([link(one.best.key, shown), element("small", f" {one.best.params}{noise(one.best)}")])]


def _reached(value: Reached[Trial] | None, missing: str) -> Markup:
    if value is None:
        return element("span", missing, class_="missing")
    above = value.above.source
    if value.below is None:
        said = joined([f" at {above.recall:.4f}, {above.params}{noise(above)}"])
    else:
        below = value.below.source
        ends = [link(one.key, f"{one.params} ({one.recall:.4f}){noise(one)}") for one in (below, above)]
        said = joined([" between ", joined(ends, " and ")])
    return joined([link(above.key, number(value.value), class_="value"), element("small", said)])


def batches(found: Sequence[Trial]) -> Markup | None:
    """Many queries in one call."""
    rows = []
    for trial in sorted(found, key=lambda one: (one.name, one.spec.workload.batch)):
        p50 = in_ms(trial.median(lambda search: search.service.p50))
        recall = "" if trial.recall is None else f"{trial.recall:.4f}"
        shown = link(trial.key, number(trial.qps) + noise(trial))
        rows.append([trial.name, trial.params, f"{trial.spec.workload.batch:,}", shown, number(p50 or 0.0), recall])
    head = ("backend", "search", "queries in a call", "queries a second", "p50 of a call, ms", "recall")
    return table(head, rows, "Many queries in one call") if rows else None


def streams(points: Sequence[Point]) -> Markup | None:
    """Writing while searching."""
    rows = []
    for point in points:
        if (stream := point.stream) is None:
            continue
        recall = point.search.recall if point.search else None
        waits = (point.search.response or point.search.service) if point.search else None
        late = in_ms(waits.p99) if waits else None
        rows.append(
            [
                point.spec.label,
                f"{stream.inserted:,}",
                link(point.key, number(stream.rows_per_second)),
                number(stream.behind_seconds),
                f"{stream.missing:,}",
                f"{stream.deleted:,}",
                f"{stream.remaining:,}",
                number(late) if late is not None else "",
                f"{recall.strict:.4f}" if recall else "",
            ]
        )
    head = (
        "backend",
        "rows",
        "rows a second",
        "late at the end, s",
        "lost",
        "deleted",
        "still there",
        "p99 of searches, ms",
        "recall",
    )
    return table(head, rows, "Writing while searching") if rows else None


def reopened(points: Sequence[Point]) -> Markup | None:
    """The first answer of a fresh process."""
    rows = [
        [
            point.spec.label,
            number(found.open_seconds * 1e3),
            link(point.key, number(found.first_query_seconds * 1e3)),
            number(found.warm_p50 / 1e6),
        ]
        for point in points
        if (found := point.reopen) is not None
    ]
    head = ("backend", "open, ms", "first query, ms", "later queries, p50, ms")
    return table(head, rows, "Opened by a fresh process") if rows else None


def overheads(points: Sequence[Point]) -> Markup | None:
    """What vecsearch adds to the engine's own client."""
    rows = [
        [
            point.spec.label,
            number(found.native.p50 / 1e6),
            number(found.ours.p50 / 1e6),
            link(point.key, f"{found.ratio:.3f}"),
            f"{found.low:.3f} to {found.high:.3f}",
            f"{found.difference / 1e3:+,.1f}",
            f"{found.same_answers:.1%}",
        ]
        for point in points
        if (found := point.overhead) is not None
    ]
    head = ("backend", "its client, ms", "vecsearch, ms", "ratio", "95 % interval", "difference, µs", "same answers")
    return table(head, rows, "The same queries through the engine's own client, in turn (medians)") if rows else None


def brief(point: Point) -> list[str]:
    """Recall, queries a second, p50, p99 and errors of a point; empty where it has none."""
    search = point.search
    if search is None:
        return [""] * 5
    recall = f"{search.recall.strict:.4f}" if search.recall else ""
    late = in_ms(search.service.p99)
    times = [number(search.service.p50 / 1e6), "" if late is None else number(late)]
    return [recall, number(search.qps), *times, f"{search.errors:,}" if search.errors else ""]
