"""The embedded default: exact search over rows in this process, optionally kept in a folder.

The name is the one that FiftyOne users know. The exact search runs through ``vecsearch.core``; scikit-learn's own
estimators are not used for it, since their brute force is slower, and nothing here imports scikit-learn.

Everything lies in memory (or in the files of the last save, mapped) until ``save()``.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from vecsearch.backends._masks import Masks
from vecsearch.backends._storage import Folder, Manifest
from vecsearch.backends._table import Snapshot, Table, empty_snapshot
from vecsearch.backends._together import Together
from vecsearch.backends.base import METRICS, Backend, BackendConfig, Capabilities, Hits, Score
from vecsearch.core import KernelName, Packed, kernel_name, knn
from vecsearch.core.threads import VARIABLE
from vecsearch.errors import ClosedError, ConfigError, InvalidInputError, StorageError
from vecsearch.filters import predicate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part, Rows, Spec, Where


_FEW_QUERIES = 64  # more have a search to themselves: they would keep others waiting, and are as fast alone
_GOOD_PART = 0.5  # of all rows: fewer are cheaper to copy than others to drop
_SURPLUS, _MORE = 1.5, 16  # so much more is asked for than should be enough


class SklearnConfig(BackendConfig):
    """The settings of the embedded backend."""

    path: str | None = Field(None, description="the folder that save() writes to; none: in memory only")
    threads: int | None = Field(None, ge=1, description="threads of one search; none: as many as the machine has")
    kernel: KernelName | None = Field(
        None, description="what proposes candidates: auto, int8, bfloat16 or float32; changes the time, no answer"
    )
    packed_bytes: int | None = Field(
        None, ge=0, description="memory for the packed copy that speeds up searches; none: dim + 20 bytes a row"
    )


class SklearnBackend(Backend[SklearnConfig]):
    """Rows in memory, searched exactly.

    Reads take an immutable snapshot and wait for no write; a write, once it returns, is seen by every later call.
    """

    name: ClassVar[str] = "sklearn"
    Config: ClassVar[type[BackendConfig]] = SklearnConfig
    capabilities = Capabilities(
        metrics=dict.fromkeys(METRICS, Score.DISTANCE),
        exactness="always",
        batch_rows=100_000,
        thread_safe=True,
        local=True,
        durable=False,
    )
    errors: ClassVar = {FileExistsError: "exists", FileNotFoundError: "not_found"}

    def __init__(self, config: SklearnConfig) -> None:
        super().__init__(config)
        try:
            kernel_name(config.kernel)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._folder = None if config.path is None else Folder(Path(config.path).expanduser())
        self._lock = threading.RLock()  # over what follows; the rows have their own
        self._table: Table | None = None
        self._saved: Manifest | None = None
        self._saved_version: int | None = None
        self._closed = False
        self._masks = Masks()
        self._together: Together[_Pair] = Together()
        self._takes_all_cores = config.threads is None and not os.environ.get(VARIABLE)
        self._packed: tuple[Any, Packed] | None = None

    @property
    def client(self) -> NDArray[np.float32] | None:
        """All vectors as a read-only numpy matrix, as they are now."""
        matrix = self.matrix() if self.describe() is not None else None
        return None if matrix is None else matrix[1]

    @property
    def unsaved(self) -> bool:
        """Whether ``save()`` has something to write; never without a path, where there is nowhere to save to."""
        table = self._table
        return self._folder is not None and table is not None and table.snapshot.version != self._saved_version

    def describe(self) -> Spec | None:
        """The spec of the index in memory or in the folder, which is opened (not read) by asking."""
        table = self._table
        if table is None:  # else without the lock, which a save may hold for long
            with self._lock:
                if self._closed:
                    raise ClosedError("this index was closed; open it again with load_run")
                if self._table is None:
                    self._open()
                table = self._table
        return None if table is None else table.spec

    def create(self, spec: Spec) -> None:
        """Make an empty index; nothing is written before ``save()``."""
        with self._lock:
            if self.describe() is not None:
                raise FileExistsError(f"there is an index already{f' in {self._folder.path}' if self._folder else ''}")
            self._table = Table(spec, empty_snapshot(spec.dim))

    def upsert(self, rows: Rows) -> None:
        """Write whole rows."""
        self._opened().upsert(rows)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows."""
        self._opened().delete(ids)

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Copies of the rows of these ids."""
        snapshot = self._opened().snapshot
        return snapshot.take(snapshot.find(ids), include)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        *,
        include: frozenset[Part],
        exact: bool,
        params: Mapping[str, Any],
    ) -> Hits:
        """The nearest rows, exactly, with their distances."""
        del exact, params  # it always is, and has none
        table = self._opened()
        snapshot = table.snapshot
        chosen = self._chosen(snapshot, where)
        search = _Search(snapshot, table.spec.metric, self.config, self._packed_rows(table, snapshot))
        if chosen is None and len(queries) <= _FEW_QUERIES and self._takes_all_cores:
            # Of the same snapshot: whoever waits holds it, so that no other has its id.
            hits = self._together.search((id(snapshot), k), queries, lambda some: search.nearest(some, k, None))
        else:
            hits = search.nearest(queries, k, chosen)
        return Hits([distances for distances, _ in hits], [snapshot.take(positions, include) for _, positions in hits])

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Copies of the rows as they were at the call, whatever is written meanwhile."""
        snapshot = self._opened().snapshot  # now, not at the first batch
        chosen = self._chosen(snapshot, where)
        positions = snapshot.live() if chosen is None else chosen
        return (
            snapshot.take(positions[start : start + batch_rows], include)
            for start in range(0, len(positions), batch_rows)
        )

    def count(self, where: Where | None = None) -> int:
        """The number of rows among ``where``."""
        snapshot = self._opened().snapshot
        chosen = self._chosen(snapshot, where)
        return snapshot.count if chosen is None else len(chosen)

    def drop(self) -> None:
        """Forget the rows, and delete the files that are ours."""
        with self._lock:
            if self._folder is not None:
                self._folder.remove()
            self._forget()

    def close(self) -> None:
        """Let go of the rows and files; what is unsaved is lost."""
        with self._lock:
            self._forget()
            self._closed = True

    def save(self) -> None:
        """Write all rows to the folder; raises ``StorageError`` where another process saved since this one opened it.

        What is written meanwhile by other threads is left to the next save.
        """
        with self._lock:
            if self._folder is None:
                raise InvalidInputError("this index lies in memory only: give it a key, or a path, to save it")
            table = self._opened()
            snapshot = table.snapshot
            if snapshot.version != self._saved_version:
                self._saved = self._folder.save(table.spec, snapshot, self._saved)
                self._saved_version = snapshot.version

    def reload(self) -> None:
        """Read the folder again; raises ``InvalidInputError`` where rows written here are not saved."""
        with self._lock:
            if self.unsaved:
                raise InvalidInputError("there are unsaved changes, which reload() would lose: save() them first")
            if self._folder is not None:
                self._open()

    def problems(self) -> list[str]:
        """What the checksums of all saved files say."""
        try:
            self.verify()
        except StorageError as error:
            return [str(error)]
        return []

    def verify(self) -> None:
        """Compare every saved byte with its checksum; raises ``CorruptDataError`` naming a damaged file."""
        if self._folder is not None:
            self._folder.verify()

    def matrix(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """All ids and vectors, the vectors read-only; without a copy of them where no row is dead."""
        snapshot = self._opened().snapshot
        if snapshot.alive is None:
            return list(snapshot.ids.look(0, len(snapshot))), snapshot.vectors
        positions = snapshot.live()
        vectors = snapshot.vectors[positions]
        vectors.flags.writeable = False
        return snapshot.ids.take(positions.tolist()), vectors

    def _opened(self) -> Table:
        table = self._table
        if table is None:
            self.describe()
            table = self._table
            if table is None:
                where = "in memory" if self._folder is None else f"in {self._folder.path}"
                raise FileNotFoundError(f"there is no index {where}")
        return table

    def _open(self) -> None:
        found = None if self._folder is None else self._folder.open()  # first: what is damaged changes nothing here
        self._forget()
        if found is not None:
            self._saved, snapshot = found
            self._saved_version = snapshot.version
            self._table = Table(self._saved.spec, snapshot)

    def _packed_rows(self, table: Table, snapshot: Snapshot) -> Packed | None:
        """The packed form that goes with a snapshot: of the same lineage, since compaction renumbers the rows."""
        known = self._packed
        if known is not None and known[0] is snapshot.lookup:
            return known[1]
        if snapshot.lookup is not table.snapshot.lookup:  # a reader of rows that were compacted meanwhile
            return None
        packed = Packed(table.spec.metric, kernel=self.config.kernel, max_bytes=self.config.packed_bytes)
        self._packed = (snapshot.lookup, packed)
        return packed

    def _forget(self) -> None:
        self._packed = None
        self._table = self._saved = self._saved_version = None
        self._masks = Masks()

    def _chosen(self, snapshot: Snapshot, where: Where | None) -> NDArray[np.int64] | None:
        """The positions that ``where`` names, ascending; ``None``: every live row."""
        if where is None or (where.ids is None and where.filter is None):
            return None
        positions = None if where.ids is None else snapshot.find(where.ids)
        if where.filter is None:
            return positions
        if positions is not None and len(positions) * 4 < len(snapshot):
            holds = predicate(where.filter)
            return positions[[holds(fields) for fields in snapshot.fields.take(positions.tolist())]]
        mask = self._masks.get(where.filter, snapshot)
        if positions is not None:
            return positions[mask[positions]]
        return np.flatnonzero(mask if snapshot.alive is None else mask & snapshot.alive)


class _Search:
    """Exact search of one snapshot; answers are pairs of distances and positions, a query each."""

    def __init__(self, snapshot: Snapshot, metric: str, config: SklearnConfig, packed: Packed | None) -> None:
        self._snapshot = snapshot
        self._settings: dict[str, Any] = {
            "metric": metric,
            "norms": snapshot.norms,
            "packed": packed,
            "kernel": config.kernel,
            "threads": config.threads,
        }

    def nearest(self, queries: NDArray[np.float32], k: int, chosen: NDArray[np.int64] | None) -> _Pairs:
        """The nearest of the live rows at the positions ``chosen`` (``None``: of all live rows).

        To leave the others out costs a copy of the chosen ones. Where those are a good part of all rows, to ask for a
        few more and drop the others does not, and is as exact: what remains are the nearest of the chosen. A query
        that comes out short, since its neighbours are not among the chosen, is asked again.
        """
        snapshot, total = self._snapshot, len(self._snapshot)
        count = snapshot.count if chosen is None else len(chosen)
        if count == total:
            return self._among(queries, k, None)
        if count <= _GOOD_PART * total:
            return self._among(queries, k, self._positions(chosen))
        wanted = min(k, count)
        enough = min(int(_SURPLUS * wanted * total / count) + _MORE, wanted + total - count)
        pairs = self._among(queries, enough, None)
        member = self._member(chosen)
        kept = [member[positions] for _, positions in pairs]
        pairs = [(d[keep][:wanted], p[keep][:wanted]) for (d, p), keep in zip(pairs, kept, strict=True)]
        short = [number for number, (_, positions) in enumerate(pairs) if len(positions) < wanted]
        if short:
            again = self._among(queries[short], wanted, self._positions(chosen))
            for number, pair in zip(short, again, strict=True):
                pairs[number] = pair
        return pairs

    def _positions(self, chosen: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Those of the chosen rows; ``None``: of the live ones."""
        return self._snapshot.live() if chosen is None else chosen

    def _member(self, chosen: NDArray[np.int64] | None) -> NDArray[np.bool_]:
        """Which of all rows are chosen; ``None``: which are live."""
        if chosen is None and self._snapshot.alive is not None:
            return self._snapshot.alive
        member = np.zeros(len(self._snapshot), dtype=np.bool_)
        member[self._positions(chosen)] = True
        return member

    def _among(self, queries: NDArray[np.float32], k: int, positions: NDArray[np.int64] | None) -> _Pairs:
        """The nearest of the rows at ``positions`` (``None``: of all, dead ones included)."""
        rows = self._snapshot.vectors
        wanted = min(k, len(rows) if positions is None else len(positions))
        if wanted == 0:
            return [(np.empty(0), np.empty(0, dtype=np.int64)) for _ in queries]
        distances, found = knn(queries, rows, wanted, positions=positions, **self._settings)
        return list(zip(distances, found, strict=True))


if TYPE_CHECKING:
    _Pair = tuple[NDArray[np.float64], NDArray[np.int64]]
    _Pairs = list[_Pair]
