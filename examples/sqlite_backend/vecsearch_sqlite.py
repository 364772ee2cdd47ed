"""SQLite as a backend of vecsearch: an example of an adapter that lives in a distribution of its own.

Three tables hold any number of indexes. A metadata value is one row of ``field``, in SQLite's own types: JSON text
would be shorter, but its functions cut texts at NUL and round floats on some machines, and filters must be exact.
"""

from __future__ import annotations

import json
import sqlite3
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vecsearch.backends import Backend, BackendConfig, Capabilities, Hits, Rows, Score, Spec, Where
from vecsearch.core import knn
from vecsearch.filters import And, Condition, Filter, Or, kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault, Part

_SCHEMA = """
CREATE TABLE IF NOT EXISTS collection (name TEXT PRIMARY KEY, dim INTEGER, metric TEXT, patches INTEGER, maker TEXT);
CREATE TABLE IF NOT EXISTS item (collection TEXT, id TEXT, vector BLOB NOT NULL, document TEXT,
    PRIMARY KEY (collection, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS field (collection TEXT, id TEXT, name TEXT, kind TEXT NOT NULL, value NOT NULL,
    PRIMARY KEY (collection, id, name)) WITHOUT ROWID;
"""
_NAMED = " AND id IN (SELECT value FROM json_each(?))"
_SIGNS = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "in": "IN", "not_in": "NOT IN"}


class SQLiteConfig(BackendConfig):
    """The settings of the SQLite backend."""

    path: str | None = None
    """The database file; it may hold other indexes and other tables."""


class _NoIndexError(LookupError):
    pass


