"""Between Chroma's rows and ours: metadata that Chroma cannot hold or forget, answers, errors.

An upsert of Chroma's merges: keys and documents that the new row lacks stay. A key is forgotten where ``None`` is
written; a document cannot be, so that an empty one with a mark stands for none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.backends.base import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vecsearch.backends.base import Part

_EMPTY = "_vs_empty"
"""The names of fields that hold an empty list, which Chroma refuses."""
_NO_DOCUMENT = "_vs_no_document"
NOTHING: Mapping[str, Any] = {"ids": [], "metadatas": [], "documents": [], "embeddings": []}
_OURS = (_EMPTY, _NO_DOCUMENT)
_INCLUDED: Mapping[Part, tuple[str, ...]] = {
    "vectors": ("embeddings",),
    "fields": ("metadatas",),
    "documents": ("documents", "metadatas"),
}


def included(parts: frozenset[Part]) -> list[str]:
    """What to ask for, to have these parts."""
    return sorted({name for part in parts for name in _INCLUDED[part]}) if parts else []


def replacing(rows: Rows, old: Mapping[str, Any]) -> tuple[list[Any], list[Any] | None]:
    """The metadata and documents that make whole rows, where Chroma holds ``old`` of them."""
    held = dict(zip(old["ids"], zip(old["metadatas"], old["documents"], strict=True), strict=True))
    documents = list(rows.documents or [None] * len(rows))
    metadatas: list[Any] = []
    for place, (row_id, fields) in enumerate(zip(rows.ids, rows.fields or [{}] * len(rows), strict=True)):
        before, document = held.get(row_id, (None, None))
        native = {name: value for name, value in fields.items() if value != []}
        empty = [name for name, value in fields.items() if value == []]
        if empty:
            native[_EMPTY] = empty
        if documents[place] is None and document is not None:
            documents[place] = ""
            native[_NO_DOCUMENT] = True
        metadatas.append({**dict.fromkeys(before or ()), **native} or None)
    return metadatas, documents if any(document is not None for document in documents) else None


def corrections(written: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    """The rows whose metadata is not what was written, and the update that makes it so."""
    wrong, right = [], []
    for row_id, metadata in zip(found["ids"], found["metadatas"], strict=True):
        if (metadata or {}) != (written[row_id] or {}):
            wrong.append(row_id)
            right.append({**dict.fromkeys(metadata or ()), **(written[row_id] or {})})
    return wrong, right


def answers_of(found: Mapping[str, Any], k: int) -> list[dict[str, Any]]:
    """The answer to each query, as if it were that of a ``get``: the first ``k`` rows."""
    return [
        {name: None if found[name] is None else found[name][number][:k] for name in NOTHING}
        for number in range(len(found["ids"]))
    ]


def rows_of(answer: Mapping[str, Any], parts: frozenset[Part], dim: int) -> Rows:
    """An answer of Chroma's as rows."""
    rows = Rows(list(answer["ids"]))
    metadatas = answer["metadatas"]
    if "vectors" in parts:
        rows.vectors = np.array(answer["embeddings"], dtype=np.float32).reshape(len(rows), dim)
    if "fields" in parts:
        rows.fields = [_fields(metadata or {}) for metadata in metadatas]
    if "documents" in parts:
        rows.documents = [
            None if (metadata or {}).get(_NO_DOCUMENT) else document
            for metadata, document in zip(metadatas, answer["documents"], strict=True)
        ]
    return rows


def joined(batches: Sequence[Rows]) -> Rows:
    """Several answers to one question as one."""
    rows = Rows([row_id for batch in batches for row_id in batch.ids])
    if batches[0].vectors is not None:
        rows.vectors = np.concatenate([batch.vectors for batch in batches if batch.vectors is not None])
    if batches[0].fields is not None:
        rows.fields = [fields for batch in batches for fields in batch.fields or ()]
    if batches[0].documents is not None:
        rows.documents = [document for batch in batches for document in batch.documents or ()]
    return rows


def _fields(metadata: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in metadata.items() if name not in _OURS}
    for name in metadata.get(_EMPTY, ()):
        fields[name] = []
    return fields


__all__ = ("NOTHING", "answers_of", "corrections", "included", "joined", "replacing", "rows_of")
