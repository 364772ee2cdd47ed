"""Wrappers around a backend: they pass every primitive on, and each changes one thing.

Register one for a test, under the name of the backend or another::

    class Slow(WrappedBackend, inner=SklearnBackend):
        def search(self, *arguments, **named):
            time.sleep(0.1)
            return super().search(*arguments, **named)

    with vecsearch.registry.registered("slow", Slow):
        index = vecsearch.compute_similarity(embeddings=X, backend="slow")
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from vecsearch.backends.base import Backend, BackendConfig, Capabilities, Hits, Rows, Spec, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault, Part


class WrappedBackend(Backend[BackendConfig]):
    """A backend that holds another and passes everything on to it; a subclass overrides what should differ."""

    inner_class: ClassVar[type[Backend[Any]]]

    def __init_subclass__(cls, inner: type[Backend[Any]] | None = None, **rest: Any) -> None:
        """Take the public facts from ``inner``, except those that the class body gives itself."""
        super().__init_subclass__(**rest)
        if inner is None:
            return
        cls.inner_class = inner
        for fact in ("name", "Config", "capabilities", "errors", "search_params"):
            if fact not in vars(cls) and hasattr(inner, fact):
                setattr(cls, fact, getattr(inner, fact))
        cls._own_capabilities = "capabilities" in vars(cls) and cls.capabilities is not inner.capabilities

    _own_capabilities: ClassVar[bool] = False

    @classmethod
    def keep_declared(cls) -> None:
        """Have instances keep the capabilities of this class, where they were changed after it was made."""
        cls._own_capabilities = True

    def __init__(self, config: BackendConfig) -> None:
        super().__init__(config)
        self.inner = self.inner_class(config)
        if not self._own_capabilities:
            self.capabilities = self.inner.capabilities

    def fault(self, error: Exception) -> Fault | None:
        """Pass on."""
        return self.inner.fault(error)

    def reason(self, error: Exception) -> str:
        """Pass on."""
        return self.inner.reason(error)

    @property
    def client(self) -> Any:
        """The client of the backend within."""
        return self.inner.client

    @property
    def spec(self) -> Spec | None:
        """What the index is."""
        return self.inner.spec

    @spec.setter
    def spec(self, spec: Spec | None) -> None:
        self.inner.spec = spec

    def describe(self) -> Spec | None:
        """Pass on."""
        return self.inner.describe()

    def create(self, spec: Spec) -> None:
        """Pass on."""
        self.inner.create(spec)

    def upsert(self, rows: Rows) -> None:
        """Pass on."""
        self.inner.upsert(rows)

    def delete(self, ids: Sequence[str]) -> None:
        """Pass on."""
        self.inner.delete(ids)

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Pass on."""
        return self.inner.fetch(ids, include)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        *,
        include: frozenset[Part],
        exact: bool,
        params: Mapping[str, Any],
    ) -> Hits:
        """Pass on."""
        return self.inner.search(queries, k, where, include=include, exact=exact, params=params)

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Pass on."""
        return self.inner.scan(batch_rows, include, where)

    def count(self, where: Where | None = None) -> int:
        """Pass on."""
        return self.inner.count(where)

    def visible(self, written: Sequence[str], deleted: Sequence[str]) -> bool:
        """Pass on."""
        return self.inner.visible(written, deleted)

    def problems(self) -> list[str]:
        """Pass on."""
        return self.inner.problems()

    def drop(self) -> None:
        """Pass on."""
        self.inner.drop()

    def close(self) -> None:
        """Pass on."""
        self.inner.close()

    @property
    def unsaved(self) -> bool:
        """Pass on."""
        return self.inner.unsaved

    def save(self) -> None:
        """Pass on."""
        self.inner.save()

    def reload(self) -> None:
        """Pass on."""
        self.inner.reload()

    def matrix(self) -> tuple[Sequence[str], NDArray[np.float32]] | None:
        """Pass on."""
        return self.inner.matrix()


@dataclass(frozen=True, slots=True)
class Call:
    """One call that reached the backend."""

    primitive: str
    arguments: tuple[Any, ...]
    """As they were passed by position."""


class RecordingBackend(WrappedBackend):
    """Notes every call that would read or write rows, in ``log`` of its class; made by ``recording``."""

    log: ClassVar[list[Call]]

    def create(self, spec: Spec) -> None:
        """Note, and pass on."""
        self.log.append(Call("create", (spec,)))
        super().create(spec)

    def upsert(self, rows: Rows) -> None:
        """Note, and pass on."""
        self.log.append(Call("upsert", (rows,)))
        super().upsert(rows)

    def delete(self, ids: Sequence[str]) -> None:
        """Note, and pass on."""
        self.log.append(Call("delete", (list(ids),)))
        super().delete(ids)

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Note, and pass on."""
        self.log.append(Call("fetch", (list(ids), include)))
        return super().fetch(ids, include)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        *,
        include: frozenset[Part],
        exact: bool,
        params: Mapping[str, Any],
    ) -> Hits:
        """Note, and pass on."""
        self.log.append(Call("search", (queries, k, where, include, exact, params)))
        return super().search(queries, k, where, include=include, exact=exact, params=params)

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Note, and pass on."""
        self.log.append(Call("scan", (batch_rows, include, where)))
        return super().scan(batch_rows, include, where)

    def count(self, where: Where | None = None) -> int:
        """Note, and pass on."""
        self.log.append(Call("count", (where,)))
        return super().count(where)

    def drop(self) -> None:
        """Note, and pass on."""
        self.log.append(Call("drop", ()))
        super().drop()

    @classmethod
    def calls(cls, *primitives: str) -> list[Call]:
        """The calls of these primitives so far; without names, all."""
        return [call for call in cls.log if not primitives or call.primitive in primitives]


def recording(inner: type[Backend[Any]]) -> type[RecordingBackend]:
    """A class like ``inner`` that notes its calls in its own ``log``."""

    class Recording(RecordingBackend, inner=inner):
        log: ClassVar[list[Call]] = []

    return Recording


class OutageError(Exception):
    """What a ``FaultyBackend`` raises for "the engine is away": vecsearch tries again."""


class BreakdownError(Exception):
    """What a ``FaultyBackend`` raises for a failure that no repetition mends."""


class FaultyBackend(WrappedBackend):
    """Fails where it is told to; made by ``faulty``."""

    plan: ClassVar[Callable[[str, int], Exception | None]]
    """The error for the n-th call (from 0) of a primitive, ``None`` for none."""
    _lock: ClassVar[threading.Lock]
    _made: ClassVar[dict[str, int]]

    def _may_fail(self, primitive: str) -> None:
        with self._lock:
            number = self._made.get(primitive, 0)
            self._made[primitive] = number + 1
        error = type(self).plan(primitive, number)
        if error is not None:
            raise error

    def upsert(self, rows: Rows) -> None:
        """Fail, or pass on."""
        self._may_fail("upsert")
        super().upsert(rows)

    def delete(self, ids: Sequence[str]) -> None:
        """Fail, or pass on."""
        self._may_fail("delete")
        super().delete(ids)

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """Fail, or pass on."""
        self._may_fail("fetch")
        return super().fetch(ids, include)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        *,
        include: frozenset[Part],
        exact: bool,
        params: Mapping[str, Any],
    ) -> Hits:
        """Fail, or pass on."""
        self._may_fail("search")
        return super().search(queries, k, where, include=include, exact=exact, params=params)

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """Fail at the call, or pass on."""
        self._may_fail("scan")
        return super().scan(batch_rows, include, where)

    def count(self, where: Where | None = None) -> int:
        """Fail, or pass on."""
        self._may_fail("count")
        return super().count(where)


def faulty(inner: type[Backend[Any]], plan: Callable[[str, int], Exception | None]) -> type[FaultyBackend]:
    """A class like ``inner`` that raises what ``plan(primitive, number of the call)`` returns."""
    meanings: Mapping[type[Exception], Fault] = {**inner.errors, OutageError: "unavailable"}

    class Faulty(FaultyBackend, inner=inner):
        errors: ClassVar[Mapping[type[Exception], Fault]] = meanings
        _lock: ClassVar[threading.Lock] = threading.Lock()
        _made: ClassVar[dict[str, int]] = {}

    Faulty.plan = staticmethod(plan)
    return Faulty


def limited(inner: type[Backend[Any]], **changes: Any) -> type[RecordingBackend]:
    """A recording class like ``inner`` that declares smaller capabilities, to see that they are kept to."""

    class Limited(RecordingBackend, inner=inner):
        log: ClassVar[list[Call]] = []
        capabilities: Capabilities = replace(inner.capabilities, **changes)

        def __init__(self, config: BackendConfig) -> None:
            super().__init__(config)
            # What depends on the configuration stays as it is.
            self.capabilities = replace(self.inner.capabilities, **changes)

    return Limited


__all__ = (
    "BreakdownError",
    "Call",
    "FaultyBackend",
    "OutageError",
    "RecordingBackend",
    "WrappedBackend",
    "faulty",
    "limited",
    "recording",
)
