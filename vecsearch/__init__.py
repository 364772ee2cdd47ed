"""One ``SimilarityIndex`` over every vector engine: the same ids, the same order, the same distances.

Names are loaded when they are first asked for, so that ``import vecsearch`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecsearch.copying import CopyReport, copy_index
    from vecsearch.duplicates import Duplicates, Unique, find_duplicates, find_unique
    from vecsearch.errors import (
        AccessDeniedError,
        BackendError,
        ClosedError,
        ConfigError,
        ConnectionFailedError,
        CorruptDataError,
        CorruptRunError,
        ExistingIdsError,
        FilterError,
        IncompleteSearchError,
        IndexExistsError,
        IndexNotFoundError,
        IngestError,
        InvalidInputError,
        MissingDependencyError,
        MissingIdsError,
        NotVisibleYetError,
        RunError,
        RunExistsError,
        RunNotFoundError,
        StorageError,
        UnknownBackendError,
        UnknownSettingError,
        UnsupportedError,
        VecsearchError,
    )
    from vecsearch.exact_duplicates import find_exact_duplicates
    from vecsearch.filters import F, Filter
    from vecsearch.index import SimilarityIndex
    from vecsearch.results import Neighbors, Ranking
    from vecsearch.runs import get_run_info, list_runs, rename_run
    from vecsearch.settings import config
    from vecsearch.similarity import compute_similarity, connect, delete_run, load_run
    from vecsearch.types import Embeddings, Health, Match, RecallReport, Receipt
    from vecsearch.views import View

__version__ = "0.1.0"

__all__ = (
    "AccessDeniedError",
    "BackendError",
    "ClosedError",
    "ConfigError",
    "ConnectionFailedError",
    "CopyReport",
    "CorruptDataError",
    "CorruptRunError",
    "Duplicates",
    "Embeddings",
    "ExistingIdsError",
    "F",
    "Filter",
    "FilterError",
    "Health",
    "IncompleteSearchError",
    "IndexExistsError",
    "IndexNotFoundError",
    "IngestError",
    "InvalidInputError",
    "Match",
    "MissingDependencyError",
    "MissingIdsError",
    "Neighbors",
    "NotVisibleYetError",
    "Ranking",
    "RecallReport",
    "Receipt",
    "RunError",
    "RunExistsError",
    "RunNotFoundError",
    "SimilarityIndex",
    "StorageError",
    "Unique",
    "UnknownBackendError",
    "UnknownSettingError",
    "UnsupportedError",
    "VecsearchError",
    "View",
    "compute_similarity",
    "config",
    "connect",
    "copy_index",
    "delete_run",
    "find_duplicates",
    "find_exact_duplicates",
    "find_unique",
    "get_run_info",
    "list_runs",
    "load_run",
    "rename_run",
)

_HOMES = {
    "copying": "CopyReport copy_index",
    "duplicates": "Duplicates Unique find_duplicates find_unique",
    "errors": (
        "AccessDeniedError BackendError ClosedError ConfigError ConnectionFailedError CorruptDataError "
        "CorruptRunError ExistingIdsError FilterError IncompleteSearchError IndexExistsError "
        "IndexNotFoundError IngestError InvalidInputError MissingDependencyError MissingIdsError "
        "NotVisibleYetError RunError RunExistsError RunNotFoundError StorageError UnknownBackendError "
        "UnknownSettingError UnsupportedError VecsearchError"
    ),
    "exact_duplicates": "find_exact_duplicates",
    "filters": "F Filter",
    "index": "SimilarityIndex",
    "results": "Neighbors Ranking",
    "runs": "get_run_info list_runs rename_run",
    "settings": "config",
    "similarity": "compute_similarity connect delete_run load_run",
    "types": "Embeddings Health Match RecallReport Receipt",
    "views": "View",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
_SUBMODULES = ("backends", "bench", "errors", "filters", "testing")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"vecsearch.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return import_module(f"vecsearch.{name}")
    raise AttributeError(f"module 'vecsearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
