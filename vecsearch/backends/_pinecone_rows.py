"""Between Pinecone's records and rows: ids, metadata, sizes of requests.

Ids are ASCII of up to 512 characters there: others are written with percent signs, as in URLs, and those that are too
long even so by a digest. The id itself lies in the metadata of each row, under ``_vs_key``, where filters reach it. In
an index that others made ids are what they are.
"""

from __future__ import annotations

import hashlib
import string
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

import numpy as np
import orjson  # the client's own

from vecsearch.backends.base import Rows
from vecsearch.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vecsearch.backends.base import Part

ID = "_vs_key"
DOCUMENT = "_vs_document"
MAX_ID = 512
MAX_METADATA_BYTES = 40_000
MAX_REQUEST_BYTES = 1_990_000  # of 2 MB, for vectors alone
_PLAIN = (string.ascii_letters + string.digits + string.punctuation + " ").replace("%", "")
_DIGEST = "%%"  # no quoted text begins so
_URL_BYTES = 4000
_URL_IDS = 100


def native_id(row_id: str, *, ours: bool) -> str | None:
    """The id in Pinecone; ``None`` where an index that others made can hold no such id."""
    if not ours:
        return row_id if row_id.isascii() and len(row_id) <= MAX_ID else None
    quoted = quote(row_id, safe=_PLAIN)
    return quoted if len(quoted) <= MAX_ID else _DIGEST + hashlib.sha256(row_id.encode()).hexdigest()


def is_digest(native: str, *, ours: bool) -> bool:
    """Whether the id itself is to be read from the metadata."""
    return ours and native.startswith(_DIGEST)


def vectors_of(rows: Rows, *, ours: bool) -> list[dict[str, Any]]:
    """Rows as an upsert takes them; a row that Pinecone cannot hold is refused."""
    assert rows.vectors is not None  # noqa: S101  what is written is always whole
    documents = rows.documents or [None] * len(rows)
    found = []
    for row_id, values, fields, document in zip(
        rows.ids, rows.vectors.tolist(), rows.fields or [{}] * len(rows), documents, strict=True
    ):
        native = native_id(row_id, ours=ours)
        if native is None:
            raise UnsupportedError(
                f"pinecone: {row_id!r} is not ASCII of at most {MAX_ID} characters, as ids must be in an index that "
                "was not made by vecsearch"
            )
        metadata = dict(fields)
        if ours:
            metadata[ID] = row_id
        if document is not None:
            metadata[DOCUMENT] = document
        size = _size(metadata)
        if size > MAX_METADATA_BYTES:
            raise UnsupportedError(
                f"pinecone: the metadata and document of the row {row_id!r} have {size} bytes, with what is kept "
                f"beside them; it holds {MAX_METADATA_BYTES}"
            )
        found.append({"id": native, "values": values, "metadata": metadata})
    return found


def requests_of(vectors: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Pieces of an upsert that fit into a request."""
    piece: list[dict[str, Any]] = []
    used = 0
    for vector in vectors:
        size = _size(vector) + 1
        if piece and used + size > MAX_REQUEST_BYTES:
            yield piece
            piece, used = [], 0
        piece.append(vector)
        used += size
    if piece:
        yield piece


def _size(value: Any) -> int:
    """Bytes of JSON, as the client writes it."""
    return len(orjson.dumps(value))


def addresses(ids: Sequence[str]) -> list[list[str]]:
    """Pieces of ids that fit into a URL."""
    pieces: list[list[str]] = []
    used = _URL_BYTES
    for native in ids:
        size = len(quote_plus(native)) + len("&ids=")
        if used + size > _URL_BYTES or len(pieces[-1]) == _URL_IDS:
            pieces.append([])
            used = 0
        pieces[-1].append(native)
        used += size
    return pieces


def rows_of(records: Sequence[Any], include: frozenset[Part], dim: int, *, ours: bool) -> Rows:
    """Records as rows; those whose id is a digest come with their metadata."""
    metadata: list[Mapping[str, Any]] = [getattr(record, "metadata", None) or {} for record in records]
    ids = [_own_id(record.id, held, ours=ours) for record, held in zip(records, metadata, strict=True)]
    rows = Rows(ids)
    if "vectors" in include:
        rows.vectors = np.array([record.values for record in records], dtype=np.float32).reshape(len(records), dim)
    if "fields" in include:
        rows.fields = [_fields(held) for held in metadata]
    if "documents" in include:
        rows.documents = [held.get(DOCUMENT) for held in metadata]
    return rows


def _own_id(native: str, metadata: Mapping[str, Any], *, ours: bool) -> str:
    if not ours:
        return native
    return str(metadata[ID]) if native.startswith(_DIGEST) else unquote(native)


def _fields(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """All numbers are float64 in Pinecone, and whole ones may have lost their point on the way."""
    return {
        name: float(value) if type(value) is int else value
        for name, value in metadata.items()
        if name not in (ID, DOCUMENT) and value is not None
    }
