"""The one border to an engine: rows in, rows out; deadline, retry, lock, errors translated, calls logged."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vecsearch import filters
from vecsearch.backends.base import Backend, BackendConfig, Capabilities, Part, Score, Spec, Where
from vecsearch.codec import Codec
from vecsearch.errors import (
    AccessDeniedError,
    BackendError,
    ClosedError,
    ConnectionFailedError,
    IndexExistsError,
    IndexNotFoundError,
    InvalidInputError,
    NotVisibleYetError,
    StorageError,
    UnsupportedError,
    VecsearchError,
)
from vecsearch.masking import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault
    from vecsearch.filters import Filter
    from vecsearch.types import Records

logger = logging.getLogger("vecsearch")
T = TypeVar("T")

_ERRORS: Mapping[Fault, type[BackendError]] = {
    "unavailable": ConnectionFailedError,
    "rate_limited": ConnectionFailedError,
    "denied": AccessDeniedError,
    "not_found": IndexNotFoundError,
    "exists": IndexExistsError,
    "storage": StorageError,
    "invalid": BackendError,
}
_ADVICE: Mapping[Fault, str] = {
    "unavailable": "is it running, and is its address right?",
    "rate_limited": "it asks for fewer calls; try later or with fewer workers",
    "denied": "check the credentials",
    "not_found": "create it with compute_similarity",
    "exists": 'choose another name, or if_exists="replace"',
    "storage": "check the disk: space, permissions, other processes",
    "invalid": "the engine refused the call",
}
_POLL_SECONDS, _SLOWER, _LONGEST_POLL_SECONDS = 0.05, 1.5, 1.0
_WATCHED_IDS = 1000
METADATA: frozenset[Part] = frozenset({"fields"})
DOCUMENTS: frozenset[Part] = frozenset({"documents"})
VECTORS: frozenset[Part] = frozenset({"vectors"})
EVERYTHING: frozenset[Part] = frozenset({"vectors", "fields", "documents"})
NOTHING: frozenset[Part] = frozenset()


class _GivenUpError(Exception):
    """A call took longer than it may."""


def within(seconds: float, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """What the function returns or raises. One that takes longer is given up, and goes on in a thread of its own."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(function(*arguments, **named))
        except BaseException as error:  # noqa: BLE001  raised where the answer is waited for
            answer.set_exception(error)

    # A daemon, so that what hangs does not keep the program from ending.
    threading.Thread(target=run, name="vecsearch-call", daemon=True).start()
    if not wait([answer], max(seconds, 0.0)).done:
        raise _GivenUpError
    return answer.result()


