"""What a user asks: vectors, ids or text, and with which options; what could mean two things is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecsearch import checks, rows
from vecsearch.calls import NOTHING, VECTORS
from vecsearch.errors import InvalidInputError, MissingIdsError, UnsupportedError
from vecsearch.models.base import checked
from vecsearch.queries import Options
from vecsearch.scopes import Scope
from vecsearch.types import Include

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part
    from vecsearch.handle import Handle
    from vecsearch.types import QueryKind

_PARTS: dict[str, Part] = {"metadata": "fields", "documents": "documents", "embeddings": "vectors"}


class Queries(NamedTuple):
    """Query vectors, float32 (q, dim), how they were given, and the ids they were named by."""

    vectors: NDArray[np.float32]
    kind: QueryKind
    ids: list[str]


def several(handle: Handle, vectors: Any, ids: Any, text: Any) -> Queries:
    """The queries of ``search``: one each for several vectors, ids or texts."""
    if type(vectors) is np.ndarray and ids is None and text is None:  # the usual, and nothing else it could be
        return Queries(_vectors(handle, vectors, "queries"), "vector", [])
    selector = checks.one_selector(queries=vectors, ids=ids, text=text)
    if selector is None:
        raise InvalidInputError("search for what? give vectors, ids= or text=")
    if selector == "queries":
        first = vectors[0] if isinstance(vectors, (list, tuple)) and vectors else vectors
        if isinstance(first, str):
            raise InvalidInputError(f"search takes vectors; for {vectors!r} say ids= or text=")
        return Queries(_vectors(handle, vectors, "queries"), "vector", [])
    if selector == "ids":
        one = isinstance(ids, (str, int))
        return _by_ids(handle, [checks.text_id(ids, "ids")] if one else checks.ids(ids, "ids", unique=False))
    return _by_text(handle, text)


def single(handle: Handle, query: Any, ids: Any, vector: Any, text: Any) -> Queries:
    """The one query of ``sort_by_similarity``, possibly of several vectors."""
    selector = checks.one_selector(query=query, ids=ids, vector=vector, text=text)
    if selector is None:
        raise InvalidInputError("sort by similarity to what? give a query, ids=, vector= or text=")
    if selector == "vector":
        found = Queries(_vectors(handle, vector, "vector"), "vector", [])
    elif selector in ("ids", "text"):
        found = several(handle, None, ids, text)
    else:
        found = _guessed(handle, query)
    if not len(found.vectors):
        raise InvalidInputError("an empty query; give at least one id or vector")
    return found


def _guessed(handle: Handle, query: Any) -> Queries:
    if checks.is_vector_like(query):
        return Queries(_vectors(handle, query, "query"), "vector", [])
    if isinstance(query, str):
        return _id_or_text(handle, query)
    if not isinstance(query, (list, tuple)) and not hasattr(query, "__array__"):
        return _by_ids(handle, [checks.text_id(query, "query")])
    items = list(query)
    if items and all(isinstance(item, (int, np.integer)) and not isinstance(item, bool) for item in items):
        raise InvalidInputError(f"{items[:5]!r} could be ids or a vector; say ids= or vector=")
    return _by_ids(handle, checks.ids(items, "query", unique=False))


def _id_or_text(handle: Handle, query: str) -> Queries:
    if query and handle.engine.spec is not None and handle.engine.existing([query]):
        return _by_ids(handle, [query])
    if handle.model is not None and handle.model.supports_prompts:
        return _by_text(handle, query)
    _refuse_sample(handle, query)
    raise MissingIdsError(
        f"{query!r} is no id of this index, and it has no model that takes text; say ids=, vector= or text=", [query]
    )


def _vectors(handle: Handle, values: Any, what: str) -> NDArray[np.float32]:
    dim = handle.dim
    if checks.is_sound_vector(values, dim):
        return values[None]  # type: ignore[no-any-return]
    array = checks.queries(values, dim or np.atleast_2d(np.asarray(values)).shape[-1], what)
    if handle.metric == "cosine":
        checks.no_zero_vectors(array, "cosine has no direction for them", what)
    return array


def _by_ids(handle: Handle, wanted: list[str]) -> Queries:
    try:
        records = rows.fetched(handle.engine, Scope(), wanted, VECTORS, "raise")
    except MissingIdsError as error:
        for row_id in error.ids:
            _refuse_sample(handle, row_id)
        raise
    assert records.vectors is not None  # noqa: S101  asked for
    return Queries(records.vectors, "id", wanted)


def _refuse_sample(handle: Handle, row_id: str) -> None:
    if handle.is_patches and rows.resolve(handle.engine, Scope(), [row_id], None, "skip"):
        raise MissingIdsError(
            f"{row_id!r} is a sample id, and this index has a row per label; query by one of its label ids", [row_id]
        )


def _by_text(handle: Handle, text: str | Sequence[str]) -> Queries:
    model = handle.model
    if model is None:
        raise UnsupportedError(
            f"text queries need the model that made the vectors{handle.model_hint}: "
            "pass model= to load_run or compute_similarity"
        )
    if not model.supports_prompts:
        raise UnsupportedError(f"the model {model.name} takes no text queries; search by ids or vectors")
    texts = [text] if isinstance(text, str) else list(text)
    if not all(isinstance(one, str) for one in texts):
        raise InvalidInputError("text must be a string or a list of strings")
    vectors = checked(model.embed_prompts(texts), len(texts), None, model.name)
    return Queries(_vectors(handle, vectors, "text"), "text", [])


def options(
    handle: Handle,
    k: int | None,
    include: Sequence[Include],
    params: Mapping[str, Any] | None,
    allow_scan: bool,
    *,
    exact: bool,
    reverse: bool = False,
) -> Options:
    """What a search asks for beside its queries, checked."""
    if isinstance(include, str):
        raise InvalidInputError(f"include must be a list of parts; write include=[{include!r}]")
    for part in include:
        checks.choice(part, Include, "include")
    return Options(
        None if k is None else checks.positive(k, "k"),
        frozenset([_PARTS[part] for part in include]) if include else NOTHING,
        exact,
        reverse,
        allow_scan,
        handle.engine.check_params(params),
    )


def own(ids: list[str]) -> list[str]:
    """The rows that ``exclude_self=True`` leaves out."""
    if not ids:
        raise InvalidInputError("exclude_self=True leaves the query's own row out; it goes with a query by ids")
    return ids


def limit(max_distance: float | None) -> float | None:
    """A ``max_distance`` that can be compared with."""
    if max_distance is not None and not np.isfinite(max_distance):
        raise InvalidInputError(f"max_distance must be a finite number, not {max_distance!r}")
    return max_distance
