"""Between Qdrant's points and rows: ids, payloads, vectors, scores, search options."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from qdrant_client import models

from vecsearch.backends.base import Rows
from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part

DOCUMENT = "_vs_document"
_IDS = 2**64
_UNQUANTISED = models.QuantizationSearchParams(ignore=True)


def point_ids(ids: Sequence[str], *, ours: bool) -> list[Any]:
    """Ids as Qdrant has them; in a collection that others made, those that can be none are left out."""
    return list(ids) if ours else [found for found in map(native_id, ids) if found is not None]


def native_id(row_id: str) -> int | str | None:
    """The id that Qdrant shows as ``row_id``: an unsigned integer or a UUID; ``None`` where it is neither."""
    if row_id.isascii() and row_id.isdecimal() and str(int(row_id)) == row_id and int(row_id) < _IDS:
        return int(row_id)
    try:
        return row_id if str(uuid.UUID(row_id)) == row_id else None
    except ValueError:
        return None


def batch_of(rows: Rows, ids: list[Any], vector: str | None) -> models.Batch:
    """Rows as a batch of points with these ids; ``vector`` is the name of theirs, where vectors have names."""
    assert rows.vectors is not None  # noqa: S101  what is written is always whole
    vectors: Any = rows.vectors.tolist()
    documents = rows.documents or [None] * len(rows)
    payloads = [
        fields if document is None else {**fields, DOCUMENT: document}
        for fields, document in zip(rows.fields or [{}] * len(rows), documents, strict=True)
    ]
    # Constructed: what was checked here is not checked again by the client, number by number.
    return models.Batch.model_construct(
        ids=ids, vectors=vectors if vector is None else {vector: vectors}, payloads=payloads
    )


def payload_selector(include: frozenset[Part]) -> Any:
    """Which part of the payload is asked for."""
    if "documents" in include:
        return True if "fields" in include else [DOCUMENT]
    return models.PayloadSelectorExclude(exclude=[DOCUMENT]) if "fields" in include else False


def rows_of(points: Sequence[Any], include: frozenset[Part], vector: str | None, dim: int) -> Rows:
    """Records or scored points as rows; ``vector`` is the name of the one that is meant, where they have names."""
    rows = Rows([str(point.id) for point in points])
    if "vectors" in include:
        held = [point.vector if vector is None else point.vector[vector] for point in points]
        rows.vectors = np.array(held, dtype=np.float32).reshape(len(points), dim)
    payloads = [point.payload or {} for point in points]
    if "fields" in include:
        rows.fields = [
            {name: value for name, value in payload.items() if name != DOCUMENT and value is not None}
            for payload in payloads
        ]
    if "documents" in include:
        rows.documents = [payload.get(DOCUMENT) for payload in payloads]
    return rows


def scores_of(points: Sequence[Any]) -> NDArray[np.floating[Any]]:
    """The scores of one answer."""
    return np.array([point.score for point in points], dtype=np.float64)


def search_options(params: Mapping[str, Any], *, exact: bool) -> models.SearchParams | None:
    """``params=`` of a search, checked by the client's own model."""
    if not (params or exact):
        return None
    try:
        options = models.SearchParams(**params, exact=exact)
        # A quantised vector would not do, whatever the server makes of it by itself.
        return options.model_copy(update={"quantization": _UNQUANTISED}) if exact else options
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise InvalidInputError(f"qdrant: params: {wrong}") from None
