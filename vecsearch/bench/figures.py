"""The figures of the report: which results each shows, and the same numbers as a table under it."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

from vecsearch.bench import charts
from vecsearch.bench.charts import Axis, Bar, Mark, Series
from vecsearch.bench.markup import Markup, element, joined, link, table
from vecsearch.bench.scales import number
from vecsearch.bench.trials import Trial, grouped, in_ms, name_of, qps_front, tail, tail_front, usual

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vecsearch.bench.frontier import Spot
    from vecsearch.bench.points import Point
    from vecsearch.bench.trials import Quantile

_MIB = 2**20


def figure(title: str, about: str, chart: Markup, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A chart with its title, how to read it, and its numbers."""
    numbers = element("details", element("summary", "The numbers"), table(head, rows, f"{title}: the numbers"))
    box = element("div", chart, class_="wide", tabindex="0", role="region", aria_label=f"{title} (chart)")
    caption = element("figcaption", element("strong", title), " ", element("span", about))
    return element("figure", caption, box, numbers)


def frontiers(found: Sequence[Trial], styles: Mapping[str, int]) -> list[Markup]:
    """Recall against speed: for one client and for the most, and against p99 for one client."""
    found = [trial for trial in found if trial.recall is not None]
    levels = grouped(found, lambda trial: trial.spec.workload.concurrency)
    made = []
    for level in sorted({min(levels, default=0), max(levels, default=0)} - {0}):
        title = f"Recall and speed, {clients(level)}"
        about = "Up and to the right is better. Lines join what no other setting of it beats; a ring is noisy."
        made.append(_frontier(title, about, levels[level], styles, "queries a second", qps_front, _speed))
    if levels:
        level = min(levels)
        quantile = tail(levels[level])
        title, about = f"Recall and {quantile}, {clients(level)}", "Down and to the right is better."
        front, value = partial(tail_front, quantile=quantile), partial(_tail, quantile=quantile)
        made.append(_frontier(title, about, levels[level], styles, f"{quantile}, ms", front, value))
    return [one for one in made if one is not None]


def clients(level: int) -> str:
    """How many ask at once."""
    return "one client" if level == 1 else f"{level} clients"


def _speed(trial: Trial) -> tuple[float, float, float] | None:
    return (trial.qps, *trial.qps_spread)


def _tail(trial: Trial, quantile: Quantile) -> tuple[float, float, float] | None:
    found = [in_ms(getattr(point.search.service, quantile)) for point in trial.points if point.search]
    known = [value for value in found if value is not None]
    return (statistics.median(known), min(known), max(known)) if known else None


def _frontier(
    title: str,
    about: str,
    found: Sequence[Trial],
    styles: Mapping[str, int],
    unit: str,
    front: Callable[[Sequence[Trial]], list[Spot[Trial]]],
    value: Callable[[Trial], tuple[float, float, float] | None],
) -> Markup | None:
    series, rows = [], []
    for name, own in grouped(found, lambda trial: trial.name).items():
        best = [spot.source for spot in front(own)]
        marks = {}
        for trial in own:
            known = value(trial)
            if known is None or trial.recall is None:
                continue
            middle, low, high = known
            text = f"{name}, {trial.params}: recall {trial.recall:.4f}, {number(middle)} {unit}"
            marks[trial.key] = Mark(trial.recall, middle, text, trial.key, low, high, noisy=trial.noisy)
            spread = f"{number(low)} to {number(high)}"
            rows.append([name, trial.params, f"{trial.recall:.4f}", link(trial.key, number(middle)), spread])
        line = [marks.pop(trial.key) for trial in best]
        if line:
            series.append(Series(name, styles[name], line, list(marks.values())))
    if not series:
        return None
    drawn = charts.lines(title, about, Axis("recall, strict", "recall"), Axis(unit, "log"), series)
    return figure(title, about, drawn, ("backend", "search", "recall", unit, "spread"), rows)


def noise(trial: Trial) -> str:
    """A word of warning."""
    return " (noisy)" if trial.noisy else ""


