"""``View``: every read method, over a scope that is fixed when it is made; an index is the view of everything."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import numpy as np

from vecsearch import checks, filters, queries, rows
from vecsearch.calls import METADATA, NOTHING, VECTORS
from vecsearch.errors import InvalidInputError, MissingIdsError, UnsupportedError
from vecsearch.queries import Found, Options, Scope
from vecsearch.results import Neighbors, Ranking, object_array
from vecsearch.types import Aggregation, Health, Include, OnMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Capabilities, Metric, Part
    from vecsearch.calls import Engine
    from vecsearch.duplicates import Duplicates, Unique
    from vecsearch.filters import Filter
    from vecsearch.ingest import Draft
    from vecsearch.types import Embeddings, Model, QueryKind, RecallReport

_DEFAULT_INCLUDE: tuple[Include, ...] = ("metadata", "documents")
_PARTS: dict[str, Part] = {"metadata": "fields", "documents": "documents", "embeddings": "vectors"}
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


@dataclass(slots=True)
class Shared:
    """What an index and its views have in common."""

    engine: Engine
    draft: Draft
    model: Model | None = None
    key: str | None = None
    label: str = ""


class View:
    """A read-only subset of an index, searched as if it were the whole. Made by ``index.use_view``.

    A view is a value: it holds its ids or filter and nothing else, so that no call depends on an earlier one, and it
    may be used from several threads. Rows that are not in the index, or leave it, are not in the view.
    """

    def __init__(self, shared: Shared, scope: Scope) -> None:
        self._shared = shared
        self._scope = scope

    @property
    def _engine(self) -> Engine:
        return self._shared.engine

    # ---- facts

    @property
    def metric(self) -> Metric:
        """The metric: ``"cosine"``, ``"euclidean"`` or ``"dotproduct"``."""
        spec = self._engine.spec
        return spec.metric if spec else self._shared.draft.metric

    @property
    def dim(self) -> int | None:
        """The width of a vector; ``None`` until it is given or the first row is written."""
        spec = self._engine.spec
        return spec.dim if spec else self._shared.draft.dim

    @property
    def is_patches(self) -> bool:
        """Whether there is a row per label instead of per sample."""
        spec = self._engine.spec
        return spec.patches if spec else bool(self._shared.draft.patches)

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
        scope = self._within(filter)
        if scope.ids is not None and scope.filter is None:
            return len(rows.ids_within(self._engine, scope, scope.ids))
        return queries.count(self._engine, scope, allow_scan=self._may_scan(allow_scan))

    def contains(self, ids: Sequence[Any]) -> NDArray[np.bool_]:
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
        sample_ids: Sequence[Any] | None = None,
        label_ids: Sequence[Any] | None = None,
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
        sample_ids: Sequence[Any] | None = None,
        label_ids: Sequence[Any] | None = None,
        *,
        on_missing: OnMissing = "raise",
    ) -> dict[str, dict[str, Any]]:
        """Metadata by id (label id on a patch index); without ids, of all rows."""
        ids = rows.resolve(self._engine, self._scope, sample_ids, label_ids, on_missing)
        return rows.get_metadata(self._engine, self._scope, ids, on_missing)

    def iter_embeddings(self, batch_size: int = 10_000) -> Iterator[Embeddings]:
        """All vectors once, in the engine's order, in batches of at most ``batch_size`` rows."""
        checks.neighbours(batch_size)
        for batch in queries.scan(self._engine, self._scope, VECTORS, batch_size):
            yield rows.as_embeddings(self._engine, batch)

    def matrix(self) -> tuple[Sequence[str], NDArray[np.float32]] | None:
        """Ids and vectors as they lie in this process, read-only and without a copy; ``None`` where they do not."""
        if self._engine.spec is None or self._scope != Scope():
            return None
        return self._engine.call("read", self._engine.backend.matrix)

    # ---- search

    def search(
        self,
        queries: Any = None,  # noqa: ANN401
        k: int = 10,
        *,
        ids: Sequence[Any] | None = None,
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
        vectors, kind, own = self._queries(queries, ids, text)
        options = self._options(k, exact, include, params, allow_scan, reverse=False)
        limit = self._limit(max_distance)
        if exclude_self:
            own = self._own(own)
            options = self._with_k(options, k + 1)
        found = _search(self._engine, self._within(filter), vectors, options)
        if exclude_self:
            found = [_without(one, {own_id}, k) for one, own_id in zip(found, own, strict=True)]
        return Neighbors([self._ranking(_cut(one, limit), kind, include) for one in found])

    def sort_by_similarity(
        self,
        query: Any = None,  # noqa: ANN401
        k: int | None = None,
        *,
        ids: Sequence[Any] | None = None,
        vector: Any = None,  # noqa: ANN401
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
        vectors, kind, own = self._one_query(query, ids, vector, text)
        checks.choice(aggregation, Aggregation, "aggregation")
        options = self._options(k, exact, include, params, allow_scan, reverse=reverse)
        limit = self._limit(max_distance)
        if exclude_self:
            own = self._own(own)
            options = self._with_k(options, None if k is None else k + len(set(own)))
        if not len(vectors):
            raise InvalidInputError("an empty query; give at least one id or vector")
        found = queries.rank(self._engine, self._within(filter), vectors, aggregation, options)
        if exclude_self:
            found = _without(found, set(own), k)
        return self._ranking(_cut(found, limit), kind, include)

    # ---- subsets, cleaning, audits

    def use_view(
        self,
        sample_ids: Sequence[Any] | None = None,
        label_ids: Sequence[Any] | None = None,
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
            self._shared, rows.narrowed(self._engine, self._scope, sample_ids, label_ids, filters.parse(filter))
        )

    def find_duplicates(
        self,
        thresh: float | None = None,
        fraction: float | None = None,
        *,
        priority: Any = None,  # noqa: ANN401
        metric: Metric | None = None,
        progress: Any = None,  # noqa: ANN401
    ) -> Duplicates:
        """Near-duplicates: see ``vecsearch.find_duplicates``."""
        from vecsearch import duplicates

        return duplicates.find_duplicates(
            self, thresh, fraction, priority=self._priority(priority), metric=metric, progress=progress
        )

    def find_unique(
        self,
        count: int,
        *,
        priority: Any = None,  # noqa: ANN401
        metric: Metric | None = None,
        progress: Any = None,  # noqa: ANN401
    ) -> Unique:
        """The ``count`` rows farthest from each other: see ``vecsearch.find_unique``."""
        from vecsearch import duplicates

        return duplicates.find_unique(self, count, priority=self._priority(priority), metric=metric, progress=progress)

    def plot_distances(self, *, metric: Metric | None = None, bins: int = 100, progress: Any = None) -> Any:  # noqa: ANN401
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
        """Recall of the search against the exact answer, over ``queries`` rows drawn at random; one pass over all rows."""
        from vecsearch import recall

        checks.neighbours(k)
        return recall.measure(self._engine, self._within(filter), queries, k, self._engine.check_params(params), seed)

    def health(self) -> Health:
        """Whether the engine answers, how fast, and what is wrong; never raises for an engine that is down."""
        started = time.perf_counter()
        problems: list[str] = []
        size = None
        try:
            size = self._engine.call_once("health", self._engine.backend.count) if self._engine.spec else 0
            problems = self._engine.call_once("health", self._engine.backend.problems)
        except Exception as error:  # noqa: BLE001  whatever is wrong is the answer
            problems = [str(error)]
        milliseconds = (time.perf_counter() - started) * 1e3
        return Health(not problems, self._engine.name, size, milliseconds, problems)

    # ---- what a query means

    def _queries(
        self,
        vectors: Any,  # noqa: ANN401
        ids: Any,  # noqa: ANN401
        text: Any,  # noqa: ANN401
    ) -> tuple[NDArray[np.float32], QueryKind, list[str]]:
        selector = checks.one_selector(queries=vectors, ids=ids, text=text)
        if selector is None:
            raise InvalidInputError("search for what? give vectors, ids= or text=")
        if selector == "queries":
            if isinstance(vectors, str) or (
                isinstance(vectors, (list, tuple)) and vectors and isinstance(vectors[0], str)
            ):
                raise InvalidInputError(f"search takes vectors; for {vectors!r} say ids= or text=")
            return self._vectors(vectors, "queries"), "vector", []
        if selector == "ids":
            wanted = (
                [checks.text_id(ids, "ids")] if isinstance(ids, (str, int)) else checks.ids(ids, "ids", unique=False)
            )
            return self._by_ids(wanted), "id", wanted
        return self._by_text(text), "text", []

    def _one_query(
        self,
        query: Any,  # noqa: ANN401
        ids: Any,  # noqa: ANN401
        vector: Any,  # noqa: ANN401
        text: Any,  # noqa: ANN401
    ) -> tuple[NDArray[np.float32], QueryKind, list[str]]:
        selector = checks.one_selector(query=query, ids=ids, vector=vector, text=text)
        if selector is None:
            raise InvalidInputError("sort by similarity to what? give a query, ids=, vector= or text=")
        if selector == "vector":
            return self._vectors(vector, "vector"), "vector", []
        if selector in ("ids", "text"):
            return self._queries(None, ids, text)
        if checks.is_vector_like(query):
            return self._vectors(query, "query"), "vector", []
        if isinstance(query, (list, tuple, np.ndarray)) or hasattr(query, "__array__"):
            items = list(query)
            if items and all(isinstance(item, (int, np.integer)) and not isinstance(item, bool) for item in items):
                raise InvalidInputError(f"{items[:5]!r} could be ids or a vector; say ids= or vector=")
            wanted = checks.ids(items, "query", unique=False)
            return self._by_ids(wanted), "id", wanted
        if isinstance(query, str):
            return self._id_or_text(query)
        wanted = [checks.text_id(query, "query")]
        return self._by_ids(wanted), "id", wanted

    def _id_or_text(self, query: str) -> tuple[NDArray[np.float32], QueryKind, list[str]]:
        if query and self.contains([query])[0]:
            return self._by_ids([query]), "id", [query]
        model = self._shared.model
        if model is not None and model.supports_prompts:
            return self._by_text(query), "text", []
        self._hint_sample(query)
        raise MissingIdsError(
            f"{query!r} is no id of this index, and it has no model that takes text; say ids=, vector= or text=",
            [query],
        )

    def _vectors(self, values: Any, what: str) -> NDArray[np.float32]:  # noqa: ANN401
        if self.dim is None:
            array = checks.queries(values, np.atleast_2d(np.asarray(values)).shape[-1], what)
        else:
            array = checks.queries(values, self.dim, what)
        if self.metric == "cosine":
            checks.no_zero_vectors(array, "cosine has no direction for them", what)
        return array

    def _by_ids(self, wanted: list[str]) -> NDArray[np.float32]:
        if self.is_patches:
            for row_id in wanted[:1]:
                if not self._engine.existing([row_id]):
                    self._hint_sample(row_id)
        records = rows.fetched(self._engine, Scope(), wanted, VECTORS, "raise")
        assert records.vectors is not None  # noqa: S101  asked for
        return records.vectors

    def _hint_sample(self, row_id: str) -> None:
        if self.is_patches and rows.resolve(self._engine, Scope(), [row_id], None, "skip"):
            raise MissingIdsError(
                f"{row_id!r} is a sample id, and this index has a row per label; query by one of its label ids",
                [row_id],
            )

    def _by_text(self, text: str | Sequence[str]) -> NDArray[np.float32]:
        model = self._shared.model
        if model is None:
            raise UnsupportedError(
                "text queries need the model that made the vectors: load_run(key, model=…) or "
                "compute_similarity(…, model=…)"
            )
        if not model.supports_prompts:
            raise UnsupportedError(f"the model {model.name} takes no text queries; search by ids or vectors")
        texts = [text] if isinstance(text, str) else list(text)
        if not all(isinstance(one, str) for one in texts):
            raise InvalidInputError("text must be a string or a list of strings")
        return self._vectors(model.embed_prompts(texts), "text")

    # ---- what a search asks for

    def _within(self, filter_: Filter | Mapping[str, Any] | None) -> Scope:
        parsed = filters.parse(filter_)
        return self._scope if parsed is None else self._scope.narrowed(None, parsed)

    def _may_scan(self, allow_scan: bool | None) -> bool:
        return self._engine.config.allow_scan if allow_scan is None else allow_scan

    def _options(
        self,
        k: int | None,
        exact: bool,
        include: Sequence[Include],
        params: Mapping[str, Any] | None,
        allow_scan: bool | None,
        *,
        reverse: bool,
    ) -> Options:
        if isinstance(include, str):
            include = (include,)
        for part in include:
            checks.choice(part, Include, "include")
        return Options(
            None if k is None else checks.neighbours(k),
            frozenset(_PARTS[part] for part in include),
            exact,
            reverse,
            self._may_scan(allow_scan),
            self._engine.check_params(params),
        )

    @staticmethod
    def _with_k(options: Options, k: int | None) -> Options:
        from dataclasses import replace

        return replace(options, k=k)

    @staticmethod
    def _own(own: list[str]) -> list[str]:
        if not own:
            raise InvalidInputError("exclude_self=True leaves the query's own row out; it goes with a query by ids")
        return own

    @staticmethod
    def _limit(max_distance: float | None) -> float | None:
        if max_distance is not None and not np.isfinite(max_distance):
            raise InvalidInputError(f"max_distance must be a finite number, not {max_distance!r}")
        return max_distance

    def _ranking(self, found: Found, kind: QueryKind, include: Sequence[Include]) -> Ranking:
        records = found.records
        if "metadata" not in include:
            records.metadata = None
        if "embeddings" not in include:
            records.vectors = None
        if "documents" not in include:
            records.documents = None
        return Ranking(records, found.distances, exact=found.exact, query_kind=kind, patches=self.is_patches)

    def _priority(self, priority: Any) -> Any:  # noqa: ANN401
        """A metadata field's name as the values of that field."""
        if not isinstance(priority, str):
            return priority
        values = {}
        for batch in queries.scan(self._engine, self._scope, METADATA):
            values.update(
                {row_id: row.get(priority) for row_id, row in zip(batch.ids, batch.metadata or (), strict=True)}
            )
        if values and all(value is None for value in values.values()):
            raise InvalidInputError(f"priority: no row has the metadata field {priority!r}")
        return values

    # ---- what Python asks

    def __enter__(self) -> Any:  # noqa: ANN401
        raise TypeError(
            "a view is a value, not a mode: write `view = index.use_view(...)` and call view.search(...), "
            "view.find_unique(...); inside this `with` the index itself would answer"
        )

    def __exit__(self, *_: object) -> None:
        """Never reached; Python asks for it beside ``__enter__``."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
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
        return f"View({', '.join(parts)} of {self._shared.label})"


def _search(engine: Engine, scope: Scope, vectors: NDArray[np.float32], options: Options) -> list[Found]:
    return queries.nearest(engine, scope, vectors, options)


def _cut(found: Found, max_distance: float | None) -> Found:
    if max_distance is None:
        return found
    inside = np.flatnonzero(found.distances <= max_distance)
    return Found(found.records.take(inside), found.distances[inside], found.exact)


def _without(found: Found, own: set[str], k: int | None) -> Found:
    kept = [position for position, row_id in enumerate(found.records.ids) if row_id not in own][:k]
    return Found(found.records.take(kept), found.distances[kept], found.exact)
