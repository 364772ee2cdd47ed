"""Both dialects against the truth table, with a column for each type of value: what is answered is right."""

from __future__ import annotations

import pytest
from engines import require

require("mosaic")

import numpy as np

import vecsearch
from vecsearch import F
from vecsearch.backends._mosaic_columns import our_layout, schema_of
from vecsearch.backends._mosaic_filters import compiled
from vecsearch.backends.base import Spec, Where
from vecsearch.errors import InvalidInputError, UnsupportedError
from vecsearch.filters import normal_form
from vecsearch.testing.standins.mosaic import MosaicStandIn
from vecsearch.testing.truth_table import CASES, ROWS

# With half a number among the rows, a column of whole numbers cannot hold x.
TYPES = ("str", "float", "bool", "datetime")
QUERY = np.ones(4, dtype=np.float32)


@pytest.fixture(params=["STANDARD", "STORAGE_OPTIMIZED"])
def server(request):
    with MosaicStandIn(endpoint_type=request.param) as started:
        yield started


def filled(server, type_, rows=ROWS):
    vectors = np.random.default_rng(0).standard_normal((len(rows), 4)).astype(np.float32)
    return vecsearch.compute_similarity(
        embeddings=vectors,
        sample_ids=list(rows),
        metadata=list(rows.values()),
        backend="mosaic",
        metadata_schema={"x": type_},
        **server.settings(),
    )


def answers(index, cases):
    """How many are answered without a scan; each must be right."""
    answered = 0
    for case in cases:
        if not case.holds:
            continue
        try:
            found = index.search(QUERY, len(case.holds), filter=case.filter, include=())[0].ids
        except UnsupportedError:
            continue
        answered += 1
        assert set(found) == case.holds, repr(case.filter)
    return answered


@pytest.mark.parametrize("type_", TYPES)
def test_the_truth_table_without_scans(server, type_):
    with filled(server, type_) as index:
        answered = answers(index, CASES)
        scans = server.asked("scan")
        exact = [case for case in CASES if case.holds]
        for case in exact:
            found = index.search(QUERY, len(ROWS), filter=case.filter, include=(), allow_scan=True)[0].ids
            assert set(found) == case.holds
    assert not scans, "a scan without leave"
    standard, optimised = {"str": (9, 14), "float": (12, 14), "bool": (9, 10), "datetime": (11, 13)}[type_]
    assert answered == (optimised if index.capabilities.joins_by_or else standard)


def test_whole_numbers_against_fractions(server):
    rows = {f"r{number}": {"x": number} for number in range(-4, 5)} | {"absent": {}, "text": {"x": "1"}}
    with filled(server, "int", rows) as index:
        for tree, holds in (
            (F("x") > 1.5, {"r2", "r3", "r4"}),
            (F("x") >= -1.5, {"r-1", "r0", "r1", "r2", "r3", "r4"}),
            (F("x") < -2.5, {"r-4", "r-3"}),
            (F("x") <= -2.5, {"r-4", "r-3"}),
            (F("x") == 2.0, {"r2"}),
            (F("x").is_in([1.5, 2, 3.0]), {"r2", "r3"}),
            (F("x") != 1.5, {f"r{number}" for number in range(-4, 5)}),
            ((F("x") > 0) & (F("x") > 2) & (F("x") < 9), {"r3", "r4"}),
            (F("x").is_in([1, 2, 3]) & (F("x") == 2), {"r2"}),
        ):
            assert set(index.search(QUERY, len(holds), filter=tree)[0].ids) == holds, repr(tree)
        asked = len(server.asked("query"))
        nothing = index.search(QUERY, 3, filter=(F("x") == 1) & (F("x") == 2), allow_scan=True)[0]
        assert len(nothing) == 0
        assert all("1.5" not in request.body.decode() for request in server.asked("query")[asked:])


def test_a_fraction_is_no_whole_number(server):
    with filled(server, "int", {"one": {"x": 1}}) as index:
        with pytest.raises(InvalidInputError, match=r"'half'.*'x' is 0.5"):
            index.add_to_index(QUERY[None], ["half"], metadata=[{"x": 0.5}])
        index.add_to_index(QUERY[None], ["whole"], metadata=[{"x": 2.0}])
        assert repr(index.get_metadata(sample_ids=["whole"])["whole"]["x"]) == "2.0"


def layout(**fields):
    made = our_layout(schema_of(Spec(4, "cosine"), fields, "n"), 4)
    assert made is not None
    return made


@pytest.mark.parametrize("text", ["' OR 1=1 --", "'; DROP TABLE x; --", "it''s", "%", "", "a\nb", '"', "--", "🦊'"])
def test_texts_in_sql_are_literals(text):
    asked = compiled(Where(filter=normal_form(F("x") == text)), layout(x="str"), "STORAGE_OPTIMIZED")
    assert asked == {"filter_string": "x = '" + text.replace("'", "''") + "'"}


@pytest.mark.parametrize("text", ["\\", "\\' OR 1=1 --", "a\0b"])
def test_texts_that_dialects_read_differently_are_refused(text):
    with pytest.raises(UnsupportedError, match="backslash"):
        compiled(Where(filter=normal_form(F("x") == text)), layout(x="str"), "STORAGE_OPTIMIZED")
    assert compiled(Where(filter=normal_form(F("x") == text)), layout(x="str"), "STANDARD") is not None


def test_ids_with_a_backslash_are_found(server):
    ids = ["back\\slash", "\\", "plain", "\\' OR 1=1 --"]
    with filled(server, "str", {row_id: {} for row_id in ids}) as index:
        assert index.contains([*ids, "\\\\"]).tolist() == [True] * 4 + [False]
        assert index.get_embeddings(sample_ids=ids).sample_ids.tolist() == ids
