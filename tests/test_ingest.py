"""Streams of every kind, in bounded memory, with checkpoints that survive a failure and a kill."""

import json
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from vecsearch_sqlite import SQLiteBackend

import vecsearch
from vecsearch import ExistingIdsError, IngestError, InvalidInputError, MissingDependencyError, registry, tables

DIM = 6


def vectors(rows, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)


def named(rows, start=0):
    return [f"r{number}" for number in range(start, start + rows)]


@pytest.fixture
def index():
    return vecsearch.compute_similarity(embeddings=False, dim=DIM, key="lake")


@pytest.fixture
def slow_engine():
    """An engine with batches of 200 rows whose upserts can be made to fail."""

    class Failing(SQLiteBackend):
        fails_at = None
        calls = 0

        def upsert(self, rows):
            type(self).calls += 1
            if self.calls == self.fails_at:
                raise RuntimeError("the engine said no")
            super().upsert(rows)

    with registry.registered("failing", Failing):
        yield Failing


def same_rows(index, expected, ids):
    found, found_ids, _ = index.get_embeddings(sample_ids=ids)
    np.testing.assert_array_equal(found, expected)
    assert list(found_ids) == ids
    assert len(index) == len(ids)


def arrow_table(rows, start=0, seed=0):
    pa = pytest.importorskip("pyarrow", reason="extra arrow")
    data = vectors(rows, seed)
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(data.ravel()), DIM)
    return data, pa.table(
        {"sample_id": named(rows, start), "embedding": embedding, "text": ["t"] * rows, "n": range(rows)}
    )


def test_a_memory_map(index, tmp_path):
    data = vectors(1000)
    np.save(tmp_path / "x.npy", data)
    receipt = index.ingest(np.load(tmp_path / "x.npy", mmap_mode="r"), sample_ids=named(1000))
    assert (receipt.written, receipt.skipped) == (1000, 0)
    same_rows(index, data, named(1000))


def test_a_npy_file_by_its_path(index, tmp_path):
    np.save(tmp_path / "x.npy", vectors(10))
    index.ingest(tmp_path / "x.npy", sample_ids=named(10), metadata={"n": list(range(10))})
    assert index.get_metadata(["r7"]) == {"r7": {"n": 7}}


@pytest.mark.parametrize("list_type", ["fixed", "list", "large_list"])
def test_parquet_by_glob(index, tmp_path, list_type):
    pa = pytest.importorskip("pyarrow", reason="extra arrow")
    pq = pytest.importorskip("pyarrow.parquet", reason="extra arrow")
    parts = []
    for part in range(3):
        data, table = arrow_table(400, part * 400, part)
        parts.append(data)
        if list_type != "fixed":
            kind = pa.list_(pa.float64()) if list_type == "list" else pa.large_list(pa.float32())
            table = table.set_column(1, "embedding", pa.array(data.tolist(), kind))
        pq.write_table(table, tmp_path / f"{part}.parquet", row_group_size=150)
    receipt = index.ingest(str(tmp_path / "*.parquet"), metadata=["n"], documents="text")
    assert receipt.written == 1200
    same_rows(index, np.concatenate(parts), named(1200))
    assert index.search(ids=["r5"], k=1)[0].documents == ["t"]


@pytest.mark.parametrize("library", ["pyarrow", "pandas", "polars", "reader"])
def test_tables_of_every_library(index, library):
    data, table = arrow_table(50)
    if library == "pandas":
        pytest.importorskip("pandas", reason="extra pandas")
        table = table.to_pandas()
    elif library == "polars":
        table = pytest.importorskip("polars", reason="extra polars").from_arrow(table)
    elif library == "reader":
        table = table.to_reader(max_chunksize=7)
    index.ingest(table, metadata=("n",))
    same_rows(index, data, named(50))


def test_an_iterator_of_tuples_and_of_dicts(index):
    data = vectors(30)
    index.ingest((data[start : start + 10], named(10, start)) for start in (0, 10))
    index.ingest([{"embedding": data[20:], "sample_id": named(10, 20)}])
    same_rows(index, data, named(30))


def test_memory_does_not_grow_with_the_stream():
    with registry.registered("sqlite", SQLiteBackend):
        index = vecsearch.compute_similarity(embeddings=False, dim=DIM, key="big", backend="sqlite")

        def stream(batches):
            for number in range(batches):
                yield vectors(500, number), named(500, number * 500)

        index.ingest(stream(2))
        peaks = []
        for batches in (4, 24):
            index.clear()
            tracemalloc.start()
            index.ingest(stream(batches))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        # Beside the batch: eight bytes a row to notice repeats, thrice while they are merged.
        assert peaks[1] < peaks[0] * 1.5 + 3 * 8 * 24 * 500


