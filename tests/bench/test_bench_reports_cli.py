"""``bench report`` and ``bench compare``, as they are typed."""

import json

import pytest
from bench_results import a_result, a_run, a_search, a_spec, raw
from typer.testing import CliRunner

from vecsearch.bench.store import Store
from vecsearch.cli import app


def call(*words):
    return CliRunner().invoke(app, ["bench", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("results")
    store = Store(path)
    for point in a_run():
        store.put(point)
    return path


def one(path, slower=1.0):
    store = Store(path)
    point = a_result(a_spec("quick"), search=a_search(0.95, 1000))
    store.put(point, raw(point, slower=slower, queries=50))
    return path


def test_report_writes_the_page_and_shows_the_table(folder, tmp_path):
    page = tmp_path / "out.html"
    result = call("report", folder, "--html", page)
    assert result.exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "qps@0.95" in result.stdout
    assert str(page) in result.stderr
    assert call("report", folder, "--json").exit_code == 0
    assert (folder / "report.html").read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


def test_report_as_json_says_what_was_not_reached(folder):
    said = json.loads(call("report", folder, "--json").stdout)
    rows = {row["backend"]: row for row in said["at_equal_recall"]}
    assert set(rows) == {"flat", "quick", "served"}
    assert rows["flat"]["qps@0.99"] == 909.0
    assert all(row["best_recall"] > 0.99 for row in rows.values())


def test_compare_fails_on_a_regression_only(tmp_path):
    before, same, slow = one(tmp_path / "a"), one(tmp_path / "b"), one(tmp_path / "c", 2.0)
    assert call("compare", before, same).exit_code == 0
    result = call("compare", before, slow)
    assert result.exit_code == 1
    assert "worse" in result.stdout
    assert "1 worse" in result.stderr
    assert call("compare", before, slow, "--bound", "3").exit_code == 0
    said = json.loads(call("compare", before, slow, "--json").stdout)
    assert said["failed"] is True
    assert {change["state"] for change in said["changes"]} == {"worse", "same"}


def test_compare_shows_what_stayed_only_when_asked(tmp_path):
    before, same = one(tmp_path / "a"), one(tmp_path / "b")
    assert call("compare", before, same).stdout == ""
    assert "same" in call("compare", before, same, "--all").stdout


def test_results_that_are_gone_fail_unless_allowed(folder, tmp_path):
    few = one(tmp_path / "few")
    more = one(tmp_path / "more")
    Store(more).put(a_result(a_spec("served"), search=a_search(0.9, 10)))
    result = call("compare", more, few)
    assert result.exit_code == 1
    assert "missing  served" in result.stdout
    assert call("compare", more, few, "--allow-missing").exit_code == 0


@pytest.mark.parametrize("words", [("report", "nowhere"), ("compare", "nowhere", "nowhere")])
def test_a_folder_without_results_is_an_error(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert result.exit_code == 2
    assert "nowhere holds no results" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_result_changed_by_hand_is_refused(tmp_path):
    path = one(tmp_path / "a")
    file = next((path / "points").glob("*.json"))
    file.write_text(file.read_text().replace('"rows": 20000', '"rows": 10'))
    result = call("report", path)
    assert result.exit_code == 2
    assert "changed by hand" in result.stderr
