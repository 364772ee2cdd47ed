"""Qdrant: a server over REST or gRPC, or the client's own local mode, in memory or in a folder.

Ids become UUIDs (the id itself lies in the payload), and under cosine the server keeps unit vectors (the length lies in
the payload). Writes are sent with ``wait=True``: when one returns, later calls see it.

The local mode is exact, and meant for small data and for tests. It takes one process at a time, and keeps rows in a
folder as pickles: open no folder from a source that you do not trust.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from qdrant_client import QdrantClient, models

from vecsearch.backends import _named, _qdrant_clients, _qdrant_faults
from vecsearch.backends._qdrant_clients import MEMORY, Url
from vecsearch.backends._qdrant_filters import compiled
from vecsearch.backends._qdrant_rows import (
    batch_of,
    native_id,
    payload_selector,
    point_ids,
    rows_of,
    scores_of,
    search_options,
)
from vecsearch.backends.base import (
    FILTER_OPERATORS,
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

    import numpy as np
    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault, Metric, Part, Where

_MARK = "vecsearch"
_KNOWN = "vecsearch knows single vectors under Cosine, Euclid and Dot"
_DISTANCES: Mapping[Metric, models.Distance] = {
    "cosine": models.Distance.COSINE,
    "euclidean": models.Distance.EUCLID,
    "dotproduct": models.Distance.DOT,
}
_METRICS = {distance: metric for metric, distance in _DISTANCES.items()}
_ONE_PLACE = "give one of url, host and path"


class QdrantConfig(BackendConfig):
    """The settings of the Qdrant backend.

    With none of ``url``, ``host``, ``path`` and ``client`` the rows lie in a folder of the run, or in memory where no
    run is recorded.
    """

    elsewhere: ClassVar[frozenset[str]] = frozenset({"url", "host", "client"})

    index_name: Annotated[str | None, Identity()] = Field(
        None, validation_alias=AliasChoices("index_name", "collection_name"), description="the name of the collection"
    )
    vector_name: Annotated[str | None, Identity()] = Field(
        None, description="which vector of a collection that has several"
    )
    url: Url | None = Field(None, description='the server, "http://localhost:6333"; or ":memory:"')
    host: str | None = Field(None, description="the server's name, instead of a url")
    path: str | None = Field(None, description="a folder for the client's local mode; one process at a time")
    client: GivenClient = Field(None, description="a qdrant_client.QdrantClient of your own, which is never closed")
    port: int | None = Field(None, ge=1, le=65535, description="of REST; 6333 where none is given")
    grpc_port: int | None = Field(None, ge=1, le=65535, description="of gRPC; 6334 where none is given")
    prefer_grpc: bool = Field(default=False, description="talk gRPC instead of REST")
    https: bool | None = Field(None, description="encrypted; by default where there is a key")
    prefix: str | None = Field(None, description="a path in front of every REST call")
    api_key: SecretStr | None = Field(None, description="the key of the server")
    shard_number: int | None = Field(None, ge=1, description="shards of a new collection")
    replication_factor: int | None = Field(None, ge=1, description="copies of each shard of a new collection")
    write_consistency_factor: int | None = Field(None, ge=1, description="copies that must confirm a write")
    hnsw_config: models.HnswConfigDiff | None = Field(None, description="the graph of a new collection")
    optimizers_config: models.OptimizersConfigDiff | None = Field(
        None, description="the optimizers of a new collection"
    )
    wal_config: models.WalConfigDiff | None = Field(None, description="the write-ahead log of a new collection")
    quantization_config: models.QuantizationConfig | None = Field(
        None, description="the quantisation of a new collection"
    )
    on_disk: bool | None = Field(None, description="vectors of a new collection on disk instead of in memory")
    on_disk_payload: bool | None = Field(None, description="metadata of a new collection on disk")
    payload_indexes: dict[str, models.PayloadSchemaType] = Field(
        default_factory=dict, description="metadata fields of a new collection that get an index, and their types"
    )

    @field_validator("client")
    @classmethod
    def _is_a_client(cls, client: Any) -> Any:
        if client is not None and not isinstance(client, QdrantClient):
            raise ValueError(f"must be a qdrant_client.QdrantClient, not {type(client).__name__}")
        return client

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        if sum(place is not None for place in (self.url, self.host, self.path)) > 1:
            raise ValueError(_ONE_PLACE)
        return self

    @property
    def in_memory(self) -> bool:
        """Whether the rows end with the client."""
        if self.client is not None:
            return _qdrant_clients.in_memory(self.client)
        return self.url == MEMORY or self.wants_path

    @property
    def is_local(self) -> bool:
        """Whether the client's local mode is meant, not a server."""
        if self.client is not None:
            return _qdrant_clients.is_local(self.client)
        return self.in_memory or self.path is not None


