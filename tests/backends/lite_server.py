"""A Milvus Lite that listens on loopback, to be stopped and started again as a server is; it may want a password."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import grpc
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.db import MilvusLite
from pymilvus.grpc_gen import milvus_pb2_grpc


class LiteServer:
    def __init__(self, folder, *, password=None, largest=256 << 20):
        self.folder = str(folder / "served.db")
        self.port = 0
        self._doors = [] if password is None else [_Door(password)]
        self._options = [("grpc.max_receive_message_length", largest), ("grpc.max_send_message_length", 256 << 20)]
        self.start()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self._db = MilvusLite(self.folder)
        self._server = grpc.server(ThreadPoolExecutor(10), interceptors=self._doors, options=self._options)
        milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(self._db), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self):
        if self._server is not None:
            self._server.stop(grace=0).wait()
            self._db.close()
            self._server = None


class _Door(grpc.ServerInterceptor):
    """Lets nobody in without the password, in the words of Milvus 2.3."""

    def __init__(self, password):
        self._key = base64.b64encode(password.encode()).decode()

    def intercept_service(self, continuation, details):
        if dict(details.invocation_metadata).get("authorization") == self._key:
            return continuation(details)
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "auth check failure, please check username and password are correct"
            )
        )
