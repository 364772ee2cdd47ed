"""Pinecone keeps the contract: the real client, over the wire, against a stand-in for the service."""

from __future__ import annotations

import pytest
from engines import require

require("pinecone")

import numpy as np

from vecsearch.testing import IndexConformance, own_server
from vecsearch.testing.standins.pinecone import PineconeStandIn


class Behind:
    """Records read with the service's own client."""

    backend = "pinecone"
    namespace = "__default__"

    def back_door(self, index):
        name, namespace = index.config.index_name, self.namespace
        data = index.client.index(host=index.client.indexes.describe(name).host)
        ids = [item.id for page in data.list(namespace=namespace) for item in page.vectors]
        found = {}
        for start in range(0, len(ids), 10):
            found |= data.fetch(ids=ids[start : start + 10], namespace=namespace).vectors
        data.close()
        return {
            record.metadata["_vs_key"]: (
                np.float32(record.values),
                {
                    name: float(value) if type(value) is int else value  # all numbers are float64 there
                    for name, value in record.metadata.items()
                    if name not in ("_vs_key", "_vs_document")
                },
            )
            for record in found.values()
        }


@pytest.mark.slow
class TestOverTheWire(Behind, IndexConformance):
    backend = "pinecone"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls):
        with PineconeStandIn("127.0.0.2") as server:
            cls.server = server
            yield

    def settings(self, tmp_path):
        return self.server.settings()


class TestInANamespace(Behind, IndexConformance):
    """Where every call names it: a call that forgot would read and write another. Writes are seen late, and what is not
    documented is the other way round.
    """

    backend = "pinecone"
    namespace = "tenant 7"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls):
        with PineconeStandIn("127.0.0.3", complements_absent=False) as server:
            server.lag = 0.03
            cls.server = server
            yield
        used = {name for index in server.indexes.values() for name in index.namespaces}
        assert used <= {cls.namespace}

    def settings(self, tmp_path):
        return {**self.server.settings(), "namespace": self.namespace}


@pytest.mark.live
class TestYourAccount(Behind, IndexConformance):
    """Where VECSEARCH_TEST_PINECONE_API_KEY (and _CLOUD, _REGION …) names one."""

    __test__ = bool(own_server("pinecone"))
    backend = "pinecone"
    namespace = own_server("pinecone").get("namespace", "__default__")

    def settings(self, tmp_path):
        return own_server("pinecone")
