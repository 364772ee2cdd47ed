"""The folder of the embedded backend: whatever happens while it is written, it holds the old state or the new."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from embedded import ALL, DIM, files, filled, opened, parts, state, write

from vecsearch.backends import _storage
from vecsearch.backends._columns import FIELDS as FORM
from vecsearch.backends.base import Rows, Spec, Where
from vecsearch.errors import CorruptDataError, InvalidInputError, StorageError
from vecsearch.filters import F

FIELDS = {
    "s": 'ä\n"\0\U0001f600', "i": 2**70, "f": 0.1 + 0.2, "b": False, "l": ["x", ""], "$date": "text", "whole": 1.0,
    "d": datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "table"


def test_what_was_saved_comes_back_equal(folder):
    made = opened(folder)
    made.create(Spec(DIM, "cosine", patches=True))
    vectors = np.random.default_rng(0).standard_normal((4, DIM)).astype(np.float32)
    rows = Rows(["a", "é\n", "c", "\U0001f600"], vectors, [FIELDS, {}, {"x": 1}, {}], [None, "", "text\n", "\0"])
    made.upsert(rows)
    assert made.unsaved
    made.save()
    assert not made.unsaved

    again = opened(folder)
    assert again.describe() == Spec(DIM, "cosine", patches=True)
    read = again.fetch(["a"], ALL).fields[0]
    assert read == FIELDS
    assert {name: type(value) for name, value in read.items()} == {name: type(v) for name, v in FIELDS.items()}
    assert read["d"].utcoffset() == FIELDS["d"].utcoffset()
    (batch,) = again.scan(10, ALL)
    assert (batch.ids, batch.fields, batch.documents) == (rows.ids, rows.fields, rows.documents)
    assert batch.vectors.tobytes() == vectors.tobytes()
    assert not again.unsaved


def test_an_empty_table_is_saved_too(folder):
    made = opened(folder)
    made.create(Spec(DIM, "dotproduct"))
    assert made.unsaved
    assert opened(folder).describe() is None
    made.save()
    again = opened(folder)
    assert again.describe() == Spec(DIM, "dotproduct")
    assert again.count() == 0
    write(again, 1)
    again.save()
    assert state(folder) == 1


def test_opening_reads_no_row_and_a_search_few(folder, monkeypatch):
    filled(folder, 1, 1000).save()
    decoded = []

    def decode(pieces):
        decoded.extend(pieces)
        return FORM.decode(pieces)

    monkeypatch.setattr(_storage, "FIELDS", replace(FORM, decode=decode))
    made = opened(folder)
    made.describe()
    hits = made.search(
        np.ones((1, DIM), dtype=np.float32), 5, None, include=frozenset({"fields"}), exact=True, params={}
    )
    assert len(hits.rows[0].fields) == 5
    assert len(decoded) == 5
    assert made._table.snapshot.lookup._newest is None
    assert not made.client.flags.owndata


def test_a_mapped_table_is_written_deleted_from_and_filtered(folder):
    made = filled(folder, 1, 100)
    made.save()
    again = opened(folder)
    again.delete(["r3"])
    again.upsert(Rows(["new", "r5"], np.full((2, DIM), 2, dtype=np.float32), [{"v": 2}] * 2))
    assert again.count() == 100
    assert again.count(Where(None, F("v") == 1)) == 98
    assert again.fetch(["r3", "r5", "new", "r6"], ALL).fields == [{"v": 1}, {"v": 2}, {"v": 2}]
    again.save()
    third = opened(folder)
    ids, vectors = third.matrix()
    assert len(ids) == 100
    assert "r3" not in ids
    assert vectors[list(ids).index("r5")].tolist() == [2] * DIM
    assert third.fetch(["r5"], ALL).documents == [None]
    assert third.fetch(["r6"], ALL).documents == ["1"]


def test_saving_again_without_a_change_writes_nothing(folder):
    made = filled(folder, 1)
    made.save()
    before = {name: (folder / name).stat().st_mtime_ns for name in files(folder)}
    made.save()
    opened(folder).save()
    assert {name: (folder / name).stat().st_mtime_ns for name in files(folder)} == before


def test_only_the_newest_generation_is_kept_and_no_pickle(folder):
    made = filled(folder, 1)
    made.save()
    first = files(folder)
    write(made, 2)
    made.save()
    assert len(files(folder)) == len(first)
    assert not set(files(folder)) & set(first) - {"manifest.json", ".lock"}
    assert (folder / "vectors-00000002.f32").read_bytes() == np.full((3, DIM), 2, dtype="<f4").tobytes()
    assert (folder / "ids-00000002.txt").read_text() == "r0\nr1\nr2\n"
    assert [json.loads(line) for line in (folder / "fields-00000002.jsonl").read_text().splitlines()] == [{"v": 2}] * 3


def test_a_reader_keeps_what_it_opened(folder):
    made = filled(folder, 1)
    made.save()
    reader = opened(folder)
    assert reader.count() == 3
    write(made, 2)
    made.save()
    assert reader.fetch(["r0"], ALL).documents == ["1"]
    reader.reload()
    assert reader.fetch(["r0"], ALL).documents == ["2"]


# ---- two processes


def test_a_save_over_another_save_is_refused(folder):
    filled(folder, 1).save()
    one, two = opened(folder), opened(folder)
    write(one, 2)
    write(two, 3)
    one.save()
    with pytest.raises(StorageError, match=r"saved by another process .* reload\(\)"):
        two.save()
    assert state(folder) == 2
    with pytest.raises(InvalidInputError, match="unsaved"):
        two.reload()


def test_two_that_were_created_at_once(folder):
    one, two = filled(folder, 1), filled(folder, 2)
    one.save()
    with pytest.raises(StorageError, match="another process"):
        two.save()
    with pytest.raises(FileExistsError):
        opened(folder).create(Spec(DIM, "cosine"))
    assert state(folder) == 1


def test_a_save_after_somebody_dropped_it_is_refused(folder):
    filled(folder, 1).save()
    one = opened(folder)
    write(one, 2)
    opened(folder).drop()
    with pytest.raises(StorageError, match="deleted by another process"):
        one.save()
    assert state(folder) is None
    filled(folder, 3).save()  # the same generation number again, but not the same table
    with pytest.raises(StorageError, match="saved by another process"):
        one.save()
    assert state(folder) == 3


def test_opening_while_another_process_saves(folder):
    """The files of the manifest just read may be gone a moment later: then there is a newer manifest."""
    made = filled(folder, 1, 50)
    made.save()
    stop, failures, seen = threading.Event(), [], set()

    def read():
        try:
            while not stop.is_set():
                seen.add(state(folder))
        except Exception as error:  # noqa: BLE001  handed to the test's own thread
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(2, 25):
        write(made, value, 50)
        made.save()
    stop.set()
    reader.join()
    assert failures == []
    assert len(seen) > 1


def test_a_save_waits_for_the_lock_only_so_long(folder, monkeypatch):
    made = filled(folder, 1)
    made.save()
    write(made, 2)
    real = _storage.locked
    monkeypatch.setattr(_storage, "locked", lambda path: real(path, timeout=0.05))
    with real(folder / ".lock"), pytest.raises(StorageError, match="lock"):
        made.save()
    assert made.unsaved
    made.save()
    assert state(folder) == 2


# ---- dropping


def test_drop_deletes_what_is_ours_and_nothing_else(folder):
    made = filled(folder, 1)
    made.save()
    (folder / "notes.txt").write_text("mine")
    (folder / "vectors-00000009.f32").write_bytes(b"left behind")
    made.drop()
    assert files(folder) == ["notes.txt"]
    assert made.describe() is None
    (folder / "notes.txt").unlink()
    filled(folder, 2).save()
    opened(folder).drop()
    assert not folder.exists()
    opened(folder).drop()


# ---- damage


def test_every_missing_or_short_file_is_named(folder):
    filled(folder, 1).save()
    for name in parts(folder):
        path = folder / name
        content = path.read_bytes()
        for damaged, message in ((None, "missing"), (content[:-1], "bytes instead of"), (content + b"x", "bytes inst")):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            with pytest.raises(CorruptDataError, match=message) as caught:
                opened(folder).describe()
            assert caught.value.path == path
            assert str(path) in str(caught.value)
            path.write_bytes(content)
    assert state(folder) == 1


def test_every_flipped_byte_is_found(folder):
    filled(folder, 1).save()
    for name in parts(folder):
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        made = opened(folder)
        if name.startswith("vectors"):
            assert made.describe() is not None  # a million rows are not read to be opened
        with pytest.raises(CorruptDataError, match="checksum") as caught:
            made.verify()
        assert caught.value.path == path
        if name.startswith("vectors"):
            path.write_bytes(content)
            continue
        with pytest.raises(CorruptDataError, match="checksum") as caught:
            made.describe()
        assert caught.value.path == path
        path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda _: b"",
        lambda _: b"\xff\xfe",
        lambda _: b"[]",
        lambda text: text.replace(b'"rows": 3', b'"rows": 2'),
        lambda text: text.replace(b'"vecsearch-table"', b'"another-table"'),
        lambda text: text.replace(b'"dim": 4', b'"dim": 2'),
    ],
)
def test_a_damaged_manifest_is_named_and_can_be_dropped(folder, damage):
    filled(folder, 1).save()
    path = folder / "manifest.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptDataError) as caught:
        opened(folder).describe()
    assert caught.value.path == path
    made = opened(folder)
    made.drop()
    assert not folder.exists()


def test_a_newer_format_says_so(folder):
    filled(folder, 1).save()
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(StorageError, match="newer vecsearch") as caught:
        opened(folder).describe()
    assert not isinstance(caught.value, CorruptDataError)


def test_a_row_that_is_no_json_is_named(folder, monkeypatch):
    monkeypatch.setattr(_storage, "_CHECK_AT_OPEN", 0)
    filled(folder, 1).save()
    path = folder / "fields-00000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"{", b"["))
    with pytest.raises(CorruptDataError) as caught:
        opened(folder).fetch(["r0"], ALL)
    assert caught.value.path == path
