"""The process that measures: ``python -m vecsearch.bench.worker`` reads a `Task` from stdin, writes an `Observation`.

A fresh process for each point: memory is that of this index alone, and nothing that another point has warmed, leaked or
left running is met again.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
import warnings
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

import numpy as np

import vecsearch
from vecsearch import registry
from vecsearch.backends._native import NATIVE
from vecsearch.bench import environment, null, workloads
from vecsearch.bench.points import BackendFacts, Resources
from vecsearch.bench.tasks import Observation, Task, fields_of, queries_of, vectors_of
from vecsearch.errors import (
    AccessDeniedError,
    ConfigError,
    ConnectionFailedError,
    IndexNotFoundError,
    MissingDependencyError,
    RunNotFoundError,
    UnknownBackendError,
    VecsearchError,
)
from vecsearch.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.bench.points import Deployment
    from vecsearch.index import SimilarityIndex

KEY = "bench"
ARRAYS, ANSWER = "arrays.npz", "observation.json"
_SAMPLE_SECONDS = 0.05
_UNAVAILABLE = (MissingDependencyError, UnknownBackendError, ConfigError, ConnectionFailedError, AccessDeniedError)
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def perform(task: Task) -> Observation:
    """Do it in this process. Errors of the backend are part of the answer; the arrays go to ``task.out``."""
    stand_in = registry.registered(null.NAME, null.NullBackend) if task.backend == null.NAME else _nothing()
    with stand_in, vecsearch.config.override(home=task.home), warnings.catch_warnings():
        # What a client has to say of its local mode, say, is said to whoever opens an index, not here.
        warnings.simplefilter("ignore")
        try:
            return _performed(task)
        except VecsearchError as error:
            text = str(error).replace(str(task.home), "~")
            return Observation(problem=text, unavailable=isinstance(error, _UNAVAILABLE))


def _performed(task: Task) -> Observation:
    if task.action == "drop":
        with contextlib.suppress(RunNotFoundError):
            vecsearch.delete_run(KEY, cleanup=True)
        return Observation()
    vectors = vectors_of(task.data)
    queries = queries_of(task.data, task.queries)
    base = environment.anonymous_memory()
    before, busy = environment.ticks(), time.process_time()
    with _watched() as memory:
        seen, index = _built(task, vectors, queries) if task.action == "build" else _measured(task, vectors, queries)
        seen.facts.setdefault("count", index.count())
        backend = _facts(task, index)
        steady = environment.anonymous_memory()
        after, own = environment.ticks(), time.process_time() - busy
        index.close()
    others, steal = environment.elsewhere(before, after, own)
    task.out.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = seen.arrays
    np.savez(task.out / ARRAYS, **arrays)
    resources = Resources(
        disk_bytes=_bytes_in(task.home / "data") if backend.deployment == "embedded" else None,
        memory_peak=max([memory[0], steady or 0]) or None,
        memory_steady=steady,
        memory_base=base,
    )
    return Observation(
        backend=backend,
        resources=resources,
        others=others,
        steal=steal,
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        **seen.facts,
    )


def _built(
    task: Task, vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> tuple[workloads.Seen, SimilarityIndex]:
    index = _empty(task, vectors)
    done = workloads.load(index, vectors, fields_of(task.data))
    count = index.count()
    exact = workloads.exact(index, queries, min(task.k, len(vectors)))
    return workloads.Seen({"load": done, "count": count}, {"exact_ids": exact}), index


def _measured(
    task: Task, vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> tuple[workloads.Seen, SimilarityIndex]:
    work = task.workload
    assert work is not None  # noqa: S101  the runner gives one
    if work.kind == "stream":
        index = _empty(task, vectors)
        return workloads.stream(index, vectors, fields_of(task.data), queries, work, task.search_params), index
    if work.kind == "reopen":
        return workloads.reopen(lambda: _opened(task, vectors), queries, work, task.search_params)
    index = _opened(task, vectors)
    if work.kind == "overhead":
        native = NATIVE[task.backend](index.client, index.config, task.metric)
        return workloads.overhead(index, native, queries, work), index
    return workloads.search(index, queries, work, task.search_params), index


def _empty(task: Task, vectors: NDArray[np.float32]) -> SimilarityIndex:
    return vecsearch.compute_similarity(
        embeddings=False,
        dim=vectors.shape[1],
        metric=task.metric,
        key=KEY,
        backend=task.backend,
        if_exists="replace",
        **task.settings,
    )


def _opened(task: Task, vectors: NDArray[np.float32]) -> SimilarityIndex:
    """What another process has built; made again where it lay in that one's memory."""
    try:
        return vecsearch.load_run(KEY, **task.settings)
    except (RunNotFoundError, IndexNotFoundError):
        index = _empty(task, vectors)
        workloads.load(index, vectors, fields_of(task.data))
        return index


def _facts(task: Task, index: SimilarityIndex) -> BackendFacts:
    settings = {
        name: value
        for name, value in vars(index.config).items()
        if name not in ("method", "model", "metric", "patches_field", "supports_prompts", "index_name", "path")
    }
    cls = registry.backend_class(task.backend)
    return BackendFacts(
        deployment=deployment(settings, cls.Config.elsewhere, places="path" in cls.Config.model_fields),
        client=_versions(task.backend),
        settings=settings,
        exactness=index.capabilities.exactness,
    )


def deployment(settings: dict[str, Any], elsewhere: frozenset[str], *, places: bool) -> Deployment:
    """Where an engine runs, as far as its settings say; ``places``: it can lie in a folder."""
    given = [str(settings[name]) for name in sorted(elsewhere) if settings.get(name) is not None]
    hosts = [text for text in given if text != ":memory:"]
    if not hosts:
        return "embedded" if places or given or not elsewhere else "remote"
    names = {re.split(r"[/:]", text.partition("://")[2] or text)[0] for text in hosts}
    return "local-server" if names & _HERE else "remote"


def _versions(backend: str) -> dict[str, str]:
    """The packages that the extra of a backend installs, and ours."""
    found = {"vecsearch": vecsearch.__version__, "numpy": np.__version__}
    entry = registry.BUILT_IN.get(backend)
    wanted = "" if entry is None else f"extra == '{entry.extra}'"
    for line in requires("vecsearch") or ():
        requirement, _, marker = line.partition(";")
        match = _NAME.match(requirement.strip())
        if wanted and match and marker.strip().replace('"', "'") == wanted:
            with contextlib.suppress(PackageNotFoundError):
                found[match.group()] = version(match.group())
    return found


@contextlib.contextmanager
def _watched() -> Iterator[list[int]]:
    """The largest anonymous memory meanwhile, as the one entry of a list."""
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            peak[0] = max(peak[0], environment.anonymous_memory() or 0)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


def main(perform: Callable[[Task], Observation] = perform) -> None:
    """One task."""
    # What a client prints to stdout is no part of the answer, which is a file.
    task = Task.model_validate_json(sys.stdin.buffer.read())
    task.out.mkdir(parents=True, exist_ok=True)
    atomic_write(task.out / ANSWER, perform(task).model_dump_json())


if __name__ == "__main__":
    main()
