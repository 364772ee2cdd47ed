"""``vecsearch bench data``: make, import, inspect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vecsearch.bench import datasets
from vecsearch.cli import app


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def run(*line, code=0):
    result = CliRunner().invoke(app, ["bench", "data", *map(str, line)])
    assert result.exit_code == code, (line, result.stdout, result.stderr)
    return result


def test_a_data_set_is_made_and_read_again():
    shown = run("make", "digits", "small", "--rows", 300, "--queries", 20, "--seed", 5)
    assert shown.stderr == "small: 300 rows of 64, 20 queries, cosine\n"
    assert shown.stdout == ""
    made = datasets.load("digits", rows=300, queries=20, seed=5)
    assert datasets.load("small").sha256 == made.sha256


def test_hdf5_holds_the_truth():
    h5py = pytest.importorskip("h5py")
    run("make", "digits", "small.hdf5", "--rows", 300, "--queries", 20, "--metric", "euclidean")
    with h5py.File("small.hdf5") as file:
        assert file.attrs["distance"] == "euclidean"
        assert file["neighbors"].shape == (20, 100)
        nearest = np.linalg.norm(file["train"][:] - file["test"][0], axis=1)
        np.testing.assert_allclose(np.sort(nearest)[:100], file["distances"][0], rtol=1e-5)


def test_vectors_and_queries_of_two_files_are_one_data_set():
    generator = np.random.default_rng(0)
    base, asked = generator.normal(size=(50, 4)), generator.normal(size=(7, 4))
    np.save("base.npy", base)
    np.save("asked.npy", asked)
    run("import", "base.npy", "mine", "--queries-file", "asked.npy", "--metric", "euclidean", "--queries", 5)
    found = datasets.load("mine")
    assert found.metric == "euclidean"
    np.testing.assert_array_equal(found.vectors, base.astype(np.float32))
    np.testing.assert_array_equal(found.queries, asked[:5].astype(np.float32))


def test_an_inspection_is_for_people_and_for_programs():
    text = run("inspect", "digits", "--rows", 300, "--queries", 50).stdout
    assert text.startswith("digits  300 rows of 64, 50 queries, cosine\n")
    assert "intrinsic dimension" in text
    assert "digit " in text
    found = json.loads(run("inspect", "digits", "--rows", 300, "--queries", 50, "--json").stdout)
    assert found["sha256"] == datasets.load("digits", rows=300, queries=50).sha256
    assert 3 < found["lid_median"] < 10
    assert found["fields"][0]["values"] == 10


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("inspect", "nothing.npy"), "there is no data set 'nothing.npy'"),
        (("make", "digits", "there"), "there exists"),
        (("make", "digits", "there.npy"), "written as .hdf5"),
        (("make", "mixture:beta=1", "new"), "mixture: 'beta=1'"),
        (("make", "digits", "new", "--metric", "l2"), "metric is one of cosine"),
        (("make", "digits", "new", "--rows", "0"), "--rows"),
        (("import", "nothing.fvecs", "new"), "nothing.fvecs"),
    ],
)
def test_a_mistake_is_one_line(line, says):
    Path("there").mkdir()
    shown = run(*line, code=2)
    assert shown.stdout == ""
    assert says in shown.stderr
    assert shown.stderr.count("\n") == 1
    assert not Path("new").exists()
