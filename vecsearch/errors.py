"""Every error that vecsearch raises on purpose.

::

    VecsearchError
    ├── ConfigError (ValueError)                a layer, a key, a value that is not valid
    │   ├── UnknownBackendError                 no backend or profile of that name
    │   └── UnknownSettingError (AttributeError) no setting of that name on vecsearch.config
    ├── MissingDependencyError (ImportError)    says which `pip install 'vecsearch[x]'` to type
    ├── UnsupportedError (NotImplementedError)  who cannot, what, and what would work
    ├── InvalidInputError (ValueError)          refused before anything was written
    │   ├── FilterError                         a filter that is no filter
    │   ├── ModelError                          an embedding model failed, or gave what is no embedding
    │   └── ExistingIdsError                    .ids; on_existing="raise"
    ├── MissingIdsError (LookupError)           .ids; asked for, not in the index
    ├── RunError                                run records
    │   ├── RunExistsError                      that key is taken
    │   ├── RunNotFoundError (LookupError)      no run of that key
    │   └── CorruptRunError                     .path; a record that cannot be read
    ├── ClosedError                             the index was closed
    └── BackendError                            .backend, .operation
        ├── ConnectionFailedError (ConnectionError)  no answer, or not in time, after the retries
        ├── AccessDeniedError (PermissionError) credentials refused
        ├── IndexNotFoundError (LookupError)    the engine has no such index
        ├── IndexExistsError                    the engine has one of that name
        ├── StorageError (OSError)              disk full, read-only, locked by another process
        │   └── CorruptDataError                .path; stored data that cannot be read
        ├── NotVisibleYetError (TimeoutError)   it is written, but not yet seen
        ├── IncompleteSearchError               .found; the engine answered short
        └── IngestError                         .written, .failed, .remaining, .checkpoint
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class VecsearchError(Exception):
    """The root of the tree: catch it to catch everything that vecsearch raises on purpose."""


class ConfigError(VecsearchError, ValueError):
    """A setting that is unknown, of the wrong type, or missing; the message names its layer."""


class UnknownBackendError(ConfigError):
    """No backend and no profile of that name; the message lists the known ones."""


class UnknownSettingError(ConfigError, AttributeError):
    """``vecsearch.config`` has no setting of that name; the message has the nearest one."""


class MissingDependencyError(VecsearchError, ImportError):
    """A library that this call needs is not installed; the message has the pip line."""


class UnsupportedError(VecsearchError, NotImplementedError):
    """The backend cannot do this; raised before anything was sent to it."""


class InvalidInputError(VecsearchError, ValueError):
    """An argument was refused; nothing was written."""


class FilterError(InvalidInputError):
    """A filter with an unknown operator, a wrong value, or no meaning."""


class ModelError(InvalidInputError):
    """An embedding model failed, or what it gave is no embedding of what it was given; nothing was written.

    ``of_samples``: it may lie with some of the samples; then ``failed`` has the reason by id, as far as it is known.
    """

    def __init__(self, message: str, *, of_samples: bool = False, failed: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.of_samples = of_samples
        self.failed = dict(failed or {})


class ExistingIdsError(InvalidInputError):
    """Ids that are in the index already, with ``on_existing="raise"``; nothing was written."""

    def __init__(self, message: str, ids: Sequence[str]) -> None:
        super().__init__(message)
        self.ids = list(ids)


class MissingIdsError(VecsearchError, LookupError):
    """Ids that are not in the index."""

    def __init__(self, message: str, ids: Sequence[str]) -> None:
        super().__init__(message)
        self.ids = list(ids)


class RunError(VecsearchError):
    """A run record could not be used."""


class RunExistsError(RunError):
    """A run of that key exists already."""


class RunNotFoundError(RunError, LookupError):
    """No run of that key exists."""


class CorruptRunError(RunError):
    """A run record cannot be read; the other records stay usable."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class ClosedError(VecsearchError):
    """The index was closed; open it again with ``load_run``."""


class BackendError(VecsearchError):
    """An engine failed; ``backend`` and ``operation`` say which and while doing what."""

    backend: str = ""
    operation: str = ""


class ConnectionFailedError(BackendError, ConnectionError):
    """The engine did not answer within the deadline, retries included."""


class AccessDeniedError(BackendError, PermissionError):
    """The engine refused the credentials."""


class IndexNotFoundError(BackendError, LookupError):
    """The engine holds no index of that name."""


class IndexExistsError(BackendError):
    """The engine holds an index of that name already."""


class StorageError(BackendError, OSError):
    """Storage failed: disk full, read-only, or in use by another process."""


class CorruptDataError(StorageError):
    """A stored file is damaged; the message names it."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class NotVisibleYetError(BackendError, TimeoutError):
    """The rows *are* written, but the engine did not show them within the timeout."""


class IncompleteSearchError(BackendError):
    """The engine returned fewer rows than exist; ``found`` holds what it returned."""

    def __init__(self, message: str, found: object) -> None:
        super().__init__(message)
        self.found = found


class IngestError(BackendError):
    """A write stopped part way.

    ``written`` is the number of rows that are in the index; ``failed`` lists the row ranges ``(start, stop)`` that were
    tried and refused; ``remaining`` lists every range that is not in the index, in the order of the input;
    ``checkpoint`` is the path to resume from, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        written: int,
        failed: Sequence[tuple[int, int]],
        remaining: Sequence[tuple[int, int | None]],
        checkpoint: Path | None = None,
    ) -> None:
        super().__init__(message)
        self.written = written
        self.failed = list(failed)
        self.remaining = list(remaining)
        self.checkpoint = checkpoint
