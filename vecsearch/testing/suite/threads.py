"""Several threads: readers see whole rows, and engines that take one call at a time get one at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vecsearch.errors import ConnectionFailedError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness, hurry
from vecsearch.testing.wrappers import WrappedBackend

if TYPE_CHECKING:
    from vecsearch import SimilarityIndex
    from vecsearch.backends.base import Where

_ROWS, _VERSIONS, _READERS = 25, 12, 2
_SLACK = 3.0


class ThreadTests(Harness):
    """Threads."""

    def test_readers_see_whole_rows_while_another_writes(self) -> None:
        """Two threads read while one overwrites: each row that a search returns is of one write, vector and metadata.

        If this fails, check ``thread_safe``, and that upsert replaces a row in one step.
        """
        index = self.create(**_version(0), metric=self.metric)
        done = threading.Event()

        def read() -> list[str]:
            problems: list[str] = []
            while not done.is_set():
                problems += _torn(index)
            return problems

        with ThreadPoolExecutor(_READERS) as pool:
            readers = [pool.submit(read) for _ in range(_READERS)]
            try:
                for number in range(1, _VERSIONS):
                    index.add_to_index(**_version(number))
            finally:
                done.set()
        assert [problem for reader in readers for problem in reader.result()] == []
        assert {row["version"] for row in index.get_metadata().values()} == {_VERSIONS - 1}

    @pytest.mark.parametrize("thread_safe", ["declared", "not declared"])
    def test_an_engine_that_is_not_thread_safe_is_called_by_one_at_a_time(self, thread_safe: str) -> None:
        """Threads wait for each other where ``thread_safe`` is false, and all of them get their answers everywhere.

        If this fails, check ``thread_safe``.
        """
        calls = {"now": 0, "most": 0}
        lock = threading.Lock()

        class Watched(WrappedBackend, inner=self.backend_class):
            def count(self, where: Where | None = None) -> int:
                with lock:
                    calls["now"] += 1
                    calls["most"] = max(calls["most"], calls["now"])
                time.sleep(0.01)
                with lock:
                    calls["now"] -= 1
                return super().count(where)

        safe = self.capabilities.thread_safe
        if thread_safe == "not declared":
            safe = False
            Watched.capabilities = replace(self.backend_class.capabilities, thread_safe=False)
            Watched.keep_declared()
        index = self.create(wrapper=Watched, embeddings=data.vectors(7), sample_ids=list("abcdefg"), metric=self.metric)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: index.count(), range(12))) == [7] * 12
        assert (calls["most"] > 1) == safe

    def test_a_call_that_does_not_end_is_given_up(self) -> None:
        """Where ``ends_in_time`` is false: an error at the timeout, and the index can be used as before.

        If this fails, check that calls may come from any thread.
        """
        hanging, enough = threading.Event(), threading.Event()

        class Hanging(WrappedBackend, inner=self.backend_class):
            capabilities = replace(self.backend_class.capabilities, ends_in_time=False)

            def count(self, where: Where | None = None) -> int:
                if hanging.is_set():
                    enough.wait(30)
                return super().count(where)

        rows = {"embeddings": data.vectors(3), "sample_ids": list("abc"), "metric": self.metric}
        index = self.create(wrapper=Hanging, **rows)
        hurry(index, 1.0)
        hanging.set()
        started = time.monotonic()
        with pytest.raises(ConnectionFailedError, match="count: no answer within 1 s") as caught:
            index.count()
        assert time.monotonic() - started < 1 + _SLACK
        assert (caught.value.backend, caught.value.operation) == (self.backend, "count")
        enough.set()
        hurry(index, 60.0)
        assert len(index) == 3
        assert self.capabilities.ends_in_time in (True, False)


def _version(number: int) -> dict[str, Any]:
    """All rows as one write gives them: the version is in the vectors and in the metadata."""
    vectors = np.zeros((_ROWS, data.DIM), np.float32)
    vectors[:, 0] = 1
    vectors[np.arange(_ROWS), 1 + np.arange(_ROWS) % 8] = 1 + number
    ids = [f"w{row:02d}" for row in range(_ROWS)]
    return {"embeddings": vectors, "sample_ids": ids, "metadata": [{"version": number}] * _ROWS}


def _torn(index: SimilarityIndex) -> list[str]:
    """What is wrong with an answer in the middle of a write."""
    problems = []
    ranking = index.search(np.ones(data.DIM, np.float32), _ROWS, include=("metadata", "embeddings"))[0]
    if len(set(ranking.ids)) != _ROWS or len(index) != _ROWS:
        problems.append(f"{len(ranking)} rows")
    for metadata, vector in zip(ranking.metadata, ranking.embeddings, strict=True):
        if abs(vector[1:].max() - (1 + metadata["version"])) > 1e-3:
            problems.append(f"{metadata} with {vector}")
    return problems
