"""Two indexes side by side: ids, rows and answers. What ``copy_index`` ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.calls import EVERYTHING, NOTHING
from vecsearch.queries import SCAN_ROWS, Found, Options, nearest
from vecsearch.scopes import Scope, scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from vecsearch.backends.base import Metric
    from vecsearch.calls import Engine
    from vecsearch.progress import Report
    from vecsearch.types import Records

QUERIES, NEIGHBOURS = 100, 10
_NAMED = 5
_VECTOR_TOLERANCE = 1e-6
"""Of a row's largest component: engines that keep unit vectors give the length back in float32."""
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


@dataclass(slots=True)
class Comparison:
    """What differs between two indexes, as far as it was looked at."""

    source_rows: int = 0
    target_rows: int = 0
    missing: list[str] = field(default_factory=list)
    """Ids that only the source has: the first few."""
    missing_rows: int = 0
    extra: list[str] = field(default_factory=list)
    """Ids that only the target has: the first few."""
    extra_rows: int = 0
    compared_rows: int = 0
    """How many rows were compared whole."""
    largest_vector_error: float = 0.0
    """The largest difference of two components, as a share of the largest component of the row."""
    different: dict[str, list[str]] = field(default_factory=dict)
    """By column (vectors, metadata, documents, sample ids): the first rows that differ."""
    different_rows: dict[str, int] = field(default_factory=dict)
    queries: int = 0
    k: int = NEIGHBOURS
    exact: bool = True
    """Whether both sides answered the queries exactly; if not, their answers may differ by what they miss."""
    overlap: float = 1.0
    """The mean share of the source's nearest rows that are among the target's; rows at equal distances are equal."""
    largest_distance_difference: float = 0.0
    """Between the distances that both sides give for the same row and query."""
    wrong_distances: int = 0
    """How many of these are beyond the tolerance of float32."""

    @property
    def mismatches(self) -> list[str]:
        """What is not as it should be, in plain words; nothing where the indexes agree."""
        found = []
        if self.missing_rows:
            found.append(f"{self.missing_rows:,} rows are missing in the target: {_some(self.missing)}")
        if self.extra_rows:
            found.append(f"{self.extra_rows:,} rows are in the target only: {_some(self.extra)}")
        for column, ids in self.different.items():
            found.append(f"{self.different_rows[column]:,} rows have other {column}: {_some(ids)}")
        if self.wrong_distances:
            largest = f"{self.largest_distance_difference:.3g}"
            found.append(f"{self.wrong_distances:,} distances differ, by up to {largest}")
        if self.exact and self.overlap < 1:
            found.append(f"exact searches find other rows: {self.overlap:.4f} of the nearest {self.k} agree")
        return found


def compare(
    source: Engine, scope: Scope, target: Engine, *, whole: bool, rows: int, seed: int, report: Report
) -> Comparison:
    """Compare the ids of all rows, ``rows`` rows drawn by ``seed`` (or all: ``whole``), and the answers to some.

    Ids are remembered as eight bytes each. The queries are ``QUERIES`` of the rows drawn.
    """
    found = Comparison()
    held = _digests(target)
    found.target_rows = len(held)
    seen, sample = [], _Reservoir(rows, seed)
    for batch in scan(source, scope, EVERYTHING if whole else NOTHING, SCAN_ROWS):
        digests = _of(batch.ids)
        seen.append(digests)
        absent = [batch.ids[place] for place in np.flatnonzero(~_among(digests, held))]
        found.missing += absent[: _NAMED - len(found.missing)]
        found.missing_rows += len(absent)
        if whole:
            _compare_rows(batch, target, found)
        sample.offer(batch.ids)
        found.source_rows += len(batch)
        report(found.source_rows, None)
    known = np.sort(np.concatenate(seen)) if seen else np.empty(0, dtype=np.int64)
    _name_extra(target, known, found)
    if not whole and sample.ids:
        drawn = list(source.fetch(sample.ids, EVERYTHING).values())
        for one in drawn:
            _compare_rows(one, target, found)
    _compare_answers(source, scope, target, sample.ids[:QUERIES], found)
    return found


# ---- ids


def _digests(engine: Engine) -> NDArray[np.int64]:
    parts = [_of(batch.ids) for batch in scan(engine, Scope(), NOTHING, SCAN_ROWS)]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)


def _of(ids: list[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids))


