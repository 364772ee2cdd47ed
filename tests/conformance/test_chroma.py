"""Chroma keeps the contract: in memory, in a folder, and on its server."""

from __future__ import annotations

import pytest
from engines import require

require("chroma")

import numpy as np
from chroma_server import ChromaServer

from vecsearch.testing import IndexConformance, own_server

# Chroma's graph leaves a few rows without an edge that leads to them, more where vectors repeat, as the suite's do.
# With more neighbours than there are rows none is pruned; with 64, one build of eight lost the row farthest out.
_DENSE = {"max_neighbors": 256, "ef_construction": 400}


class Behind:
    """Rows read with the engine's own client."""

    backend = "chroma"

    def back_door(self, index):
        collection = index.client.get_collection(index.config.index_name, embedding_function=None)
        found = collection.get(include=["embeddings", "metadatas"])
        return {
            row_id: (np.float32(vector), metadata or {})
            for row_id, vector, metadata in zip(found["ids"], found["embeddings"], found["metadatas"], strict=True)
        }


@pytest.mark.slow
class TestInMemory(Behind, IndexConformance):
    """With the graph that Chroma makes by itself. With a key, the same settings mean a folder."""

    backend = "chroma"
    recall = 0.0  # for k=1 and a row that no edge leads to; exact answers are exact all the same
    gaps = dict.fromkeys(
        ("test_connect_attaches_and_never_creates", "test_an_index_that_exists_is_not_overwritten"),
        "rows in memory end with their index: there is nothing to attach to",
    )

    def settings(self, tmp_path):
        return {}


class TestInAFolder(Behind, IndexConformance):
    backend = "chroma"

    def settings(self, tmp_path):
        return {"path": str(tmp_path / "chroma"), "hnsw": _DENSE}


class TestOnAServer(Behind, IndexConformance):
    backend = "chroma"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, tmp_path_factory):
        with ChromaServer(tmp_path_factory.mktemp("chroma")) as server:
            cls.server = server
            yield

    def settings(self, tmp_path):
        return {"host": "127.0.0.1", "port": self.server.port, "hnsw": _DENSE}


@pytest.mark.live
class TestYourServer(Behind, IndexConformance):
    """Where VECSEARCH_TEST_CHROMA_HOST (and _PORT, _TOKEN …) names one."""

    __test__ = bool(own_server("chroma"))
    backend = "chroma"

    def settings(self, tmp_path):
        return {"hnsw": _DENSE, **own_server("chroma")}
