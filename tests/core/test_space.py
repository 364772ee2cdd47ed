import numpy as np
import pytest

from vecsearch.core import METRICS, cross_distances, row_norms
from vecsearch.core.kernels import KERNELS, Float32Kernel
from vecsearch.core.kernels.float32 import accumulation_bound
from vecsearch.core.space import Space, rounded_down, rounded_up, turned


def assert_within(space, left, right, distances):
    """Every score is within its margin of the target of the distance."""
    tile = space.tile(left, right, np.empty(left.size * right.size, dtype=np.float32))
    target = np.stack([space.target(left, column) for column in distances.T], axis=1)
    wrong = np.abs(tile.raw.astype(np.float64) * tile.unit - target)
    known = np.isfinite(tile.margin)
    assert (wrong[known] <= tile.margin[known, None]).all()
    return tile.margin


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
    distances = cross_distances(x, y, metric)
    for kernel in (kernel for kernel in KERNELS if kernel.available()):
        space = Space(metric, kernel, d, centre, turn=kernel.name == "int8" and offset == 1)
        left = space.queries(x, row_norms(x))
        margin = assert_within(space, left, space.block(y, row_norms(y), queries=queries), distances)
        if scale == 1 and metric != "euclidean" and not (kernel.name == "int8" and metric == "dotproduct"):
            size = np.multiply.outer(row_norms(x), [row_norms(y).max()]) if metric == "dotproduct" else 1.0
            assert (margin[:, None] <= worth(kernel.name, d) * size).all()


def worth(kernel, d):
    """What a margin is at most, of ‖x‖‖y‖; rounding to int8 costs at most half a step of 1/127 in each component."""
    rounding = 5 * accumulation_bound(2 * d + 12)
    return rounding + {"float32": 0.0, "bfloat16": 0.008, "int8": d**0.5 / 127}[kernel]


def test_numbers_too_large_for_float32_are_not_scored():
    x = np.full((3, 4), 1e30, dtype=np.float32)
    for metric in ("euclidean", "dotproduct"):
        space = Space(metric, Float32Kernel(), 4)
        placed = space.queries(x, row_norms(x))
        tile = space.tile(placed, placed, np.full((3, 3), np.nan, dtype=np.float32))
        assert np.isinf(tile.margin).all()
        assert np.isfinite(tile.raw).all()


def test_placing_in_place_leaves_unit_rows(rng):
    x = (rng.standard_normal((40, 6)) * 10.0 ** np.linspace(-40, 37, 40)[:, None]).astype(np.float32)
    x[~x.any(axis=1)] = np.float32(1e-44)
    space = Space("cosine", Float32Kernel(), 6)
    apart = space.block(x, row_norms(x)).operand
    own = x.copy()
    space.block(own, row_norms(x), own)
    np.testing.assert_array_equal(own, apart)
    np.testing.assert_allclose(row_norms(own), 1.0, rtol=1e-6)


def test_rounded_down():
    values = np.array([0.0, 1.0, 0.1, -0.1, 1e300, -1e300, 1e-300, np.inf, -np.inf])
    assert (rounded_down(values).astype(np.float64) <= values).all()
    assert (rounded_up(values).astype(np.float64) >= values).all()
    assert accumulation_bound(1 << 24) == np.inf


@pytest.mark.parametrize("d", [1, 3, 16, 64, 100, 384])
def test_turning_keeps_inner_products_and_spreads_peaks(rng, d):
    x = rng.standard_normal((50, d)).astype(np.float32)
    x[:, 0] += 20
    np.testing.assert_allclose(turned(x) @ turned(x).T, x @ x.T, rtol=1e-4, atol=1e-3)
    if d >= 64:
        assert np.abs(turned(x)).max() < 0.5 * np.abs(x).max()
