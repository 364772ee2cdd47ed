"""The example adapter, primitive by primitive: against a dict, the core's distances and the reference evaluator."""

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vecsearch_sqlite import SQLiteBackend, SQLiteConfig, compile_filter

from vecsearch.backends import Rows, Spec, Where
from vecsearch.core import pair_distances
from vecsearch.filters import And, Condition, F, Not, Or, conditions, normal_form, operators, predicate
from vecsearch.testing import strategies, truth_table

DIM = 5
EVERYTHING = frozenset({"vectors", "fields", "documents"})
TYPES = SQLiteBackend.capabilities.metadata_types
METRICS = sorted(SQLiteBackend.capabilities.metrics)


def opened(path, index_name="photos", metric="cosine"):
    backend = SQLiteBackend(SQLiteConfig(path=None if path is None else str(path), index_name=index_name))
    if backend.describe() is None:
        backend.create(Spec(DIM, metric))
    return backend


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "file.sqlite"


@pytest.fixture
def backend(path):
    backend = opened(path)
    yield backend
    backend.close()


def some_rows(ids, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((len(ids), DIM)).astype(np.float32)
    fields = [{"year": 2000 + n, "name": row_id, "_vs_sample": "s", "x__utc": n} for n, row_id in enumerate(ids)]
    return Rows(list(ids), vectors, fields, [f"text {row_id}" if n % 2 else None for n, row_id in enumerate(ids)])


def as_dict(rows):
    return {row_id: (rows.vectors[n].tobytes(), rows.fields[n], rows.documents[n]) for n, row_id in enumerate(rows.ids)}


def stored(backend):
    return as_dict(backend.fetch(sorted(scanned_ids(backend)), EVERYTHING))


def scanned_ids(backend, where=None):
    return {row_id for rows in backend.scan(3, frozenset(), where) for row_id in rows.ids}


def test_what_is_put_comes_back(backend):
    rows = some_rows(["a", "b", "c é", "'; DROP TABLE item; --", "x" * 4096])
    backend.upsert(rows)
    assert as_dict(backend.fetch(rows.ids[::-1], EVERYTHING)) == as_dict(rows)
    assert [type(value) for value in backend.fetch(["a"], EVERYTHING).fields[0].values()].count(int) == 2
    assert backend.fetch(["nobody"], EVERYTHING).ids == []
    assert backend.fetch(["nobody", "b"], frozenset()).ids == ["b"]
    assert backend.fetch(["a"], frozenset({"fields"})).vectors is None


def test_a_write_replaces_the_whole_row(backend):
    backend.upsert(some_rows(["a"]))
    bare = Rows(["a"], np.ones((1, DIM), np.float32), [{}], [None])
    backend.upsert(bare)
    assert stored(backend) == as_dict(bare)
    without = Rows(["a"], np.ones((1, DIM), np.float32))
    backend.upsert(without)
    assert stored(backend) == as_dict(bare)


@given(st.lists(st.tuples(st.sampled_from(["upsert", "delete"]), st.sets(st.sampled_from("abcdef"), min_size=1))))
@settings(deadline=None, max_examples=30)
def test_writes_agree_with_a_dict(steps):
    backend, expected = opened(None), {}
    try:
        for seed, (step, ids) in enumerate(steps):
            if step == "upsert":
                rows = some_rows(sorted(ids), seed)
                backend.upsert(rows)
                expected |= as_dict(rows)
            else:
                backend.delete(sorted(ids))
                expected = {row_id: row for row_id, row in expected.items() if row_id not in ids}
            assert stored(backend) == expected
            assert backend.count() == len(expected)
            assert backend.count(Where(ids=["a", "b", "z"])) == len(expected.keys() & {"a", "b"})
    finally:
        backend.close()


@given(st.lists(strategies.metadata(TYPES), min_size=1, max_size=5))
@settings(deadline=None, max_examples=50)
def test_metadata_comes_back_with_its_types(metadata):
    backend = opened(None)
    try:
        ids = [str(n) for n in range(len(metadata))]
        backend.upsert(Rows(ids, np.ones((len(ids), DIM), np.float32), metadata))
        found = backend.fetch(ids, frozenset({"fields"}))
        for row_id, fields in zip(found.ids, found.fields, strict=True):
            assert repr(sorted(fields.items())) == repr(sorted(metadata[int(row_id)].items()))
    finally:
        backend.close()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("where", [None, Where(ids=["1", "3", "7", "nobody"]), Where(filter=F("year") >= 2010)])
def test_search_ranks_as_the_core_does(path, metric, where):
    backend = opened(path, metric=metric)
    rows = some_rows([str(n) for n in range(40)])
    backend.upsert(rows)
    queries = np.random.default_rng(1).standard_normal((3, DIM)).astype(np.float32)
    hits = backend.search(queries, 5, where, include=EVERYTHING, exact=True, params={})
    holds = {
        n
        for n, (row_id, fields) in enumerate(zip(rows.ids, rows.fields, strict=True))
        if where is None or (row_id in where.ids if where.ids else fields["year"] >= 2010)
    }
    for query, scores, found in zip(queries, hits.scores, hits.rows, strict=True):
        truth = sorted(pair_distances(query, rows.vectors[[n]], metric)[0] for n in holds)[:5]
        distances = {"cosine": 1 - scores, "euclidean": np.sqrt(np.abs(scores)), "dotproduct": -scores}[metric]
        np.testing.assert_allclose(distances, truth, rtol=1e-6)
        np.testing.assert_allclose(distances, pair_distances(query, found.vectors, metric), rtol=1e-6)
        assert {int(row_id) for row_id in found.ids} <= holds
        assert as_dict(found).items() <= as_dict(rows).items()
    backend.close()


def test_search_for_what_is_not_there(backend):
    queries = np.ones((2, DIM), np.float32)
    for where in (None, Where(ids=["nobody"])):
        hits = backend.search(queries, 3, where, include=EVERYTHING, exact=False, params={})
        assert [len(scores) for scores in hits.scores] == [0, 0]
        assert [(len(rows), rows.vectors.shape, rows.fields) for rows in hits.rows] == [(0, (0, DIM), [])] * 2
    backend.upsert(some_rows(["a"]))
    hits = backend.search(queries, 3, None, include=frozenset(), exact=False, params={})
    assert [rows.ids for rows in hits.rows] == [["a"], ["a"]]
    assert hits.rows[0].vectors is None


def test_scan_gives_every_row_once_while_others_write(backend):
    backend.upsert(some_rows([f"{n:02}" for n in range(10)]))
    seen = []
    for rows in backend.scan(3, frozenset({"documents"})):
        assert len(rows) <= 3
        seen += rows.ids
        backend.upsert(some_rows([rows.ids[0]], seed=9))
    assert seen == [f"{n:02}" for n in range(10)]


# Filters: the text has no value in it, and the meaning is that of the reference evaluator.

HELD = {
    name: row for name, row in truth_table.ROWS.items() if all(type(value).__name__ in TYPES for value in row.values())
}


@pytest.fixture(scope="module")
def table():
    backend = opened(None)
    names = list(HELD)
    backend.upsert(Rows(names, np.ones((len(names), DIM), np.float32), [HELD[name] for name in names]))
    yield backend
    backend.close()


def is_ours(tree):
    plain = all(type(member).__name__ in TYPES for leaf in conditions(tree) for member in leaf.members)
    constant = not operators(normal_form(tree))  # never reaches a backend
    return plain and not constant and operators(tree) <= SQLiteBackend.capabilities.filter_operators


CASES = [case for case in truth_table.CASES if is_ours(case.filter)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case.filter))
def test_truth_table(table, case):
    normal = normal_form(case.filter)
    assert scanned_ids(table, Where(filter=normal)) == case.holds & HELD.keys()


