"""One HTML file that shows results: no script, no network, readable on paper and without colours."""

from __future__ import annotations

import json
from datetime import UTC
from importlib import resources
from typing import TYPE_CHECKING

from vecsearch.bench import figures, tables
from vecsearch.bench.markup import Markup, anchor, element, line, table
from vecsearch.bench.trials import grouped, trials
from vecsearch.bench.trust import asked, badge, trust
from vecsearch.errors import InvalidInputError
from vecsearch.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from vecsearch.bench.points import Point

_TITLE = "Vector search, measured"
# Nothing may be loaded and nothing may run, whatever a text in the results says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write(points: Iterable[Point], path: Path) -> None:
    """Write the page of these points. Raises ``InvalidInputError`` where there are none."""
    atomic_write(path, page(points))


def page(points: Iterable[Point]) -> str:
    """The page of these points."""
    found = sorted(points, key=lambda point: (point.spec.dataset, point.spec.label, asked(point)))
    if not found:
        raise InvalidInputError("no results to report; vecsearch bench run makes some")
    styles = figures.all_styles(found)
    sections = [_Section(f"data-{number}", own) for number, own in enumerate(grouped(found, _data).values(), 1)]
    contents = element(
        "nav",
        element("a", "Can I trust this?", href="#trust"),
        *(element("a", section.title, href=f"#{section.id}") for section in sections),
        element("a", "All results", href="#results"),
        aria_label="Contents",
    )
    body = element(
        "body",
        element("header", element("h1", _TITLE), element("p", _about(found)), contents),
        element("main", trust(found), *(section.html(styles) for section in sections), _results(found)),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", _TITLE),
        element("style", Markup(resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8"))),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _about(points: Sequence[Point]) -> str:
    first, last = (pick(point.started for point in points).astimezone(UTC) for pick in (min, max))
    days = f"{first:%Y-%m-%d %H:%M}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    versions = sorted({point.environment.packages.get("vecsearch", "") for point in points} - {""})
    by = f" by vecsearch {', '.join(versions)}" if versions else ""
    labels = len({point.spec.label for point in points})
    return f"{len(points)} results of {labels} configurations, measured{by}, {days} UTC. Numbers lead to their results."


def _data(point: Point) -> tuple[str, str, int, str]:
    return point.spec.dataset, point.spec.dataset_sha256, point.spec.rows, point.spec.metric


class _Section:
    """What was measured on one set of vectors."""

    def __init__(self, number: str, points: Sequence[Point]) -> None:
        spec = points[0].spec
        self.id, self.points = number, points
        self.title = f"{spec.dataset}: {spec.rows:,} vectors of {spec.dim} dimensions, {spec.metric}"

    def html(self, styles: Mapping[str, int]) -> Markup:
        """Tables and figures, those of one ``k`` together."""
        found = trials(self.points)
        parts: list[Markup | None] = []
        for k, own in sorted(grouped(found, lambda trial: trial.spec.workload.k).items()):
            kinds = grouped(own, lambda trial: trial.spec.workload.kind)
            plain = kinds.get("search", [])
            parts += [
                *tables.at_recall(plain, k),
                figures.side_by_side(
                    [
                        *figures.frontiers(plain, styles),
                        figures.under_load(plain, styles),
                        figures.at_rates(kinds.get("open", []), styles),
                        *figures.selectivity(kinds.get("filtered", []), styles),
                    ]
                ),
                tables.batches(kinds.get("batch", [])),
            ]
        counted = [point for point in self.points if point.verdict in tables.COUNTED]
        parts += [
            figures.side_by_side([figures.builds(counted, styles), figures.memory(counted, styles)]),
            tables.streams(counted),
            tables.reopened(counted),
            tables.overheads(counted),
        ]
        if not any(parts):
            parts = [element("p", "Nothing that was measured here counts: see above what is wrong.")]
        return element("section", element("h2", self.title), *parts, id=self.id)


def _results(points: Sequence[Point]) -> Markup:
    """Every result: what was asked, its figures, and all of it as JSON."""
    rows = []
    for point in points:
        whole = point.model_dump(mode="json", exclude_none=True, exclude={"environment"})
        text = json.dumps(whole, indent=1, ensure_ascii=False)
        raw = element("details", element("summary", point.key), element("pre", text))
        rows.append(line([asked(point), badge(point.verdict), *tables.brief(point), raw], id=anchor(point.key)))
    about = element(
        "p",
        "Each result opens to all that was recorded of it, but for the machine, which stands above. The folder of the "
        "results holds the same as points/",
        element("i", "key"),
        ".json, with the time of every single call beside it.",
    )
    head = ("what was asked", "verdict", "recall", "queries a second", "p50, ms", "p99, ms", "errors", "result")
    listed = table(head, rows, "All results", class_="results")
    return element("section", element("h2", "All results"), about, listed, id="results")
