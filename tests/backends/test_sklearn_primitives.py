"""The embedded backend by itself: its primitives and its snapshots."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from embedded import ALL, DIM, EASTERN, backend, created, distances, everything, rows, search, where

from vecsearch.backends.base import Rows, Spec
from vecsearch.errors import ClosedError, InvalidInputError
from vecsearch.filters import F, predicate


def test_there_is_nothing_before_it_is_created():
    made = backend()
    assert made.describe() is None
    assert made.client is None
    with pytest.raises(FileNotFoundError):
        made.count()
    assert made.errors[FileNotFoundError] == "not_found"


def test_created_once():
    made = created()
    assert made.describe() == Spec(DIM, "euclidean")
    with pytest.raises(FileExistsError):
        made.create(Spec(DIM, "cosine"))
    assert made.errors[FileExistsError] == "exists"


def test_an_empty_index_answers():
    made = created()
    hits = search(made, np.ones((2, DIM), dtype=np.float32), 3, include=ALL)
    assert [len(row) for row in hits.rows] == [0, 0]
    assert [len(scores) for scores in hits.scores] == [0, 0]
    assert hits.rows[0].vectors.shape == (0, DIM)
    assert made.count() == 0
    assert list(made.scan(10, ALL)) == []
    assert made.fetch(["a"], ALL).ids == []
    made.delete(["a"])


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
@pytest.mark.parametrize("dead", [0, 1, 30])
def test_search_is_a_brute_force(metric, dead):
    names = [f"r{number:03}" for number in range(200)]
    made = created(names, metric=metric)
    queries = rows(["q"] * 3, seed=1).vectors
    made.delete(names[:dead])
    kept = rows(names).vectors[dead:]
    hits = search(made, queries, 7)
    for query, scores, found in zip(queries, hits.scores, hits.rows, strict=True):
        expected = distances(query, kept, metric)
        order = np.argsort(expected)[:7]
        assert found.ids == [names[dead + place] for place in order]
        np.testing.assert_allclose(scores, expected[order], rtol=1e-5, atol=1e-6)


def test_dead_rows_in_front_of_a_query_do_not_shorten_its_answer():
    # 100 rows at the query itself are dead: more than the few that a search asks for in reserve.
    made = created()
    near = Rows([f"n{i}" for i in range(100)], np.ones((100, DIM), dtype=np.float32))
    made.upsert(near)
    made.upsert(rows([f"f{i}" for i in range(500)]))
    made.delete(near.ids)
    assert made._table.snapshot.alive is not None
    hits = search(made, np.ones((1, DIM), dtype=np.float32), 5)
    expected = np.sort(distances(np.ones(DIM), rows(range(500)).vectors, "euclidean"))[:5]
    np.testing.assert_allclose(hits.scores[0], expected, rtol=1e-5)


@pytest.mark.parametrize("dead", [0, 40])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("order", ["nearest first", "farthest first", "anyhow"])
def test_a_filter_finds_the_nearest_that_pass(order, rate, dead):
    # More than half of the rows, and few: two ways to leave the others out; at the query pass all of them, or none.
    names = [f"r{number:03}" for number in range(400)]
    given, query = rows(names), rows(["q"], seed=1).vectors
    near = distances(query[0], given.vectors, "euclidean").argsort().argsort()
    rank = {"nearest first": near, "farthest first": 399 - near, "anyhow": np.random.default_rng(2).permutation(400)}
    made = created(names, fields=[{"rank": int(one)} for one in rank[order]])
    made.delete(names[:dead])
    passing = np.flatnonzero((rank[order] < rate * 400) & (np.arange(400) >= dead))
    expected = passing[near[passing].argsort()][:15]
    hits = search(made, query, 15, where(filter_=F("rank") < int(rate * 400)))
    assert hits.rows[0].ids == [names[place] for place in expected]


def test_k_beyond_the_rows_is_all_rows():
    made = created(["a", "b", "c"])
    made.delete(["b"])
    hits = search(made, np.ones(DIM, dtype=np.float32), 10)
    assert sorted(hits.rows[0].ids) == ["a", "c"]


def test_only_what_was_asked_for_is_included():
    made = created(["a"], fields=[{"x": 1}], documents=["text"])
    query = np.ones(DIM, dtype=np.float32)
    nothing = search(made, query, 1).rows[0]
    assert (nothing.vectors, nothing.fields, nothing.documents) == (None, None, None)
    everything_ = search(made, query, 1, include=ALL).rows[0]
    assert everything_.fields == [{"x": 1}]
    assert everything_.documents == ["text"]
    assert everything_.vectors.tobytes() == rows(["a"]).vectors.tobytes()


def test_a_write_replaces_the_whole_row():
    made = created(["a"], fields=[{"x": 1, "y": 2}], documents=["text"])
    made.upsert(rows(["a"], seed=1))
    assert everything(made) == {"a": (rows(["a"], seed=1).vectors[0].tobytes(), {}, None)}
    assert made.count() == 1


def test_the_user_and_the_table_share_nothing():
    given = rows(["a"], fields=[{"tags": ["x"], "n": 1}])
    made = created()
    made.upsert(given)
    given.fields[0]["tags"].append("changed")
    given.fields[0]["n"] = 2
    given.vectors[:] = 0
    for _ in range(2):
        read = made.fetch(["a"], ALL)
        assert read.fields == [{"tags": ["x"], "n": 1}]
        assert np.all(read.vectors != 0)
        read.fields[0]["tags"].append("changed")
        read.vectors[:] = 0
    scanned = next(made.scan(5, ALL))
    scanned.vectors[:] = 0
    assert np.all(made.client != 0)


def test_every_type_comes_back_equal_and_of_its_type():
    fields = {
        "s": "ä\n\0\U0001f600", "empty": "", "i": 2**62 + 1, "big": -(2**200), "f": 0.1, "whole": 1.0, "b": True,
        "d": datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=EASTERN), "l": ["x", "", "ä"], "none": [],
        "$date": "no date",
    }  # fmt: skip
    made = created(["a"], fields=[fields])
    read = made.fetch(["a"], ALL).fields[0]
    assert read == fields
    assert {name: type(value) for name, value in read.items()} == {name: type(v) for name, v in fields.items()}
    assert read["d"].utcoffset() == timedelta(hours=-5)


def test_a_time_zone_becomes_its_offset_at_that_instant():
    # In the hour that a clock repeats, two zones are never equal in Python; a fixed offset has no such hour.
    moment = datetime(2024, 11, 3, 1, 30, fold=1, tzinfo=ZoneInfo("America/New_York"))
    read = created(["a"], fields=[{"d": moment}]).fetch(["a"], ALL).fields[0]["d"]
    assert read == moment.astimezone(UTC)
    assert read.utcoffset() == timedelta(hours=-5)


def test_where_by_ids_by_filter_and_by_both():
    names = [f"r{number}" for number in range(50)]
    made = created(names, fields=[{"n": number, "even": number % 2 == 0} for number in range(50)])
    made.delete(["r4"])
    ids = (*names[:10], "unknown", "r3")
    assert made.count(where(ids)) == 9
    assert made.count(where(None, F("n") < 20)) == 19
    assert made.count(where(ids, F("even") == True)) == 4  # noqa: E712  a filter
    assert made.count(where(names, (F("n") >= 5) & (F("even") == True))) == 22  # noqa: E712
    assert set(everything(made, where=where(ids, F("n") > 6))) == {"r7", "r8", "r9"}
    hits = search(made, np.ones(DIM, dtype=np.float32), 20, where(ids))
    assert sorted(hits.rows[0].ids) == sorted({*names[:10]} - {"r4"})
    assert len(search(made, np.ones(DIM, dtype=np.float32), 3, where(None, F("n") > 1000)).rows[0]) == 0
    assert made.count(where([])) == 0


def test_a_remembered_filter_sees_later_writes():
    made = created(["a", "b"], fields=[{"n": 1}, {"n": 2}])
    asked = where(None, F("n") == 1)
    assert set(everything(made, where=asked)) == {"a"}
    made.upsert(rows(["c", "b"], fields=[{"n": 1}, {"n": 1}]))
    assert set(everything(made, where=asked)) == {"a", "b", "c"}
    made.upsert(rows(["a"], fields=[{"n": 3}]))
    made.delete(["c"])
    assert set(everything(made, where=asked)) == {"b"}


def test_a_remembered_filter_tells_types_apart():
    made = created(["int", "float", "bool"], fields=[{"x": 1}, {"x": 1.0}, {"x": True}])
    for _ in range(2):
        assert set(everything(made, where=where(None, F("x") == 1))) == {"int", "float"}
        assert set(everything(made, where=where(None, F("x") == True))) == {"bool"}  # noqa: E712


def test_every_filter_agrees_with_the_evaluator():
    values = [None, 1, 2, 1.0, 2.5, True, False, "a", "b", ["a"], ["b", "c"], [], datetime(2020, 1, 1, tzinfo=UTC),
              datetime(2021, 1, 1, 5, tzinfo=EASTERN)]  # fmt: skip
    fields = [{} if value is None else {"x": value, "y": number} for number, value in enumerate(values)]
    names = [str(number) for number in range(len(values))]
    made = created(names, fields=fields)
    x = F("x")
    trees = [
        x == 1, x != 1, x >= 1.5, x < "b", x.is_in([1, "a", True]), x.not_in(["a"]), x.contains("a"), x.exists(),
        ~x.exists(), ~(x == 1), (x > 1) | (F("y") < 3), (x != "a") & ~x.contains("b"),
        x > datetime(2020, 6, 1, tzinfo=UTC), x.is_in([]), x.not_in([]),
    ]  # fmt: skip
    for tree in trees:
        expected = {name for name, row in zip(names, fields, strict=True) if predicate(tree)(row)}
        assert set(everything(made, where=where(None, tree))) == expected, tree
        assert set(everything(made, where=where(names, tree))) == expected, tree
        assert set(everything(made, where=where(names[:2], tree))) == expected & set(names[:2]), tree


def test_a_scan_is_of_the_moment_of_its_call():
    names = [f"r{number}" for number in range(20)]
    made = created(names, fields=[{"v": 1}] * 20)
    scan = made.scan(3, ALL)
    made.upsert(rows(names[:15], seed=1, fields=[{"v": 2}] * 15))
    made.delete(names[10:])
    made.upsert(rows([f"new{number}" for number in range(500)]))
    found = [row for batch in scan for row in zip(batch.ids, batch.fields, strict=True)]
    assert found == [(name, {"v": 1}) for name in names]


def test_a_reader_of_an_old_snapshot_finds_the_rows_of_then():
    made = created(["a", "b", "c"], fields=[{"v": 1}] * 3)
    old = made._table.snapshot
    for version in range(2, 5):
        made.upsert(rows(["a", "new"], seed=version, fields=[{"v": version}] * 2))
    made.delete(["b"])
    made.upsert(rows(["b"], seed=9, fields=[{"v": 9}]))
    made.delete(["c"])
    found = old.take(old.find(["a", "b", "c", "new"]), ALL)
    assert found.ids == ["a", "b", "c"]
    assert found.fields == [{"v": 1}] * 3
    now = made.fetch(["a", "b", "c", "new"], ALL)
    assert dict(zip(now.ids, now.fields, strict=True)) == {"a": {"v": 4}, "new": {"v": 4}, "b": {"v": 9}}


def test_dead_rows_are_cleared_away():
    names = [f"r{number}" for number in range(100)]
    made = created()
    for seed in range(20):
        made.upsert(rows(names, seed=seed))
    assert len(made._table.snapshot) < 200
    assert made.count() == 100
    assert everything(made)["r7"][0] == rows(names, seed=19).vectors[7].tobytes()


@pytest.mark.parametrize("fails_in", ["norms", "fields", "lookup"])
def test_a_write_that_fails_half_way_leaves_the_rows_before_it(fails_in, monkeypatch):
    made = created(["a", "b"], fields=[{"v": 1}] * 2)
    before = everything(made)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if fails_in == "norms":
            patch.setattr("vecsearch.backends._table.row_norms", interrupt)
        elif fails_in == "fields":
            patch.setattr("vecsearch.backends._columns._copy_value", interrupt)
        else:
            patch.setattr("vecsearch.backends._table._replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            made.upsert(rows(["a", "c", "d"], seed=3, fields=[{"v": 2}] * 3))
    assert everything(made) == before
    assert made.fetch(["a", "c"], ALL).fields == [{"v": 1}]
    made.upsert(rows(["e", "b"], seed=4, fields=[{"v": 5}] * 2))
    assert {name: row[1]["v"] for name, row in everything(made).items()} == {"a": 1, "b": 5, "e": 5}
    assert made.fetch(["c", "e"], ALL).ids == ["e"]


def test_the_matrix_is_the_rows_without_a_copy():
    made = created(["a", "b", "c"])
    ids, vectors = made.matrix()
    assert list(ids) == ["a", "b", "c"]
    assert np.shares_memory(vectors, made.client)
    with pytest.raises(ValueError, match="read-only"):
        vectors[0] = 0
    made.delete(["b"])
    ids, vectors = made.matrix()
    assert list(ids) == ["a", "c"]
    assert vectors.tobytes() == rows("abc").vectors[[0, 2]].tobytes()
    with pytest.raises(ValueError, match="read-only"):
        vectors[0] = 0


def test_in_memory_there_is_nothing_to_save():
    made = created(["a"])
    assert not made.unsaved
    with pytest.raises(InvalidInputError, match="give it a key, or a path"):
        made.save()
    made.reload()
    assert made.count() == 1


def test_after_close_and_after_drop():
    made = created(["a"])
    made.drop()
    assert made.describe() is None
    made.create(Spec(3, "cosine"))
    assert made.count() == 0
    made.close()
    with pytest.raises(ClosedError):
        made.count()


NAMES = [f"r{number}" for number in range(40)]


def one_version(found, size=40):
    """The version that these rows carry in every part; there must be one, and no row may be missing."""
    versions = {row["v"] for row in found.fields}
    assert len(found) == size
    assert len(versions) == 1, versions
    version = versions.pop()
    assert set(found.documents) == {str(version)}
    assert np.all(found.vectors == version + 1)
    return version


READS = {
    "search": lambda made: one_version(search(made, np.ones(DIM, dtype=np.float32), 99, include=ALL).rows[0]),
    "fetch": lambda made: one_version(made.fetch(NAMES[:10], ALL), 10),
    "filter": lambda made: one_version(next(made.scan(99, ALL, where(NAMES, F("v") >= 0)))),
    "scan": lambda made: one_version(next(made.scan(99, ALL))),
}


def test_readers_during_writes_see_whole_writes():
    """Every batch writes one number into all rows; a reader must never see two numbers, or a part of the rows."""

    def write(version):
        count = len(NAMES)
        vectors = np.full((count, DIM), version + 1, dtype=np.float32)
        made.upsert(Rows(NAMES, vectors, [{"v": version}] * count, [str(version)] * count))

    def read(kind):
        last = 0
        try:
            while not stop.is_set():
                version = READS[kind](made)
                assert version >= last, "a read went back in time"
                last = version
        except Exception as error:  # noqa: BLE001  handed to the test's own thread
            failures.append(error)
            stop.set()

    made, stop, failures = created(), threading.Event(), []
    write(0)
    readers = [threading.Thread(target=read, args=(kind,)) for kind in READS]
    for reader in readers:
        reader.start()
    for version in range(1, 300):
        write(version)
        if stop.is_set():
            break
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []
