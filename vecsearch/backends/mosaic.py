"""Mosaic AI Vector Search, the vector search of Databricks, through its SDK (docs/adr/0010).

A new index is one of *Direct Access*, in Unity Catalog under ``catalog_name.schema_name.index_name``. Its columns are
fixed when it is created: a field that ``metadata_schema`` names gets one, and can be filtered by; all others come back
as they were put, and cannot. An index that others made, such as a *Delta Sync* index, is connected to for reading.

The service searches by Euclidean distance and gives ``1 / (1 + d²)``; under cosine, vectors are stored with the length
1. Searches approximate, and there is no exact one. Rows are read by their keys with a query that is filtered by them,
and what it does not return is asked for again. A count reads all rows, since the service's own lags behind; the setting
``trust_row_count`` takes that one. Writes are seen some time after they are taken: ``wait=True`` waits for it.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from databricks.sdk import WorkspaceClient, errors
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from vecsearch.backends import _mosaic_clients, _mosaic_faults
from vecsearch.backends._clients import Client
from vecsearch.backends._mosaic_columns import ID as KEY
from vecsearch.backends._mosaic_columns import KINDS, OWN, FieldType, schema_of
from vecsearch.backends._mosaic_columns import VECTOR as VECTORS
from vecsearch.backends._mosaic_described import Described, described
from vecsearch.backends._mosaic_filters import Dialect, compiled
from vecsearch.backends._mosaic_index import Index, Row, missing_endpoint
from vecsearch.backends._mosaic_lookups import Lookups
from vecsearch.backends._several import several
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
from vecsearch.errors import BackendError, UnsupportedError
from vecsearch.filters import is_field_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault, Part, Where

_PART = re.compile(r"[A-Za-z0-9_\-]{1,255}")  # of a name in Unity Catalog, as it may stand in a URL
_ANSWER_BYTES = 4 << 20  # of vectors in an answer, which takes 10 MB; a number is up to 20 bytes of JSON
_FLOAT_BYTES = 20


class MosaicConfig(BackendConfig):
    """The settings of the Mosaic backend.

    Without a token or a service principal the SDK looks for credentials as it does everywhere: in its variables and
    in its own file.
    """

    index_name: Annotated[str | None, Identity()] = Field(
        None, description="the name of the index, without those of its catalog and schema"
    )
    catalog_name: Annotated[str | None, Identity()] = Field(None, description="the catalog that holds the index")
    schema_name: Annotated[str | None, Identity()] = Field(None, description="the schema that holds the index")
    endpoint_name: Annotated[str | None, Identity()] = Field(None, description="the endpoint of a new index")
    endpoint_type: Dialect = Field("STANDARD", description="of an endpoint that is made: the dialect of its filters")
    create_endpoint: bool = Field(default=False, description="make the endpoint where there is none; it costs money")
    workspace_url: str | None = Field(
        None,
        validation_alias=AliasChoices("workspace_url", "host"),
        description='the workspace, "https://….cloud.databricks.com"',
    )
    personal_access_token: SecretStr | None = Field(None, description="a token of a user")
    service_principal_client_id: str | None = Field(None, description="the id of a service principal")
    service_principal_client_secret: SecretStr | None = Field(None, description="its secret")
    client: GivenClient = Field(None, description="a databricks.sdk.WorkspaceClient of your own")
    metadata_schema: dict[str, FieldType] = Field(
        default_factory=dict, description="fields of a new index that can be filtered by, and their types"
    )
    ready_timeout: float = Field(1200.0, gt=0, description="seconds until a new endpoint and index are ready")
    trust_row_count: bool = Field(default=False, description="count by the service's own figure, which lags")

    @field_validator("client")
    @classmethod
    def _is_a_client(cls, client: Any) -> Any:
        if client is not None and not isinstance(client, WorkspaceClient):
            raise ValueError(f"must be a databricks.sdk.WorkspaceClient, not {type(client).__name__}")
        return client

    @field_validator("catalog_name", "schema_name", "endpoint_name")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not _PART.fullmatch(name):
            raise ValueError(f"{name!r} is no name: letters, digits, _ and -, at most 255")
        return name

    @field_validator("metadata_schema")
    @classmethod
    def _are_fields(cls, fields: dict[str, FieldType]) -> dict[str, FieldType]:
        for name in fields:
            if not is_field_name(name) or name in OWN:
                raise ValueError(f"{name!r} cannot be a column of its own: a field's name, and none of {sorted(OWN)}")
        return fields

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.catalog_name is None or self.schema_name is None:
            raise ValueError("give catalog_name and schema_name: an index lies in a schema of Unity Catalog")
        principal = (self.service_principal_client_id, self.service_principal_client_secret)
        if (principal[0] is None) != (principal[1] is None):
            raise ValueError("a service principal has an id and a secret: give both")
        ways = sum(way is not None for way in (self.personal_access_token, principal[0], self.client))
        if ways > 1:
            raise ValueError("give one of personal_access_token, a service principal, and client")
        if self.client is not None and self.workspace_url is not None:
            raise ValueError("the client knows its workspace: leave workspace_url out")
        return self


class MosaicBackend(Backend[MosaicConfig]):
    """One index of Databricks."""

    name: ClassVar[str] = "mosaic"
    Config: ClassVar[type[BackendConfig]] = MosaicConfig
    capabilities = Capabilities(
        metrics={"cosine": Score.DISTANCE, "euclidean": Score.DISTANCE},
        exactness="never",
        filter_operators=FILTER_OPERATORS - {"exists"},
        strict_operators=frozenset({"eq", "in", "lt", "lte", "gt", "gte", "contains"}),
        orders_texts=False,  # no document says by which order
        filters_in=frozenset({"search"}),
        max_k=10_000,
        max_filter_ids=1000,
        batch_rows=1000,
        batch_bytes=1_500_000,  # a request takes 10 MB, and a float is up to 22 bytes of JSON within JSON
        index_names=Names(characters="A-Za-z0-9_", longest=128),
        metadata_types=frozenset({"str", "int", "float", "bool", "list"}),
        max_int=2**53,  # a scan gives all numbers as doubles
        normalises=frozenset({"cosine"}),
        dims=(1, 4096),
    )
    errors: ClassVar[Mapping[type[Exception], Fault]] = _mosaic_faults.ERRORS

    def __init__(self, config: MosaicConfig) -> None:
        super().__init__(config)
        self._client = Client(config.client, lambda: _mosaic_clients.of(config), lambda _: None)
        name = f"{config.catalog_name}.{config.schema_name}.{config.index_name or 'vecsearch'}"
        self._index = Index(self._client.get, name, config.timeout)
        self._nonce = secrets.token_hex(4)
        self._lookups: Lookups | None = None
        self._found: Described | None = None
        self._declare(config.endpoint_type, config.metadata_schema)

    def _settled(self, found: Described, dialect: Dialect) -> None:
        """From now on the index is known."""
        self._declare(dialect, found.layout.fields)
        # Near 1 a score in float32 has no digits left for a small distance: it is computed from the vectors.
        self.capabilities = replace(self.capabilities, true_distances=found.spec.metric != "euclidean")
        self._found = found
        self._lookups = Lookups(self._index, found.layout, dialect)

    def _declare(self, dialect: Dialect, fields: Mapping[str, FieldType]) -> None:
        """What depends on the kind of the endpoint and on the columns."""
        standard = dialect == "STANDARD"
        self._dialect: Dialect = dialect
        self.capabilities = replace(
            self.capabilities,
            filter_operators=FILTER_OPERATORS - {"exists"} - ({"not_in"} if standard else set()),
            joins_by_or=not standard,
            filter_fields={name: KINDS[type_] for name, type_ in fields.items()},
        )

    def fault(self, error: Exception) -> Fault | None:
        """By its text, where its class says too little."""
        return _mosaic_faults.meaning(error)

    def reason(self, error: Exception) -> str:
        """What happened, without the SDK's list of its settings."""
        return _mosaic_faults.words(error)

    @property
    def client(self) -> Any:
        """The ``WorkspaceClient``, made when first needed."""
        return self._client.get()

    # ---- life cycle

    def describe(self) -> Spec | None:
        """The index's own description, once it is ready."""
        self._lookups = None
        found = self._index.await_ready(self.config.timeout)
        if found is None:
            return None
        self._settled(described(self._index, found), self._dialect_of(found.endpoint_name))
        return self._found.spec if self._found else None

    def _dialect_of(self, endpoint: str | None) -> Dialect:
        """Which filters the index's endpoint takes; as configured, where we may not look at it."""
        try:
            found = None if endpoint is None else self._index.endpoint(endpoint)
        except errors.PermissionDenied:
            found = None
        if found is None or found.endpoint_type is None:
            return self.config.endpoint_type
        dialect: Dialect = found.endpoint_type.value
        return dialect

    def create(self, spec: Spec) -> None:
        """Make a Direct Access index, and return when it is ready."""
        config = self.config
        found = None if config.endpoint_name is None else self._index.endpoint(config.endpoint_name)
        if config.endpoint_name is None or (found is None and not config.create_endpoint):
            raise missing_endpoint(config.endpoint_name, config.endpoint_type)
        if found is None:
            self._index.create_endpoint(config.endpoint_name, config.endpoint_type)
        self._index.await_endpoint(config.endpoint_name, config.ready_timeout)
        # The same at each repetition, and no other index's.
        schema = schema_of(spec, config.metadata_schema, self._nonce)
        self._index.create(config.endpoint_name, KEY, VECTORS, spec.dim, json.dumps(schema))
        made = self._index.await_ready(config.ready_timeout, created=True)
        self._settled(described(self._index, made), self._dialect_of(config.endpoint_name))

    def drop(self) -> None:
        """Delete the index; the endpoint stays."""
        self._index.drop(self.config.ready_timeout)
        self._lookups = self._found = None

    def problems(self) -> list[str]:
        """What the service says of the index and of its endpoint."""
        found = self._index.get()
        if found is None:
            return ["the index is gone"]
        problems = []
        if not (found.status and found.status.ready):
            problems.append(f"the index is not ready: {found.status.message if found.status else 'no status'}")
        endpoint = self._index.endpoint(found.endpoint_name) if found.endpoint_name else None
        state = endpoint.endpoint_status.state if endpoint is not None and endpoint.endpoint_status else None
        if state is not None and state.value != "ONLINE":
            problems.append(f"the endpoint {found.endpoint_name!r} is {state.value}")
        return problems

    def close(self) -> None:
        """Forget the client, whose connections end with it."""
        self._client.close()

    # ---- rows

    def upsert(self, rows: Rows) -> None:
        """Replace whole rows; raises where the service did not take one, with its key."""
        self._writable()
        lookups = self._known
        if self._found_metric == "cosine" and rows.vectors is not None:
            rows = replace(rows, vectors=_units(rows.vectors))
        moment = f"{time.time_ns():020d}"
        written = lookups.layout.encode(rows, moment)
        self._index.upsert(json.dumps(written, ensure_ascii=False, allow_nan=False), rows.ids)
        lookups.note(rows.ids, moment)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows."""
        self._writable()
        self._index.delete(ids)
        self._known.note(ids, f"{time.time_ns():020d}", gone=True)

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Rows by key."""
        layout = self._known.layout
        return layout.rows(self._known.named(ids, layout.asked(include)), include)

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
        """The nearest rows of each query."""
        del exact, params  # there are none
        layout, metric = self._known.layout, self._found_metric
        asked = compiled(where, layout, self._dialect)
        if metric == "cosine":
            queries = _units(queries)
        if asked is None:
            answers: list[list[Row]] = [[] for _ in queries]
        else:
            # A request a query, several of them at a time. The client gives up by itself, and says why: after the
            # timeout, or after an attempt that began right before.
            nearest = partial(self._nearest, k=k, where=asked, include=include)
            answers = several(2 * self.config.timeout, self.config.workers, nearest, queries.tolist())
        scores: list[Any] = [_distances([row[""] for row in rows], metric) for rows in answers]
        return Hits(scores, [layout.rows(rows, include) for rows in answers])

    def _nearest(self, query: list[float], k: int, where: Mapping[str, str], include: frozenset[Part]) -> list[Row]:
        """The nearest rows with their columns; the columns on their own where an answer would be too large."""
        layout = self._known.layout
        columns = layout.asked(include)
        if "vectors" not in include or k * layout.dim * _FLOAT_BYTES <= _ANSWER_BYTES:
            try:
                return self._index.query(columns, query, k, where)
            except errors.BadRequest:
                if columns == [layout.key]:
                    raise
        rows = self._index.query([layout.key], query, k, where)
        ids = [layout.row_id(row) for row in rows]
        whole = {layout.row_id(row): row for row in self._known.named(ids, columns)}
        return [whole[row_id] | {"": row[""]} for row_id, row in zip(ids, rows, strict=True) if row_id in whole]

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Every row, page by page in the order of keys; a page has all columns, whatever was asked for."""
        del where  # never given
        layout = self._known.layout
        size = max(1, min(batch_rows, _ANSWER_BYTES // (layout.dim * _FLOAT_BYTES + 1000)))
        for page in self._index.scan(size):
            for start in range(0, len(page), batch_rows):
                yield layout.rows(page[start : start + batch_rows], include)

    def count(self, where: Where | None = None) -> int:
        """The number of rows that there are, by reading them; or as the service has it, if that is trusted."""
        del where  # never given
        if self.config.trust_row_count:
            found = self._index.get()
            if found is None:
                raise errors.NotFound(f"{self._index.name} does not exist")
            return int((found.status and found.status.indexed_row_count) or 0)
        return sum(map(len, self.scan(1000, frozenset())))

    def visible(self, written: Sequence[str], deleted: Sequence[str]) -> bool:
        """Whether queries show every write of this object, whichever of them is asked about."""
        del written, deleted
        return self._known.visible()

    @property
    def _known(self) -> Lookups:
        if self._lookups is None and self.describe() is None:
            raise errors.NotFound(f"{self._index.name} does not exist")
        assert self._lookups is not None  # noqa: S101  described
        return self._lookups

    @property
    def _found_metric(self) -> str:
        return self._found.spec.metric if self._found else "euclidean"

    def _writable(self) -> None:
        _ = self._known
        if self._found is not None and self._found.read_only is not None:
            raise UnsupportedError(f"mosaic: {self._index.name} cannot be written to here: {self._found.read_only}")


def _units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = vectors.astype(np.float64)
    units: NDArray[np.float32] = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return units


def _distances(scores: Sequence[Any], metric: str) -> NDArray[np.float64]:
    """The service's ``1 / (1 + d²)`` as distances; between unit vectors, d² is twice the cosine distance."""
    found = np.array([float(score) for score in scores], dtype=np.float64)
    if not ((found > 0) & (found <= 1.0 + 1e-6)).all():
        raise BackendError("mosaic: query: a score is not between 0 and 1, so that it says no distance")
    squares = np.maximum(1.0 / found - 1.0, 0.0) if len(found) else found
    return squares / 2.0 if metric == "cosine" else np.sqrt(squares)


__all__ = ("MosaicBackend", "MosaicConfig")
