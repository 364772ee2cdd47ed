"""What is measured on: rows, queries that are not among them, and a hash that says which."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.core.metrics import METRICS, check_norms, row_norms
from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.bench.formats import Contents
    from vecsearch.core import Metric

QUERIES = 1000
_MIXTURE_ROWS = 20_000
_LARGEST_SHARE = 5  # no more than a fifth of what there is becomes queries, unless it is asked for with ``rows``
_HASHED_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows to index and queries to ask, held out from them. `make` and `load` give one."""

    name: str
    vectors: NDArray[np.float32]
    """float32 (n, d), possibly a memory map"""
    queries: NDArray[np.float32]
    """float32 (q, d)"""
    metric: Metric
    metadata: list[dict[str, Any]] | None
    """Fields of each row"""
    sha256: str
    """Of the rows, the queries, the metric and the metadata; not of the name"""


def make(
    name: str,
    vectors: NDArray[Any],
    queries: NDArray[Any],
    metric: str = "cosine",
    metadata: Sequence[Mapping[str, Any]] | None = None,
) -> Dataset:
    """A data set of these rows and queries, checked and hashed.

    Args:
        name: what reports call it.
        vectors: numbers (n, d); float32 is taken as it is, also a memory map, everything else is cast.
        queries: numbers (q, d).
        metric: "cosine", "euclidean" or "dotproduct".
        metadata: a dict a row.

    Raises:
        InvalidInputError: shapes that do not match, no rows or no queries, values that are not finite, under cosine a
            zero row, another number of dicts than rows.

    """
    if metric not in METRICS:
        raise InvalidInputError(f"{name}: metric is one of {', '.join(METRICS)}, not {metric!r}")
    rows, asked = _float32(f"{name}: vectors", vectors), _float32(f"{name}: queries", queries)
    if rows.shape[1] != asked.shape[1]:
        raise InvalidInputError(f"{name}: the queries are {asked.shape[1]} wide, the vectors {rows.shape[1]}")
    for what, part in (("vectors", rows), ("queries", asked)):
        try:
            check_norms(row_norms(part), metric)
        except ValueError as error:
            raise InvalidInputError(f"{name}: {what}: {error}") from None
    fields = None if metadata is None else [dict(row) for row in metadata]
    if fields is not None and len(fields) != len(rows):
        raise InvalidInputError(f"{name}: {len(fields)} rows of metadata for {len(rows)} vectors")
    return Dataset(name, rows, asked, metric, fields, _sha256(rows, asked, metric, fields))


