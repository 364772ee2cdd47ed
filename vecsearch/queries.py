"""The plan of a search: native, chunked by ids, or an exact scan; merged, aggregated, checked for completeness."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import core
from vecsearch.calls import VECTORS
from vecsearch.errors import IncompleteSearchError, UnsupportedError
from vecsearch.scopes import chunks, count, scan
from vecsearch.types import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part
    from vecsearch.calls import Engine
    from vecsearch.scopes import Scope
    from vecsearch.types import Aggregation

    Scores = Callable[[NDArray[np.float32]], NDArray[np.float64]]

SCAN_ROWS = 16_384
_FEW_ROWS = 1000
_ZERO = 1e-6
_FEW = 100


@dataclass(frozen=True, slots=True)
class Options:
    """What one search asks for, beside its queries."""

    k: int | None
    parts: frozenset[Part] = frozenset()
    exact: bool = False
    reverse: bool = False
    allow_scan: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """The rows of one query, in order, with their distances."""

    records: Records
    distances: NDArray[np.float64]
    exact: bool

    def ordered(self, k: int | None = None, *, reverse: bool = False) -> Found:
        """By (distance, id), the first ``k``."""
        keys = -self.distances if reverse else self.distances
        if (k is None or len(keys) <= k) and _ascending(keys):
            return self
        order = np.argsort(keys, kind="stable")
        ids = self.records.ids
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        # Each run of equal distances is put in the order of its ids.
        for run in np.split(same, np.flatnonzero(np.diff(same) > 1) + 1) if len(same) else ():
            tied = slice(run[0], run[-1] + 2)
            order[tied] = sorted(order[tied], key=lambda position: ids[position])
        order = order[:k]
        return Found(self.records.take(order), self.distances[order], self.exact)


def _ascending(keys: NDArray[np.float64]) -> bool:
    """Whether each is greater than the one before it; of a few this is seen sooner in Python's own numbers."""
    if len(keys) > _FEW:
        return bool((keys[1:] > keys[:-1]).all())
    plain = keys.tolist()
    return all(map(operator.lt, plain, plain[1:]))


def nothing(dim: int) -> Found:
    """The answer where no row can be."""
    empty = Records([], np.empty((0, dim), dtype=np.float32), None, [], [])
    return Found(empty, np.empty(0), exact=True)


# ---- one answer for each query


def nearest(engine: Engine, scope: Scope, queries: NDArray[np.float32], options: Options) -> list[Found]:
    """The ``k`` nearest rows of each query in the scope."""
    if engine.spec is None or scope.is_empty or not len(queries):
        return [nothing(queries.shape[1]) for _ in queries]
    options = _resolved(engine, scope, options)
    if options.k == 0:
        return [nothing(queries.shape[1]) for _ in queries]
    reason = _not_native(engine, scope, options)
    if reason is None:
        return _native(engine, scope, queries, options)
    _require_scan(engine, options, reason)
    return _scan_each(engine, scope, queries, options)


def _resolved(engine: Engine, scope: Scope, options: Options) -> Options:
    """``k`` as a number; where it is beyond the engine's limit, at most the number of rows."""
    limit = engine.capabilities.max_k
    if options.k is not None and (limit is None or options.k <= limit):
        return options
    rows = count(engine, scope, allow_scan=options.allow_scan)
    return replace(options, k=rows if options.k is None else min(options.k, rows))


def _not_native(engine: Engine, scope: Scope, options: Options) -> str | None:
    """Why the engine cannot answer itself, or ``None``."""
    caps = engine.capabilities
    lacking = engine.lacks(scope.ids, scope.filter, "search")
    if lacking:
        return lacking
    if options.exact and caps.exactness == "never":
        return f"{engine.name} has no exact search"
    if caps.max_k is not None and (options.k or 0) > caps.max_k:
        return f"{engine.name} ranks at most {caps.max_k} rows, not {options.k}"
    return None


