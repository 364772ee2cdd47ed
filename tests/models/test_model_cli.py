"""The command line: an index of texts by a model's name, and queries in words."""

import json
from pathlib import Path

import pytest
from letters import DIM, Letters
from typer.testing import CliRunner

import vecsearch
from vecsearch import registry
from vecsearch.cli import app


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("kite\nboat\nsail\n")
    Path("ids.txt").write_text("a\nb\nc\n")
    with registry.MODELS.registered("letters", Letters):
        yield


def run(*line, code=0):
    done = CliRunner().invoke(app, list(line))
    assert done.exit_code == code, (line, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def created():
    return run("create", "kb", "--documents", "texts.txt", "--ids", "ids.txt", "--model", "letters:latin", "--json")


def test_create_embeds_documents_and_search_takes_texts():
    assert json.loads(created())["dim"] == DIM
    found = json.loads(run("search", "kb", "--text", "boat", "-k", "1", "--json"))["results"]
    assert [(one["query"], one["matches"][0]["id"], one["matches"][0]["document"]) for one in found] == [
        ("boat", "b", "boat")
    ]
    lines = run("search", "kb", "--text", "boat", "--text", "kite", "-k", "1", "--format", "jsonl").splitlines()
    assert [(json.loads(line)["query"], json.loads(line)["id"]) for line in lines] == [("boat", "b"), ("kite", "a")]
    farthest = json.loads(run("search", "kb", "--text", "boat", "--reverse", "-k", "3", "--format", "json"))
    assert farthest["results"][0]["matches"][-1]["id"] == "b"


def test_what_is_wrong_is_one_line():
    assert "give --id, --vector or --text, one of them" in run("search", "kb", "--text", "a", "--id", "b", code=2)
    assert "--model embeds the --documents" in run("create", "kb", "--model", "letters:latin", code=2)
    wrong = ("create", "kb", "--documents", "texts.txt", "--model", "lettres:latin")
    assert "did you mean 'letters'" in run(*wrong, code=2)
    vecsearch.compute_similarity(embeddings=[[1.0, 2.0]], key="plain").close()
    assert "text queries need the model" in run("search", "plain", "--text", "a", code=2)
    assert vecsearch.list_runs() == ["plain"]


@pytest.mark.filterwarnings("always")  # as in a shell
def test_a_document_that_is_absent_is_skipped_and_named():
    Path("texts.txt").write_text("kite\n\nsail\n")
    done = CliRunner().invoke(
        app, ["create", "kb", "--documents", "texts.txt", "--ids", "ids.txt", "--model", "letters:x"]
    )
    assert done.exit_code == 0
    assert "1 of 3 samples were skipped" in done.stderr
    assert "'b': the model letters:x takes texts" in done.stderr
    assert run("count", "kb") == "2\n"
