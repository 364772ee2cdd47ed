"""The answers are the same, to the last bit, whatever proposes the candidates."""

import os
import subprocess
import sys
import threading

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.core import METRICS, Packed, edge_order, knn, packed, radius, radius_edges, scan, search, shortlist
from vecsearch.core.kernels import KERNELS, bfloat16, int8, kernel_chain, numkong
from vecsearch.core.rows import Source
from vecsearch.core.threads import Crew

HERE = [kernel.name for kernel in KERNELS if kernel.available()]
every_metric = pytest.mark.parametrize("metric", METRICS)
needs_int8 = pytest.mark.skipif("int8" not in HERE, reason="numkong or the instructions are not here")


def patched_small(patch):
    """Let the smallest work be packed, in small blocks, and meet every branch."""
    patch.setattr(search, "_PACK_QUERIES", 1)
    patch.setattr(search, "_PACK_ROWS", 1)
    patch.setattr(search, "_SMALL_WORK", 0)
    patch.setattr(search, "_MIN_QUERIES", 4)
    patch.setattr(search, "_EXHAUSTIVE", 1)
    patch.setattr(search, "_PACKED_QUERIES", 16)
    patch.setattr(packed, "_BLOCK_ROWS", (32, 128))
    patch.setattr(packed, "_LEAST_TAIL", 1)
    patch.setattr(packed, "_LEAST_ASKED", 0)
    patch.setattr(packed, "STRETCH_ELEMENTS", 1 << 11)
    patch.setattr(search, "STRETCH_ELEMENTS", 1 << 11)
    patch.setattr(radius, "_PACK_ROWS", 1)
    patch.setattr(radius, "_TILE_PAIRS", 1 << 14)
    patch.setattr(radius, "_GROUP_PAIRS", 1 << 15)
    patch.setattr(bfloat16, "_LEAST_QUERIES", 1)
    patch.setattr(shortlist, "_SLACK", 70)


@pytest.fixture
def small(monkeypatch):
    patched_small(monkeypatch)