def test_most_of_the_truth_table_applies():
    assert len(CASES) > 30
    assert len(HELD) > 12


@given(st.lists(strategies.metadata(TYPES), min_size=1, max_size=4), st.lists(strategies.trees(TYPES), min_size=1))
@settings(deadline=None)
def test_filters_agree_with_the_reference(metadata, trees):
    backend = opened(None)
    try:
        ids = [str(n) for n in range(len(metadata))]
        backend.upsert(Rows(ids, np.ones((len(ids), DIM), np.float32), metadata))
        for normal in filter(operators, map(normal_form, trees)):
            holds = predicate(normal)
            expected = {row_id for row_id, row in zip(ids, metadata, strict=True) if holds(row)}
            assert scanned_ids(backend, Where(filter=normal)) == expected
            assert backend.count(Where(ids[:2], normal)) == len(expected & set(ids[:2]))
    finally:
        backend.close()


def test_names_and_values_are_parameters():
    parameters = []
    tree = normal_form((F("xyzzy") == "plugh'") & ~F("frotz").is_in([41, 42]) | F("xyzzy").exists())
    text = compile_filter(tree, parameters)
    assert parameters == ["xyzzy", "str", "plugh'", "frotz", "number", 41, 42, "xyzzy"]
    assert not {"xyzzy", "plugh", "frotz", "41"} & set(text.replace("'", " ").split())
    with pytest.raises(NotImplementedError):
        compile_filter(Not(F("x") == 1), [])


