"""``View``: every read method, over a scope that is fixed when it is made; an index is the view of everything."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from vecsearch import asking, checks, filters, rows
from vecsearch.calls import METADATA, VECTORS
from vecsearch.errors import InvalidInputError
from vecsearch.queries import Found, nearest, rank
from vecsearch.results import Neighbors, Ranking, object_array
from vecsearch.scopes import Scope, scan
from vecsearch.scopes import count as count_rows
from vecsearch.types import Aggregation, Health, Include, OnMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.backends.base import Capabilities, Metric
    from vecsearch.calls import Engine
    from vecsearch.duplicates import Duplicates, Unique
    from vecsearch.filters import Filter
    from vecsearch.handle import Handle
    from vecsearch.types import Embeddings, QueryKind, RecallReport

_DEFAULT_INCLUDE: tuple[Include, ...] = ("metadata", "documents")
_MOVED = {
    "unique_ids": "index.find_unique(n).unique_ids or index.find_duplicates(thresh).unique_ids",
    "duplicate_ids": "index.find_duplicates(thresh).duplicate_ids",
    "neighbors_map": "index.find_duplicates(thresh).neighbors_map",
    "thresh": "index.find_duplicates(fraction=...).thresh",
    "has_view": "view = index.use_view(...): a view is a value of its own",
    "clear_view": "view = index.use_view(...): the index itself is never restricted",
    "sample_ids": "index.ids(), or index.get_embeddings().sample_ids",
    "index_size": "len(index), or len(view)",
}


class View:
    """A read-only subset of an index, searched as if it were the whole. Made by ``index.use_view``.

    A view is a value: it holds its ids or filter and nothing else, so that no call depends on an earlier one, and it
    may be used from several threads. Rows that are not in the index, or leave it, are not in the view.
    """

    def __init__(self, handle: Handle, scope: Scope) -> None:
        self._handle = handle
        self._scope = scope

    @property
    def _engine(self) -> Engine:
        return self._handle.engine

    # ---- facts

    @property
    def metric(self) -> Metric:
        """The metric: ``"cosine"``, ``"euclidean"`` or ``"dotproduct"``."""
        return self._handle.metric

    @property
    def dim(self) -> int | None:
        """The width of a vector; ``None`` until it is given or the first row is written."""
        return self._handle.dim

    @property
    def is_patches(self) -> bool:
        """Whether there is a row per label instead of per sample."""
        return self._handle.is_patches

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do, as data."""
        return self._engine.capabilities

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True  # an index that holds no rows is still an index: `if index:` asks for the object

    def count(self, filter: Filter | Mapping[str, Any] | None = None, *, allow_scan: bool | None = None) -> int:  # noqa: A002
        """The number of rows, or of those for which ``filter`` holds.

        Raises ``UnsupportedError`` where the engine cannot count so and ``allow_scan`` is not given.
        """
        return count_rows(self._engine, self._within(filter), allow_scan=self._may_scan(allow_scan))

    def contains(self, ids: Iterable[Any]) -> NDArray[np.bool_]:
        """Which of these ids (label ids on a patch index) are here: bool, shape (len(ids),)."""
        wanted = checks.ids(ids, "ids", unique=False)
        present = rows.ids_within(self._engine, self._scope, list(dict.fromkeys(wanted)))
        return np.array([row_id in present for row_id in wanted], dtype=bool)

    def ids(self) -> NDArray[np.object_]:
        """All ids (label ids on a patch index) in ascending order: str, shape (n,)."""
        return object_array(sorted(rows.all_ids(self._engine, self._scope)))

    def __iter__(self) -> NoReturn:
        raise TypeError("iterate index.ids(), or index.iter_embeddings() for batches of vectors")

    # ---- rows

    def get_embeddings(
        self,
        sample_ids: Iterable[Any] | None = None,
        label_ids: Iterable[Any] | None = None,
        *,
        on_missing: OnMissing = "raise",
    ) -> Embeddings:
        """Vectors as they were put, in the order asked; without ids, all of them in ascending id order.

        Returns ``(embeddings, sample_ids, label_ids)``: float32 (n, dim), str (n,), and str (n,) on a patch index, else
        ``None``. On a patch index ``sample_ids`` means all labels of each sample, ordered by label id. Ids that are not
        here raise ``MissingIdsError``, or are left out with ``on_missing="skip"``.
        """
        ids = rows.resolve(self._engine, self._scope, sample_ids, label_ids, on_missing)
        return rows.get_embeddings(self._engine, self._scope, ids, on_missing)

    def get_metadata(
        self,
        sample_ids: Iterable[Any] | None = None,
        label_ids: Iterable[Any] | None = None,
        *,
        on_missing: OnMissing = "raise",
    ) -> dict[str, dict[str, Any]]:
        """Metadata by id (label id on a patch index); without ids, of all rows."""
        ids = rows.resolve(self._engine, self._scope, sample_ids, label_ids, on_missing)
        return rows.get_metadata(self._engine, self._scope, ids, on_missing)

    def get_documents(
        self,
        sample_ids: Iterable[Any] | None = None,
        label_ids: Iterable[Any] | None = None,
        *,
        on_missing: OnMissing = "raise",
    ) -> dict[str, str | None]:
        """Documents by id (label id on a patch index), ``None`` where a row has none; without ids, of all rows."""
        ids = rows.resolve(self._engine, self._scope, sample_ids, label_ids, on_missing)
        return rows.get_documents(self._engine, self._scope, ids, on_missing)

    def iter_embeddings(self, batch_size: int = 10_000) -> Iterator[Embeddings]:
        """All vectors once, in the engine's order, in batches of at most ``batch_size`` rows."""
        checks.positive(batch_size, "batch_size")
        for batch in scan(self._engine, self._scope, VECTORS, batch_size):
            yield rows.as_embeddings(self._engine, batch)

    def matrix(self) -> tuple[Sequence[str], NDArray[np.float32]] | None:
        """Ids and vectors as they lie in this process, read-only and without a copy; ``None`` where they do not."""
        if self._engine.spec is None or self._scope != Scope() or not self._engine.codec.keeps_rows:
            return None
        return self._engine.call("read", self._engine.backend.matrix)

    # ---- search

    def search(
        self,
        queries: Any = None,
        k: int = 10,
        *,
        ids: Iterable[Any] | None = None,
        text: str | Sequence[str] | None = None,
        filter: Filter | Mapping[str, Any] | None = None,  # noqa: A002
        exact: bool = False,
        max_distance: float | None = None,
        include: Sequence[Include] = _DEFAULT_INCLUDE,
        params: Mapping[str, Any] | None = None,
        allow_scan: bool | None = None,
        exclude_self: bool = False,
    ) -> Neighbors:
        """The ``k`` nearest rows of each query: one ``Ranking`` a query, in the order of the queries.

        Queries are vectors, shape (q, dim) or (dim,), or rows named by ``ids``, or ``text`` for the index's model; one
        of the three. Several ids are several queries here; ``sort_by_similarity`` combines them into one.

        Rows come ordered by (distance, id). A ranking has exactly ``min(k, rows in scope)`` rows, less only by
        ``max_distance`` (inclusive). ``exclude_self=True`` leaves a query's own row out (``ids=`` only).
        ``exact=True`` asks for the true nearest rows where the engine approximates. ``include`` names the parts to
        return: metadata, documents, embeddings. ``params`` are the engine's own search options. ``allow_scan=True``
        answers by reading all rows what the engine cannot answer.

        Raises ``InvalidInputError`` (width, NaN, zeros under cosine, k), ``MissingIdsError``, ``UnsupportedError``
        (before any call), ``IncompleteSearchError`` where the engine withholds rows.
        """
        vectors, kind, own = asking.several(self._handle, queries, ids, text)
        options = asking.options(self._handle, k, include, params, self._may_scan(allow_scan), exact=exact)
        limit = asking.limit(max_distance)
        if exclude_self:
            own = asking.own(own)
            options = replace(options, k=k + 1)
        scope = self._scope if filter is None else self._within(filter)
        found = nearest(self._handle.engine, scope, vectors, options)
        if exclude_self:
            found = [_without(one, {own_id}, k) for one, own_id in zip(found, own, strict=True)]
        if limit is not None:
            found = [_cut(one, limit) for one in found]
        return Neighbors([self._ranking(one, kind, include) for one in found])

    def sort_by_similarity(
        self,
        query: Any = None,
        k: int | None = None,
        *,
        ids: Iterable[Any] | None = None,
        vector: Any = None,
        text: str | None = None,
        reverse: bool = False,
        aggregation: Aggregation = "mean",
        filter: Filter | Mapping[str, Any] | None = None,  # noqa: A002
        exact: bool = False,
        max_distance: float | None = None,
        include: Sequence[Include] = _DEFAULT_INCLUDE,
        params: Mapping[str, Any] | None = None,
        allow_scan: bool | None = None,
        exclude_self: bool = False,
    ) -> Ranking:
        """The rows ordered by similarity to **one** query; ``k=None`` ranks them all.

        A positional ``query`` is a float array (a vector, or several), one id, a list of ids, or, where it is no id and
        the model takes prompts, text. What could be two things is refused: say ``ids=``, ``vector=`` or ``text=``.

        Several ids or vectors are combined by ``aggregation``: ``"mean"`` searches by the mean of the vectors as given;
        ``"post-mean"``, ``"post-min"`` and ``"post-max"`` order by the mean, smallest or largest of the distances.
        ``reverse=True`` gives the least similar rows, farthest first. The rest is as in ``search``.
        """
        vectors, kind, own = asking.single(self._handle, query, ids, vector, text)
        checks.choice(aggregation, Aggregation, "aggregation")
        options = asking.options(
            self._handle, k, include, params, self._may_scan(allow_scan), exact=exact, reverse=reverse
        )
        limit = asking.limit(max_distance)
        if exclude_self:
            own = asking.own(own)
            options = replace(options, k=None if k is None else k + len(set(own)))
        if not len(vectors):
            raise InvalidInputError("an empty query; give at least one id or vector")
        found = rank(self._engine, self._within(filter), vectors, aggregation, options)
        if exclude_self:
            found = _without(found, set(own), k)
        return self._ranking(found if limit is None else _cut(found, limit), kind, include)

    # ---- subsets, cleaning, audits

    def use_view(
        self,
        sample_ids: Iterable[Any] | None = None,
        label_ids: Iterable[Any] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,  # noqa: A002
    ) -> View:
        """A read-only view of the rows with these ids, or for which ``filter`` holds; views nest by intersection.

        On a patch index ``sample_ids`` takes all labels that these samples have now. Ids that are not in the index are
        ignored.
        """
        if sample_ids is None and label_ids is None and filter is None:
            raise InvalidInputError("a view of what? give sample_ids=, label_ids= or filter=")
        return View(
            self._handle, rows.narrowed(self._engine, self._scope, sample_ids, label_ids, filters.parse(filter))
        )

    def find_duplicates(
        self,
        thresh: float | None = None,
        fraction: float | None = None,
        *,
        priority: Any = None,
        metric: Metric | None = None,
        checkpoint: str | Path | None = None,
        progress: Any = None,
    ) -> Duplicates:
        """Near-duplicates: see ``vecsearch.find_duplicates``."""
        from vecsearch import duplicates

        return duplicates.find_duplicates(
            self,
            thresh,
            fraction,
            priority=self._priority(priority),
            metric=metric,
            checkpoint=checkpoint,
            progress=progress,
        )

    def find_unique(
        self,
        count: int,
        *,
        priority: Any = None,
        metric: Metric | None = None,
        progress: Any = None,
    ) -> Unique:
        """The ``count`` rows farthest from each other: see ``vecsearch.find_unique``."""
        from vecsearch import duplicates

        return duplicates.find_unique(self, count, priority=self._priority(priority), metric=metric, progress=progress)

    def plot_distances(self, *, metric: Metric | None = None, bins: int = 100, progress: Any = None) -> Any:
        """A histogram of each row's distance to its nearest other row, to choose a ``thresh`` by (matplotlib)."""
        from vecsearch import plots

        return plots.plot_distances(self, metric=metric, bins=bins, progress=progress)

    def measure_recall(
        self,
        queries: int = 200,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,  # noqa: A002
        params: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> RecallReport:
        """Recall of the search against the exact answer, with ``queries`` rows drawn at random as queries.

        Reads all rows twice. Raises ``InvalidInputError`` where there are none.
        """
        from vecsearch import recall

        searches = checks.positive(queries, "queries")
        params = self._engine.check_params(params)
        return recall.measure(self._engine, self._within(filter), searches, checks.positive(k, "k"), params, seed)

    def health(self) -> Health:
        """Whether the engine answers, how fast, and what is wrong; never raises for an engine that is down."""
        started = time.perf_counter()
        problems: list[str] = []
        size = None
        try:
            backend, size = self._engine.backend, 0
            if self._engine.spec is None:  # nothing was created yet; does the engine answer?
                self._engine.call_once("health", backend.describe)
            else:
                size = self._engine.call_once("health", backend.count)
                problems = self._engine.call_once("health", backend.problems)
        except Exception as error:  # noqa: BLE001  whatever is wrong is the answer
            problems = [str(error)]
        milliseconds = (time.perf_counter() - started) * 1e3
        return Health(not problems, self._engine.name, size, milliseconds, problems)

    # ---- what a search asks for

    def _within(self, filter_: Filter | Mapping[str, Any] | None) -> Scope:
        parsed = filters.parse(filter_)
        return self._scope if parsed is None else self._scope.narrowed(None, parsed)

    def _may_scan(self, allow_scan: bool | None) -> bool:
        return self._handle.engine.config.allow_scan if allow_scan is None else allow_scan

    def _ranking(self, found: Found, kind: QueryKind, include: Sequence[Include]) -> Ranking:
        records = found.records
        if "metadata" not in include:
            records.metadata = None
        if "embeddings" not in include:
            records.vectors = None
        if "documents" not in include:
            records.documents = None
        return Ranking(records, found.distances, exact=found.exact, query_kind=kind, patches=self._handle.is_patches)

    def _priority(self, priority: Any) -> Any:
        """A metadata field's name as the values of that field."""
        if not isinstance(priority, str):
            return priority
        values = {}
        for batch in scan(self._engine, self._scope, METADATA):
            values.update(
                {row_id: row.get(priority) for row_id, row in zip(batch.ids, batch.metadata or (), strict=True)}
            )
        if values and all(value is None for value in values.values()):
            raise InvalidInputError(f"priority: no row has the metadata field {priority!r}")
        return values

    # ---- what Python asks

    def __enter__(self) -> Any:
        raise TypeError(
            "a view is a value, not a mode: write `view = index.use_view(...)` and call view.search(...), "
            "view.find_unique(...); inside this `with` the index itself would answer"
        )

    def __exit__(self, *_: object) -> None:
        """Never reached; Python asks for it beside ``__enter__``."""

    def __getattr__(self, name: str) -> Any:
        if name in _MOVED:
            raise AttributeError(f"{type(self).__name__} has no {name}; write {_MOVED[name]}")
        if name in ("add_to_index", "add_samples", "remove_from_index", "set_metadata", "ingest", "clear", "save"):
            raise AttributeError(f"a view only reads; write to its index: index.{name}(…)")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __repr__(self) -> str:
        parts = []
        if self._scope.ids is not None:
            parts.append(f"{len(self._scope.ids)} ids")
        if self._scope.filter is not None:
            parts.append(repr(self._scope.filter))
        return f"View({', '.join(parts)} of {self._handle.label})"


def _cut(found: Found, max_distance: float) -> Found:
    inside = np.flatnonzero(found.distances <= max_distance)
    return Found(found.records.take(inside), found.distances[inside], found.exact)


def _without(found: Found, own: set[str], k: int | None) -> Found:
    kept = [position for position, row_id in enumerate(found.records.ids) if row_id not in own][:k]
    return Found(found.records.take(kept), found.distances[kept], found.exact)
