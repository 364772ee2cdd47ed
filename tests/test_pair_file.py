"""Duplicates that are looked for in more than one go."""

import json

import numpy as np
import pytest

import vecsearch
from vecsearch import pair_file
from vecsearch.errors import InvalidInputError


class StoppedError(Exception):
    pass


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((9000, 8), dtype=np.float32)
    rows[::9] = rows[1::9] + 0.01 * rng.standard_normal((1000, 8), dtype=np.float32)
    return rows


@pytest.fixture
def index(rows):
    return vecsearch.compute_similarity(embeddings=rows, sample_ids=range(len(rows)), progress=False)


def stopper(after):
    calls = []

    def report(done, total):
        calls.append((done, total))
        if len(calls) == after:
            raise StoppedError

    return report


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_it_goes_on_where_it_was_stopped(index, tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(pair_file, "_SECONDS", seconds)
    whole = index.find_duplicates(0.02, progress=False)
    assert len(whole.duplicate_ids) > 900
    folder = tmp_path / "pairs"
    with pytest.raises(StoppedError):
        index.find_duplicates(0.02, checkpoint=folder, progress=stopper(3))
    marked = json.loads((folder / "state.json").read_text())["compared"]
    assert marked > 0
    steps = []
    found = index.find_duplicates(0.02, checkpoint=folder, progress=lambda done, total: steps.append((done, total)))
    assert list(found.duplicate_ids) == list(whole.duplicate_ids)
    assert found.neighbors_map == whole.neighbors_map
    np.testing.assert_array_equal(found.distances, whole.distances)
    assert min(done for done, total in steps if total == 9000 * 8999 // 2) > marked
    assert not folder.exists()


def test_what_was_not_marked_is_found_again(index, tmp_path, monkeypatch):
    monkeypatch.setattr(pair_file, "_SECONDS", 0.0)
    with pytest.raises(StoppedError):
        index.find_duplicates(0.02, checkpoint=tmp_path, progress=stopper(4))
    with (tmp_path / "pairs.bin").open("ab") as file:
        file.write(b"cut in the middle of a wri")
    found = index.find_duplicates(0.02, checkpoint=tmp_path, progress=False)
    assert list(found.duplicate_ids) == list(index.find_duplicates(0.02, progress=False).duplicate_ids)


def test_what_does_not_belong_is_refused(index, rows, tmp_path):
    with pytest.raises(InvalidInputError, match="goes with thresh"):
        index.find_duplicates(fraction=0.1, checkpoint=tmp_path)
    with pytest.raises(StoppedError):
        index.find_duplicates(0.02, checkpoint=tmp_path / "pairs", progress=stopper(3))
    with pytest.raises(InvalidInputError, match="begun with another thresh"):
        index.find_duplicates(0.03, checkpoint=tmp_path / "pairs", progress=False)
    rows[0] += 1
    other = vecsearch.compute_similarity(embeddings=rows, sample_ids=range(len(rows)), progress=False)
    with pytest.raises(InvalidInputError, match="begun with another rows"):
        other.find_duplicates(0.02, checkpoint=tmp_path / "pairs", progress=False)
    (tmp_path / "pairs" / "pairs.bin").write_bytes(b"")
    if json.loads((tmp_path / "pairs" / "state.json").read_text())["pairs"]:
        with pytest.raises(InvalidInputError, match="cut short"):
            index.find_duplicates(0.02, checkpoint=tmp_path / "pairs", progress=False)
    (tmp_path / "pairs" / "state.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="is no checkpoint"):
        index.find_duplicates(0.02, checkpoint=tmp_path / "pairs", progress=False)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="not empty and no checkpoint"):
        index.find_duplicates(0.02, checkpoint=tmp_path, progress=False)
    assert (tmp_path / "mine.txt").exists()