class QdrantBackend(Backend[QdrantConfig]):
    """One collection of Qdrant."""

    name: ClassVar[str] = "qdrant"
    Config: ClassVar[type[BackendConfig]] = QdrantConfig
    # What any collection of any server does; an instance says more of its own.
    capabilities = Capabilities(
        metrics={"cosine": Score.SIMILARITY, "euclidean": Score.DISTANCE, "dotproduct": Score.SIMILARITY},
        exactness="on_request",
        true_distances=False,
        filter_operators=FILTER_OPERATORS - {"exists"},
        strict_operators=FILTER_OPERATORS - {"ne", "not_in"},
        complements_absent=True,
        orders_texts=False,
        max_hits=10_000,
        max_filter_ids=10_000,
        batch_rows=1000,
        batch_bytes=4 << 20,  # a request takes 32 MiB, and a float up to 20 bytes of JSON
        index_names=Names(characters=r'^<>:"/\\|?*\x00\x1f', first=r'^.<>:"/\\|?*\x00\x1f'),
        metadata_types=frozenset({"str", "int", "float", "bool", "list"}),
        max_int=2**53,  # ranges are of float64
        id_form="uuid",
        normalises=frozenset({"cosine"}),
        thread_safe=False,
    )
    errors: ClassVar[Mapping[type[Exception], Fault]] = {sqlite3.Error: "storage", OSError: "storage"}
    search_params: ClassVar[frozenset[str]] = frozenset({"hnsw_ef", "quantization", "indexed_only", "acorn"})

    def __init__(self, config: QdrantConfig) -> None:
        super().__init__(config)
        self._index = config.index_name or _MARK
        self._local = config.is_local
        self._client = _qdrant_clients.of(config)
        self._vector = config.vector_name
        if self._local:
            own: dict[str, Any] = {"exactness": "always", "max_filter_ids": None, "durable": not config.in_memory}
        else:
            own = {"thread_safe": True}
        self.capabilities = replace(self.capabilities, true_distances=config.quantization_config is None, **own)

    def fault(self, error: Exception) -> Fault | None:
        """By the status of an answer, or by the text of the local mode."""
        return _qdrant_faults.meaning(error)

    def reason(self, error: Exception) -> str:
        """The server's own words."""
        return _qdrant_faults.words(error)

    @property
    def client(self) -> QdrantClient:
        """The client, opened when first needed."""
        return self._client.get()

    @contextmanager
    def _turn(self) -> Iterator[QdrantClient]:
        """The client, alone where it cannot be shared."""
        client = self.client
        with _qdrant_clients.lock_of(client):
            yield client

    # ---- life cycle

    def describe(self) -> Spec | None:
        """The collection's own configuration, and the mark that vecsearch left in its metadata."""
        try:
            with self._turn() as client:
                config = client.get_collection(self._index).config
        except Exception as error:
            if self.fault(error) == "not_found":
                return None
            raise
        self._vector, params = self._vector_of(config.params.vectors)
        if params.distance not in _METRICS or params.multivector_config is not None:
            raise UnsupportedError(f"qdrant: {self._index!r} compares by {params.distance.value}; {_KNOWN}")
        quantised = config.quantization_config or params.quantization_config
        rounded = params.datatype not in (None, models.Datatype.FLOAT32)
        self.capabilities = replace(self.capabilities, true_distances=not (quantised or rounded))
        mark = (config.metadata or {}).get(_MARK)
        return Spec(params.size, _METRICS[params.distance], bool(mark and mark["patches"]), ours=mark is not None)

    def _vector_of(self, vectors: Any) -> tuple[str | None, models.VectorParams]:
        """The vector that is meant, where a collection may have several."""
        if isinstance(vectors, models.VectorParams):
            return None, vectors
        named: dict[str, models.VectorParams] = vectors or {}
        name = self._vector or next(iter(named), "")
        if name not in named or (len(named) > 1 and self.config.vector_name is None):
            known = ", ".join(map(repr, named)) or "none that are dense"
            raise InvalidInputError(f"qdrant: {self._index!r} has several vectors: {known}; say which by vector_name=")
        return name, named[name]

    def create(self, spec: Spec) -> None:
        """Make the collection, with our mark in its metadata."""
        config = self.config
        vector = models.VectorParams(size=spec.dim, distance=_DISTANCES[spec.metric], on_disk=config.on_disk)
        names = (
            *("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload"),
            *("hnsw_config", "optimizers_config", "wal_config", "quantization_config"),
        )
        options = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
        with self._turn() as client:
            client.create_collection(
                self._index,
                vectors_config=vector if config.vector_name is None else {config.vector_name: vector},
                metadata={_MARK: {"version": 1, "patches": spec.patches}},
                **options,
            )
        if self._local:
            return
        if not (found := self.describe()) or not found.ours:
            self.drop()
            raise UnsupportedError("qdrant: this server keeps no metadata of a collection; 1.16 and later do")
        for field, kind in config.payload_indexes.items():
            self.client.create_payload_index(self._index, field, field_schema=kind, wait=True)

    def drop(self) -> None:
        """Delete the collection."""
        try:
            with self._turn() as client:
                client.delete_collection(self._index)
        except Exception as error:
            if self.fault(error) != "not_found":
                raise

    def save(self) -> None:
        """Nothing to do where each write is stored; refused where none can be."""
        if self.config.in_memory:
            raise InvalidInputError("this index lies in memory only: give it a key, a path or a server's url")

    def problems(self) -> list[str]:
        """What the server says of the collection."""
        with self._turn() as client:
            info = client.get_collection(self._index)
        found = []
        if info.status is models.CollectionStatus.RED:
            found.append("the status of the collection is red: some operations have failed")
        if isinstance(info.optimizer_status, models.OptimizersStatusOneOf1):
            found.append(f"the optimizer has failed: {info.optimizer_status.error}")
        return found

    def close(self) -> None:
        """Close the client, if it is ours; a folder's when nobody else in this process uses it."""
        self._client.close()

    # ---- rows

    def upsert(self, rows: Rows) -> None:
        """Replace whole points; returns when they are applied."""
        ids: list[Any] = list(rows.ids)
        if not self._ours:
            ids = [native_id(row_id) for row_id in ids]
            if None in ids:
                wrong = rows.ids[ids.index(None)]
                raise InvalidInputError(
                    f"qdrant: {wrong!r} is neither a UUID nor an integer, as ids must be in a collection that was not "
                    "made by vecsearch"
                )
        with self._turn() as client:
            client.upsert(self._index, batch_of(rows, ids, self._vector), wait=True)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; returns when they are gone."""
        points = point_ids(ids, ours=self._ours)
        if points:
            with self._turn() as client:
                client.delete(self._index, models.PointIdsList(points=points), wait=True)

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Points by id."""
        with self._turn() as client:
            found = client.retrieve(
                self._index,
                point_ids(ids, ours=self._ours),
                **self._asked(include),
            )
        return self._rows(found, include)

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
        """All queries in one request."""
        options = search_options(params, exact=exact)  # not for the local mode, which searches exactly
        if self._local and where is not None and where.ids is not None:
            # There a filter by ids looks each point up in the whole list: 100,000 ids would take minutes.
            metric = self._known.metric
            return _named.nearest(self.fetch, queries, k, where, include, metric, self.capabilities.metrics[metric])
        selection, parts = compiled(where, ours=self._ours), self._asked(include)
        asked: dict[str, Any] = {"using": self._vector, "limit": k}
        client = self.client
        with _qdrant_clients.lock_of(client):  # as in a turn, at a fifth of its price
            if self._local:  # which would copy each request of a batch, number by number
                asked |= {"query_filter": selection, **parts}
                answers = [client.query_points(self._index, query, **asked) for query in queries.tolist()]
            else:
                asked |= {"filter": selection, "params": options, "with_payload": parts["with_payload"]}
                asked |= {"with_vector": parts["with_vectors"]}
                requests = [models.QueryRequest(query=query, **asked) for query in queries.tolist()]
                answers = client.query_batch_points(self._index, requests)
        found = [answer.points for answer in answers]
        return Hits([scores_of(points) for points in found], [self._rows(points, include) for points in found])

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Every point, page by page in the order of ids, so that writes may come between."""
        if self._local and where is not None and where.ids is not None:
            yield from _named.named(self.fetch, where, include, batch_rows)
            return
        offset = None
        while True:
            with self._turn() as client:
                found, offset = client.scroll(
                    self._index,
                    scroll_filter=compiled(where, ours=self._ours),
                    limit=batch_rows,
                    offset=offset,
                    **self._asked(include),
                )
            yield self._rows(found, include)
            if offset is None:
                return

    def count(self, where: Where | None = None) -> int:
        """The exact number of points."""
        if self._local and where is not None and where.ids is not None:
            return sum(map(len, _named.named(self.fetch, where, frozenset())))
        with self._turn() as client:
            return client.count(self._index, compiled(where, ours=self._ours), exact=True).count

    @property
    def _known(self) -> Spec:
        spec = self.spec or self.describe()
        if spec is None:
            raise ValueError(f"Collection {self._index} not found")
        return spec

    @property
    def _ours(self) -> bool:
        return self._known.ours

    def _asked(self, include: frozenset[Part]) -> dict[str, Any]:
        """Which parts of points to send."""
        vectors: Any = "vectors" in include
        if vectors and self._vector is not None:
            vectors = [self._vector]
        # The local mode has nothing to send, and takes longer to leave documents out than to hand them over.
        payload = True if self._local and "fields" in include else payload_selector(include)
        return {"with_payload": payload, "with_vectors": vectors}

    def _rows(self, points: Sequence[Any], include: frozenset[Part]) -> Rows:
        return rows_of(points, include, self._vector, self._known.dim)
