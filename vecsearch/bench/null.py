"""A backend that does nothing, at once: what the harness and vecsearch reach with it, no engine can exceed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vecsearch.backends.base import METRICS, Backend, BackendConfig, Capabilities, Hits, Rows, Score, Spec, Where

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Part

NAME = "null"


class NullBackend(Backend[BackendConfig]):
    """Remembers how many rows it was given, and answers every query with the first of them."""

    name: ClassVar[str] = NAME
    Config: ClassVar[type[BackendConfig]] = BackendConfig
    capabilities = Capabilities(metrics=dict.fromkeys(METRICS, Score.DISTANCE), batch_rows=100_000, local=True)

    def __init__(self, config: BackendConfig) -> None:
        super().__init__(config)
        self._made: Spec | None = None
        self._ids: list[str] = []

    def describe(self) -> Spec | None:
        """What was created in this process."""
        return self._made

    def create(self, spec: Spec) -> None:
        """Remember the spec."""
        self._made = spec

    def upsert(self, rows: Rows) -> None:
        """Remember the ids."""
        self._ids += rows.ids

    def delete(self, ids: Sequence[str]) -> None:
        """Do nothing."""

    def fetch(self, ids: Sequence[str], include: frozenset[Part]) -> Rows:
        """No rows."""
        del ids, include
        return Rows([])

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
        """The first rows, at rising distances."""
        del where, exact, params
        ids = self._ids[:k]
        fields: list[dict[str, Any]] | None = [{} for _ in ids] if "fields" in include else None
        rows = Rows(ids, None, fields, [None] * len(ids) if "documents" in include else None)
        scores = np.arange(len(ids), dtype=np.float64)
        return Hits([scores.copy() for _ in queries], [rows for _ in queries])

    def scan(self, batch_rows: int, include: frozenset[Part], where: Where | None = None) -> Iterator[Rows]:
        """No rows."""
        del batch_rows, include, where
        return iter(())

    def count(self, where: Where | None = None) -> int:
        """The rows that were given."""
        del where
        return len(self._ids)

    def drop(self) -> None:
        """Forget."""
        self._made, self._ids = None, []

    def close(self) -> None:
        """Do nothing."""