def test_hidden_and_hostile_names(backend):
    name = "_vs_x' OR 1=1 --"
    backend.upsert(Rows(["a", "b"], np.ones((2, DIM), np.float32), [{name: 1}, {}]))
    assert scanned_ids(backend, Where(filter=Condition(name, "eq", 1))) == {"a"}
    assert scanned_ids(backend, Where(filter=Condition(name, "exists", negated=True))) == {"b"}


def test_large_filters(backend):
    backend.upsert(Rows(["a"], np.ones((1, DIM), np.float32), [{"x": 1}]))
    assert backend.count(Where(filter=And(tuple(F("x") != n for n in range(5, 2000))))) == 1
    assert backend.count(Where(filter=Or(tuple(F("x") == n for n in range(5, 2000))))) == 0
    assert backend.count(Where(filter=F("x").is_in(range(10_000)))) == 1


# Life cycle.


def test_describe_create_drop(path):
    backend = SQLiteBackend(SQLiteConfig(path=str(path), index_name="photos"))
    assert backend.describe() is None
    backend.drop()
    backend.create(Spec(DIM, "euclidean", patches=True))
    assert backend.describe() == Spec(DIM, "euclidean", patches=True, ours=True)
    with pytest.raises(sqlite3.IntegrityError):
        backend.create(Spec(DIM, "cosine"))
    assert SQLiteBackend.errors[sqlite3.IntegrityError] == "exists"
    backend.upsert(some_rows(["a", "b"]))
    backend.drop()
    assert backend.describe() is None
    backend.create(Spec(DIM, "cosine"))
    assert backend.count() == 0
    backend.close()
    backend.close()


def test_rows_are_durable_and_indexes_apart(path):
    first, second = opened(path), opened(path, "texts", "dotproduct")
    first.upsert(some_rows(["a", "b"]))
    second.upsert(some_rows(["a"], seed=1))
    second.delete(["b"])
    expected = stored(first)
    first.close()
    again = opened(path)
    assert stored(again) == expected
    second.drop()
    assert stored(again) == expected
    for backend in (again, second):
        backend.close()


def test_one_call_at_a_time_from_any_thread(backend):
    thread = threading.Thread(target=backend.upsert, args=[some_rows(["a"])])
    thread.start()
    thread.join()
    assert backend.count() == 1


def test_a_failed_write_leaves_nothing(backend):
    backend.upsert(some_rows(["a"]))
    before = stored(backend)
    broken = some_rows(["a", "b"])
    broken.fields[1] = {"x": 2**63}
    with pytest.raises(OverflowError):
        backend.upsert(broken)
    assert stored(backend) == before


def test_storage_errors(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("these are notes, and no database at all " * 100)
    backend = SQLiteBackend(SQLiteConfig(path=str(file)))
    with pytest.raises(sqlite3.DatabaseError):
        backend.describe()
    backend.close()
    assert SQLiteBackend.errors[sqlite3.DatabaseError] == "storage"


def test_the_entry_point_names_the_class():
    text = (Path(__file__).parents[1] / "examples" / "sqlite_backend" / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points."vecsearch.backends"]\nsqlite = "vecsearch_sqlite:SQLiteBackend"' in text
