"""Files of vectors: what the known benchmarks write, and a folder of our own. Nothing here reads a pickle."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.errors import InvalidInputError, MissingDependencyError
from vecsearch.files import storage_errors
from vecsearch.tables import column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.bench.datasets import Dataset
    from vecsearch.bench.truth import Truth

_BINARY = {".fbin": "<f4", ".u8bin": "u1", ".i8bin": "i1"}
_DISTANCES = {
    "angular": "cosine",
    "cosine": "cosine",
    "euclidean": "euclidean",
    "l2": "euclidean",
    "ip": "dotproduct",
    "dot": "dotproduct",
}
_HEAD, _VECTORS, _QUERIES, _METADATA = "dataset.json", "vectors.npy", "queries.npy", "metadata.jsonl"
_FORM = 1


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What a file holds; None is what it does not say."""

    vectors: NDArray[Any]
    queries: NDArray[Any] | None = None
    metric: str | None = None
    metadata: list[dict[str, Any]] | None = None


def read(path: Path, *, embeddings: str | None = None) -> Contents:
    """The vectors of a file or folder, mapped where the format allows it.

    ``.hdf5``, ``.h5``: as ann-benchmarks writes them (``train``, ``test``, the attribute ``distance``).
    ``.npy``: one array. ``.fvecs``: of TEXMEX, each row led by its width. ``.fbin``, ``.u8bin``, ``.i8bin``: of
    big-ann-benchmarks, led by the numbers of rows and columns. ``.parquet``: a column of lists of numbers, the others
    are metadata. A folder: what `write` made.

    Args:
        path: where it is.
        embeddings: for Parquet the column of vectors; the only one with lists of numbers by default.

    Raises:
        InvalidInputError: no such file, a format that is not known, or a file that is not what its name says.
        MissingDependencyError: HDF5 without h5py, Parquet without pyarrow.

    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InvalidInputError(f"there is no data set {str(path)!r}: digits, mixture, wordnet:<folder>, or a path")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path, embeddings)
    if suffix in _BINARY:
        return Contents(_binary(path, _BINARY[suffix]))
    readers: dict[str, Callable[[Path], Contents]] = {
        ".hdf5": _hdf5,
        ".h5": _hdf5,
        ".npy": lambda file: Contents(_npy(file)),
        ".fvecs": lambda file: Contents(_fvecs(file)),
    }
    if suffix not in readers:
        known = ", ".join(sorted([*readers, *_BINARY, ".parquet"]))
        raise InvalidInputError(f"{path}: no known format; the name must end in one of {known}, or be a folder")
    return readers[suffix](path)


def write(dataset: Dataset, path: Path, truth: Truth | None = None) -> None:
    """Write a data set: to HDF5 as ann-benchmarks reads it where the name ends so, else to a folder that is mapped.

    Args:
        dataset: what to write.
        path: a new file ending in ``.hdf5`` or ``.h5``, or a new folder.
        truth: for HDF5 the ``neighbors`` and ``distances``; ann-benchmarks wants those of k = 100.

    Raises:
        InvalidInputError: the path exists, or its name ends as another kind of file's.
        StorageError: it cannot be written; nothing is left behind.

    """
    refuse_existing(path)
    hdf5 = is_hdf5(path)
    if not hdf5 and path.suffix:
        raise InvalidInputError(f"{path}: data sets are written as .hdf5, or as a folder with no dot in its name")
    with _whole(path) as temporary:
        if hdf5:
            _write_hdf5(dataset, temporary, truth)
        else:
            _write_folder(dataset, temporary)


def is_hdf5(path: Path) -> bool:
    """Whether `write` makes it an HDF5 file."""
    return path.suffix.lower() in (".hdf5", ".h5")


def refuse_existing(path: Path) -> None:
    """Raise InvalidInputError where there is something already."""
    if path.exists():
        raise InvalidInputError(f"{path} exists; remove it, or give another name")


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name beside ``path`` that takes its place when the block is done, and is removed when it fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    with storage_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.rename(path)
        except BaseException:
            with suppress(OSError):
                shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink()
            raise


def _npy(path: Path) -> NDArray[Any]:
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InvalidInputError(f"{path} is no .npy file of numbers; numpy.save writes one") from error
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}") from error
    if not isinstance(loaded, np.ndarray):  # an archive of arrays under this name
        loaded.close()
        raise InvalidInputError(f"{path} holds several arrays; numpy.save writes one")
    return loaded


def _fvecs(path: Path) -> NDArray[np.float32]:
    words = _mapped(path, "<i4", 0)
    width = int(words[0]) if len(words) else 0
    if width < 1 or len(words) % (width + 1):
        raise InvalidInputError(f"{path} is no .fvecs file: its size is not that of rows {width} wide")
    rows = words.reshape(-1, width + 1)
    if (rows[:, 0] != width).any():
        raise InvalidInputError(
            f"{path} is no .fvecs file: row {int(np.argmax(rows[:, 0] != width))} has another width"
        )
    return rows[:, 1:].view("<f4")


def _binary(path: Path, dtype: str) -> NDArray[Any]:
    head = np.fromfile(path, dtype="<u4", count=2)
    values = _mapped(path, dtype, 8) if len(head) == 2 else np.empty(0)  # noqa: PLR2004  rows and columns
    count, width = (int(number) for number in head) if len(head) == 2 else (0, 0)  # noqa: PLR2004
    if not count or not width or len(values) != count * width:
        raise InvalidInputError(f"{path}: its head says {count} x {width}, and {len(values)} numbers follow")
    return values.reshape(count, width)


def _mapped(path: Path, dtype: str, offset: int) -> NDArray[Any]:
    length = path.stat().st_size - offset
    if length <= 0 or length % np.dtype(dtype).itemsize:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError("HDF5 files need h5py: pip install 'vecsearch[hdf5]'") from error
    return h5py


def _hdf5(path: Path) -> Contents:
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            distance = str(file.attrs.get("distance", ""))
            if distance and distance not in _DISTANCES:
                raise InvalidInputError(f"{path}: its distance is {distance!r}; ours are {', '.join(_DISTANCES)}")
            if "train" not in file or file.attrs.get("type", "dense") != "dense":
                raise InvalidInputError(
                    f"{path} is no dense file of ann-benchmarks: it has {', '.join(file) or 'nothing'}"
                )
            queries = file["test"][:] if "test" in file else None
            metadata = None
            if "metadata" in file:
                metadata = [json.loads(row) for row in file["metadata"].asstr()[:]]
            return Contents(file["train"][:], queries, _DISTANCES.get(distance), metadata)
    except OSError as error:
        raise InvalidInputError(f"{path} is no HDF5 file, or is cut off") from error


def _write_hdf5(dataset: Dataset, path: Path, truth: Truth | None) -> None:
    h5py = _h5py()
    with h5py.File(path, "w") as file:
        names = {metric: distance for distance, metric in reversed(_DISTANCES.items())}
        file.attrs.update(
            distance=names[dataset.metric], dimension=dataset.vectors.shape[1], type="dense", point_type="float"
        )
        file.create_dataset("train", data=dataset.vectors)
        file.create_dataset("test", data=dataset.queries)
        if truth is not None:
            file.create_dataset("neighbors", data=truth.positions.astype(np.int32))
            file.create_dataset("distances", data=truth.distances.astype(np.float32))
        if dataset.metadata is not None:  # ours: readers of ann-benchmarks pass over it
            rows = [_json(row) for row in dataset.metadata]
            file.create_dataset("metadata", data=rows, dtype=h5py.string_dtype())


def _folder(path: Path) -> Contents:
    head = path / _HEAD
    if not head.is_file():
        raise InvalidInputError(f"{path} is no folder of a data set: it has no {_HEAD}")
    try:
        said = json.loads(head.read_text(encoding="utf-8"))
        form, metric, has_metadata = said["format"], str(said["metric"]), bool(said["metadata"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{head} is damaged") from error
    if form != _FORM:
        raise InvalidInputError(f"{head} is of format {form}; this version reads format {_FORM}")
    metadata = None
    if has_metadata:
        with (path / _METADATA).open(encoding="utf-8") as lines:
            metadata = [json.loads(line) for line in lines]
    return Contents(_npy(path / _VECTORS), _npy(path / _QUERIES), metric, metadata)


def _write_folder(dataset: Dataset, path: Path) -> None:
    path.mkdir()
    np.save(path / _VECTORS, dataset.vectors, allow_pickle=False)
    np.save(path / _QUERIES, dataset.queries, allow_pickle=False)
    if dataset.metadata is not None:
        with (path / _METADATA).open("w", encoding="utf-8") as file:
            file.writelines(f"{_json(row)}\n" for row in dataset.metadata)
    head = {
        "format": _FORM,
        "name": dataset.name,
        "metric": dataset.metric,
        "metadata": dataset.metadata is not None,
        "sha256": dataset.sha256,
    }
    (path / _HEAD).write_text(json.dumps(head, indent=2) + "\n", encoding="utf-8")


def _json(row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False)
    except TypeError as error:
        raise InvalidInputError(
            f"metadata that JSON has no form for ({error}); text and numbers can be written"
        ) from None


def pyarrow() -> tuple[Any, Any]:
    """Pyarrow and its module for Parquet; ``MissingDependencyError`` where it is not installed."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError("Parquet files need pyarrow: pip install 'vecsearch[arrow]'") from error
    return pa, parquet


def _parquet(path: Path, embeddings: str | None) -> Contents:
    pa, parquet = pyarrow()
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{path} is no Parquet file: {error}") from error
    lists = [field.name for field in table.schema if _is_vector(field.type)]
    if embeddings is None:
        if len(lists) != 1:
            raise InvalidInputError(
                f"{path}: which column holds the vectors? Lists of numbers: {', '.join(lists) or 'none'}"
            )
        embeddings = lists[0]
    vectors = column(table, embeddings, str(path))
    rest = [field.name for field in table.schema if field.name != embeddings and _is_scalar(field.type)]
    return Contents(np.asarray(vectors), metadata=_records(table, rest) if rest else None)


def _records(table: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of some columns; what is null is left out."""
    rows = table.select(names).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _is_vector(kind: Any) -> bool:
    import pyarrow.types as is_

    lists = is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind)
    return bool(lists and (is_.is_floating(kind.value_type) or is_.is_integer(kind.value_type)))


def _is_scalar(kind: Any) -> bool:
    import pyarrow.types as is_

    text = is_.is_string(kind) or is_.is_large_string(kind)
    return bool(text or is_.is_integer(kind) or is_.is_floating(kind) or is_.is_boolean(kind))
