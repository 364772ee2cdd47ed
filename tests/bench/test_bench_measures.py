"""Recall against its definition, and what could inflate it: ties, repeats, short and long answers, foreign rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch import core
from vecsearch.bench import datasets, measures
from vecsearch.bench.truth import truth
from vecsearch.errors import InvalidInputError


@pytest.fixture
def line(tmp_path):
    """Rows at 1, 2, 3, 3, 3, 4 from the one query."""
    vectors = np.array([[1], [2], [3], [-3], [3], [4]], dtype=np.float32)
    return datasets.make("line", vectors, np.zeros((1, 1), dtype=np.float32), "euclidean")


def measured(dataset, answer, k, home, positions=None):
    return measures.recall(dataset, truth(dataset, k, positions, home=home), [answer], k, positions)


def test_a_full_answer_is_one_and_half_of_it_a_half(line, tmp_path):
    full = measured(line, [0, 1], 2, tmp_path)
    assert (full.mean, full.tied_mean, full.p5, full.short) == (1, 1, 1, 0)
    half = measured(line, [5, 1], 2, tmp_path)
    assert (half.mean, half.tied_mean, half.short) == (0.5, 0.5, 0)


def test_a_row_as_near_as_the_last_counts_where_ties_do(line, tmp_path):
    """The third of the truth is the first of three rows at distance 3."""
    other = measured(line, [0, 1, 4], 3, tmp_path)
    assert other.strict.tolist() == [2 / 3]
    assert other.tied.tolist() == [1]
    only_ties = measured(line, [2, 3, 4], 3, tmp_path)
    assert only_ties.strict.tolist() == [1 / 3]
    assert only_ties.tied.tolist() == [1]


def test_a_repeated_row_counts_once(line, tmp_path):
    found = measured(line, [0, 0], 2, tmp_path)
    assert (found.mean, found.tied_mean, found.repeated, found.short) == (0.5, 0.5, 1, 1)


def test_only_the_first_k_count(line, tmp_path):
    found = measured(line, [5, 4, 0, 1], 2, tmp_path)
    assert (found.mean, found.tied_mean) == (0, 0)


def test_a_short_answer_is_divided_by_what_there_was(line, tmp_path):
    found = measured(line, [0], 4, tmp_path)
    assert (found.mean, found.short, found.matches.tolist()) == (0.25, 1, [4])
    nothing = measured(line, [], 4, tmp_path)
    assert (nothing.mean, nothing.tied_mean, nothing.short) == (0, 0, 1)


def test_few_rows_that_pass_are_the_divisor(line, tmp_path):
    passing = np.array([1, 5])
    found = measured(line, [1, 5], 4, tmp_path, passing)
    assert (found.mean, found.matches.tolist(), found.short) == (1, [2], 0)


def test_rows_that_do_not_pass_or_exist_do_not_count(line, tmp_path):
    found = measured(line, [0, 1, 99, -2], 4, tmp_path, np.array([1, 5]))
    assert (found.mean, found.tied_mean, found.foreign) == (0.5, 0.5, 3)
    assert found.short == 1


def test_nothing_to_find_is_found_by_an_empty_answer_and_foreign_by_another(line, tmp_path):
    empty = np.empty(0, dtype=np.int64)
    right = measured(line, [], 4, tmp_path, empty)
    assert (right.mean, right.tied_mean, right.short, right.foreign) == (1, 1, 0, 0)
    assert measured(line, [3], 4, tmp_path, empty).foreign == 1


def test_an_array_may_be_padded(line, tmp_path):
    exact = truth(line, 3, home=tmp_path)
    found = measures.recall(line, exact, np.array([[0, 1, -1]]), 3)
    assert (found.foreign, found.short, found.strict.tolist()) == (0, 1, [2 / 3])


def test_the_fifth_percentile_is_that_of_the_worst_queries(tmp_path):
    vectors = np.arange(1, 41, dtype=np.float32)[:, None]
    dataset = datasets.make("many", vectors, vectors, "euclidean")
    exact = truth(dataset, 2, home=tmp_path)
    answers = exact.positions.copy()
    answers[:3] = 39
    found = measures.recall(dataset, exact, answers, 2)
    assert found.p5 == 0
    assert found.mean == pytest.approx(37 / 40)


def test_answers_must_be_as_many_as_queries(line, tmp_path):
    exact = truth(line, 2, home=tmp_path)
    with pytest.raises(InvalidInputError, match="2 answers"):
        measures.recall(line, exact, [[0], [1]], 2)
    with pytest.raises(InvalidInputError, match="for k = 1"):
        measures.recall(line, exact, [[0]], 1)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), metric=st.sampled_from(["cosine", "euclidean", "dotproduct"]), k=st.integers(1, 12))
def test_recall_is_its_definition(tmp_path_factory, data, metric, k):
    whole = st.lists(st.lists(st.integers(1, 3), min_size=2, max_size=2), min_size=8, max_size=8)
    vectors = np.array(data.draw(whole), dtype=np.float32)
    dataset = datasets.make("drawn", vectors, vectors[:2], metric)
    passing = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=8, max_size=8)))
    answers = data.draw(st.lists(st.lists(st.integers(0, 7), max_size=14), min_size=2, max_size=2))
    exact = truth(dataset, k, passing, home=tmp_path_factory.mktemp("home"))
    found = measures.recall(dataset, exact, answers, k, passing)
    distances = core.cross_distances(dataset.queries, vectors, metric)
    for query, answer in enumerate(answers):
        ranked = sorted(passing.tolist(), key=lambda row: (distances[query, row], row))[:k]
        kept = set(answer[:k]) & set(passing.tolist())
        if not ranked:
            assert found.strict[query] == found.tied[query] == 1
            continue
        last = distances[query, ranked[-1]]
        near = [row for row in kept if distances[query, row] <= last + 2e-6 * max(1, abs(last))]
        assert found.strict[query] == len(kept & set(ranked)) / len(ranked)
        assert found.tied[query] == min(len(ranked), len(near)) / len(ranked)
        assert found.tied[query] >= found.strict[query]
        assert found.found[query] == len(kept)


def test_an_exact_index_has_recall_one(tmp_path):
    dataset = datasets.load("digits", rows=500, queries=50)
    for metric in ("cosine", "euclidean", "dotproduct"):
        same = datasets.make("digits", dataset.vectors, dataset.queries, metric)
        _, positions = core.knn(same.queries, same.vectors, 10, metric)
        found = measures.recall(same, truth(same, 10, home=tmp_path), positions, 10)
        assert (found.mean, found.tied_mean, found.short) == (1, 1, 0)


def test_percentiles_are_of_all_samples_together():
    fast, slow = np.arange(1, 991), np.arange(1_000_000, 1_000_010)
    found = measures.times([fast, slow])
    assert (found.count, found.p50, found.p95) == (1000, 500, 950)
    assert (found.p99, found.p999, found.max) == (990, None, 1_000_009)
    assert measures.times(np.arange(10_000)).p999 == 9989


def test_few_samples_do_not_say_a_rare_time():
    assert measures.times(np.arange(999)).p99 is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10**12)), min_size=1).filter(any))
def test_a_percentile_is_a_time_that_so_many_do_not_exceed(parts):
    found = measures.times([np.array(part, dtype=np.int64) for part in parts])
    merged = sorted(time for part in parts for time in part)
    for share, value in ((0.5, found.p50), (0.9, found.p90), (0.95, found.p95)):
        assert value in merged
        assert sum(time <= value for time in merged) >= share * len(merged) - 1e-9
        assert sum(time < value for time in merged) < share * len(merged) + 1e-9


@pytest.mark.parametrize("samples", [[], np.array([0.5]), [np.array([1.5])]])
def test_no_times_are_refused(samples):
    with pytest.raises(InvalidInputError, match="whole nanoseconds"):
        measures.times(samples)
