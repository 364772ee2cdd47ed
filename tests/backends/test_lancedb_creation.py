"""A table of LanceDB that is made together with its first rows."""

from engines import require

require("lancedb")

import threading
from dataclasses import replace

import lancedb
import numpy as np
import pytest

import vecsearch
from vecsearch import F, uploads
from vecsearch.backends.lancedb import LanceBackend, LanceConfig
from vecsearch.errors import IndexExistsError, InvalidInputError, StorageError, UnsupportedError

ROWS = np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32)
IDS = [f"r{number}" for number in range(500)]
FIELDS = [{"n": number, "mixed": "x" if number % 2 else 1.5} if number % 3 else {} for number in range(500)]
TEXTS = [f"text {number}" if number % 5 else None for number in range(500)]


def empty(path, **settings):
    return vecsearch.compute_similarity(
        embeddings=False, backend="lancedb", path=str(path), index_name="rows", metric="cosine", **settings
    )


def table(path):
    return lancedb.connect(path).open_table("rows")


@pytest.mark.parametrize("first", [1, 4000, 1 << 30])
def test_the_same_rows_as_one_by_one(tmp_path, monkeypatch, first):
    """However many of them go in with the table."""
    monkeypatch.setattr(uploads, "_FIRST_BYTES", first)
    index = empty(tmp_path)
    receipt = index.add_to_index(ROWS, IDS, metadata=FIELDS, documents=TEXTS)
    assert (receipt.written, receipt.skipped, len(index)) == (500, 0, 500)
    embeddings, ids, _ = index.get_embeddings(sample_ids=IDS)
    assert ids.tolist() == IDS
    assert np.array_equal(embeddings, ROWS)
    assert index.get_metadata(IDS) == dict(zip(IDS, FIELDS, strict=True))
    assert index.get_documents(IDS) == dict(zip(IDS, TEXTS, strict=True))
    assert index.count(F("mixed") == "x") == sum(row.get("mixed") == "x" for row in FIELDS)
    index.add_to_index(-ROWS[:50], IDS[:50])
    assert len(index) == table(tmp_path).count_rows() == 500
    assert np.array_equal(index.get_embeddings(sample_ids=IDS[:50]).embeddings, -ROWS[:50])
    assert not any(index.get_metadata(IDS[:50]).values())
    index.close()


def test_the_table_is_as_one_that_was_empty(tmp_path):
    for name, given in (("a", {"dim": 8}), ("b", {})):
        index = empty(tmp_path / name, **given)
        index.add_to_index(ROWS, IDS)
        index.close()
    one, other = table(tmp_path / "a"), table(tmp_path / "b")
    assert one.schema.equals(other.schema, check_metadata=True)
    assert other.version < one.version
    assert vecsearch.connect("rows", backend="lancedb", path=str(tmp_path / "b")).metric == "cosine"


def test_a_stream_of_several_chunks(tmp_path):
    batches = ((ROWS[start : start + 100], IDS[start : start + 100]) for start in range(0, 500, 100))
    index = empty(tmp_path)
    receipt = index.ingest(batches, checkpoint=tmp_path / "checkpoint")
    assert (receipt.written, len(index)) == (500, 500)
    assert not (tmp_path / "checkpoint").exists()
    index.close()


def test_of_two_who_make_it_one_is_told(tmp_path):
    """And that its rows are not in, so that none is there twice."""
    made = LanceBackend(LanceConfig(path=str(tmp_path), index_name="rows"))
    assert made.describe() is None
    index = empty(tmp_path)
    index.add_to_index(ROWS, IDS)
    with pytest.raises(ValueError, match="already exists") as caught:
        made.create_with(*_plain(ROWS[:10], IDS[:10]))
    assert made.fault(caught.value) == "exists"
    assert len(index) == 500
    index.close()


def test_many_who_make_it_at_once(tmp_path):
    """Each has its own connection, as if in a process of its own."""
    barrier, outcomes = threading.Barrier(4), []

    def write(number):
        index = empty(tmp_path)
        barrier.wait()
        try:
            index.add_to_index(ROWS + number, IDS)
            outcomes.append("written")
        except IndexExistsError:
            outcomes.append("refused")
        index.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4
    assert "written" in outcomes
    assert table(tmp_path).count_rows() == len(set(table(tmp_path).to_arrow()["id"].to_pylist())) == 500


def test_what_is_refused_makes_nothing(tmp_path, monkeypatch):
    index = empty(tmp_path, num_sub_vectors=3, index_type="IVF_PQ")
    with pytest.raises(InvalidInputError, match="num_sub_vectors"):
        index.add_to_index(ROWS, IDS)
    monkeypatch.setattr(LanceBackend, "capabilities", replace(LanceBackend.capabilities, batch_bytes=200))
    index = empty(tmp_path)
    with pytest.raises(UnsupportedError, match="'r3' has about"):
        index.add_to_index(ROWS, IDS, documents=[None, None, None, "x" * 200, *[None] * 496])
    assert not list(tmp_path.glob("*.lance"))


def test_a_failure_leaves_no_index(tmp_path, monkeypatch):
    index = empty(tmp_path)
    monkeypatch.setattr(type(index.client), "create_table", _full)
    with pytest.raises(StorageError, match="No space left"):
        index.add_to_index(ROWS, IDS)
    monkeypatch.undo()
    assert index.add_to_index(ROWS, IDS).written == len(index) == 500
    index.close()


def _full(*_, **__):
    raise OSError(28, "No space left on device")


def _plain(rows, ids):
    from vecsearch.backends.base import Rows, Spec

    return Spec(rows.shape[1], "cosine"), Rows(ids, rows, [{} for _ in ids], [None] * len(ids))
