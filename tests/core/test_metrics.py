import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.core import METRICS, cross_distances, pair_distances, row_norms

every_metric = pytest.mark.parametrize("metric", METRICS)


@every_metric
@pytest.mark.parametrize("d", [1, 2, 3, 8, 17, 64, 100, 384, 5000, 9000])
def test_agrees_with_float64(rng, metric, d):
    x, y = rng.standard_normal((2, 20, d), dtype=np.float32)
    expected = np.diag(oracle.distances(x, y, metric))
    oracle.assert_distances(pair_distances(x, y, metric), expected, oracle.scale(np.vstack([x, y]), metric))


@every_metric
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 70), m=st.integers(1, 40), exponent=st.integers(-20, 18))
def test_is_a_function_of_the_pair_to_the_last_bit(metric, seed, d, m, exponent):
    rng = np.random.default_rng(seed)
    scale = np.float32(10.0**exponent)
    x, y = rng.standard_normal((2, m, d), dtype=np.float32) * scale
    x[x == 0] = scale
    y[y == 0] = scale
    y[::3] = x[::3] * np.float32(1 + 1e-6)
    together = pair_distances(x, y, metric)
    alone = np.concatenate([pair_distances(x[t], y[t], metric) for t in range(m)])
    shuffle = rng.permutation(m)
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together[shuffle], pair_distances(x[shuffle], y[shuffle], metric))
    np.testing.assert_array_equal(together, pair_distances(y, x, metric))
    np.testing.assert_array_equal(pair_distances(x[0], y, metric), cross_distances(x[:1], y, metric)[0])
    np.testing.assert_array_equal(pair_distances(y, x[0], metric), cross_distances(x[:1], y, metric)[0])
    np.testing.assert_array_equal(np.diag(cross_distances(x, y, metric)), together)


@every_metric
@pytest.mark.parametrize("d", [5, 384, 5000])
def test_does_not_depend_on_memory(rng, metric, d):
    x, y = rng.standard_normal((2, 300, d), dtype=np.float32)
    expected = pair_distances(x, y, metric)
    shifted = np.empty(x.size + 1, dtype=np.float32)[1:].reshape(x.shape)  # 4 bytes off any wider alignment
    shifted[:] = x
    strided = np.empty((300, 2 * d), dtype=np.float32)[:, ::2]
    strided[:] = x
    for same in (shifted, strided, np.asfortranarray(x)):
        np.testing.assert_array_equal(pair_distances(same, y, metric), expected)
        np.testing.assert_array_equal(row_norms(same), row_norms(x))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_row_is_at_exactly_zero_from_itself(rng, metric):
    x = (rng.standard_normal((50, 33)) * 10.0 ** np.arange(-25, 25)[:, None]).astype(np.float32)
    np.testing.assert_array_equal(pair_distances(x, x, metric), 0.0)


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-30, 1e-20, 1.0, 1e15, 1e20, 3e37])
@every_metric
def test_every_finite_magnitude(rng, metric, scale):
    x, y = (rng.uniform(1, 9, (2, 30, 40)) * scale).astype(np.float32)
    expected = np.diag(oracle.distances(x, y, metric))
    np.testing.assert_allclose(pair_distances(x, y, metric), expected, rtol=1e-5, atol=0)
    norms = np.sqrt((x.astype(np.float64) ** 2).sum(axis=1))
    np.testing.assert_allclose(row_norms(x), norms, rtol=1e-5, atol=0)


def test_mixed_magnitudes(rng):
    x = (rng.standard_normal((40, 12)) * 10.0 ** np.linspace(-37, 37, 40)[:, None]).astype(np.float32)
    for metric in METRICS:
        expected = oracle.distances(x, x, metric)
        off = ~np.eye(len(x), dtype=bool)
        np.testing.assert_allclose(cross_distances(x, x, metric)[off], expected[off], rtol=1e-4, atol=1e-300)


def test_near_duplicates_keep_their_digits(rng):
    x = rng.standard_normal((30, 384), dtype=np.float32)
    y = x + np.float32(1e-4) * rng.standard_normal((30, 384), dtype=np.float32)
    for metric in ("cosine", "euclidean"):
        expected = np.diag(oracle.distances(x, y, metric))
        np.testing.assert_allclose(pair_distances(x, y, metric), expected, rtol=1e-4, atol=0)


def test_parallel_rows_are_at_zero_under_cosine(rng):
    x = rng.standard_normal((30, 100), dtype=np.float32)
    assert pair_distances(x, x * np.float32(3), "cosine").max() < 1e-13
    np.testing.assert_allclose(pair_distances(x, -x, "cosine"), 2.0, rtol=1e-5)


def test_refusals(rng):
    x = rng.standard_normal((4, 3), dtype=np.float32)
    with pytest.raises(TypeError, match="float32"):
        pair_distances(x.astype(np.float64), x, "cosine")
    with pytest.raises(ValueError, match="wide"):
        pair_distances(x, x[:, :2], "cosine")
    with pytest.raises(ValueError, match="aligned"):
        pair_distances(x, x[:3], "cosine")
    with pytest.raises(ValueError, match="metric"):
        pair_distances(x, x, "manhattan")
    with pytest.raises(ValueError, match="shape"):
        row_norms(x[0])
    x[2] = 0
    with pytest.raises(ValueError, match="row 2 is zero"):
        pair_distances(x, x, "cosine")
    assert pair_distances(x, x, "euclidean")[2] == 0
    assert str(pair_distances(x, x, "dotproduct")[2]) == "0.0"


@every_metric
def test_nothing_in_nothing_out(metric):
    none = np.empty((0, 4), dtype=np.float32)
    assert pair_distances(none, none, metric).shape == (0,)
    assert cross_distances(none, np.ones((3, 4), dtype=np.float32), metric).shape == (0, 3)
    assert row_norms(none).shape == (0,)
