"""Rows by key, of a service that has no call for it: a query that is filtered by the keys, its answer checked.

A query approximates, and may leave rows out, also where its filter leaves it nothing else to return. So what is missing
is asked for a second time, from the opposite direction; and for a few keys that are missing still, a scan of one row is
begun right before each: what comes is the row, or it is not there. No look-up reads the whole index.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from databricks.sdk import errors

from vecsearch.backends._mosaic_filters import can_name, compiled
from vecsearch.backends.base import Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vecsearch.backends._mosaic_columns import Layout
    from vecsearch.backends._mosaic_filters import Dialect
    from vecsearch.backends._mosaic_index import Index, Row

_ANSWER_BYTES = 4 << 20
_FLOAT_BYTES = 20
_SINGLE = 8  # keys that are looked up one by one: each is a request
_NOTED, _ASKED = 20_000, 1000


class Lookups:
    """Look-ups in one index, and what was last written to it from here."""

    def __init__(self, index: Index, layout: Layout, dialect: Dialect) -> None:
        self.layout = layout
        self._index = index
        self._dialect = dialect
        self._unseen: OrderedDict[str, tuple[str, bool]] = OrderedDict()
        self._lock = threading.Lock()

    def named(self, keys: Sequence[str], columns: Sequence[str], *, thorough: bool = True) -> list[Row]:
        """The rows of these keys that there are, in any order, with these columns."""
        found: dict[str, Row] = {}
        # A text of SQL cannot name each key.
        askable = can_name(keys, self._dialect)
        for sign in (1.0, -1.0) if thorough else (1.0,):
            missing = [key for key in askable if key not in found]
            for piece in self._pieces(missing, columns):
                found |= self._queried(piece, columns, sign)
        if thorough:
            missing = [key for key in askable if key not in found]
            for key in missing if len(missing) <= _SINGLE else ():
                found |= self._scanned(key, columns)
        for key in set(keys).difference(askable):
            found |= self._scanned(key, columns)
        return list(found.values())

    def _pieces(self, keys: Sequence[str], columns: Sequence[str]) -> Iterable[Sequence[str]]:
        """As many keys as an answer has room for."""
        size = 1000
        if self.layout.vector in columns:
            size = max(1, min(size, _ANSWER_BYTES // (self.layout.dim * _FLOAT_BYTES)))
        return (keys[start : start + size] for start in range(0, len(keys), size))

    def _queried(self, keys: Sequence[str], columns: Sequence[str], sign: float) -> dict[str, Row]:
        asked = compiled(Where(ids=keys), self.layout, self._dialect)
        if asked is None:
            return {}
        anywhere = [sign] + [0.0] * (self.layout.dim - 1)
        try:
            rows = self._index.query(columns, anywhere, len(keys), asked)
        except errors.BadRequest:
            # Texts may make an answer of these rows too large, which is not known beforehand.
            if len(keys) == 1:
                raise
            half = len(keys) // 2
            return self._queried(keys[:half], columns, sign) | self._queried(keys[half:], columns, sign)
        wanted = set(keys)
        return {row_id: row for row in rows if (row_id := self.layout.row_id(row)) in wanted}

    def _scanned(self, key: str, columns: Sequence[str]) -> dict[str, Row]:
        if self.layout.native_keys([key]) != [key]:  # numbers, whose order in a scan is not known
            return {}
        for row in next(self._index.scan(1, after=_before(key)), []):
            if row.get(self.layout.key) == key:
                return {key: {name: row.get(name) for name in columns}}
        return {}

    # ---- what readers see

    def note(self, keys: Sequence[str], moment: str, *, gone: bool = False) -> None:
        """These rows were written then, or removed."""
        with self._lock:
            for key in keys:
                self._unseen.pop(key, None)
                self._unseen[key] = (moment, gone)
            while len(self._unseen) > _NOTED:
                self._unseen.popitem(last=False)

    def visible(self) -> bool:
        """Whether queries show the last write of each row; what they have shown once is not asked for again."""
        column = self.layout.written
        if column is None:
            return True
        while True:
            with self._lock:
                asked = dict(itertools.islice(self._unseen.items(), _ASKED))
            if not asked:
                return True
            rows = self.named(list(asked), [self.layout.key, column], thorough=False)
            shown = {self.layout.row_id(row): str(row[column]) for row in rows}
            late = {key for key, (moment, gone) in asked.items() if _is_late(shown.get(key), moment, gone=gone)}
            with self._lock:
                for key in asked.keys() - late:
                    if self._unseen.get(key) == asked[key]:
                        del self._unseen[key]
            if late:
                return False


def _is_late(shown: str | None, moment: str, *, gone: bool) -> bool:
    """Whether what is shown of a row is from before a write; ``None``: there is no such row."""
    if gone:  # it may have been written again by somebody else, later
        return shown is not None and shown <= moment
    return shown is None or shown < moment


def _before(key: str) -> str:
    """A text that comes right before ``key`` where texts are ordered by code points, or by their UTF-8."""
    last = ord(key[-1]) - 1
    return key[:-1] + (chr(0xD7FF) if 0xD800 <= last <= 0xDFFF else chr(last)) + "\U0010ffff"  # noqa: PLR2004


__all__ = ("Lookups",)
