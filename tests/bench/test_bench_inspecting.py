"""Hardness against data whose hardness is known, and what filters let pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.bench import datasets, inspecting


def cube(dimension, width, count=4000, seed=0):
    """Uniform in a cube of some dimensions, turned into a wider space: its intrinsic dimension is that of the cube."""
    generator = np.random.default_rng(seed)
    frame = np.linalg.qr(generator.normal(size=(width, dimension)))[0]
    return (generator.uniform(-1, 1, (count, dimension)) @ frame.T).astype(np.float32)


@pytest.mark.parametrize("dimension", [2, 5])
@pytest.mark.parametrize("metric", ["euclidean", "dotproduct"])
def test_the_dimension_of_a_cube_is_found(dimension, metric):
    found = inspecting.inspect(datasets.hold_out("cube", cube(dimension, 20), metric, queries=200))
    assert found.dim == 20
    assert found.lid_median == pytest.approx(dimension, rel=0.15)


def test_under_cosine_the_dimension_is_that_of_directions():
    plain = datasets.hold_out("cube", cube(4, 12), queries=200)
    lengths = np.random.default_rng(1).uniform(0.1, 10, (len(plain.vectors), 1)).astype(np.float32)
    scaled = datasets.make("scaled", plain.vectors * lengths, plain.queries)
    one, other = inspecting.inspect(plain), inspecting.inspect(scaled)
    assert one.lid_median == pytest.approx(3, rel=0.15)
    assert other.lid_median == pytest.approx(one.lid_median, rel=1e-3)
    assert other.contrast_median == pytest.approx(one.contrast_median, rel=1e-3)


def test_the_estimate_is_that_of_its_formula():
    distances = np.array([[1.0, 2.0, 4.0], [0.0, 1.0, np.e]])
    found = inspecting.intrinsic_dimension(distances)
    # -1 / mean(ln 1/4, ln 2/4, 0); the copy of the query is left out: -1 / mean(-1, 0).
    np.testing.assert_allclose(found, [3 / (3 * np.log(2)), 2])


def test_equal_distances_have_no_dimension():
    assert np.isnan(inspecting.intrinsic_dimension(np.array([[2.0, 2.0], [0.0, 0.0]]))).all()


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 50))
def test_the_dimension_does_not_depend_on_the_unit(scale, seed):
    distances = np.sort(np.random.default_rng(seed).uniform(0.1, 1, (3, 20)), axis=1)
    one, other = (inspecting.intrinsic_dimension(distances * unit) for unit in (1, scale))
    np.testing.assert_allclose(one, other)


def test_the_contrast_is_of_the_mean_and_the_tenth():
    vectors = np.concatenate([np.ones(10), np.full(10, 5.0)])[:, None]
    found = inspecting.inspect(datasets.make("two", vectors, np.zeros((1, 1)), "euclidean"))
    assert found.contrast_median == pytest.approx(3)
    assert inspecting.relative_contrast(np.array([1.0]), np.array([0.0])).tolist() == [np.inf]


def test_what_cannot_be_said_is_none():
    found = inspecting.inspect(datasets.make("same", np.ones((20, 2)), np.ones((1, 2)), "euclidean"))
    assert (found.lid_median, found.lid_p90, found.contrast_median) == (None, None, None)


def test_copies_are_counted():
    vectors = np.array([[1, 0], [1, -0.0], [0, 1], [1, 1], [0, 1], [0, 1]], dtype=np.float32)
    found = inspecting.inspect(datasets.make("copies", vectors, np.array([[1, 1], [2, 1]]), "euclidean"))
    assert (found.rows, found.duplicates, found.known_queries) == (6, 3, 1)


def test_norms_are_the_rows_own():
    found = inspecting.inspect(datasets.make("n", np.array([[3, 4], [0, 1], [0, 2]]), np.ones((1, 2))))
    assert (found.norm_min, found.norm_median, found.norm_max) == (1, 2, 5)


def test_fields_say_what_their_values_let_pass():
    metadata = [{"a": "x", "tags": ["p", "q"]}, {"a": "x", "tags": []}, {"a": "y", "b": True}, {"b": 1, "a": None}]
    found = inspecting.inspect(datasets.make("f", np.ones((4, 2)), np.ones((1, 2)), metadata=metadata))
    fields = {field.name: field for field in found.fields}
    assert fields["a"] == inspecting.Field("a", 0.75, 2, 0.25, 0.375, 0.5)
    assert fields["tags"] == inspecting.Field("tags", 0.5, 2, 0.25, 0.25, 0.25)
    assert fields["b"].values == 2


def test_the_mixture_is_as_hard_as_text_and_its_dials_turn():
    """At 4,000 rows; text of WordNet has intrinsic dimension 24 and contrast 1.3 at 20,000."""
    found = {
        dials: inspecting.inspect(datasets.load(f"mixture:{dials}", rows=4000, queries=300))
        for dials in ("alpha=0.75", "alpha=0.5", "alpha=1.2", "topics=20,rank=8")
    }
    plain = found["alpha=0.75"]
    assert 15 < plain.lid_median < 40
    assert 1.1 < plain.contrast_median < 1.5
    assert found["alpha=1.2"].lid_median < plain.lid_median < found["alpha=0.5"].lid_median
    assert found["topics=20,rank=8"].lid_median < 9
