"""One ``SimilarityIndex`` over every vector engine: the same ids, the same order, the same distances."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vecsearch import errors
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
    UnsupportedError,
    VecsearchError,
)
from vecsearch.filters import F, Filter
from vecsearch.index import SimilarityIndex
from vecsearch.results import Neighbors, Ranking
from vecsearch.runs import get_run_info, list_runs, rename_run
from vecsearch.settings import config
from vecsearch.similarity import compute_similarity, connect, delete_run, load_run
from vecsearch.types import Embeddings, Health, Match, RecallReport, Receipt
from vecsearch.views import View

if TYPE_CHECKING:
    from vecsearch.duplicates import Duplicates, Unique, find_duplicates, find_unique
    from vecsearch.exact_duplicates import find_exact_duplicates

__version__ = "0.1.0"

__all__ = (
    "AccessDeniedError",
    "BackendError",
    "ClosedError",
    "ConfigError",
    "ConnectionFailedError",
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
    "UnsupportedError",
    "VecsearchError",
    "View",
    "compute_similarity",
    "config",
    "connect",
    "delete_run",
    "errors",
    "find_duplicates",
    "find_exact_duplicates",
    "find_unique",
    "get_run_info",
    "list_runs",
    "load_run",
    "rename_run",
)

# Loaded when first asked for, so that importing vecsearch stays quick.
_LATER = {
    "Duplicates": "vecsearch.duplicates",
    "Unique": "vecsearch.duplicates",
    "find_duplicates": "vecsearch.duplicates",
    "find_unique": "vecsearch.duplicates",
    "find_exact_duplicates": "vecsearch.exact_duplicates",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'vecsearch' has no attribute {name!r}")
