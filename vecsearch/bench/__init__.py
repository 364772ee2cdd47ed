"""Which engine, on my data: measurements that say whether they can be trusted."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.backends.base import Metric
    from vecsearch.bench.datasets import Dataset
    from vecsearch.bench.points import Point
    from vecsearch.filters import Filter

_QUERIES = 1000
_OPEN_SECONDS = 5.0


class Comparison:
    """What `compare` found: a point for each thing measured, as a table, as a page, and what it is all worth."""

    def __init__(self, points: Sequence[Point], folder: Path | None) -> None:
        self.points = tuple(points)
        self.folder = folder
        """Where the points lie with their raw arrays; ``None`` where no folder was given."""

    @property
    def verdict(self) -> str:
        """One line: how many points are valid, noisy, invalid, and not available."""
        from vecsearch.bench import summary

        return summary.verdict(self.points)

    def to_pandas(self) -> Any:
        """A row a point, with all that `export` writes; lists and objects are JSON texts."""
        from vecsearch.bench import export

        return export.frame(self.points)

    def export(self, path: str | Path) -> None:
        """Write a row a point to a ``.csv`` or a ``.parquet``; ``vecsearch.bench.export.COLUMNS`` names the columns."""
        from pathlib import Path

        from vecsearch.bench import export

        export.write(self.points, Path(path))

    def to_html(self, path: str | Path) -> None:
        """Write one page that needs no network and no JavaScript."""
        from pathlib import Path

        from vecsearch.bench.report import write

        write(self.points, Path(path))

    def __repr__(self) -> str:
        return f"<Comparison of {self.verdict}>"


def compare(
    embeddings: Any,
    *,
    queries: int | NDArray[Any] = _QUERIES,
    backends: Sequence[str] | Mapping[str, Any] | None = None,
    k: int = 10,
    metric: Metric = "cosine",
    metadata: Any = None,
    filters: Mapping[str, Filter | Mapping[str, Any]] | None = None,
    concurrency: Sequence[int] = (1, 2),
    repeats: int = 3,
    rate: float | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    isolate: bool = True,
    progress: Any = None,
) -> Comparison:
    """Build, search and reopen an index of these vectors in each backend, and score it against the exact answer.

    ``embeddings`` are float32 (n, d), also a memory map; ``queries`` are held out from them, a number of them, or are
    vectors of their own, (q, d). ``backends`` are names of backends or profiles, or ``{label: settings}`` with
    ``type`` and ``search_params`` (one dict, or a list: a frontier); by default all that are known. ``metadata`` is
    that of all rows, a list of dicts, a dict of columns, or a table; each of ``filters`` is searched by its name.
    ``rate`` adds an open loop of so many queries a second. With a ``folder`` the results stay, and a call that was
    interrupted goes on.

    Every measurement runs in a process of its own, unless ``isolate=False``: in a script, call this under
    ``if __name__ == "__main__":``. Nothing that exists in a backend is touched.

    Raises ``InvalidInputError``, ``ConfigError``; a backend that cannot run is a point that says why.
    """
    from pathlib import Path

    from vecsearch.bench import runner, suites
    from vecsearch.bench.configurations import several
    from vecsearch.bench.store import Store

    if filters and metadata is None:
        raise InvalidInputError("filters ask for metadata=, which says what each row is")
    dataset = _dataset(embeddings, queries, metric, metadata, seed)
    chosen = suites.Suite(
        sources=(),
        ks=(k,),
        concurrency=tuple(concurrency),
        repeats=repeats,
        rates=() if rate is None else (rate,),
        open_seconds=_OPEN_SECONDS,
        seconds=0.0,
        filters=dict(filters or {}),
        seed=seed,
    )
    jobs, configurations = suites.jobs(chosen, [dataset]), several(backends)
    if folder is not None:
        store = Store(folder)
        found = runner.run(jobs, configurations, store, isolate=isolate, progress=progress)
        return Comparison(found, Path(folder))
    with tempfile.TemporaryDirectory(prefix="vecsearch-bench-") as temporary:
        return Comparison(runner.run(jobs, configurations, Store(temporary), isolate=isolate, progress=progress), None)


def _dataset(embeddings: Any, queries: Any, metric: str, metadata: Any, seed: int) -> Dataset:
    import numpy as np

    from vecsearch import checks
    from vecsearch.bench import datasets

    vectors = np.asanyarray(embeddings)
    fields = checks.metadata(metadata, len(vectors)) if vectors.ndim else None
    if isinstance(queries, int):
        return datasets.hold_out("embeddings", vectors, metric, fields, queries=queries, seed=seed)
    return datasets.make("embeddings", vectors, np.asanyarray(queries), metric, fields)


__all__ = ("Comparison", "compare")
