"""Near pairs on their way to disk, so that a comparison that is stopped can go on where it was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vecsearch.errors import InvalidInputError
from vecsearch.files import atomic_write, fsync_directory, storage_errors

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from vecsearch.core import Edges

_PAIR = np.dtype([("i", "<i4"), ("j", "<i4"), ("distance", "<f8")])
_SECONDS = 10.0  # of work that may be lost
_STATE, _PAIRS = "state.json", "pairs.bin"


class PairFile:
    """The pairs found so far, in a folder of two files; within a ``with`` block that ends well, the folder is removed.

    Args:
        path: the folder, made if there is none.
        identity: what is compared; a folder that was begun with another identity is refused.

    Raises:
        InvalidInputError: the folder holds something else.
        StorageError: it cannot be written.

    """

    def __init__(self, path: str | Path, identity: dict[str, Any]) -> None:
        self._path = Path(path).expanduser()
        self._identity = identity
        self.compared = 0
        """How many pairs were compared when the file was last marked."""
        self._pairs = 0
        self._marked = time.monotonic()
        with storage_errors("write the checkpoint", self._path):
            self._path.mkdir(parents=True, exist_ok=True)
            self._read()
            self._file = (self._path / _PAIRS).open("ab")
            self._file.truncate(self._pairs * _PAIR.itemsize)  # what came after the last mark is found again

    def _read(self) -> None:
        state = self._path / _STATE
        if not state.exists():
            if any(self._path.iterdir()):
                raise InvalidInputError(f"{self._path} is not empty and no checkpoint of find_duplicates")
            return
        try:
            saved = json.loads(state.read_text(encoding="utf-8"))
            identity, self.compared, self._pairs = saved["identity"], int(saved["compared"]), int(saved["pairs"])
            whole = (self._path / _PAIRS).stat().st_size >= self._pairs * _PAIR.itemsize
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"{self._path} is no checkpoint ({error}); delete it to start over") from error
        if identity != self._identity:
            different = sorted(key for key in self._identity if identity.get(key) != self._identity[key])
            raise InvalidInputError(
                f"{self._path} was begun with another {' and '.join(different)}; delete it to start over"
            )
        if not whole:
            raise InvalidInputError(f"{self._path}: {_PAIRS} is cut short; delete the folder to start over")

    def load(self) -> NDArray[np.void]:
        """The pairs that were marked: a structured array with ``i``, ``j`` and ``distance``."""
        return np.fromfile(self._path / _PAIRS, dtype=_PAIR, count=self._pairs)

    def add(self, edges: Edges) -> None:
        """Take more pairs."""
        pairs = np.empty(len(edges.i), dtype=_PAIR)
        pairs["i"], pairs["j"], pairs["distance"] = edges
        with storage_errors("write the checkpoint", self._path):
            self._file.write(pairs.tobytes())
        self._pairs += len(pairs)

    def mark(self, compared: int, *, now: bool = False) -> None:
        """Say that all pairs up to ``compared`` were added; written every few seconds."""
        self.compared = compared
        if not now and time.monotonic() - self._marked < _SECONDS:
            return
        with storage_errors("write the checkpoint", self._path):
            self._file.flush()
            state = {"version": 1, "identity": self._identity, "compared": compared, "pairs": self._pairs}
            atomic_write(self._path / _STATE, json.dumps(state, indent=1))
        self._marked = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.mark(self.compared, now=True)
        self._file.close()
        if kind is None:
            for name in (_STATE, _PAIRS):
                (self._path / name).unlink(missing_ok=True)
            self._path.rmdir()
            fsync_directory(self._path.parent)