class Engine:
    """A backend behind its border: what the policy rooms call.

    Rows go in and come out as ``Records``; distances come out in the metric's unit, smaller is nearer. The spec is
    ``None`` until the index is created.
    """

    def __init__(self, backend: Backend[Any], spec: Spec | None = None) -> None:
        self.backend = backend
        self.name = type(backend).name
        self.config: BackendConfig = backend.config
        self.write_lock = threading.RLock()
        self._lock: Any = None if backend.capabilities.thread_safe else threading.RLock()
        self._closed = False
        self._set(spec)
        self.check_params(self.config.search_params)

    def _set(self, spec: Spec | None) -> None:
        self.spec = self.backend.spec = spec
        self.capabilities: Capabilities = self.backend.capabilities
        patches, ours = (spec.patches, spec.ours) if spec else (False, True)
        self.codec = Codec(self.capabilities, patches=patches, ours=ours, metric=spec.metric if spec else None)
        self.batch_rows = min(self.capabilities.batch_rows, self.config.batch_rows or self.capabilities.batch_rows)

    # ---- the border itself

    def call(self, operation: str, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """One call, tried again while the engine is away, until the timeout.

        Every primitive may be repeated: upsert and delete are idempotent.
        """
        deadline = time.monotonic() + self.config.timeout
        try:
            return self._attempt(deadline, operation, function, *arguments, **named)
        except ConnectionFailedError as error:
            left = deadline - time.monotonic()
            if self._closed or left <= 0:
                raise
            logger.info("%s; trying again for %g s", error, left)
        # Imported here: a call that succeeds pays nothing for the retry library.
        from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

        retrying = Retrying(
            stop=stop_before_delay(left),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            retry=retry_if_exception_type(ConnectionFailedError),
            reraise=True,
        )
        result: T = retrying(self._attempt, deadline, operation, function, *arguments, **named)
        return result

    def call_once(self, operation: str, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """One call that is not repeated, under the lock, its errors translated."""
        return self._attempt(time.monotonic() + self.config.timeout, operation, function, *arguments, **named)

    def _attempt(self, deadline: float, operation: str, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        if self._closed:
            raise ClosedError(f"this {self.name} index was closed; open it again with load_run or connect")
        started = time.monotonic()
        try:
            if self._lock is not None:
                function, arguments = self._alone, (function, *arguments)
            if self.capabilities.ends_in_time or operation == "wait":
                result = function(*arguments, **named)
            else:
                result = within(deadline - started, function, *arguments, **named)
        except _GivenUpError:
            advice, limit = _ADVICE["unavailable"], self.config.timeout
            raise self._named(ConnectionFailedError, operation, f"no answer within {limit:g} s ({advice})") from None
        except VecsearchError as error:
            if isinstance(error, BackendError) and not error.backend:
                error.backend, error.operation = self.name, operation
            raise
        except Exception as error:  # noqa: BLE001  a foreign error never passes without ours around it
            raise self._translated(error, self._fault(error), operation) from self._cause(error)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s: %s: %.4f s", self.name, operation, time.monotonic() - started)
        return result

    def _alone(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        with self._lock:
            return function(*arguments, **named)

    def _fault(self, error: Exception) -> Fault | None:
        matches = [(len(kind.__mro__), fault) for kind, fault in self.backend.errors.items() if isinstance(error, kind)]
        return max(matches)[1] if matches else self.backend.fault(error)

    def _translated(self, error: Exception, fault: Fault | None, operation: str) -> BackendError:
        kind = _ERRORS[fault] if fault else BackendError
        advice = f" ({_ADVICE[fault]})" if fault else ""
        text = self.without_secrets(self.backend.reason(error)) or type(error).__name__
        return self._named(kind, operation, f"{text}{advice}")

    def _named(self, kind: type[BackendError], operation: str, text: str) -> BackendError:
        name = f" {self.config.index_name!r}" if self.config.index_name else ""
        error = kind(f"{self.name}{name}: {operation}: {text}")
        error.backend, error.operation = self.name, operation
        return error

    def _cause(self, error: Exception) -> Exception | None:
        """The foreign error, unless its text would show a secret in the traceback."""
        return error if self.without_secrets(str(error)) == str(error) else None

    def without_secrets(self, text: str) -> str:
        """``text`` with every secret of the configuration masked."""
        return without_secrets(text, self.config)

    # ---- life cycle

    def describe(self) -> Spec | None:
        """What the engine holds; remembered as the spec."""
        self._set(self.call("describe", self.backend.describe))
        return self.spec

    def create(self, spec: Spec, first: Records | None = None) -> None:
        """Make the index in the engine, or with its ``first`` rows in one step where it has ``create_with``."""
        caps = self.capabilities
        if spec.metric not in caps.metrics:
            known = ", ".join(sorted(caps.metrics))
            raise UnsupportedError(f"{self.name} has no metric {spec.metric!r}; it has {known}")
        low, high = caps.dims
        if not low <= spec.dim <= high:
            raise UnsupportedError(f"{self.name} takes vectors of {low} to {high} dimensions, not {spec.dim}")
        if first is None:
            self.call("create", self.backend.create, spec)
        else:
            rows = Codec(caps, patches=spec.patches, metric=spec.metric).encode(first)
            self.call("create", self.backend.create_with, spec, rows)
        self._set(spec)

    def forget(self) -> None:
        """The engine holds no index any more."""
        self._set(None)

    def save(self) -> None:
        """Make every write durable; nothing where nothing was created yet."""
        if self.spec is not None:
            self.call("save", self.backend.save)

    def drop(self) -> None:
        """Delete the index from the engine."""
        self.call("drop", self.backend.drop)

    def close(self) -> None:
        """Let go of the engine; a second time does nothing."""
        if not self._closed:
            self.call("close", self.backend.close)
            self._closed = True

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    # ---- rows

    def upsert(self, records: Records) -> None:
        """Write one batch."""
        self.call("write", self.backend.upsert, self.codec.encode(records))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows, in batches that the engine takes."""
        for batch in batches(self.codec.ids(ids), self.batch_rows):
            self.call("delete", self.backend.delete, batch)

    def fetch(self, ids: Sequence[str], parts: frozenset[Part]) -> dict[str, Records]:
        """The rows of these ids that exist, each on its own, by id."""
        found: dict[str, Records] = {}
        for batch in batches(ids, self.batch_rows):
            records = self.fetched(batch, parts)
            for position, row_id in enumerate(records.ids):
                found[row_id] = records.take(slice(position, position + 1))
        return found

    def fetched(self, ids: Sequence[str], parts: frozenset[Part]) -> Records:
        """The rows of these ids that exist, in the engine's order; of no more ids than it takes at once."""
        return self._decode(self.call("fetch", self.backend.fetch, self.codec.ids(ids), self._parts(parts)), parts)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are in the index."""
        found: set[str] = set()
        for batch in batches(ids, self.batch_rows):
            found.update(self.fetched(batch, NOTHING).ids)
        return found

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        *,
        parts: frozenset[Part],
        exact: bool,
        params: Mapping[str, Any],
    ) -> list[tuple[Records, NDArray[np.float64]]]:
        """The engine's nearest rows of each query, in distances, in its own order; as many calls as it takes."""
        assert self.spec is not None  # noqa: S101  a search comes after the creation
        score = self.capabilities.metrics[self.spec.metric]
        asked = {"include": self._parts(parts), "exact": exact, "params": {**self.config.search_params, **params}}
        size = 1 if len(queries) == 1 else self._queries_a_call(queries, k)
        answers = []
        for start in range(0, len(queries), size):
            piece = queries[start : start + size]
            hits = self.call("search", self.backend.search, piece, k, where, **asked)
            if len(hits.rows) != len(piece):
                raise BackendError(f"{self.name}: search: {len(hits.rows)} answers to {len(piece)} queries")
            answers += [
                (self._decode(rows, parts), distances(np.asarray(scores, dtype=np.float64), score, self.spec.metric))
                for rows, scores in zip(hits.rows, hits.scores, strict=True)
            ]
        return answers

    def _queries_a_call(self, queries: NDArray[np.float32], k: int) -> int:
        """How many queries one search carries; at least one, whatever ``k`` is."""
        hits, carried = self.capabilities.max_hits, self.capabilities.batch_bytes
        sizes = [len(queries)]
        sizes += [hits // k] if hits is not None else []
        sizes += [carried // (4 * queries.shape[1])] if carried is not None else []
        return max(1, min(sizes))

    def scan(
        self, parts: frozenset[Part], where: Where | None = None, batch_rows: int | None = None
    ) -> Iterator[Records]:
        """Every row among ``where`` (in the engine's terms), batch by batch."""
        rows = self.call("scan", self.backend.scan, batch_rows or self.batch_rows, self._parts(parts), where)
        iterator = iter(rows)
        while True:
            # Not retried: a generator that failed is at its end, and the rest would be missing without a word.
            batch = self.call_once("scan", next, iterator, None)
            if batch is None:
                return
            if len(batch):
                yield self._decode(batch, parts)

    def count(self, where: Where | None = None) -> int:
        """The number of rows among ``where`` (in the engine's terms)."""
        return 0 if self.spec is None else self.call("count", self.backend.count, where)

    def where(self, ids: Sequence[str] | None, filter_: Filter | None) -> Where | None:
        """Which rows, in the engine's terms."""
        return self.codec.where(ids, filter_)

    def lacks(self, ids: Sequence[str] | None, filter_: Filter | None, primitive: str) -> str | None:
        """Why the engine cannot answer ``primitive`` for these rows, or ``None`` where it can."""
        if ids is None and filter_ is None:
            return None
        try:
            where = self.where(None if ids is None else ids[:1], filter_)
        except UnsupportedError as error:
            return f"{self.name}: {error}"
        if where is None:
            return None
        if primitive not in self.capabilities.filters_in:
            return f"{self.name} cannot {primitive} by filter or ids"
        if where.filter is not None:
            missing = filters.operators(where.filter) - self.capabilities.filter_operators
            if missing:
                return f"{self.name} has no filter operator {', '.join(sorted(missing))}"
        return None

    def wait_until_visible(self, written: Sequence[str], deleted: Sequence[str], timeout: float | None = None) -> None:
        """Return when later calls see these writes; ``NotVisibleYetError`` after ``timeout`` seconds."""
        if self.spec is None:  # nothing was written, and there is nobody to ask
            return
        limit = self.config.timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        # When the last are seen, those before are.
        written, deleted = self.codec.ids(written[-_WATCHED_IDS:]), self.codec.ids(deleted[-_WATCHED_IDS:])
        pause = _POLL_SECONDS
        while not self._visible(written, deleted):
            if time.monotonic() > deadline:
                raise NotVisibleYetError(
                    f"{self.name}: the rows are written, but not visible after {limit:g} s; index.wait() waits on"
                )
            time.sleep(pause)
            pause = min(pause * _SLOWER, _LONGEST_POLL_SECONDS)

    def _visible(self, written: Sequence[str], deleted: Sequence[str]) -> bool:
        try:
            return self.call("wait", self.backend.visible, written, deleted)
        except ConnectionFailedError as error:
            raise NotVisibleYetError(f"the rows are written, but it is not known whether they show: {error}") from error

    def check_params(self, params: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """``params`` of one search; a name that the engine does not know is refused."""
        if not params:
            return {}
        unknown = set(params) - self.backend.search_params
        if unknown:
            known = ", ".join(sorted(self.backend.search_params)) or "none"
            raise InvalidInputError(f"{self.name} has no search parameter {min(unknown)!r}; it has: {known}")
        return params

    def _parts(self, parts: frozenset[Part]) -> frozenset[Part]:
        needs = self.codec.needs_fields or ("vectors" in parts and self.codec.keeps_norms_apart)
        return parts | METADATA if needs else parts

    def _decode(self, rows: Any, parts: frozenset[Part]) -> Records:
        return self.codec.decode(rows, metadata="fields" in parts, vectors="vectors" in parts)


def distances(scores: NDArray[np.float64], score: Score, metric: str) -> NDArray[np.float64]:
    """An engine's scores as distances: smaller is nearer, in the metric's unit."""
    if score is Score.SIMILARITY:
        return 1.0 - scores if metric == "cosine" else -scores
    if score is Score.SQUARED:
        return np.sqrt(np.maximum(scores, 0.0))
    if score is Score.ONE_MINUS:
        return scores if metric == "cosine" else scores - 1.0
    return scores


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive pieces of at most ``size`` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
