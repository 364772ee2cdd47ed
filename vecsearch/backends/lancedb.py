"""LanceDB, embedded: a table in a folder or in an object store.

Every call sees the latest version of the table, whoever wrote it. From ``index_rows`` rows on there is a vector index,
made at the end of the write that comes there (or by ``index.wait()``, where that write was told not to wait). That may
take minutes, whatever the timeout is: the rows are in before, and other threads read and write meanwhile. If it fails,
a warning says so, and ``index.health()``; the write is no error. Without an index, and with ``exact=True``, a search
reads all vectors. Rows that are not in the index yet are searched as well.

Of an object store, a call is given up at the timeout, since the engine repeats each request up to five times, which no
option changes. It goes on in the background until then, so that a write that was given up may still come to be.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.db import LanceDBConnection
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from vecsearch.backends import _lance_index
from vecsearch.backends._clients import Client
from vecsearch.backends._lance_columns import DISTANCE, ID, VECTOR, Columns, schema_of, split
from vecsearch.backends._lance_faults import meaning, words
from vecsearch.backends._lance_filters import compiled, named
from vecsearch.backends._lance_search import checked, scales_of, tuned
from vecsearch.backends.base import (
    Backend,
    BackendConfig,
    Capabilities,
    GivenClient,
    Hits,
    Identity,
    Names,
    Rows,
    Score,
    Spec,
)
from vecsearch.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault, Part, Where

logger = logging.getLogger("vecsearch")
_MARK = b"vecsearch"
_MEMORY = "memory://"
_NOW = timedelta(0)
_KEEP_UP_ROWS, _KEEP_UP_WRITES = 1000, 50
_BARE = Columns(pa.schema([]))


class LanceConfig(BackendConfig):
    """The settings of the LanceDB backend."""

    elsewhere: ClassVar[frozenset[str]] = frozenset({"uri", "client"})

    index_name: Annotated[str | None, Identity()] = Field(
        None, validation_alias=AliasChoices("index_name", "table_name"), description="the name of the table"
    )
    path: str | None = Field(None, description="a folder of tables")
    uri: _lance_index.Place | None = Field(
        None, description='a folder, or tables in an object store: "s3://bucket/path"'
    )
    client: GivenClient = Field(None, description="a connection of your own, from lancedb.connect; never closed")
    storage_options: dict[str, SecretStr] = Field(
        default_factory=dict, description="of the object store: keys, region, endpoint"
    )
    index_rows: int = Field(100_000, ge=1, description="from how many rows on there is a vector index")
    index_type: _lance_index.Type = Field("IVF_FLAT", description="which vector index; NONE: every search is exact")
    num_partitions: int | None = Field(None, ge=1, description="partitions (IVF)")
    target_partition_size: int | None = Field(None, ge=1, description="rows of a partition (IVF)")
    max_iterations: int | None = Field(None, ge=1, description="iterations of k-means (IVF)")
    sample_rate: int | None = Field(None, ge=1, description="rows a centroid that k-means is trained on (IVF)")
    num_sub_vectors: int | None = Field(None, ge=1, description="parts of a vector (PQ)")
    num_bits: int | None = Field(None, ge=1, le=8, description="bits of a part (PQ: 4 or 8) or of a number (RQ)")
    m: int | None = Field(None, ge=2, description="neighbours of a node (HNSW)")
    ef_construction: int | None = Field(None, ge=1, description="candidates while the graph is built (HNSW)")
    keep_seconds: float = Field(3600, ge=0, description="how long versions of the table that were replaced are kept")

    @field_validator("client")
    @classmethod
    def _is_a_client(cls, client: Any) -> Any:
        if client is not None and not isinstance(client, LanceDBConnection):
            raise ValueError(
                f"must be what lancedb.connect returns for a folder or a store, not {type(client).__name__}"
            )
        return client

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if sum(place is not None for place in (self.path, self.uri, self.client)) > 1:
            raise ValueError("give one of path, uri and client")
        wrong = _lance_index.refused(self)
        if wrong:
            raise ValueError(wrong)
        return self

    @property
    def folder(self) -> Path | None:
        """Where the tables lie, if it is in this file system."""
        place = self.path or self.uri
        return None if place is None or "://" in place else Path(place).expanduser()

    def connect(self) -> Any:
        """A connection whose tables are always the latest."""
        if self.folder is not None:
            return lancedb.connect(self.folder, read_consistency_interval=_NOW)
        options = {name: value.get_secret_value() for name, value in self.storage_options.items()}
        uri = self.uri or _MEMORY
        if uri != _MEMORY:  # so that calls to a store that does not answer, which were given up, end at last
            # One call is several requests, each of which the engine repeats; the call itself is repeated as well.
            seconds = max(1, round(self.timeout / 4))
            options = {"timeout": f"{seconds}s", "client_max_retries": "0", **options}
        return lancedb.connect(uri, read_consistency_interval=_NOW, storage_options=options)


class LanceBackend(Backend[LanceConfig]):
    """One table of LanceDB."""

    name: ClassVar[str] = "lancedb"
    Config: ClassVar[type[BackendConfig]] = LanceConfig
    capabilities = Capabilities(
        metrics={"cosine": Score.DISTANCE, "euclidean": Score.SQUARED, "dotproduct": Score.ONE_MINUS},
        exactness="on_request",
        max_hits=10_000,
        max_filter_ids=10_000,
        batch_rows=10_000,
        batch_bytes=64 << 20,
        index_names=Names(characters="A-Za-z0-9_.-", first="A-Za-z0-9_-", longest=249),
        metadata_types=frozenset({"str", "int", "float", "bool", "list"}),
    )
    errors: ClassVar[Mapping[type[Exception], Fault]] = {OSError: "storage"}
    search_params: ClassVar[frozenset[str]] = frozenset(
        {"nprobes", "minimum_nprobes", "maximum_nprobes", "ef", "refine_factor"}
    )

    def __init__(self, config: LanceConfig) -> None:
        super().__init__(config)
        self._index = config.index_name or "vecsearch"
        self._client = Client(config.client, config.connect, lambda _: None)
        self._handle: Any = None
        self._writing, self._keeping = threading.Lock(), threading.Lock()
        self._unkept_rows = self._unkept_writes = _KEEP_UP_ROWS  # the first write of an object looks after the table
        if config.index_type == "NONE":
            self.capabilities = replace(self.capabilities, exactness="always")
        stored = "://" in self._place and not self._in_memory  # of its calls, queries and merges alone have a deadline
        self.capabilities = replace(self.capabilities, durable=not self._in_memory, ends_in_time=not stored)

    def fault(self, error: Exception) -> Fault | None:
        """By its text: there are no classes of errors."""
        return meaning(str(error))

    def reason(self, error: Exception) -> str:
        """Without the place in the engine's source."""
        return words(str(error))

    @property
    def client(self) -> Any:
        """The connection, opened when first needed."""
        return self._client.get()

    @property
    def _place(self) -> str:
        client = self.config.client
        return str(client.uri if client is not None else self.config.uri or "")

    @property
    def _in_memory(self) -> bool:
        return self._place.startswith(_MEMORY)

    # ---- life cycle

    def describe(self) -> Spec | None:
        """What the table's schema says; of a table that others made, the metric is that of its vector index."""
        folder = self.config.folder
        self._handle = None
        if folder is not None and not folder.is_dir():
            return None  # a connection would make it
        try:
            table = self._table()
        except Exception as error:
            if self.fault(error) == "not_found":
                return None
            raise
        schema = table.schema
        marks = (schema.metadata or {}).get(_MARK)
        if marks is not None:
            mark = json.loads(marks)
            return self._settled(Spec(_width(schema) or 0, mark["metric"], mark["patches"]))
        dim = _width(schema)
        if dim is None:
            raise UnsupportedError(
                f"lancedb: {self._index!r} was not made by vecsearch, and has no column 'id' of texts"
                " and 'vector' of fixed-size lists of float32"
            )
        found = _lance_index.of_vectors(table)
        distance = "" if found is None else table.index_stats(found.name).distance_type
        if distance not in _lance_index.METRICS:
            raise UnsupportedError(
                f"lancedb: {self._index!r} was not made by vecsearch, and has no vector index that tells its metric"
            )
        return self._settled(Spec(dim, _lance_index.METRICS[distance], ours=False))

    def create(self, spec: Spec) -> None:
        """Make an empty table, with our mark in its schema."""
        self._handle = self.client.create_table(self._index, schema=self._schema(spec))
        self._settled(spec)

    def create_with(self, spec: Spec, rows: Rows) -> None:
        """Make a table of these rows, in its first version: no key is looked up, which takes as long as the rest."""
        bare = self._schema(spec)
        schema = pa.schema([*bare, *Columns(bare).missing(rows.fields or [])], bare.metadata)
        self._handle = self.client.create_table(self._index, Columns(schema).table(rows), schema=schema)
        self._settled(spec)
        self._unkept_rows += len(rows)

    def _schema(self, spec: Spec) -> pa.Schema:
        _lance_index.check_width(self.config, spec.dim)
        mark = json.dumps({"version": 1, "metric": spec.metric, "patches": spec.patches})
        return schema_of(spec.dim, mark.encode())

    def _settled(self, spec: Spec) -> Spec:
        # 1 - <x, y> in float32 has no digits left where the product is small: it is computed again from the rows.
        self.capabilities = replace(self.capabilities, true_distances=spec.metric != "dotproduct")
        return spec

    def drop(self) -> None:
        """Delete the table."""
        folder = self.config.folder
        self._handle = None
        if folder is None or folder.is_dir():
            try:
                self.client.drop_table(self._index)
            except ValueError as error:
                if self.fault(error) != "not_found":
                    raise

    def save(self) -> None:
        """Nothing to do where each write is stored; refused where none can be."""
        if self._in_memory:
            raise InvalidInputError("this index lies in memory only: give it a key, a path or a uri")

    def visible(self, written: Sequence[str], deleted: Sequence[str]) -> bool:
        """Always; but first the table is kept up, where enough was written or asked for, and nobody else is at it."""
        due = self._unkept_rows >= min(_KEEP_UP_ROWS, self.config.index_rows) or self._unkept_writes >= _KEEP_UP_WRITES
        if (due or not (written or deleted)) and self._keeping.acquire(blocking=False):
            try:
                self._unkept_rows = self._unkept_writes = 0
                _lance_index.keep_up(self._table(), self.config, self._known.metric)
            except Exception as error:  # noqa: BLE001  the rows are written and found all the same
                # What is missing is found by problems(), and tried again after more writes.
                logger.warning("lancedb: %r: keeping the table up failed: %s", self._index, self.reason(error))
            finally:
                self._keeping.release()
        return True

    def problems(self) -> list[str]:
        """Whether the vector index is there."""
        if _lance_index.wanted(self._table(), self.config):
            return [
                f"there is no vector index, although there are {self.config.index_rows} rows: index.wait() makes it"
            ]
        return []

    def close(self) -> None:
        """Let go of the table and of the connection."""
        self._handle = None
        self._client.close()

    # ---- rows

    def upsert(self, rows: Rows) -> None:
        """Replace whole rows, in one version of the table."""
        with self._writing:  # two at once would only make one of them start again
            table = self._table()
            columns = Columns(table.schema, ours=self._known.ours)
            missing = columns.missing(rows.fields or [])
            if missing:
                table.add_columns(pa.schema(missing))
                columns = Columns(table.schema, ours=self._known.ours)
            merge = table.merge_insert(ID).when_matched_update_all().when_not_matched_insert_all()
            merge.execute(columns.table(rows), timeout=self._time)
            self._unkept_rows += len(rows)
            self._unkept_writes += 1

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows."""
        with self._writing:
            self._table().delete(named(ids))
            self._unkept_writes += 1

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Rows by id."""
        table = self._table()
        columns = self._columns(table, include)
        found = table.search().where(named(ids)).select(columns.read(include)).to_arrow(timeout=self._time)
        return columns.rows(found, include, self._known.dim)

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
        """All queries in one plan; the filter comes before the search."""
        table = self._table()
        columns = self._columns(table, include, where)
        exact = exact or self.config.index_type == "NONE"
        metric = self._known.metric
        scales = scales_of(queries) if exact and metric == "dotproduct" else None
        asked = queries if scales is None else queries * scales[:, None]
        search = table.search(asked if len(asked) > 1 else asked[0], vector_column_name=VECTOR)
        search = search.distance_type(_lance_index.DISTANCES[metric]).limit(k)
        search = search.select([*columns.read(include), DISTANCE])
        params = checked(params)
        quantised = not self.config.index_type.endswith("FLAT")
        search = search.bypass_vector_index() if exact else tuned(search, params, k, quantised=quantised)
        condition = compiled(where, columns, ours=self._known.ours)
        if condition is not None:
            search = search.where(condition, prefilter=True)
        # Not to_arrow, which would read the schema once more, to see whether rows hold files.
        answers = split(search.to_batches(timeout=self._time).read_all(), len(queries))
        scores = [answer.column(DISTANCE).to_numpy().astype(np.float64) for answer in answers]
        if scales is not None:
            scores = [1.0 - (1.0 - score) / scale for score, scale in zip(scores, scales.tolist(), strict=True)]
        return Hits(scores, [columns.rows(answer, include, self._known.dim) for answer in answers])

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Every row of the version that is the latest now."""
        table = self._table()
        columns = self._columns(table, include, where)
        search = table.search().select(columns.read(include))
        condition = compiled(where, columns, ours=self._known.ours)
        if condition is not None:
            search = search.where(condition)
        dim = self._known.dim
        return (
            columns.rows(batch.slice(start, batch_rows), include, dim)
            for batch in search.to_batches(batch_rows)
            for start in range(0, len(batch), batch_rows)
        )

    def count(self, where: Where | None = None) -> int:
        """The exact number of rows."""
        table = self._table()
        return int(table.count_rows(compiled(where, self._columns(table, frozenset(), where), ours=self._known.ours)))

    @property
    def _known(self) -> Spec:
        spec = self.spec or self.describe()
        if spec is None:
            raise ValueError(f"Table '{self._index}' was not found")
        return spec

    @property
    def _time(self) -> timedelta:
        return timedelta(seconds=self.config.timeout)

    def _table(self) -> Any:
        """The table in its latest version."""
        handle = self._handle
        if handle is None:
            handle = self._handle = self.client.open_table(self._index)
        if self.client.read_consistency_interval != _NOW:  # a connection that was given
            handle.checkout_latest()
        return handle

    def _columns(self, table: Any, include: frozenset[Part], where: Where | None = None) -> Columns:
        """The columns that these parts and this filter need to know of; to read the schema takes 0.1 ms."""
        if include <= {"vectors"} and (where is None or where.filter is None):
            return _BARE
        return Columns(table.schema, ours=self._known.ours)


def _width(schema: pa.Schema) -> int | None:
    """The width of the vectors; ``None`` where a table has no ids or vectors as ours are."""
    if not {ID, VECTOR} <= set(schema.names) or schema.field(ID).type != pa.string():
        return None
    held = schema.field(VECTOR).type
    known = pa.types.is_fixed_size_list(held) and held.value_type == pa.float32()
    return int(held.list_size) if known else None
