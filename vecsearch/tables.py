"""Columns in: from pandas, polars, pyarrow, dicts, Parquet files, iterators of batches and (mapped) arrays."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vecsearch.errors import InvalidInputError, MissingDependencyError

READ_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table hold what; for arrays, the columns themselves."""

    embeddings: str = "embedding"
    sample_ids: Any = "sample_id"
    label_ids: Any = None
    metadata: Any = ()
    documents: Any = None


@dataclass(slots=True)
class Chunk:
    """Some rows of a source, unchecked, columns aligned."""

    embeddings: Any
    sample_ids: Any
    label_ids: Any = None
    metadata: Any = None
    documents: Any = None


@dataclass(slots=True)
class Source:
    """Rows to be read in order, more than once where ``repeatable``; ``fingerprint`` tells it from other sources."""

    read: Callable[[], Iterator[Chunk]]
    total: int | None = None
    fingerprint: dict[str, Any] = field(default_factory=dict)
    repeatable: bool = False


def is_table(value: object) -> bool:
    """Whether it is a table of a known library: columns by name."""
    return hasattr(value, "__arrow_c_stream__") or (hasattr(value, "columns") and hasattr(value, "__getitem__"))


def column_names(table: Any) -> list[str]:
    """The names of a table's columns."""
    if isinstance(table, Mapping):
        return list(table)
    names = getattr(table, "column_names", None)
    if names is None and isinstance(table.columns, list) and hasattr(table.schema, "names"):
        # A pyarrow batch: its columns are arrays. A polars frame: they are the names.
        names = table.columns if callable(table.schema.names) else table.schema.names
    return [str(name) for name in (table.columns if names is None else names)]


def column(table: Any, name: str, what: str) -> Any:
    """One column; lists of numbers come as a 2-D array. An unknown name is refused with the nearest one."""
    names = column_names(table)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInputError(f"{what}: the table has no column {name!r}{hint} It has: {', '.join(map(repr, names))}")
    values = table[name] if isinstance(table, Mapping) or not hasattr(table, "column") else table.column(name)
    if not isinstance(values, (list, np.ndarray)) and type(values).__module__.partition(".")[0] == "polars":
        values = values.to_arrow()
    if type(values).__module__.partition(".")[0] == "pyarrow":
        return _from_arrow(values, what)
    return values


def _from_arrow(values: Any, what: str) -> Any:
    """An Arrow column as a 2-D array (lists of numbers) or a list."""
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind = values.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        if values.null_count:
            raise InvalidInputError(f"{what}: {values.null_count} rows are null")
        flat = values.flatten()
        if flat.null_count:
            raise InvalidInputError(f"{what}: {flat.null_count} numbers are null")
        if len(values) and len(flat) % len(values):
            raise InvalidInputError(f"{what}: the rows have different lengths")
        width = len(flat) // len(values) if len(values) else 0
        if not pa.types.is_fixed_size_list(kind) and len(values):
            lengths = np.diff(values.offsets.to_numpy())
            if (lengths != width).any():
                raise InvalidInputError(f"{what}: the rows have different lengths")
        return flat.to_numpy(zero_copy_only=False).reshape(len(values), width)
    return values.to_pylist()


def chunk_of(table: Any, columns: Columns) -> Chunk:
    """The named columns of one table or batch."""
    if isinstance(table, tuple):
        return Chunk(*table)
    names = [columns.metadata] if isinstance(columns.metadata, str) else list(columns.metadata or ())
    return Chunk(
        column(table, columns.embeddings, "embeddings"),
        column(table, columns.sample_ids, "sample_ids"),
        None if columns.label_ids is None else column(table, columns.label_ids, "label_ids"),
        {name: column(table, name, "metadata") for name in names} if names else None,
        None if columns.documents is None else column(table, columns.documents, "documents"),
    )


def source(value: Any, columns: Columns, batch_rows: int = READ_ROWS) -> Source:
    """Any accepted source as chunks of bounded size.

    A path, a glob or a list of them: Parquet files (``.npy`` is memory-mapped). A 2-D array: needs ``sample_ids`` as a
    sequence. Anything with ``__arrow_c_stream__`` (pyarrow, polars, pandas, DuckDB…). Else an iterable of tables, dicts
    of columns, or tuples ``(embeddings, sample_ids[, label_ids[, metadata[, documents]]])``.
    """
    if isinstance(value, (str, Path)) or (
        isinstance(value, (list, tuple)) and value and all(isinstance(one, (str, Path)) for one in value)
    ):
        return _from_paths(value, columns, batch_rows)
    if isinstance(value, np.ndarray):
        return _from_array(value, columns, batch_rows)
    if hasattr(value, "__arrow_c_stream__"):
        return _from_arrow_stream(value, columns, batch_rows)
    if isinstance(value, Mapping) or (hasattr(value, "columns") and hasattr(value, "__getitem__")):
        return _from_whole(chunk_of(value, columns), batch_rows)
    if isinstance(value, Iterable):
        return Source(lambda: _split(chunk_of(one, columns) for one in value), None, {"kind": "iterator"})
    raise InvalidInputError(
        f"cannot ingest {type(value).__name__}; give paths, a table, an array or an iterator of batches"
    )