def adversarial(rng, kind, n, d):
    """Rows that try the bounds."""
    rows = rng.standard_normal((n, d))
    if kind == "grid":  # ties and duplicates at every boundary
        rows = np.round(rows)
    elif kind == "magnitudes":
        rows *= 10.0 ** rng.integers(-12, 12, (n, 1))
    elif kind == "outliers":  # one component sets the step, and spoils it for the others
        rows[np.arange(n), rng.integers(0, d, n)] *= 10.0 ** rng.integers(0, 5, n)
    elif kind == "constant":
        rows = np.full((n, d), rows[0, 0])
        rows += rng.integers(0, 3, (n, 1)) * 1e-6
    elif kind == "denormal":
        rows *= 10.0 ** rng.integers(-44, -30, (n, 1))
    elif kind == "huge":
        rows *= 10.0 ** rng.integers(15, 36, (n, 1))
    elif kind == "near-duplicates":
        rows = rows[rng.integers(0, max(1, n // 40), n)] + 1e-3 * rows
    elif kind == "offset":
        rows += 1000
    rows = rows.astype(np.float32)
    rows[~rows.any(axis=1)] = np.float32(1e-40) if kind == "denormal" else 1
    return rows


KINDS = ["normal", "grid", "magnitudes", "outliers", "constant", "denormal", "huge", "near-duplicates", "offset"]


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("kernel", HERE)
@every_metric
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_input_changes_an_answer(metric, kernel, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    kind = data.draw(st.sampled_from(KINDS))
    n, d, q = data.draw(st.integers(1, 400)), data.draw(st.integers(1, 90)), data.draw(st.integers(1, 70))
    k = data.draw(st.one_of(st.integers(1, 12), st.integers(1, n)))
    rows = adversarial(rng, kind, n, d)
    queries = rows[rng.integers(0, n, q)] if data.draw(st.booleans()) else adversarial(rng, kind, q, d)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_SMALL_WORK", 0)
        expected = knn(queries, rows, k, metric, kernel="float32")
    for few in (1, 5, 20):  # where there is little to search, all is done at once
        assert_same(knn(queries[:few], rows, k, metric), [column[:few] for column in expected])
    with pytest.MonkeyPatch.context() as patch:
        patched_small(patch)
        patch.setattr(scan, "_MOST_PASSING", data.draw(st.sampled_from([1, 8, 64])))
        patch.setattr(shortlist, "_RUN", data.draw(st.sampled_from([8, 32, 256])))
        threads = data.draw(st.sampled_from([1, 3]))
        assert_same(knn(queries, rows, k, metric, kernel=kernel, threads=threads), expected)
        kept = Packed(metric, kernel=kernel)
        for part in (queries[:1], queries):
            assert_same(
                knn(part, rows, k, metric, packed=kept, kernel=kernel, threads=threads),
                [column[: len(part)] for column in expected],
            )


@pytest.mark.parametrize("kernel", HERE)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_input_changes_an_edge(metric, kernel, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, d = data.draw(st.integers(2, 300)), data.draw(st.integers(1, 70))
    rows = adversarial(rng, data.draw(st.sampled_from(KINDS)), n, d)
    thresh = float(knn(rows[:1], rows, n, metric)[0][0, data.draw(st.integers(0, n - 1))])  # ties at the boundary
    with pytest.MonkeyPatch.context() as patch:
        patched_small(patch)
        assert_same(edges(rows, thresh, metric, kernel=kernel), edges(rows, thresh, metric, kernel="float32"))


def edges(rows, thresh, metric, **settings):
    """All edges in one order: pairs as one array, distances as another."""
    parts = list(radius_edges(rows, thresh, metric, **settings))
    i, j, distance = (
        (np.concatenate([np.empty(0), *column]) for column in zip(*parts, strict=True)) if parts else [np.empty(0)] * 3
    )
    order = np.lexsort((j, i))
    return np.stack([i, j])[:, order], distance[order]


@needs_int8
@every_metric
@pytest.mark.parametrize("d", [1, 64, 384, 1000, 4096])
def test_every_width_against_float64(rng, metric, d, small):
    rows = rng.standard_normal((600, d), dtype=np.float32)
    queries = rows[:40] + np.float32(0.01) * rng.standard_normal((40, d), dtype=np.float32)
    oracle.assert_nearest(*knn(queries, rows, 7, metric, kernel="int8"), queries, rows, 7, metric)


@needs_int8
@every_metric
def test_a_packed_matrix_follows_rows_that_come(rng, metric, small):
    rows = rng.standard_normal((900, 24), dtype=np.float32)
    kept = Packed(metric)
    for n in [5, 40, 41, 300, 300, 650, 900, 120]:  # the last: a reader of an earlier moment
        assert_same(
            knn(rows[:9], rows[:n], 4, metric, packed=kept), knn(rows[:9], rows[:n], 4, metric, kernel="float32")
        )
    assert kept.nbytes > 900 * 24


@needs_int8
def test_packing_is_capped_and_can_be_declined(rng, small):
    rows = rng.standard_normal((2000, 32), dtype=np.float32)
    few, none, declined = (
        Packed("cosine", max_bytes=60_000),
        Packed("cosine", max_bytes=0),
        Packed("cosine", kernel="float32"),
    )
    for kept in (few, none, declined):
        assert_same(knn(rows[:3], rows, 5, "cosine", packed=kept), knn(rows[:3], rows, 5, "cosine", kernel="float32"))
    assert 0 < few.nbytes <= 60_000
    assert none.nbytes == declined.nbytes == 0
    with pytest.raises(ValueError, match="packed is for cosine, not euclidean"):
        knn(rows[:3], rows, 5, "euclidean", packed=few)


@needs_int8
def test_a_packed_matrix_serves_several_threads(rng, small):
    rows = rng.standard_normal((3000, 16), dtype=np.float32)
    kept, expected, wrong = Packed("euclidean"), knn(rows[:8], rows, 5, "euclidean", kernel="float32"), []

    def ask():
        for _ in range(20):
            found = knn(rows[:8], rows, 5, "euclidean", packed=kept, threads=2)
            if not all(np.array_equal(*pair) for pair in zip(found, expected, strict=True)):
                wrong.append(found)

    several = [threading.Thread(target=ask) for _ in range(4)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    assert not wrong


@needs_int8
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_searches_too(rng, small):
    rows = rng.standard_normal((3000, 16), dtype=np.float32)
    kept = Packed("cosine")
    expected = knn(rows[:1], rows, 5, "cosine", packed=kept, threads=2)
    child = os.fork()
    if not child:
        found = knn(rows[:1], rows, 5, "cosine", packed=kept, threads=2)
        os._exit(0 if np.array_equal(found[1], expected[1]) else 1)
    assert os.waitpid(child, 0)[1] == 0


@needs_int8
def test_memory_maps_of_many_stretches(rng, tmp_path, small):
    rows = rng.standard_normal((5000, 20), dtype=np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert_same(knn(rows[:50], mapped, 6, "cosine"), knn(rows[:50], rows, 6, "cosine", kernel="float32"))


@needs_int8
@pytest.mark.parametrize("kind", ["normal", "outliers", "near-duplicates"])
def test_screening_passes_few(rng, kind):
    """The bound is of use: on ordinary rows a small share passes, and outliers are turned away."""
    rows = adversarial(rng, kind, 5000, 128)
    source = Source(rows, "cosine")
    with Crew(1) as crew:
        source.measure(crew)
        space = packed.packing_space(source)
        stretch = packed.pack(source, space, 0, len(rows), crew)
    worst = max(float(block.placed.operand.error[0]) for block in stretch.blocks)
    assert worst < 0.06
    assert sorted(stretch.places.tolist()) == list(range(5000))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_edges_go_on_where_they_were(rng, metric, small):
    rows = rng.standard_normal((500, 5), dtype=np.float32)
    whole, marks = [], []
    whole.extend(radius_edges(rows, 0.4, metric, progress=lambda done, _: marks.append((done, len(whole)))))
    assert len(marks) > 5
    for done, parts in marks:
        rest = list(radius_edges(rows, 0.4, metric, start=done))
        for found, expected in zip(rest, whole[parts:], strict=True):
            np.testing.assert_array_equal(found.i, expected.i)
            np.testing.assert_array_equal(found.distance, expected.distance)
    with pytest.raises(ValueError, match="start=1: no part"):
        list(radius_edges(rows, 0.4, metric, start=1))
    assert edge_order(500, 5, "float32") == "by place"


def test_a_kernel_is_chosen_by_name_or_variable(monkeypatch):
    assert [kernel.name for kernel in kernel_chain("float32")] == ["float32"]
    assert [kernel.name for kernel in kernel_chain()] == HERE
    monkeypatch.setenv("VECSEARCH_KERNEL", "float32")
    assert [kernel.name for kernel in kernel_chain()] == ["float32"]
    assert [kernel.name for kernel in kernel_chain("auto")] == HERE
    monkeypatch.setenv("VECSEARCH_KERNEL", "int9")
    with pytest.raises(ValueError, match="VECSEARCH_KERNEL='int9': there are auto, int8, bfloat16, float32"):
        kernel_chain()
    monkeypatch.setenv("VECSEARCH_KERNEL", "")
    monkeypatch.setattr(numkong, "library", lambda: None)
    assert [kernel.name for kernel in kernel_chain()] == ["float32"]
    with pytest.raises(ValueError, match=r"kernel='int8' is not available: .*vecsearch\[fast\]"):
        kernel_chain("int8")


def test_threads_by_variable(monkeypatch):
    monkeypatch.setenv("VECSEARCH_THREADS", "3")
    assert Crew(None).threads == 3
    assert Crew(1).threads == 1
    monkeypatch.setenv("VECSEARCH_THREADS", "many")
    with pytest.raises(ValueError, match="VECSEARCH_THREADS='many'"):
        Crew(None)


@pytest.mark.skipif(numkong.library() is None, reason="numkong is not here")
def test_instructions_that_are_disabled_are_not_used(tmp_path):
    """In a process of its own: what is packed for some instructions is misread, silently, without them."""
    script = tmp_path / "disable.py"
    script.write_text(
        """
import numkong, numpy as np
from vecsearch.core import Packed, knn, packed
packed._LEAST_ASKED = packed._LEAST_TAIL = 1
rows = np.random.default_rng(0).standard_normal((6000, 40), dtype=np.float32)
expected = knn(rows[:5], rows, 9, "cosine", kernel="float32")
kept, sizes = Packed("cosine"), []
for name in [None, *(name for name, on in numkong.get_capabilities().items() if on and name != "serial")][::-1]:
    found = [knn(rows[:5], rows, 9, "cosine", packed=kept), knn(np.repeat(rows[:5], 60, axis=0), rows, 9, "cosine")]
    assert all(np.array_equal(*pair) for pair in zip(found[0], expected)), name
    assert np.array_equal(found[1][1][::60], expected[1]), name
    if name:
        numkong.disable_capability(name)
    sizes.append(kept.nbytes)
found = knn(rows[:5], rows, 9, "cosine", packed=kept)
assert all(np.array_equal(*pair) for pair in zip(found, expected))
print(len(sizes), sizes[-1])
""",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("int8" not in HERE, reason="numkong or the instructions are not here")
def test_encoding_is_certified(rng):
    for peak in (1e-20, 1.0, 1e20):
        rows = (rng.standard_normal((300, 70)) * peak).astype(np.float32)
        codes = int8.Int8Kernel().left(rows)
        off = np.linalg.norm(rows.astype(np.float64) - codes.step * codes.operand.astype(np.float64), axis=1)
        assert (off <= codes.error).all()
        assert (codes.error <= 1.01 * off + 1e-3 * codes.step).all()
    assert np.isinf(int8.Int8Kernel().left(np.full((1, 2), 1e35, dtype=np.float32)).error).all()
    assert not int8.Int8Kernel().left(np.zeros((3, 2), dtype=np.float32)).error.max() > 1
