"""Items of equal content, found by a hash of it: no embeddings, no index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import checks
from vecsearch.errors import InvalidInputError
from vecsearch.progress import reporting
from vecsearch.results import object_array
from vecsearch.selections import ExactDuplicates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DIGEST_BYTES = 20
_ITEMS = 64  # hashed by one task
_FAILED_SHOWN = 5


def find_exact_duplicates(
    samples: Any,
    *,
    skip_failures: bool = True,
    workers: int | None = None,
    progress: bool | Callable[[int, int | None], None] | None = None,
) -> ExactDuplicates:
    """Samples whose content is the same to the last byte.

    Args:
        samples: ``{id: item}``, or a list of items, whose ids are then their paths if all are paths, else their
            positions ``"0"``, ``"1"``, …. An item is a path (``str`` or ``Path``; the content of the file counts),
            ``bytes``, or a numpy array (dtype, shape and values count). For texts give ``text.encode()``.
        skip_failures: list what cannot be read in ``.failures`` with the reason, instead of raising.
        workers: threads that read and hash; the answer does not depend on it.
        progress: a bar, ``False`` for none, or a callable ``(done, total)``.

    Returns:
        ``ExactDuplicates``: ``groups`` as ``{first id: [ids of its copies]}`` in the order given, ``failures``.
        Contents are told apart by 160 bits of BLAKE2b: the same in every process and on every machine.

    Raises:
        InvalidInputError: items of another type, an id twice, or with ``skip_failures=False`` files that cannot be
            read; the message names them.

    """
    names, items = _named(samples)
    if workers is not None:
        checks.positive(workers, "workers")
    first: dict[bytes, str] = {}
    groups: dict[str, list[str]] = {}
    failures: dict[str, str] = {}
    with reporting(progress, "hashing", "items") as report:
        for done, (name, digest) in enumerate(zip(names, _digests(items, workers), strict=True), start=1):
            if isinstance(digest, str):
                failures[name] = digest
            elif digest in first:
                groups.setdefault(first[digest], []).append(name)
            else:
                first[digest] = name
            report(done, len(names))
    if failures and not skip_failures:
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(failures.items())[:_FAILED_SHOWN])
        more = f"; … {len(failures) - _FAILED_SHOWN} more" if len(failures) > _FAILED_SHOWN else ""
        raise InvalidInputError(f"{len(failures)} items could not be read: {shown}{more}")
    ordered = {name: groups[name] for name in first.values() if name in groups}
    return ExactDuplicates(unique_ids=object_array(list(first.values())), groups=ordered, failures=failures)


def _named(samples: Any) -> tuple[list[str], list[Any]]:
    if isinstance(samples, Mapping):
        names, items = checks.ids(list(samples), "samples"), list(samples.values())
    elif isinstance(samples, (str, bytes, Path)) or not isinstance(samples, Iterable):
        raise InvalidInputError(f"samples must be {{id: item}} or a list of items, not {type(samples).__name__}")
    else:
        items = list(samples)
        paths = all(isinstance(item, (str, Path)) for item in items)
        names = checks.ids([str(item) if paths else str(place) for place, item in enumerate(items)], "samples")
    for name, item in zip(names, items, strict=True):
        if not isinstance(item, (str, Path, bytes, np.ndarray)):
            raise InvalidInputError(
                f"sample {name!r} is a {type(item).__name__}; items are paths, bytes or numpy arrays"
            )
        if isinstance(item, np.ndarray) and item.dtype.hasobject:
            raise InvalidInputError(f"sample {name!r} is an array of Python objects, which has no content of its own")
    return names, items


def _digests(items: Sequence[Any], workers: int | None) -> Iterable[bytes | str]:
    """The digest of each item in order, or why there is none."""
    tasks = [items[start : start + _ITEMS] for start in range(0, len(items), _ITEMS)]
    pool = ThreadPoolExecutor(workers, thread_name_prefix="vecsearch-hash")
    try:
        for digests in pool.map(lambda part: [_digest(item) for item in part], tasks):
            yield from digests
    finally:
        pool.shutdown(cancel_futures=True)


def _digest(item: str | Path | bytes | np.ndarray[Any, Any]) -> bytes | str:
    if isinstance(item, bytes):
        return hashlib.blake2b(item, digest_size=_DIGEST_BYTES).digest()
    if isinstance(item, np.ndarray):
        form = repr((item.dtype.descr if item.dtype.names else item.dtype.str, item.shape)).encode()
        state = hashlib.blake2b(form, digest_size=_DIGEST_BYTES, person=b"array")
        state.update(np.ascontiguousarray(item).reshape(-1).view(np.uint8).data if item.size else b"")
        return state.digest()
    try:
        with Path(item).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).digest()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        return f"{type(error).__name__}: {error}"
