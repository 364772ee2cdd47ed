"""The embedded backend keeps the contract; its rows are read from the files that it saves, without its code."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from vecsearch.testing import IndexConformance


class TestSklearn(IndexConformance):
    backend = "sklearn"

    def settings(self, tmp_path):
        return {"path": str(tmp_path / "index")}

    def back_door(self, index):
        index.save()
        folder = Path(index.config.path)
        manifest = json.loads((folder / "manifest.json").read_text())
        ids, fields = (_texts(folder, manifest, name) for name in ("id", "field"))
        vectors = np.fromfile(_file(folder, manifest, "vectors"), dtype="<f4").reshape(len(ids), -1)
        return {row_id: (v, _metadata(json.loads(f))) for row_id, v, f in zip(ids, vectors, fields, strict=True)}


def _file(folder, manifest, name):
    return next(folder.glob(f"{name}-{manifest['generation']:08d}.*"))


def _texts(folder, manifest, name):
    offsets = np.fromfile(_file(folder, manifest, f"{name}-offsets"), dtype="<u8").tolist()
    content = _file(folder, manifest, f"{name}s").read_bytes()
    return [content[start:stop].decode().removesuffix("\n") for start, stop in pairwise(offsets)]


def _metadata(fields):
    """Datetimes are written as an object of one key."""
    return {
        name: datetime.fromisoformat(*value.values()) if isinstance(value, dict) else value
        for name, value in fields.items()
    }
