"""The vector index of a table: which, with which parameters, and when it is made."""

from __future__ import annotations

import inspect
import logging
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from lancedb import index as native
from pydantic import AfterValidator

from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vecsearch.backends.base import Metric
    from vecsearch.backends.lancedb import LanceConfig

logger = logging.getLogger("vecsearch")
Type = Literal["NONE", "IVF_FLAT", "IVF_SQ", "IVF_PQ", "IVF_RQ", "IVF_HNSW_FLAT", "IVF_HNSW_SQ", "IVF_HNSW_PQ"]
TYPES: Mapping[str, Any] = {
    "IVF_FLAT": native.IvfFlat,
    "IVF_SQ": native.IvfSq,
    "IVF_PQ": native.IvfPq,
    "IVF_RQ": native.IvfRq,
    "IVF_HNSW_FLAT": native.HnswFlat,
    "IVF_HNSW_SQ": native.HnswSq,
    "IVF_HNSW_PQ": native.HnswPq,
}
PARAMETERS = (
    *("num_partitions", "target_partition_size", "max_iterations", "sample_rate"),
    *("num_sub_vectors", "num_bits", "m", "ef_construction"),
)
DISTANCES: Mapping[Metric, str] = {"cosine": "cosine", "euclidean": "l2", "dotproduct": "dot"}
METRICS: Mapping[str, Metric] = {distance: metric for metric, distance in DISTANCES.items()}
_PQ_ROWS = 256  # what it is trained on, at least
_KEYED_ROWS = 10_000
_SMALL_PIECES = 50
_STORES = ("s3", "s3+ddb", "gs", "az", "abfss", "oss", "cos", "hf", "memory", "file")


def _checked_place(uri: str) -> str:
    """The place of tables; the engine would take most mistakes in it for the name of a folder."""
    scheme, found, rest = uri.partition("://")
    if found and scheme == "db":
        raise ValueError(
            "db:// is LanceDB Cloud, which has another interface and is not supported: give a folder or a store"
        )
    mistyped = not found and re.match(r"[a-z][a-z0-9+.-]+:", uri)  # s3:/bucket, localhost:8000; C: is one letter
    if not uri or mistyped or (found and (scheme not in _STORES or not (rest or scheme == "memory"))):
        raise ValueError(f"must be a folder, or a store such as s3://bucket/path ({', '.join(_STORES)})")
    return uri


Place = Annotated[str, AfterValidator(_checked_place)]
"""The type of a setting that says where tables lie."""


def given(config: LanceConfig) -> dict[str, Any]:
    """The parameters that the user has set."""
    return {name: value for name in PARAMETERS if (value := getattr(config, name)) is not None}


def refused(config: LanceConfig) -> str | None:
    """What is wrong with the parameters of the index, if anything is."""
    if config.index_type == "NONE":
        return f"{min(given(config))} is given, but no index_type" if given(config) else None
    known = inspect.signature(TYPES[config.index_type]).parameters
    unknown = [name for name in given(config) if name not in known]
    if unknown:
        has = ", ".join(name for name in PARAMETERS if name in known)
        return f"{config.index_type} has no {unknown[0]}; it has {has}"
    if "PQ" in config.index_type and config.num_bits not in (None, 4, 8):
        return f"num_bits of {config.index_type} is 4 or 8, not {config.num_bits}"
    if "PQ" in config.index_type and config.index_rows < _PQ_ROWS:
        return f"{config.index_type} needs {_PQ_ROWS} rows: index_rows={config.index_rows} is too few"
    return None


def check_width(config: LanceConfig, dim: int) -> None:
    """Refuse parts of a vector that do not make up its width."""
    parts = config.num_sub_vectors
    if parts is not None and dim % parts:
        raise InvalidInputError(f"lancedb: num_sub_vectors={parts} does not divide the {dim} dimensions")


def of_vectors(table: Any) -> Any:
    """The index over the vectors, or ``None``."""
    return next((one for one in table.list_indices() if one.columns == ["vector"]), None)


def wanted(table: Any, config: LanceConfig) -> bool:
    """Whether the rows are enough for a vector index, and there is none."""
    enough = config.index_type != "NONE" and table.count_rows() >= config.index_rows
    return enough and of_vectors(table) is None


def keep_up(table: Any, config: LanceConfig, metric: Metric) -> None:
    """Indexes where they are due and for what they lack; small pieces joined, replaced versions deleted."""
    rows = table.count_rows()
    if rows >= _KEYED_ROWS and not any(one.columns == ["id"] for one in table.list_indices()):
        table.create_index("id", config=native.BTree())
    if wanted(table, config):
        made = TYPES[config.index_type](distance_type=DISTANCES[metric], **given(config))
        table.create_index("vector", config=made, replace=False)
    lacking = max((one.num_unindexed_rows or 0 for one in table.list_indices()), default=0)
    pieces = table.stats()["fragment_stats"]["num_small_fragments"]
    if lacking > max(rows // 10, 1000) or pieces > _SMALL_PIECES:
        table.optimize(cleanup_older_than=timedelta(seconds=config.keep_seconds))
