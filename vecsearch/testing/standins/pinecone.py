"""A stand-in for Pinecone over REST: the control plane and the vectors API, with the limits of the public documents.

It speaks the API versions 2025-10 (and earlier, which have the same shapes) and 2026-07, by the header of the request,
and was checked with the client ``pinecone`` 10.2.0, 9.1.0 and 8.1.2. The schemas are ours, written from the documents.
Where these are silent, it does what is hardest for a caller. It proves nothing of the service's speed, recall or
rounding.

Every index lies under a path of its own, ``/at/<index>``, which is part of the host that ``describe`` gives; paths that
begin with anything else are the control plane.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vecsearch.testing.standins import pinecone_schemas as schemas
from vecsearch.testing.standins.faults import PARTIAL, SAME_PAGE
from vecsearch.testing.standins.http import Answer, RefusalError
from vecsearch.testing.standins.lag import LaggingRows
from vecsearch.testing.standins.pinecone_filters import compiled
from vecsearch.testing.standins.service import Route, ServiceStandIn, check, in_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.testing.standins.http import Request
    from vecsearch.testing.standins.service import Call

MAX_RESULT_BYTES = 4 << 20
MAX_METADATA_BYTES = 40 << 10
MAX_IDS = 1000
LIST_PAGE = 100
_NEW = "2026-07"
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 413: 8, 429: 8, 501: 12, 503: 14}
_WORDS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "ALREADY_EXISTS"}


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a namespace."""

    values: NDArray[np.float32]
    metadata: Mapping[str, Any] | None

    def shown(self, row_id: str, *, values: bool = True, metadata: bool = True) -> dict[str, Any]:
        """As it is said; whole numbers have lost their point, since all are float64 in the service."""
        said: dict[str, Any] = {"id": row_id, "values": self.values.tolist() if values else []}
        if metadata and self.metadata is not None:
            said["metadata"] = {name: _number(value) for name, value in self.metadata.items()}
        return said


@dataclass(slots=True)
class Index:
    """What the control plane knows of an index, and its namespaces."""

    name: str
    dimension: int
    metric: str
    deployment: dict[str, Any]
    protection: str
    tags: dict[str, str]
    ready_at: float
    namespaces: dict[str, LaggingRows[Record]] = field(default_factory=dict)


