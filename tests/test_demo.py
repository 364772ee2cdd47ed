"""The demo: what it reports is true, and it leaves an index to go on with."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import vecsearch
from vecsearch import demo
from vecsearch.cli import app
from vecsearch.errors import InvalidInputError


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("VECSEARCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def wordnet(tmp_path):
    folder = tmp_path / "words"
    folder.mkdir()
    rows = 300
    vectors = np.random.default_rng(0).normal(size=(rows, 16)).astype(np.float16)
    np.save(folder / "embeddings-f16.npy", vectors)
    with gzip.open(folder / "glosses.jsonl.gz", "wt", encoding="utf-8") as file:
        for number in range(rows):
            row = {"id": f"{number:08}-n", "pos": ("noun", "verb")[number % 2], "lex": number % 3}
            file.write(json.dumps({**row, "words": [f"word{number}"], "gloss": "a word"}) + "\n")
    return folder


def run(*line, code=0):
    result = CliRunner().invoke(app, ["demo", *map(str, line)])
    assert result.exit_code == code, (result.stdout, result.stderr)
    return result


def test_the_share_is_that_of_a_plain_brute_force():
    from sklearn.datasets import load_digits

    report = demo.run(demo.digits())
    data = load_digits()
    unit = data.data / np.linalg.norm(data.data, axis=1, keepdims=True)
    distances = 1 - unit @ unit.T
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1, kind="stable")[:, : demo.K]
    share = (data.target[near] == data.target[:, None]).mean()
    assert report.facts["share"]["queries"] == report.facts["rows"] == len(unit)
    assert report.facts["share"]["share"] == pytest.approx(share, abs=2e-4)  # ties at the tenth place
    assert share > 0.95


def test_the_report_is_true_and_the_run_stays():
    facts = json.loads(run("--json", "--no-pictures").stdout)
    index = vecsearch.load_run("digits")
    assert len(index) == facts["rows"] == 1797
    query = facts["query"]["id"]
    ids = index.search(ids=[query], k=10, exclude_self=True)[0].ids
    assert [match["id"] for match in facts["neighbors"]] == ids.tolist()
    assert 0 < facts["duplicates"]["fraction"] <= 0.02
    assert index.find_duplicates(facts["duplicates"]["thresh"]).fraction == facts["duplicates"]["fraction"]
    assert [row["id"] for row in facts["unique"]] == index.find_unique(20).unique_ids.tolist()
    assert all(match["name"] == "digit 3" for match in facts["view"]["neighbors"])
    assert facts["pictures"] == []


def test_the_report_reads_well_and_says_what_to_type_next():
    result = run("--no-pictures")
    for part in ("Indexed", "Neighbours", "Near-duplicates", "Most unique", "A view", "vecsearch search digits"):
        assert part in result.stdout
    assert "handwritten digits" in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 120


def test_what_it_says_to_type_next_works():
    import shlex

    lines = run("--no-pictures").stdout.partition("Go on with\n")[2].splitlines()
    commands = [shlex.split(line.partition(">")[0]) for line in lines if line.startswith("  vecsearch ")]
    assert len(commands) == 4
    for command in commands:
        assert CliRunner().invoke(app, command[1:]).exit_code == 0


def test_it_can_be_run_again_but_replaces_no_run_of_somebody_else():
    run("--no-pictures")
    run("--no-pictures")
    vecsearch.delete_run("digits")
    vecsearch.compute_similarity(embeddings=np.eye(3), key="digits").close()
    assert "runs rename digits my_digits" in run("--no-pictures", code=2).stderr
    assert len(vecsearch.load_run("digits")) == 3


def test_pictures_are_png_files():
    pytest.importorskip("matplotlib")
    run("--out", "pictures/here")
    for name in ("neighbors.png", "duplicates.png", "unique.png"):
        data = Path("pictures/here", name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 5_000


def test_without_matplotlib_it_says_how_to_get_pictures():
    code = "import sys; sys.modules['matplotlib'] = None; from vecsearch.cli import app; app(['demo'])"
    environ = {**os.environ, "PYTHONPATH": str(Path(vecsearch.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "pip install 'vecsearch[plot]'" in done.stderr.splitlines()[-1]
    assert "Pictures" not in done.stdout


def test_pictures_that_cannot_be_written_are_an_error():
    Path("file").write_text("")
    assert "the pictures cannot be written to file" in run("--out", "file", code=2).stderr


def test_wordnet_shows_texts(wordnet):
    result = run("--data", wordnet)
    assert "word0: a word" in result.stdout
    assert "the verbs, 150 rows" in result.stdout
    assert len(vecsearch.load_run("wordnet")) == 300
    assert not Path("vecsearch-demo").exists()


def test_wordnet_needs_its_files(tmp_path):
    with pytest.raises(InvalidInputError, match=r"there is no .*embeddings-f16\.npy"):
        demo.wordnet(tmp_path)
    assert "digits that come along" in run("--data", "nowhere", code=2).stderr
