"""Columns of ids, fields and documents: what lies in a file, decoded when it is asked for, then a growing list.

In a file a column is one blob of byte strings and the offsets where they begin. An absent value (no document, no
fields) is zero bytes long; any other ends in a newline, so that the blobs read as text, a row a line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vecsearch.errors import CorruptDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from mmap import mmap
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
_DATE = "$date"


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How a value is written, read, and copied so that the user and the table share nothing."""

    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]
    copy: Callable[[T], T]
    decode_all: Callable[[bytes, list[int]], list[T]] | None = None
    """Many at once, from a blob and its offsets, where that is faster."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The byte strings of a column in a file: ``offsets`` is one longer than the column."""

    blob: mmap | bytes
    offsets: NDArray[np.uint64]
    path: Path

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.blob[int(self.offsets[row]) : int(self.offsets[row + 1])]


class Column(Generic[T]):
    """Values by position. The writer appends; whatever was appended stays, so readers need no lock."""

    __slots__ = ("_form", "_stored", "_stored_rows", "_tail")

    def __init__(self, form: Form[T], *, stored: Stored | None = None, tail: list[T] | None = None) -> None:
        self._form = form
        self._stored = stored
        self._stored_rows = 0 if stored is None else len(stored)
        self._tail = [] if tail is None else tail

    def __getitem__(self, position: int) -> T:
        """The table's own value: to look at, not to hand out."""
        if self._stored is None or position >= self._stored_rows:
            return self._tail[position - self._stored_rows]
        return self._decoded(self._stored, self._stored[position])

    def take(self, positions: list[int]) -> list[T]:
        """Copies of the values at ``positions``."""
        copy = self._form.copy
        if self._stored is None:
            tail = self._tail
            return [copy(tail[position]) for position in positions]
        return [copy(self[position]) for position in positions]

    def everything(self, rows: int) -> list[T]:
        """The first ``rows`` values, the table's own."""
        if self._stored is None:
            return self._tail[:rows]
        stored = self._stored
        blob = bytes(stored.blob[:])
        offsets = stored.offsets.tolist()
        if self._form.decode_all is not None:
            values = self._form.decode_all(blob, offsets)
        else:
            pieces = (blob[start:stop] for start, stop in pairwise(offsets))
            values = [self._decoded(stored, piece) for piece in pieces]
        return (values + self._tail[: max(0, rows - len(values))])[:rows]

    def extend(self, values: Iterable[T]) -> None:
        """Append copies of ``values``."""
        copy = self._form.copy
        self._tail.extend([copy(value) for value in values])

    def cut(self, rows: int) -> None:
        """Forget what was appended after the first ``rows``."""
        del self._tail[rows - self._stored_rows :]

    def encoded(self, positions: Sequence[int]) -> Iterator[bytes]:
        """The byte strings to store for the rows at ``positions``."""
        encode, stored, stored_rows, tail = self._form.encode, self._stored, self._stored_rows, self._tail
        for position in positions:
            if stored is not None and position < stored_rows:
                yield stored[position]
            else:
                yield encode(tail[position - stored_rows])

    def _decoded(self, stored: Stored, piece: bytes) -> T:
        try:
            return self._form.decode(piece)
        except ValueError as error:
            raise CorruptDataError(
                f"{stored.path} is damaged: a row of it cannot be read ({error})", stored.path
            ) from error


def _encode_text(value: str | None) -> bytes:
    return b"" if value is None else value.encode("utf-8", "surrogatepass") + b"\n"


def _decode_text(piece: bytes) -> str:
    return piece[:-1].decode("utf-8", "surrogatepass")


def _decode_document(piece: bytes) -> str | None:
    return _decode_text(piece) if piece else None


def _decode_texts(blob: bytes, offsets: list[int]) -> list[str]:
    if blob.isascii():  # then characters and bytes count the same, and one decoding serves all
        text = blob.decode("ascii")
        return [text[start : stop - 1] for start, stop in pairwise(offsets)]
    return [_decode_text(blob[start:stop]) for start, stop in pairwise(offsets)]


def _encode_value(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {_DATE: value.isoformat()}
    raise TypeError(f"a field holds a {type(value).__name__}")


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_encode_value).encode
_from_json = json.JSONDecoder().decode


def _encode_fields(fields: dict[str, Any]) -> bytes:
    return _encode_text(_to_json(fields)) if fields else b""


def _decode_fields(piece: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = _from_json(_decode_text(piece)) if piece else {}
    for name, value in fields.items():
        if type(value) is dict:  # no field value is an object: this is a date
            fields[name] = datetime.fromisoformat(value[_DATE])
    return fields


def _copy_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _copy_value(value) for name, value in fields.items()}


def _copy_value(value: Any) -> Any:  # noqa: ANN401  any metadata type
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


def _same(value: Any) -> Any:  # noqa: ANN401  text cannot be changed by its holder
    return value


IDS: Form[str] = Form(_encode_text, _decode_text, _same, _decode_texts)
DOCUMENTS: Form[str | None] = Form(_encode_text, _decode_document, _same)
FIELDS: Form[dict[str, Any]] = Form(_encode_fields, _decode_fields, _copy_fields)
