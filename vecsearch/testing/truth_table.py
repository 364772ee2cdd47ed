"""What every filter means on every kind of value: the table in ``docs/filters.md``, and the test of every backend.

Written by hand, not computed: it is what the evaluator and the backends are judged by. Each row of metadata has the one
field ``x``, or lacks it. ``python -m vecsearch.testing.truth_table docs/filters.md`` writes the table into the page.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from vecsearch.filters import F, Filter

_NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
_BIG = 2**53  # from here on not every integer is a float

ROWS: dict[str, dict[str, Any]] = {
    "empty": {"x": ""},
    "text_1": {"x": "1"},
    "Z": {"x": "Z"},
    "a": {"x": "a"},
    "b": {"x": "b"},
    "é": {"x": "é"},
    "one": {"x": 1},
    "one_float": {"x": 1.0},
    "two": {"x": 2},
    "two_and_half": {"x": 2.5},
    "big": {"x": _BIG},
    "bigger": {"x": _BIG + 1},
    "true": {"x": True},
    "false": {"x": False},
    "new_year": {"x": _NEW_YEAR},
    "new_year_paris": {"x": _NEW_YEAR.astimezone(timezone(timedelta(hours=1)))},
    "later": {"x": _NEW_YEAR + timedelta(microseconds=1)},
    "list": {"x": ["a", "b"]},
    "empty_list": {"x": []},
    "absent": {},
}
"""Metadata by the name of its row."""

_TITLES = {
    "big": "2⁵³",
    "bigger": "2⁵³+1",
    "new_year": "2026 UTC",
    "new_year_paris": "2026 UTC, written +01:00",
    "later": "2026 +1 µs",
    "absent": "absent",
}
_TEXTS = "empty text_1 Z a b é"
_NUMBERS = "one one_float two two_and_half big bigger"
_DATETIMES = "new_year new_year_paris later"
_PRESENT = f"{_TEXTS} {_NUMBERS} true false {_DATETIMES} list empty_list"
_ALL = f"{_PRESENT} absent"


@dataclass(frozen=True, slots=True)
class Case:
    """A filter, and the names of exactly those rows for which it holds."""

    filter: Filter
    holds: frozenset[str]
    note: str = ""


def _case(tree: Filter, holds: str, *, but: str = "", note: str = "") -> Case:
    return Case(tree, frozenset(holds.split()) - frozenset(but.split()), note)


_x = F("x")
CASES: tuple[Case, ...] = (
    _case(_x == "a", "a", note="not the list that contains it"),
    _case(_x == "", "empty"),
    _case(_x == 1, "one one_float", note="int and float are one kind; True is none of it"),
    _case(_x == 1.0, "one one_float"),
    _case(_x == float(_BIG), "big", note="compared exactly"),
    _case(_x == _BIG + 1, "bigger"),
    _case(_x == True, "true", note="not 1"),  # noqa: E712  the operator of a filter
    _case(_x == _NEW_YEAR, "new_year new_year_paris", note="datetimes are instants"),
    _case(_x != "a", _TEXTS, but="a", note="of the same kind, and different"),
    _case(_x != 1, _NUMBERS, but="one one_float"),
    _case(_x != True, "false"),  # noqa: E712  the operator of a filter
    _case(_x != _NEW_YEAR, "later"),
    _case(_x < "a", "empty text_1 Z", note="by code point"),
    _case(_x <= "a", "empty text_1 Z a"),
    _case(_x > "a", "b é"),
    _case(_x >= "a", "a b é"),
    _case(_x < 2, "one one_float"),
    _case(_x <= 2, "one one_float two"),
    _case(_x > 1.5, "two two_and_half big bigger"),
    _case(_x > float(_BIG), "bigger"),
    _case(_x >= _BIG, "big bigger"),
    _case(_x < _NEW_YEAR, ""),
    _case(_x <= _NEW_YEAR, "new_year new_year_paris"),
    _case(_x > _NEW_YEAR, "later"),
    _case(_x >= _NEW_YEAR, _DATETIMES),
    _case(_x.is_in(["a", "b"]), "a b"),
    _case(_x.is_in(["a", 1]), "a one one_float", note="kinds may be mixed"),
    _case(_x.is_in([True]), "true"),
    _case(_x.is_in([_NEW_YEAR, 2.5]), "new_year new_year_paris two_and_half"),
    _case(_x.is_in([]), "", note="no row"),
    _case(_x.not_in(["a", "b"]), _TEXTS, but="a b", note="of the kind of a member, and none of them"),
    _case(_x.not_in(["a", 1]), f"{_TEXTS} {_NUMBERS}", but="a one one_float"),
    _case(_x.not_in([True]), "false"),
    _case(_x.not_in([_NEW_YEAR]), "later"),
    _case(_x.not_in([_NEW_YEAR, _NEW_YEAR + timedelta(days=365)]), "later"),
    _case(_x.not_in([]), _PRESENT, note="nothing is excluded: every row that has the field"),
    _case(_x.contains("a"), "list", note="membership in a list, no substrings"),
    _case(_x.contains(""), ""),
    _case(_x.exists(), _PRESENT, note="an empty text or list is there"),
    _case(~_x.exists(), "absent"),
    _case(~(_x == "a"), _ALL, but="a", note="the plain complement: everything else"),
    _case(~(_x != "a"), _ALL, but="empty text_1 Z b é"),
    _case(~(_x >= 2), _ALL, but="two two_and_half big bigger"),
    _case(~(_x == True), _ALL, but="true"),  # noqa: E712  the operator of a filter
    _case(~(_x > _NEW_YEAR), _ALL, but="later"),
    _case(~_x.is_in(["a", 1]), _ALL, but="a one one_float"),
    _case(~_x.is_in([]), _ALL),
    _case(~_x.not_in(["a", "b"]), _ALL, but="empty text_1 Z é"),
    _case(~_x.not_in([]), "absent"),
    _case(~_x.contains("a"), _ALL, but="list"),
    _case((_x >= 1) & (_x < 2.5), "one one_float two"),
    _case((_x == "a") | (_x == 2), "a two"),
    _case((_x == "a") & (_x == 2), ""),
    _case(~((_x >= 1) & (_x < 2.5)), _ALL, but="one one_float two"),
    _case(~((_x == "a") | ~_x.exists()), _PRESENT, but="a"),
    _case(F("y") == 1, "", note="a field that no row has"),
    _case(F("y") != 1, ""),
    _case(~(F("y") == 1), _ALL),
    _case(~F("y").exists() & (_x == 1), "one one_float"),
)
"""Every case; a backend must agree with each on the rows that it can hold."""

_BEGIN, _END = "<!-- the truth table begins -->", "<!-- the truth table ends -->"


def render() -> str:
    """The table in Markdown: a line for each filter, a column for each value of ``x``."""
    titles = [_TITLES.get(name) or f"`{row['x']!r}`" for name, row in ROWS.items()]
    lines = [["filter", *titles, ""], ["---", *[":-:"] * len(ROWS), "---"]]
    for case in CASES:
        text = repr(case.filter).replace("|", r"\|")
        marks = ["●" if name in case.holds else "" for name in ROWS]
        lines.append([f"`{text}`", *marks, case.note])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def page(text: str) -> str:
    """The page with its table written anew."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{render()}\n{_END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
