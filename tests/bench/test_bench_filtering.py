"""Filters of known pass rate and correlation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.bench import datasets, filtering
from vecsearch.errors import InvalidInputError
from vecsearch.filters import predicate


@pytest.fixture(scope="module")
def labelled():
    return filtering.label(datasets.load("mixture:d=32", rows=2000, queries=100))


@pytest.mark.parametrize("rate", filtering.PASS_RATES)
@pytest.mark.parametrize("correlation", filtering.CORRELATIONS)
def test_the_rate_is_the_one_asked_for_and_the_filter_says_the_same_rows(labelled, tmp_path, rate, correlation):
    found = labelled.filtered(rate, correlation, home=tmp_path)
    assert found.pass_rate == pytest.approx(rate)
    for query in (0, 50, 99):
        test = predicate(found.filters[query])
        passing = [at for at, row in enumerate(labelled.dataset.metadata) if test(row)]
        assert found.positions[query].tolist() == passing


@pytest.mark.parametrize("rate", filtering.PASS_RATES)
def test_the_lift_follows_the_correlation(labelled, tmp_path, rate):
    topic, random, anti = (labelled.filtered(rate, kind, home=tmp_path).lift for kind in filtering.CORRELATIONS)
    assert anti < random < topic
    assert random == pytest.approx(1, abs=0.2)
    if rate == 0.01:
        assert topic > 5
        assert anti < 0.5


def test_the_rows_keep_their_metadata_and_every_run_finds_the_same_labels():
    plain = datasets.load("digits", rows=400, queries=20)
    one, other = filtering.label(plain), filtering.label(plain)
    assert one.dataset.sha256 == other.dataset.sha256 != plain.sha256
    assert [row["digit"] for row in one.dataset.metadata] == [row["digit"] for row in plain.metadata]
    assert "bench_near_10" not in plain.metadata[0]
    with pytest.raises(InvalidInputError, match="have a field bench_near_2 already"):
        filtering.label(one.dataset)


def test_data_without_metadata_get_labels():
    vectors = np.random.default_rng(0).normal(size=(300, 3))
    found = filtering.label(datasets.hold_out("plain", vectors, queries=20)).dataset
    assert found.metadata[0].keys() == {f"bench_{kind}_{parts}" for kind in ("near", "any") for parts in (2, 10, 100)}


def test_too_few_rows_and_other_kinds_are_refused(labelled):
    with pytest.raises(InvalidInputError, match="too few"):
        filtering.label(datasets.load("digits", rows=199, queries=20))
    for rate, kind in ((0.2, "topic"), (0.1, "some")):
        with pytest.raises(InvalidInputError, match=r"0\.01, 0\.1, 0\.5"):
            labelled.filtered(rate, kind)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 60), parts=st.integers(1, 9), ties=st.booleans(), seed=st.integers(0, 50))
def test_cells_are_equal_in_size(count, parts, ties, seed):
    generator = np.random.default_rng(seed)
    distances = generator.integers(0, 3, (count, parts)) * 1.0 if ties else generator.normal(size=(count, parts))
    sizes = np.bincount(filtering._cells(distances), minlength=parts)
    assert sizes.sum() == count
    assert sizes.max() - sizes.min() <= 1


def test_a_row_that_finds_room_is_in_its_nearest_cell():
    distances = np.array([[1.0, 5], [2, 5], [3, 4], [9, 1]])
    assert filtering._cells(distances).tolist() == [0, 0, 1, 1]
