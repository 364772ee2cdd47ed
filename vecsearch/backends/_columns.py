"""Columns of ids, fields and documents: what lies in a file, decoded when it is asked for, then a growing list.

In a file a column is one blob of byte strings and the offsets where they begin. An absent value (no document, no
fields) is zero bytes long; any other ends in a newline, so that the blobs read as text, a row a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vecsearch.errors import CorruptDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from mmap import mmap
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
_DATE = "$date"
_CHUNK_ROWS = 16_384  # decoded at once: few enough for the text of them to stay in cache


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How values are written, read (many at once, which is several times faster), and copied.

    Copied so that the user and the table share nothing.
    """

    encode: Callable[[T], bytes]
    decode: Callable[[list[bytes]], list[T]]
    copy: Callable[[T], T]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The byte strings of a column in a file: ``offsets`` is one longer than the column."""

    blob: mmap | bytes
    offsets: NDArray[np.uint64]
    path: Path

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def pieces(self, rows: slice | list[int]) -> list[bytes]:
        """The byte strings of some rows."""
        blob = self.blob
        starts, stops = self.offsets[:-1][rows].tolist(), self.offsets[1:][rows].tolist()
        return [blob[start:stop] for start, stop in zip(starts, stops, strict=True)]


class Column(Generic[T]):
    """Values by position. The writer appends; whatever was appended stays, so readers need no lock."""

    __slots__ = ("_form", "_stored", "_stored_rows", "_tail")

    def __init__(self, form: Form[T], *, stored: Stored | None = None, tail: list[T] | None = None) -> None:
        self._form = form
        self._stored = stored
        self._stored_rows = 0 if stored is None else len(stored)
        self._tail = [] if tail is None else tail

    def take(self, positions: list[int]) -> list[T]:
        """Copies of the values at ``positions``."""
        copy, tail, stored_rows = self._form.copy, self._tail, self._stored_rows
        if self._stored is None:
            return [copy(tail[position]) for position in positions]
        found = iter(self._decoded(self._stored, [position for position in positions if position < stored_rows]))
        return [next(found) if position < stored_rows else copy(tail[position - stored_rows]) for position in positions]

    def look(self, start: int, stop: int) -> Iterator[T]:
        """The values from ``start`` to ``stop``: the table's own, not to be handed out."""
        between = min(stop, self._stored_rows)
        if self._stored is not None:
            for first in range(start, between, _CHUNK_ROWS):
                yield from self._decoded(self._stored, slice(first, min(first + _CHUNK_ROWS, between)))
        yield from self._tail[max(0, start - self._stored_rows) : max(0, stop - self._stored_rows)]

    def extend(self, values: Iterable[T]) -> None:
        """Append copies of ``values``."""
        copy = self._form.copy
        self._tail.extend([copy(value) for value in values])

    def cut(self, rows: int) -> None:
        """Forget what was appended after the first ``rows``."""
        del self._tail[rows - self._stored_rows :]

    def encoded(self, positions: list[int]) -> list[bytes]:
        """The byte strings to store for the rows at ``positions``."""
        encode, tail, stored_rows = self._form.encode, self._tail, self._stored_rows
        if self._stored is None:
            return [encode(tail[position]) for position in positions]
        found = iter(self._stored.pieces([position for position in positions if position < stored_rows]))
        return [
            next(found) if position < stored_rows else encode(tail[position - stored_rows]) for position in positions
        ]

    def _decoded(self, stored: Stored, rows: slice | list[int]) -> list[T]:
        try:
            return self._form.decode(stored.pieces(rows))
        except ValueError as error:
            message = f"{stored.path} is damaged: a row of it cannot be read ({error})"
            raise CorruptDataError(message, stored.path) from error


def _encode_text(value: str | None) -> bytes:
    return b"" if value is None else value.encode("utf-8", "surrogatepass") + b"\n"


def _decode_ids(pieces: list[bytes]) -> list[str]:
    return [piece[:-1].decode("utf-8", "surrogatepass") for piece in pieces]


def _decode_documents(pieces: list[bytes]) -> list[str | None]:
    return [piece[:-1].decode("utf-8", "surrogatepass") if piece else None for piece in pieces]


def _encode_value(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {_DATE: value.isoformat()}
    raise TypeError(f"a field holds a {type(value).__name__}")


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_encode_value).encode
_from_json = json.JSONDecoder().decode


def _encode_fields(fields: dict[str, Any]) -> bytes:
    return _encode_text(_to_json(fields)) if fields else b""


def _decode_fields(pieces: list[bytes]) -> list[dict[str, Any]]:
    text = b",".join([piece or b"{}" for piece in pieces]).decode("utf-8", "surrogatepass")
    rows: list[dict[str, Any]] = _from_json(f"[{text}]")
    if len(rows) != len(pieces):
        raise ValueError("a line holds more than one row")
    if _DATE in text:
        for fields in rows:
            for name, value in fields.items():
                if type(value) is dict:  # no field value is an object: this is a date
                    fields[name] = datetime.fromisoformat(value[_DATE])
    return rows


def _copy_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _copy_value(value) for name, value in fields.items()}


def _copy_value(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool:
        return value
    if isinstance(value, list):
        return list(value)
    if isinstance(value, datetime) and type(value.tzinfo) is not timezone:
        # The instant and its offset are what is kept; the rules of a time zone would not come back from a file.
        offset = value.utcoffset() or timedelta(0)
        return value.replace(tzinfo=timezone(offset), fold=0)
    return value


def _same(value: Any) -> Any:
    return value


IDS: Form[str] = Form(_encode_text, _decode_ids, _same)
DOCUMENTS: Form[str | None] = Form(_encode_text, _decode_documents, _same)
FIELDS: Form[dict[str, Any]] = Form(_encode_fields, _decode_fields, _copy_fields)
