"""The packed copy beside the rows of an embedded index: it changes the time of a search, and nothing else."""

import numpy as np
import pytest

import vecsearch
from vecsearch.core import Packed, knn, packed, search
from vecsearch.core.kernels import KERNELS, numkong

needs_int8 = pytest.mark.skipif(not KERNELS[0].available(), reason="numkong or the instructions are not here")


@pytest.fixture
def early(monkeypatch):
    monkeypatch.setattr(packed, "_LEAST_ASKED", 0)
    monkeypatch.setattr(packed, "_LEAST_TAIL", 64)
    monkeypatch.setattr(search, "_SMALL_WORK", 0)


def answers(index, queries):
    found = index.search(queries, k=7)
    return [list(ranking.ids) for ranking in found], np.array([ranking.distances for ranking in found])


@needs_int8
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
def test_it_follows_every_write(early, metric, monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 32), dtype=np.float32)
    ids = [f"{number:04}" for number in range(3000)]
    used = []
    follow = Packed.follow
    monkeypatch.setattr(Packed, "follow", lambda *args: used.append(follow(*args)) or used[-1])
    fast, plain = (
        vecsearch.compute_similarity(dim=32, metric=metric, embeddings=False, kernel=kernel)
        for kernel in (None, "float32")
    )
    queries = rng.standard_normal((5, 32), dtype=np.float32)

    def both(write):
        for index in (fast, plain):
            write(index)
        found, expected = answers(fast, queries), answers(plain, queries)
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1], expected[1])

    both(lambda index: index.add_to_index(rows[:1000], ids[:1000]))
    both(lambda index: index.add_to_index(rows[1000:1010], ids[1000:1010]))
    both(lambda index: index.add_to_index(rows[1010:2500], ids[1010:2500]))
    both(lambda index: index.add_to_index(-rows[:300], ids[:300]))  # replaced: dead rows lie among the packed
    both(lambda index: index.remove_from_index(ids[400:900]))
    both(lambda index: index.remove_from_index(ids[900:2000]))  # compacted: positions are new
    both(lambda index: index.add_to_index(rows[2500:], ids[2500:]))
    assert sum(bool(stretches) for _, stretches in used) >= 6


@needs_int8
def test_it_can_be_capped_and_declined(early, monkeypatch):
    made = []
    init = Packed.__init__
    monkeypatch.setattr(
        Packed, "__init__", lambda self, *args, **more: (made.append(self), init(self, *args, **more))[1]
    )
    rows = np.random.default_rng(1).standard_normal((500, 16), dtype=np.float32)
    sizes = []
    for settings in ({}, {"packed_bytes": 0}, {"kernel": "float32"}, {"threads": 1}):
        index = vecsearch.compute_similarity(embeddings=rows, sample_ids=range(500), **settings)
        found = index.search(rows[:2], k=3)
        np.testing.assert_array_equal(found[1].distances, knn(rows[:2], rows, 3, "cosine")[0][1])
        sizes.append(made[-1].nbytes)
    assert sizes[0] == sizes[3] > 0
    assert sizes[1] == sizes[2] == 0


def test_a_kernel_that_is_not_there_is_refused_when_the_index_is_made(monkeypatch):
    with pytest.raises(vecsearch.errors.ConfigError, match="int9"):
        vecsearch.compute_similarity(embeddings=False, dim=2, kernel="int9")
    monkeypatch.setattr(numkong, "library", lambda: None)
    with pytest.raises(vecsearch.errors.ConfigError, match=r"kernel='int8' is not available.*vecsearch\[fast\]"):
        vecsearch.compute_similarity(embeddings=False, dim=2, kernel="int8")
