"""What the service says of an index: whose it is, its columns, its metric, whether it can be written to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecsearch.backends._mosaic_columns import NORM, SAMPLE, Layout, foreign_layout, our_layout
from vecsearch.backends.base import Spec
from vecsearch.errors import UnsupportedError

if TYPE_CHECKING:
    from vecsearch.backends._mosaic_index import Index


@dataclass(frozen=True)
class Described:
    """An index that exists."""

    spec: Spec
    layout: Layout
    read_only: str | None
    """Why it cannot be written to; ``None`` where it can."""


def described(index: Index, found: Any) -> Described:
    """The index as we see it; ours say what they are by their columns."""
    vector, dim = _vector_column(index, found)
    index.key = found.primary_key
    direct = found.direct_access_index_spec
    schema = json.loads(direct.schema_json) if direct is not None and direct.schema_json else None
    layout = None if schema is None else our_layout(schema, dim)
    if layout is not None:
        metric = "cosine" if NORM in layout.columns else "euclidean"
        return Described(Spec(dim, metric, patches=SAMPLE in layout.columns), layout, None)  # type: ignore[arg-type]
    columns = _columns(index, found, vector, dim) if schema is None else schema
    layout = foreign_layout(found.primary_key, vector, dim, columns)
    # The service compares by the Euclidean distance, whatever the vectors are.
    return Described(Spec(dim, "euclidean", ours=False), layout, _why_read_only(found))


def _vector_column(index: Index, found: Any) -> tuple[str, int]:
    spec = found.direct_access_index_spec or found.delta_sync_index_spec
    columns = (spec.embedding_vector_columns if spec else None) or []
    if len(columns) != 1 or not columns[0].name or not columns[0].embedding_dimension:
        raise UnsupportedError(
            f"mosaic: {index.name} has no single column of vectors of its own: vecsearch cannot search an index whose "
            "vectors Databricks computes from texts, or one that has several"
        )
    return columns[0].name, columns[0].embedding_dimension


def _columns(index: Index, found: Any, vector: str, dim: int) -> dict[str, str]:
    """The columns of a Delta Sync index and their types, as far as the service tells them."""
    spec = found.delta_sync_index_spec
    names = spec.columns_to_sync if spec is not None else None
    if not names:  # all columns of the source table, which only a row tells
        names = sorted(next(index.scan(1), [{}])[0])
    others = [name for name in names if name not in (found.primary_key, vector)]
    return index.types_of([found.primary_key, *others], dim)


def _why_read_only(found: Any) -> str:
    if found.index_type is not None and found.index_type.value == "DELTA_SYNC":
        return "it is a Delta Sync index: write to its source table, from which Databricks fills it"
    return "it was not made by vecsearch, whose rows need columns of their own"


__all__ = ("Described", "described")
