"""A table in a folder: raw arrays and text, and a manifest that says which of them count.

Every save writes *new* files, named by a generation number, makes them durable, and only then replaces the manifest, in
one rename. Whenever the process dies, the folder holds the old state or the new one; what a dead save left behind is
swept up by the next. Files of an older generation may be deleted while somebody reads them: a mapping outlives its
name.

Reading maps the files. Sizes are always checked when a folder is opened, checksums of what is small; ``Folder.verify``
checks them all.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import secrets
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vecsearch.backends._columns import DOCUMENTS, FIELDS, IDS, Column, Stored
from vecsearch.backends._table import snapshot_of
from vecsearch.backends.base import Spec
from vecsearch.errors import CorruptDataError, StorageError
from vecsearch.files import atomic_write, fsync_directory, locked, storage_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.backends._table import Snapshot

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_LOCK = ".lock"
_FORMAT = "vecsearch-table"
_SUFFIXES = {
    "vectors": "f32",
    "norms": "f64",
    "ids": "txt",
    "id-offsets": "u64",
    "fields": "jsonl",
    "field-offsets": "u64",
    "documents": "txt",
    "document-offsets": "u64",
}
_OURS = re.compile(
    rf"(?:{'|'.join(_SUFFIXES)})-\d{{8,}}\.(?:{'|'.join(sorted(set(_SUFFIXES.values())))})|\.{re.escape(MANIFEST)}\..*\.tmp"
)
_CHECK_AT_OPEN = 32 * 2**20
"""Files up to this many bytes have their checksum compared whenever a folder is opened: some 10 ms each at most."""
_CHUNK_BYTES = 8 * 2**20
_CHUNK_ROWS = 65_536
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Note:
    """What the manifest says of one file."""

    size: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which files make up the saved table. ``token`` is new with every save, also after a drop."""

    generation: int
    token: str
    spec: Spec
    rows: int
    files: dict[str, Note]

    def name(self, part: str) -> str:
        """The file of a part."""
        return _file_name(part, self.generation)