def under_load(found: Sequence[Trial], styles: Mapping[str, int]) -> Markup | None:
    """Speed against tail latency as more clients ask: closed loop."""
    levels = grouped(found, lambda trial: (trial.name, trial.params))
    ladders = [trial for own in levels.values() if len(own) > 1 for trial in own]
    quantile = tail(ladders)
    series, rows = [], []
    for name, own in grouped(usual(ladders), lambda trial: trial.name).items():
        line = []
        for trial in sorted(own, key=lambda one: one.spec.workload.concurrency):
            late = trial.service_ms(quantile)
            level = clients(trial.spec.workload.concurrency)
            if late is not None:
                text = f"{name}, {level}: {number(trial.qps)} queries a second, {quantile} {number(late)} ms"
                line.append(Mark(trial.qps, late, text, trial.key, noisy=trial.noisy))
                rows.append([name, trial.params, level, link(trial.key, number(trial.qps)), number(late)])
        series.append(Series(name, styles[name], line))
    if not any(one.line for one in series):
        return None
    title = "Latency under load: more clients, each waiting for its answer"
    about = "Each line goes from one client to the most; where it turns up without going right, the engine is full."
    drawn = charts.lines(title, about, Axis("queries a second", "log"), Axis(f"{quantile}, ms", "log"), series)
    return figure(title, about, drawn, ("backend", "search", "clients", "queries a second", f"{quantile}, ms"), rows)


def at_rates(found: Sequence[Trial], styles: Mapping[str, int]) -> Markup | None:
    """Response and service time at given rates: open loop."""
    quantile = tail(found)
    series, rows = [], []
    for name, own in grouped(usual(found), lambda trial: trial.name).items():
        response, service = [], []
        for trial in sorted(own, key=lambda one: one.spec.workload.rate or 0.0):
            rate = trial.median(lambda search: search.rate) or trial.spec.workload.rate or trial.qps
            waited = trial.response_ms(quantile)
            if waited is None:
                continue
            text = f"{name} at {number(rate)} a second: response {quantile} {number(waited)} ms"
            response.append(Mark(rate, waited, text, trial.key, noisy=trial.noisy))
            if (alone := trial.service_ms(quantile)) is not None:
                text = f"{name} at {number(rate)} a second: service {quantile} {number(alone)} ms"
                service.append(Mark(rate, alone, text, trial.key))
            done = number(trial.qps)
            alone_text = "" if alone is None else number(alone)
            rows.append([name, trial.params, number(rate), done, link(trial.key, number(waited)), alone_text])
        if response:
            series.append(Series(f"{name}: response", styles[name], response))
            series.append(Series(f"{name}: service", styles[name], service, hollow=True))
    if not series:
        return None
    title = "Latency under load: queries at a given rate"
    about = (
        "Response is counted from when a query was due, so that waiting behind a stall shows; service from when it "
        "was sent. Where the two part, queries queue."
    )
    drawn = charts.lines(title, about, Axis("queries a second, asked", "log"), Axis(f"{quantile}, ms", "log"), series)
    head = (
        "backend",
        "search",
        "asked a second",
        "done a second",
        f"response {quantile}, ms",
        f"service {quantile}, ms",
    )
    return figure(title, about, drawn, head, rows)


def selectivity(found: Sequence[Trial], styles: Mapping[str, int]) -> list[Markup]:
    """Recall against the share of the rows that a filter lets through, a chart for each kind of filter."""
    made = []
    filtered = [trial for trial in found if trial.spec.workload.filter and trial.recall is not None]
    for kind, group in sorted(grouped(filtered, _kind).items()):
        series, rows = [], []
        for name, own in grouped(usual(group), lambda trial: trial.name).items():
            line = []
            for trial in sorted(own, key=_passing):
                asked = trial.spec.workload.filter
                assert asked is not None  # noqa: S101  filtered above
                recall, p50 = trial.recall or 0.0, in_ms(trial.median(lambda search: search.service.p50))
                share = f"{asked.pass_rate:.2%}"
                text = f"{name}, {asked.name} ({share} of the rows): recall {recall:.4f}"
                line.append(Mark(asked.pass_rate, recall, text, trial.key, noisy=trial.noisy))
                lift = "" if asked.lift is None else f"{asked.lift:.1f}"
                shown = link(trial.key, f"{recall:.4f}")
                rows.append([name, trial.params, asked.name, share, lift, shown, number(p50 or 0.0)])
            series.append(Series(name, styles[name], line))
        title = f"Recall under filters: {_CORRELATED.get(kind, kind)}"
        about = "Higher is better. To the left few rows are left by the filter."
        across = Axis("share of the rows that pass", "log")
        drawn = charts.lines(title, about, across, Axis("recall, strict"), series)
        head = ("backend", "search", "filter", "passes", "lift", "recall", "p50, ms")
        made.append(figure(title, about, drawn, head, rows))
    return made


