"""Chroma: a server over HTTP, or the engine in this process, in a folder or in memory.

Chroma searches a graph (HNSW), and never finds the few rows that no edge leads to, even where it finds fewer than k. So
an exact search here has it rank every row, and ranks those that it leaves out by their vectors.

Chroma's own upsert merges, so that what is replaced is read first; and its readers may meet a row's new fields with its
old vector. So within a process writers wait for readers. Of several processes on one server, two that write *one row*
at the same moment may leave fields of both, and one that reads it meanwhile may see half.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

import numpy as np
from chromadb.api import ClientAPI
from chromadb.errors import NotFoundError
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from vecsearch.backends import _chroma_clients, _chroma_exact, _chroma_faults
from vecsearch.backends._chroma_filters import compiled
from vecsearch.backends._chroma_rows import NOTHING, answers_of, corrections, included, joined, replacing, rows_of
from vecsearch.backends._turns import turns
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
from vecsearch.filters import predicate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault, Metric, Part, Where

T = TypeVar("T")
_MARK = "vecsearch"
_SPACES: Mapping[Metric, str] = {"cosine": "cosine", "euclidean": "l2", "dotproduct": "ip"}
_METRICS = {space: metric for metric, space in _SPACES.items()}
_VECTORS: frozenset[Part] = frozenset({"vectors"})
_FIELDS: frozenset[Part] = frozenset({"fields"})
_NOTHING: frozenset[Part] = frozenset()
_MOST_CANDIDATES = 100_000


class Hnsw(BaseModel):
    """The graph of a new index. What Chroma would take without a word, or crash upon, is refused here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_neighbors: int | None = Field(None, ge=2, le=2048, description="edges of a node (M); 16 where none is given")
    ef_construction: int | None = Field(None, ge=1, le=_MOST_CANDIDATES, description="candidates while building; 100")
    ef_search: int | None = Field(None, ge=1, le=_MOST_CANDIDATES, description="candidates of a search, at least; 100")
    resize_factor: float | None = Field(None, ge=1, le=100, description="growth of the graph's memory; 1.2")
    sync_threshold: int | None = Field(None, ge=2, description="writes after which the graph is saved; 1000")


class ChromaConfig(BackendConfig):
    """The settings of the Chroma backend.

    With no ``host``, ``path`` or ``client`` the rows lie in a folder of the run, or in memory where no run is recorded.
    """

    elsewhere: ClassVar[frozenset[str]] = frozenset({"host", "client"})

    index_name: Annotated[str | None, Identity()] = Field(
        None, validation_alias=AliasChoices("index_name", "collection_name"), description="the name of the collection"
    )
    path: str | None = Field(None, description="a folder for the engine in this process; one process at a time")
    host: _chroma_clients.ServerName | None = Field(
        None, description='the server: a name, or a URL such as "http://localhost:8000"'
    )
    client: GivenClient = Field(None, description="a Chroma client of your own, which is never closed")
    port: int = Field(8000, ge=1, le=65535, description="of a host that is no URL")
    ssl: bool = Field(default=False, description="encrypted, with a host that is no URL")
    tenant: str = Field("default_tenant", description="the tenant")
    database: str = Field("default_database", description="the database of the tenant")
    token: SecretStr | None = Field(None, description='sent as "Authorization: Bearer …"')
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="sent with every request")
    hnsw: Hnsw = Field(default_factory=lambda: Hnsw.model_validate({}), description="the graph of a new index")

    @field_validator("client")
    @classmethod
    def _is_a_client(cls, client: Any) -> Any:
        if client is not None and not isinstance(client, ClientAPI):
            raise ValueError(f"must be a client of chromadb that is not asynchronous, not {type(client).__name__}")
        return client

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        if self.host is not None and self.path is not None:
            raise ValueError("give one of host and path")
        return self

    @property
    def in_memory(self) -> bool:
        """Whether the rows end with the client."""
        if self.client is not None:
            settings = self.client.get_settings()
            return "fastapi" not in str(settings.chroma_api_impl) and not settings.is_persistent
        return self.wants_path

    def sent_headers(self) -> dict[str, str]:
        """The headers of every request, in clear."""
        token = {} if self.token is None else {"Authorization": f"Bearer {self.token.get_secret_value()}"}
        return {**token, **{name: value.get_secret_value() for name, value in self.headers.items()}}


