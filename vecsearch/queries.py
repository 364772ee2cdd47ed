"""The plan of a search: native, chunked by ids, or an exact scan; merged, aggregated, checked for completeness."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import core
from vecsearch.calls import METADATA, VECTORS, Engine
from vecsearch.codec import SAMPLE
from vecsearch.errors import IncompleteSearchError, UnsupportedError
from vecsearch.filters import And, Constant, Filter, normal_form, predicate
from vecsearch.types import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part, Where
    from vecsearch.types import Aggregation

    Scores = Callable[[NDArray[np.float32]], NDArray[np.float64]]

SCAN_ROWS = 16_384
_ZERO = 1e-6


@dataclass(frozen=True, slots=True)
class Scope:
    """A subset of an index: rows named by ``ids`` (``None``: all) for which ``filter`` holds (``None``: all)."""

    ids: tuple[str, ...] | None = None
    filter: Filter | None = None

    def narrowed(self, ids: tuple[str, ...] | None, filter_: Filter | None) -> Scope:
        """The rows that are in this scope and in the other."""
        if self.ids is None:
            both_ids = ids
        elif ids is None:
            both_ids = self.ids
        else:
            wanted = set(ids)
            both_ids = tuple(row_id for row_id in self.ids if row_id in wanted)
        parts = tuple(part for part in (self.filter, filter_) if part is not None)
        both_filters = None if not parts else normal_form(parts[0] if len(parts) == 1 else And(parts))
        if isinstance(both_filters, Constant):
            return Scope((), None) if not both_filters.value else Scope(both_ids, None)
        return Scope(both_ids, both_filters)

    @property
    def is_empty(self) -> bool:
        """Whether no row can be in it."""
        return self.ids == ()


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
        if (k is None or len(keys) <= k) and (keys[1:] > keys[:-1]).all():
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
    where = engine.where(scope.ids and scope.ids[:1], scope.filter)
    lacking = engine.lacks(where, "search")
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
    short = [number for number, one in enumerate(found) if len(one.records) < k]
    if not short:
        return found
    # A short answer is true only where there are no more rows.
    expected = min(k, count(engine, scope, allow_scan=options.allow_scan))
    short = [number for number in short if len(found[number].records) < expected]
    if short and not options.exact and engine.capabilities.exactness == "on_request":
        again = _native_once(engine, scope, queries[short], replace(options, exact=True))
        for number, one in zip(short, again, strict=True):
            found[number] = one
        short = [number for number in short if len(found[number].records) < expected]
    if short and (options.allow_scan or engine.capabilities.local):
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
        if merged is None:
            merged = founds
        else:
            merged = [_merge(a, b).ordered(k) for a, b in zip(merged, founds, strict=True)]
    return [one.ordered(k) for one in merged or []]


def chunks(engine: Engine, scope: Scope) -> Iterator[Where | None]:
    """The scope as the engine's ``where``s, the ids in pieces that it accepts; their rows are disjoint."""
    if scope.ids is None:
        yield engine.where(None, scope.filter)
        return
    size = engine.capabilities.max_filter_ids or max(len(scope.ids), 1)
    for start in range(0, len(scope.ids), size):
        yield engine.where(scope.ids[start : start + size], scope.filter)


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


def scan(engine: Engine, scope: Scope, parts: frozenset[Part], batch_rows: int | None = None) -> Iterator[Records]:
    """Every row of the scope once. Where the engine cannot select, all rows are read and the scope is applied here."""
    if engine.spec is None or scope.is_empty:
        return
    first = engine.where(scope.ids and scope.ids[:1], scope.filter)
    if engine.lacks(first, "scan") is None:
        for where in chunks(engine, scope):
            yield from engine.scan(parts, where, batch_rows)
        return
    chosen = _selector(scope)
    for batch in engine.scan(parts | METADATA, None, batch_rows):
        positions = chosen(batch)
        if positions:
            yield batch.take(positions)


def _selector(scope: Scope) -> Callable[[Records], list[int]]:
    """The positions of a batch that are in the scope, by the reference evaluator."""
    wanted = None if scope.ids is None else set(scope.ids)
    holds = None if scope.filter is None else predicate(scope.filter)

    def positions(batch: Records) -> list[int]:
        chosen = []
        for position, row_id in enumerate(batch.ids):
            if wanted is not None and row_id not in wanted:
                continue
            if holds is not None:
                row = batch.metadata[position] if batch.metadata else {}
                if batch.sample_ids is not None:
                    row = {**row, SAMPLE: batch.sample_ids[position]}
                if not holds(row):
                    continue
            chosen.append(position)
        return chosen

    return positions


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
    """By one or more searches that give the same answer exactly, or ``None`` where there are none.

    Reverse: cosine and dotproduct of ``-q`` are the negatives of those of ``q``; only where the search is exact (measured
    recall of ``-q`` on a graph index: 0.68). ``post-mean``: the mean of ``1 - <u, x>`` over unit vectors ``u`` is
    ``1 - <m, x>`` with ``m`` their mean. ``post-min``: the nearest rows by the smallest distance are among the nearest of
    each query.
    """
    assert engine.spec is not None  # noqa: S101  a search comes after the creation
    metric = engine.spec.metric
    plain = replace(options, reverse=False)
    if options.reverse:
        exact = engine.capabilities.exactness == "always" or (
            options.exact and engine.capabilities.exactness == "on_request"
        )
        if aggregation != "mean" or metric == "euclidean" or not exact:
            return None
        found = nearest(engine, scope, -queries, plain)[0]
        found.distances = 2.0 - found.distances if metric == "cosine" else -found.distances
        return found.ordered(options.k, reverse=True)
    if aggregation == "post-min":
        founds = nearest(engine, scope, queries, plain)
        best: dict[str, tuple[float, int, int]] = {}
        for number, found in enumerate(founds):
            for position, row_id in enumerate(found.records.ids):
                candidate = (float(found.distances[position]), number, position)
                best[row_id] = min(best.get(row_id, candidate), candidate)
        merged: Found | None = None
        for number, found in enumerate(founds):
            positions = [position for _, owner, position in best.values() if owner == number]
            part = Found(found.records.take(positions), found.distances[positions], found.exact)
            merged = part if merged is None else _merge(merged, part)
        return merged.ordered(options.k) if merged else None
    if aggregation == "post-mean" and metric != "euclidean":
        vectors = queries.astype(np.float64)
        if metric == "cosine":
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        mean = vectors.mean(axis=0, keepdims=True)
        length = float(np.linalg.norm(mean))
        if metric == "cosine" and length < _ZERO:
            return None
        found = nearest(engine, scope, mean.astype(np.float32), plain)[0]
        if metric == "cosine":
            found.distances = 1.0 - length * (1.0 - found.distances)
        return found.ordered(options.k)
    return None


# ---- counting


def count(engine: Engine, scope: Scope, *, allow_scan: bool) -> int:
    """The number of rows in the scope."""
    if engine.spec is None or scope.is_empty:
        return 0
    where = engine.where(scope.ids and scope.ids[:1], scope.filter)
    reason = engine.lacks(where, "count")
    if reason is None:
        return sum(engine.count(where) for where in chunks(engine, scope))
    if not (allow_scan or engine.capabilities.local or engine.lacks(where, "scan") is None):
        raise UnsupportedError(f"{reason}; allow_scan=True counts by reading all rows")
    return sum(len(batch) for batch in scan(engine, scope, frozenset()))


__all__ = ("Found", "Options", "Scope", "count", "nearest", "nothing", "rank", "scan")
