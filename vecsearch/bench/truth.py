"""The exact nearest rows of every query, kept by the hash of what was asked."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecsearch import core
from vecsearch.errors import InvalidInputError
from vecsearch.files import atomic_write
from vecsearch.settings import config

if TYPE_CHECKING:
    from pathlib import Path

    from vecsearch.bench.datasets import Dataset

Positions: TypeAlias = NDArray[np.int64] | Sequence[NDArray[np.int64]] | None
"""Which rows a filter lets pass: ascending, one array for all queries or one for each; None for all rows"""

_VERSION = 1  # of the stored form


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The nearest rows, by (distance, position); k' is the largest number found for a query."""

    positions: NDArray[np.int64]
    """int64 (q, k'), in ``dataset.vectors``; -1 where fewer rows pass"""
    distances: NDArray[np.float64]
    """float64 (q, k'), of `core.pair_distances`; infinite where fewer rows pass"""


def truth(dataset: Dataset, k: int, positions: Positions = None, *, home: Path | None = None) -> Truth:
    """The k nearest rows of every query, by the exact core.

    Args:
        dataset: rows and queries.
        k: how many; all that pass if there are fewer.
        positions: only these rows.
        home: where ``bench/truth`` holds what was found before; the configured home by default.

    Raises:
        InvalidInputError: ``k`` below 1, positions that do not ascend within the rows, or not one array a query.

    """
    if k < 1:
        raise InvalidInputError(f"k must be at least 1, not {k}")
    groups = _groups(dataset, positions)
    folder = (config.home if home is None else home) / "bench" / "truth"
    file = folder / f"{_key(dataset, k, groups)}.npz"
    found = _read(file)
    if found is None:
        found = _found(dataset, k, groups)
        stored = io.BytesIO()
        np.savez(stored, positions=found.positions, distances=found.distances)
        atomic_write(file, stored.getvalue())
    return found


Group: TypeAlias = tuple[NDArray[np.int64] | None, NDArray[np.int64]]
"""Rows that pass, and the numbers of the queries that they pass for"""


def _groups(dataset: Dataset, positions: Positions) -> list[Group]:
    every = np.arange(len(dataset.queries))
    if positions is None:
        return [(None, every)]
    if isinstance(positions, np.ndarray):
        return [(_checked(positions, len(dataset.vectors)), every)]
    if len(positions) != len(every):
        raise InvalidInputError(f"{len(positions)} arrays of positions for {len(every)} queries")
    alike: dict[int, list[int]] = {}  # queries of one filter share one array
    for number, one in enumerate(positions):
        alike.setdefault(id(one), []).append(number)
    return [(_checked(positions[group[0]], len(dataset.vectors)), np.array(group)) for group in alike.values()]


def _checked(positions: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    array = np.asarray(positions)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InvalidInputError(f"positions must be a row of whole numbers, not {array.dtype} {array.shape}")
    array = array.astype(np.int64)
    if array.size and (array[0] < 0 or array[-1] >= rows or (np.diff(array) <= 0).any()):
        raise InvalidInputError(f"positions must ascend without repetition within 0..{rows - 1}")
    return array


def _key(dataset: Dataset, k: int, groups: list[Group]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {dataset.sha256} {k}".encode())
    for passing, queries in groups:
        for part in (passing, queries):
            digest.update(b"all" if part is None else f"{len(part)} ".encode() + part.astype("<i8").tobytes())
    return digest.hexdigest()


def _found(dataset: Dataset, k: int, groups: list[Group]) -> Truth:
    widest = max(len(dataset.vectors) if passing is None else len(passing) for passing, _ in groups)
    shape = (len(dataset.queries), min(k, widest))
    positions, distances = np.full(shape, -1, dtype=np.int64), np.full(shape, np.inf)
    for passing, queries in groups:
        near, where = core.knn(dataset.queries[queries], dataset.vectors, k, dataset.metric, positions=passing)
        positions[queries, : where.shape[1]], distances[queries, : near.shape[1]] = where, near
    return Truth(positions, distances)


def _read(file: Path) -> Truth | None:
    """What is stored; None where nothing is, or what is there was damaged, and must be found again."""
    try:
        # Opened here: np.load leaves a damaged archive open.
        with file.open("rb") as source, np.load(source, allow_pickle=False) as stored:
            return Truth(stored["positions"], stored["distances"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