class ChromaBackend(Backend[ChromaConfig]):
    """One collection of Chroma."""

    name: ClassVar[str] = "chroma"
    Config: ClassVar[type[BackendConfig]] = ChromaConfig
    capabilities = Capabilities(
        metrics={"cosine": Score.ONE_MINUS, "euclidean": Score.SQUARED, "dotproduct": Score.ONE_MINUS},
        exactness="on_request",
        filter_operators=FILTER_OPERATORS - {"exists"},
        strict_operators=FILTER_OPERATORS - {"exists", "ne", "not_in", "not"},
        complements_absent=True,
        orders_texts=False,
        max_hits=100_000,
        max_filter_ids=5000,
        batch_rows=2000,
        batch_bytes=4 << 20,  # a server takes requests of 40 MiB, and a float is up to 20 bytes of JSON
        index_names=Names(characters="a-zA-Z0-9._-", first="a-zA-Z0-9", last="a-zA-Z0-9", shortest=3, longest=512),
        metadata_types=frozenset({"str", "int", "float", "bool", "list"}),
        max_int=2**53,  # an integer is compared with floats as a float
        normalises=frozenset({"cosine"}),  # the length is kept, but multiplied back in float32
    )
    errors: ClassVar[Mapping[type[Exception], Fault]] = _chroma_faults.CLASSES
    search_params: ClassVar[frozenset[str]] = frozenset({"ef_search"})

    def __init__(self, config: ChromaConfig) -> None:
        super().__init__(config)
        self._index = config.index_name or _MARK
        self._client = _chroma_clients.of(config)
        self._collection: Any = None
        self._turns = turns((_chroma_clients.place_of(config), self._index))
        if config.in_memory:
            self.capabilities = replace(self.capabilities, durable=False)

    def fault(self, error: Exception) -> Fault | None:
        """By the text: most of Chroma's errors are of one class."""
        return _chroma_faults.meaning(error)

    def reason(self, error: Exception) -> str:
        """Chroma's words."""
        return _chroma_faults.words(error)

    @property
    def client(self) -> Any:
        """The client, opened when first needed."""
        return self._client.get()

    # ---- life cycle

    def describe(self) -> Spec | None:
        """The collection's own configuration, and the mark that vecsearch left in its metadata."""
        client = self.client
        self._collection = None
        try:
            found = client.get_collection(self._index, embedding_function=None)
        except NotFoundError:
            return None
        spec = self._spec_of(found)
        self._collection = found
        self._learn_limits()
        return spec

    def _spec_of(self, collection: Any) -> Spec:
        mark = collection.metadata or {}
        # Not .configuration, which would load the embedding function that somebody gave to the collection.
        held = collection.configuration_json
        space = (held.get("hnsw") or held.get("spann") or {}).get("space", "l2")
        if space not in _METRICS:
            raise UnsupportedError(f"chroma: {self._index!r} compares by {space!r}; vecsearch knows l2, ip and cosine")
        ours = f"{_MARK}_dim" in mark
        dim = mark[f"{_MARK}_dim"] if ours else collection.get_model().dimension
        if dim is None:
            raise UnsupportedError(f"chroma: {self._index!r} was not made by vecsearch and has no rows: no width yet")
        return Spec(int(dim), _METRICS[space], bool(mark.get(f"{_MARK}_patches")), ours=ours)

    def create(self, spec: Spec) -> None:
        """Make the collection, with our mark in its metadata: Chroma itself takes the width of the first row."""
        mark = {f"{_MARK}_version": 1, f"{_MARK}_dim": spec.dim, f"{_MARK}_patches": spec.patches}
        graph = {"space": _SPACES[spec.metric], **self.config.hnsw.model_dump(exclude_none=True)}
        self._collection = self.client.create_collection(
            self._index, metadata=mark, configuration={"hnsw": graph}, embedding_function=None
        )
        self._learn_limits()

    def _learn_limits(self) -> None:
        rows = min(self.capabilities.batch_rows, self.client.get_max_batch_size())
        self.capabilities = replace(self.capabilities, batch_rows=rows)

    def drop(self) -> None:
        """Delete the collection; its rows first, because Chroma would leave their lists to whoever writes next."""
        client = self.client
        try:
            with self._turns.writing():
                self._collection = client.get_collection(self._index, embedding_function=None)
                ids = self._ids(None)
                for start in range(0, len(ids), self.capabilities.batch_rows):
                    self._collection.delete(ids=ids[start : start + self.capabilities.batch_rows])
                client.delete_collection(self._index)
        except NotFoundError:
            return
        finally:
            self._collection = None

    def save(self) -> None:
        """Nothing to do where each write is stored; refused where none can be."""
        if self.config.in_memory:
            raise InvalidInputError("this index lies in memory only: give it a key, a path or a server's host")

    def close(self) -> None:
        """Close the client, if it is ours."""
        self._collection = None
        self._client.close()

    def _on(self, call: Callable[[Any], T]) -> T:
        """A call on the collection of this name.

        A collection of Chroma's is addressed by a number of its own: where somebody deleted it and made it anew, the
        number leads nowhere, though the name does.
        """
        collection = self._collection
        if collection is not None:
            try:
                return call(collection)
            except NotFoundError:
                self._collection = None
        found = self.client.get_collection(self._index, embedding_function=None)
        if self.spec is not None and (spec := self._spec_of(found)) != self.spec:
            raise NotFoundError(f"{self._index!r} was deleted and made anew, as another index: {spec}")
        self._collection = found
        return call(found)

    # ---- rows

    def upsert(self, rows: Rows) -> None:
        """Replace whole rows."""
        _chroma_clients.check_room(self.config, 0 if rows.vectors is None else rows.vectors.nbytes)
        with self._turns.writing():
            old = self._on(lambda held: held.get(ids=rows.ids, include=["metadatas", "documents"]))
            metadatas, documents = replacing(rows, old)
            self._on(lambda held: held.upsert(rows.ids, rows.vectors, metadatas, documents))
            self._mend(rows.ids, metadatas, set(old["ids"]))

    def _mend(self, ids: Sequence[str], metadatas: Sequence[Any], old: set[str]) -> None:
        """Take out of new rows what Chroma left of others.

        Deleting a collection leaves its lists behind, and the next new rows of the database, in whatever collection,
        inherit them (seen in 1.5.9).
        """
        new = [row_id for row_id in ids if row_id not in old]
        if new:
            found = self._on(lambda held: held.get(ids=new, include=["metadatas"]))
            wrong, right = corrections(dict(zip(ids, metadatas, strict=True)), found)
            if wrong:
                self._on(lambda held: held.update(ids=wrong, metadatas=right))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows."""
        with self._turns.writing():
            self._on(lambda held: held.delete(ids=list(ids)))

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Rows by id."""
        with self._turns.reading():
            return self._fetch(ids, include)

    def _fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Rows by any number of ids."""
        if len(ids) > (size := self.capabilities.batch_rows):
            return joined([self._fetch(ids[start : start + size], include) for start in range(0, len(ids), size)])
        if not ids:
            return self._rows(NOTHING, include)
        found = self._on(lambda held: held.get(ids=list(ids), include=included(include)))
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
        """All queries in one request; an exact search is a request for each."""
        candidates = self._candidates(k, params)
        with self._turns.reading():
            if exact:
                return self._exact(queries, k, where, include)
            return self._nearest(queries, k, candidates, where, include)

    def _nearest(
        self, queries: NDArray[np.float32], k: int, candidates: int, where: Where | None, include: frozenset[Part]
    ) -> Hits:
        # Chroma fails where one of the ids is no row.
        ids = None if where is None or where.ids is None else self._ids(where)
        if ids is not None and not ids:
            return self._none(queries, include)
        found = self._on(
            lambda held: held.query(
                query_embeddings=queries,
                n_results=candidates,
                ids=ids,
                where=None if where is None or ids else compiled(where),
                include=[*included(include), "distances"],
            )
        )
        answers = [self._rows(answer, include) for answer in answers_of(found, k)]
        return Hits([np.array(scores[:k], dtype=np.float64) for scores in found["distances"]], answers)

    def _candidates(self, k: int, params: Mapping[str, Any]) -> int:
        """How many rows to ask for: the graph's search keeps as many candidates as it shall return, if not more."""
        ef = params.get("ef_search")
        if ef is None:
            return k
        if not isinstance(ef, int) or isinstance(ef, bool) or not k <= ef <= _MOST_CANDIDATES:
            raise InvalidInputError(
                f"chroma: params: ef_search is an integer from k (here {k}) to {_MOST_CANDIDATES}, not {ef!r}; the "
                "collection's own is the least that is used"
            )
        return ef

    def _exact(self, queries: NDArray[np.float32], k: int, where: Where | None, include: frozenset[Part]) -> Hits:
        """A request for each query, in which every row is ranked."""
        ids = self._ids(where)
        if not ids:
            return self._none(queries, include)
        asked: dict[str, Any] = {"n_results": len(ids), "include": ["distances"]}
        asked |= {"where": compiled(where)} if where is None or where.ids is None else {"ids": ids}
        best = _chroma_exact.ranked(
            queries,
            k,
            ids,
            self._known.metric,
            ask=lambda query: self._on(lambda held: held.query(query_embeddings=query, **asked)),
            vectors=lambda wanted: self._fetch(wanted, _VECTORS),
        )
        rows = self._fetch(sorted({row_id for ranked in best for _, row_id in ranked}), include)
        place = {row_id: number for number, row_id in enumerate(rows.ids)}
        best = [[(score, row_id) for score, row_id in ranked if row_id in place] for ranked in best]
        return Hits(
            [np.array([score for score, _ in ranked]) for ranked in best],
            [rows.take([place[row_id] for _, row_id in ranked]) for ranked in best],
        )

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Every row: all ids first, since pages by offset would slip where rows are removed between them."""
        with self._turns.reading():
            ids = self._ids(where)
        size = min(batch_rows, self.capabilities.batch_rows)
        return (self.fetch(ids[start : start + size], include) for start in range(0, len(ids), size))

    def count(self, where: Where | None = None) -> int:
        """The exact number of rows."""
        with self._turns.reading():
            return int(self._on(lambda held: held.count())) if where is None else len(self._ids(where))

    def _ids(self, where: Where | None) -> list[str]:
        """The ids of the rows among ``where``."""
        if where is None or where.ids is None:
            found: list[str] = self._on(lambda held: held.get(where=compiled(where), include=[]))["ids"]
            return found
        # The filter is applied here: Chroma took 3 s to apply one to 5000 ids of 120,000 rows.
        rows = self._fetch(where.ids, _NOTHING if where.filter is None else _FIELDS)
        if where.filter is None:
            return rows.ids
        holds = predicate(where.filter)
        return [row_id for row_id, fields in zip(rows.ids, rows.fields or (), strict=True) if holds(fields)]

    def _none(self, queries: NDArray[np.float32], include: frozenset[Part]) -> Hits:
        return Hits([np.empty(0) for _ in queries], [self._fetch([], include) for _ in queries])

    @property
    def _known(self) -> Spec:
        spec = self.spec or self.describe()
        if spec is None:
            raise NotFoundError(f"Collection [{self._index}] does not exist")
        return spec

    def _rows(self, answer: Mapping[str, Any], include: frozenset[Part]) -> Rows:
        return rows_of(answer, include, self._known.dim if "vectors" in include else 0)
