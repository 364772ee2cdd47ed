"""The embedded backend keeps the contract."""

from __future__ import annotations

from vecsearch.testing import IndexConformance


class TestSklearn(IndexConformance):
    backend = "sklearn"

    def settings(self, tmp_path):
        return {"path": str(tmp_path / "index")}

    def back_door(self, index):
        snapshot = index._engine.backend._table.snapshot
        places = snapshot.live().tolist()
        return {snapshot.ids.take([p])[0]: (snapshot.vectors[p], snapshot.fields[p]) for p in places}
