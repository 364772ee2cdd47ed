"""Which rows: a scope, as the engine's selections; read and counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vecsearch.calls import METADATA, batches
from vecsearch.codec import SAMPLE
from vecsearch.errors import UnsupportedError
from vecsearch.filters import And, Constant, Filter, normal_form, predicate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vecsearch.backends.base import Part, Where
    from vecsearch.calls import Engine
    from vecsearch.types import Records


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


def chunks(engine: Engine, scope: Scope) -> Iterator[Where | None]:
    """The scope as the engine's ``where``s, the ids in pieces that it accepts; their rows are disjoint."""
    if scope.ids is None:
        yield None if scope.filter is None else engine.where(None, scope.filter)
        return
    size = engine.capabilities.max_filter_ids or max(len(scope.ids), 1)
    for start in range(0, len(scope.ids), size):
        yield engine.where(scope.ids[start : start + size], scope.filter)


def scan(engine: Engine, scope: Scope, parts: frozenset[Part], batch_rows: int | None = None) -> Iterator[Records]:
    """Every row of the scope once.

    Where the engine cannot select in a scan, rows that are named are read by their ids, and of all other scopes all
    rows are read; the scope is applied here.
    """
    if engine.spec is None or scope.is_empty:
        return
    if engine.lacks(scope.ids, scope.filter, "scan") is None:
        for where in chunks(engine, scope):
            yield from engine.scan(parts, where, batch_rows)
        return
    chosen = _selector(scope)
    read = parts if scope.filter is None else parts | METADATA
    found = engine.scan(read, None, batch_rows) if scope.ids is None else _named(engine, scope.ids, read, batch_rows)
    for batch in found:
        positions = chosen(batch)
        if positions:
            yield batch.take(positions)


def _named(engine: Engine, ids: Sequence[str], parts: frozenset[Part], batch_rows: int | None) -> Iterator[Records]:
    """The rows of these ids that there are."""
    for batch in batches(ids, min(batch_rows or engine.batch_rows, engine.batch_rows)):
        yield engine.fetched(batch, parts)


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


def count(engine: Engine, scope: Scope, *, allow_scan: bool) -> int:
    """The number of rows in the scope."""
    if engine.spec is None or scope.is_empty:
        return 0
    reason = engine.lacks(scope.ids, scope.filter, "count")
    if reason is None:
        return sum(engine.count(where) for where in chunks(engine, scope))
    if scope.ids is not None and scope.filter is None:
        return len(engine.existing(scope.ids))
    if not (allow_scan or engine.capabilities.local or engine.lacks(scope.ids, scope.filter, "scan") is None):
        raise UnsupportedError(f"{reason}; allow_scan=True counts by reading all rows")
    return sum(len(batch) for batch in scan(engine, scope, frozenset()))
