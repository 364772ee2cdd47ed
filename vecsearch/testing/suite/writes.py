"""Writes: what happens to existing rows, what is removed, batches, failures half way, ingests that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import vecsearch
from vecsearch import F
from vecsearch.errors import (
    BackendError,
    ConnectionFailedError,
    ExistingIdsError,
    IngestError,
    InvalidInputError,
    MissingIdsError,
)
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import WRITING, Harness, hurry, nothing_happened
from vecsearch.testing.wrappers import BreakdownError, OutageError, faulty, limited, recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class WriteTests(Harness):
    """Writes."""

    @pytest.mark.parametrize("on_existing", ["overwrite", "skip", "raise"])
    def test_existing_rows(self, on_existing: Any) -> None:
        """Overwritten, left alone, or an error before anything is written; the number of rows is right each time.

        If this fails, check that upsert replaces by id, and that fetch finds the rows that exist.
        """
        index, rows = self.few(6)
        new = data.vectors(3, seed=5)
        ids = [rows.ids[2], "new", rows.ids[4]]
        if on_existing == "raise":
            with pytest.raises(ExistingIdsError) as caught:
                index.add_to_index(new, ids, on_existing=on_existing)
            assert caught.value.ids == [rows.ids[2], rows.ids[4]]
            self.assert_vectors(index.get_embeddings(sample_ids=rows.ids), rows.ids, rows.vectors)
            assert len(index) == 6
            return
        receipt = index.add_to_index(new, ids, on_existing=on_existing)
        skipped = on_existing == "skip"
        assert (receipt.written, receipt.skipped) == ((1, 2) if skipped else (3, 0))
        assert len(index) == 7
        expected = np.stack([rows.vectors[2], new[1], rows.vectors[4]]) if skipped else new
        self.assert_vectors(index.get_embeddings(sample_ids=ids), ids, expected)
        assert (index.get_metadata()[ids[0]] == {}) == (not skipped)

    @pytest.mark.parametrize("on_existing", ["overwrite", "skip", "raise"])
    def test_an_id_twice_in_one_call_is_refused(self, on_existing: Any) -> None:
        """Whatever is done with existing rows, one call may not name a row twice; nothing is written.

        If this fails, check nothing in the adapter: it is refused before any call.
        """
        index, wrapper = self.recorded(**data.sample_rows().take(range(4)).columns(), metric=self.metric)
        before = len(wrapper.log)
        with pytest.raises(InvalidInputError, match="twin"):
            index.add_to_index(data.vectors(3), ["twin", "other", "twin"], on_existing=on_existing)
        assert nothing_happened(wrapper, *WRITING, since=before)
        assert len(index) == 4

    def test_writing_again_changes_nothing(self) -> None:
        """The same rows once more: as many rows, the same answers.

        If this fails, check that upsert replaces instead of appending.
        """
        index, rows = self.few()
        before = index.search(rows.vectors[:3], 5, **self.exactly)
        index.add_to_index(**rows.columns())
        assert len(index) == len(rows.ids)
        after = index.search(rows.vectors[:3], 5, **self.exactly)
        assert [r.ids.tolist() for r in after] == [r.ids.tolist() for r in before]
        assert index.ids().tolist() == sorted(rows.ids)

    def test_nothing_to_write_is_no_write(self) -> None:
        """No rows: a receipt of zero and no call, also on an index that has none yet.

        If this fails, check nothing in the adapter: it is never called with no rows.
        """
        index, wrapper = self.recorded(metric=self.metric)
        receipt = index.add_to_index(np.empty((0, data.DIM), np.float32), [])
        assert (receipt.written, receipt.skipped, len(index)) == (0, 0, 0)
        assert nothing_happened(wrapper)

    def test_counts_follow_writes(self) -> None:
        """``len`` is right after each add, overwrite and removal.

        If this fails, check that count is exact and sees the last write (``visible`` may say "not yet").
        """
        index = self.create(metric=self.metric)
        rows = data.sample_rows()
        expected: set[str] = set()
        for start in range(0, 60, 20):
            part = rows.take(range(start, start + 30))
            index.add_to_index(**part.columns())
            expected |= set(part.ids)
            assert len(index) == index.count() == index.total_index_size == len(expected)
            index.remove_from_index(sample_ids=part.ids[:5])
            expected -= set(part.ids[:5])
            assert len(index) == len(expected)
        assert index.ids().tolist() == sorted(expected)

    def test_removing_by_id(self) -> None:
        """The rows named are gone, the others stay; missing ids are left alone or raise before anything is removed.

        If this fails, check that delete removes exactly these ids and says nothing of unknown ones.
        """
        index, rows = self.few()
        gone = [rows.ids[1], rows.ids[5]]
        assert index.remove_from_index(sample_ids=[*gone, "nobody", gone[0]]) == 2
        assert index.ids().tolist() == sorted(set(rows.ids) - set(gone))
        with pytest.raises(MissingIdsError) as caught:
            index.remove_from_index(sample_ids=[rows.ids[0], gone[0]], on_missing="raise")
        assert caught.value.ids == [gone[0]]
        assert rows.ids[0] in index.ids()
        assert index.remove_from_index(sample_ids=["nobody"]) == 0
        assert not set(gone) & set(index.search(rows.vectors[1], 10, **self.exactly)[0].ids)

    def test_removing_by_filter(self) -> None:
        """Exactly the rows for which the filter holds, however many.

        If this fails, check the filters of scan.
        """
        index = self.create(**data.sample_rows().columns(), metric=self.metric)
        assert index.remove_from_index(filter=(F("parity") == "odd") & (F("number") < 100)) == 50
        left = data.sample_rows().those(lambda row: row["parity"] == "even" or row["number"] >= 100)
        assert index.ids().tolist() == sorted(left)
        assert index.remove_from_index(filter=F("number") < 0) == 0

    def test_removing_needs_one_selector(self) -> None:
        """No selector is an error (not "all rows"), two are an error; nothing is removed.

        If this fails, check nothing in the adapter.
        """
        index, rows = self.few(4)
        cases: list[dict[str, Any]] = [{}, {"sample_ids": rows.ids[:1], "filter": F("number") == 0}]
        for arguments in cases:
            with pytest.raises(InvalidInputError, match=r"filter=" if not arguments else "filter"):
                index.remove_from_index(**arguments)
        assert index.remove_from_index(sample_ids=[]) == 0
        assert len(index) == 4

    def test_clearing(self) -> None:
        """All rows go, the index stays: empty, of the same width, and writable.

        If this fails, check that delete takes many ids and that an empty index still answers.
        """
        index, rows = self.few()
        assert index.clear() == len(rows.ids)
        assert (len(index), index.dim, index.ids().tolist()) == (0, data.DIM, [])
        assert len(index.search(rows.vectors[0], 3)[0]) == 0
        index.add_to_index(**rows.columns())
        assert len(index) == len(rows.ids)

    def test_batches_keep_to_the_rows(self) -> None:
        """No write, fetch or delete carries more rows than ``batch_rows``; every row arrives.

        If this fails, check nothing in the adapter: batches are cut before it.
        """
        rows = data.sample_rows().take(range(50))
        index, wrapper = self.recorded(**rows.columns(), metric=self.metric, batch_rows=7)
        index.get_embeddings(sample_ids=rows.ids)
        index.set_metadata([{"x": 1}] * 50, rows.ids)
        index.remove_from_index(sample_ids=rows.ids[:30])
        sizes = [len(call.arguments[0]) for call in wrapper.calls("upsert", "fetch", "delete")]
        assert all(1 <= size <= 7 for size in sizes)
        assert sum(len(call.arguments[0]) for call in wrapper.calls("upsert")) == 100
        assert index.ids().tolist() == sorted(rows.ids[30:])

    def test_batches_keep_to_the_bytes(self) -> None:
        """No write carries more bytes of vectors, fields and documents than ``batch_bytes``.

        If this fails, check nothing in the adapter: batches are cut before it.
        """
        wrapper = limited(self.backend_class, batch_bytes=8192)
        rows = data.sample_rows().take(range(40))
        documents = ["ü" * (50 * number) for number in range(40)]
        index = self.create(wrapper=wrapper, **{**rows.columns(), "documents": documents}, metric=self.metric)
        for call in wrapper.calls("upsert"):
            sent = call.arguments[0]
            size = sent.vectors.nbytes + sum(len((text or "").encode()) for text in sent.documents)
            size += sum(len(str(value)) for fields in sent.fields for value in fields.values())
            assert size <= 8192
        assert len(wrapper.calls("upsert")) > 1
        assert index.ids().tolist() == sorted(rows.ids)

    @pytest.mark.parametrize("workers", ["1", "4"])
    def test_a_failure_half_way_is_accounted_for(self, workers: str) -> None:
        """One error says what is in and what remains, in input rows; what remains can be written again.

        If this fails, check that a failed upsert raises, and that one that returned has written.
        """
        rows = data.sample_rows().take(range(40))
        remote = limited(self.backend_class, local=False)  # several workers, where threads are welcome
        wrapper = faulty(remote, _breaking("upsert", 2))
        index = self.create(wrapper=wrapper, metric=self.metric, dim=data.DIM, batch_rows=7, workers=int(workers))
        with pytest.raises(IngestError) as caught:
            index.add_to_index(**rows.columns())
        index.wait()  # a write that failed did not
        error = caught.value
        lost = [p for start, stop in error.remaining for p in range(start, 40 if stop is None else stop)]
        present = [p for p in range(40) if p not in lost]
        assert error.written == len(present) == len(index) > 0
        assert index.ids().tolist() == sorted(rows.ids[p] for p in present)
        failed = [p for start, stop in error.failed for p in range(start, stop)]
        assert len(failed) in (5, 7)
        assert set(failed) <= set(lost)
        assert str(len(present)) in str(error)
        index.add_to_index(**rows.take(lost).columns())
        assert index.ids().tolist() == sorted(rows.ids)

    def test_an_outage_is_waited_for(self) -> None:
        """A call that finds the engine away is made again, and the write is whole.

        If this fails, check that upsert may be repeated: the same rows twice are the same rows.
        """
        wrapper = faulty(
            self.backend_class, lambda name, n: OutageError("gone") if (name, n) == ("upsert", 1) else None
        )
        rows = data.sample_rows().take(range(20))
        index = self.create(wrapper=wrapper, **rows.columns(), metric=self.metric, batch_rows=7)
        assert index.ids().tolist() == sorted(rows.ids)

    def test_an_engine_that_stays_away_is_an_error_of_ours(self) -> None:
        """After the timeout: ``ConnectionFailedError``, with the backend and the operation; any other failure at once.

        If this fails, check nothing in the adapter: retries and errors are handled before it.
        """
        away = faulty(self.backend_class, lambda name, _: OutageError("gone") if name == "search" else None)
        index = self.create(wrapper=away, **data.sample_rows().columns(), metric=self.metric)
        hurry(index, 0.3)
        with pytest.raises(ConnectionFailedError, match="search") as caught:
            index.search(data.vectors(1)[0])
        assert (caught.value.backend, caught.value.operation) == (self.backend, "search")
        broken = faulty(self.backend_class, _breaking("count", 0))
        index = self.create(wrapper=broken, **data.sample_rows().columns(), metric=self.metric)
        with pytest.raises(BackendError) as other:
            index.count()
        assert isinstance(other.value.__cause__, BreakdownError)

    @pytest.mark.parametrize("source", ["tuples", "dicts", "array"])
    def test_ingest_takes_streams_and_arrays(self, source: str) -> None:
        """Every row of a stream of batches arrives, metadata and documents too.

        If this fails, check that upsert takes batches of different sizes.
        """
        rows = data.sample_rows().take(range(90))
        index = self.create(metric=self.metric)
        names: dict[str, Any] = {
            "embeddings": "vector",
            "sample_ids": "name",
            "metadata": ["number"],
            "documents": "text",
        }
        if source == "array":
            columns: dict[str, Any] = {"sample_ids": rows.ids, "documents": rows.documents}
            receipt = index.ingest(rows.vectors, metadata={"number": list(range(90))}, **columns)
        else:
            receipt = index.ingest(_batches(rows, as_dicts=source == "dicts"), **(names if source == "dicts" else {}))
        assert (receipt.written, len(index)) == (90, 90)
        self.assert_vectors(index.get_embeddings(sample_ids=rows.ids), rows.ids, rows.vectors)
        assert index.get_metadata(sample_ids=[rows.ids[77]]) == {rows.ids[77]: {"number": 77}}
        found = index.search(rows.vectors[0], 90, include=("documents",), allow_scan=True)[0]
        assert dict(zip(found.ids, found.documents, strict=True)) == dict(zip(rows.ids, rows.documents, strict=True))

    def test_a_stream_with_an_id_twice_is_refused_when_it_is_met(self) -> None:
        """The second batch that names a row again is an error, and the first stays written.

        If this fails, check nothing in the adapter.
        """
        index = self.create(metric=self.metric)
        one = (data.vectors(4), ["a", "b", "c", "d"])
        with pytest.raises((IngestError, InvalidInputError), match="more than once"):
            index.ingest(iter([one, (data.vectors(2, seed=1), ["e", "b"])]))
        assert set(index.ids()) <= {"a", "b", "c", "d"}

    def test_an_ingest_goes_on_after_a_failure(self, tmp_path: Path) -> None:
        """With a checkpoint the same call goes on where the last one ended, and the checkpoint is gone at the end.

        If this fails, check that rows whose upsert returned are there in the next call (``durable``, ``save``).
        """
        rows = data.sample_rows().take(range(60))
        plan: dict[str, int] = {"fails": 4}
        wrapper = faulty(
            self.backend_class,
            lambda name, n: BreakdownError("disk") if name == "upsert" and n == plan["fails"] else None,
        )
        with self.through(wrapper):
            index = self.create(key="resumed", metric=self.metric, dim=data.DIM, batch_rows=10, workers=1)
        path = tmp_path / "checkpoint.json"
        with pytest.raises(IngestError) as caught:
            index.ingest(rows.vectors, sample_ids=rows.ids, checkpoint=path)
        assert caught.value.checkpoint == path
        assert path.exists()
        index.wait()
        assert index.ids().tolist() == sorted(rows.ids[:40])
        written = recording(self.backend_class)
        index.save()
        index.close()
        self.forget(index)
        with self.through(written):
            index = self.opened(vecsearch.load_run("resumed"))
        receipt = index.ingest(rows.vectors, sample_ids=rows.ids, checkpoint=path)
        assert receipt.written == 20
        assert sum(len(call.arguments[0]) for call in written.calls("upsert")) == 20
        assert not path.exists()
        assert index.ids().tolist() == sorted(rows.ids)
        index.save()


def _breaking(primitive: str, number: int) -> Any:
    return lambda name, n: BreakdownError("it broke") if (name, n) == (primitive, number) else None


def _batches(rows: data.Data, *, as_dicts: bool) -> Iterator[Any]:
    for start in range(0, len(rows.ids), 40):
        part = rows.take(range(start, min(start + 40, len(rows.ids))))
        numbers = [row["number"] for row in part.metadata]
        if as_dicts:
            yield {"vector": part.vectors, "name": part.ids, "number": numbers, "text": part.documents}
        else:
            yield part.vectors, part.ids, None, {"number": numbers}, part.documents
