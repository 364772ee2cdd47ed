import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.core import cross_distances, farthest, farthest_first, pair_distances, row_norms

both = pytest.mark.parametrize("metric", ["cosine", "euclidean"])


def naive(rows, count, metric, order):
    """Gonzalez on the pair distances; the first row is given, for it hangs on the last bits of a mean."""
    every = cross_distances(rows, rows, metric)
    rank = np.argsort(order)
    gap = np.full(len(rows), np.inf)

    def following(first):
        chosen, gaps, gap_now = [first], [np.inf], np.minimum(gap, every[first])
        while len(chosen) < count:
            left = np.setdiff1d(np.arange(len(rows)), chosen)
            tied = left[gap_now[left] == gap_now[left].max()]
            best = tied[np.argmin(rank[tied])]
            chosen.append(int(best))
            gaps.append(gap_now[best])
            gap_now = np.minimum(gap_now, every[best])
        return chosen, gaps

    return following


def away_from_mean(rows, metric):
    wide = rows.astype(np.float64)
    if metric == "cosine":
        wide = wide / np.linalg.norm(wide, axis=1)[:, None]
    mean = wide.mean(axis=0)
    if metric == "euclidean":
        return np.linalg.norm(wide - mean, axis=1)
    length = np.linalg.norm(mean)
    return 1 - wide @ mean / length if length > 1e-6 else np.zeros(len(rows))


@both
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_agrees_with_the_plain_traversal(metric, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, d = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 8))
    rows = rng.standard_normal((n, d), dtype=np.float32)
    if data.draw(st.booleans()):
        rows = np.round(rows).astype(np.float32)
        rows[~rows.any(axis=1)] = 1
    count = data.draw(st.integers(1, n))
    order = rng.permutation(n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(farthest, "_FRONT_ELEMENTS", data.draw(st.sampled_from([0, 1 << 20])))
        patch.setattr(farthest, "_LEAST_FRONT", data.draw(st.sampled_from([1, 5, 64])))
        positions, gaps = farthest_first(
            rows,
            count,
            metric,
            order=order,
            norms=row_norms(rows) if data.draw(st.booleans()) else None,
            threads=data.draw(st.sampled_from([1, 2])),
        )
    away = away_from_mean(rows, metric)
    assert away[positions[0]] >= away.max() - 1e-5 * max(1, away.max())
    expected = naive(rows, count, metric, order)(int(positions[0]))
    np.testing.assert_array_equal(positions, expected[0])
    np.testing.assert_array_equal(gaps, expected[1])


@both
def test_gaps_are_true_nested_and_shrink(rng, clustered, metric):
    rows = clustered(rng, 5000, 24)
    positions, gaps = farthest_first(rows, 80, metric)
    assert len(set(positions.tolist())) == 80
    assert np.isinf(gaps[0])
    assert (np.diff(gaps) <= 0).all()
    for step in range(1, 80):
        assert gaps[step] == pair_distances(rows[positions[step]], rows[positions[:step]], metric).min()
    rest = cross_distances(rows[positions], rows, metric).min(axis=0)
    assert rest.max() <= gaps[-1]
    for threads in (1, 2, 3):
        fewer = farthest_first(rows, 33, metric, threads=threads)
        np.testing.assert_array_equal(fewer[0], positions[:33])
        np.testing.assert_array_equal(fewer[1], gaps[:33])


@both
def test_identical_rows_are_chosen_in_order(rng, metric):
    order = rng.permutation(300)
    positions, gaps = farthest_first(np.ones((300, 5), dtype=np.float32), 300, metric, order=order)
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_array_equal(gaps[1:], 0.0)


@both
def test_a_mean_of_zero(metric):
    rows = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float32)
    positions, gaps = farthest_first(rows, 4, metric, order=np.array([2, 0, 1, 3]))
    np.testing.assert_array_equal(positions, [2, 3, 0, 1])
    assert gaps[1] == 2


@both
@pytest.mark.parametrize("scale", [1e-42, 1e19, 3e37])
def test_extreme_magnitudes(rng, metric, scale):
    rows = (rng.uniform(1, 9, (60, 6)) * scale).astype(np.float32)
    positions, gaps = farthest_first(rows, 20, metric)
    expected = naive(rows, 20, metric, np.arange(60))(int(positions[0]))
    np.testing.assert_array_equal(positions, expected[0])
    np.testing.assert_array_equal(gaps, expected[1])


def test_refusals_and_nothing(rng):
    rows = rng.standard_normal((10, 3), dtype=np.float32)
    rows.setflags(write=False)
    for bad in (-1, 11):
        with pytest.raises(ValueError, match="count"):
            farthest_first(rows, bad, "cosine")
    with pytest.raises(ValueError, match="metric"):
        farthest_first(rows, 1, "dotproduct")
    with pytest.raises(ValueError, match="permutation"):
        farthest_first(rows, 1, "cosine", order=np.zeros(10, dtype=int))
    zero = rows.copy()
    zero[4] = 0
    with pytest.raises(ValueError, match="row 4 is zero"):
        farthest_first(zero, 1, "cosine")
    assert farthest_first(rows, 0, "cosine")[0].shape == (0,)
    assert farthest_first(rows[:0], 0, "euclidean")[1].shape == (0,)
    seen = []
    farthest_first(rows, 10, "cosine", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(step, 10) for step in range(1, 11)]
