"""The example of an adapter outside the package keeps the contract; its rows are read with plain SQL."""

from __future__ import annotations

import numpy as np

from vecsearch.testing import IndexConformance


class TestSQLite(IndexConformance):
    backend = "sqlite"

    def settings(self, tmp_path):
        return {"path": str(tmp_path / "vectors.sqlite")}

    def back_door(self, index):
        rows = {
            row_id: (np.frombuffer(vector, dtype="<f4"), {})
            for row_id, vector in index.client.execute("SELECT id, vector FROM item")
        }
        for row_id, name, kind, value in index.client.execute("SELECT id, name, kind, value FROM field"):
            rows[row_id][1][name] = bool(value) if kind == "bool" else value
        return rows