class PineconeStandIn(ServiceStandIn):
    """One project, with one key. ``lag`` seconds pass before readers see a write, ``ready_after`` before an index is.

    ``fetches_by_metadata=False``: as a service without that operation, which came in late 2025.
    ``complements_absent``: whether ``$ne`` and ``$nin`` match a record without the field.
    """

    protocol: ClassVar[str] = "API versions 2025-10 and 2026-07"
    checked_with: ClassVar[str] = "pinecone 10.2.0, 9.1.0 and 8.1.2"
    max_request_bytes = 2 << 20
    max_url_bytes = 8 << 10

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        api_key: str = "stand-in-key",
        clock: Callable[[], float] = time.monotonic,
        fetches_by_metadata: bool = True,
        complements_absent: bool = True,
    ) -> None:
        self.lag = 0.0
        self.ready_after = 0.0
        self.says_lsn = True
        self.indexes: dict[str, Index] = {}
        self._api_key = api_key
        self._clock = clock
        self._fetches_by_metadata = fetches_by_metadata
        self._complements_absent = complements_absent
        super().__init__(host, port)

    def routes(self) -> Sequence[Route]:
        """Both planes."""
        at = "/at/{index}"
        some, paged = frozenset({"ids", "namespace"}), frozenset({"namespace", "prefix", "limit", "paginationToken"})
        found = [
            Route("create", "POST", "/indexes", self._create, {}),
            Route("list indexes", "GET", "/indexes", self._list_indexes),
            Route("describe", "GET", "/indexes/{index}", self._describe),
            Route("drop", "DELETE", "/indexes/{index}", self._drop),
            Route("upsert", "POST", f"{at}/vectors/upsert", self._upsert, schemas.UPSERT),
            Route("query", "POST", f"{at}/query", self._query, schemas.QUERY),
            Route("fetch", "GET", f"{at}/vectors/fetch", self._fetch, parameters=some),
            Route("list", "GET", f"{at}/vectors/list", self._list, parameters=paged),
            Route("delete", "POST", f"{at}/vectors/delete", self._delete, schemas.DELETE),
            Route("stats", "POST", f"{at}/describe_index_stats", self._stats, schemas.STATS),
        ]
        if self._fetches_by_metadata:
            path = f"{at}/vectors/fetch_by_metadata"
            found.append(Route("fetch by metadata", "POST", path, self._fetch_by, schemas.FETCH_BY_METADATA))
        return found

    def settings(self) -> dict[str, Any]:
        """What makes the backend talk to it."""
        return {"api_key": self._api_key, "host": self.url}

    def check_access(self, request: Request) -> None:
        """The key of the project."""
        if request.headers.get("api-key") != self._api_key:
            raise RefusalError(401, "Invalid API Key")

    def refusal(self, refused: RefusalError, request: Request) -> Answer:
        """In the form of the plane that was called."""
        status, text = refused.status, str(refused)
        if request.path[:1] == ("at",):
            return in_json(status, {"code": _CODES.get(status, 13), "message": text, "details": []})
        return in_json(status, {"status": status, "error": {"code": _WORDS.get(status, "UNKNOWN"), "message": text}})

    # ---- the control plane

    def _create(self, call: Call) -> Answer:
        body, new = call.body, _is_new(call.request)
        check(body, schemas.CREATE if new else schemas.CREATE_2025)
        if new:
            dense = body["schema"]["fields"]["_values"]
            asked = (dense["dimension"], dense["metric"])
            place = body.get("deployment", {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"})
        else:
            asked = (body["dimension"], body.get("metric", "cosine"))
            place = _deployment(body["spec"])
        name = body.get("name", f"index-{len(self.indexes)}")
        if name in self.indexes:
            raise RefusalError(409, "Resource already exists")
        protection, tags = body.get("deletion_protection", "disabled"), body.get("tags", {})
        made = Index(name, *asked, place, protection, tags, self._clock() + self.ready_after)
        self.indexes[name] = made
        return in_json(201, self._shown(made, new=new))

    def _list_indexes(self, call: Call) -> Any:
        return {"indexes": [self._shown(one, new=_is_new(call.request)) for one in self.indexes.values()]}

    def _describe(self, call: Call) -> Any:
        return self._shown(self._named(call), new=_is_new(call.request))

    def _drop(self, call: Call) -> Answer:
        index = self._named(call)
        if index.protection == "enabled":
            raise RefusalError(403, "Deletion protection is enabled for this index. Disable it before deleting.")
        del self.indexes[index.name]
        return Answer(202, b"")

    def _named(self, call: Call) -> Index:
        name = call.parts["index"]
        if name not in self.indexes:
            raise RefusalError(404, f"Resource {name} not found")
        return self.indexes[name]

    def _shown(self, index: Index, *, new: bool) -> dict[str, Any]:
        ready = self._clock() >= index.ready_at
        common: dict[str, Any] = {
            "name": index.name,
            "host": f"{self.url}/at/{index.name}" if ready or not new else None,
            "status": {"ready": ready, "state": "Ready" if ready else "Initializing"},
            "deletion_protection": index.protection,
            "tags": index.tags,
        }
        if new:
            dense = {"type": "dense_vector", "dimension": index.dimension, "metric": index.metric}
            return {**common, "schema": {"fields": {"_values": dense}}, "deployment": index.deployment}
        place = {name: value for name, value in index.deployment.items() if name != "deployment_type"}
        kind = "serverless" if index.deployment["deployment_type"] == "managed" else "pod"
        width = {"dimension": index.dimension, "metric": index.metric, "vector_type": "dense"}
        return {**common, **width, "spec": {kind: place}}

    # ---- the data plane

    def _rows(self, call: Call, namespace: str | None, *, begin: bool = False) -> LaggingRows[Record]:
        """The rows of a namespace, which begins with its first record; the default one has two names."""
        index = self._named(call)
        if self._clock() < index.ready_at:
            raise RefusalError(503, "the index is not ready")
        name = namespace or "__default__"
        rows = index.namespaces.get(name)
        if rows is None:
            rows = LaggingRows(self._clock, lambda: self.lag)
            if begin:
                index.namespaces[name] = rows
        return rows

    def _upsert(self, call: Call) -> Any:
        vectors, rows = call.body["vectors"], self._rows(call, call.body.get("namespace"), begin=True)
        width = self._named(call).dimension
        changes = {}
        for one in vectors:
            if len(one["values"]) != width:
                found = len(one["values"])
                raise RefusalError(400, f"Vector dimension {found} does not match the dimension of the index {width}")
            values = np.array(one["values"], dtype=np.float32)
            if not values.any():
                zeros = f"Vector ID '{one['id']}' contains only zeros"
                raise RefusalError(400, f"Dense vectors must contain at least one non-zero value. {zeros}")
            if len(json.dumps(one.get("metadata") or {}, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
                raise RefusalError(400, f"Metadata size exceeds the limit of {MAX_METADATA_BYTES} bytes per vector")
            changes[one["id"]] = Record(values, one.get("metadata"))
        if len(changes) < len(vectors):
            raise RefusalError(400, "an id comes twice in one request")
        if call.meets(PARTIAL):
            changes = dict(list(changes.items())[: len(changes) // 2])
        lsn = rows.write(changes)
        return in_json(200, {"upsertedCount": len(changes)}, self._lsn("x-pinecone-request-lsn", lsn))

    def _delete(self, call: Call) -> Any:
        body = call.body
        index, name = self._named(call), body.get("namespace") or "__default__"
        if name not in index.namespaces:
            raise RefusalError(404, "Namespace not found")
        rows = self._rows(call, name)
        written = rows.written()
        if "ids" in body:
            gone: Iterable[str] = body["ids"]
        elif "filter" in body:
            holds = compiled(body["filter"], absent=self._complements_absent)
            gone = [row_id for row_id, row in written.items() if holds(row.metadata or {})]
        else:
            gone = list(written)
        lsn = rows.write(dict.fromkeys(gone))
        return in_json(200, {}, self._lsn("x-pinecone-request-lsn", lsn))

    def _query(self, call: Call) -> Any:
        body, index = call.body, self._named(call)
        rows = self._rows(call, body.get("namespace"))
        seen = rows.seen()
        if ("vector" in body) == ("id" in body):
            raise RefusalError(400, "give one of vector and id")
        if body.get("id", "") not in {"", *seen}:
            raise RefusalError(404, "no record has this id")
        query = np.array(body["vector"], np.float32) if "vector" in body else seen[body["id"]].values
        if len(query) != index.dimension:
            text = f"Query vector dimension {len(query)} does not match the dimension of the index {index.dimension}"
            raise RefusalError(400, text)
        holds = compiled(body["filter"], absent=self._complements_absent) if "filter" in body else None
        kept = [row_id for row_id, row in seen.items() if holds is None or holds(row.metadata or {})]
        scores = _scores(query, [seen[row_id].values for row_id in kept], index.metric)
        order = np.argsort(scores if index.metric == "euclidean" else -scores, kind="stable")[: body["topK"]]
        parts = {"values": body.get("includeValues", False), "metadata": body.get("includeMetadata", False)}
        matches = [
            {**seen[kept[place]].shown(kept[place], **parts), "score": float(np.float32(scores[place]))}
            for place in order
        ]
        said = {"matches": matches, "namespace": body.get("namespace", ""), "usage": {"readUnits": 1}}
        return self._bounded(said, self._lsn("x-pinecone-max-indexed-lsn", rows.indexed))

    def _fetch(self, call: Call) -> Any:
        ids = call.values("ids")
        if not 1 <= len(ids) <= MAX_IDS:
            raise RefusalError(400, f"give 1 to {MAX_IDS} ids, not {len(ids)}")
        namespace = call.request.query.get("namespace")
        seen = self._rows(call, namespace).seen()
        found = {row_id: seen[row_id].shown(row_id) for row_id in ids if row_id in seen}
        return self._bounded({"vectors": found, "namespace": namespace or "", "usage": {"readUnits": 1}})

    def _fetch_by(self, call: Call) -> Any:
        body = call.body
        seen = self._rows(call, body.get("namespace")).seen()
        holds = compiled(body["filter"], absent=self._complements_absent)
        matching = sorted(row_id for row_id, row in seen.items() if holds(row.metadata or {}))
        page, following = _page(call, matching, body.get("limit", 100), body.get("paginationToken"))
        found = {row_id: seen[row_id].shown(row_id) for row_id in page}
        return self._bounded({"vectors": found, "namespace": body.get("namespace", ""), **following})

    def _list(self, call: Call) -> Any:
        asked = call.request.query
        limit = asked.get("limit", str(LIST_PAGE))
        if not limit.isdecimal() or not 1 <= int(limit) <= LIST_PAGE:
            raise RefusalError(400, f"limit is from 1 to {LIST_PAGE}, not {limit}")
        seen = self._rows(call, asked.get("namespace")).seen()
        matching = sorted(row_id for row_id in seen if row_id.startswith(asked.get("prefix", "")))
        page, following = _page(call, matching, int(limit), asked.get("paginationToken"))
        return {"vectors": [{"id": row_id} for row_id in page], "namespace": asked.get("namespace", ""), **following}

    def _stats(self, call: Call) -> Any:
        index = self._named(call)
        counts = {name: len(rows.seen()) for name, rows in index.namespaces.items()}
        return {
            "namespaces": {name: {"vectorCount": count} for name, count in counts.items() if count},
            "dimension": index.dimension,
            "indexFullness": 0.0,
            "totalVectorCount": sum(counts.values()),
            "metric": index.metric,
            "vectorType": "dense",
        }

    def _lsn(self, header: str, number: int) -> dict[str, str]:
        return {header: str(number)} if self.says_lsn else {}

    def _bounded(self, said: Any, headers: Mapping[str, str] | None = None) -> Answer:
        answer = in_json(200, said, headers)
        if len(answer.body) > MAX_RESULT_BYTES:
            raise RefusalError(400, f"the result is larger than {MAX_RESULT_BYTES} bytes; ask for less")
        return answer


def _is_new(request: Request) -> bool:
    return request.headers.get("x-pinecone-api-version", "") >= _NEW


def _deployment(spec: dict[str, Any]) -> dict[str, Any]:
    if "serverless" in spec:
        return {"deployment_type": "managed", **spec["serverless"]}
    kept = ("environment", "pod_type", "replicas", "shards")
    pod = {name: value for name, value in spec["pod"].items() if name in kept}
    return {"deployment_type": "pod", "replicas": 1, "shards": 1, **pod}


def _number(value: Any) -> Any:
    """A number as it comes back: each was held as a float64, and whole ones are written without a point."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    held = float(value)
    return int(held) if held.is_integer() and abs(held) < 2**53 else held


def _scores(query: NDArray[np.float32], rows: list[NDArray[np.float32]], metric: str) -> NDArray[np.float64]:
    if not rows:
        return np.empty(0)
    one, many = query.astype(np.float64), np.array(rows, dtype=np.float64)
    if metric == "euclidean":
        return np.asarray(((many - one) ** 2).sum(axis=1))
    products = (many * one).sum(axis=1)
    if metric == "dotproduct":
        return np.asarray(products)
    lengths = np.linalg.norm(many, axis=1) * np.linalg.norm(one)
    cosines: NDArray[np.float64] = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return cosines


def _page(call: Call, ids: list[str], limit: int, token: str | None) -> tuple[list[str], dict[str, Any]]:
    """The ids after those of the last page, and the token of the next one."""
    try:
        after = base64.urlsafe_b64decode(token).decode() if token else ""
    except ValueError:
        raise RefusalError(400, "Invalid pagination token") from None
    rest = [row_id for row_id in ids if row_id > after]
    page = rest[:limit]
    if call.meets(SAME_PAGE):
        following = token or base64.urlsafe_b64encode(b"\x01").decode()
    elif len(rest) > limit:
        following = base64.urlsafe_b64encode(page[-1].encode()).decode()
    else:
        return page, {}
    return page, {"pagination": {"next": following}}


__all__ = ("MAX_RESULT_BYTES", "Index", "PineconeStandIn", "Record")