def _require_scan(engine: Engine, options: Options, reason: str) -> None:
    if not (options.allow_scan or engine.capabilities.local):
        raise UnsupportedError(f"{reason}; allow_scan=True answers exactly by reading all rows")


def _native(engine: Engine, scope: Scope, queries: NDArray[np.float32], options: Options) -> list[Found]:
    found = _native_once(engine, scope, queries, options)
    k = options.k or 0
    short = [number for number, one in enumerate(found) if len(one.records.ids) < k]
    if not short:
        return found
    # A short answer is true only where there are no more rows.
    try:
        rows = count(engine, scope, allow_scan=options.allow_scan)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"fewer than {k} rows were found, and whether there are more is not known: {error}"
        ) from error
    expected = min(k, rows)
    short = [number for number in short if len(found[number].records) < expected]
    if short and not options.exact and engine.capabilities.exactness == "on_request":
        again = _native_once(engine, scope, queries[short], replace(options, exact=True))
        for number, one in zip(short, again, strict=True):
            found[number] = one
        short = [number for number in short if len(found[number].records) < expected]
    # To read few rows is no more than to search them.
    few = rows <= max(k, _FEW_ROWS) and engine.lacks(scope.ids, scope.filter, "scan") is None
    if short and (few or options.allow_scan or engine.capabilities.local):
        for number, one in zip(short, _scan_each(engine, scope, queries[short], options), strict=True):
            found[number] = one
        short = [number for number in short if len(found[number].records) < expected]
    if short:
        got = len(found[short[0]].records)
        raise IncompleteSearchError(
            f"{engine.name}: search: {got} rows instead of {expected}; allow_scan=True reads all rows", found
        )
    return found


def _native_once(engine: Engine, scope: Scope, queries: NDArray[np.float32], options: Options) -> list[Found]:
    caps = engine.capabilities
    k = options.k or 0
    exact = options.exact and caps.exactness == "on_request"
    is_exact = caps.exactness == "always" or exact
    parts = options.parts if caps.true_distances else options.parts | VECTORS
    merged: list[Found] | None = None
    for where in chunks(engine, scope):
        answers = engine.search(queries, k, where, parts=parts, exact=exact, params=options.params)
        founds = [Found(records, distances, is_exact) for records, distances in answers]
        if not caps.true_distances:
            founds = [_rescored(engine, one, query) for one, query in zip(founds, queries, strict=True)]
        merged = founds if merged is None else [_merge(a, b).ordered(k) for a, b in zip(merged, founds, strict=True)]
    return [one.ordered(k) for one in merged or []]


def _rescored(engine: Engine, found: Found, query: NDArray[np.float32]) -> Found:
    assert engine.spec is not None  # noqa: S101  a search comes after the creation
    assert found.records.vectors is not None  # noqa: S101  asked for
    distances = core.pair_distances(query, found.records.vectors, engine.spec.metric)
    return Found(found.records, distances, found.exact)


def _merge(first: Found, second: Found) -> Found:
    one, two = first.records, second.records

    def joined(a: list[Any] | None, b: list[Any] | None) -> list[Any] | None:
        return None if a is None or b is None else a + b

    vectors = None if one.vectors is None or two.vectors is None else np.concatenate([one.vectors, two.vectors])
    records = Records(
        one.ids + two.ids,
        vectors,
        joined(one.sample_ids, two.sample_ids),
        joined(one.metadata, two.metadata),
        joined(one.documents, two.documents),
    )
    return Found(records, np.concatenate([first.distances, second.distances]), first.exact and second.exact)


# ---- scans


def _large_batches(engine: Engine, scope: Scope) -> Iterator[Records]:
    """A scan for vectors in batches large enough that each is worth a kernel."""
    held: list[Records] = []
    for batch in scan(engine, scope, VECTORS, SCAN_ROWS):
        held.append(batch)
        if sum(map(len, held)) >= SCAN_ROWS:
            yield _concatenated(held)
            held = []
    if held:
        yield _concatenated(held)


