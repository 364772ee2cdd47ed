"""Rows by id and by filter: which rows are meant, get, ids, iterate, remove, set_metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import checks
from vecsearch.calls import DOCUMENTS, EVERYTHING, METADATA, NOTHING, VECTORS, Engine, batches
from vecsearch.codec import SAMPLE
from vecsearch.errors import InvalidInputError, MissingIdsError
from vecsearch.filters import Condition
from vecsearch.results import object_array
from vecsearch.scopes import Scope, scan
from vecsearch.types import Embeddings, OnMissing, Records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vecsearch.types import MetadataMode

_SAMPLES_A_FILTER = 1000


def narrowed(engine: Engine, scope: Scope, sample_ids: Any, label_ids: Any, filter_: Any) -> Scope:
    """The scope within ``scope`` that these arguments of ``use_view`` mean."""
    selector = checks.one_selector(sample_ids=sample_ids, label_ids=label_ids)
    ids = None
    if selector == "label_ids":
        _require_patches(engine)
        ids = tuple(dict.fromkeys(checks.ids(label_ids, "label_ids", unique=False)))
    elif selector == "sample_ids":
        chosen = tuple(dict.fromkeys(checks.ids(sample_ids, unique=False)))
        labels = _labels_of(engine, Scope(), chosen) if is_patches(engine) else None
        ids = chosen if labels is None else tuple(label for found in labels.values() for label in found)
    return scope.narrowed(ids, filter_)


def is_patches(engine: Engine) -> bool:
    """Whether the index has a row per label."""
    return engine.spec is not None and engine.spec.patches


def _require_patches(engine: Engine) -> None:
    if engine.spec is not None and not engine.spec.patches:
        raise InvalidInputError("this index has a row per sample and no labels; use sample_ids=")


def _labels_of(engine: Engine, scope: Scope, sample_ids: Sequence[str]) -> dict[str, list[str]]:
    """The label ids of each of these samples, ascending; the samples in the order asked."""
    labels: dict[str, list[str]] = {sample: [] for sample in sample_ids}
    for piece in batches(list(labels), _SAMPLES_A_FILTER):
        inside = scope.narrowed(None, Condition(SAMPLE, "in", tuple(piece)))
        for batch in scan(engine, inside, NOTHING):
            for row_id, sample in zip(batch.ids, batch.sample_ids or (), strict=True):
                labels[sample].append(row_id)
    return {sample: sorted(found) for sample, found in labels.items()}


def resolve(
    engine: Engine,
    scope: Scope,
    sample_ids: Any,
    label_ids: Any,
    on_missing: OnMissing,
) -> list[str] | None:
    """The row ids that a call names, in the order asked; ``None`` where it names none.

    Samples without labels are missing on a patch index. Row ids themselves are checked by whoever reads them.
    """
    selector = checks.one_selector(sample_ids=sample_ids, label_ids=label_ids)
    if selector is None:
        return None
    if selector == "label_ids":
        _require_patches(engine)
        return checks.ids(label_ids, "label_ids", unique=False)
    chosen = checks.ids(sample_ids, unique=False)
    if not is_patches(engine):
        return chosen
    labels = _labels_of(engine, scope, chosen)
    _refuse_missing([sample for sample, found in labels.items() if not found], on_missing, "sample_ids")
    return [label for sample in chosen for label in labels[sample]]


def _refuse_missing(missing: Sequence[str], on_missing: OnMissing, what: str = "ids") -> None:
    if missing and on_missing == "raise":
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""  # noqa: PLR2004
        raise MissingIdsError(f"{what} not in the index: {list(missing[:5])!r}{more}", list(missing))


def fetched(engine: Engine, scope: Scope, ids: Sequence[str], parts: frozenset[Any], on_missing: OnMissing) -> Records:
    """These rows in the order asked, repeated where asked twice."""
    checks.choice(on_missing, OnMissing, "on_missing")
    found: dict[str, Records] = {}
    if engine.spec is not None and ids:
        found = engine.fetch(list(dict.fromkeys(ids)), parts)
        if scope != Scope():
            inside = ids_within(engine, scope, list(found))
            found = {row_id: row for row_id, row in found.items() if row_id in inside}
    _refuse_missing([row_id for row_id in dict.fromkeys(ids) if row_id not in found], on_missing)
    rows = [found[row_id] for row_id in ids if row_id in found]
    return joined(engine, rows, parts)


def joined(engine: Engine, rows: Sequence[Records], parts: frozenset[Any]) -> Records:
    """Records one after another, with the columns ``parts``."""
    width = engine.spec.dim if engine.spec else 0
    vectors = [row.vectors for row in rows if row.vectors is not None]
    return Records(
        [row_id for row in rows for row_id in row.ids],
        (np.concatenate(vectors) if vectors else np.empty((0, width), dtype=np.float32))
        if "vectors" in parts
        else None,
        [sample for row in rows for sample in row.sample_ids or ()] if is_patches(engine) else None,
        [metadata for row in rows for metadata in row.metadata or ()] if "fields" in parts else None,
        [document for row in rows for document in row.documents or ()] if "documents" in parts else None,
    )


def ids_within(engine: Engine, scope: Scope, ids: Sequence[str]) -> set[str]:
    """Those of these ids that exist and are in the scope."""
    if engine.spec is None:
        return set()
    if scope.filter is None:
        existing = engine.existing(ids)
        return existing if scope.ids is None else existing & set(scope.ids)
    inside = scope.narrowed(tuple(ids), None)
    return {row_id for batch in scan(engine, inside, NOTHING) for row_id in batch.ids}


def get_embeddings(engine: Engine, scope: Scope, ids: Sequence[str] | None, on_missing: OnMissing) -> Embeddings:
    """Vectors of these rows in the order asked, or of all rows in ascending id order."""
    records = _read(engine, scope, ids, VECTORS, on_missing)
    if ids is None:
        records = records.take(sorted(range(len(records)), key=records.ids.__getitem__))
    return as_embeddings(engine, records)


def as_embeddings(engine: Engine, records: Records) -> Embeddings:
    """Records with vectors as the public triple."""
    width = engine.spec.dim if engine.spec else 0
    vectors = np.empty((0, width), dtype=np.float32) if records.vectors is None else records.vectors
    ids = object_array(records.ids)
    if is_patches(engine):
        return Embeddings(vectors, object_array(records.sample_ids or []), ids)
    return Embeddings(vectors, ids, None)


def get_metadata(
    engine: Engine, scope: Scope, ids: Sequence[str] | None, on_missing: OnMissing
) -> dict[str, dict[str, Any]]:
    """Metadata by id."""
    rows = _read(engine, scope, ids, METADATA, on_missing)
    return dict(zip(rows.ids, rows.metadata or (), strict=True))


def get_documents(
    engine: Engine, scope: Scope, ids: Sequence[str] | None, on_missing: OnMissing
) -> dict[str, str | None]:
    """Documents by id."""
    rows = _read(engine, scope, ids, DOCUMENTS, on_missing)
    return dict(zip(rows.ids, rows.documents or (), strict=True))


def _read(
    engine: Engine, scope: Scope, ids: Sequence[str] | None, parts: frozenset[Any], on_missing: OnMissing
) -> Records:
    if ids is None:
        return joined(engine, list(scan(engine, scope, parts)), parts)
    return fetched(engine, scope, ids, parts, on_missing)


def all_ids(engine: Engine, scope: Scope) -> Iterator[str]:
    """The ids of the scope, in the engine's order."""
    return (row_id for batch in scan(engine, scope, NOTHING) for row_id in batch.ids)


def remove(engine: Engine, ids: Sequence[str], on_missing: OnMissing) -> int:
    """Delete these rows; returns how many there were."""
    checks.choice(on_missing, OnMissing, "on_missing")
    if engine.spec is None:
        _refuse_missing(ids, on_missing)
        return 0
    existing = engine.existing(list(dict.fromkeys(ids)))
    _refuse_missing([row_id for row_id in dict.fromkeys(ids) if row_id not in existing], on_missing)
    present = [row_id for row_id in dict.fromkeys(ids) if row_id in existing]
    engine.delete(present)
    return len(present)


def with_metadata(
    engine: Engine, ids: Sequence[str], metadata: Mapping[str, dict[str, Any]], mode: MetadataMode
) -> Iterator[Records]:
    """The whole rows of these ids with their metadata changed, in batches to be written back."""
    for piece in batches(list(ids), engine.batch_rows):
        records = fetched(engine, Scope(), piece, EVERYTHING, "raise")
        old = records.metadata or [{} for _ in piece]
        records.metadata = [
            {**(before if mode == "merge" else {}), **metadata[row_id]}
            for row_id, before in zip(records.ids, old, strict=True)
        ]
        yield records
