"""The codec, for engines that hold less than the default one does."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.backends import Capabilities, Score
from vecsearch.codec import SAMPLE, Codec, microseconds
from vecsearch.errors import UnsupportedError
from vecsearch.filters import F, normal_form, operators, predicate
from vecsearch.types import Records

ALL_OPERATORS = frozenset({"eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "contains", "exists", "not"})


def codec(*types, patches=False, metric=None, operators=ALL_OPERATORS, **capabilities):
    return Codec(
        Capabilities(
            metrics={"cosine": Score.DISTANCE},
            metadata_types=frozenset(types),
            filter_operators=operators,
            **capabilities,
        ),
        patches=patches,
        metric=metric,
    )


ENGINES = {
    "everything": codec("str", "int", "float", "bool", "datetime", "list"),
    "scalars": codec("str", "int", "float", "bool"),
    "floats only": codec("str", "float", "bool", "list", max_int=2**53),
    "no exists": codec("str", "int", "float", "bool", "list", operators=ALL_OPERATORS - {"exists"}),
    "uuids": codec("str", "int", "float", "bool", "list", id_form="uuid"),
    "loose": codec("str", "int", "float", "bool", "list", strict_operators=frozenset({"eq"})),
}
VALUES = st.one_of(
    st.text(max_size=8),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))),
    st.lists(st.text(max_size=4), max_size=3),
)
METADATA = st.dictionaries(st.sampled_from(["a", "b", "year", "c_d"]), VALUES)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@settings(max_examples=60, deadline=None)
@given(metadata=st.lists(METADATA, min_size=1, max_size=4))
def test_what_was_put_comes_back(engine, metadata):
    ids = [f"row {number}" for number in range(len(metadata))]
    rows = engine.encode(Records(ids, np.ones((len(ids), 2), np.float32), None, metadata, None))
    back = engine.decode(rows, metadata=True, vectors=True)
    assert back.ids == ids
    assert back.metadata == metadata
    for given_row, row in zip(metadata, back.metadata, strict=True):
        assert {name: type(value) for name, value in row.items()} == {n: type(v) for n, v in given_row.items()}
        assert all(row[name].utcoffset() == v.utcoffset() for name, v in given_row.items() if isinstance(v, datetime))


@pytest.mark.parametrize("name", ["scalars", "floats only", "uuids", "loose"])
@settings(max_examples=100, deadline=None)
@given(
    row=METADATA,
    value=VALUES.filter(lambda value: not isinstance(value, list)),
    op=st.sampled_from(["==", "!=", "<", ">="]),
)
def test_a_filter_means_the_same_in_the_engines_fields(name, row, value, op):
    if isinstance(value, bool) and op in ("<", ">="):
        return
    field = F("year")
    asked = {"==": lambda: field == value, "!=": lambda: field != value, "<": lambda: field < value}.get(
        op, lambda: field >= value
    )()
    engine = ENGINES[name]
    for tree in (asked, ~asked, field.exists(), ~field.exists()):
        try:
            where = engine.where(None, normal_form(tree))
        except UnsupportedError:
            assert name == "floats only"
            assert abs(microseconds(value) if isinstance(value, datetime) else value) >= 2**53
            continue
        stored = engine.encode(Records(["x"], None, None, [row], None)).fields[0]
        if name != "floats only" or not isinstance(row.get("year"), int):  # there ints are found as the number they are
            assert predicate(where.filter)(stored) == predicate(tree)(row)


def test_every_value_is_still_there_for_exists_where_the_engine_holds_it_apart():
    engine = ENGINES["scalars"]
    rows = [{"tags": ["a"]}, {"tags": []}, {"at": datetime.now(UTC)}, {"n": 2**63 - 1}, {}]
    stored = engine.encode(Records(list("abcde"), None, None, rows, None)).fields
    for field, there in (("tags", [1, 1, 0, 0, 0]), ("at", [0, 0, 1, 0, 0]), ("n", [0, 0, 0, 1, 0])):
        holds = predicate(engine.where(None, F(field).exists()).filter)
        assert [holds(row) for row in stored] == [bool(one) for one in there]


def test_a_block_list_of_moments_blocks_only_moments():
    engine = ENGINES["scalars"]
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    holds = predicate(engine.where(None, normal_form(F("at").not_in([first, second]))).filter)
    stored = engine.encode(
        Records(list("abc"), None, None, [{"at": first}, {"at": datetime(2028, 1, 1, tzinfo=UTC)}, {}], None)
    )
    assert [holds(row) for row in stored.fields] == [False, True, False]


def test_an_engine_without_exists_answers_from_a_list_of_names():
    engine = ENGINES["no exists"]
    stored = engine.encode(Records(["x"], None, None, [{"a": 1}], None)).fields[0]
    assert predicate(engine.where(None, F("a").exists()).filter)(stored)
    assert not predicate(engine.where(None, F("b").exists()).filter)(stored)
    assert engine.where(None, F("a").exists()).filter.op == "contains"


def test_numbers_that_the_engine_would_round_are_refused_in_a_filter():
    with pytest.raises(UnsupportedError, match="numbers up to 9007199254740991"):
        ENGINES["floats only"].where(None, F("n") == 2**53)
    assert ENGINES["scalars"].where(None, F("n") == 2**63 - 1)


def test_ids_become_uuids_and_come_back():
    engine = ENGINES["uuids"]
    rows = engine.encode(Records(["a/1.jpg", "ü"], None, None, None, None))
    assert all(uuid.UUID(row_id) for row_id in rows.ids)
    assert engine.decode(rows, metadata=False, vectors=False).ids == ["a/1.jpg", "ü"]
    assert list(engine.where(["ü"], None).ids) == rows.ids[1:]


def test_patches_keep_their_sample():
    engine = codec("str", patches=True)
    rows = engine.encode(Records(["l1", "l2"], None, ["s", "s"], [{}, {"a": "b"}], ["text", None]))
    assert [row[SAMPLE] for row in rows.fields] == ["s", "s"]
    back = engine.decode(rows, metadata=True, vectors=False)
    assert (back.ids, back.sample_ids, back.metadata, back.documents) == (
        ["l1", "l2"],
        ["s", "s"],
        [{}, {"a": "b"}],
        ["text", None],
    )


def test_norms_are_kept_beside_unit_vectors():
    engine = codec("str", "float", metric="cosine", normalises=frozenset({"cosine"}))
    vectors = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32) * 7
    rows = engine.encode(Records([str(n) for n in range(20)], vectors, None, None, None))
    rows.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # what such an engine does
    back = engine.decode(rows, metadata=True, vectors=True)
    np.testing.assert_allclose(back.vectors, vectors, rtol=3e-7)
    assert back.metadata == [{}] * 20


def test_kinds_that_are_not_beside_the_row_cannot_be_asked_for():
    loose = ENGINES["loose"]
    foreign = Codec(
        Capabilities(metrics={"cosine": Score.DISTANCE}, strict_operators=frozenset({"eq"})), patches=False, ours=False
    )
    listless = codec("str", "int", "float", strict_operators=frozenset({"eq"}))
    for tree in (normal_form(F("a") != 1), normal_form(~(F("a") == 1))):
        assert loose.where(None, tree) is not None
        for engine in (foreign, listless):
            with pytest.raises(UnsupportedError, match="kinds"):
                engine.where(None, tree)
    assert foreign.where(None, F("a") == 1).filter == (F("a") == 1)


def test_rows_of_others_have_nothing_beside_them():
    capabilities = Capabilities(
        metrics={"cosine": Score.DISTANCE},
        filter_operators=ALL_OPERATORS - {"exists"},
        strict_operators=frozenset({"eq"}),
        metadata_types=frozenset({"str", "int", "float", "bool", "list"}),
    )
    foreign = Codec(capabilities, patches=False, ours=False)
    # The engine lacks what would be asked of it, which is found before any call.
    assert "exists" in operators(foreign.where(None, F("a").exists()).filter)
    strange = {"inner": {"deep": [1, {"x": 2}]}, "sizes": [1, 2], "name": "a"}
    rows = foreign.encode(Records(["1"], np.ones((1, 2), np.float32), None, [strange], None))
    assert rows.fields == [strange]
    assert foreign.decode(rows, metadata=True, vectors=True).metadata == [strange]


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_ids_become_the_uuids_of_their_namespace(row_id):
    expected = uuid.uuid5(uuid.UUID("6f1d6a1e-6f0e-5d52-9f0c-3d1d4f2f2b7a"), row_id)
    assert ENGINES["uuids"].id(row_id) == str(expected)
    assert list(ENGINES["uuids"].ids([row_id])) == [str(expected)]


def test_a_length_of_one_is_not_kept():
    engine = codec("str", "float", normalises=frozenset({"cosine"}), metric="cosine")
    vectors = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    vectors[:20] /= np.linalg.norm(vectors[:20], axis=1)[:, None]
    vectors[20] *= np.float32(1.00001) / np.linalg.norm(vectors[20])
    rows = engine.encode(Records([str(number) for number in range(40)], vectors))
    kept = ["_vs_norm" in fields for fields in rows.fields]
    assert kept[20:] == [True] * 20
    assert sum(kept[:20]) <= 2
    rows.vectors = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    back = engine.decode(rows, metadata=False, vectors=True).vectors
    assert np.abs(back / vectors - 1).max() < 4e-7


def test_kinds_of_nothing_are_kept_only_where_a_complement_needs_them():
    records = Records(["a", "b"], None, None, [{}, {"x": 1}], None)
    for absent, expected in ((False, [""]), (True, None)):
        engine = codec("int", "list", strict_operators=frozenset(), complements_absent=absent)
        bare, full = engine.encode(records).fields
        assert bare.get("_vs_fields") == expected
        assert full["_vs_fields"] == ["", "x", "x:number"]
