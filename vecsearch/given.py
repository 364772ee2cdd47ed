"""What ``compute_similarity`` is given: rows from arrays, tables, or samples and a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import embedding, tables
from vecsearch.errors import ConfigError, InvalidInputError

if TYPE_CHECKING:
    from vecsearch.embedding import OnFailed
    from vecsearch.types import Model


def refuse_misplaced(samples: Any, embeddings: Any, settings: Mapping[str, Any]) -> None:
    """Refuse arguments that were meant for another place, saying which."""
    if isinstance(samples, np.ndarray) and samples.ndim == 2:  # noqa: PLR2004
        raise InvalidInputError("a 2-D array is no list of samples: pass embeddings=")
    if embeddings is True:
        raise InvalidInputError(
            "embeddings=True says nothing; pass an array, a column's name, or False for an empty index"
        )
    if "brain_key" in settings:
        raise ConfigError("brain_key is called key here: compute_similarity(…, key=…)")


def rows(
    samples: Any,
    embeddings: Any,
    sample_ids: Any,
    label_ids: Any,
    metadata: Any,
    documents: Any,
    model: Model | None,
    *,
    dim: int | None,
    on_failed: OnFailed,
    progress: Any,
) -> tuple[tables.Chunk | None, dict[str, str]]:
    """The rows to write, ``None`` where there are none to write now, and the samples that could not be embedded."""
    if isinstance(samples, Mapping) and sample_ids is None:
        sample_ids, samples = list(samples), list(samples.values())
    elif tables.is_table(samples):
        embeddings, sample_ids, label_ids, metadata, documents = _columns(
            samples, embeddings, sample_ids, label_ids, metadata, documents
        )
        samples = documents  # what a model can embed of a table
    if embeddings is False:
        return None, {}
    if isinstance(embeddings, str):
        raise InvalidInputError(f"embeddings={embeddings!r} names a column; pass the table as samples")
    if embeddings is None:
        if samples is None:
            raise InvalidInputError(
                "nothing to index: pass embeddings=, or samples (a table's documents=) with a model=, "
                "or embeddings=False"
            )
        if model is None:
            raise InvalidInputError("samples need a model= to embed them; or pass their vectors as embeddings=")
        columns = (sample_ids, label_ids, metadata, documents)
        return embedding.rows(model, samples, *columns, dim=dim, on_failed=on_failed, progress=progress)
    if sample_ids is None:
        if label_ids is not None:
            raise InvalidInputError("label_ids= needs sample_ids= beside it: the sample of each label")
        sample_ids = [str(position) for position in range(len(embeddings))]
    return tables.Chunk(embeddings, sample_ids, label_ids, metadata, documents), {}


def _columns(table: Any, embeddings: Any, sample_ids: Any, label_ids: Any, metadata: Any, documents: Any) -> list[Any]:
    """The columns of a table that were named; what is no name stays as it is."""
    found = [
        tables.column(table, value, name) if isinstance(value, str) else value
        for name, value in (
            ("embeddings", embeddings),
            ("sample_ids", sample_ids),
            ("label_ids", label_ids),
            ("documents", documents),
        )
    ]
    if isinstance(metadata, str):
        metadata = [metadata]
    if isinstance(metadata, (list, tuple)) and metadata and isinstance(metadata[0], str):
        metadata = {name: tables.column(table, name, "metadata") for name in metadata}
    return [*found[:3], metadata, found[3]]
