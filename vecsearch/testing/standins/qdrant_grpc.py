"""The other wire of the Qdrant stand-in: gRPC, with the service that the client ships, over the same collections."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import grpc
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc.collections_service_pb2_grpc import CollectionsServicer, add_CollectionsServicer_to_server
from qdrant_client.grpc.points_service_pb2_grpc import PointsServicer, add_PointsServicer_to_server
from qdrant_client.http import models

from vecsearch.testing.standins.http import RefusalError
from vecsearch.testing.standins.qdrant import Store

if TYPE_CHECKING:
    from collections.abc import Callable

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ALREADY_EXISTS,
}


class QdrantGrpcStandIn:
    """The gRPC API, as far as the backend uses it, on 127.0.0.1 at a port that is free."""

    def __init__(self, store: Store | None = None, *, api_key: str | None = None) -> None:
        self.store = store or Store()
        self.api_key = api_key
        self.delay = 0.0
        self.calls: list[str] = []
        self._server: Any = None
        self.port = 0

    def start(self) -> None:
        """Listen; after ``stop`` at the same port."""
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(8), options=options)
        register: Any
        for register, service in (
            (add_CollectionsServicer_to_server, _Collections(self)),
            (add_PointsServicer_to_server, _Points(self)),
        ):
            register(service, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Refuse every call, as a server that is down; what it holds, it keeps."""
        server, self._server = self._server, None
        if server is not None:
            server.stop(None).wait(5)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve(self, name: str, context: Any, function: Callable[[], Any]) -> Any:
        """One call, its refusals as statuses."""
        self.calls.append(name)
        time.sleep(self.delay)
        given = dict(context.invocation_metadata()).get("api-key")
        if self.api_key is not None and given != self.api_key:
            context.abort(_CODES[401], "Must provide an API key or an Authorization bearer token")
        try:
            return function()
        except RefusalError as error:
            context.abort(_CODES[error.status], str(error))


class _Collections(CollectionsServicer):
    def __init__(self, server: QdrantGrpcStandIn) -> None:
        self._server = server
        self._store = server.store

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802  the name of the call
        def answer() -> Any:
            info = self._store.describe(request.collection_name)
            return wire.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

        return self._server.serve("Get", context, answer)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            options: dict[str, Any] = {
                name: getattr(request, name)
                for name in ("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload")
                if request.HasField(name)
            }
            for name, convert in (
                ("hnsw_config", GrpcToRest.convert_hnsw_config_diff),
                ("optimizers_config", GrpcToRest.convert_optimizers_config_diff),
                ("wal_config", GrpcToRest.convert_wal_config_diff),
                ("quantization_config", GrpcToRest.convert_quantization_config),
            ):
                if request.HasField(name):
                    options[name] = convert(getattr(request, name))
            asked = models.CreateCollection(
                vectors=GrpcToRest.convert_vectors_config(request.vectors_config),
                metadata=GrpcToRest.convert_payload(request.metadata) or None,
                **options,
            )
            return wire.CollectionOperationResponse(result=self._store.create(request.collection_name, asked))

        return self._server.serve("Create", context, answer)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            return wire.CollectionOperationResponse(result=self._store.drop(request.collection_name))

        return self._server.serve("Delete", context, answer)


class _Points(PointsServicer):
    def __init__(self, server: QdrantGrpcStandIn) -> None:
        self._server = server
        self._store = server.store

    def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            points = [GrpcToRest.convert_point_struct(point) for point in request.points]
            return _updated(self._store.upsert(request.collection_name, models.PointsList(points=points)))

        return self._server.serve("Upsert", context, answer)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            selector = GrpcToRest.convert_points_selector(request.points)
            return _updated(self._store.delete(request.collection_name, selector))

        return self._server.serve("DeletePoints", context, answer)

    def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            ids = [GrpcToRest.convert_point_id(point) for point in request.ids]
            asked = models.PointRequest(ids=ids, **_parts(request))
            found = self._store.retrieve(request.collection_name, asked)
            return wire.GetResponse(result=[RestToGrpc.convert_record(point) for point in found])

        return self._server.serve("GetPoints", context, answer)

    def QueryBatch(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            searches = [GrpcToRest.convert_query_points(one) for one in request.query_points]
            found = self._store.query(request.collection_name, models.QueryRequestBatch(searches=searches))
            batches = [
                wire.BatchResult(result=[RestToGrpc.convert_scored_point(point) for point in one.points])
                for one in found
            ]
            return wire.QueryBatchResponse(result=batches)

        return self._server.serve("QueryBatch", context, answer)

    def Scroll(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            asked = models.ScrollRequest(
                offset=GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
                limit=request.limit if request.HasField("limit") else None,
                filter=GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None,
                **_parts(request),
            )
            page = self._store.scroll(request.collection_name, asked)
            following = page.next_page_offset
            return wire.ScrollResponse(
                result=[RestToGrpc.convert_record(point) for point in page.points],
                next_page_offset=None if following is None else RestToGrpc.convert_extended_point_id(following),
            )

        return self._server.serve("Scroll", context, answer)

    def Count(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            asked = models.CountRequest(
                filter=GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None,
                exact=request.exact,
            )
            return wire.CountResponse(
                result=wire.CountResult(count=self._store.count(request.collection_name, asked).count)
            )

        return self._server.serve("Count", context, answer)

    def CreateFieldIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        def answer() -> Any:
            kind = wire.FieldType.Name(request.field_type).removeprefix("FieldType").lower()
            asked = models.CreateFieldIndex(field_name=request.field_name, field_schema=models.PayloadSchemaType(kind))
            return _updated(self._store.index(request.collection_name, asked))

        return self._server.serve("CreateFieldIndex", context, answer)


def _parts(request: Any) -> dict[str, Any]:
    vectors = (
        GrpcToRest.convert_with_vectors_selector(request.with_vectors) if request.HasField("with_vectors") else None
    )
    return {"with_payload": GrpcToRest.convert_with_payload_selector(request.with_payload), "with_vector": vectors}


def _updated(done: models.UpdateResult) -> Any:
    return wire.PointsOperationResponse(result=RestToGrpc.convert_update_result(done))


__all__ = ("QdrantGrpcStandIn",)
