"""The truth against brute force, and its cache."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch import core
from vecsearch.bench import datasets
from vecsearch.bench.truth import truth
from vecsearch.errors import InvalidInputError


def small(count=40, d=3, queries=6, metric="cosine", seed=0):
    generator = np.random.default_rng(seed)
    # Whole numbers near zero: many rows are equal or at one distance.
    vectors = generator.integers(1, 4, (count, d)).astype(np.float32)
    return datasets.make("small", vectors, generator.integers(1, 4, (queries, d)), metric)


def brute(dataset, query, k, passing):
    distances = core.cross_distances(dataset.queries[query : query + 1], dataset.vectors[passing], dataset.metric)[0]
    order = np.argsort(distances, kind="stable")[:k]
    return passing[order], distances[order]


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    metric=st.sampled_from(["cosine", "euclidean", "dotproduct"]),
    k=st.integers(1, 50),
    seed=st.integers(0, 5),
)
def test_the_truth_is_brute_force_for_every_query_and_filter(tmp_path_factory, data, metric, k, seed):
    dataset = small(metric=metric, seed=seed)
    filters = [np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=40, max_size=40))) for _ in range(2)]
    filters.append(np.empty(0, dtype=np.int64))
    positions = [filters[number % 3] for number in range(6)]
    found = truth(dataset, k, positions, home=tmp_path_factory.mktemp("home"))
    assert found.positions.shape == (6, min(k, max(map(len, filters))))
    for query, passing in enumerate(positions):
        rows, distances = brute(dataset, query, k, passing)
        width = len(rows)
        assert found.positions[query, :width].tolist() == rows.tolist()
        assert found.distances[query, :width].tolist() == distances.tolist()
        assert (found.positions[query, width:] == -1).all()
        assert np.isinf(found.distances[query, width:]).all()


def test_one_filter_for_all_is_the_same_as_one_for_each(tmp_path):
    dataset, passing = small(), np.arange(3, 30, 2)
    together = truth(dataset, 5, passing, home=tmp_path)
    apart = truth(dataset, 5, [passing.copy() for _ in range(6)], home=tmp_path)
    np.testing.assert_array_equal(together.positions, apart.positions)


def test_what_was_found_is_kept_and_a_change_is_found_anew(tmp_path, monkeypatch):
    asked = []
    knn = core.knn
    monkeypatch.setattr(core, "knn", lambda *args, **words: asked.append(1) or knn(*args, **words))
    dataset = small()
    first = truth(dataset, 5, home=tmp_path)
    again = truth(small(), 5, home=tmp_path)
    assert len(asked) == 1
    np.testing.assert_array_equal(first.positions, again.positions)
    np.testing.assert_array_equal(first.distances, again.distances)
    for number, (other, k, positions) in enumerate(
        [
            (dataset, 6, None),
            (dataset, 5, np.arange(40)),
            (dataset, 5, np.arange(39)),
            (small(seed=1), 5, None),
            (small(metric="euclidean"), 5, None),
        ],
        2,
    ):
        truth(other, k, positions, home=tmp_path)
        assert len(asked) == number


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off", "no zip"])
def test_a_damaged_cache_is_found_anew(tmp_path, damage):
    dataset = small()
    first = truth(dataset, 5, home=tmp_path)
    (file,) = (tmp_path / "bench" / "truth").iterdir()
    file.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    np.testing.assert_array_equal(truth(dataset, 5, home=tmp_path).positions, first.positions)
    assert file.stat().st_size > 100


def test_the_cache_is_under_the_configured_home(tmp_path, monkeypatch):
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path / "mine"))
    truth(small(), 2)
    assert len(list((tmp_path / "mine" / "bench" / "truth").glob("*.npz"))) == 1


@pytest.mark.parametrize(
    "positions",
    [np.array([3, 2]), np.array([2, 2]), np.array([-1]), np.array([40]), np.array([0.5]), [np.array([1])] * 5],
)
def test_positions_that_are_none_are_refused(tmp_path, positions):
    with pytest.raises(InvalidInputError, match="positions"):
        truth(small(), 3, positions, home=tmp_path)


def test_k_is_at_least_one(tmp_path):
    with pytest.raises(InvalidInputError, match="k must be at least 1"):
        truth(small(), 0, home=tmp_path)
