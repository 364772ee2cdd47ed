"""Milvus: a server, or Milvus Lite in a folder of this machine.

Milvus keeps metadata in the dynamic field of a collection, under its own names, and documents in a column. What is
written is seen by later calls as the consistency level says: under ``"Session"``, the default, all writes of this
process, and those of others that were there when the index was opened; under ``"Strong"`` all writes of everybody, at
the price of a server's tick (about 0.2 s) a call. Under ``"Bounded"`` and ``"Eventually"`` a write with ``wait=True``
returns once it is seen. Milvus Lite has one level, the strongest.

Milvus Lite is meant for small data and for tests: it answers filters and exact searches by reading all rows, and its
folder belongs to one process at a time.
"""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import grpc
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from vecsearch.backends import _milvus_clients, _milvus_faults, _milvus_filters, _milvus_indexes
from vecsearch.backends._milvus_indexes import INDEXES, METRICS, IndexType
from vecsearch.backends._milvus_rows import VECTOR, Layout, layout_of, schema_of, scores_of
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

    from vecsearch.backends.base import Fault, Part, Where

_MARK = "vecsearch"
_RELEASED = 101  # the code of a collection that is not loaded, or no more
_WINDOW = 16_384  # rows that one query returns, on a server
_PAGE_BYTES = 32 << 20  # of vectors; an answer takes 64 MiB at the least
_PAGE_ROWS = 1000  # where rows come with metadata or documents, up to 128 KiB each
_OF_A_SERVER = (
    *("user", "password", "token", "db_name", "secure", "client_key_path", "client_pem_path", "ca_pem_path"),
    *("server_pem_path", "server_name"),
)


class MilvusConfig(BackendConfig):
    """The settings of the Milvus backend.

    With none of ``uri``, ``path`` and ``client`` the rows lie in a folder of the run, or in a temporary one where no
    run is recorded.
    """

    elsewhere: ClassVar[frozenset[str]] = frozenset({"uri", "client"})

    index_name: Annotated[str | None, Identity()] = Field(
        None, validation_alias=AliasChoices("index_name", "collection_name"), description="the name of the collection"
    )
    vector_name: Annotated[str | None, Identity()] = Field(
        None, description="which vector field of a collection that has several"
    )
    db_name: Annotated[str | None, Identity()] = Field(None, description="the database of the server")
    uri: _milvus_clients.Uri | None = Field(
        None, description='the server, "http://localhost:19530"; or a folder of Milvus Lite, "./index.db"'
    )
    path: str | None = Field(None, description="a folder for Milvus Lite; one process at a time")
    client: GivenClient = Field(None, description="a pymilvus.MilvusClient of your own, which is never closed")
    user: str | None = Field(None, description="the user's name")
    password: SecretStr | None = Field(None, description="the user's password")
    token: SecretStr | None = Field(None, description='the API key, or "user:password"')
    secure: bool | None = Field(None, description="encrypted; by default where the uri begins with https")
    client_key_path: str | None = Field(None, description="the file of the client's key, for TLS of both sides")
    client_pem_path: str | None = Field(None, description="the file of the client's certificate")
    ca_pem_path: str | None = Field(None, description="the file of the authority's certificate")
    server_pem_path: str | None = Field(None, description="the file of the server's certificate")
    server_name: str | None = Field(None, description="the name in the server's certificate")
    consistency_level: Literal["Strong", "Session", "Bounded", "Eventually"] = Field(
        "Session", description="which writes a call sees"
    )
    index_type: IndexType | None = Field(
        None, description="the vector index of a new collection; HNSW on a server, FLAT in Milvus Lite"
    )
    index_params: dict[str, Any] = Field(default_factory=dict, description="its parameters, such as M or nlist")

    @field_validator("client")
    @classmethod
    def _is_a_client(cls, client: Any) -> Any:
        if client is not None and not isinstance(client, MilvusClient):
            raise ValueError(f"must be a pymilvus.MilvusClient, not {type(client).__name__}")
        return client

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        if sum(place is not None for place in (self.uri, self.path)) > 1:
            raise ValueError("give one of uri and path")
        needless = [name for name in _OF_A_SERVER if getattr(self, name) is not None]
        if needless and self.client is None and (self.uri is None or self.lite_path is not None):
            raise ValueError(f"{needless[0]} is for a server: give its uri")
        return self

    @property
    def lite_path(self) -> Path | None:
        """The folder of Milvus Lite, where one is meant; its name ends in ``.db``."""
        if self.client is not None:
            return None
        named = self.path or (self.uri if self.uri and self.uri.endswith(_milvus_clients.SUFFIX) else None)
        if named is None:
            return None
        path = Path(named).expanduser()
        return path if path.suffix == _milvus_clients.SUFFIX else path / "milvus.db"

    @property
    def connection(self) -> dict[str, Any]:
        """What the client is made with."""
        given = {name: getattr(self, name) for name in ("uri", *_OF_A_SERVER)}
        shown = {name: v.get_secret_value() if isinstance(v, SecretStr) else v for name, v in given.items()}
        return {name: value for name, value in shown.items() if value is not None}


