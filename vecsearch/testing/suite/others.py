"""What others do to an index while it is open: two objects of one index, in one process."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import vecsearch
from vecsearch import F
from vecsearch.errors import IndexNotFoundError, InvalidInputError, RunError, VecsearchError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness

if TYPE_CHECKING:
    from collections.abc import Callable

    from vecsearch import SimilarityIndex

_READERS, _WRITERS, _TURNS, _ROWS = 8, 2, 6, 10


class OtherTests(Harness):
    """Two objects of one index."""

    def test_an_index_that_another_deleted_is_not_found(self) -> None:
        """Every call says so, with its name, and makes nothing; it can be made anew.

        If this fails, check which errors of the engine mean ``not_found``, in ``errors`` or ``fault``.
        """
        index, other, settings = self._twice("conformance_vanishing")
        other.cleanup()
        name, one = settings["index_name"], data.vectors(1)
        calls: dict[str, Callable[[], object]] = {
            "search": lambda: index.search(one[0], 3),
            "filtered": lambda: index.search(one[0], 3, filter=F("number") < 5),
            "count": index.count,
            "fetch": lambda: index.get_embeddings(sample_ids=["r0000"]),
            "scan": lambda: list(index.iter_embeddings(10)),
            "write": lambda: index.add_to_index(one, ["new"]),
            "metadata": lambda: index.set_metadata([{"x": 1}], ["r0000"]),
            "remove": lambda: index.remove_from_index(sample_ids=["r0000"]),
        }
        for what, call in calls.items():
            with pytest.raises(IndexNotFoundError) as caught:
                call()
            assert name in str(caught.value), what
        assert not index.health().ok
        with pytest.raises(IndexNotFoundError):
            vecsearch.connect(name, backend=self.backend, **{k: v for k, v in settings.items() if k != "index_name"})
        again = self.create(**{**settings, "embeddings": one, "sample_ids": ["new"], "metric": self.metric})
        assert again.ids().tolist() == ["new"]

    @pytest.mark.parametrize("change", ["width", "metric"])
    def test_an_index_that_another_made_anew_is_not_taken_for_the_old_one(self, change: str) -> None:
        """A run that was recorded with another width or metric is not opened; ``if_exists="load"`` is refused.

        If this fails, check that describe tells what the engine holds now.
        """
        metrics = sorted(self.capabilities.metrics)
        if change == "metric" and len(metrics) == 1:
            pytest.skip(f"{self.backend} has one metric")
        index, other, settings = self._twice("conformance_changing", key="changing", metric=metrics[0])
        other.cleanup()
        width = data.DIM + (change == "width")
        vectors, metric = data.vectors(2, dim=width), metrics[-1] if change == "metric" else metrics[0]
        new = self.create(**{**settings, "metric": metric, "embeddings": vectors, "sample_ids": ["a", "b"]})
        with pytest.raises(RunError, match=f"{metrics[0]}|{data.DIM}"):
            vecsearch.load_run("changing")
        with pytest.raises((RunError, InvalidInputError)):
            self.create(**settings, key="changing", if_exists="load", metric=metrics[0])
        if change == "width":
            for call in (lambda: index.add_to_index(data.vectors(1), ["x"]), lambda: index.search(data.vectors(1)[0])):
                with pytest.raises(VecsearchError):
                    call()
        assert new.ids().tolist() == ["a", "b"]
        self.assert_vectors(new.get_embeddings(sample_ids=["a", "b"]), ["a", "b"], vectors)

    def test_eight_threads_read_while_two_write(self) -> None:
        """Through two objects: no call fails, no row that stays is missed, no row is lost or doubled.

        If this fails, check ``thread_safe``, and that objects of one index in one process do not disturb each other.
        """
        rows = data.sample_rows().take(range(40))
        if self.capabilities.durable and not self.capabilities.local:
            index, other, _ = self._twice("conformance_busy", **rows.columns(), metric=self.lengths_matter)
        else:
            index = other = self.create(**rows.columns(), metric=self.lengths_matter)
        done = threading.Event()

        def read(target: SimilarityIndex, number: int) -> int:
            turns = 0
            while not done.is_set() or not turns:
                ranking = target.search(rows.vectors[number], 1, filter=F("number") == number, allow_scan=True)[0]
                assert ranking.ids.tolist() == [rows.ids[number]]
                found = target.get_embeddings(sample_ids=rows.ids[:5])
                self.assert_vectors(found, rows.ids[:5], rows.vectors[:5])
                assert len(target.search(rows.vectors[number], 5)[0]) == 5
                assert len(target) >= 40
                turns += 1
            return turns

        def write(target: SimilarityIndex, writer: int) -> None:
            for turn in range(_TURNS):
                ids = [f"w{writer} {turn} {row}" for row in range(_ROWS)]
                target.add_to_index(data.vectors(_ROWS, seed=turn) + 9, ids, metadata=[{"number": -1}] * _ROWS)
                assert target.remove_from_index(sample_ids=ids[:3]) == 3

        with ThreadPoolExecutor(_READERS + _WRITERS) as pool:
            targets = (index, other)
            readers = [pool.submit(read, targets[number % 2], number) for number in range(_READERS)]
            writers = [pool.submit(write, targets[number], number) for number in range(_WRITERS)]
            try:
                for writer in writers:
                    writer.result()
            finally:
                done.set()
            assert all(reader.result() for reader in readers)
        left = [f"w{w} {t} {row}" for w in range(_WRITERS) for t in range(_TURNS) for row in range(3, _ROWS)]
        for target in targets:
            assert target.ids().tolist() == sorted([*rows.ids, *left])
        assert np.array_equal(np.sort(index.ids()), np.sort(other.ids()))

    def _twice(self, name: str, **columns: Any) -> tuple[SimilarityIndex, SimilarityIndex, dict[str, Any]]:
        """An index, another object of it, and the settings of both."""
        if self.capabilities.local or not self.capabilities.durable:
            pytest.skip("rows end with their index, or are a copy of its own")
        name = self.named(f"{name}_{uuid.uuid4().hex[:6]}")  # others may run this beside us
        settings = {**self.new_settings(), "index_name": name, "timeout": 20.0}
        columns = columns or {"metric": self.metric}
        index = self.create(**{**data.sample_rows().take(range(20)).columns(), **settings, **columns})
        rest = {k: v for k, v in settings.items() if k != "index_name"}
        return index, self.opened(vecsearch.connect(settings["index_name"], backend=self.backend, **rest)), settings
