import threading
import tracemalloc

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from vecsearch.core import METRICS, Nearest, cross_distances, knn, pair_distances, row_norms, scan, shortlist
from vecsearch.core import search as module

every_metric = pytest.mark.parametrize("metric", METRICS)


def reference(queries, rows, k, metric, positions=None):
    """Brute force on the pair distances themselves: k-NN must give these bits."""
    positions = np.arange(len(rows)) if positions is None else positions
    every = cross_distances(queries, rows[positions], metric)
    best = np.argsort(every, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(every, best, axis=1), positions[best]


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(module, "_TILE_QUERIES", 7)
    monkeypatch.setattr(scan, "_TILE_SCORES", 7 * 64)
    monkeypatch.setattr(module, "_MIN_QUERIES", 4)
    monkeypatch.setattr(module, "_SMALL_WORK", 0)
    monkeypatch.setattr(shortlist, "_SLACK", 70)


@every_metric
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_shape_and_any_tiling(metric, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, d, q = data.draw(st.integers(1, 700)), data.draw(st.integers(1, 20)), data.draw(st.integers(1, 40))
    k = data.draw(st.integers(1, n + 3))
    rows = rng.standard_normal((n, d), dtype=np.float32)
    if data.draw(st.booleans()):  # a coarse grid: many exact ties and duplicates
        rows = np.round(rows * 2).astype(np.float32)
        rows[~rows.any(axis=1)] = 1
    queries = rows[rng.integers(0, n, q)] if data.draw(st.booleans()) else rng.standard_normal((q, d), np.float32)
    positions = np.flatnonzero(rng.random(n) < 0.6) if data.draw(st.booleans()) else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TILE_QUERIES", data.draw(st.sampled_from([1, 3, 512])))
        patch.setattr(scan, "_TILE_SCORES", data.draw(st.sampled_from([64, 1 << 20])))
        patch.setattr(module, "_MIN_QUERIES", data.draw(st.sampled_from([2, 64])))
        patch.setattr(module, "_EXHAUSTIVE", data.draw(st.sampled_from([0, 4])))
        patch.setattr(module, "_SMALL_WORK", 0)
        patch.setattr(shortlist, "_SLACK", data.draw(st.sampled_from([16, 512])))
        found = knn(
            queries,
            rows,
            k,
            metric,
            positions=positions,
            norms=row_norms(rows) if data.draw(st.booleans()) else None,
            threads=data.draw(st.sampled_from([1, 2, 3])),
        )
    assert_same(found, reference(queries, rows, k, metric, positions))
    oracle.assert_nearest(*found, queries, rows, k, metric, positions)


@every_metric
@pytest.mark.parametrize("k", [1, 10, 100, 1000, 3000])
def test_clustered_rows_in_their_order(rng, clustered, metric, k):
    rows = clustered(rng, 3000, 32)
    queries = rows[rng.integers(0, 3000, 70)]
    found = knn(queries, rows, k, metric)
    assert_same(found, reference(queries, rows, k, metric))
    oracle.assert_nearest(*found, queries, rows, k, metric)


@every_metric
@pytest.mark.parametrize("q", [1, 2, 15, 16, 200])
def test_any_number_of_queries(rng, metric, q):
    rows = rng.standard_normal((5000, 24), dtype=np.float32)
    queries = rng.standard_normal((q, 24), dtype=np.float32)
    assert_same(knn(queries, rows, 10, metric), reference(queries, rows, 10, metric))


@every_metric
def test_identical_rows_come_in_their_order(metric, small_tiles):
    rows = np.ones((900, 6), dtype=np.float32)
    distances, positions = knn(rows[:30], rows, 20, metric, threads=2)
    np.testing.assert_array_equal(positions, np.tile(np.arange(20), (30, 1)))
    np.testing.assert_array_equal(distances, -6.0 if metric == "dotproduct" else 0.0)


@every_metric
def test_more_ties_than_room(rng, metric, small_tiles):
    few = rng.integers(-2, 3, (5, 8)).astype(np.float32)
    few[~few.any(axis=1)] = 1
    rows = few[rng.integers(0, 5, 2000)]
    queries = rng.standard_normal((30, 8), dtype=np.float32)
    for k in (1, 9, 60):
        assert_same(knn(queries, rows, k, metric, threads=2), reference(queries, rows, k, metric))


@every_metric
def test_far_from_the_origin(rng, metric):
    rows = 1000 + rng.standard_normal((2000, 16), dtype=np.float32)
    for q in (1, 50):
        assert_same(knn(rows[:q], rows, 10, metric), reference(rows[:q], rows, 10, metric))


@every_metric
@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-25, 1e15, 1e19, 3e37])
def test_extreme_magnitudes(rng, metric, scale, small_tiles):
    rows = (rng.uniform(-9, 9, (600, 10)) * scale).astype(np.float32)
    rows[~rows.any(axis=1)] = np.float32(1e-44)
    found = knn(rows[:20], rows, 5, metric)
    assert_same(found, reference(rows[:20], rows, 5, metric))
    assert np.isfinite(found[0]).all()


