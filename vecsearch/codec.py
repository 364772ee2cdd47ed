"""Our row to an engine's row and back: ids, metadata types, norms; written once for every engine.

Metadata lies natively under its own names, so that other tools see it. What an engine cannot hold is kept beside it in
hidden fields, and user fields never contain ``__`` or start with ``_vs_``:

``_vs_meta``        typed JSON, the truth of the fields that the engine cannot hold
``<name>__utc``     a datetime as microseconds since 1970, so that it can be compared
``<name>__kept``    marks a field that lies in ``_vs_meta`` alone
``_vs_fields``      the names that a row has, where the engine cannot ask ``exists``; with their kinds, ``year:number``,
                    where its operators are not strict
``_vs_sample``      the sample of a label
``_vs_id``          the id, where the engine takes UUIDs only
``_vs_norm``        the length of the vector, where the engine stores unit vectors and it is not 1
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import filters
from vecsearch.backends.base import METADATA_TYPES, Capabilities, Rows, Where
from vecsearch.errors import UnsupportedError
from vecsearch.filters import Condition, Filter
from vecsearch.types import Records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vecsearch.backends.base import Metric

SAMPLE = "_vs_sample"
_ID = "_vs_id"
_META = "_vs_meta"
_FIELDS = "_vs_fields"
_NORM = "_vs_norm"
_UTC = "__utc"
_KEPT = "__kept"
MAX_INT64 = 2**63 - 1
_ORDERS = frozenset({"lt", "lte", "gt", "gte"})
_UNIT = 1e-7  # how far from 1 the length of a unit vector in float32 may be
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMESPACE = uuid.UUID("6f1d6a1e-6f0e-5d52-9f0c-3d1d4f2f2b7a")
_VARIANT = {f"{digit:x}": f"{8 | digit & 3:x}" for digit in range(16)}
"""The first digit of the fourth group, whose upper bits say what kind of UUID it is."""


def microseconds(moment: datetime) -> int:
    """An instant as whole microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def type_name(value: object) -> str:
    """The name of a metadata value's type, as in ``Capabilities.metadata_types``."""
    return type(value).__name__


def typed_json(value: Any) -> Any:
    """A metadata value as JSON that keeps its type."""
    if isinstance(value, datetime):
        return {"$date": value.isoformat()}
    return value


def from_typed_json(value: Any) -> Any:
    """The metadata value that ``typed_json`` wrote."""
    if isinstance(value, dict):
        return datetime.fromisoformat(value["$date"])
    return value


def _uuid5(text: str) -> str:
    """``str(uuid.uuid5(_NAMESPACE, text))``, in a third of its time: every row that is written or named has one."""
    digits = hashlib.sha1(_NAMESPACE.bytes + text.encode(), usedforsecurity=False).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"


def _kind(value: object) -> str:
    """The kind of a stored value: only values of one kind compare."""
    return "list" if isinstance(value, list) else filters.kind(value)  # type: ignore[arg-type]  # checked before


def _kind_asked(leaf: Condition) -> str:
    return "list" if leaf.op == "contains" else filters.kind(leaf.members[0])