def _among(digests: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(held):
        return np.zeros(len(digests), dtype=np.bool_)
    places = np.minimum(np.searchsorted(held, digests), len(held) - 1)
    return np.equal(held[places], digests)


def _name_extra(target: Engine, known: NDArray[np.int64], found: Comparison) -> None:
    """Count and name the rows of the target that the source has not; read again, as only the first pass knew them."""
    if found.target_rows + found.missing_rows == found.source_rows:
        return
    for batch in scan(target, Scope(), NOTHING, SCAN_ROWS):
        only = [batch.ids[place] for place in np.flatnonzero(~_among(_of(batch.ids), known))]
        found.extra += only[: _NAMED - len(found.extra)]
        found.extra_rows += len(only)


class _Reservoir:
    """Ids drawn evenly from a stream of unknown length (Vitter 1985, algorithm R)."""

    def __init__(self, size: int, seed: int) -> None:
        self.ids: list[str] = []
        self._size = size
        self._seen = 0
        self._generator = np.random.default_rng(seed)

    def offer(self, ids: list[str]) -> None:
        for row_id in ids:
            self._seen += 1
            if len(self.ids) < self._size:
                self.ids.append(row_id)
            elif (place := int(self._generator.integers(self._seen))) < self._size:
                self.ids[place] = row_id


# ---- rows


def _compare_rows(batch: Records, target: Engine, found: Comparison) -> None:
    others = target.fetch(batch.ids, EVERYTHING) if target.spec is not None else {}
    for position, row_id in enumerate(batch.ids):
        other = others.get(row_id)
        if other is None:
            continue  # named among the missing
        found.compared_rows += 1
        one = batch.take(slice(position, position + 1))
        for column in _different_columns(one, other, found):
            found.different_rows[column] = found.different_rows.get(column, 0) + 1
            named = found.different.setdefault(column, [])
            if len(named) < _NAMED:
                named.append(row_id)


def _different_columns(one: Records, other: Records, found: Comparison) -> Iterator[str]:
    error = _vector_error(one.vectors, other.vectors)
    found.largest_vector_error = max(found.largest_vector_error, error)
    if error > _VECTOR_TOLERANCE:
        yield "vectors"
    if _typed(one.metadata) != _typed(other.metadata):
        yield "metadata"
    if one.documents != other.documents:
        yield "documents"
    if one.sample_ids != other.sample_ids:
        yield "sample ids"


def _vector_error(one: Any, other: Any) -> float:
    if one.shape != other.shape:
        return float("inf")
    largest = float(np.abs(one).max(initial=0.0))
    difference = float(np.abs(one.astype(np.float64) - other).max(initial=0.0))
    return difference if largest == 0 else difference / largest


def _typed(metadata: list[dict[str, Any]] | None) -> Any:
    """Metadata with the type of each value, since ``1 == 1.0 == True`` in Python."""
    return [{name: (type(value), value) for name, value in row.items()} for row in metadata or ()]


# ---- answers


def _compare_answers(source: Engine, scope: Scope, target: Engine, ids: list[str], found: Comparison) -> None:
    """The nearest rows of some rows, on both sides, exactly where the engine can."""
    vectors = [row.vectors for row in source.fetch(ids, EVERYTHING).values() if row.vectors is not None]
    if not vectors or source.spec is None or target.spec is None:
        return
    queries = np.concatenate(vectors)
    answers = []
    for engine, within in ((source, scope), (target, Scope())):
        exact = engine.capabilities.exactness == "on_request"
        answers.append(nearest(engine, within, queries, Options(NEIGHBOURS, exact=exact, allow_scan=True)))
    found.queries = len(queries)
    found.exact = all(engine.capabilities.exactness != "never" for engine in (source, target))
    shares = []
    for query, first, second in zip(queries, *answers, strict=True):
        share, differences, tolerances = _compared_answer(query, first, second, source.spec.metric)
        shares.append(share)
        found.largest_distance_difference = max(found.largest_distance_difference, differences.max(initial=0.0))
        found.wrong_distances += int(np.count_nonzero(differences > tolerances))
    found.overlap = float(np.mean(shares))


def _compared_answer(
    query: NDArray[np.float32], first: Found, second: Found, metric: Metric
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The share of the first answer that is in the second, and how far apart the distances of the same rows are."""
    length = float(np.linalg.norm(query.astype(np.float64)))
    scale = {"cosine": 1.0, "euclidean": length, "dotproduct": length * length}[metric]
    theirs = dict(zip(second.records.ids, second.distances.tolist(), strict=True))
    mine = dict(zip(first.records.ids, first.distances.tolist(), strict=True))
    both = [row_id for row_id in mine if row_id in theirs]
    ours = np.array([mine[row_id] for row_id in both], dtype=np.float64)
    differences = np.abs(ours - np.array([theirs[row_id] for row_id in both], dtype=np.float64))
    # A row that the other side leaves out for one at the same distance is a tie.
    farthest = max(theirs.values(), default=-np.inf)
    reach = farthest - _RELATIVE * abs(farthest) - _ABSOLUTE * scale
    agreeing = sum(row_id in theirs or distance >= reach for row_id, distance in mine.items())
    complete = len(theirs) >= len(mine)
    share = agreeing / len(mine) if mine and complete else len(both) / max(1, len(mine))
    return share, differences, _RELATIVE * np.abs(ours) + _ABSOLUTE * scale


def _some(ids: list[str]) -> str:
    return ", ".join(map(repr, ids))
