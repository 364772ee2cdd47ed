import threading
import tracemalloc

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.core import Edges, TooManyEdgesError, cross_distances, radius, radius_edges, row_norms

both = pytest.mark.parametrize("metric", ["cosine", "euclidean"])


def collect(parts):
    parts = list(parts)
    assert all(isinstance(part, Edges) and len(part.i) for part in parts)
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def assert_all_pairs(edges, rows, thresh, metric):
    i, j, distance = edges
    assert i.dtype == j.dtype == np.int64
    assert (i < j).all()
    every = cross_distances(rows, rows, metric)
    np.testing.assert_array_equal(distance, every[i, j])
    pairs = list(zip(i.tolist(), j.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    expected = np.argwhere(np.triu(every <= thresh, 1))
    assert set(pairs) == set(map(tuple, expected.tolist()))


@both
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_pair_once(metric, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, d = data.draw(st.integers(0, 150)), data.draw(st.integers(1, 12))
    rows = rng.standard_normal((n, d), dtype=np.float32)
    if data.draw(st.booleans()):
        rows = np.round(rows).astype(np.float32)
        rows[~rows.any(axis=1)] = 1
    every = cross_distances(rows, rows, metric)
    # A threshold that is itself a distance: <= must hold on the pair distance, whatever the product said.
    thresh = float(rng.choice(every.ravel())) if n else 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(radius, "_TILE", data.draw(st.sampled_from([9, 64, 1024])))
        found = collect(
            radius_edges(
                rows,
                thresh,
                metric,
                norms=row_norms(rows) if data.draw(st.booleans()) else None,
                threads=data.draw(st.sampled_from([1, 3])),
            )
        )
    assert_all_pairs(found, rows, thresh, metric)


@both
def test_agrees_with_float64(rng, clustered, metric):
    rows = clustered(rng, 1500, 20)
    thresh = 0.03 if metric == "cosine" else 0.8
    i, j, distance = collect(radius_edges(rows, thresh, metric))
    truth = oracle.distances(rows, rows, metric)
    oracle.assert_distances(distance, truth[i, j], oracle.scale(rows, metric))
    slack = 1e-4 * thresh
    certain = np.triu(truth <= thresh - slack, 1)
    possible = np.triu(truth <= thresh + slack, 1)
    found = np.zeros_like(certain)
    found[i, j] = True
    assert certain.sum() > 100
    assert (found >= certain).all()
    assert (found <= possible).all()


@both
def test_duplicates_at_zero(rng, metric):
    rows = rng.standard_normal((60, 9), dtype=np.float32)
    rows[30:] = rows[:30]
    i, j, distance = collect(radius_edges(rows, 0, metric))
    np.testing.assert_array_equal(np.sort(i), np.arange(30))
    np.testing.assert_array_equal(j, i + 30)
    np.testing.assert_array_equal(distance, 0.0)


@both
def test_identical_rows(metric, monkeypatch):
    monkeypatch.setattr(radius, "_TILE", 32)
    i, _, distance = collect(radius_edges(np.ones((100, 4), dtype=np.float32), 0, metric))
    assert len(i) == 100 * 99 // 2
    assert not distance.any()


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e17, 1e19, 3e37])
@both
def test_extreme_magnitudes(rng, metric, scale):
    rows = (rng.uniform(-9, 9, (80, 6)) * scale).astype(np.float32)
    thresh = float(np.median(cross_distances(rows, rows, metric)))
    assert_all_pairs(collect(radius_edges(rows, thresh, metric)), rows, thresh, metric)


@both
@pytest.mark.parametrize("thresh", [-1.0, np.inf])
def test_none_and_all(rng, metric, thresh):
    rows = rng.standard_normal((50, 3), dtype=np.float32)
    assert len(collect(radius_edges(rows, thresh, metric))[0]) == (0 if thresh < 0 else 50 * 49 // 2)


def test_a_cap_says_how_far_it_came(rng, monkeypatch):
    monkeypatch.setattr(radius, "_TILE", 16)
    rows = rng.standard_normal((100, 3), dtype=np.float32)
    everything = collect(radius_edges(rows, 5, "euclidean", max_edges=4950))
    count = len(everything[0])
    assert len(collect(radius_edges(rows, 5, "euclidean", max_edges=count))[0]) == count
    before = threading.active_count()
    with pytest.raises(TooManyEdgesError, match="more than 50 pairs") as caught:
        list(radius_edges(rows, 5, "euclidean", max_edges=50, threads=3))
    assert isinstance(caught.value, ValueError)
    assert (caught.value.max_edges, caught.value.thresh, caught.value.pairs) == (50, 5.0, 4950)
    assert 0 < caught.value.compared < 4950
    assert threading.active_count() == before


def test_order_does_not_depend_on_threads(rng, monkeypatch):
    monkeypatch.setattr(radius, "_TILE", 16)
    rows = rng.standard_normal((200, 3), dtype=np.float32)
    one, three = (collect(radius_edges(rows, 0.5, "euclidean", threads=threads)) for threads in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


def test_abandoning_it_ends_its_threads(rng, monkeypatch):
    monkeypatch.setattr(radius, "_TILE", 16)
    rows = rng.standard_normal((500, 3), dtype=np.float32)
    before = threading.active_count()
    edges = radius_edges(rows, 9, "euclidean", threads=2)
    next(edges)
    edges.close()
    assert threading.active_count() == before

    def interrupt(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(radius_edges(rows, 9, "euclidean", threads=2, progress=interrupt))
    assert threading.active_count() == before


def test_progress_counts_pairs(rng, monkeypatch):
    monkeypatch.setattr(radius, "_TILE", 16)
    seen = []
    rows = rng.standard_normal((100, 3), dtype=np.float32)
    list(radius_edges(rows, 0.1, "cosine", progress=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (4950, 4950)
    assert seen == sorted(seen)


def test_refusals(rng):
    rows = rng.standard_normal((10, 3), dtype=np.float32)
    rows.setflags(write=False)
    with pytest.raises(ValueError, match="metric"):
        radius_edges(rows, 1, "dotproduct")
    with pytest.raises(ValueError, match="nan"):
        radius_edges(rows, float("nan"), "cosine")
    with pytest.raises(TypeError, match="float32"):
        radius_edges(rows.astype(np.float64), 1, "cosine")
    zero = rows.copy()
    zero[4] = 0
    with pytest.raises(ValueError, match="row 4 is zero"):
        list(radius_edges(zero, 1, "cosine"))
    assert not list(radius_edges(rows[:1], 1, "cosine"))


def test_memory_is_the_tile(rng):
    rows = rng.standard_normal((20_000, 16), dtype=np.float32)
    tracemalloc.start()
    try:
        count = sum(len(edges.i) for edges in radius_edges(rows, 0.1, "cosine", threads=2))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count > 0
    assert peak < 48 << 20  # the matrix of scores would be 1.5 GiB