class Codec:
    """The translation for one engine's capabilities and one kind of index."""

    def __init__(
        self, capabilities: Capabilities, *, patches: bool, ours: bool = True, metric: Metric | None = None
    ) -> None:
        self._types = capabilities.metadata_types
        self._max_int = capabilities.max_int
        self._orders_texts = capabilities.orders_texts
        self._joins_by_or = capabilities.joins_by_or
        self._filter_fields = capabilities.filter_fields
        self._uuid = capabilities.id_form == "uuid" and ours
        self._patches = patches
        # Tags are held in a list; where there are no lists, what would need them is refused.
        self._loose = capabilities.filter_operators - capabilities.strict_operators
        # Rows that others made have none.
        tags = ours and "list" in self._types
        self._tags_kinds = tags and bool(self._loose)
        self._tags_empty = self._tags_kinds and not capabilities.complements_absent
        self._list_fields = self._tags_kinds or (tags and "exists" not in capabilities.filter_operators)
        self.needs_fields = patches or self._uuid
        """Whether a row's fields are needed to know its ids."""
        self.keeps_norms_apart = metric in capabilities.normalises
        """Whether a row's fields are needed to know its vector."""
        self.keeps_rows = not (self._uuid or self.keeps_norms_apart)
        """Whether ids and vectors lie in the engine as they were put."""
        self.plain = not (self.needs_fields or self.keeps_norms_apart or self._list_fields)
        self._keeps_all = self._types >= METADATA_TYPES and self._max_int == MAX_INT64

    def id(self, row_id: str) -> str:
        """The engine's id of a row."""
        return _uuid5(row_id) if self._uuid else row_id

    def ids(self, ids: Sequence[str]) -> Sequence[str]:
        """The engine's ids of rows."""
        return [_uuid5(row_id) for row_id in ids] if self._uuid else ids

    def encode(self, records: Records) -> Rows:
        """Rows as the engine holds them."""
        metadata = records.metadata or [{}] * len(records)
        fields = [self._fields(row) for row in metadata]
        for position, row in enumerate(fields):
            if self._patches and records.sample_ids is not None:
                row[SAMPLE] = records.sample_ids[position]
            if self._uuid:
                row[_ID] = records.ids[position]
        if self.keeps_norms_apart and records.vectors is not None:
            norms = np.sqrt(np.einsum("ij,ij->i", records.vectors, records.vectors, dtype=np.float64))
            for place in np.flatnonzero(np.abs(norms - 1) > _UNIT).tolist():
                fields[place][_NORM] = float(norms[place])
        documents = records.documents or [None] * len(records)
        return Rows(list(self.ids(records.ids)), records.vectors, fields, list(documents))

    def decode(self, rows: Rows, *, metadata: bool, vectors: bool) -> Records:
        """The user's rows; ``metadata`` and ``vectors`` say which columns are wanted."""
        fields = rows.fields
        ids = rows.ids
        if self._uuid and fields is not None:
            ids = [row.get(_ID, row_id) for row, row_id in zip(fields, ids, strict=True)]
        sample_ids = None
        if self._patches and fields is not None:
            sample_ids = [row[SAMPLE] for row in fields]
        embeddings = rows.vectors if vectors else None
        if embeddings is not None and self.keeps_norms_apart and fields is not None:
            embeddings = self._with_norms(embeddings, fields)
        meta = [self._metadata(row) for row in fields] if metadata and fields is not None else None
        return Records(ids, embeddings, sample_ids, meta, rows.documents)

    @staticmethod
    def _with_norms(vectors: Any, fields: list[dict[str, Any]]) -> Any:
        norms = np.array([row.get(_NORM, 1.0) for row in fields])
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        scale = np.divide(norms, lengths, out=np.zeros_like(norms), where=lengths > 0)
        return (vectors * scale[:, None]).astype(np.float32)

    def _fields(self, metadata: dict[str, Any]) -> dict[str, Any]:
        if self._keeps_all and not self._list_fields:
            return dict(metadata)
        if not metadata:
            return {_FIELDS: [""]} if self._tags_empty else {}
        fields: dict[str, Any] = {}
        kept_apart: dict[str, Any] = {}
        for name, value in metadata.items():
            kind = type_name(value)
            # What others put into their own rows may be of types that are not ours: it stays as it is.
            held = kind in self._types or kind not in METADATA_TYPES
            native = held and not (kind == "int" and abs(value) > self._max_int)
            if native:
                fields[name] = value
                continue
            kept_apart[name] = typed_json(value)
            if kind == "datetime":
                fields[name + _UTC] = microseconds(value)
            elif kind == "int" and "float" in self._types:
                fields[name] = float(value)
            else:
                fields[name + _KEPT] = True
        if kept_apart:
            fields[_META] = json.dumps(kept_apart, ensure_ascii=False)
        if self._tags_kinds:
            # Never empty, and absent only where the engine allows it: the complement of a condition needs no care.
            fields[_FIELDS] = ["", *sorted(metadata), *sorted(f"{n}:{_kind(v)}" for n, v in metadata.items())]
        elif self._list_fields and metadata:
            fields[_FIELDS] = sorted(metadata)
        return fields

    def _metadata(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self._keeps_all and SAMPLE not in fields and self.plain:
            return dict(fields)
        metadata = {name: value for name, value in fields.items() if not name.startswith("_vs_") and "__" not in name}
        apart = fields.get(_META)
        if apart:
            metadata.update({name: from_typed_json(value) for name, value in json.loads(apart).items()})
        return metadata

    def where(self, ids: Sequence[str] | None, filter_: Filter | None) -> Where | None:
        """Which rows, in the engine's ids and fields; ``None`` for all.

        Raises ``UnsupportedError`` for a condition on what the engine does not hold as it is.
        """
        if ids is None and filter_ is None:
            return None
        engine_filter = None if filter_ is None else filters.normal_form(self._translated(filter_))
        if engine_filter is not None and not self._joins_by_or and filters.has_alternatives(engine_filter):
            raise UnsupportedError(f"this engine cannot join conditions by or, as {filter_!r} comes to")
        return Where(None if ids is None else self.ids(ids), engine_filter)

    def _translated(self, tree: Filter) -> Filter:
        return filters.fold(tree, leaf=self._condition, every=filters.And, some=filters.Or)

    def _condition(self, leaf: Condition) -> Filter:
        """A leaf, possibly negated, in the engine's fields. Leaves of a normal form have members of one kind."""
        self._refuse_field(leaf)
        if leaf.op == "exists":
            present = self._exists(leaf.field)
            return filters.Not(present) if leaf.negated else present
        asked = self._compared(leaf)
        if leaf.field == SAMPLE or not (leaf.op in self._loose or (leaf.negated and "not" in self._loose)):
            return asked
        if not self._tags_kinds:
            raise UnsupportedError(
                f"this engine's {leaf.op!r} does not tell kinds of values apart, and the kinds are not known"
            )
        # Where the kind is another, what the engine says of the value does not matter: hence the opposite operator.
        kind = Condition(_FIELDS, "contains", f"{leaf.field}:{_kind_asked(leaf)}")
        if not leaf.negated:
            return filters.And((kind, asked))
        if leaf.op != "contains":
            asked = replace(asked, op=filters.OPPOSITES[leaf.op], negated=False)
        return filters.Or((replace(kind, negated=True), asked))

    def _exists(self, name: str) -> Filter:
        if self._list_fields:
            return Condition(_FIELDS, "contains", name)
        if self._keeps_all:
            return Condition(name, "exists")
        return filters.Or(tuple(Condition(name + suffix, "exists") for suffix in ("", _UTC, _KEPT)))

    def _compared(self, leaf: Condition) -> Condition:
        """A comparison in the engine's fields and values."""
        if leaf.field == SAMPLE:
            return leaf
        self._refuse_kind(leaf)
        if not self._orders_texts and leaf.op in _ORDERS and isinstance(leaf.value, str):
            raise UnsupportedError("this engine does not compare texts by order")
        held = leaf
        if "datetime" not in self._types and isinstance(leaf.members[0], datetime):
            moments = tuple(microseconds(value) for value in leaf.members if isinstance(value, datetime))
            held = replace(
                leaf, field=leaf.field + _UTC, value=moments if isinstance(leaf.value, tuple) else moments[0]
            )
        for value in held.members:
            # At and beyond max_int stored numbers are rounded, so that a comparison could be wrong.
            if isinstance(value, (int, float)) and self._max_int < MAX_INT64 and abs(value) >= self._max_int:
                unit = " microseconds from 1970" if held is not leaf else ""
                raise UnsupportedError(
                    f"this engine compares numbers up to {self._max_int - 1} only, not {value}{unit}"
                )
        return held

    def _refuse_field(self, leaf: Condition) -> None:
        """Where only some fields can be asked for, with values of one kind each."""
        if self._filter_fields is None or leaf.field == SAMPLE:
            return
        held = self._filter_fields.get(leaf.field)
        if held is None:
            known = ", ".join(sorted(self._filter_fields)) or "none"
            raise UnsupportedError(f"this index cannot filter by the field {leaf.field!r}; it can by: {known}")
        if leaf.op != "exists" and held != _kind_asked(leaf):
            raise UnsupportedError(
                f"this index filters by {leaf.field!r} with values of the kind {held} only, not {_kind_asked(leaf)}"
            )

    def _refuse_kind(self, leaf: Condition) -> None:
        """Values kept beside the row are not seen by the engine's own comparison."""
        kind = _kind_asked(leaf)
        # Ints are also held as floats; floats never as ints. A datetime is compared by its number.
        held = {"number": "float", "datetime": "float"}.get(kind, kind)
        if held not in self._types and kind not in self._types and not (kind == "datetime" and "int" in self._types):
            raise UnsupportedError(f"this engine does not hold values of type {kind} in a form that it can compare")