class SQLiteBackend(Backend[SQLiteConfig]):
    """One index in a SQLite file, searched by brute force."""

    name: ClassVar[str] = "sqlite"
    Config: ClassVar[type[BackendConfig]] = SQLiteConfig
    capabilities = Capabilities(
        metrics={"cosine": Score.SIMILARITY, "euclidean": Score.SQUARED, "dotproduct": Score.SIMILARITY},
        filter_operators=frozenset({*_SIGNS, "exists", "not"}),
        max_k=100,
        max_filter_ids=500,
        batch_rows=200,
        batch_bytes=1 << 20,
        metadata_types=frozenset({"str", "int", "float", "bool"}),
        thread_safe=False,
    )
    errors: ClassVar[Mapping[type[Exception], Fault]] = {
        sqlite3.DatabaseError: "storage",
        sqlite3.IntegrityError: "exists",  # the one constraint that a call can break is that of create
        _NoIndexError: "not_found",
        OSError: "storage",
    }

    def __init__(self, config: SQLiteConfig) -> None:
        super().__init__(config)
        self._index = config.index_name or "vecsearch"
        self._connection: sqlite3.Connection | None = None

    @property
    def client(self) -> sqlite3.Connection:
        """The connection, opened when first needed."""
        if self._connection is None:
            path = self.config.path or ":memory:"
            if self.config.path:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            # thread_safe=False has vecsearch make one call at a time, but not always from the same thread.
            self._connection = sqlite3.connect(path, timeout=self.config.timeout, check_same_thread=False)
            self._connection.executescript(_SCHEMA)
        return self._connection

    def describe(self) -> Spec | None:
        """The row of this index in the table of indexes."""
        found = self.client.execute("SELECT dim, metric, patches, maker FROM collection WHERE name = ?", [self._index])
        row = found.fetchone()
        self.spec = None if row is None else Spec(row[0], row[1], bool(row[2]), row[3] == "vecsearch")
        return self.spec

    def create(self, spec: Spec) -> None:
        """Add this index to the table of indexes."""
        row = (self._index, spec.dim, spec.metric, spec.patches, "vecsearch")
        with self.client as transaction:
            transaction.execute("INSERT INTO collection VALUES (?, ?, ?, ?, ?)", row)
        self.spec = spec

    def upsert(self, rows: Rows) -> None:
        """Replace whole rows, their fields and documents included, in one transaction."""
        assert rows.vectors is not None  # noqa: S101  what is written is always whole
        documents = rows.documents or [None] * len(rows)
        items = zip(rows.ids, rows.vectors, documents, strict=True)
        values = [
            (self._index, row_id, name, kind(value), value)
            for row_id, fields in zip(rows.ids, rows.fields or [], strict=rows.fields is not None)
            for name, value in fields.items()
        ]
        with self.client as transaction:
            self._known()
            self._delete("field", rows.ids)
            transaction.executemany(
                "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)",
                ((self._index, row_id, vector.astype("<f4").tobytes(), document) for row_id, vector, document in items),
            )
            transaction.executemany("INSERT INTO field VALUES (?, ?, ?, ?, ?)", values)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows and their fields in one transaction."""
        with self.client:
            self._known()
            self._delete("field", ids)
            self._delete("item", ids)

    def _delete(self, table: str, ids: Sequence[str]) -> None:
        # The table's name is one of ours; everything from outside is a parameter.
        self.client.execute(f"DELETE FROM {table} WHERE collection = ?{_NAMED}", [self._index, _json(ids)])  # noqa: S608

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Rows by id."""
        return self._rows(self._select(Where(ids=ids), include).fetchall(), include)

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
        """Rank every candidate exactly; their vectors must fit into memory."""
        del exact, params  # every search is exact, and there is nothing to tune
        candidates = self._rows(self._select(where, frozenset({"vectors"})).fetchall(), frozenset({"vectors"}))
        if not len(candidates):
            return Hits([np.empty(0)] * len(queries), [self._rows([], include) for _ in queries])
        metric = self._known().metric
        distances, positions = knn(queries, candidates.vectors, k, metric)  # type: ignore[arg-type]  # asked for
        scores = {"cosine": 1.0 - distances, "euclidean": distances**2, "dotproduct": -distances}[metric]
        found = self.fetch([candidates.ids[p] for p in np.unique(positions)], include)
        place = {row_id: p for p, row_id in enumerate(found.ids)}
        return Hits(list(scores), [found.take([place[candidates.ids[p]] for p in row]) for row in positions])

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Every row in ascending order of ids, each batch a query of its own, so that writes may come between."""
        last = ""
        while records := self._select(where, include, after=last, limit=batch_rows).fetchall():
            yield self._rows(records, include)
            last = records[-1][0]

    def count(self, where: Where | None = None) -> int:
        """How many rows."""
        condition, parameters = self._where(where)
        answer = self.client.execute(f"SELECT count(*) FROM item WHERE {condition}", parameters)  # noqa: S608
        return int(answer.fetchone()[0])

    def drop(self) -> None:
        """Delete this index; the file stays, because it may hold others."""
        with self.client as transaction:
            for statement in (
                "DELETE FROM field WHERE collection = ?",
                "DELETE FROM item WHERE collection = ?",
                "DELETE FROM collection WHERE name = ?",
            ):
                transaction.execute(statement, [self._index])
        self.spec = None

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _known(self) -> Spec:
        """What this index is; read anew, since another program may have deleted it, or made another in its place."""
        known = self.spec
        spec = self.describe()
        self.spec = known or spec
        if spec is None or spec != self.spec:
            raise _NoIndexError(f"there is no index {self._index!r} in {self.config.path}, or it was made anew")
        return spec

    def _select(
        self, where: Where | None, include: frozenset[Part], *, after: str = "", limit: int = -1
    ) -> sqlite3.Cursor:
        condition, parameters = self._where(where)
        columns = (
            f"id, {'vector' if 'vectors' in include else 'NULL'}, {'document' if 'documents' in include else 'NULL'}"
        )
        query = f"SELECT {columns} FROM item WHERE {condition} AND id > ? ORDER BY id LIMIT ?"  # noqa: S608
        return self.client.execute(query, [*parameters, after, limit])

    def _rows(self, records: Sequence[tuple[Any, ...]], include: frozenset[Part]) -> Rows:
        rows = Rows([record[0] for record in records])
        if "vectors" in include:
            flat = np.frombuffer(b"".join(record[1] for record in records), dtype="<f4")
            rows.vectors = flat.astype(np.float32).reshape(len(records), self._known().dim)
        if "documents" in include:
            rows.documents = [record[2] for record in records]
        if "fields" in include:
            query = f"SELECT id, name, kind, value FROM field WHERE collection = ?{_NAMED} ORDER BY id"  # noqa: S608
            values = self.client.execute(query, [self._index, _json(rows.ids)])
            found = {
                row_id: {v[1]: bool(v[3]) if v[2] == "bool" else v[3] for v in group}
                for row_id, group in groupby(values, key=itemgetter(0))
            }
            rows.fields = [found.get(row_id, {}) for row_id in rows.ids]
        return rows

    def _where(self, where: Where | None) -> tuple[str, list[Any]]:
        self._known()
        condition, parameters = "collection = ?", [self._index]
        if where is not None and where.ids is not None:
            condition += _NAMED
            parameters.append(_json(where.ids))
        if where is not None and where.filter is not None:
            condition += f" AND {compile_filter(where.filter, parameters)}"
        return condition, parameters


def compile_filter(tree: Filter, parameters: list[Any]) -> str:
    """A filter in normal form as a condition on ``item``; names and values go into ``parameters``, never into the text.

    ``EXISTS`` is true or false, never NULL: so a missing field and a value of another kind are false, and ``NOT`` is
    the plain complement.
    """
    match tree:
        case And(parts) | Or(parts) if len(parts) > 1:
            # Halved, because SQLite refuses expressions that are a thousand levels deep.
            halves = type(tree)(parts[: len(parts) // 2]), type(tree)(parts[len(parts) // 2 :])
            joint = " AND " if isinstance(tree, And) else " OR "
            return f"({joint.join([compile_filter(half, parameters) for half in halves])})"
        case And((part,)) | Or((part,)):
            return compile_filter(part, parameters)
        case Condition(name, op, _, negated):
            test = "f.collection = item.collection AND f.id = item.id AND f.name = ?"
            parameters.append(name)
            if op != "exists":
                marks = ", ".join("?" * len(tree.members))
                test += f" AND f.kind = ? AND f.value {_SIGNS[op]} ({marks})"
                parameters += [kind(tree.members[0]), *tree.members]
            return f"{'NOT ' if negated else ''}EXISTS (SELECT 1 FROM field AS f WHERE {test})"  # noqa: S608
    raise NotImplementedError(f"{tree!r} is not in normal form")


def _json(ids: Sequence[str]) -> str:
    return json.dumps(list(ids))
