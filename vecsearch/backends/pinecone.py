"""Pinecone, serverless or in pods, over REST: one index, one namespace.

The service approximates, and shows a write some time after it has taken it. What is written is known by the number of
the write in its log; where the service gives none (for deletions, and in pods) reads
and searches are asked whether they see it.

Rows are counted by listing all ids, a hundred a request, since the service's own statistics lag. By a filter, rows are
read and counted through ``fetch_by_metadata``, which came in late 2025.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, SecretStr, field_validator, model_validator

from vecsearch.backends import _named, _pinecone_clients
from vecsearch.backends._pinecone_clients import ApiError, Pinecone
from vecsearch.backends._pinecone_filters import compiled
from vecsearch.backends._pinecone_namespace import Namespace
from vecsearch.backends._pinecone_rows import is_digest, native_id, rows_of, vectors_of
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
    Where,
)
from vecsearch.errors import BackendError, IndexNotFoundError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault, Metric, Part

_MARK = "vecsearch"
_MADE = "vecsearch-made"
_METRICS: tuple[Metric, ...] = ("cosine", "euclidean", "dotproduct")
_POLL_SECONDS = (0.05, 2.0)
_IN_METADATA = frozenset({"fields", "documents"})


class PineconeConfig(BackendConfig):
    """The settings of the Pinecone backend."""

    elsewhere: ClassVar[frozenset[str]] = frozenset({"host", "client"})

    namespace: Annotated[str, Identity()] = Field(
        "__default__", max_length=512, pattern=r"^[\x01-\x7f]*$", description="the part of the index that is meant"
    )
    api_key: SecretStr | None = Field(None, description="the key; by default the client reads PINECONE_API_KEY")
    host: str | None = Field(None, description="the control plane, where it is not Pinecone's own")
    index_host: str | None = Field(None, description="the data plane, such as a private endpoint; else it is asked for")
    client: GivenClient = Field(None, description="a pinecone.Pinecone of your own, which is never closed")
    proxy_url: str | None = Field(None, description="a proxy for all requests")
    ssl_ca_certs: str | None = Field(None, description="a file of certificates, where a proxy has its own")
    index_type: Literal["serverless", "pod"] | None = Field(
        None, description="of a new index; pod where an environment is given"
    )
    cloud: str = Field("aws", description="of a new serverless index")
    region: str = Field("us-east-1", description="of a new serverless index")
    environment: str | None = Field(None, description="of a new index in pods")
    pod_type: str | None = Field(None, description='of a new index in pods, "p1.x1" where none is given')
    pods: int | None = Field(None, ge=1, description="of a new index in pods: replicas times shards")
    replicas: int | None = Field(None, ge=1, description="of a new index in pods")
    shards: int | None = Field(None, ge=1, description="of a new index in pods")
    deletion_protection: Literal["enabled", "disabled"] | None = Field(
        None, description="enabled: a new index is deleted by nobody until this is taken back"
    )
    tags: dict[str, str] = Field(default_factory=dict, description="of a new index")

    @field_validator("client")
    @classmethod
    def _is_a_client(cls, client: Any) -> Any:
        if client is not None and not isinstance(client, Pinecone):
            raise ValueError(f"must be a pinecone.Pinecone, not {type(client).__name__}")
        return client

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.in_pods and self.environment is None:
            raise ValueError("an index in pods needs an environment")
        sizes = {name: getattr(self, name) for name in ("pod_type", "pods", "replicas", "shards")}
        if not self.in_pods and (given := [name for name, value in sizes.items() if value is not None]):
            raise ValueError(f"{', '.join(given)} and a serverless index do not go together; give an environment, too")
        if self.pods not in (None, (self.replicas or 1) * (self.shards or 1)):
            raise ValueError("pods is replicas times shards; leave it out")
        return self

    @property
    def in_pods(self) -> bool:
        """Whether a new index lies in pods."""
        return self.index_type == "pod" or (self.index_type is None and self.environment is not None)

    @property
    def deployment(self) -> dict[str, Any]:
        """Where a new index lies."""
        if not self.in_pods:
            return {"deployment_type": "managed", "cloud": self.cloud, "region": self.region}
        sizes = {"pod_type": self.pod_type or "p1.x1", "replicas": self.replicas or 1, "shards": self.shards or 1}
        return {"deployment_type": "pod", "environment": self.environment, **sizes}


class PineconeBackend(Backend[PineconeConfig]):
    """One namespace of one index of Pinecone."""

    name: ClassVar[str] = "pinecone"
    Config: ClassVar[type[BackendConfig]] = PineconeConfig
    capabilities = Capabilities(
        metrics={"cosine": Score.SIMILARITY, "euclidean": Score.SQUARED, "dotproduct": Score.SIMILARITY},
        exactness="never",
        strict_operators=FILTER_OPERATORS - {"eq", "ne", "in", "not_in", "contains", "not"},
        orders_texts=False,
        max_k=10_000,
        max_filter_ids=10_000,
        batch_rows=1000,
        batch_bytes=1 << 20,  # an upsert is cut again, by the bytes of its JSON
        row_bytes=32_000,  # of 40 KB: what is kept beside the fields comes on top
        index_names=Names(characters="a-z0-9-", first="a-z0-9", last="a-z0-9", longest=45),
        metadata_types=frozenset({"str", "float", "bool", "list"}),
        max_int=2**53,  # numbers are float64
        zero_vectors=False,
        dims=(1, 20_000),
    )

    def __init__(self, config: PineconeConfig) -> None:
        super().__init__(config)
        self._index = config.index_name or _MARK
        self._client = _pinecone_clients.of(config)
        self._token = secrets.token_hex(8)
        self._namespace: Namespace | None = None
        self._host: str | None = None

    def fault(self, error: Exception) -> Fault | None:
        """By the status of an answer, or the kind of the client's error."""
        return _pinecone_clients.meaning(error)

    def reason(self, error: Exception) -> str:
        """The service's own words."""
        return _pinecone_clients.words(error)

    @property
    def client(self) -> Pinecone:
        """The client, made when first needed."""
        return self._client.get()

    # ---- life cycle

    def describe(self) -> Spec | None:
        """What the control plane says, and the mark that vecsearch left in the index's tags."""
        model = self._settled()
        if model is None:
            return None
        fields = model.schema.fields
        dense = fields.get("_values")
        if dense is None or len(fields) > 1 or dense.metric not in _METRICS:
            known = ", ".join(f"{name}: {type(field).__name__}" for name, field in sorted(fields.items()))
            raise UnsupportedError(
                f"pinecone: {self._index!r} is not an index of one dense vector a record (it has {known})"
            )
        self._open(model)
        mark = (model.tags or {}).get(_MARK, "").split()
        ours = bool(mark) and self._namespace_mark in mark
        return Spec(dense.dimension, dense.metric, patches=ours and "patches" in mark, ours=ours)

    @property
    def _namespace_mark(self) -> str:
        return hashlib.sha256(self.config.namespace.encode()).hexdigest()[:16]

    def create(self, spec: Spec) -> None:
        """Make the index with our mark in its tags, and wait until it is ready."""
        mark = ["1", self._namespace_mark, *(["patches"] if spec.patches else [])]
        try:
            self.client.indexes.create(
                name=self._index,
                schema={"fields": {"_values": {"type": "dense_vector", "dimension": spec.dim, "metric": spec.metric}}},
                deployment=self.config.deployment,
                deletion_protection=self.config.deletion_protection,
                tags={**self.config.tags, _MARK: " ".join(mark), _MADE: self._token},
                timeout=-1,
            )
        except ApiError as error:
            # An answer may be lost, and the request be sent again: then the index that exists is the one we made.
            if self.fault(error) != "exists" or not self._is_mine():
                raise
        model = self._settled()
        if model is None:
            raise BackendError(f"pinecone: {self._index!r} was made, and has vanished")
        self._open(model)

    def _is_mine(self) -> bool:
        found = self._described()
        return found is not None and (found.tags or {}).get(_MADE) == self._token

    def _described(self) -> Any:
        try:
            return self.client.indexes.describe(self._index)
        except ApiError as error:
            if self.fault(error) == "not_found":
                return None
            raise

    def _settled(self, *, gone: bool = False) -> Any:
        """The index once it is ready (or ``gone``), or ``None`` once it is not there. The client waits without end."""
        deadline, pause = time.monotonic() + self.config.timeout, _POLL_SECONDS[0]
        while True:
            found = self._described()
            if found is None:
                return None
            state = found.status.state
            if not gone and found.status.ready and found.host and state != "Terminating":
                return found
            if state in ("InitializationFailed", "Disabled") and not gone:
                raise BackendError(f"pinecone: the state of {self._index!r} is {state}")
            if time.monotonic() + pause > deadline:
                if gone:
                    return found
                raise TimeoutError(f"{self._index!r} is still {state} after {self.config.timeout:g} s")
            time.sleep(pause)
            pause = min(2 * pause, _POLL_SECONDS[1])

    def _open(self, model: Any) -> Namespace:
        """The data plane; and whether the service reads rows by filter."""
        host = self.config.index_host or model.host
        if self._namespace is not None and self._host == host:
            return self._namespace
        config = self.config
        opened = Namespace(self.client.index(host=host), config.namespace, config.timeout, config.workers)
        if self._namespace is not None:
            self._namespace.close()
        if not opened.can_select():
            self.capabilities = replace(self.capabilities, filters_in=frozenset({"search"}))
        self._namespace, self._host = opened, host
        return opened

    def drop(self) -> None:
        """Delete the index, and wait until it is gone; one that has rows in other namespaces is not deleted."""
        found = self._described()
        if found is None:
            return
        others = self._open(found).others() if found.status.ready and found.host else []
        if others:
            raise UnsupportedError(
                f"pinecone: {self._index!r} has rows in other namespaces, too ({', '.join(others[:5])}), and is not "
                "deleted for this one; clear() removes the rows of this one"
            )
        self.client.indexes.delete(self._index, timeout=-1)
        if self._settled(gone=True) is not None:
            raise TimeoutError(f"{self._index!r} is still there after {self.config.timeout:g} s")

    def problems(self) -> list[str]:
        """What the control plane says, and whether another package may break the client."""
        found = self._described()
        state = [] if found is None or found.status.ready else [f"the state of the index is {found.status.state}"]
        if _pinecone_clients.stub_installed():
            state.append(
                "pinecone-client lies beside pinecone, and will break it: pip uninstall both, install pinecone"
            )
        return state

    def close(self) -> None:
        """Close what we opened."""
        opened, self._namespace = self._namespace, None
        if opened is not None:
            opened.close()
        self._client.close()

    # ---- rows

    @property
    def _known(self) -> Spec:
        spec = self.spec or self.describe()
        if spec is None:
            raise IndexNotFoundError(f"pinecone: there is no index {self._index!r}")
        return spec

    @property
    def _rows_of(self) -> Namespace:
        if self._namespace is None:
            self.describe()
        if self._namespace is None:
            raise IndexNotFoundError(f"pinecone: there is no index {self._index!r}")
        return self._namespace

    def _native(self, ids: Sequence[str]) -> list[str]:
        found = (native_id(row_id, ours=self._known.ours) for row_id in ids)
        return [native for native in found if native is not None]

    def upsert(self, rows: Rows) -> None:
        """Replace whole records."""
        self._rows_of.upsert(vectors_of(rows, ours=self._known.ours))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records."""
        if native := self._native(ids):
            self._rows_of.delete(native)

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Records by id."""
        return self._rows(self._rows_of.records(self._native(ids)).values(), include)

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
        """A request each query, several at a time."""
        del exact, params
        if where is not None and where.ids is not None and not self._known.ours:
            # Rows that others made do not have their ids in a field.
            metric = self._known.metric
            return _named.nearest(self.fetch, queries, k, where, include, metric, self.capabilities.metrics[metric])
        parts = {"values": "vectors" in include, "metadata": bool(include & _IN_METADATA)}
        found = self._rows_of.nearest(queries.tolist(), k, compiled(where), **parts)
        scores: list[NDArray[np.floating[Any]]] = [
            np.array([score for score, _ in matches], dtype=np.float64) for matches in found
        ]
        return Hits(scores, [self._rows([record for _, record in matches], include) for matches in found])

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Every record, page by page in the order of ids, so that writes may come between."""
        if where is not None and where.ids is not None:
            yield from _named.named(self.fetch, where, include, batch_rows)
            return
        for records in self._listed(batch_rows, include) if where is None else self._selected(where):
            for start in range(0, len(records), batch_rows):
                yield self._rows(records[start : start + batch_rows], include)

    def _selected(self, where: Where) -> Iterator[list[Any]]:
        return self._rows_of.selected(compiled(where) or {}, self._known.dim)

    def _listed(self, batch_rows: int, include: frozenset[Part]) -> Iterator[list[Any]]:
        held: list[Any] = []
        for page in self._rows_of.ids():
            held += page
            if len(held) >= batch_rows:
                yield self._read(held, include)
                held = []
        yield self._read(held, include)

    def _read(self, listed: list[Any], include: frozenset[Part]) -> list[Any]:
        """Records that are listed, which is to say their ids, with what is asked for."""
        return list(self._rows_of.records([item.id for item in listed]).values()) if include else listed

    def _rows(self, records: Iterable[Any], include: frozenset[Part]) -> Rows:
        """Records as rows. An id that is a digest is read from the metadata, wherever these have not come along."""
        held, ours = list(records), self._known.ours
        bare = {one.id for one in held if is_digest(one.id, ours=ours) and not getattr(one, "metadata", None)}
        if bare:
            known = self._rows_of.records(sorted(bare))
            held = [known.get(one.id, one) for one in held if one.id not in bare or one.id in known]
        return rows_of(held, include, self._known.dim, ours=ours)

    def count(self, where: Where | None = None) -> int:
        """The exact number of records: the ids of all are read."""
        if where is None:
            return sum(map(len, self._rows_of.ids()))
        return sum(map(len, self.scan(self.capabilities.batch_rows, frozenset(), where)))

    def visible(self, written: Sequence[str], deleted: Sequence[str]) -> bool:
        """Whether searches have come to our last upsert, by its number, and reads to a row of it.

        Where there is no number, each row is looked for; one that was replaced is taken for the new one.
        """
        caught_up = self._rows_of.caught_up(self._known.dim)
        if caught_up is False:
            return False
        written = written[-1:] if caught_up else written
        return min(self._seen(written)) == len(written) and max(self._seen(deleted)) == 0

    def _seen(self, ids: Sequence[str]) -> list[int]:
        """How many of these rows reads see, and searches, and lists, which are asked for the last one only."""
        native = self._native(ids)
        found = [len(self._rows_of.records(native))]
        if ids and self._known.ours:
            probe, asked = [[1.0] * self._known.dim], compiled(Where(ids))
            found.append(len(self._rows_of.nearest(probe, len(ids), asked, values=False, metadata=False)[0]))
            found.append(len(ids) * self._rows_of.lists(native[-1]))
        return found
