"""Data on stdout: tables for people, CSV and JSON for programs."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from rich.console import RenderableType

_CELL = 60
_NUMBERS = 4


class Format(StrEnum):
    """How rows are written."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"
    json = "json"


def chosen(fmt: Format | None, *, as_json: bool) -> Format:
    """What ``--format`` and ``--json`` say together; a table where they say nothing."""
    if as_json and fmt not in (None, Format.json):
        raise InvalidInputError(f"--json and --format {fmt} are two formats; give one")
    return Format.json if as_json else fmt or Format.table


def document(value: Any) -> None:
    """One JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=plain) + "\n")


def write(text: str) -> None:
    """Text that is ready."""
    sys.stdout.write(text)


def lines(values: Iterable[str]) -> None:
    """One value a line."""
    for value in values:
        sys.stdout.write(f"{value}\n")


def rows(records: Sequence[Mapping[str, Any]], fmt: Format, *, whole: Any = None, title: str = "") -> None:
    """Records, each a row: ``metadata`` within a record become columns of their own, except in JSON.

    ``whole`` is what the one JSON document holds; ``title`` stands over a table.
    """
    if fmt is Format.json:
        document(list(records) if whole is None else whole)
    elif fmt is Format.jsonl:
        lines(json.dumps(record, ensure_ascii=False, default=plain) for record in records)
    else:
        columns, flat = _flat(records)
        if fmt is Format.csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([_csv(row.get(name)) for name in columns] for row in flat)
        else:
            table(columns, [[row.get(name) for name in columns] for row in flat], title=title)


def _flat(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    fixed = dict.fromkeys(name for record in records for name in record if name != "metadata")
    names = sorted({name for record in records for name in record.get("metadata") or ()})
    called = {name: f"metadata.{name}" if name in fixed else name for name in names}
    flat = [
        {name: value for name, value in record.items() if name != "metadata"}
        | {called[name]: value for name, value in (record.get("metadata") or {}).items()}
        for record in records
    ]
    late = [name for name in ("document", "embedding") if name in fixed]  # long cells stand at the end
    return [name for name in fixed if name not in late] + list(called.values()) + late, flat


def table(columns: Sequence[str], cells: Sequence[Sequence[Any]], *, title: str = "") -> None:
    """A table, as wide as the terminal; as wide as it needs to be where there is none."""
    sys.stdout.write(rendered(columns, cells, title=title))


def rendered(columns: Sequence[str], cells: Sequence[Sequence[Any]], *, title: str = "") -> str:
    """The same as text."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    view = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for number, name in enumerate(columns):
        values = [row[number] for row in cells]
        numeric = any(_is_number(value) for value in values) and all(
            value is None or _is_number(value) for value in values
        )
        view.add_column(Text(name), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in cells:
        view.add_row(*(Text(shown(value)) for value in row))
    return on_terminal(view)


def on_terminal(*parts: "RenderableType") -> str:
    """What rich makes of these for stdout, as text: written by us, so that a closed pipe is our own affair."""
    from rich.console import Console

    watched = sys.stdout.isatty()
    target = sys.stdout if watched else io.StringIO()
    console = Console(file=target, width=None if watched else 100_000, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    drawn = [line if watched else line.rstrip() for line in capture.get().strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in drawn)


def plain_text(value: Any) -> str:
    """A value that is no text as JSON, whole."""
    return json.dumps(value, ensure_ascii=False, default=plain)


def shown(value: Any) -> str:
    """A value as a cell: one line, short, and with nothing that a terminal would act on."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "tolist"):  # an array or a number of numpy, which is not imported for this
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.6g}"  # noqa: PLR2004
    if isinstance(value, list) and value and all(isinstance(number, float) for number in value):
        more = f", … {len(value)}" if len(value) > _NUMBERS else ""
        return f"[{', '.join(f'{number:.4g}' for number in value[:_NUMBERS])}{more}]"
    if isinstance(value, list | tuple):
        return shown(", ".join(map(str, value)))
    if isinstance(value, dict):
        return shown(json.dumps(value, ensure_ascii=False, default=plain))
    text = "".join(letter if letter.isprintable() else " " for letter in str(plain(value)))
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def plain(value: Any) -> Any:
    """A value that JSON has no form for, in one that it has."""
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, str | int | float) else str(value)


def _csv(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    value = plain(value) if hasattr(value, "tolist") else value
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=plain)
    return "" if value is None else plain(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