def test_skip_and_raise(index):
    data = vectors(40)
    index.ingest(data[:20], sample_ids=named(20))
    with pytest.raises(ExistingIdsError) as caught:
        index.ingest(data, sample_ids=named(40), on_existing="raise")
    assert caught.value.ids == named(20)
    assert len(index) == 20
    receipt = index.ingest(data, sample_ids=named(40), on_existing="skip")
    assert (receipt.written, receipt.skipped) == (20, 20)
    with pytest.raises(InvalidInputError, match='an iterator can be read once; use "skip"'):
        index.ingest(iter([(data, named(40))]), on_existing="raise")


def test_an_id_that_comes_again_in_the_stream_is_refused(index):
    def stream():
        yield vectors(3), ["a", "b", "c"]
        yield vectors(3), ["d", "b", "e"]

    with pytest.raises(IngestError, match=r"more than once in one stream: \['b'\]") as caught:
        index.ingest(stream())
    assert caught.value.written == 3
    assert caught.value.remaining == [(3, None)]


def test_a_bad_row_far_into_the_stream_is_named_by_its_place(index):
    bad = vectors(10)
    bad[4, 0] = np.nan
    with pytest.raises(IngestError, match=r"in the rows from 10 on: embeddings hold NaN.* in row 4") as caught:
        index.ingest(iter([(vectors(10), named(10)), (bad, named(10, 10))]))
    assert caught.value.written == 10


def test_a_failing_engine_says_what_is_in_and_what_remains(slow_engine):
    data = vectors(1000)
    index = vecsearch.compute_similarity(embeddings=False, dim=DIM, key="f", backend="failing")
    slow_engine.calls, slow_engine.fails_at = 0, 3
    with pytest.raises(IngestError, match="400 rows are written, input rows 400 to 999 are not") as caught:
        index.add_to_index(data, named(1000))
    error = caught.value
    assert (error.written, error.failed, error.remaining) == (400, [(400, 600)], [(400, 1000)])
    slow_engine.fails_at = None
    for start, stop in error.remaining:
        index.add_to_index(data[start:stop], named(1000)[start:stop])
    same_rows(index, data, named(1000))


def test_a_failure_at_once_is_the_engines_own_error(slow_engine):
    index = vecsearch.compute_similarity(embeddings=False, dim=DIM, key="f", backend="failing")
    slow_engine.calls, slow_engine.fails_at = 0, 1
    with pytest.raises(vecsearch.BackendError, match="the engine said no") as caught:
        index.add_to_index(vectors(300), named(300))
    assert not isinstance(caught.value, IngestError)
    assert len(index) == 0


def test_skipped_rows_count_as_done_when_a_write_fails(slow_engine):
    index = vecsearch.compute_similarity(embeddings=False, dim=DIM, key="f", backend="failing")
    index.add_to_index(vectors(100), named(100, 50))
    slow_engine.calls, slow_engine.fails_at = 0, 2
    with pytest.raises(IngestError) as caught:
        index.add_to_index(vectors(500), named(500), on_existing="skip")
    assert caught.value.written == 200
    (start, stop) = caught.value.remaining[0]
    assert (start, stop) == (300, 500)


def test_a_checkpoint_goes_on_where_a_failure_stopped(slow_engine, tmp_path):
    data = vectors(1000)
    checkpoint = tmp_path / "c.json"
    index = vecsearch.compute_similarity(embeddings=False, dim=DIM, key="f", backend="failing")
    slow_engine.calls, slow_engine.fails_at = 0, 4
    with pytest.raises(IngestError, match="resume with checkpoint=") as caught:
        index.ingest(data, sample_ids=named(1000), checkpoint=checkpoint)
    assert caught.value.checkpoint == checkpoint
    assert json.loads(checkpoint.read_text())["rows"] == 600
    slow_engine.calls, slow_engine.fails_at = 0, None
    receipt = index.ingest(data, sample_ids=named(1000), checkpoint=checkpoint)
    assert receipt.written == 400
    assert slow_engine.calls == 2
    assert not checkpoint.exists()
    same_rows(index, data, named(1000))


def test_a_checkpoint_of_another_source_is_refused(index, tmp_path):
    checkpoint = tmp_path / "c.json"
    checkpoint.write_text(json.dumps({"version": 1, "identity": {"source": "other"}, "rows": 5}))
    with pytest.raises(InvalidInputError, match="belongs to another source or index"):
        index.ingest(vectors(10), sample_ids=named(10), checkpoint=checkpoint)
    checkpoint.write_text("{")
    with pytest.raises(InvalidInputError, match="is no checkpoint"):
        index.ingest(vectors(10), sample_ids=named(10), checkpoint=checkpoint)


