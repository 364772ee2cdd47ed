"""Qdrant keeps the contract: in memory, in a folder, and over both of its wires."""

from __future__ import annotations

import pytest
from engines import require

require("qdrant")

import numpy as np

from vecsearch.testing import IndexConformance, own_server
from vecsearch.testing.standins.qdrant import QdrantStandIn
from vecsearch.testing.standins.qdrant_grpc import QdrantGrpcStandIn


class Behind:
    """Points read with the engine's own client."""

    backend = "qdrant"

    def back_door(self, index):
        points, _ = index.client.scroll(index.config.index_name, limit=10_000, with_vectors=True)
        return {
            point.id: (np.float32(point.vector), {n: v for n, v in point.payload.items() if n != "_vs_document"})
            for point in points
        }


class TestInMemory(Behind, IndexConformance):
    """With a key, the same settings mean a folder."""

    backend = "qdrant"
    gaps = dict.fromkeys(
        ("test_connect_attaches_and_never_creates", "test_an_index_that_exists_is_not_overwritten"),
        "rows in memory end with their index: there is nothing to attach to",
    )

    def settings(self, tmp_path):
        return {}


@pytest.mark.slow
class TestInAFolder(Behind, IndexConformance):
    backend = "qdrant"

    def settings(self, tmp_path):
        return {"path": str(tmp_path / "qdrant")}


@pytest.mark.slow
class TestOverRest(Behind, IndexConformance):
    backend = "qdrant"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls):
        with QdrantStandIn() as server:
            cls.server = server
            yield

    def settings(self, tmp_path):
        return {"url": self.server.url}


@pytest.mark.slow
class TestOverGrpc(Behind, IndexConformance):
    backend = "qdrant"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls):
        with QdrantGrpcStandIn() as server:
            cls.server = server
            yield

    def settings(self, tmp_path):
        return {"host": "127.0.0.1", "grpc_port": self.server.port, "prefer_grpc": True}


@pytest.mark.live
class TestYourServer(Behind, IndexConformance):
    """Where VECSEARCH_TEST_QDRANT_URL (and _API_KEY, _PREFER_GRPC …) names one."""

    __test__ = bool(own_server("qdrant"))
    backend = "qdrant"

    def settings(self, tmp_path):
        return own_server("qdrant")