def hold_out(
    name: str,
    vectors: NDArray[Any],
    metric: str = "cosine",
    metadata: Sequence[Mapping[str, Any]] | None = None,
    *,
    rows: int | None = None,
    queries: int = QUERIES,
    seed: int = 0,
) -> Dataset:
    """A data set of which some of the vectors, drawn at random, are the queries, and not among the rows.

    Args:
        name, vectors, metric, metadata: as in `make`.
        rows: how many rows, drawn at random; all that remain by default.
        queries: at most so many, and at most a fifth of the vectors. The same ``seed`` draws the same queries whatever
            ``rows`` is.
        seed: which are drawn.

    """
    _check_counts(name, rows, queries)
    asked = min(queries, len(vectors) // _LARGEST_SHARE) if rows is None else queries
    order = np.random.default_rng(seed).permutation(len(vectors))
    kept = _drawn(name, order[asked:], rows, f" beside {asked} queries")
    return make(name, vectors[kept], vectors[order[:asked]], metric, _at(metadata, kept))


def load(
    name_or_path: str | Path,
    *,
    rows: int | None = None,
    queries: int = QUERIES,
    seed: int = 0,
    metric: str | None = None,
) -> Dataset:
    """A data set by its name, or from a file or folder.

    Args:
        name_or_path: ``"digits"`` (those of scikit-learn, 64 wide), ``"mixture"`` (`mixture.Mixture`; its dials follow
            a colon: ``"mixture:alpha=0.6,rank=32"``), ``"wordnet:<folder>"`` (``embeddings-f16.npy`` and
            ``glosses.jsonl.gz``), or a path that `formats.read` knows.
        rows: how many rows; for "mixture" 20,000 by default, else all.
        queries: how many at most. Those that come with a file are used, the first of them; else they are held out.
        seed: which rows and queries are drawn.
        metric: instead of what the file says; cosine where it says nothing.

    Raises:
        InvalidInputError: no such data, or fewer rows than asked for.

    """
    given = str(name_or_path)
    kind, _, rest = given.partition(":")
    if given == "digits":
        vectors, metadata = _digits()
    elif kind == "mixture":
        vectors, metadata = _mixture(rest, rows, queries, seed)
    elif kind == "wordnet" and rest:
        given, (vectors, metadata) = "wordnet", _wordnet(Path(rest))
    else:
        from vecsearch.bench import formats

        path = Path(name_or_path)
        return of_contents(path.stem, formats.read(path), rows=rows, queries=queries, seed=seed, metric=metric)
    return hold_out(given, vectors, metric or "cosine", metadata, rows=rows, queries=queries, seed=seed)


def of_contents(
    name: str,
    found: Contents,
    *,
    rows: int | None = None,
    queries: int = QUERIES,
    seed: int = 0,
    metric: str | None = None,
) -> Dataset:
    """A data set of what `formats.read` found; the arguments are those of `load`."""
    chosen = metric or found.metric or "cosine"
    if found.queries is None:
        return hold_out(name, found.vectors, chosen, found.metadata, rows=rows, queries=queries, seed=seed)
    _check_counts(name, rows, queries)
    asked = found.queries[:queries]
    if rows is None or rows == len(found.vectors):
        return make(name, found.vectors, asked, chosen, found.metadata)
    kept = _drawn(name, np.random.default_rng(seed).permutation(len(found.vectors)), rows, "")
    return make(name, found.vectors[kept], asked, chosen, _at(found.metadata, kept))


def _digits() -> tuple[NDArray[Any], list[dict[str, Any]]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data.astype(np.float32), [{"digit": int(digit)} for digit in data.target]


def _mixture(dials: str, rows: int | None, queries: int, seed: int) -> tuple[NDArray[Any], list[dict[str, Any]]]:
    from vecsearch.bench import mixture

    _check_counts("mixture", rows, queries)
    # With ``rows`` unsaid, a fifth of the vectors must be enough for the queries that `hold_out` takes.
    count = max(_MIXTURE_ROWS + queries, _LARGEST_SHARE * queries) if rows is None else rows + queries
    return mixture.generate(mixture.parse(dials), count, seed)


def _wordnet(folder: Path) -> tuple[NDArray[Any], list[dict[str, Any]]]:
    file, glosses = folder / "embeddings-f16.npy", folder / "glosses.jsonl.gz"
    for part in (file, glosses):
        if not part.is_file():
            raise InvalidInputError(f"wordnet: there is no {part.name} in {folder}")
    with gzip.open(glosses, "rt", encoding="utf-8") as lines:
        senses = [json.loads(line) for line in lines]
    metadata = [{"pos": sense["pos"], "lex": sense["lex"], "words": len(sense["words"])} for sense in senses]
    return np.load(file, mmap_mode="r", allow_pickle=False), metadata


def _check_counts(name: str, rows: int | None, queries: int) -> None:
    if queries < 1 or (rows is not None and rows < 1):
        raise InvalidInputError(f"{name}: rows and queries must be at least 1, not {rows} and {queries}")


def _drawn(name: str, order: NDArray[np.int64], rows: int | None, beside: str) -> NDArray[np.int64]:
    """The first ``rows`` of a random order, ascending, so that a memory map is read in one direction."""
    if rows is not None and rows > len(order):
        raise InvalidInputError(f"{name}: {rows} rows are asked for, there are {len(order)}{beside}")
    return np.sort(order[:rows])


def _at(metadata: Sequence[Mapping[str, Any]] | None, positions: NDArray[np.int64]) -> list[Mapping[str, Any]] | None:
    return None if metadata is None else [metadata[at] for at in positions.tolist()]


def _float32(what: str, values: NDArray[Any]) -> NDArray[np.float32]:
    array = np.asanyarray(values)
    if array.ndim != 2 or not array.shape[0] or not array.shape[1]:  # noqa: PLR2004  a matrix
        raise InvalidInputError(f"{what} must have shape (n, d) with n and d of at least 1, not {array.shape}")
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(f"{what} must be numbers, not {array.dtype}")
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused by its row
        return array.astype(np.float32)


def _sha256(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], metric: str, metadata: list[dict[str, Any]] | None
) -> str:
    digest = hashlib.sha256(json.dumps([vectors.shape, queries.shape, metric]).encode())
    for part in (vectors, queries):
        step = max(1, _HASHED_BYTES // (4 * part.shape[1]))
        for start in range(0, len(part), step):
            digest.update(np.ascontiguousarray(part[start : start + step], dtype="<f4").data)
    for row in metadata or ():
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False, default=str).encode())
        digest.update(b"\n")
    return digest.hexdigest()
