"""A stand-in for a Qdrant server: REST on loopback, answered by the client's own local mode.

There is no server to be had as a package. What this proves is the wire: that the real client's requests are what the
API takes (each is read with the client's own models, which refuse unknown fields), and that answers come back whole.
It does not prove the server itself: graphs, shards, replicas, quantisation.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from qdrant_client import QdrantClient
from qdrant_client.http import models

from vecsearch.testing.standins.http import Answer, LoopbackServer, RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vecsearch.testing.standins.http import Request

VERSION = "1.16.0"
_KEPT = ("hnsw_config", "optimizers_config", "wal_config", "quantization_config")


class Store:
    """The collections behind both wires; every method takes and gives the models of the REST API."""

    keeps_metadata = True
    """Servers before 1.16 ignore the metadata of a collection."""

    def __init__(self) -> None:
        self._client = QdrantClient(":memory:")
        self._lock = threading.RLock()  # the local mode is not safe for threads
        self.created: dict[str, models.CreateCollection] = {}
        """The options of each collection, of which the local mode uses few."""
        self.indexes: dict[str, dict[str, Any]] = {}
        """The payload indexes of each collection."""

    def _ask(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            with self._lock:
                return function(*arguments, **named)
        except ValidationError as error:
            raise RefusalError(400, f"Wrong input: {error}") from error
        except ValueError as error:
            text = str(error)
            if text.startswith("Collection ") and text.endswith("not found"):
                raise RefusalError(404, f"Not found: {text.removesuffix(' not found')} doesn't exist!") from error
            if text.endswith("already exists"):
                raise RefusalError(409, f"Wrong input: {text}!") from error
            raise RefusalError(400, f"Wrong input: {text}") from error

    def create(self, name: str, asked: models.CreateCollection) -> bool:
        """Make a collection."""
        metadata = asked.metadata if self.keeps_metadata else None
        self._ask(self._client.create_collection, name, vectors_config=asked.vectors, metadata=metadata)
        self.created[name], self.indexes[name] = asked, {}
        return True

    def describe(self, name: str) -> models.CollectionInfo:
        """The configuration, with the options that the local mode has no use for."""
        info: models.CollectionInfo = self._ask(self._client.get_collection, name)
        asked = self.created[name]
        for option in _KEPT:
            given = getattr(asked, option)
            if option == "quantization_config":
                info.config.quantization_config = given
            elif given is not None:
                held = getattr(info.config, "optimizer_config" if option == "optimizers_config" else option)
                for field, value in given.model_dump(exclude_none=True).items():
                    setattr(held, field, value)
        for option in ("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload"):
            if getattr(asked, option) is not None:
                setattr(info.config.params, option, getattr(asked, option))
        return info

    def exists(self, name: str) -> bool:
        """Whether there is such a collection."""
        return bool(self._ask(self._client.collection_exists, name))

    def drop(self, name: str) -> bool:
        """Delete a collection."""
        self.created.pop(name, None)
        return bool(self._ask(self._client.delete_collection, name))

    def upsert(self, name: str, asked: models.PointsBatch | models.PointsList) -> models.UpdateResult:
        """Write points."""
        points = asked.batch if isinstance(asked, models.PointsBatch) else asked.points
        done: models.UpdateResult = self._ask(self._client.upsert, name, points)
        return done

    def delete(self, name: str, asked: Any) -> models.UpdateResult:
        """Delete points."""
        done: models.UpdateResult = self._ask(self._client.delete, name, asked)
        return done

    def retrieve(self, name: str, asked: models.PointRequest) -> list[models.Record]:
        """Points by id."""
        found: list[models.Record] = self._ask(
            self._client.retrieve,
            name,
            asked.ids,
            with_payload=True if asked.with_payload is None else asked.with_payload,
            with_vectors=asked.with_vector or False,
        )
        return found

    def query(self, name: str, asked: models.QueryRequestBatch) -> list[models.QueryResponse]:
        """Several searches. Their ``params`` are about indexes, which the local mode has none of."""
        plain = [one.model_copy(update={"params": None}) for one in asked.searches]
        found: list[models.QueryResponse] = self._ask(self._client.query_batch_points, name, plain)
        return found

    def scroll(self, name: str, asked: models.ScrollRequest) -> models.ScrollResult:
        """A page of points."""
        points, following = self._ask(
            self._client.scroll,
            name,
            scroll_filter=asked.filter,
            limit=asked.limit or 10,
            offset=asked.offset,
            with_payload=True if asked.with_payload is None else asked.with_payload,
            with_vectors=asked.with_vector or False,
        )
        return models.ScrollResult(points=points, next_page_offset=following)

    def count(self, name: str, asked: models.CountRequest) -> models.CountResult:
        """The number of points."""
        counted: models.CountResult = self._ask(self._client.count, name, asked.filter, exact=asked.exact is not False)
        return counted

    def index(self, name: str, asked: models.CreateFieldIndex) -> models.UpdateResult:
        """Note a payload index; the local mode answers as well without one."""
        self._ask(self._client.get_collection, name)
        self.indexes[name][asked.field_name] = asked.field_schema
        return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)


class _Route(NamedTuple):
    model: Any
    """What the body must be; ``None``: there is none."""
    function: Callable[..., Any]


class QdrantStandIn(LoopbackServer):
    """The REST API, as far as the backend uses it."""

    def __init__(self, store: Store | None = None, *, api_key: str | None = None) -> None:
        super().__init__()
        self.store = store = store or Store()
        self.api_key = api_key
        self._collection = {
            "GET": _Route(None, store.describe),
            "PUT": _Route(models.CreateCollection, store.create),
            "DELETE": _Route(None, store.drop),
        }
        self._below = {
            ("GET", "exists"): _Route(None, lambda name: models.CollectionExistence(exists=store.exists(name))),
            ("PUT", "index"): _Route(models.CreateFieldIndex, store.index),
            ("PUT", "points"): _Route(models.PointsBatch | models.PointsList, store.upsert),
            ("POST", "points"): _Route(models.PointRequest, store.retrieve),
            ("POST", "points/delete"): _Route(models.PointIdsList | models.FilterSelector, store.delete),
            ("POST", "points/query/batch"): _Route(models.QueryRequestBatch, store.query),
            ("POST", "points/scroll"): _Route(models.ScrollRequest, store.scroll),
            ("POST", "points/count"): _Route(models.CountRequest, store.count),
        }

    def answer(self, request: Request) -> Answer:
        """As the server answers: ``{"result": …, "status": "ok", "time": …}``, or an error in its words."""
        if self.api_key is not None and request.headers.get("api-key") != self.api_key:
            return Answer(
                401, b"Must provide an API key or an Authorization bearer token", {"Content-Type": "text/plain"}
            )
        if not request.path:
            return _json(200, {"title": "stand-in", "version": VERSION})
        if request.path[0] != "collections" or len(request.path) == 1:
            return Answer(404, b"")
        name, below = request.path[1], "/".join(request.path[2:])
        route = self._below.get((request.method, below)) if below else self._collection.get(request.method)
        if route is None:
            return Answer(404, b"")
        try:
            body = [] if route.model is None else [TypeAdapter(route.model).validate_json(request.body)]
            result = TypeAdapter(Any).dump_python(route.function(name, *body), mode="json", by_alias=True)
        except ValidationError as error:
            return _refused(400, f"Format error in JSON body: {error}")
        except RefusalError as error:
            return _refused(error.status, str(error))
        return _json(200, {"result": result, "status": "ok", "time": 0.0})

    def too_large(self, size: int, request: Request) -> Answer:  # noqa: ARG002  the server says so of any
        """In the words of the server."""
        limit = self.max_request_bytes
        return _refused(
            413, f"Payload error: JSON payload ({size} bytes) is larger than allowed (limit: {limit} bytes)."
        )


def _json(status: int, content: Any) -> Answer:
    return Answer(status, json.dumps(content, ensure_ascii=False).encode())


def _refused(status: int, text: str) -> Answer:
    return _json(status, {"status": {"error": text}, "time": 0.0})


__all__ = ("QdrantStandIn", "Store")