def test_a_checkpoint_needs_a_place_to_save_to(tmp_path):
    index = vecsearch.compute_similarity(embeddings=False, dim=DIM)
    with pytest.raises(vecsearch.VecsearchError, match="key"):
        index.ingest(vectors(10), sample_ids=named(10), checkpoint=tmp_path / "c")


KILLED = """
import os, signal, sys
import numpy as np, vecsearch, vecsearch.uploads
vecsearch.uploads._SAVE_SECONDS = 0.0
index = vecsearch.load_run("lake")
data = np.load(sys.argv[1])
def stream():
    for start in range(0, len(data), 50):
        if start == 400:
            os.kill(os.getpid(), signal.SIGKILL)
        yield data[start : start + 50], [f"r{n}" for n in range(start, start + 50)]
index.ingest(stream(), checkpoint=sys.argv[2])
"""


def test_a_kill_loses_no_row_that_the_checkpoint_counts(index, tmp_path):
    data = vectors(1000)
    np.save(tmp_path / "x.npy", data)
    index.close()
    checkpoint = tmp_path / "c.json"
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "x.npy", checkpoint], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    done = json.loads(checkpoint.read_text())["rows"]
    again = vecsearch.load_run("lake")
    assert 0 < done <= len(again) <= 400
    batches = ((data[start : start + 50], named(50, start)) for start in range(0, 1000, 50))
    receipt = again.ingest(batches, checkpoint=checkpoint)
    assert receipt.written == 1000 - done
    again.close()
    same_rows(vecsearch.load_run("lake"), data, named(1000))


def test_batches_respect_the_engines_bytes(slow_engine):
    sizes = []
    original = slow_engine.upsert

    def watched(self, rows):
        sizes.append(sum(len(document or "") for document in rows.documents))
        original(self, rows)

    slow_engine.upsert = watched
    index = vecsearch.compute_similarity(embeddings=False, dim=DIM, key="f", backend="failing")
    index.add_to_index(vectors(40), named(40), documents=["x" * 100_000] * 40)
    assert max(sizes) <= 1 << 20
    assert sum(sizes) == 4_000_000
    with pytest.raises(vecsearch.UnsupportedError, match="'big' has about"):
        index.add_to_index(vectors(1), ["big"], documents=["x" * (1 << 20)])


@pytest.mark.parametrize(
    ("source", "columns", "message"),
    [
        ("nowhere/*.parquet", {}, "no file matches"),
        (np.zeros((2, 2, 2)), {"sample_ids": ["a"]}, "must have shape"),
        (np.ones((2, DIM)), {}, "give sample_ids= as a list"),
        (np.ones((2, DIM)), {"sample_ids": ["a"]}, "1 sample_ids for 2 embeddings"),
        (5, {}, "cannot ingest int"),
        (
            {"emb": np.ones((1, DIM)), "sample_id": ["a"]},
            {"embeddings": "embs"},
            "no column 'embs'; did you mean 'emb'",
        ),
    ],
)
def test_sources_that_are_none(index, source, columns, message):
    with pytest.raises(InvalidInputError, match=message):
        index.ingest(source, **columns)
    assert len(index) == 0


def test_a_file_that_is_no_parquet_is_named(index, tmp_path):
    pytest.importorskip("pyarrow", reason="extra arrow")
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(InvalidInputError, match=r"x\.parquet is no readable Parquet file"):
        index.ingest(tmp_path / "x.parquet")


def test_ragged_and_missing_arrow_rows_are_refused(index):
    pa = pytest.importorskip("pyarrow", reason="extra arrow")
    for rows, message in (([[1.0] * DIM, [1.0]], "different lengths"), ([[1.0] * DIM, None], "1 rows are null")):
        with pytest.raises(InvalidInputError, match=message):
            index.ingest(pa.table({"embedding": pa.array(rows), "sample_id": ["a", "b"]}))


def test_without_pyarrow_the_pip_line_is_said(index, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(MissingDependencyError, match=r"pip install 'vecsearch\[arrow\]'"):
        index.ingest(tmp_path / "x.parquet")


def test_progress_is_told_to_a_callable(index):
    seen = []
    index.ingest(vectors(100), sample_ids=named(100), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (100, 100)


def test_chunks_of_a_pandas_series_are_sliced_by_position():
    pd = pytest.importorskip("pandas", reason="extra pandas")
    series = pd.Series(named(5), index=[9, 7, 5, 3, 1])
    source = tables.source(vectors(5), tables.Columns(sample_ids=series), batch_rows=2)
    assert [list(chunk.sample_ids) for chunk in source.read()] == [["r0", "r1"], ["r2", "r3"], ["r4"]]
