"""The rows of the embedded backend: columns that only grow, and snapshots that never change.

One writer at a time appends; readers take ``Table.snapshot`` without a lock and see exactly those rows, however long
they look. What makes that true:

- A row is never changed in place. Replacing it appends the new one and marks the old one dead, in a copy of the marks.
- Buffers and lists may hold more rows than a snapshot has; a reader never looks beyond its own length.
- The table of ids is shared by all snapshots and changed in place (copying it for each batch would make loading
  quadratic). It never forgets: a deleted id keeps pointing at its dead row, a replaced one at its newest row, from
  where a reader with an older snapshot walks back.
- All of the writer's state hangs on the snapshot, so that publishing is one assignment: an exception, even Ctrl-C in
  the middle of a write, leaves the state before it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from vecsearch.backends._columns import DOCUMENTS, FIELDS, IDS, Column
from vecsearch.backends.base import Rows
from vecsearch.core import row_norms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part, Spec

S = TypeVar("S", bound=np.generic)

COMPACT_ABOVE = 0.25
"""The share of dead rows at which the table is written anew."""
_FEW = 64


class Lookup:
    """Which row holds an id, for readers of any age."""

    def __init__(self, ids: Column[str], rows: int) -> None:
        self._ids = ids
        self._rows = rows
        self._lock = threading.Lock()
        self._newest: dict[str, int] | None = None
        self._before: dict[int, int] = {}

    def _positions(self) -> dict[str, int]:
        # Built when first needed: opening a million rows and searching them asks for no id.
        if self._newest is None:
            with self._lock:
                if self._newest is None:
                    self._newest = dict(zip(self._ids.look(0, self._rows), range(self._rows), strict=True))
        return self._newest

    def find(self, ids: Iterable[str], rows: int) -> list[int]:
        """The position of each id among the first ``rows``; -1 where there is none. It may be that of a dead row."""
        get = self._positions().get
        found = [get(name, -1) for name in ids]
        if max(found, default=-1) < rows:
            return found
        for number, position in enumerate(found):
            while position >= rows:  # written after the reader's snapshot was taken
                position = self._before.get(position, -1)  # noqa: PLW2901  a walk back
            found[number] = position
        return found

    def add(self, ids: Sequence[str], start: int) -> list[int]:
        """Let ``ids`` be the rows from ``start`` on; the positions that they replace (some may be dead already)."""
        newest, before = self._positions(), self._before
        replaced = []
        for position, name in enumerate(ids, start):
            old = newest.get(name)
            if old is not None:
                before[position] = old  # first, so that a reader who sees the new position can walk back
                replaced.append(old)
            newest[name] = position
        return replaced


class Room(NamedTuple):
    """The buffers behind a snapshot, with room for rows to come."""

    vectors: NDArray[np.float32]
    norms: NDArray[np.floating[Any]]
    alive: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A table at one moment. ``alive`` is ``None`` while no row is dead; positions are row numbers."""

    room: Room
    vectors: NDArray[np.float32]
    norms: NDArray[np.floating[Any]]
    alive: NDArray[np.bool_] | None
    count: int
    ids: Column[str]
    fields: Column[dict[str, Any]]
    documents: Column[str | None]
    lookup: Lookup
    version: int

    def __len__(self) -> int:
        return len(self.vectors)

    def live(self) -> NDArray[np.int64]:
        """The positions of all live rows, ascending."""
        return np.arange(len(self)) if self.alive is None else np.flatnonzero(self.alive)

    def find(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """The positions of the live rows with these ids, ascending, each once."""
        found = np.unique(np.array(self.lookup.find(ids, len(self)), dtype=np.int64))
        found = found[found >= 0]
        return found if self.alive is None else found[self.alive[found]]

    def take(self, positions: NDArray[np.int64], include: frozenset[Part]) -> Rows:
        """Copies of the rows at ``positions``, in that order."""
        places = positions.tolist()
        return Rows(
            ids=self.ids.take(places),
            vectors=self.vectors[positions] if "vectors" in include else None,
            fields=self.fields.take(places) if "fields" in include else None,
            documents=self.documents.take(places) if "documents" in include else None,
        )

    def compacted(self) -> Snapshot:
        """The same rows without the dead ones."""
        positions = self.live()
        places = positions.tolist()
        vectors, norms = self.vectors[positions], self.norms[positions]
        ids = Column(IDS, tail=self.ids.take(places))
        return Snapshot(
            room=Room(vectors, norms, None),
            vectors=_read_only(vectors),
            norms=_read_only(norms),
            alive=None,
            count=len(places),
            ids=ids,
            fields=Column(FIELDS, tail=self.fields.take(places)),
            documents=Column(DOCUMENTS, tail=self.documents.take(places)),
            lookup=Lookup(ids, len(places)),
            version=self.version,
        )


def snapshot_of(
    vectors: NDArray[np.float32],
    norms: NDArray[np.floating[Any]],
    ids: Column[str],
    fields: Column[dict[str, Any]],
    documents: Column[str | None],
) -> Snapshot:
    """A first snapshot: these rows, all alive."""
    rows, room = len(vectors), Room(vectors, norms, None)
    lookup = Lookup(ids, rows)
    return Snapshot(room, _read_only(vectors), _read_only(norms), None, rows, ids, fields, documents, lookup, version=0)


def empty_snapshot(dim: int) -> Snapshot:
    """No rows, of this width."""
    vectors = np.empty((0, dim), dtype=np.float32)
    return snapshot_of(vectors, row_norms(vectors), Column(IDS), Column(FIELDS), Column(DOCUMENTS))


class Table:
    """The newest snapshot, and the two ways to make another."""

    def __init__(self, spec: Spec, snapshot: Snapshot) -> None:
        self.spec = spec
        self.snapshot = snapshot
        self._lock = threading.Lock()

    def upsert(self, rows: Rows) -> None:
        """Append whole rows; earlier rows of the same ids are dead afterwards."""
        with self._lock:
            before = self.snapshot
            try:
                self._append(before, rows)
            except BaseException:
                if self.snapshot is before:
                    self.snapshot = _without_leftovers(before)
                raise
            self._compact_if_worn()

    def delete(self, ids: Sequence[str]) -> None:
        """Mark the rows of these ids dead."""
        with self._lock:
            before = self.snapshot
            doomed = before.find(ids)
            if len(doomed):
                self.snapshot = _replace(before, len(before), before.room, doomed)
                self._compact_if_worn()

    def _append(self, before: Snapshot, rows: Rows) -> None:
        start, stop = len(before), len(before) + len(rows)
        assert rows.vectors is not None  # noqa: S101  an upsert carries vectors
        vectors = _with_room(before.room.vectors, start, stop)
        norms = _with_room(before.room.norms, start, stop)
        vectors[start:stop] = rows.vectors
        norms[start:stop] = row_norms(rows.vectors)
        before.ids.extend(rows.ids)
        before.fields.extend([{}] * len(rows) if rows.fields is None else rows.fields)
        before.documents.extend([None] * len(rows) if rows.documents is None else rows.documents)
        replaced = np.array(before.lookup.add(rows.ids, start), dtype=np.int64)
        self.snapshot = _replace(before, stop, Room(vectors, norms, before.room.alive), replaced)

    def _compact_if_worn(self) -> None:
        snapshot = self.snapshot
        dead = len(snapshot) - snapshot.count
        if dead > max(_FEW, COMPACT_ABOVE * len(snapshot)):
            self.snapshot = snapshot.compacted()


def _replace(before: Snapshot, rows: int, room: Room, doomed: NDArray[np.int64]) -> Snapshot:
    """The snapshot after ``before``: ``rows`` rows in ``room``, those at ``doomed`` dead."""
    alive = room.alive
    count = before.count + rows - len(before)
    if alive is not None and len(alive) < rows:
        alive = np.concatenate([alive, np.ones(len(room.vectors) - len(alive), dtype=np.bool_)])
    if len(doomed):
        alive = np.ones(len(room.vectors), dtype=np.bool_) if alive is None else alive.copy()
        count -= int(np.count_nonzero(alive[np.unique(doomed)]))
        alive[doomed] = False
    return replace(
        before,
        room=room._replace(alive=alive),
        vectors=_read_only(room.vectors[:rows]),
        norms=_read_only(room.norms[:rows]),
        alive=None if alive is None else alive[:rows],
        count=count,
        version=before.version + 1,
    )


def _without_leftovers(snapshot: Snapshot) -> Snapshot:
    """``snapshot`` again, after a write that did not end: what it appended is cut off, the ids are learned anew."""
    for column in (snapshot.ids, snapshot.fields, snapshot.documents):
        column.cut(len(snapshot))
    return replace(snapshot, lookup=Lookup(snapshot.ids, len(snapshot)))


def _with_room(buffer: NDArray[S], used: int, wanted: int) -> NDArray[S]:
    if len(buffer) >= wanted:
        return buffer
    # Twice as much: appending stays linear, and pages not yet written cost no memory.
    larger = np.empty((max(wanted, 2 * used), *buffer.shape[1:]), dtype=buffer.dtype)
    larger[:used] = buffer[:used]
    return larger


def _read_only(array: NDArray[S]) -> NDArray[S]:
    view = array.view()
    view.flags.writeable = False
    return view
