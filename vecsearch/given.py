"""What ``compute_similarity`` is given: rows from arrays, tables, or samples and a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import tables
from vecsearch.errors import ConfigError, InvalidInputError
from vecsearch.progress import reporting

if TYPE_CHECKING:
    from vecsearch.types import Model

_EMBED_ROWS = 256


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
    progress: Any,
) -> tables.Chunk | None:
    """The rows to write, ``None`` where there are none to write now."""
    if isinstance(samples, Mapping) and sample_ids is None:
        sample_ids, samples = list(samples), list(samples.values())
    elif tables.is_table(samples):
        embeddings, sample_ids, label_ids, metadata, documents = (
            tables.column(samples, value, name) if isinstance(value, str) else value
            for name, value in (
                ("embeddings", embeddings),
                ("sample_ids", sample_ids),
                ("label_ids", label_ids),
                ("metadata", [metadata] if isinstance(metadata, str) else metadata),
                ("documents", documents),
            )
        )
        if isinstance(metadata, (list, tuple)) and metadata and isinstance(metadata[0], str):
            metadata = {name: tables.column(samples, name, "metadata") for name in metadata}
    if embeddings is False:
        return None
    if isinstance(embeddings, str):
        raise InvalidInputError(f"embeddings={embeddings!r} names a column; pass the table as samples")
    if embeddings is None:
        embeddings, documents = _embedded(samples, documents, model, progress)
    rows = len(embeddings)
    if sample_ids is None:
        if label_ids is not None:
            raise InvalidInputError("label_ids= needs sample_ids= beside it: the sample of each label")
        sample_ids = [str(position) for position in range(rows)]
    return tables.Chunk(embeddings, sample_ids, label_ids, metadata, documents)


def _embedded(samples: Any, documents: Any, model: Model | None, progress: Any) -> tuple[Any, Any]:
    if samples is None or tables.is_table(samples):
        raise InvalidInputError("nothing to index: pass embeddings=, or samples with a model=, or embeddings=False")
    if model is None:
        raise InvalidInputError("samples need a model= to embed them; or pass their vectors as embeddings=")
    items = list(samples)
    vectors: list[Any] = []
    with reporting(progress, "embedding", "samples") as report:
        for start in range(0, len(items), _EMBED_ROWS):
            vectors.append(model.embed(items[start : start + _EMBED_ROWS]))
            report(start + len(vectors[-1]), len(items))
    if documents is None and items and all(isinstance(item, str) for item in items):
        documents = items
    return (np.concatenate(vectors) if vectors else np.empty((0, model.dim or 0), np.float32)), documents
