"""The vector indexes of Milvus: their parameters, what each does to a search, and checks of both before any call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vecsearch.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vecsearch.backends.base import Metric, Spec

IndexType = Literal[
    "AUTOINDEX",
    "FLAT",
    "IVF_FLAT",
    "IVF_SQ8",
    "IVF_PQ",
    "IVF_RABITQ",
    "HNSW",
    "HNSW_SQ",
    "HNSW_PQ",
    "HNSW_PRQ",
    "SCANN",
    "DISKANN",
]
METRICS: Mapping[Metric, str] = {"cosine": "COSINE", "euclidean": "L2", "dotproduct": "IP"}
_NAMES: Mapping[str, Metric] = {name: metric for metric, name in METRICS.items()}
Range = tuple[int, int]
_NLIST: Range = (1, 65_536)
_MOST_EF = 32_768
_BOOL = (False, True)
_SQ = ("SQ4U", "SQ6", "SQ8", "BF16", "FP16", "FP32")
_REFINE: dict[str, Any] = {"refine": _BOOL, "refine_type": _SQ}
_GRAPH: dict[str, Any] = {"M": range(2, 2049), "efConstruction": range(1, 2**31)}
_LISTS: dict[str, Any] = {"nlist": range(1, 65_537)}
_PQ: dict[str, Any] = {"m": range(1, 65_537), "nbits": range(1, 25)}


@dataclass(frozen=True, slots=True)
class Index:
    """One type of index."""

    exact: Literal["always", "on_request", "never"] = "never"
    quantised: bool = False
    build: Mapping[str, Any] = field(default_factory=dict)
    """What may be given when it is made, and the values of each."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)
    """What a search may be given."""
    at_least_k: str | None = None
    """The search parameter that Milvus refuses where it is less than k."""
    usual: int = 64
    """Its value where none is given and k is smaller."""
    lite: bool = False
    """Does Milvus Lite have it? It takes any name, and fails only when it builds the index."""


_EF: Mapping[str, Any] = {"ef": range(1, _MOST_EF + 1)}
_NPROBE: Mapping[str, Any] = {"nprobe": range(1, 65_537)}
_HNSW = {"M": 16, "efConstruction": 200}
_IVF = {"nlist": 128}
INDEXES: Mapping[str, Index] = {
    "AUTOINDEX": Index(quantised=True, search={"level": range(1, 11)}, lite=True),
    "FLAT": Index("always", lite=True),
    "IVF_FLAT": Index("on_request", build=_LISTS, defaults=_IVF, search=_NPROBE, lite=True),
    "IVF_SQ8": Index(quantised=True, build=_LISTS, defaults=_IVF, search=_NPROBE, lite=True),
    "IVF_PQ": Index(quantised=True, build={**_LISTS, **_PQ}, defaults=_IVF, search=_NPROBE),
    "IVF_RABITQ": Index(
        quantised=True, build={**_LISTS, **_REFINE}, defaults=_IVF, search={**_NPROBE, "refine_k": range(1, 2**31)}
    ),
    "HNSW": Index(build=_GRAPH, defaults=_HNSW, search=_EF, at_least_k="ef", lite=True),
    "HNSW_SQ": Index(
        quantised=True,
        build={**_GRAPH, **_REFINE, "sq_type": _SQ},
        defaults=_HNSW,
        search=_EF,
        at_least_k="ef",
        lite=True,
    ),
    "HNSW_PQ": Index(quantised=True, build={**_GRAPH, **_PQ, **_REFINE}, defaults=_HNSW, search=_EF, at_least_k="ef"),
    "HNSW_PRQ": Index(
        quantised=True,
        build={**_GRAPH, **_PQ, **_REFINE, "nrq": range(1, 17)},
        defaults=_HNSW,
        search=_EF,
        at_least_k="ef",
    ),
    "SCANN": Index(
        quantised=True,
        build={**_LISTS, "with_raw_data": _BOOL},
        defaults=_IVF,
        search={**_NPROBE, "reorder_k": range(1, 2**31)},
    ),
    "DISKANN": Index(quantised=True, search={"search_list": range(1, 65_536)}, at_least_k="search_list", usual=100),
}
SEARCH_PARAMS = frozenset(name for index in INDEXES.values() for name in index.search)
_WIDEST = {"ef": _MOST_EF, "nprobe": 65_536, "search_list": 65_535}


def metric_of(name: str, collection: str) -> Metric:
    """What Milvus's name of a metric means here."""
    if name not in _NAMES:
        raise UnsupportedError(f"milvus: {collection!r} compares by {name}; vecsearch knows {', '.join(_NAMES)}")
    return _NAMES[name]


def checked(what: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters whose names and values the index takes; else a refusal that says which it does."""
    for name, value in given.items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise InvalidInputError(f"milvus: {what} has no parameter {name!r}; it has: {names}")
        allowed = known[name]
        whole = not isinstance(allowed, range) or (isinstance(value, int) and not isinstance(value, bool))
        if not whole or value not in allowed:
            words = (
                f"from {allowed[0]} to {allowed[-1]}"
                if isinstance(allowed, range)
                else "one of " + ", ".join(map(str, allowed))
            )
            raise InvalidInputError(f"milvus: {name} of {what} is {words}, not {value!r}")
    return dict(given)


def build_params(index_type: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a new index."""
    index = INDEXES[index_type]
    return {**index.defaults, **checked(index_type, given, index.build)}


def search_options(
    index_type: str, spec: Spec | None, given: Mapping[str, Any], k: int, *, widest: bool
) -> dict[str, Any]:
    """The parameters of one search; ``widest`` looks everywhere that the index can."""
    index = INDEXES.get(index_type, Index(search={name: range(1, 2**31) for name in SEARCH_PARAMS}))
    params = checked(f"a search of {index_type}", given, index.search)
    if index.at_least_k:
        params[index.at_least_k] = max(params.get(index.at_least_k, index.usual), k)
    if widest:
        params.update({name: most for name, most in _WIDEST.items() if name in index.search})
    # The metric is named, so that a collection that was made anew with another is refused.
    return {"params": params, **({"metric_type": METRICS[spec.metric]} if spec else {})}


def rows_to_ask_for(index_type: str, k: int, most: int) -> int:
    """How many rows to ask for at the widest: an index that cannot be told to look further does so for more rows."""
    index = INDEXES.get(index_type)
    return max(k, most) if index is not None and not index.search.keys() & _WIDEST.keys() else k
