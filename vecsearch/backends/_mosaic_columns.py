"""Rows of an index of Databricks: which column holds what.

The columns of an index are fixed when it is created. Ours has, beside the id, the vector and the document:

``_vs_rest``           all fields that have no column of their own, as JSON: returned, not filterable
``_vs_written_…``      when a row was written, so that a reader can tell the last write of it from an earlier one; the
                       end of the name tells one creation from another
``_vs_norm``           the length of the vector, in an index for cosine, whose vectors have the length 1
``_vs_sample``         the sample of a label, in an index of patches

and, for each field of ``metadata_schema``, a column of its name (a datetime: ``taken__utc``, microseconds since 1970)
and ``year__kind``, which says of what kind the row's value is, or ``none``: it is never absent, so that a condition
that depends on a missing field needs nothing of what the service makes of nulls.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vecsearch.backends.base import Rows
from vecsearch.errors import BackendError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part, Spec

FieldType = Literal["str", "int", "float", "bool", "datetime"]

ID, VECTOR, DOCUMENT = "id", "vector", "document"
REST, WRITTEN, NORM, SAMPLE = "_vs_rest", "_vs_written_", "_vs_norm", "_vs_sample"
TAGS = "_vs_fields"
OWN = frozenset({ID, VECTOR, DOCUMENT})
NONE = "none"
_KIND, _UTC = "__kind", "__utc"
_SQL: Mapping[FieldType, str] = {
    "str": "string",
    "int": "long",
    "float": "double",
    "bool": "boolean",
    "datetime": "long",
}
KINDS: Mapping[str, str] = {"str": "str", "int": "number", "float": "number", "bool": "bool", "datetime": "datetime"}
# The service's names of types, in a schema and in the manifest of an answer.
_TYPES: Mapping[str, FieldType] = {
    **dict.fromkeys(("string", "varchar", "char"), "str"),
    **dict.fromkeys(("byte", "short", "int", "integer", "long", "bigint", "smallint", "tinyint"), "int"),
    **dict.fromkeys(("float", "double"), "float"),
    "boolean": "bool",
}
_MAX_LONG = 2**63 - 1
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")


def schema_of(spec: Spec, fields: Mapping[str, FieldType], nonce: str) -> dict[str, str]:
    """The columns of a new index."""
    columns = {ID: "string", VECTOR: "array<float>", DOCUMENT: "string", REST: "string", WRITTEN + nonce: "string"}
    if spec.metric == "cosine":
        columns[NORM] = "double"
    if spec.patches:
        columns[SAMPLE] = "string"
    for name, type_ in fields.items():
        columns[_column(name, type_)] = _SQL[type_]
        columns[name + _KIND] = "string"
    return columns


def _column(name: str, type_: str) -> str:
    return name + _UTC if type_ == "datetime" else name


@dataclass(frozen=True)
class Layout:
    """Which columns an index has."""

    key: str
    vector: str
    dim: int
    types: Mapping[str, FieldType] = field(default_factory=dict)
    """Of the columns that a filter can name."""
    fields: Mapping[str, FieldType] = field(default_factory=dict)
    """Metadata fields with a column of their own."""
    columns: frozenset[str] = frozenset()
    """All, but the key and the vector."""
    written: str | None = None
    """The column that says when a row was written; ``None`` in an index of others."""

    @property
    def ours(self) -> bool:
        """Whether vecsearch made the index."""
        return self.written is not None

    @property
    def document(self) -> str | None:
        """The column of the document."""
        return DOCUMENT if self.ours else None

    def row_id(self, row: Mapping[str, Any]) -> str:
        """The id of a row as the service gives it, whose key may be a number."""
        return str(_value(row[self.key], self.types.get(self.key)))

    def native_keys(self, ids: Sequence[str]) -> list[Any]:
        """The keys of these ids, without those that no row can have."""
        if self.types.get(self.key) != "int":
            return list(ids)
        return [int(row_id) for row_id in ids if _INTEGER.fullmatch(row_id)]

    def asked(self, include: frozenset[Part]) -> list[str]:
        """The columns that hold these parts of a row."""
        names = [self.key]
        if "vectors" in include:
            names.append(self.vector)
        if "documents" in include and self.document is not None:
            names.append(self.document)
        if "fields" in include:
            names += sorted(self._held())
        return names

    def _held(self) -> Iterable[str]:
        if not self.ours:
            return self.columns
        with_columns = {name for name, type_ in self.fields.items() if type_ != "datetime"}
        return with_columns | ({REST, NORM, SAMPLE} & self.columns)

    # ---- in

    def encode(self, rows: Rows, moment: str) -> list[dict[str, Any]]:
        """Rows as the service takes them, every column given: what was there before is replaced."""
        assert rows.vectors is not None  # noqa: S101  what is written is always whole
        assert self.written is not None  # noqa: S101  rows of others are only read
        documents = rows.documents or [None] * len(rows)
        found = []
        vectors = rows.vectors.tolist()
        for position, row_id in enumerate(rows.ids):
            row: dict[str, Any] = dict.fromkeys(self.columns)
            row |= {self.key: row_id, self.vector: vectors[position], self.written: moment}
            row[DOCUMENT] = documents[position]
            self._put_fields(row, dict((rows.fields or [{}] * len(rows))[position]))
            found.append(row)
        return found

    def _put_fields(self, row: dict[str, Any], fields: dict[str, Any]) -> None:
        for name in (NORM, SAMPLE):
            if name in self.columns and name in fields:
                row[name] = fields.pop(name)
        kinds = dict(tag.split(":", 1) for tag in fields.pop(TAGS, ()) if ":" in tag)
        for name, type_ in self.fields.items():
            row[name + _KIND] = kinds.get(name, NONE)
            column = _column(name, type_)
            if column in fields:
                row[column] = _native(fields[column], type_, f"the row {row[self.key]!r}: {name!r}")
                if _is_whole(fields[column], row[column]):
                    del fields[column]
        row[REST] = json.dumps(fields, ensure_ascii=False, separators=(",", ":")) if fields else None

    # ---- out

    def rows(self, found: Sequence[Mapping[str, Any]], include: frozenset[Part]) -> Rows:
        """Rows as the service gives them: values by column."""
        rows = Rows([self.row_id(one) for one in found])
        if "vectors" in include:
            rows.vectors = self._vectors(found)
        if "documents" in include:
            rows.documents = [None if self.document is None else one.get(self.document) for one in found]
        if "fields" in include:
            rows.fields = [self._fields(one) for one in found]
        return rows

    def _vectors(self, found: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        matrix = np.empty((len(found), self.dim), dtype=np.float32)
        for position, one in enumerate(found):
            held = one.get(self.vector)
            values = np.asarray(json.loads(held) if isinstance(held, str) else held, dtype=np.float64)
            if values.shape != (self.dim,) or not np.isfinite(values).all():
                raise BackendError(
                    f"mosaic: the vector of {one[self.key]!r} is no list of {self.dim} finite numbers, as the service "
                    "sends it"
                )
            matrix[position] = values
        return matrix

    def _fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if not self.ours:
            return {name: _value(row[name], self.types.get(name)) for name in self.columns if row.get(name) is not None}
        fields: dict[str, Any] = json.loads(row.get(REST) or "{}")
        for name, type_ in self.fields.items():
            if type_ != "datetime" and name not in fields and row.get(name) is not None:
                fields[name] = _value(row[name], type_)
        if row.get(NORM) is not None:
            fields[NORM] = float(row[NORM])
        if row.get(SAMPLE) is not None:
            fields[SAMPLE] = str(row[SAMPLE])
        return fields


def _native(value: Any, type_: FieldType, where: str) -> Any:
    """The value in a column of this type; ``None`` where it is of another kind."""
    kind = type(value)
    if type_ == "str":
        return value if kind is str else None
    if type_ == "bool":
        return value if kind is bool else None
    if kind not in (int, float):
        return None
    if type_ == "float":
        return float(value)
    if value != math.floor(value):
        raise InvalidInputError(
            f"mosaic: {where} is {value!r}, and its column in the index holds whole numbers: metadata_schema of a new "
            "index says float for it, or nothing"
        )
    return max(-_MAX_LONG, min(int(value), _MAX_LONG))  # what is beyond is never compared with


def _is_whole(value: Any, native: Any) -> bool:
    """Whether the column gives the value back, its type included."""
    return (
        type(value) is type(native) and value == native and (type(value) is not float or not _is_negative_zero(value))
    )


def _is_negative_zero(value: float) -> bool:
    return value == 0 and math.copysign(1.0, value) < 0


def _value(held: Any, type_: FieldType | None) -> Any:
    """A value as it comes, numbers as texts among them, in its own type."""
    if type_ == "int":
        return int(held)
    if type_ == "float":
        return float(held)
    if type_ == "bool":
        return held if isinstance(held, bool) else str(held).lower() == "true"
    return held


# ---- what the service says of an index


def our_layout(schema: Mapping[str, str], dim: int) -> Layout | None:
    """The layout of an index that vecsearch made, read from its schema; ``None`` where it is another's."""
    written = next((name for name in schema if name.startswith(WRITTEN)), None)
    if written is None or not {*OWN, REST} <= set(schema):
        return None
    fields: dict[str, FieldType] = {}
    for column in schema:
        if column.endswith(_KIND):
            name = column.removesuffix(_KIND)
            fields[name] = "datetime" if name + _UTC in schema else _TYPES[schema[name].lower()]
    types = {name: _TYPES[held.lower()] for name, held in schema.items() if held.lower() in _TYPES}
    return Layout(ID, VECTOR, dim, types, fields, frozenset(schema) - {ID, VECTOR}, written)


def foreign_layout(key: str, vector: str, dim: int, columns: Mapping[str, str]) -> Layout:
    """The layout of an index of others, from the columns that it has and their types as far as they are known."""
    types = {name: _TYPES[held.lower()] for name, held in columns.items() if held.lower() in _TYPES}
    others = frozenset(columns) - {key, vector}
    return Layout(key, vector, dim, types, {name: types[name] for name in others if name in types}, others)


def kind_column(layout: Layout, name: str) -> str | None:
    """The column that says of what kind a field's value is."""
    return name + _KIND if layout.ours and name in layout.fields else None


__all__ = ("KINDS", "FieldType", "Layout", "foreign_layout", "kind_column", "our_layout", "schema_of")