def _concatenated(held: list[Records]) -> Records:
    if len(held) == 1:
        return held[0]
    ids = [row_id for batch in held for row_id in batch.ids]
    samples = None if held[0].sample_ids is None else [s for batch in held for s in batch.sample_ids or ()]
    return Records(ids, np.concatenate([b.vectors for b in held if b.vectors is not None]), samples)


def _scan_each(engine: Engine, scope: Scope, queries: NDArray[np.float32], options: Options) -> list[Found]:
    assert engine.spec is not None  # noqa: S101  a search comes after the creation
    metric, k = engine.spec.metric, options.k or 0
    best: list[Found] = [Found(Records([]), np.empty(0), exact=True) for _ in queries]
    for batch in _large_batches(engine, scope):
        assert batch.vectors is not None  # noqa: S101  asked for
        distances, positions = core.knn(queries, batch.vectors, min(k, len(batch)), metric)
        light = Records(batch.ids, None, batch.sample_ids)
        for number in range(len(queries)):
            new = Found(light.take(positions[number]), distances[number], exact=True)
            best[number] = (new if not len(best[number].records) else _merge(best[number], new)).ordered(k)
    return _with_parts(engine, best, options.parts)


def _scan_ranked(engine: Engine, scope: Scope, scores: Scores, options: Options) -> Found:
    """The best ``k`` rows by any function of their vectors."""
    best: Found | None = None
    for batch in _large_batches(engine, scope):
        assert batch.vectors is not None  # noqa: S101  asked for
        new = Found(Records(batch.ids, None, batch.sample_ids), scores(batch.vectors), exact=True)
        best = (new if best is None else _merge(best, new)).ordered(options.k, reverse=options.reverse)
    return _with_parts(engine, [best or Found(Records([]), np.empty(0), exact=True)], options.parts)[0]


def _with_parts(engine: Engine, founds: list[Found], parts: frozenset[Part]) -> list[Found]:
    """The same rows with the columns that were asked for, read once each."""
    if not parts:
        return founds
    wanted = list(dict.fromkeys(row_id for found in founds for row_id in found.records.ids))
    rows = engine.fetch(wanted, parts)
    return [_completed(engine, found, rows, parts) for found in founds]


def _completed(engine: Engine, found: Found, rows: Mapping[str, Records], parts: frozenset[Part]) -> Found:
    kept = [position for position, row_id in enumerate(found.records.ids) if row_id in rows]
    found = Found(found.records.take(kept), found.distances[kept], found.exact)
    each = [rows[row_id] for row_id in found.records.ids]
    records = found.records
    if "vectors" in parts:
        width = engine.spec.dim if engine.spec else 0
        vectors = [row.vectors for row in each if row.vectors is not None]
        records.vectors = np.concatenate(vectors) if vectors else np.empty((0, width), dtype=np.float32)
    if "fields" in parts:
        records.metadata = [row.metadata[0] for row in each if row.metadata is not None]
    if "documents" in parts:
        records.documents = [row.documents[0] for row in each if row.documents is not None]
    return found


# ---- one answer for several vectors


