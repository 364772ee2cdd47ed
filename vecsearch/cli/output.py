"""Data on stdout: tables for people, CSV and JSON for programs."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from vecsearch.cli.commands import say
from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from rich.console import RenderableType

_CELL = 60
_NARROW = 24
_GAP = 3
_KEPT = 2  # columns that are always shown: an id and what is said of it
_ENDLESS = 100_000
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


def rows(records: Sequence[Mapping[str, Any]], fmt: Format, *, whole: Any = None) -> None:
    """Records, each a row: ``metadata`` within a record become columns of their own, except in JSON.

    ``whole`` is what the one JSON document holds.
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
            table(columns, [[row.get(name) for name in columns] for row in flat])


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


def table(columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> None:
    """A table of one line a row; on a terminal, of the columns that fit."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    texts = [[shown(value) for value in row] for row in cells]
    widths = _widths(columns, texts, _terminal_width())
    view = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, width in widths.items():
        values = [row[number] for row in cells if row[number] is not None]
        numeric = bool(values) and all(_is_number(value) for value in values)
        overflow: Literal["fold", "ellipsis"] = "ellipsis" if number else "fold"  # an id is shown whole, or is none
        justify: Literal["left", "right"] = "right" if numeric else "left"
        view.add_column(Text(columns[number]), justify=justify, width=width, overflow=overflow, no_wrap=bool(number))
    for row in texts:
        view.add_row(*(Text(row[number]) for number in widths))
    sys.stdout.write(on_terminal(view))
    left_out = [name for number, name in enumerate(columns) if number not in widths]
    if left_out:
        sys.stdout.flush()
        say(f"no room for {', '.join(left_out)}: --json has all")


def _widths(columns: Sequence[str], texts: Sequence[Sequence[str]], room: int) -> dict[int, int]:
    """The columns that fit, and how wide each is: long texts give way first, then columns from the right."""
    from rich.cells import cell_len

    natural = [max(map(cell_len, (name, *(row[at] for row in texts)))) for at, name in enumerate(columns)]
    least = [width if at == 0 else min(width, _NARROW) for at, width in enumerate(natural)]
    least[:1] = [min(width, max(_NARROW, room // 2)) for width in least[:1]]
    kept = list(range(len(columns)))

    def needed() -> int:
        return sum(least[at] + _GAP for at in kept) - _GAP

    while needed() > room and len(kept) > _KEPT:
        late = [at for at in kept[_KEPT:] if columns[at] != "document"] or kept[_KEPT:]
        kept.remove(late[-1])
    spare = max(0, room - needed())
    widths = {}
    for at in kept:
        more = min(spare, natural[at] - least[at])
        spare -= more
        widths[at] = least[at] + more
    return widths


def _terminal_width() -> int:
    from rich.console import Console

    return Console(file=sys.stdout).width if sys.stdout.isatty() else _ENDLESS


def on_terminal(part: "RenderableType") -> str:
    """What rich makes of this for stdout, as text: written by us, so that a closed pipe is our own affair."""
    from rich.console import Console

    watched = sys.stdout.isatty()
    target = sys.stdout if watched else io.StringIO()
    console = Console(file=target, width=None if watched else _ENDLESS, highlight=False)
    with console.capture() as capture:
        console.print(part, no_wrap=True, overflow="ellipsis")
    return "".join(f"{line.rstrip()}\n" for line in capture.get().strip("\n").splitlines())


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
