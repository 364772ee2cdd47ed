"""A stand-in for the Vector Search and Model Serving of a Databricks workspace, with their limits.

It follows the REST API 2.0, and was checked with ``databricks-sdk`` 0.156. The schemas are ours, written from the
public documents. Where these are silent, it does what is hardest for a caller: keys that repeat, unknown columns and
values of another type are refused, answers come in pages, scores in float32. It proves nothing of the service's speed
or recall.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import time
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

import numpy as np

from vecsearch.testing.standins import mosaic_schemas as schemas
from vecsearch.testing.standins.faults import PARTIAL, SAME_PAGE
from vecsearch.testing.standins.http import Answer, RefusalError
from vecsearch.testing.standins.lag import LaggingRows
from vecsearch.testing.standins.mosaic_state import (
    MAX_RESULT_BYTES,
    Endpoint,
    Index,
    Page,
    Values,
    bounded,
    scanned,
    scores,
    shown_value,
    status,
)
from vecsearch.testing.standins.service import Route, ServiceStandIn, in_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vecsearch.testing.standins.http import Request
    from vecsearch.testing.standins.service import Call

MAX_INPUT_BYTES = 10 << 20
QUERY_PAGE, SCAN_PAGE = 1000, 500
ENDPOINT = "stand-in"
CLIP = "clip-text-embedding"
_API, _INVOKED = "/api/2.0/vector-search", "/serving-endpoints/{name}/invocations"
_OPEN = (".well-known", "oidc")
_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_ALREADY_EXISTS",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


class MosaicStandIn(ServiceStandIn):
    """One workspace, with one token, one service principal and one endpoint, ``stand-in``.

    ``lag`` seconds pass before readers see a write, ``ready_after`` before a new endpoint or index is ready. ``misses``
    says in how many more queries a row, by its key, is left out: queries approximate. ``models`` are what serving
    endpoints compute: the ``input`` of each record -> a prediction each.
    """

    protocol: ClassVar[str] = "REST API 2.0"
    checked_with: ClassVar[str] = "databricks-sdk 0.156.0"
    max_request_bytes = 16 << 20  # of Model Serving

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str = "stand-in-token",  # noqa: S107  known to everybody who may reach it
        principal: tuple[str, str] = ("stand-in-client", "stand-in-secret"),
        endpoint_type: str = "STANDARD",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lag = 0.0
        self.ready_after = 0.0
        self.token_seconds = 3600
        self.misses: dict[str, int] = {}
        self.models: dict[str, Callable[[list[Any]], Any]] = {CLIP: _pseudo_embedding}
        self.models_ready_at: dict[str, float] = {}
        self.endpoints = {ENDPOINT: Endpoint(ENDPOINT, endpoint_type, 0.0)}
        self.indexes: dict[str, Index] = {}
        self._clock = clock
        self._token = token
        self._principal = principal
        self._issued: dict[str, float] = {}
        self._pages: dict[str, Page] = {}
        self._numbers = itertools.count()
        super().__init__(host, port)

    def routes(self) -> Sequence[Route]:
        """Discovery, endpoints, indexes, rows, serving."""
        endpoint, index = f"{_API}/endpoints/{{name}}", f"{_API}/indexes/{{name}}"
        keys = frozenset({"primary_keys"})
        return (
            Route("workspace", "GET", "/.well-known/databricks-config", self._workspace),
            Route("oidc", "GET", "/oidc/.well-known/oauth-authorization-server", self._oidc),
            Route("token", "POST", "/oidc/v1/token", self._give_token),
            Route("create endpoint", "POST", f"{_API}/endpoints", self._create_endpoint, schemas.CREATE_ENDPOINT),
            Route("list endpoints", "GET", f"{_API}/endpoints", self._list_endpoints),
            Route("endpoint", "GET", endpoint, lambda call: self._shown_endpoint(self._endpoint(call))),
            Route("drop endpoint", "DELETE", endpoint, self._drop_endpoint),
            Route("create", "POST", f"{_API}/indexes", self._create, schemas.CREATE_INDEX),
            Route("list indexes", "GET", f"{_API}/indexes", self._list, parameters=frozenset({"endpoint_name"})),
            Route("describe", "GET", index, lambda call: self._shown(self._index(call))),
            Route("drop", "DELETE", index, self._drop),
            Route("upsert", "POST", f"{index}/upsert-data", self._upsert, schemas.UPSERT),
            Route("delete", "DELETE", f"{index}/delete-data", self._delete, parameters=keys),
            Route("query", "POST", f"{index}/query", self._query, schemas.QUERY),
            Route("next page", "POST", f"{index}/query-next-page", self._next_page, schemas.NEXT_PAGE),
            Route("scan", "POST", f"{index}/scan", self._scan, schemas.SCAN),
            Route("model", "GET", "/api/2.0/serving-endpoints/{name}", self._model),
            Route("invoke", "POST", _INVOKED, self._invoke, schemas.INVOKE),
        )

    def settings(self) -> dict[str, Any]:
        """What makes the backend talk to it."""
        return {
            "workspace_url": self.url,
            "personal_access_token": self._token,
            "catalog_name": "main",
            "schema_name": "default",
            "endpoint_name": ENDPOINT,
            "endpoint_type": self.endpoints[ENDPOINT].type,
        }

    def add_delta_sync(
        self,
        name: str,
        columns: Mapping[str, str],
        rows: Sequence[Values],
        *,
        key: str = "id",
        vector: str = "vector",
        dim: int,
        says_columns: bool = True,
    ) -> Index:
        """An index that Databricks fills from a table."""
        made = Index(
            name,
            self.endpoints[ENDPOINT],
            key,
            vector,
            dim,
            dict(columns),
            0.0,
            LaggingRows(self._clock, lambda: 0.0),
            synced=True,
            says_columns=says_columns,
        )
        made.rows.write({str(row[key]): dict(row) for row in rows})
        self.indexes[name] = made
        return made

    # ---- who calls

    def check_access(self, request: Request) -> None:
        """A token: that of the user, or one that was given to the service principal and has not expired."""
        if request.path[:1] and request.path[0] in _OPEN:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" and token in self._issued:
            if self._issued[token] <= self._clock():
                raise RefusalError(401, "the access token has expired")
        elif scheme != "Bearer" or token != self._token:
            raise RefusalError(403, "Invalid access token.")

    def refusal(self, refused: RefusalError, request: Request) -> Answer:
        """A code and a message."""
        del request
        code = refused.code or _CODES.get(refused.status, "UNKNOWN_STATUS")
        return in_json(refused.status, {"error_code": code, "message": str(refused)})

    def _workspace(self, call: Call) -> Any:
        del call
        return {"oidc_endpoint": f"{self.url}/oidc", "workspace_id": "42"}

    def _oidc(self, call: Call) -> Any:
        del call
        return {
            "authorization_endpoint": f"{self.url}/oidc/v1/authorize",
            "token_endpoint": f"{self.url}/oidc/v1/token",
        }

    def _give_token(self, call: Call) -> Any:
        asked = parse_qs(call.request.body.decode())
        scheme, _, held = call.request.headers.get("authorization", "").partition(" ")
        known = base64.b64encode(":".join(self._principal).encode()).decode()
        if (scheme, held) != ("Basic", known):
            return in_json(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        if asked.get("grant_type") != ["client_credentials"]:
            return in_json(400, {"error": "unsupported_grant_type", "error_description": "client_credentials only"})
        token = f"issued-{next(self._numbers)}-{hashlib.sha256(held.encode()).hexdigest()[:16]}"
        self._issued[token] = self._clock() + self.token_seconds
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds}

    # ---- endpoints

    def _create_endpoint(self, call: Call) -> Any:
        name = call.body["name"]
        if name in self.endpoints:
            raise RefusalError(409, f"Vector search endpoint {name} already exists.")
        made = Endpoint(name, call.body["endpoint_type"], self._clock() + self.ready_after)
        self.endpoints[name] = made
        return self._shown_endpoint(made)

    def _list_endpoints(self, call: Call) -> Any:
        del call
        return {"endpoints": [self._shown_endpoint(one) for one in self.endpoints.values()]}

    def _endpoint(self, call: Call) -> Endpoint:
        name = call.parts["name"]
        if name not in self.endpoints:
            raise RefusalError(404, f"Vector search endpoint {name} does not exist.")
        return self.endpoints[name]

    def _drop_endpoint(self, call: Call) -> Any:
        del self.endpoints[self._endpoint(call).name]
        return {}

    def _state(self, endpoint: Endpoint) -> str:
        return endpoint.state or ("ONLINE" if self._clock() >= endpoint.ready_at else "PROVISIONING")

    def _shown_endpoint(self, endpoint: Endpoint) -> dict[str, Any]:
        return {
            "name": endpoint.name,
            "id": f"id-of-{endpoint.name}",
            "endpoint_type": endpoint.type,
            "endpoint_status": {"state": self._state(endpoint)},
            "num_indexes": sum(index.endpoint is endpoint for index in self.indexes.values()),
        }

    # ---- indexes

    def _create(self, call: Call) -> Any:
        body = call.body
        endpoint = self.endpoints.get(body["endpoint_name"])
        if endpoint is None:
            raise RefusalError(404, f"Vector search endpoint {body['endpoint_name']} does not exist.")
        if self._state(endpoint) != "ONLINE":
            raise RefusalError(400, f"Vector search endpoint {endpoint.name} is not ready.", "INVALID_STATE")
        if body["name"] in self.indexes:
            raise RefusalError(409, f"Vector index {body['name']} already exists.")
        spec = body["direct_access_index_spec"]
        columns = json.loads(spec["schema_json"])
        (vector,) = spec["embedding_vector_columns"]
        kinds = {name: schemas.TYPES.get(held) for name, held in columns.items()}
        if None in kinds.values():
            raise RefusalError(400, f"unknown types in the schema: {columns}")
        if kinds.get(vector["name"]) != "vector" or kinds.get(body["primary_key"]) not in ("str", "int"):
            raise RefusalError(400, "the schema lacks the primary key, or the vector")
        rows: LaggingRows[Values] = LaggingRows(self._clock, lambda: self.lag)
        made = Index(
            *(body["name"], endpoint, body["primary_key"], vector["name"], vector["embedding_dimension"]),
            *(columns, self._clock() + self.ready_after, rows),
        )
        self.indexes[made.name] = made
        return self._shown(made)

    def _list(self, call: Call) -> Any:
        name = call.request.query.get("endpoint_name")
        found = [one for one in self.indexes.values() if one.endpoint.name == name]
        # The service leaves an empty list out.
        return {"vector_indexes": [self._shown(one) for one in found]} if found else {}

    def _drop(self, call: Call) -> Any:
        del self.indexes[self._index(call).name]
        return {}

    def _shown(self, index: Index) -> dict[str, Any]:
        return index.shown(f"{self.url}{_API}/indexes", self._clock())

    def _index(self, call: Call) -> Index:
        name = call.parts["name"]
        if name not in self.indexes:
            raise RefusalError(404, f"Vector index {name} does not exist.")
        return self.indexes[name]

    def _readable(self, call: Call) -> Index:
        index = self._index(call)
        if self._clock() < index.ready_at:
            raise RefusalError(400, f"Vector index {index.name} is not ready.", "INVALID_STATE")
        return index

    # ---- rows

    def _writable(self, call: Call) -> Index:
        index = self._readable(call)
        if index.synced:
            raise RefusalError(400, f"{index.name} is not a Direct Vector Access Index.")
        return index

    def _upsert(self, call: Call) -> Any:
        index = self._writable(call)
        if len(call.request.body) > MAX_INPUT_BYTES:
            raise RefusalError(413, f"a request takes {MAX_INPUT_BYTES} bytes", "REQUEST_TOO_LARGE")
        rows = [index.row(one) for one in json.loads(call.body["inputs_json"])]
        keys = [str(row[index.key]) for row in rows]
        if len(set(keys)) < len(keys):
            raise RefusalError(400, "a primary key comes twice in one request")
        taken = keys[: len(keys) // 2] if call.meets(PARTIAL) else keys
        index.rows.write(dict(zip(taken, rows, strict=False)))
        return status(taken, keys[len(taken) :])

    def _delete(self, call: Call) -> Any:
        index = self._writable(call)
        keys = call.values("primary_keys")
        if not keys:
            raise RefusalError(400, "primary_keys is required")
        taken = keys[: len(keys) // 2] if call.meets(PARTIAL) else keys
        index.rows.write(dict.fromkeys(taken))
        return status(taken, keys[len(taken) :])

    def _query(self, call: Call) -> Any:
        body, index = call.body, self._readable(call)
        unknown = set(body["columns"]) - set(index.columns)
        if unknown:
            raise RefusalError(400, f"the index has no column {min(unknown)!r}")
        if len(body["query_vector"]) != index.dim:
            raise RefusalError(400, f"query_vector has {len(body['query_vector'])} numbers, the index {index.dim}")
        holds = index.filter(body)
        seen = index.rows.seen()
        kept = [key for key, row in seen.items() if (holds is None or holds(row)) and not self._is_missed(key)]
        query = np.array(body["query_vector"], dtype=np.float32)
        found = scores(query, [seen[key][index.vector] for key in kept])
        order = np.argsort(-found, kind="stable")[: body.get("num_results", 10)]
        shown = [
            [*(shown_value(seen[kept[place]][name]) for name in body["columns"]), float(found[place])]
            for place in order
            if found[place] >= body.get("score_threshold", 0.0)
        ]
        return self._paged(Page(index.name, body["columns"], shown), index, same=call.meets(SAME_PAGE))

    def _is_missed(self, key: str) -> bool:
        left = self.misses.get(key, 0)
        if left:
            self.misses[key] = left - 1
        return left > 0

    def _next_page(self, call: Call) -> Any:
        index, token = self._readable(call), call.body["page_token"]
        page = self._pages.get(token)
        if page is None or page.index != index.name:
            raise RefusalError(400, "Invalid page token.")
        return self._paged(page, index, same=call.meets(SAME_PAGE), token=token)

    def _paged(self, page: Page, index: Index, *, same: bool, token: str | None = None) -> Answer:
        """The beginning of what is left, and a token for the rest."""
        now, rest = page.rows[:QUERY_PAGE], page.rows[QUERY_PAGE:]
        columns = [{"name": name, "type_text": index.columns[name]} for name in page.columns]
        said: dict[str, Any] = {
            "manifest": {"column_count": len(columns) + 1, "columns": [*columns, {"name": "score"}]},
            "result": {"row_count": len(now), **({"data_array": now} if now else {})},
        }
        if same:
            token = token or f"page-{next(self._numbers)}"
            self._pages[token] = Page(page.index, page.columns)
            said["next_page_token"] = token
        elif rest:
            following = f"page-{next(self._numbers)}"
            self._pages[following] = Page(page.index, page.columns, rest)
            said["next_page_token"] = following
        return bounded(said)

    def _scan(self, call: Call) -> Any:
        index, after = self._readable(call), call.body.get("last_primary_key")
        seen = index.rows.seen()
        keys = sorted(key for key in seen if after is None or key > after)
        page = keys[: min(call.body.get("num_results", 10), SCAN_PAGE)]
        if not page:
            return {}
        data = [
            {"fields": [{"key": name, "value": scanned(value)} for name, value in seen[key].items()]} for key in page
        ]
        last = after if call.meets(SAME_PAGE) and after is not None else page[-1]
        return bounded({"data": data, "last_primary_key": last})

    # ---- models

    def _model(self, call: Call) -> Any:
        name = self._served(call)
        ready = self._clock() >= self.models_ready_at.get(name, 0.0)
        return {"name": name, "state": {"ready": "READY" if ready else "NOT_READY"}}

    def _served(self, call: Call) -> str:
        name = call.parts["name"]
        if name not in self.models:
            raise RefusalError(404, f"Endpoint with name {name!r} does not exist.")
        return name

    def _invoke(self, call: Call) -> Any:
        name = self._served(call)
        if self._clock() < self.models_ready_at.get(name, 0.0):
            raise RefusalError(503, "The endpoint is scaling up.")
        records = call.body["dataframe_records"]
        if any(set(one) != {"input"} for one in records):
            raise RefusalError(400, "the model takes records with the one field 'input'")
        predictions = self.models[name]([one["input"] for one in records])
        return in_json(200, {"predictions": predictions}, {"served-model-name": f"{name}-1"})


def _pseudo_embedding(inputs: list[Any]) -> list[list[float]]:
    """Numbers that depend on the input and mean nothing, in the width of CLIP."""
    seeds = [int.from_bytes(hashlib.sha256(str(one).encode()).digest()[:8]) for one in inputs]
    return [np.random.default_rng(seed).standard_normal(768).tolist() for seed in seeds]


__all__ = ("CLIP", "ENDPOINT", "MAX_RESULT_BYTES", "Endpoint", "Index", "MosaicStandIn")