def rank(
    engine: Engine, scope: Scope, queries: NDArray[np.float32], aggregation: Aggregation, options: Options
) -> Found:
    """One ranking of the scope for several query vectors, combined by ``aggregation``."""
    if engine.spec is None or scope.is_empty:
        return nothing(queries.shape[1])
    options = _resolved(engine, scope, options)
    if options.k == 0:
        return nothing(queries.shape[1])
    metric = engine.spec.metric
    if aggregation == "mean" or len(queries) == 1:
        queries = queries.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        aggregation = "mean"
    if metric == "cosine" and not queries.any(axis=1).all():
        raise UnsupportedError(
            "the mean of these vectors is zero, so that cosine has no order; use another aggregation"
        )
    if aggregation == "mean" and not options.reverse:
        return nearest(engine, scope, queries, options)[0]
    # A scan of rows that lie in this process gives pair distances for every mode, at the price of a search.
    if not engine.capabilities.local and _not_native(engine, scope, options) is None:
        found = _native_combination(engine, scope, queries, aggregation, options)
        if found is not None:
            return found
    reason = f"{engine.name} has no search for aggregation={aggregation!r}" + (" with reverse=True" * options.reverse)
    _require_scan(engine, options, reason)

    def scores(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return _combined(core.cross_distances(queries, rows, metric), aggregation)

    return _scan_ranked(engine, scope, scores, options)


def _combined(distances: NDArray[np.float64], aggregation: Aggregation) -> NDArray[np.float64]:
    if aggregation == "post-min":
        return np.asarray(distances.min(axis=0))
    if aggregation == "post-max":
        return np.asarray(distances.max(axis=0))
    return np.asarray(distances.mean(axis=0))


def _native_combination(
    engine: Engine, scope: Scope, queries: NDArray[np.float32], aggregation: Aggregation, options: Options
) -> Found | None:
    """By one or more searches that give the same answer exactly, or ``None`` where there are none."""
    if options.reverse:
        return _by_negation(engine, scope, queries, options) if aggregation == "mean" else None
    if aggregation == "post-min":
        return _by_union(engine, scope, queries, options)
    if aggregation == "post-mean":
        return _by_mean_direction(engine, scope, queries, options)
    return None


def _by_negation(engine: Engine, scope: Scope, query: NDArray[np.float32], options: Options) -> Found | None:
    """The farthest rows as the nearest of ``-q``: for cosine and dotproduct, whose order it turns around.

    Only where the search is exact: on a graph index the recall of ``-q`` was measured as 0.68.
    """
    assert engine.spec is not None  # noqa: S101  a search comes after the creation
    caps = engine.capabilities
    exact = caps.exactness == "always" or (options.exact and caps.exactness == "on_request")
    if engine.spec.metric == "euclidean" or not exact:
        return None
    found = nearest(engine, scope, -query, replace(options, reverse=False))[0]
    found.distances = 2.0 - found.distances if engine.spec.metric == "cosine" else -found.distances
    return found.ordered(options.k, reverse=True)


def _by_union(engine: Engine, scope: Scope, queries: NDArray[np.float32], options: Options) -> Found:
    """The rows of the smallest distance to any query: each is among the nearest of the query that it is nearest to."""
    founds = nearest(engine, scope, queries, options)
    best: dict[str, tuple[float, int, int]] = {}
    for number, found in enumerate(founds):
        for position, row_id in enumerate(found.records.ids):
            candidate = (float(found.distances[position]), number, position)
            best[row_id] = min(best.get(row_id, candidate), candidate)
    parts = []
    for number, found in enumerate(founds):
        positions = [position for _, owner, position in best.values() if owner == number]
        parts.append(Found(found.records.take(positions), found.distances[positions], found.exact))
    return functools.reduce(_merge, parts).ordered(options.k)


def _by_mean_direction(engine: Engine, scope: Scope, queries: NDArray[np.float32], options: Options) -> Found | None:
    """The mean of ``1 - <u, x>`` over unit vectors ``u`` is ``1 - <m, x>``, with ``m`` their mean."""
    assert engine.spec is not None  # noqa: S101  a search comes after the creation
    if engine.spec.metric == "euclidean":
        return None
    vectors = queries.astype(np.float64)
    if engine.spec.metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = vectors.mean(axis=0, keepdims=True)
    length = float(np.linalg.norm(mean))
    if engine.spec.metric == "cosine" and length < _ZERO:
        return None
    found = nearest(engine, scope, mean.astype(np.float32), options)[0]
    if engine.spec.metric == "cosine":
        found.distances = 1.0 - length * (1.0 - found.distances)
    return found.ordered(options.k)