class Folder:
    """The folder of one table. No two threads may save to it at once; two processes are told apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._attempted: str | None = None

    def manifest(self) -> Manifest | None:
        """What was saved last; ``None`` where nothing was."""
        path = self.path / MANIFEST
        with storage_errors("read", path):
            try:
                text = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _parse_manifest(text, path)

    def open(self) -> tuple[Manifest, Snapshot] | None:
        """The saved table, mapped; ``None`` where nothing was saved."""
        for attempt in range(_ATTEMPTS):
            manifest = self.manifest()
            if manifest is None:
                return None
            try:
                return manifest, self._mapped(manifest)
            except CorruptDataError:
                # Another process may have saved, and deleted what we were about to read.
                now = self.manifest()
                if attempt == _ATTEMPTS - 1 or (now is not None and now.token == manifest.token):
                    raise
        raise AssertionError("the loop above returns or raises")

    def save(self, spec: Spec, snapshot: Snapshot, base: Manifest | None) -> Manifest:
        """Make ``snapshot`` the saved state; ``base`` is the manifest that it was opened from or saved as, if any."""
        with storage_errors("write", self.path):
            if not self.path.is_dir():
                self.path.mkdir(parents=True, exist_ok=True)
                fsync_directory(self.path.parent)
        with locked(self.path / _LOCK):
            current = self.manifest()
            token = None if current is None else current.token
            if token is None and base is not None:
                raise StorageError(f"{self.path} was deleted by another process since it was opened here")
            if token not in {None if base is None else base.token, self._attempted}:
                raise StorageError(
                    f"{self.path} was saved by another process since it was opened here: reload(), then write again"
                )
            self._sweep(current)
            generation = 1 if current is None else current.generation + 1
            try:
                files = self._write_parts(generation, snapshot)
                manifest = Manifest(generation, secrets.token_hex(8), spec, snapshot.count, files)
                self._attempted = manifest.token  # should the last step fail half way, the new state is still ours
                atomic_write(self.path / MANIFEST, _format_manifest(manifest))
            except BaseException:
                with contextlib.suppress(StorageError):
                    self._sweep(self.manifest())
                raise
            self._sweep(manifest)
            return manifest

    def verify(self) -> None:
        """Compare every byte with its checksum.

        Raises ``CorruptDataError`` naming the first damaged file.
        """
        for attempt in range(_ATTEMPTS):
            manifest = self.manifest()
            if manifest is None:
                return
            try:
                for part in _SUFFIXES:
                    self._map(manifest, part, check=True)
            except CorruptDataError:
                now = self.manifest()
                if attempt == _ATTEMPTS - 1 or (now is not None and now.token == manifest.token):
                    raise
            else:
                return

    def remove(self) -> None:
        """Delete the files that are ours, and the folder if nothing else is in it."""
        if not self.path.is_dir():
            return
        with locked(self.path / _LOCK), storage_errors("delete", self.path):
            (self.path / MANIFEST).unlink(missing_ok=True)  # first: without it, the rest is nothing
            fsync_directory(self.path)
            for path in self._ours():
                path.unlink(missing_ok=True)
            (self.path / _LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _mapped(self, manifest: Manifest) -> Snapshot:
        maps = {part: self._map(manifest, part, check=None) for part in _SUFFIXES}
        vectors: NDArray[np.float32] = np.frombuffer(maps["vectors"], dtype="<f4").reshape(-1, manifest.spec.dim)
        norms: NDArray[np.float64] = np.frombuffer(maps["norms"], dtype="<f8")

        def stored(part: str, offsets: str) -> Stored:
            ends = np.frombuffer(maps[offsets], dtype="<u8")
            path = self.path / manifest.name(part)
            if len(ends) != manifest.rows + 1 or int(ends[-1]) != len(maps[part]):
                raise CorruptDataError(f"{path} does not fit its offsets", path)
            return Stored(maps[part], ends, path)

        if not len(vectors) == len(norms) == manifest.rows:
            path = self.path / MANIFEST
            raise CorruptDataError(f"{path} speaks of {manifest.rows} rows, the files hold {len(vectors)}", path)
        return snapshot_of(
            vectors,
            norms,
            Column(IDS, stored=stored("ids", "id-offsets")),
            Column(FIELDS, stored=stored("fields", "field-offsets")),
            Column(DOCUMENTS, stored=stored("documents", "document-offsets")),
        )

    def _map(self, manifest: Manifest, part: str, *, check: bool | None) -> mmap.mmap | bytes:
        path, note = self.path / manifest.name(part), manifest.files[part]
        with storage_errors("read", path):
            try:
                file = path.open("rb")
            except FileNotFoundError as error:
                raise CorruptDataError(f"{path} is missing", path) from error
            with file:
                size = os.fstat(file.fileno()).st_size
                if size != note.size:
                    raise CorruptDataError(f"{path} has {size} bytes instead of {note.size}", path)
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        wanted = check if check is not None else part != "vectors" and size <= _CHECK_AT_OPEN
        if wanted and zlib.crc32(content) != note.crc32:
            raise CorruptDataError(f"{path} is damaged: its checksum is not the one that was saved", path)
        return content

    def _write_parts(self, generation: int, snapshot: Snapshot) -> dict[str, Note]:
        def sink(part: str) -> _Sink:
            return _Sink(self.path / _file_name(part, generation))

        positions = snapshot.live()
        files = {}
        for part, array in (("vectors", snapshot.vectors), ("norms", snapshot.norms)):
            with sink(part) as file:
                step = max(1, _CHUNK_BYTES // max(1, array[:1].nbytes))
                for start in range(0, len(positions), step):
                    chosen = positions[start : start + step]
                    rows = array[start : start + step] if snapshot.alive is None else array[chosen]
                    file.write(np.ascontiguousarray(rows, dtype="<f4" if part == "vectors" else "<f8").tobytes())
            files[part] = file.note()
        columns: tuple[tuple[str, str, Column[Any]], ...] = (
            ("ids", "id-offsets", snapshot.ids),
            ("fields", "field-offsets", snapshot.fields),
            ("documents", "document-offsets", snapshot.documents),
        )
        for part, offsets, column in columns:
            with sink(part) as blob, sink(offsets) as ends:
                end = 0
                ends.write(np.array([0], dtype="<u8").tobytes())
                for start in range(0, len(positions), _CHUNK_ROWS):
                    pieces = column.encoded(positions[start : start + _CHUNK_ROWS].tolist())
                    blob.write(b"".join(pieces))
                    lengths = np.fromiter(map(len, pieces), dtype="<u8", count=len(pieces))
                    ends.write((np.cumsum(lengths, dtype="<u8") + np.uint64(end)).tobytes())
                    end += int(lengths.sum())
            files[part], files[offsets] = blob.note(), ends.note()
        with storage_errors("write", self.path):
            fsync_directory(self.path)
        return files

    def _sweep(self, keep: Manifest | None) -> None:
        """Delete our files that ``keep`` does not name. What cannot be deleted now is left to the next save."""
        kept = set() if keep is None else {keep.name(part) for part in _SUFFIXES}
        with contextlib.suppress(OSError):
            for path in self._ours():
                if path.name not in kept:
                    with contextlib.suppress(OSError):
                        path.unlink(missing_ok=True)

    def _ours(self) -> list[Path]:
        return [path for path in self.path.iterdir() if _OURS.fullmatch(path.name)]


class _Sink:
    """A new file: counts and sums what it is given, and is on disk when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._crc = 0
        with storage_errors("write", path):
            self._file = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with storage_errors("write", self._path), self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())

    def write(self, data: bytes) -> None:
        with storage_errors("write", self._path):
            self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)

    def note(self) -> Note:
        return Note(self._size, self._crc)


def _file_name(part: str, generation: int) -> str:
    return f"{part}-{generation:08d}.{_SUFFIXES[part]}"


def _format_manifest(manifest: Manifest) -> bytes:
    content = {"format": _FORMAT, "version": FORMAT_VERSION, **asdict(manifest)}
    content["crc32"] = zlib.crc32(_canonical(content))
    return json.dumps(content, indent=1).encode() + b"\n"


def _parse_manifest(text: bytes, path: Path) -> Manifest:
    damaged = CorruptDataError(f"{path} is damaged: it is not a manifest that vecsearch wrote", path)
    try:
        content = json.loads(text)
        if content["format"] != _FORMAT:
            raise damaged
        if content["version"] > FORMAT_VERSION:
            version = content["version"]
            raise StorageError(
                f"{path} is of format {version}, written by a newer vecsearch (this one reads {FORMAT_VERSION})"
            )
        if content.pop("crc32") != zlib.crc32(_canonical(content)):
            raise damaged
        files = {part: Note(**content["files"][part]) for part in _SUFFIXES}
        spec = Spec(**content["spec"])
        return Manifest(content["generation"], content["token"], spec, content["rows"], files)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged from error


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