def _split(chunks: Iterable[Chunk], rows: int = READ_ROWS) -> Iterator[Chunk]:
    for chunk in chunks:
        total = len(chunk.embeddings)
        if total <= rows:
            yield chunk
            continue
        for start in range(0, total, rows):
            yield _sliced(chunk, slice(start, start + rows))


def _sliced(chunk: Chunk, rows: slice) -> Chunk:
    def part(values: Any) -> Any:
        if values is None:
            return None
        if isinstance(values, Mapping):
            return {name: part(column) for name, column in values.items()}
        return values.iloc[rows] if hasattr(values, "iloc") else values[rows]

    return Chunk(*(part(getattr(chunk, name)) for name in Chunk.__slots__))


def _from_whole(chunk: Chunk, batch_rows: int) -> Source:
    total = len(chunk.embeddings)
    return Source(lambda: _split([chunk], batch_rows), total, {"kind": "table", "rows": total}, repeatable=True)


def _from_array(array: Any, columns: Columns, batch_rows: int) -> Source:
    if array.ndim != 2:  # noqa: PLR2004
        raise InvalidInputError(f"an array of embeddings must have shape (rows, dimensions), not {array.shape}")
    if isinstance(columns.sample_ids, str):
        raise InvalidInputError("an array has no columns: give sample_ids= as a list of ids, one a row")
    chunk = Chunk(array, columns.sample_ids, columns.label_ids, columns.metadata or None, columns.documents)
    for name in ("sample_ids", "label_ids", "documents"):
        values = getattr(chunk, name)
        if values is not None and not hasattr(values, "__len__"):
            setattr(chunk, name, list(values))
    for name in ("sample_ids", "label_ids", "documents"):
        values = getattr(chunk, name)
        if values is not None and len(values) != len(array):
            raise InvalidInputError(f"{len(values)} {name} for {len(array)} embeddings; give one for each")
    fingerprint = {"kind": "array", "shape": list(array.shape), "dtype": str(array.dtype)}
    return Source(lambda: _split([chunk], batch_rows), len(array), fingerprint, repeatable=True)


def _from_arrow_stream(value: Any, columns: Columns, batch_rows: int) -> Source:
    pa = _pyarrow()
    total = len(value) if hasattr(value, "__len__") else None

    def chunks() -> Iterator[Chunk]:
        reader = pa.RecordBatchReader.from_stream(value)
        return _split((chunk_of(batch, columns) for batch in reader if batch.num_rows), batch_rows)

    return Source(chunks, total, {"kind": "arrow", "rows": total}, repeatable=total is not None)


def _from_paths(value: Any, columns: Columns, batch_rows: int) -> Source:
    given = [value] if isinstance(value, (str, Path)) else list(value)
    paths = [path for one in given for path in _matching(one)]
    if len(paths) == 1 and paths[0].suffix == ".npy":
        return _from_array(np.load(paths[0], mmap_mode="r", allow_pickle=False), columns, batch_rows)
    files = [_parquet(path) for path in paths]
    names = [columns.metadata] if isinstance(columns.metadata, str) else list(columns.metadata or ())
    wanted = [name for name in (columns.embeddings, columns.sample_ids, columns.label_ids, columns.documents) if name]
    wanted = list(dict.fromkeys([*wanted, *names]))
    for path, file in zip(paths, files, strict=True):
        missing = [name for name in wanted if name not in file.schema_arrow.names]
        if missing:
            known = ", ".join(map(repr, file.schema_arrow.names))
            raise InvalidInputError(f"{path} has no column {missing[0]!r}; it has {known}")

    def chunks() -> Iterator[Chunk]:
        for file in files:
            for batch in file.iter_batches(batch_rows, columns=wanted):
                yield chunk_of(batch, columns)

    fingerprint = {"kind": "parquet", "files": [[path.name, path.stat().st_size] for path in paths]}
    return Source(chunks, sum(file.metadata.num_rows for file in files), fingerprint, repeatable=True)


def _matching(name: str | Path) -> list[Path]:
    matches = [str(name)] if Path(name).exists() else sorted(glob.glob(str(name), recursive=True))  # noqa: PTH207  any root
    if not matches:
        raise InvalidInputError(f"no file matches {str(name)!r}")
    return [Path(match) for match in matches]


def _parquet(path: Path) -> Any:
    _pyarrow()
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except Exception as error:
        raise InvalidInputError(f"{path} is no readable Parquet file: {error}") from error


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise MissingDependencyError("this needs pyarrow: pip install 'vecsearch[arrow]'") from error
    return pa
