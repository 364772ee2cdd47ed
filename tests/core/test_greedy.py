import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.core import greedy_keep, radius_edges


def naive(n, i, j, distance, order):
    near = [dict() for _ in range(n)]  # noqa: C408
    for a, b, d in zip(i, j, distance, strict=True):
        near[a][b] = near[b][a] = d
    rank = {row: place for place, row in enumerate(order)}
    keep = np.zeros(n, dtype=bool)
    for row in order:
        keep[row] = not any(keep[other] for other in near[row] if rank[other] < rank[row])
    nearest, gap = np.full(n, -1), np.zeros(n)
    for row in range(n):
        if not keep[row]:
            gap[row], _, nearest[row] = min((d, rank[other], other) for other, d in near[row].items() if keep[other])
    return keep, nearest, gap


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_agrees_with_the_plain_loop(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(0, 40))
    i, j = np.triu_indices(n, 1)
    some = rng.random(len(i)) < data.draw(st.floats(0, 1))
    i, j = i[some], j[some]
    swap = rng.random(len(i)) < 0.5
    i, j = np.where(swap, j, i), np.where(swap, i, j)
    distance = rng.integers(0, 4, len(i)).astype(float)  # few values: ties
    order = rng.permutation(n) if data.draw(st.booleans()) else None
    kept = greedy_keep(n, i, j, distance, order)
    expected = naive(n, i.tolist(), j.tolist(), distance, range(n) if order is None else order.tolist())
    for found, right in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(found, right)


def test_what_it_promises_of_real_edges(rng, clustered):
    rows = clustered(rng, 2000, 10)
    i, j, d = (np.concatenate(part) for part in zip(*radius_edges(rows, 0.5, "euclidean"), strict=True))
    order = rng.permutation(2000)
    rank = np.argsort(order)
    keep, nearest, distance = greedy_keep(2000, i, j, d, order)
    assert not (keep[i] & keep[j]).any()
    assert keep[nearest[~keep]].all()
    assert (nearest[keep] == -1).all()
    assert (distance[~keep] <= 0.5).all()
    covered = np.zeros(2000, dtype=bool)
    for a, b in ((i, j), (j, i)):
        covered[b[keep[a] & (rank[a] < rank[b])]] = True
    np.testing.assert_array_equal(covered, ~keep)


def test_chains_stars_and_cliques():
    n = 10_000
    chain = np.arange(n - 1)
    np.testing.assert_array_equal(greedy_keep(n, chain, chain + 1, np.ones(n - 1)).keep, np.arange(n) % 2 == 0)
    star = greedy_keep(n, np.zeros(n - 1, dtype=int), chain + 1, np.ones(n - 1))
    assert star.keep.sum() == 1
    backwards = greedy_keep(n, np.zeros(n - 1, dtype=int), chain + 1, np.ones(n - 1), np.arange(n)[::-1])
    assert backwards.keep.sum() == n - 1
    i, j = np.triu_indices(200, 1)
    assert greedy_keep(200, i, j, np.ones(len(i))).keep.sum() == 1


def test_nothing_to_drop():
    none = np.empty(0, dtype=np.int64)
    assert greedy_keep(0, none, none, np.empty(0)).keep.shape == (0,)
    kept = greedy_keep(3, none, none, np.empty(0))
    assert kept.keep.all()
    np.testing.assert_array_equal(kept.nearest, -1)


def test_inputs_are_left_alone(rng):
    i, j = np.triu_indices(30, 1)
    d, order = rng.random(len(i)), rng.permutation(30)
    for array in (i, j, d, order):
        array.setflags(write=False)
    greedy_keep(30, i, j, d, order)


def test_refusals():
    one = np.array([1])
    with pytest.raises(ValueError, match="aligned"):
        greedy_keep(3, one, np.array([1, 2]), np.ones(1))
    with pytest.raises(ValueError, match="outside"):
        greedy_keep(1, one, np.array([0]), np.ones(1))
    with pytest.raises(ValueError, match="itself"):
        greedy_keep(3, one, one, np.ones(1))
    for bad in ([0, 1], [0, 1, 1], [0, 1, 3], [-1, 0, 1], [0.0, 1.0, 2.0]):
        with pytest.raises(ValueError, match="permutation"):
            greedy_keep(3, one, np.array([0]), np.ones(1), np.array(bad))


def test_millions_of_edges_take_seconds(rng):
    n, e = 200_000, 3_000_000
    i = rng.integers(0, n - 1, e)
    j = i + 1 + (rng.integers(0, n, e) % (n - 1 - i))
    start = time.perf_counter()
    kept = greedy_keep(n, i, j, rng.random(e))
    assert time.perf_counter() - start < 20
    assert not (kept.keep[i] & kept.keep[j]).any()
