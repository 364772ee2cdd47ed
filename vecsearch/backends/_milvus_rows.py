"""Between Milvus's entities and rows: the schema of a collection, ours or another's, and the values in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pymilvus import CollectionSchema, DataType, MilvusClient

from vecsearch.backends.base import Rows
from vecsearch.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part, Spec

# The names of the fields are the mark of a collection of ours: Milvus Lite keeps no description of a collection.
SAMPLES, LABELS, VECTOR = "_vs_key", "_vs_label", "_vs_vector"
# A column of its own: in the dynamic field each filter would read past the text. It has no nulls before 2.5, so that
# the empty text stands for none, and an empty document is told apart by a mark in the dynamic field.
DOCUMENT, EMPTY = "_vs_document", "_vs_empty_document"
_DYNAMIC = "$meta"
_VARCHAR_BYTES = 65_535
_ID_BYTES = 4096
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Layout:
    """Which field of a collection is what."""

    SCALARS: ClassVar[frozenset[DataType]] = frozenset(
        {DataType.BOOL, DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64, DataType.DOUBLE}
        | {DataType.FLOAT, DataType.VARCHAR}
    )

    key: str
    vector: str
    columns: frozenset[str] = frozenset()
    """The metadata that has a column of its own."""
    dynamic: bool = True
    integers: bool = False
    """Are the ids integers?"""
    assigned: bool = False
    """Are the ids made by the server?"""

    @property
    def ours(self) -> bool:
        """Whether vecsearch made the collection."""
        return self.vector == VECTOR and self.key in (SAMPLES, LABELS)

    @property
    def patches(self) -> bool:
        """Whether a row is a label."""
        return self.key == LABELS

    def native_ids(self, ids: Sequence[str]) -> list[str] | list[int]:
        """Ids as the collection has them; those that it cannot have are left out."""
        if not self.integers:
            return list(ids)
        return [int(row_id) for row_id in ids if _is_integer(row_id)]

    def asked(self, include: frozenset[Part]) -> list[str]:
        """The names of what holds these parts, and of the key; never none, which would mean all."""
        names = [self.key]
        names += [self.vector] if "vectors" in include else []
        names += [*self.columns, *([_DYNAMIC] if self.dynamic else [])] if "fields" in include else []
        if self.ours and "documents" in include:
            names += [DOCUMENT] if "fields" in include else [DOCUMENT, EMPTY]
        return names

    def entities(self, rows: Rows) -> list[dict[str, Any]]:
        """Rows as Milvus takes them."""
        assert rows.vectors is not None  # noqa: S101  what is written is always whole
        fields = rows.fields or [{}] * len(rows)
        documents = rows.documents or [None] * len(rows)
        if self.ours:
            return [
                {
                    **row,
                    self.key: row_id,
                    VECTOR: vector,
                    DOCUMENT: document or "",
                    **({EMPTY: True} if document == "" else {}),
                }
                for row_id, vector, row, document in zip(rows.ids, rows.vectors, fields, documents, strict=True)
            ]
        if self.assigned:
            raise UnsupportedError("milvus: the server makes the ids of this collection, so that no row can be written")
        if any(document is not None for document in documents):
            raise UnsupportedError("milvus: a collection that vecsearch did not make has no place for documents")
        wrong = [row_id for row_id in rows.ids if self.integers and not _is_integer(row_id)]
        if wrong:
            raise InvalidInputError(f"milvus: the ids of this collection are integers, not {wrong[0]!r}")
        return [
            {**row, self.key: row_id, self.vector: vector}
            for row_id, vector, row in zip(self.native_ids(rows.ids), rows.vectors, fields, strict=True)
        ]

    def rows(self, entities: Sequence[Mapping[str, Any]], include: frozenset[Part], dim: int) -> Rows:
        """Entities as rows."""
        rows = Rows([str(entity[self.key]) for entity in entities])
        if "vectors" in include:
            held = [entity[self.vector] for entity in entities]
            rows.vectors = np.array(held, dtype=np.float32).reshape(len(held), dim)
        if "fields" in include:
            hidden = {self.key, self.vector, DOCUMENT, EMPTY}
            rows.fields = [
                {name: value for name, value in entity.items() if name not in hidden and _is_metadata(value)}
                for entity in entities
            ]
        if "documents" in include:
            rows.documents = [
                (entity.get(DOCUMENT) or ("" if entity.get(EMPTY) else None)) if self.ours else None
                for entity in entities
            ]
        return rows


def schema_of(spec: Spec) -> CollectionSchema:
    """The schema of a new collection."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field(LABELS if spec.patches else SAMPLES, DataType.VARCHAR, is_primary=True, max_length=_ID_BYTES)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=spec.dim)
    schema.add_field(DOCUMENT, DataType.VARCHAR, max_length=_VARCHAR_BYTES)
    return schema


def layout_of(description: Mapping[str, Any], vector_name: str | None) -> tuple[Layout, int]:
    """The layout of a collection that is there, and the width of its vectors."""
    name = description["collection_name"]
    fields = description["fields"]
    dense = {field["name"]: field for field in fields if field["type"] == DataType.FLOAT_VECTOR}
    vector = vector_name or next(iter(dense), "")
    if vector not in dense or (len(dense) > 1 and vector_name is None):
        known = ", ".join(map(repr, dense)) or "none of float32"
        raise InvalidInputError(f"milvus: {name!r} has the vector fields {known}; say which by vector_name=")
    key = next(field for field in fields if field.get("is_primary"))
    columns = {field["name"] for field in fields if field["type"] in Layout.SCALARS}
    layout = Layout(
        key["name"],
        vector,
        frozenset(columns - {key["name"], DOCUMENT}),
        bool(description.get("enable_dynamic_field")),
        integers=key["type"] == DataType.INT64,
        assigned=bool(description.get("auto_id") or key.get("auto_id")),
    )
    return layout, int(dense[vector]["params"]["dim"])


def scores_of(hits: Sequence[Mapping[str, Any]]) -> NDArray[np.floating[Any]]:
    """The scores of one answer."""
    return np.array([hit["distance"] for hit in hits], dtype=np.float64)


def _is_integer(row_id: str) -> bool:
    digits = row_id.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):  # noqa: PLR2004  2**63 has 19 digits
        return False
    return str(int(row_id)) == row_id and -_INT64 <= int(row_id) < _INT64


def _is_metadata(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(member, str) for member in value)
    return isinstance(value, (str, int, float, bool))
