"""Real sentence embeddings, where the folder with them is there: WordNet's glosses, 384 dimensions."""

import gzip
import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import vecsearch
from vecsearch import F

FOLDER = Path(os.environ.get("VECSEARCH_WORDNET", Path(__file__).parents[2] / "shared" / "data" / "wordnet"))
pytestmark = pytest.mark.skipif(
    not (FOLDER / "embeddings-f16.npy").exists(), reason="set VECSEARCH_WORDNET to a folder with embeddings-f16.npy"
)
ROWS = 6000


@pytest.fixture(scope="module")
def glosses():
    with gzip.open(FOLDER / "glosses.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in islice(lines, ROWS)]


@pytest.fixture(scope="module")
def vectors():
    return np.load(FOLDER / "embeddings-f16.npy", mmap_mode="r")[:ROWS].astype(np.float32)


@pytest.fixture(scope="module")
def index(glosses, vectors):
    return vecsearch.compute_similarity(
        embeddings=vectors,
        sample_ids=[gloss["id"] for gloss in glosses],
        documents=[gloss["gloss"] for gloss in glosses],
        metadata=[{"lex": gloss["lex"], "words": gloss["words"]} for gloss in glosses],
    )


def exact(queries, rows):
    """float64 cosine distances, by the definition."""
    queries = queries.astype(np.float64) / np.linalg.norm(queries.astype(np.float64), axis=1, keepdims=True)
    rows = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return 1 - queries @ rows.T


def test_neighbours_are_those_of_float64(index, vectors, glosses):
    queries = vectors[::30]
    truth = exact(queries, vectors)
    ids = np.array([gloss["id"] for gloss in glosses])
    for row, ranking in zip(truth, index.search(queries, k=10, include=()), strict=True):
        order = np.argsort(row, kind="stable")[:10]
        np.testing.assert_allclose(ranking.distances, row[order], atol=1e-6)
        apart = np.diff(row[np.argsort(row)[:11]]).min() > 1e-6
        assert not apart or ranking.ids.tolist() == ids[order].tolist()


def test_a_topic_is_searched_as_if_it_were_the_whole(index, vectors, glosses):
    inside = np.array([gloss["lex"] for gloss in glosses]) == 5
    truth = np.sort(exact(vectors[:20], vectors[inside]), axis=1)[:, :10]
    found = index.use_view(filter=F("lex") == 5).search(vectors[:20], k=10)
    np.testing.assert_allclose(np.array(found.distances), truth, atol=1e-6)
    assert all(match.metadata["lex"] == 5 for ranking in found for match in ranking)


def test_near_duplicates_are_pairs_below_the_threshold(index, vectors):
    duplicates = index.find_duplicates(thresh=0.1)
    kept = duplicates.keep_mask(index.get_embeddings().sample_ids)
    ordered = index.get_embeddings().embeddings
    distances = exact(ordered[kept], ordered[kept])
    np.fill_diagonal(distances, 1)
    assert len(duplicates.duplicate_ids) > 10
    assert distances.min() > 0.1 - 1e-6


def test_unique_rows_spread(index):
    unique = index.find_unique(50)
    assert len(unique.unique_ids) == 50
    assert np.diff(unique.gaps[1:]).max() <= 1e-9