@every_metric
def test_one_huge_row_among_ordinary_ones(rng, metric, small_tiles):
    rows = rng.standard_normal((600, 10), dtype=np.float32)
    rows[300] *= np.float32(1e37)
    assert_same(knn(rows[290:310], rows, 5, metric), reference(rows[290:310], rows, 5, metric))


def test_memory_map_and_read_only(rng, tmp_path):
    rows = rng.standard_normal((3000, 20), dtype=np.float32)
    rows.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", dtype=np.float32, mode="r", shape=rows.shape)
    queries = rows[:40].copy()
    queries.setflags(write=False)
    norms = row_norms(mapped)
    norms.setflags(write=False)
    positions = np.arange(0, 3000, 3)
    positions.setflags(write=False)
    for metric in METRICS:
        found = knn(queries, mapped, 5, metric, positions=positions, norms=norms)
        assert_same(found, reference(queries, rows, 5, metric, positions))
    np.testing.assert_array_equal(np.fromfile(tmp_path / "rows", dtype=np.float32).reshape(rows.shape), rows)


def test_odd_memory_layouts(rng):
    rows = rng.standard_normal((500, 12), dtype=np.float32)
    expected = reference(rows[:9], rows, 4, "cosine")
    assert_same(knn(np.asfortranarray(rows[:9]), np.asfortranarray(rows), 4, "cosine"), expected)
    wide = np.repeat(rows, 2, axis=1)[:, ::2]
    assert_same(knn(wide[:9], wide, 4, "cosine"), expected)


def test_refusals(rng):
    rows = rng.standard_normal((10, 3), dtype=np.float32)
    for bad in ([3, 1], [0, 0], [-1], [10], [0.5]):
        with pytest.raises(ValueError, match="positions"):
            knn(rows, rows, 1, "cosine", positions=np.array(bad))
    with pytest.raises(TypeError, match="float32"):
        knn(rows, rows.astype(np.float64), 1, "cosine")
    with pytest.raises(TypeError, match="float32"):
        knn(rows.astype(np.float16), rows, 1, "cosine")
    with pytest.raises(TypeError, match="row_norms"):
        knn(rows, rows, 1, "cosine", norms=np.ones(10, dtype=np.float32))
    with pytest.raises(ValueError, match="norms"):
        knn(rows, rows, 1, "cosine", norms=np.ones(9))
    with pytest.raises(ValueError, match="wide"):
        knn(rows[:, :2], rows, 1, "cosine")
    with pytest.raises(ValueError, match="shape"):
        knn(rows[0], rows, 1, "cosine")
    with pytest.raises(ValueError, match="k must"):
        knn(rows, rows, 0, "cosine")
    with pytest.raises(ValueError, match="threads"):
        knn(rows, rows, 1, "cosine", threads=0)
    with pytest.raises(ValueError, match="metric"):
        knn(rows, rows, 1, "hamming")


@pytest.mark.parametrize("q", [1, 30])
def test_a_zero_row_has_no_cosine(rng, q):
    rows = rng.standard_normal((1000, 3), dtype=np.float32)
    queries = rows[:q].copy()
    rows[700] = 0
    with pytest.raises(ValueError, match="row 700 is zero"):
        knn(queries, rows, 3, "cosine")
    with pytest.raises(ValueError, match="row 700 is zero"):
        knn(queries, rows, 3, "cosine", norms=row_norms(rows))
    knn(queries, rows, 3, "cosine", positions=np.arange(700))
    with pytest.raises(ValueError, match=r"queries: row 0 is zero"):
        knn(rows[700:], rows[:700], 3, "cosine")
    with pytest.raises(ValueError, match="zero"):
        Nearest(queries, 3, "cosine").update(rows, np.arange(1000))
    assert knn(queries, rows, 3, "euclidean")[0].shape == (q, 3)


def test_a_row_that_is_not_finite_is_refused(rng):
    rows = rng.standard_normal((100, 3), dtype=np.float32)
    for bad in (np.nan, np.inf):
        rows[50, 1] = bad
        for metric in METRICS:
            for q in (1, 40):
                with pytest.raises(ValueError, match="row 50 is not finite"):
                    knn(rows[:q], rows, 3, metric)


