"""Mosaic keeps the contract: through the real SDK, over loopback, on both kinds of endpoints, and with late writes."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
from engines import require

require("mosaic")

from vecsearch.testing import IndexConformance, own_server
from vecsearch.testing.standins.mosaic import MosaicStandIn

FIELDS = {
    "number": "int",
    "ratio": "float",
    "parity": "str",
    "taken": "datetime",
    "flag": "bool",
    "rare": "str",
}


class Behind:
    """Rows read with the SDK's own scan."""

    backend = "mosaic"

    @pytest.fixture(autouse=True)
    def _no_other_credentials(self, monkeypatch):
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nonexistent")

    def back_door(self, index):
        config = index.config
        name = f"{config.catalog_name}.{config.schema_name}.{config.index_name}"
        api, rows, last = index.client.vector_search_indexes, {}, None
        while (page := api.scan_index(name, last_primary_key=last, num_results=100)).data:
            for entry in page.data:
                row = {one.key: one.value for one in entry.fields}
                vector = np.float32([value.number_value for value in row["vector"].list_value.values])
                rows[row["id"].string_value] = (vector, _fields(row))
            last = page.last_primary_key
        return rows


def _fields(row):
    fields = json.loads(row["_vs_rest"].string_value or "{}")
    for name in ("number", "ratio", "parity", "flag", "rare", "_vs_norm", "_vs_sample"):
        value = row.get(name)
        if value is None:
            continue
        for held in (value.string_value, value.number_value, value.bool_value):
            if held is not None:
                fields.setdefault(name, int(held) if FIELDS.get(name) == "int" else held)
    return fields


class OnAStandIn(Behind):
    """One stand-in a class."""

    options: ClassVar = {}
    lag = 0.0
    fields: ClassVar = FIELDS

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls):
        with MosaicStandIn(**cls.options) as server:
            server.lag = cls.lag
            cls.server = server
            yield

    def settings(self, tmp_path):
        return {**self.server.settings(), "metadata_schema": self.fields}


class TestOnAStandardEndpoint(OnAStandIn, IndexConformance):
    backend = "mosaic"


@pytest.mark.slow
class TestOnAStorageOptimisedEndpoint(OnAStandIn, IndexConformance):
    """And with the field of the truth table as a text."""

    backend = "mosaic"
    options: ClassVar = {"endpoint_type": "STORAGE_OPTIMIZED"}
    fields: ClassVar = {**FIELDS, "x": "str"}


@pytest.mark.slow
class TestWithLateWrites(OnAStandIn, IndexConformance):
    """And with that field as a number."""

    backend = "mosaic"
    options: ClassVar = {"endpoint_type": "STORAGE_OPTIMIZED"}
    lag = 0.03
    fields: ClassVar = {**FIELDS, "x": "float"}


@pytest.mark.live
class TestYourWorkspace(Behind, IndexConformance):
    """Where VECSEARCH_TEST_MOSAIC_WORKSPACE_URL (and _CATALOG_NAME, _SCHEMA_NAME, _ENDPOINT_NAME …) names one."""

    __test__ = bool(own_server("mosaic"))
    backend = "mosaic"

    def settings(self, tmp_path):
        return {"metadata_schema": FIELDS, **own_server("mosaic")}