_CORRELATED = {
    "correlated": "of rows near the query",
    "random": "of rows anywhere",
    "anti": "of rows far from the query",
    "given": "as given",
}


def _kind(trial: Trial) -> str:
    asked = trial.spec.workload.filter
    return asked.correlation if asked else ""


def _passing(trial: Trial) -> float:
    asked = trial.spec.workload.filter
    return asked.pass_rate if asked else 1.0


def builds(points: Iterable[Point], styles: Mapping[str, int]) -> Markup | None:
    """How long until all rows could be found."""
    loaded = [point for point in points if point.load is not None]
    alone = [point for point in loaded if point.spec.workload.kind == "build"]
    found, rows = [], []
    for label, own in grouped(alone or loaded, lambda point: point.spec.label).items():
        own.sort(key=lambda point: point.load.searchable_seconds if point.load else 0.0)
        loads = [point.load for point in own if point.load is not None]
        times = [load.searchable_seconds for load in loads]
        middle = loads[(len(loads) - 1) // 2]
        key, total = own[(len(own) - 1) // 2].key, middle.searchable_seconds
        insert = min(middle.insert_seconds, total)
        text = f"{number(total)} s"
        found.append(Bar(label, styles[label], (insert, total - insert), text, key, times[0], times[-1]))
        spread = f"{number(times[0])} to {number(times[-1])}"
        cpu = number(middle.cpu_seconds)
        speed = f"{middle.rows_per_second:,.0f}"
        rows.append([label, str(len(own)), number(insert), link(key, number(total)), spread, speed, cpu])
    if not found:
        return None
    found.sort(key=lambda bar: sum(bar.parts))
    title = "Build time"
    about = "Shorter is better. Full: until all rows were written. Light: until they were found. Whisker: all builds."
    drawn = charts.bars(title, about, "seconds until searchable, median of the builds", found)
    head = ("backend", "builds", "written, s", "searchable, s", "spread", "rows a second", "processor, s")
    return figure(title, about, drawn, head, rows)


def memory(points: Iterable[Point], styles: Mapping[str, int]) -> Markup | None:
    """Memory of the process, and the size on disk."""
    found, rows = [], []
    held = [point for point in points if point.resources.memory_peak is not None]
    for label, own in grouped(held, lambda point: point.spec.label).items():
        point = max(own, key=lambda one: one.resources.memory_peak or 0)
        own_use = point.resources
        peak, base = (own_use.memory_peak or 0) / _MIB, (own_use.memory_base or 0) / _MIB
        steady = min((own_use.memory_steady or 0) / _MIB, peak)
        far = point.backend is not None and point.backend.deployment != "embedded"
        name = f"{label} (client only)" if far else label
        found.append(Bar(name, styles[label], (steady, peak - steady), f"{number(peak)} MiB", point.key))
        disk = "" if own_use.disk_bytes is None else number(own_use.disk_bytes / _MIB)
        rows.append([name, number(base), number(steady), link(point.key, number(peak)), disk])
    if not found:
        return None
    found.sort(key=lambda bar: sum(bar.parts))
    title = "Memory"
    about = "Less is better. Full: held at the end. Light: the peak above it. Anonymous memory of a fresh process."
    drawn = charts.bars(title, about, "MiB, of the result with the highest peak", found)
    head = ("backend", "before opening, MiB", "at the end, MiB", "peak, MiB", "index on disk, MiB")
    return figure(title, about, drawn, head, rows)


def all_styles(points: Iterable[Point]) -> dict[str, int]:
    """A look for each name, the same in every figure."""
    names = {name for point in points for name in (name_of(point), point.spec.label)}
    return {name: at for at, name in enumerate(sorted(names))}


def side_by_side(figures: Sequence[Markup | None]) -> Markup | None:
    """Figures in as many columns as there is room for."""
    kept = [one for one in figures if one is not None]
    return element("div", joined(kept), class_="figures") if kept else None
