"""One namespace of a Pinecone index: its records, over the client of the data plane.

The namespace goes with every call. Each call ends at a deadline of ours, since the client waits for minutes where the
service asks it to; a write that is given up may still be carried out. An answer has at most 4 MB, and how large records
are is not known before they come: where an answer may have more, or has, less is asked for at a time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from vecsearch.backends._paging import pages
from vecsearch.backends._pinecone_clients import ApiError, status_of
from vecsearch.backends._pinecone_rows import addresses, requests_of
from vecsearch.backends._several import several
from vecsearch.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_RESULT_BYTES = 3_000_000
_NUMBER_BYTES = 22
_METADATA_BYTES = 1000
_MOST_RECORDS = 10_000
_LISTED = 100
_TOO_LARGE = (400, 413)  # the documents do not say which
_NO_OPERATION = (400, 404, 405, 501)


class Namespace:
    """The records of one namespace, by Pinecone's own ids."""

    def __init__(self, data: Any, name: str, seconds: float, workers: int) -> None:
        self._data = data
        self._name = name
        self._seconds = seconds
        self._workers = workers
        self._written: int | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close its connections."""
        self._data.close()

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Several requests at a time."""
        return several(self._seconds, self._workers, function, items)

    def _one(self, function: Callable[..., Any], **asked: Any) -> Any:
        return self.each(lambda named: function(**named, namespace=self._name), [asked])[0]

    # ---- writes

    def upsert(self, vectors: Sequence[dict[str, Any]]) -> None:
        """Replace whole records, in as many requests as it takes; the number of the last write is kept."""
        for piece in requests_of(vectors):
            answer = self._one(self._data.upsert, vectors=piece)
            if answer.upserted_count != len(piece):
                raise BackendError(
                    f"pinecone: {answer.upserted_count} of {len(piece)} rows were taken, of those from "
                    f"{piece[0]['id']!r} to {piece[-1]['id']!r}; write them again"
                )
            number = answer.response_info.lsn_committed if answer.response_info else None
            with self._lock:
                self._written = max(filter(None, (self._written, number)), default=None)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; nothing where there is no namespace, which begins with its first record."""
        try:
            self._one(self._data.delete, ids=list(ids))
        except ApiError as error:
            if status_of(error) != 404 or "namespace" not in str(error).lower():  # noqa: PLR2004
                raise

    def caught_up(self, dim: int) -> bool | None:
        """Whether searches see our last upsert, by the number that it got; ``None`` where there are no numbers."""
        if self._written is None:
            return None
        info = self._one(self._data.query, vector=[1.0] * dim, top_k=1).response_info
        if info is None or info.lsn_reconciled is None:
            return None
        return bool(info.is_reconciled(self._written))

    # ---- reads

    def records(self, ids: Sequence[str]) -> dict[str, Any]:
        """Records by their ids, in as many requests as URLs take."""
        found = self.each(lambda some: self._data.fetch(ids=some, namespace=self._name).vectors, addresses(ids))
        return {row_id: record for piece in found for row_id, record in piece.items()}

    def nearest(
        self, queries: Sequence[list[float]], k: int, where: dict[str, Any] | None, *, values: bool, metadata: bool
    ) -> list[list[tuple[float, Any]]]:
        """Scores and records, nearest first, of each query; a request each."""

        def matches(query: list[float]) -> list[tuple[float, Any]]:
            asked = {"vector": query, "top_k": k, "filter": where, "namespace": self._name}
            if k * (_NUMBER_BYTES * len(query) * values + _METADATA_BYTES * metadata) <= _RESULT_BYTES:
                try:
                    found = self._data.query(**asked, include_values=values, include_metadata=metadata).matches
                    return [(match.score, match) for match in found]
                except ApiError as error:
                    if status_of(error) not in _TOO_LARGE or not (values or metadata):
                        raise
            return [(match.score, match) for match in self._data.query(**asked).matches]

        found = self.each(matches, queries)
        if not (values or metadata):
            return found
        # Those that came with nothing but their scores are read by id; what was removed meanwhile is no match.
        bare = {record.id for answer in found for _, record in answer if not (record.values or record.metadata)}
        known = self.records(sorted(bare)) if bare else {}
        return [
            [(score, known.get(one.id, one)) for score, one in answer if one.id not in bare or one.id in known]
            for answer in found
        ]

    def ids(self) -> Iterator[list[Any]]:
        """Every record, as its id alone; a hundred a page."""

        def page(token: str | None) -> tuple[list[Any], str | None]:
            return _page(self._one(self._data.list_paginated, limit=_LISTED, pagination_token=token))

        return pages("pinecone", page)

    def lists(self, row_id: str) -> bool:
        """Whether this record is listed."""
        listed = self._one(self._data.list_paginated, prefix=row_id, limit=_LISTED).vectors
        return any(item.id == row_id for item in listed)

    def selected(self, where: dict[str, Any], dim: int) -> Iterator[list[Any]]:
        """The records for which a filter holds; they come with their vectors, whether asked for or not."""
        limit = max(1, min(_MOST_RECORDS, _RESULT_BYTES // (_NUMBER_BYTES * dim + _METADATA_BYTES)))

        def page(token: str | None) -> tuple[list[Any], str | None]:
            nonlocal limit
            while True:
                try:
                    answer = self._one(self._data.fetch_by_metadata, filter=where, limit=limit, pagination_token=token)
                except ApiError as error:
                    if status_of(error) not in _TOO_LARGE or limit == 1:
                        raise
                    limit = (limit + 1) // 2
                    continue
                return _page(answer)

        return pages("pinecone", page)

    def can_select(self) -> bool:
        """Whether the service reads records by filter, which it does since late 2025."""
        try:
            self._one(self._data.fetch_by_metadata, filter={"_vs_none": {"$exists": True}}, limit=1)
        except ApiError as error:
            if status_of(error) not in _NO_OPERATION:
                raise
            return "namespace" in str(error).lower()  # one that has no record yet
        return True

    def others(self) -> list[str]:
        """The other namespaces of the index that have records."""
        named = self.each(lambda _: self._data.describe_index_stats().namespaces, [None])[0]
        return sorted(set(named) - {self._name, *(["", "__default__"] if self._name in ("", "__default__") else [])})


def _page(answer: Any) -> tuple[list[Any], str | None]:
    records = answer.vectors
    following = answer.pagination.next if answer.pagination else None
    return list(records.values() if isinstance(records, dict) else records), following or None
