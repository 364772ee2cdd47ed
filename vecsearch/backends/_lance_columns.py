"""Rows as Arrow tables: a column for each field and type.

A column has one type, a metadata field may have several. The first type that a field is seen with gets the column of
the field's name; each other type one of its own, such as ``year__str``. So has a field whose name is a column's
already. A row has at most one of a field's columns; the others are null in it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from vecsearch import filters
from vecsearch.backends.base import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part

ID, VECTOR, DOCUMENT = "id", "vector", "document"
DISTANCE, QUERY = "_distance", "query_index"
TYPES: Mapping[str, pa.DataType] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "list": pa.list_(pa.string()),
}
_WIDER = {"int": "BIGINT", "float": "DOUBLE"}
# The table's key: of two writers of one new row, the second one's commit fails, instead of adding the row again.
_KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}


class Column(NamedTuple):
    """The values of one type that a field has."""

    name: str
    field: str
    type: str
    sql: str
    """The column in an SQL condition, as one of ``TYPES``."""


def schema_of(dim: int, mark: bytes) -> pa.Schema:
    """The table of an index without metadata; ``mark`` says what it is."""
    return pa.schema(
        [
            pa.field(ID, pa.string(), nullable=False, metadata=_KEY),
            pa.field(VECTOR, pa.list_(pa.float32(), dim), nullable=False),
            pa.field(DOCUMENT, pa.string()),
        ],
        metadata={b"vecsearch": mark},
    )


class Columns:
    """Which column holds which field; of a table that others made, those that metadata can be."""

    def __init__(self, schema: pa.Schema, *, ours: bool = True) -> None:
        self.schema = schema
        self._of: dict[str, dict[str, Column]] = {}
        for field in schema:
            kind = _kind(field.type)
            if field.name in (ID, VECTOR, DOCUMENT) or kind is None or not (ours or filters.is_field_name(field.name)):
                continue
            name = field.name.removesuffix(f"__{kind}") if ours else field.name
            # Field names hold letters, digits and _ only: nothing that could end the quotes.
            sql = f"`{field.name}`"
            if field.type != TYPES[kind] and kind in _WIDER:
                sql = f"CAST({sql} AS {_WIDER[kind]})"
            self._of.setdefault(name, {})[kind] = Column(field.name, name, kind, sql)

    def of(self, field: str, *kinds: str) -> list[Column]:
        """The columns of a field, of some types or of all."""
        held = self._of.get(field, {})
        return [column for kind, column in held.items() if not kinds or kind in kinds]

    def read(self, include: frozenset[Part]) -> list[str]:
        """The columns to be read for these parts."""
        names = [ID]
        if "vectors" in include:
            names.append(VECTOR)
        if "documents" in include and DOCUMENT in self.schema.names:
            names.append(DOCUMENT)
        if "fields" in include:
            names += [column.name for held in self._of.values() for column in held.values()]
        return names

    def missing(self, rows: Iterable[Mapping[str, Any]]) -> list[pa.Field]:
        """The columns that these rows need beside those that there are."""
        needed = dict.fromkeys((name, type(value).__name__) for row in rows for name, value in row.items())
        names = set(self.schema.names)
        added = []
        for name, kind in needed:
            if kind in self._of.get(name, {}):
                continue
            # Names such as _distance and _rowid are the engine's, and so is query_index in answers.
            taken = name in names or name == QUERY or (name.startswith("_") and not name.startswith("_vs_"))
            column = f"{name}__{kind}" if taken else name
            names.add(column)
            added.append(pa.field(column, TYPES[kind]))
        return added

    def table(self, rows: Rows) -> pa.Table:
        """Rows in all columns of the schema, null where a row has no value: what was there before is replaced."""
        assert rows.vectors is not None  # noqa: S101  what is written is always whole
        values: dict[str, list[Any]] = {}
        for position, row in enumerate(rows.fields or []):
            for name, value in row.items():
                column = self._of[name][type(value).__name__].name
                values.setdefault(column, [None] * len(rows))[position] = value
        values |= {ID: rows.ids, DOCUMENT: rows.documents or [None] * len(rows)}
        arrays = [
            _vectors(rows.vectors, field.type)
            if field.name == VECTOR
            else pa.array(values[field.name], field.type)
            if field.name in values
            else pa.nulls(len(rows), field.type)
            for field in self.schema
        ]
        place = self.schema.get_field_index(VECTOR)
        held = self.schema.set(place, self.schema.field(VECTOR).with_type(arrays[place].type))
        return pa.Table.from_arrays(arrays, schema=held)

    def rows(self, table: pa.Table | pa.RecordBatch, include: frozenset[Part], dim: int) -> Rows:
        """An answer as rows."""
        rows = Rows(table.column(ID).to_pylist())
        if "vectors" in include:
            rows.vectors = _matrix(table.column(VECTOR), dim)
        if "documents" in include:
            known = DOCUMENT in table.schema.names
            rows.documents = table.column(DOCUMENT).to_pylist() if known else [None] * len(rows)
        if "fields" in include:
            rows.fields = [{} for _ in rows.ids]
            for column in (column for held in self._of.values() for column in held.values()):
                held = table.column(column.name)
                if held.null_count == len(held):
                    continue
                for fields, value in zip(rows.fields, held.to_pylist(), strict=True):
                    if value is not None:
                        fields[column.field] = value
        return rows


def _kind(type_: pa.DataType) -> str | None:
    """Which of ``TYPES`` a column's values are."""
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return "str"
    if pa.types.is_signed_integer(type_):
        return "int"
    if type_ in (pa.float32(), pa.float64()):
        return "float"
    if pa.types.is_boolean(type_):
        return "bool"
    return "list" if pa.types.is_list(type_) and pa.types.is_string(type_.value_type) else None


def _vectors(vectors: NDArray[np.float32], type_: pa.DataType) -> pa.Array:
    """Vectors as tensors, which the client turns into ``type_`` without a copy.

    In lists it would look for NaN, which was done, and take as long for that as for writing them.
    """
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=type_)
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(type_.value_type, [type_.list_size]), rows)


def _matrix(column: Any, dim: int) -> NDArray[np.float32]:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    # flatten() minds the offset of a slice, .values would not.
    flat: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return np.array(flat, dtype=np.float32).reshape(len(column), dim)


def split(table: pa.Table, queries: int) -> Sequence[pa.Table]:
    """The answers to several queries, which come as one table."""
    if QUERY not in table.schema.names:
        return [table]
    table = table.combine_chunks()
    numbers = table.column(QUERY).to_numpy()
    order = np.argsort(numbers, kind="stable")
    if not np.array_equal(order, np.arange(len(order))):
        table, numbers = table.take(order), numbers[order]
    bounds = np.searchsorted(numbers, np.arange(queries + 1))
    return [table.slice(start, stop - start) for start, stop in pairwise(bounds)]
