"""LanceDB keeps the contract: without a vector index, with one, and where every search is exact."""

from __future__ import annotations

import pytest
from engines import require

require("lancedb")

import numpy as np

from vecsearch.testing import IndexConformance, own_server

HIDDEN = ("id", "vector", "document")


class Behind:
    """Rows read with the engine's own client."""

    def back_door(self, index):
        rows = index.client.open_table(index.config.index_name).to_arrow().to_pylist()
        return {row["id"]: (np.float32(row["vector"]), _metadata(row)) for row in rows}


def _metadata(row):
    """A field of several types has several columns, of which a row fills one."""
    kinds = ("__str", "__int", "__float", "__bool", "__list")
    return {
        next((name.removesuffix(kind) for kind in kinds if name.endswith(kind)), name): value
        for name, value in row.items()
        if value is not None and name not in HIDDEN
    }


@pytest.mark.slow
class TestInAFolder(Behind, IndexConformance):
    backend = "lancedb"

    def settings(self, tmp_path):
        return {"path": str(tmp_path / "lance")}


class TestWithAnIndex(Behind, IndexConformance):
    """A graph over quantised vectors, made as soon as there are rows to be trained on."""

    backend = "lancedb"

    def settings(self, tmp_path):
        return {"path": str(tmp_path / "lance"), "index_type": "IVF_HNSW_SQ", "index_rows": 20}

    @pytest.fixture(autouse=True)
    @staticmethod
    def _at_once(monkeypatch):
        monkeypatch.setattr("vecsearch.backends.lancedb._KEEP_UP_ROWS", 1)


@pytest.mark.slow
class TestExactOnly(Behind, IndexConformance):
    backend = "lancedb"

    def settings(self, tmp_path):
        return {"uri": str(tmp_path / "lance"), "index_type": "NONE"}


@pytest.mark.live
class TestYourStore(Behind, IndexConformance):
    """Where VECSEARCH_TEST_LANCEDB_URI (and _STORAGE_OPTIONS) names one."""

    __test__ = bool(own_server("lancedb"))
    backend = "lancedb"

    def settings(self, tmp_path):
        return own_server("lancedb")
