"""Points in a folder: one JSON file each, its raw arrays beside it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from vecsearch.bench.points import Point
from vecsearch.errors import CorruptDataError, InvalidInputError
from vecsearch.files import atomic_write, storage_errors

Arrays = Mapping[str, np.ndarray[Any, Any]]


class Store:
    """Points in a folder: ``points/<key>.json``, and ``points/<key>.npz`` with the raw arrays.

    Arrays of a search, one entry a call: ``service_ns``, ``response_ns`` (open loop), ``query`` (its number, -1 where
    a call held several), ``repeat``, ``worker``, ``started_ns``; and one entry a query: ``recall``, ``tied``, ``ids``
    (q, k; -1 where there was none).
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._points = self.folder / "points"

    def __contains__(self, key: str) -> bool:
        return self._json(key).exists()

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[Point]:
        return map(self.get, self.keys())

    def keys(self) -> list[str]:
        """The keys of all points, sorted."""
        return sorted(path.stem for path in self._points.glob("*.json") if not path.name.startswith("."))

    def put(self, point: Point, arrays: Arrays | None = None) -> None:
        """Write a point; the JSON last, so that a point that is there is whole."""
        target = self._npz(point.key)
        with storage_errors("write", target):
            self._points.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if arrays:
                plain: dict[str, Any] = {name: _plain(array) for name, array in arrays.items()}
                np.savez_compressed(target, **plain)
        atomic_write(self._json(point.key), point.model_dump_json(indent=1) + "\n")

    def get(self, key: str) -> Point:
        """A point, validated. Raises ``InvalidInputError`` for an unknown key, ``CorruptDataError`` for a bad file."""
        path = self._json(key)
        if key not in self.keys():
            raise InvalidInputError(f"{self.folder} holds no point {key!r}")
        with storage_errors("read", path):
            text = path.read_text(encoding="utf-8")
        try:
            point = Point.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the document"
            text = f"{path} is no point of schema 1: {where}: {first['msg']}"
            raise CorruptDataError(text, path) from None
        if point.key != key:
            raise CorruptDataError(
                f"{path} holds the point {point.key}: its name or its spec was changed by hand", path
            )
        return point

    def arrays(self, key: str) -> dict[str, np.ndarray[Any, Any]]:
        """The raw arrays of a point; nothing where it has none."""
        path = self._npz(key)
        if not path.exists():
            return {}
        try:
            with storage_errors("read", path), np.load(path, allow_pickle=False) as held:
                return {name: held[name] for name in held.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise CorruptDataError(f"{path} holds no arrays that can be read: {error}", path) from error

    def remove(self, key: str) -> None:
        """Forget a point."""
        for path in (self._json(key), self._npz(key)):
            with storage_errors("remove", path):
                path.unlink(missing_ok=True)

    def _json(self, key: str) -> Path:
        return self._points / f"{key}.json"

    def _npz(self, key: str) -> Path:
        return self._points / f"{key}.npz"


def _plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.hasobject:
        raise TypeError("objects are not stored as arrays: they would be pickled")
    return array


__all__ = ("Arrays", "Store")
