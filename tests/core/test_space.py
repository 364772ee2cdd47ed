import numpy as np
import pytest

from vecsearch.core import METRICS, cross_distances, row_norms
from vecsearch.core.kernels import Float32Kernel, default_kernel
from vecsearch.core.kernels.float32 import accumulation_bound
from vecsearch.core.space import Space, rounded_down


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", [1, 7, 64, 384, 3000])
@pytest.mark.parametrize("offset", [0, 1, 100])
@pytest.mark.parametrize("queries", [1, 100])
@pytest.mark.parametrize("scale", [1e-22, 1.0, 1e17])
def test_the_margin_holds_and_is_of_use(rng, metric, d, offset, queries, scale):
    x, y = ((offset + rng.standard_normal((2, 200, d))) * scale).astype(np.float32)
    y[::2] = x[::2] * (1 + 1e-3 * rng.standard_normal((100, d))).astype(np.float32)
    x[:3] *= np.float32(30)
    centre = x.mean(axis=0) if queries > 1 else None
    space = Space(metric, Float32Kernel(), d, centre)
    left = space.place(x, row_norms(x))
    right = space.place(y, row_norms(y), queries=queries)
    scores = np.empty((200, 200), dtype=np.float32)
    margin = space.scores(left, right, scores)
    distances = cross_distances(x, y, metric)
    target = np.stack([space.target(left, column) for column in distances.T], axis=1)
    assert (np.abs(scores - target) <= margin[:, None]).all()
    size = np.multiply.outer(row_norms(x), [row_norms(y).max()]) if metric == "dotproduct" else 1.0
    if metric != "euclidean" and scale == 1:
        assert (margin[:, None] <= 5 * accumulation_bound(d + 12) * size).all()


def test_numbers_too_large_for_float32_are_not_scored():
    x = np.full((3, 4), 1e30, dtype=np.float32)
    for metric in ("euclidean", "dotproduct"):
        space = Space(metric, Float32Kernel(), 4)
        placed = space.place(x, row_norms(x))
        scores = np.full((3, 3), np.nan, dtype=np.float32)
        assert np.isinf(space.scores(placed, placed, scores)).all()
        assert np.isfinite(scores).all()


def test_placing_in_place_leaves_unit_rows(rng):
    x = (rng.standard_normal((40, 6)) * 10.0 ** np.linspace(-40, 37, 40)[:, None]).astype(np.float32)
    x[~x.any(axis=1)] = np.float32(1e-44)
    space = Space("cosine", default_kernel(), 6)
    apart = space.place(x, row_norms(x)).operand
    own = x.copy()
    space.place(own, row_norms(x), own)
    np.testing.assert_array_equal(own, apart)
    np.testing.assert_allclose(row_norms(own), 1.0, rtol=1e-6)


def test_rounded_down():
    values = np.array([0.0, 1.0, 0.1, -0.1, 1e300, -1e300, 1e-300, np.inf, -np.inf])
    assert (rounded_down(values).astype(np.float64) <= values).all()
    assert default_kernel().available()
    assert accumulation_bound(1 << 24) == np.inf