def test_a_k_beyond_all_measure_costs_nothing(rng):
    rows = rng.standard_normal((20, 3), dtype=np.float32)
    assert knn(rows, rows, 1 << 60, "cosine")[1].shape == (20, 20)
    nearest = Nearest(rows, 1 << 60, "cosine")
    for start in (0, 10):
        nearest.update(rows[start : start + 10], np.arange(start, start + 10))
    assert_same(nearest.result(), reference(rows, rows, 20, "cosine"))


@every_metric
def test_nothing_in_nothing_out(metric):
    none, some = np.empty((0, 4), dtype=np.float32), np.ones((3, 4), dtype=np.float32)
    assert knn(none, some, 2, metric)[1].shape == (0, 2)
    assert knn(some, none, 2, metric)[1].shape == (3, 0)
    assert knn(some, some, 2, metric, positions=np.empty(0, dtype=np.int64))[1].shape == (3, 0)
    assert Nearest(some, 2, metric).result()[0].shape == (3, 0)


@every_metric
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 30), coarse=st.booleans(), sizes=st.lists(st.integers(0, 200)))
def test_batches_give_what_one_matrix_gives(metric, seed, k, coarse, sizes):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((sum(sizes), 5), dtype=np.float32)
    rows = np.round(rows).astype(np.float32) if coarse else rows
    rows[~rows.any(axis=1)] = 1
    queries = rng.standard_normal((6, 5), dtype=np.float32)
    labels = rng.permutation(len(rows))
    nearest = Nearest(queries, k, metric)
    start = 0
    for size in sizes:
        nearest.update(rows[start : start + size], labels[start : start + size])
        start += size
    by_label = rows[np.argsort(labels)]
    assert_same(nearest.result(), reference(queries, by_label, k, metric))


def test_a_refused_batch_changes_nothing(rng):
    rows = rng.standard_normal((50, 4), dtype=np.float32)
    nearest = Nearest(rows[:3], 5, "cosine")
    nearest.update(rows, np.arange(50))
    before = nearest.result()
    with pytest.raises(ValueError, match="labels"):
        nearest.update(rows, np.arange(49))
    with pytest.raises(ValueError, match="zero"):
        nearest.update(np.zeros((5, 4), dtype=np.float32), np.arange(50, 55))
    assert_same(nearest.result(), before)


def test_progress_ends_at_the_total(rng):
    rows = rng.standard_normal((4000, 8), dtype=np.float32)
    for q, k, threads in ((1, 3, 1), (300, 3, 2), (5, 3000, 2)):
        seen = []
        caller = threading.get_ident()

        def progress(done, total, seen=seen, caller=caller):
            assert threading.get_ident() == caller
            seen.append((done, total))

        knn(rows[:q], rows, k, "cosine", threads=threads, progress=progress)
        assert seen[-1][0] == seen[-1][1]
        assert seen == sorted(seen)


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_an_interrupt_leaves_nothing_behind(rng):
    rows = rng.standard_normal((60000, 64), dtype=np.float32)
    before, blas = threading.active_count(), blas_threads()

    def interrupt(_done, _total):
        raise KeyboardInterrupt

    for threads in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            knn(rows[:20000], rows, 10, "cosine", threads=threads, progress=interrupt)
        assert threading.active_count() == before
        assert blas_threads() == blas


def test_several_user_threads_at_once(rng):
    rows = rng.standard_normal((8000, 32), dtype=np.float32)
    expected = {metric: reference(rows[:100], rows, 10, metric) for metric in METRICS}
    blas = blas_threads()
    errors = []

    def user(metric):
        try:
            for _ in range(4):
                assert_same(knn(rows[:100], rows, 10, metric, threads=2), expected[metric])
        except BaseException as error:  # noqa: BLE001 - whatever it is, the main thread must hear of it
            errors.append(error)

    users = [threading.Thread(target=user, args=(metric,)) for metric in METRICS * 2]
    for one in users:
        one.start()
    for one in users:
        one.join()
    assert not errors
    assert blas_threads() == blas


def test_distances_are_pair_distances(rng):
    rows = rng.standard_normal((2000, 50), dtype=np.float32)
    for metric in METRICS:
        distances, positions = knn(rows[:30], rows, 7, metric)
        for query, near, row in zip(rows, distances, positions, strict=False):
            np.testing.assert_array_equal(near, pair_distances(query, rows[row], metric))


def test_memory_is_the_tile(rng):
    rows = rng.standard_normal((100_000, 32), dtype=np.float32)
    tracemalloc.start()
    try:
        knn(rows[:512], rows, 10, "cosine", threads=2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        knn(rows[:512], rows, 10, "euclidean", threads=2, positions=np.arange(0, 100_000, 2))
        peak = max(peak, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20  # the full matrix of scores would be 195 MiB