class MilvusBackend(Backend[MilvusConfig]):
    """One collection of Milvus."""

    name: ClassVar[str] = "milvus"
    Config: ClassVar[type[BackendConfig]] = MilvusConfig
    # Of a server; what is different in Milvus Lite, and by the index, is put on the instance.
    capabilities = Capabilities(
        metrics={"cosine": Score.SIMILARITY, "euclidean": Score.SQUARED, "dotproduct": Score.SIMILARITY},
        exactness="never",
        filter_operators=FILTER_OPERATORS - {"exists"},
        strict_operators=frozenset({"eq", "lt", "lte", "gt", "gte", "in", "contains"}),
        max_k=_WINDOW,
        max_hits=_WINDOW,
        max_filter_ids=10_000,
        batch_rows=2000,
        batch_bytes=16 << 20,  # a request takes 64 MiB
        row_bytes=65_535,
        index_names=Names(characters="A-Za-z0-9_", first="A-Za-z_"),
        metadata_types=frozenset({"str", "int", "float", "bool", "list"}),
        max_int=2**53,  # an integer and a float are compared as floats
        dims=(2, 32_768),
    )
    errors: ClassVar[Mapping[type[Exception], Fault]] = {grpc.FutureTimeoutError: "unavailable"}
    search_params: ClassVar[frozenset[str]] = _milvus_indexes.SEARCH_PARAMS

    def __init__(self, config: MilvusConfig) -> None:
        self._temporary = TemporaryDirectory(prefix="vecsearch-milvus-") if config.wants_path else None
        if self._temporary is not None:
            config = config.model_copy(update={"path": self._temporary.name})
        super().__init__(config)
        self._index = config.index_name or _MARK
        self._client = _milvus_clients.of(config)
        self._layout = Layout("", "")
        self._lite = config.lite_path is not None
        self._learned = self._lite
        # What a delete of Milvus 2.3 returns has no time in it, by which the client would know what to wait for.
        self._deletes = self._deletes_seen = 0
        self._type: str = "HNSW"
        if config.client is not None:
            self._learn()
        self._settle()

    def _learn(self) -> None:
        """Whether Milvus Lite answers: it may also stand behind a uri, or a client of the user's."""
        if not self._learned:
            with _milvus_clients.quiet():
                self._lite = str(self.client.get_server_version()).startswith("milvus_lite")
            self._learned = True
            self._settle()

    def _settle(self) -> None:
        """The index of a new collection, checked before anything is made."""
        self._type = self.config.index_type or ("FLAT" if self._lite else "HNSW")
        if self._lite and not INDEXES[self._type].lite:
            known = ", ".join(sorted(name for name, index in INDEXES.items() if index.lite))
            raise UnsupportedError(f"milvus: Milvus Lite has no index {self._type}; it has: {known}")
        self._build = _milvus_indexes.build_params(self._type, self.config.index_params)
        self._set_capabilities()

    def _set_capabilities(self) -> None:
        index = INDEXES.get(self._type, INDEXES["AUTOINDEX"])
        caps = replace(type(self).capabilities, exactness=index.exact, true_distances=not index.quantised)
        if self._lite:
            # A truth is a 1 there, its limits are our own, and each part of a view would read all rows once more.
            caps = replace(caps, strict_operators=frozenset({"contains"}), complements_absent=True)
            caps = replace(caps, max_filter_ids=100_000, thread_safe=False)
        self.capabilities = replace(caps, durable=self._temporary is None)

    def fault(self, error: Exception) -> Fault | None:
        """By the code of an error, or by its text."""
        return _milvus_faults.meaning(error)

    def reason(self, error: Exception) -> str:
        """The server's own words."""
        return _milvus_faults.words(error)

    @property
    def client(self) -> MilvusClient:
        """The client, opened when first needed."""
        return self._client.get()

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """A method of the client, on our collection, within the timeout."""
        client = self.client
        with _milvus_clients.quiet(), _milvus_clients.turn(client) if self._lite else nullcontext():
            return getattr(client, name)(self._index, *arguments, timeout=self.config.timeout, **options)

    def _read(self, name: str, level: str | None = None, **options: Any) -> Any:
        """A reading method of the client, which sees what the consistency level promises."""
        level = level or self.config.consistency_level
        deletes = self._deletes
        if level == "Session" and deletes != self._deletes_seen:
            level = "Strong"
        try:
            found = self._call(name, consistency_level=level, **options)
        except MilvusException as error:
            if error.code != _RELEASED:
                raise
            self._call("load_collection")
            found = self._call(name, consistency_level=level, **options)
        if level == "Strong":
            self._deletes_seen = deletes
        return found

    # ---- life cycle

    def describe(self) -> Spec | None:
        """The collection's own schema and index; it is loaded, too, since nothing else can be asked of it."""
        self._learn()
        try:
            description = self._call("describe_collection")
        except Exception as error:
            if self.fault(error) == "not_found":
                return None
            raise
        self._layout, dim = layout_of(description, self.config.vector_name)
        indexes = self._call("list_indexes", field_name=self._layout.vector)
        if not indexes:
            raise UnsupportedError(
                f"milvus: {self._index!r} has no index on its vectors, by which it could be searched"
            )
        index = self._call("describe_index", indexes[0])
        metric = _milvus_indexes.metric_of(index["metric_type"], self._index)
        self._type = str(index["index_type"])
        self._set_capabilities()
        if "NotLoad" in str(self._call("get_load_state")["state"]):
            self._call("load_collection")
        if not self._lite and self.config.consistency_level in ("Strong", "Session"):
            self._count("", "Strong")  # until what was written before is there: a server that was started reads its log
        layout = self._layout
        return Spec(dim, metric, layout.patches, ours=layout.ours)

    def create(self, spec: Spec) -> None:
        """Make the collection, its index, and load it; all or nothing."""
        self._learn()
        level = self.config.consistency_level
        schema = schema_of(spec)
        # A server takes a second creation of the same for a repetition: the name of ours is told from another's.
        schema._description = f"made by vecsearch, {uuid.uuid4()}"  # noqa: SLF001  it has no other way
        self._call("create_collection", schema=schema, consistency_level=level)
        try:
            params = self.client.prepare_index_params()
            params.add_index(VECTOR, index_type=self._type, metric_type=METRICS[spec.metric], **self._build)
            self._call("create_index", params, sync=False)  # to wait takes half a second, and loading waits, too
            self._call("load_collection")
        except Exception:
            self.drop()
            raise
        self._layout, _ = layout_of(self._call("describe_collection"), None)

    def drop(self) -> None:
        """Delete the collection; Milvus has nothing against a missing one."""
        self._call("drop_collection")

    def save(self) -> None:
        """Nothing to do where each write is stored; refused where none can be."""
        if self._temporary is not None:
            raise InvalidInputError("this index lies in a temporary folder: give it a key, a path or a server's uri")

    def problems(self) -> list[str]:
        """What the server says of the collection and its index."""
        found = []
        state = str(self._call("get_load_state")["state"])
        if "NotLoad" in state:
            found.append("the collection is not loaded: it was released, and cannot be searched")
        names = self._call("list_indexes", field_name=self._layout.vector)
        indexes = [self._call("describe_index", name) for name in names]
        failed = [index for index in indexes if index.get("state") == "Failed"]
        return found + [f"an index has failed: {index.get('index_state_fail_reason', '')}" for index in failed]

    def close(self) -> None:
        """Close the client, if it is ours; Milvus Lite ends with the last one of ours."""
        self._client.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    # ---- rows

    def upsert(self, rows: Rows) -> None:
        """Replace whole entities."""
        # An upsert of Milvus Lite keeps the metadata that the new row lacks; its insert replaces the row.
        self._call("insert" if self._lite else "upsert", self._layout.entities(rows))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove entities."""
        self._call("delete", filter=_milvus_filters.among(ids, self._layout))
        self._deletes += 1

    def visible(self, written: Sequence[str], deleted: Sequence[str]) -> bool:
        """Under the weak levels, after a read that waits for the writes of this process; else every read does."""
        del written
        if not self._lite and self.config.consistency_level in ("Bounded", "Eventually"):
            self._count("", "Strong" if deleted else "Session")
        return True

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Entities by id."""
        pages = [ids[start : start + _PAGE_ROWS] for start in range(0, len(ids), _PAGE_ROWS)]
        found = [entity for page in pages for entity in self._query(_milvus_filters.among(page, self._layout), include)]
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
        """All queries in one request; once more and more widely where an approximate index found too few."""
        expression = _milvus_filters.compiled(where, self._layout, lite=self._lite)

        def answers(some: NDArray[np.float32], limit: int, *, widest: bool) -> list[Any]:
            found = self._read(
                "search",
                data=some,
                filter=expression,
                limit=limit,
                output_fields=self._layout.asked(include),
                search_params=_milvus_indexes.search_options(self._type, self.spec, params, k, widest=widest),
                anns_field=self._layout.vector,
            )
            return list(found)

        found = answers(queries, k, widest=exact)
        short = [number for number, hits in enumerate(found) if len(hits) < k]
        if short and self.capabilities.exactness == "never":
            more = _milvus_indexes.rows_to_ask_for(self._type, k, _WINDOW // len(short))
            for number, hits in zip(short, answers(queries[short], more, widest=True), strict=True):
                found[number] = list(hits)[:k]
        rows = [self._rows([hit["entity"] for hit in hits], include) for hits in found]
        return Hits([scores_of(hits) for hits in found], rows)

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Every entity, page by page in the order of ids, so that writes may come between."""
        expression = _milvus_filters.compiled(where, self._layout, lite=self._lite)
        width = self.spec.dim if self.spec and "vectors" in include else 1
        size = min(batch_rows, _WINDOW, max(1, _PAGE_BYTES // (4 * width)))
        size = size if include <= {"vectors"} else min(size, _PAGE_ROWS)
        # How each is told to answer with the first rows in the order of the keys, not with any.
        ordered: dict[str, Any] = {"iterator": "True"} if self._lite else {"reduce_stop_for_best": True}
        last: str | None = None
        while True:
            page = _milvus_filters.both(_milvus_filters.after(last, self._layout), expression)
            found = self._query(page, include, limit=size, **ordered)
            if not found:  # a page of fewer rows may only be where a segment ends
                return
            yield self._rows(found, include)
            keys = [entity[self._layout.key] for entity in found]
            last = str(max(keys, key=lambda key: key.encode() if isinstance(key, str) else key))

    def count(self, where: Where | None = None) -> int:
        """The exact number of entities."""
        expression = _milvus_filters.compiled(where, self._layout, lite=self._lite)
        return self._count(expression)

    def _count(self, expression: str, level: str | None = None) -> int:
        return int(self._read("query", level, filter=expression, output_fields=["count(*)"])[0]["count(*)"])

    def _query(self, expression: str, include: frozenset[Part], **options: Any) -> list[Any]:
        return list(self._read("query", filter=expression, output_fields=self._layout.asked(include), **options))

    def _rows(self, entities: Sequence[Mapping[str, Any]], include: frozenset[Part]) -> Rows:
        return self._layout.rows(entities, include, self.spec.dim if self.spec else 0)
