"""The two dialects of filters, read strictly: what the public documents do not name is refused.

Where they are silent, this does what is hardest for a caller: a missing value is unequal to every value in the dict,
and unknown in the text, as in SQL; texts have no order; a backslash in a literal is an error.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from vecsearch.testing.standins.http import RefusalError

Test: TypeAlias = Callable[[Mapping[str, Any]], "bool | None"]
Columns: TypeAlias = Mapping[str, str]
"""Column -> ``str``, ``int``, ``float``, ``bool`` or ``vector``."""

_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|'')*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign><=|>=|!=|<>|[=<>(),]))"
)


def from_dict(text: str, columns: Columns) -> Test:
    """The dict of a standard endpoint."""
    try:
        asked = json.loads(text)
    except ValueError as error:
        raise RefusalError(400, f"filters_json is no JSON: {error}") from None
    if not isinstance(asked, dict) or not asked:
        raise RefusalError(400, "filters_json must be a JSON object with at least one key")
    tests = [_key(key, value, columns) for key, value in asked.items()]
    return lambda row: all(test(row) for test in tests)


def _key(key: str, value: Any, columns: Columns) -> Test:
    name, _, sign = key.partition(" ")
    kind = _kind(name, columns)
    if sign in _SIGNS:
        if kind not in ("int", "float"):
            raise RefusalError(400, f"{key!r}: only numbers have an order")
        compare, bound = _SIGNS[sign], _checked(value, kind, key)
        return lambda row: row.get(name) is not None and compare(row[name], bound)
    if sign == "NOT":
        other = _checked(value, kind, key)
        return lambda row: row.get(name) != other
    if sign:
        raise RefusalError(400, f"{key!r}: unknown operator {sign!r}")
    members = [_checked(one, kind, key) for one in (value if isinstance(value, list) else [value])]
    if not members:
        raise RefusalError(400, f"{key!r}: an empty list")
    known = set(members)
    return lambda row: row.get(name) in known and row.get(name) is not None


def _kind(name: str, columns: Columns) -> str:
    if columns.get(name, "vector") == "vector":
        raise RefusalError(400, f"Column {name!r} not found, or not filterable")
    return columns[name]


def _checked(value: Any, kind: str, where: str) -> Any:
    right = {"str": (str,), "bool": (bool,), "int": (int,), "float": (int, float)}[kind]
    if type(value) not in right:
        raise RefusalError(400, f"{where!r}: {value!r} is no value of a column of type {kind}")
    return value


def from_text(text: str, columns: Columns) -> Test:
    """The text of a storage-optimised endpoint."""
    return _Reader(text, columns).whole()


class _Reader:
    """A filter as tokens, read from left to right; answers are true, false or unknown."""

    def __init__(self, text: str, columns: Columns) -> None:
        self._columns = columns
        self._tokens: list[tuple[str, str]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            found = _TOKEN.match(text, position)
            if found is None:
                raise RefusalError(400, f"filter_string: cannot read {text[position : position + 40]!r}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            position = found.end()
        self._at = 0

    def whole(self) -> Test:
        """The filter; nothing may come after it."""
        test = self._alternatives()
        if self._at < len(self._tokens):
            raise RefusalError(400, f"filter_string: unexpected {self._tokens[self._at][1]!r}")
        return test

    def _next(self, *wanted: str) -> str:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
        if wanted and kind not in wanted and text.upper() not in wanted:
            raise RefusalError(400, f"filter_string: {text or 'the end'!r} instead of {' or '.join(wanted)}")
        self._at += 1
        return text

    def _is(self, *words: str) -> bool:
        """Whether the next token is one of these; then it is taken."""
        if self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            if kind != "text" and text.upper() in words:
                self._at += 1
                return True
        return False

    def _alternatives(self) -> Test:
        return self._joined("OR", self._conditions, decisive=True)

    def _conditions(self) -> Test:
        return self._joined("AND", self._condition, decisive=False)

    def _joined(self, word: str, part: Callable[[], Test], *, decisive: bool) -> Test:
        """Parts between a word, in the logic of three values: one that is ``decisive`` decides, else null does."""
        tests = [part()]
        while self._is(word):
            tests.append(part())

        def holds(row: Mapping[str, Any]) -> bool | None:
            found = [test(row) for test in tests]
            return decisive if decisive in found else None if None in found else not decisive

        return holds

    def _condition(self) -> Test:
        if self._is("("):
            inside = self._alternatives()
            self._next(")")
            return inside
        name = self._next("word")
        kind = _kind(name, self._columns)
        negated = self._is("NOT")
        if negated or self._is("IN"):
            if negated:
                self._next("IN")
            self._next("(")
            members = {self._literal(kind)}
            while self._is(","):
                members.add(self._literal(kind))
            self._next(")")
            return lambda row: None if row.get(name) is None else (row[name] in members) != negated
        sign = self._next("sign")
        value = self._literal(kind)
        if sign in _SIGNS and kind not in ("int", "float"):
            raise RefusalError(400, f"filter_string: {name}: only numbers have an order")
        compare = {"=": operator.eq, "!=": operator.ne, "<>": operator.ne, **_SIGNS}.get(sign)
        if compare is None:
            raise RefusalError(400, f"filter_string: unexpected {sign!r}")
        return lambda row: None if row.get(name) is None else bool(compare(row[name], value))

    def _literal(self, kind: str) -> Any:
        text = self._next("text", "number", "TRUE", "FALSE")
        if text.startswith("'"):
            value: Any = text[1:-1].replace("''", "'")
        elif text.upper() in ("TRUE", "FALSE"):
            value = text.upper() == "TRUE"
        else:
            value = float(text) if set(text) & set(".eE") else int(text)
        return _checked(value, kind, "filter_string")


__all__ = ("from_dict", "from_text")
