"""What is LanceDB's own: columns by type, names and texts in SQL, indexes and their parameters, tables of others."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from engines import require

require("lancedb")

import lancedb
import numpy as np
import pyarrow as pa

import vecsearch
from vecsearch import F
from vecsearch.errors import ConfigError, InvalidInputError, UnsupportedError

NASTY = "it's \"quoted\" \\ \\' {x} {} %_ `id` -- '; DROP TABLE t; /* \n\0 é 🦊"


def vectors(rows, dim=8, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path / "home"))
    made = []

    def create(rows=0, **settings):
        if rows:
            settings = {"embeddings": vectors(rows), "sample_ids": [f"r{n:05d}" for n in range(rows)], **settings}
        settings.setdefault("embeddings", False)
        if not {"path", "uri", "client"} & set(settings):
            settings["path"] = str(tmp_path / "lance")
        made.append(vecsearch.compute_similarity(backend="lancedb", **settings))
        return made[-1]

    yield create
    for index in made:
        index.close()


def table(index):
    return index.client.open_table(index.config.index_name)


# ---- columns


def test_a_field_of_several_types_has_a_column_for_each(make):
    values = [1, "one", 1.5, True, ["a", "b"], datetime(2026, 1, 1, tzinfo=UTC), [], -(2**63)]
    index = make(len(values), metadata={"x": values})
    assert {"x", "x__str", "x__float", "x__bool", "x__list", "x__utc", "_vs_meta"} <= set(table(index).schema.names)
    assert [row["x"] for row in index.get_metadata().values()] == values
    assert index.count(filter=F("x") == 1) == 1
    assert index.count(filter=F("x") < 2) == 3
    assert index.count(filter=~(F("x") == 1)) == len(values) - 1
    assert index.count(filter=F("x").exists()) == len(values)


@pytest.mark.parametrize(
    "name", ["id", "vector", "document", "query_index", "_distance", "_rowid", "_rowaddr", "_score", "ID", "select"]
)
def test_fields_that_are_called_like_columns_of_the_engine(make, name):
    index = make(5, metadata={name: ["a", "b", "c", "d", "e"]}, documents=list("vwxyz"))
    assert [row[name] for row in index.get_metadata().values()] == list("abcde")
    ranking = index.search(vectors(5), 5, filter=F(name) != "c")[0]
    assert {row[name] for row in ranking.metadata} == set("abde")
    assert "c" not in ranking.ids
    index.set_metadata({name: ["new"]}, ["r00001"])
    assert index.count(filter=F(name) == "new") == 1


def test_fields_that_differ_in_case_only(make):
    index = make(3, metadata={"Year": [1, 2, 3], "year": [30, 20, 10]})
    assert index.use_view(filter=F("Year") == 1).ids().tolist() == ["r00000"]
    assert index.use_view(filter=F("year") == 10).ids().tolist() == ["r00002"]


def test_a_row_that_is_replaced_keeps_no_field(make):
    index = make(3, metadata={"x": [1, 2, 3], "y": ["a", "b", "c"]}, documents=["d"] * 3)
    index.add_to_index(vectors(1, seed=5), ["r00001"], metadata={"z": [True]})
    assert index.get_metadata(sample_ids=["r00001"]) == {"r00001": {"z": True}}
    assert index.search(ids=["r00001"], k=1)[0].documents == [None]


def test_hundreds_of_fields_few_of_them_in_a_row(make):
    rows = [{f"f{n}": n, f"g{n % 7}": "x"} for n in range(300)]
    index = make(300, metadata=rows)
    assert list(index.get_metadata().values()) == rows
    assert index.count(filter=F("f299") == 299) == 1


# ---- texts and numbers in conditions


def test_texts_are_never_syntax(make):
    ids = [NASTY.replace("\0", ""), "' OR true --", "\\", "\\'", "''", "x'y", "a\nb", "東京 🦊", "i" * 4096]
    texts = [NASTY, *ids[1:]]
    rows = [{"x": text, "tags": [text, "all"]} for text in texts]
    index = make(embeddings=vectors(len(ids)), sample_ids=ids, metadata=rows, documents=texts)
    for row_id, text in zip(ids, texts, strict=True):
        for tree in (F("x") == text, F("tags").contains(text), F("x").is_in([text, "no such"])):
            assert index.use_view(filter=tree).ids().tolist() == [row_id]
        assert index.count(filter=F("x") != text) == len(ids) - 1
        assert index.use_view(sample_ids=[row_id]).search(vectors(1), 3)[0].ids.tolist() == [row_id]
        assert index.search(ids=[row_id], k=1)[0].documents == [text]
    assert index.remove_from_index(filter=F("x") == "' OR true --") == 1
    assert index.remove_from_index(sample_ids=[ids[0], "' OR '1'='1"]) == 1
    assert len(index) == len(ids) - 2


def test_numbers_compare_exactly_across_integers_and_floats(make):
    values = [0, -0.0, 1, 1.0, 1.5, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, -(2**63), 9.3e18, -1e300, 5e-324, 0.1]
    index = make(len(values), metadata={"x": values})
    asked = [*values, 2**53 - 1, 2**53 + 2, 0.5, 1e308, -9.3e18, float(2**63), -float(2**63), 1 + 2**-52]
    for value in asked:
        for tree, holds in (
            (F("x") == value, value.__eq__),
            (F("x") != value, value.__ne__),
            (F("x") < value, lambda x, v=value: x < v),
            (F("x") <= value, lambda x, v=value: x <= v),
            (F("x") > value, lambda x, v=value: x > v),
            (F("x") >= value, lambda x, v=value: x >= v),
        ):
            right = sum(x == value if tree.op == "eq" else x != value if tree.op == "ne" else holds(x) for x in values)
            assert index.count(filter=tree) == right, repr(tree)
            assert index.count(filter=~tree) == len(values) - right, repr(tree)
    assert index.count(filter=F("x").is_in([1, 2**53 + 1, 0.1, 7.5])) == 4
    assert index.count(filter=F("x").not_in([0, 0.5])) == len(values) - 2


def test_filters_as_large_and_deep_as_they_may_be(make):
    index = make(20, metadata={"x": list(range(20))})
    wide = F("x") == 0
    for number in range(1, 500):
        wide = wide | (F("x") == number) if number % 2 else wide | (F(f"y{number}") > number)
    assert index.count(filter=wide) == 11
    deep = F("x") == 0
    for number in range(1, 14):
        deep = (deep | (F("x") == number)) if number % 2 else (deep & (F("x") < 1000))
    assert index.count(filter=deep) == 8
    assert index.count(filter=F("x").is_in(range(10_000))) == 20
    assert index.count(filter=F("no_such_field") == 1) == 0
    assert index.count(filter=~(F("no_such_field") == 1)) == 20


@pytest.mark.parametrize("index_type", ["NONE", "IVF_FLAT", "IVF_HNSW_SQ", "IVF_PQ"])
def test_as_many_rows_as_match_at_every_selectivity(make, index_type):
    index = make(index_type=index_type, index_rows=500, dim=8)
    ids = [f"r{n:05d}" for n in range(4000)]
    index.add_to_index(vectors(4000), ids, metadata={"n": list(range(4000))})
    assert bool(table(index).list_indices()) == (index_type != "NONE")
    for matches in (2000, 400, 40, 4, 1, 0):
        for k in (1, 10, 100):
            for ranking in index.search(vectors(3, seed=1), k, filter=F("n") < matches):
                assert len(ranking) == min(k, matches)
                assert all(row["n"] < matches for row in ranking.metadata)


def test_a_view_of_100_000_ids(make):
    rows = 100_500
    ids = [f"r{n}" for n in range(rows)]
    held = vectors(rows, 4)
    index = make(embeddings=held, sample_ids=ids, metric="euclidean", index_type="NONE")
    view = index.use_view(sample_ids=ids[500:])
    query = held[3]
    ranking = view.search(query, 10)[0]
    distances = np.linalg.norm(held[500:] - query, axis=1)
    assert np.allclose(ranking.distances, np.sort(distances)[:10], rtol=1e-4)
    assert len(view) == 100_000


# ---- distances


def test_products_of_very_short_vectors_keep_their_digits(make):
    short = vectors(200) * np.float32(1e-6)
    index = make(embeddings=short, sample_ids=[f"r{n}" for n in range(200)], metric="dotproduct")
    query = vectors(1, seed=1)[0] * np.float32(1e-6)
    ranking = index.search(query, 200, exact=True)[0]
    expected = -(short.astype(np.float64) @ query.astype(np.float64))
    assert np.allclose(ranking.distances, np.sort(expected), rtol=1e-4, atol=1e-18)
    nearest = index.search(query, 1, exact=True)[0]
    assert nearest.ids.tolist() == [f"r{np.argmin(expected)}"]


def test_a_quantised_index_gives_true_distances(make):
    index = make(index_type="IVF_HNSW_SQ", index_rows=300, dim=16)
    held = vectors(600, 16)
    index.add_to_index(held, [f"r{n}" for n in range(600)])
    assert table(index).list_indices()
    unit = held / np.linalg.norm(held, axis=1, keepdims=True)
    for query in vectors(5, 16, seed=2):
        ranking = index.search(query, 10)[0]
        rows = [int(row_id[1:]) for row_id in ranking.ids]
        assert np.allclose(ranking.distances, 1 - unit[rows] @ (query / np.linalg.norm(query)), atol=1e-5)


# ---- the vector index


def test_the_index_comes_with_the_rows_and_takes_in_later_ones(make):
    index = make(1200, index_rows=1500)
    assert table(index).list_indices() == []
    assert index.health().problems == []
    index.add_to_index(vectors(1000, seed=1), [f"s{n}" for n in range(1000)])
    (made,) = table(index).list_indices()
    assert (made.columns, made.num_unindexed_rows) == (["vector"], 0)
    index.add_to_index(vectors(10, seed=2), [f"t{n}" for n in range(10)])
    assert table(index).list_indices()[0].num_unindexed_rows == 10
    new = vectors(10, seed=2)[4]
    assert index.search(new, 1)[0].ids.tolist() == ["t4"]
    index.add_to_index(vectors(3000, seed=3), [f"u{n}" for n in range(3000)])
    assert table(index).list_indices()[0].num_unindexed_rows == 0


def test_an_index_that_was_not_waited_for(make):
    index = make(dim=8, index_rows=1000)
    index.add_to_index(vectors(1500), [f"r{n}" for n in range(1500)], wait=False)
    assert table(index).list_indices() == []
    assert "index.wait()" in str(index.health().problems)
    index.wait()
    assert len(table(index).list_indices()) == 1
    assert index.health().problems == []


def test_many_small_writes_are_joined(make):
    index = make(1, dim=8)
    for number in range(120):
        index.add_to_index(vectors(1, seed=number), [f"s{number}"])
    assert table(index).stats()["fragment_stats"]["num_fragments"] < 60
    assert len(index) == 121


def test_parameters_reach_the_index(make):
    index = make(
        dim=16,
        index_type="IVF_HNSW_PQ",
        index_rows=300,
        num_partitions=2,
        num_sub_vectors=4,
        num_bits=8,
        m=12,
        ef_construction=80,
        metric="euclidean",
    )
    index.add_to_index(vectors(1000, 16), [f"r{n}" for n in range(1000)])
    (made,) = table(index).list_indices()
    stats = table(index).index_stats(made.name)
    assert (stats.index_type, stats.distance_type) == ("IVF_HNSW_PQ", "l2")
    options = {"nprobes": 2, "ef": 300, "refine_factor": 20}
    exact = index.search(vectors(1, 16, seed=3), 10, exact=True)[0]
    found = index.search(vectors(1, 16, seed=3), 10, params=options)[0]
    assert len(set(found.ids) & set(exact.ids)) >= 9
    assert index.search(vectors(1, 16, seed=3), 10, params={"ef": 1, "nprobes": 1})[0].ids.size == 10


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"index_type": "HNSW"}, "IVF_HNSW_SQ"),
        ({"index_type": "IVF_FLAT", "m": 16}, "IVF_FLAT has no m; it has num_partitions"),
        ({"index_type": "IVF_PQ", "ef_construction": 100}, "IVF_PQ has no ef_construction"),
        ({"index_type": "IVF_HNSW_SQ", "num_sub_vectors": 4}, "IVF_HNSW_SQ has no num_sub_vectors"),
        ({"index_type": "IVF_PQ", "num_bits": 5}, "4 or 8, not 5"),
        ({"index_type": "IVF_PQ", "index_rows": 100}, "needs 256 rows"),
        ({"index_type": "NONE", "m": 16}, "no index_type"),
        ({"num_partitions": 0}, "num_partitions"),
        ({"index_rows": 0}, "index_rows"),
        ({"uri": "db://cloud"}, "LanceDB Cloud"),
        ({"uri": "s3://a/b", "path": "c"}, "one of path, uri and client"),
        ({"client": "no client"}, "lancedb.connect"),
        ({"mm": 3}, "mm"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, settings, told):
    with pytest.raises(ConfigError, match=told):
        make(path=None, dim=4, **settings) if "path" not in settings else make(dim=4, **settings)


def test_parts_that_do_not_make_up_the_width(make):
    with pytest.raises(InvalidInputError, match="num_sub_vectors=3 does not divide the 8 dimensions"):
        make(5, index_type="IVF_PQ", num_sub_vectors=3)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"nprobe": 3}, "nprobes"),
        ({"nprobes": 0}, "nprobes is a whole number from 1 on, not 0"),
        ({"ef": "many"}, "ef is a whole number"),
        ({"refine_factor": 1.5}, "refine_factor"),
        ({"ef": True}, "ef"),
        ({"fast_search": True}, "fast_search"),
    ],
)
def test_search_parameters_that_make_no_sense_are_refused(make, params, told):
    with pytest.raises(InvalidInputError, match=told):
        make(5).search(vectors(1), 1, params=params)


# ---- several hands on one table


def test_a_connection_of_the_users_own(make, tmp_path):
    own = lancedb.connect(tmp_path / "own")  # its handles do not look for new versions by themselves
    index = make(10, client=own, index_name="mine")
    assert index.client is own
    other = lancedb.connect(tmp_path / "own").open_table("mine")
    other.delete("id = 'r00003'")
    assert len(index) == 9
    assert not index.contains(["r00003"]).any()
    assert index.search(vectors(4)[3], 10)[0].ids.size == 9
    index.close()
    assert own.open_table("mine").count_rows() == 9
    assert "client" not in repr(index.config)


def test_rows_of_another_process_are_seen_at_once(make, tmp_path):
    index = make(10, index_name="shared")
    code = """if True:
        import sys, numpy as np, vecsearch
        index = vecsearch.connect("shared", backend="lancedb", path=sys.argv[1])
        index.add_to_index(np.ones((2, 8)), ["r00000", "other"], metadata={"late": [1, 2]})
        index.close()
    """
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lance")], check=True, timeout=100)
    assert len(index) == 11
    assert index.search(np.ones(8), 2)[0].ids.tolist() == ["other", "r00000"]
    assert index.count(filter=F("late") > 1) == 1
    assert index.get_metadata(sample_ids=["r00000"]) == {"r00000": {"late": 1}}


# ---- tables that others made


def foreign(tmp_path, rows=300, *, index=True, **columns):
    held = pa.FixedSizeListArray.from_arrays(pa.array(vectors(rows).reshape(-1)), 8)
    data = pa.table({"id": [f"r{n}" for n in range(rows)], "vector": held, **columns})
    made = lancedb.connect(tmp_path / "theirs").create_table("t", data)
    if index:
        made.create_index("vector", config=lancedb.index.IvfFlat(distance_type="l2", num_partitions=1))
    return made


def test_a_table_of_others_is_read_searched_and_written(tmp_path):
    moments = pa.array([datetime(2026, 1, 1) + timedelta(days=n) for n in range(300)])  # noqa: DTZ001
    small = pa.array(range(300), pa.int16())
    single = pa.array([n / 10 for n in range(300)], pa.float32())
    made = foreign(tmp_path, n=small, f=single, when=moments, s=pa.array(["x", None] * 150, pa.large_string()))
    index = vecsearch.connect("t", backend="lancedb", path=str(tmp_path / "theirs"))
    assert (index.metric, index.dim, len(index)) == ("euclidean", 8, 300)
    assert index.get_metadata(sample_ids=["r2"])["r2"] == {"n": 2, "f": float(np.float32(0.2)), "s": "x"}
    assert index.count(filter=(F("n") < 10) & (F("s") == "x")) == 5
    assert index.count(filter=F("n") < 2**40) == 300
    assert index.count(filter=F("f") == 0.5) == 1
    ranking = index.search(vectors(300)[7], 3, exact=True)[0]
    assert ranking.ids[0] == "r7"
    assert math.isclose(
        ranking.distances[1], np.sort(np.linalg.norm(vectors(300) - vectors(300)[7], axis=1))[1], rel_tol=1e-4
    )
    index.remove_from_index(sample_ids=["r7"])
    made.checkout_latest()
    assert made.count_rows() == 299
    index.close()


@pytest.mark.parametrize("case", ["no index", "no id", "halves"])
def test_a_table_of_others_that_says_too_little(tmp_path, case):
    db = lancedb.connect(tmp_path / "theirs")
    if case == "no index":
        foreign(tmp_path, index=False)
    elif case == "no id":
        db.create_table("t", pa.table({"key": ["a"], "vector": pa.array([[1.0] * 8], pa.list_(pa.float32(), 8))}))
    else:
        halves = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(8, np.float16)), 8)
        db.create_table("t", pa.table({"id": ["a"], "vector": halves}))
    with pytest.raises(UnsupportedError, match="not made by vecsearch"):
        vecsearch.connect("t", backend="lancedb", path=str(tmp_path / "theirs"))
