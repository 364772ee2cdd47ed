"""Files that are either whole or not there, and a lock between processes."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vecsearch.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def storage_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an ``OSError`` (disk full, read-only, no permission) into a `StorageError` that names the path."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        failure = StorageError(f"cannot {action} {path}: {error.strerror or error}")
        failure.errno = error.errno
        raise failure from error


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable: a rename survives a power cut only after this."""
    if sys.platform == "win32":  # directories cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file so that a reader, or a crash, finds the old content or the new, never a part.

    Missing parent directories are made. Raises `StorageError`; the old file is then untouched.
    """
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    # In the same directory: a rename is atomic within one file system only. The dot hides it from listings.
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    with storage_errors("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Not `tempfile`: its files are 0600 whatever the umask says, and a team may share a home.
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        fsync_directory(target.parent)


@contextmanager
def locked(path: str | os.PathLike[str], timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock file ``path`` alone among all processes and threads; a process that dies lets go of it.

    Raises `StorageError` when it is not free within ``timeout`` seconds.
    """
    target = Path(path)
    deadline = time.monotonic() + timeout
    with storage_errors("lock", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while True:
            try:
                _try_lock(descriptor)
                break
            except (BlockingIOError, PermissionError) as error:
                if time.monotonic() >= deadline:
                    raise StorageError(f"{target} is still locked by another process after {timeout:g} s") from error
                time.sleep(0.005)
            except OSError as error:  # a file system without locks
                raise StorageError(f"cannot lock {target}: {error.strerror or error}") from error
        yield
    finally:
        os.close(descriptor)  # closing releases the lock


__all__ = ("atomic_write", "fsync_directory", "locked", "storage_errors")
