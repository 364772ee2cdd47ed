"""``demo``: what a first look shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecsearch.cli import options, output
from vecsearch.cli.commands import say

if TYPE_CHECKING:
    from vecsearch.demo import Report

_NAME, _TIME = 16, 6
_SHOWN, _PAIRS = 5, 3
_NAMES = 100


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="WordNet embeddings (embeddings-f16.npy, glosses.jsonl.gz) instead of digits.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the pictures go.")] = Path(
        "vecsearch-demo"
    ),
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Draw nothing.")] = False,
    as_json: options.Json = False,
) -> None:
    """See what it does, in seconds: index 1,797 handwritten digits, search them, find doubles and rarities.

    The index stays as the run "digits" (or "wordnet"), to go on with.
    """
    from vecsearch import demo as show

    subject = show.digits() if data is None else show.wordnet(data)
    if not as_json:
        say(f"{subject.title} …")
    report = show.run(subject, None if no_pictures else out)
    if as_json:
        pictures = [str(path) for path in report.pictures]
        output.document({**report.facts, "seconds": report.seconds, "pictures": pictures})
    else:
        output.write(_shown(report))
    if report.hint:
        say(f"no pictures: {report.hint}")


class _Page:
    """Lines of a name, a time and a text; a terminal shows as much of them as fits."""

    def __init__(self, report: "Report") -> None:
        from rich.text import Text

        self.text = Text()
        self._seconds = report.seconds

    def line(self, name: str, text: str, timed: str) -> None:
        self.text.append(f"{name:<{_NAME}}", "bold")
        self.text.append(f"{self._seconds[timed]:>{_TIME}.2f} s  ", "dim")
        self.text.append(f"{text}\n")

    def more(self, text: str) -> None:
        self.text.append(f"{'':<{_NAME + _TIME + 4}}{text}\n")

    def found(self, matches: Sequence[Mapping[str, Any]]) -> None:
        for match in matches:
            self.more(f"{match['distance']:.4f}  {match['id']}  {_cut(match['name'])}")


def _shown(report: "Report") -> str:
    """The report as text; bold where there is a terminal."""
    facts, page = report.facts, _Page(report)
    share, duplicates, unique, view = (facts[name] for name in ("share", "duplicates", "unique", "view"))
    shape = f"{facts['rows']:,} rows of {facts['dim']} dimensions"
    page.line("Indexed", f"{shape}, {facts['metric']}, backend {facts['backend']}", "index")
    page.line("Neighbours", f"nearest to {facts['query']['id']}, {_cut(facts['query']['name'])}", "search")
    page.found(facts["neighbors"][:_SHOWN])
    asked = "all rows" if share["queries"] == facts["rows"] else f"{share['queries']:,} rows"
    of_these = f"of {share['k']} nearest have the same {share['field']} ({asked})"
    page.line("", f"{share['share']:.1%} {of_these}", "share")
    count = f"{duplicates['count']:,} rows ({duplicates['fraction']:.1%})"
    page.line("Near-duplicates", f"{count} within {duplicates['thresh']:.4f} of a row that is kept", "duplicates")
    for pair in duplicates["closest"][:_PAIRS]:
        ids = (pair["id"], pair["nearest_id"])
        first, second = (f"{row_id}  {_cut(name)}" for row_id, name in zip(ids, pair["names"], strict=True))
        page.more(f"{pair['distance']:.4f}  {first}")
        page.more(f"{'':>6}  {second}")
    page.line("Most unique", f"{len(unique)} rows that lie farthest from each other", "unique")
    for row in unique[:_SHOWN]:
        page.more(f"{'':>6}  {row['id']}  {_cut(row['name'])}")
    page.line("A view", f"of {view['name']}, {view['rows']:,} rows: those nearest to {facts['query']['id']}", "view")
    page.found(view["neighbors"])
    if report.pictures:
        names = " ".join(path.name for path in report.pictures)
        page.line("Pictures", f"in {report.pictures[0].parent}: {names}", "pictures")
    page.text.append("\nGo on with\n", "bold")
    for command in _next(report):
        page.text.append(f"  {command}\n")
    return output.on_terminal(page.text)


def _cut(name: str) -> str:
    return name if len(name) <= _NAMES else f"{name[: _NAMES - 1]}…"


def _next(report: "Report") -> list[str]:
    key, query, field = report.facts["key"], report.facts["query"]["id"], report.facts["share"]["field"]
    value = report.subject.metadata[field][0]
    return [
        f"vecsearch search {key} --id {query} -k 5 --exclude-self",
        f"vecsearch search {key} --id {query} --filter '{{\"{field}\": {value}}}'",
        f"vecsearch duplicates {key} --thresh {report.facts['duplicates']['thresh']:.4f}",
        f"vecsearch unique {key} 100 > keep.txt",
        f'python -c \'import vecsearch; print(vecsearch.load_run("{key}").search(ids=["{query}"], k=5)[0])\'',
    ]
