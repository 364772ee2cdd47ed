"""Data sets: what is held out, what the hash says, what is refused."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from vecsearch.bench import datasets, mixture
from vecsearch.errors import InvalidInputError


def rows(count=50, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, d)).astype(np.float32)


def keys(array):
    return {row.tobytes() for row in np.asarray(array)}


def test_digits_are_held_out_with_their_labels():
    found = datasets.load("digits")
    assert (found.name, found.metric) == ("digits", "cosine")
    assert found.vectors.shape == (1438, 64)
    assert found.queries.shape == (359, 64)
    assert not keys(found.vectors) & keys(found.queries)
    assert {row["digit"] for row in found.metadata} == set(range(10))


def test_the_queries_do_not_depend_on_how_many_rows_are_taken():
    small = datasets.load("digits", rows=300, queries=40, seed=3)
    large = datasets.load("digits", rows=900, queries=40, seed=3)
    other = datasets.load("digits", rows=300, queries=40, seed=4)
    np.testing.assert_array_equal(small.queries, large.queries)
    assert keys(small.vectors) < keys(large.vectors)
    assert keys(other.queries) != keys(small.queries)
    assert small.vectors.shape == (300, 64)


def test_metadata_stay_with_their_rows():
    vectors = rows(60)
    found = datasets.hold_out("x", vectors, metadata=[{"at": at} for at in range(60)], rows=20, queries=10)
    np.testing.assert_array_equal(found.vectors, vectors[[row["at"] for row in found.metadata]])


def test_the_hash_is_of_the_content_and_not_of_the_name_or_the_place(tmp_path):
    vectors, queries = rows(), rows(5, seed=1)
    one = datasets.make("a", vectors, queries, "cosine", [{"f": n} for n in range(50)])
    np.save(tmp_path / "mapped.npy", vectors)
    mapped = np.load(tmp_path / "mapped.npy", mmap_mode="r")
    assert datasets.make("b", mapped, queries, "cosine", [{"f": n} for n in range(50)]).sha256 == one.sha256
    assert datasets.make("a", vectors.astype(np.float64), queries, metadata=one.metadata).sha256 == one.sha256
    changed = vectors.copy()
    changed[7, 2] += 1
    others = [
        datasets.make("a", changed, queries, metadata=one.metadata),
        datasets.make("a", vectors, queries[:-1], metadata=one.metadata),
        datasets.make("a", vectors, queries, "euclidean", one.metadata),
        datasets.make("a", vectors, queries, metadata=[{"f": 0}] * 50),
        datasets.make("a", vectors, queries),
        datasets.make("a", vectors[::-1], queries, metadata=one.metadata),
    ]
    assert len({one.sha256, *(other.sha256 for other in others)}) == 7


def test_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "v.npy", rows())
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert datasets.make("a", mapped, rows(3)).vectors is mapped


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vectors": rows()[0]}, r"vectors must have shape"),
        ({"vectors": rows()[:0]}, r"vectors must have shape"),
        ({"queries": rows(3, 5)}, "the queries are 5 wide, the vectors 4"),
        ({"vectors": np.full((3, 4), "a")}, "must be numbers"),
        ({"vectors": np.full((3, 4), 1e300)}, "vectors: row 0 is not finite"),
        ({"queries": np.zeros((2, 4))}, "queries: row 0 is zero"),
        ({"metadata": [{}]}, "1 rows of metadata for 50 vectors"),
        ({"metric": "manhattan"}, "metric is one of cosine"),
    ],
)
def test_what_cannot_be_measured_on_is_refused(change, says):
    given = {"vectors": rows(), "queries": rows(3)} | change
    with pytest.raises(InvalidInputError, match=f"mine: .*{says}"):
        datasets.make("mine", **given)


@pytest.mark.parametrize("asked", [{"rows": 0}, {"queries": 0}, {"rows": 1700, "queries": 200}])
def test_more_than_there_is_is_refused(asked):
    with pytest.raises(InvalidInputError, match=r"digits: .*rows"):
        datasets.load("digits", **asked)


def test_wordnet_is_read_from_its_folder(tmp_path):
    vectors = rows(30).astype(np.float16)
    np.save(tmp_path / "embeddings-f16.npy", vectors)
    with gzip.open(tmp_path / "glosses.jsonl.gz", "wt") as file:
        for at in range(30):
            file.write(json.dumps({"id": str(at), "pos": "n", "lex": at, "words": ["a", "b"], "gloss": "g"}) + "\n")
    found = datasets.load(f"wordnet:{tmp_path}", rows=12, queries=4)
    assert found.name == "wordnet"
    assert found.vectors.dtype == np.float32
    assert found.metadata[0].keys() == {"pos", "lex", "words"}
    np.testing.assert_array_equal(found.vectors, vectors[[row["lex"] for row in found.metadata]].astype(np.float32))
    with pytest.raises(InvalidInputError, match=r"no embeddings-f16\.npy"):
        datasets.load(f"wordnet:{tmp_path / 'elsewhere'}")


def test_the_mixture_has_the_rows_that_are_asked_for_and_repeats():
    one = datasets.load("mixture:d=16,topics=7,rank=3", rows=200, queries=30, seed=2)
    again = datasets.load("mixture:d=16,topics=7,rank=3", rows=200, queries=30, seed=2)
    assert one.vectors.shape == (200, 16)
    assert one.queries.shape == (30, 16)
    np.testing.assert_allclose(np.linalg.norm(one.vectors, axis=1), 1, atol=1e-6)
    assert one.sha256 == again.sha256
    assert {row["topic"] for row in one.metadata} <= set(range(7))


def test_the_mixture_has_20_000_rows_unless_asked():
    found = datasets.load("mixture:d=4", queries=100)
    assert (len(found.vectors), len(found.queries)) == (20_000, 100)


def test_a_topic_has_as_many_directions_as_its_rank():
    vectors, metadata = mixture.generate(mixture.Mixture(d=32, topics=1, rank=3), 100)
    assert len(metadata) == 100
    # Rows of one topic lie on rays through a 3-dimensional affine space: a linear one of 4.
    assert np.linalg.matrix_rank(vectors, tol=1e-3) == 4


@pytest.mark.parametrize("dials", ["alpha", "alpha=x", "depth=3", "d=0", "d=4,rank=5", "alpha=-1", "d=4,d=5"])
def test_a_dial_that_is_none_is_refused(dials):
    with pytest.raises(InvalidInputError, match="mixture: "):
        datasets.load(f"mixture:{dials}")
