"""The comparison from Python, and the command line."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import vecsearch
from vecsearch import F
from vecsearch.bench.points import Point
from vecsearch.bench.store import Store
from vecsearch.bench.suites import SUITES, Source, Suite, jobs, suite
from vecsearch.catalogue import Catalogue
from vecsearch.cli.app import app
from vecsearch.errors import InvalidInputError, MissingDependencyError


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(5).standard_normal((300, 8)).astype(np.float32)


def compare(rows, **changes):
    return vecsearch.bench.compare(
        rows, **{"backends": ["sklearn"], "queries": 40, "isolate": False, "repeats": 1, "progress": False, **changes}
    )


def vecsearch_(*words):
    return CliRunner().invoke(app, list(words))


def test_a_comparison_of_ones_own_vectors(rows, tmp_path):
    tenants = ["a" if number % 4 else "b" for number in range(300)]
    found = compare(
        rows,
        k=5,
        metadata={"tenant": tenants},
        filters={"b only": F("tenant") == "b"},
        concurrency=[1],
        rate=200.0,
        folder=tmp_path,
    )
    kinds = [point.spec.workload.kind for point in found.points]
    assert kinds == ["build", "search", "open", "filtered", "reopen"]
    assert all(point.search.recall.strict == 1.0 for point in found.points[1:])
    filtered = found.points[3].spec.workload.filter
    assert (filtered.name, filtered.correlation) == ("b only", "given")
    assert filtered.pass_rate == pytest.approx(0.25, abs=0.05)
    assert found.points[0].spec.rows == 260
    assert found.verdict.startswith("5 points: ")
    assert "invalid" not in found.verdict
    assert set(Store(tmp_path).keys()) == {point.key for point in found.points}
    pytest.importorskip("pandas")
    table = found.to_pandas()
    assert list(table["kind"]) == kinds
    assert list(table["filter"].fillna("")) == ["", "", "", "b only", ""]
    assert list(table["key"]) == [point.key for point in found.points]
    found.export(tmp_path / "found.csv")
    assert (tmp_path / "found.csv").read_text().count("\n") == 6


def test_queries_of_ones_own(rows, tmp_path):
    found = compare(rows[:200], queries=rows[200:230], metric="euclidean")
    assert found.points[0].spec.rows == 200
    assert found.points[0].dataset.queries == 30
    assert found.folder is None
    found.to_html(tmp_path / "report.html")
    assert "embeddings" in (tmp_path / "report.html").read_text()
    assert repr(found) == f"<Comparison of {found.verdict}>"


def test_what_cannot_be_compared_is_refused_before_anything_runs(rows):
    with pytest.raises(InvalidInputError, match="filters ask for metadata="):
        compare(rows, filters={"x": F("a") == 1})
    with pytest.raises(InvalidInputError, match="no row passes the filter 'x'"):
        compare(rows, metadata=[{"a": 2}] * 300, filters={"x": F("a") == 1})
    with pytest.raises(InvalidInputError, match="metadata rows"):
        compare(rows, metadata=[{"a": 2}])
    with pytest.raises(InvalidInputError, match="k must be"):
        compare(rows, k=0)


def test_the_suites_are_what_they_say():
    assert list(SUITES) == ["smoke", "standard", "full"]
    with pytest.raises(InvalidInputError, match="no suite 'huge'; there are smoke, standard, full"):
        suite("huge")
    digits, mixture = jobs(
        suite("smoke", queries=20, sources=(Source("digits", 100, brief=True), Source("mixture", 200)))
    )
    assert [work.kind for work in digits.workloads] == ["search"]
    kinds = [work.kind for work in mixture.workloads]
    assert kinds == ["search", "search", "open", "filtered", "filtered", "filtered", "reopen"]
    assert digits.dataset.metadata is None
    assert digits.facts["lid_median"] > 1
    assert mixture.dataset.vectors.shape == (200, 384)
    assert set(mixture.query_sets) == {"near", "far", "some"}


def test_the_command_runs_shows_and_goes_on(rows, tmp_path, monkeypatch):
    brief = Suite(sources=(), concurrency=(1,), repeats=1, warmup=0, seconds=0.0, reopen=False)
    monkeypatch.setitem(SUITES, "smoke", brief)
    np.save(tmp_path / "mine.npy", rows)
    words = ("bench", "run", "--backend", "sklearn", "--dataset", str(tmp_path / "mine.npy"), "--queries", "20")
    words += ("--concurrency", "1", "--repeats", "1", "--out", str(tmp_path / "out"))
    found = vecsearch_(*words, "--json")
    assert found.exit_code == 0, found.output
    points = [Point.model_validate(one) for one in json.loads(found.stdout)]
    assert {point.spec.dataset for point in points} == {"mine"}
    again = vecsearch_(*words)
    assert again.exit_code == 0
    assert [Store(tmp_path / "out").get(point.key) for point in points] == points
    assert "search k=10" in again.stdout
    assert f"{len(points)} points: " in again.stderr
    assert "mine" in (tmp_path / "out" / "report.html").read_text()


def test_a_run_from_embeddings_within_a_budget_with_a_page_elsewhere(rows, tmp_path):
    np.save(tmp_path / "mine.npy", rows)
    words = ("bench", "run", "--embeddings", str(tmp_path / "mine.npy"), "--backends", "sklearn", "--queries", "20")
    words += ("--html", str(tmp_path / "page.html"), "--out", str(tmp_path / "out"))
    found = vecsearch_(*words, "--budget", "0")
    assert found.exit_code == 0, found.output
    assert len(Store(tmp_path / "out")) == 1
    assert "measurements were not begun in 0 s; the same command goes on" in found.stderr
    assert f"the page is {tmp_path / 'page.html'}" in found.stderr
    assert "mine" in (tmp_path / "page.html").read_text()
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_backend_that_was_named_and_cannot_run_is_a_failure(rows, tmp_path, monkeypatch):
    def missing(_, name):
        raise MissingDependencyError(f"the {name} backend needs it: pip install it")

    np.save(tmp_path / "mine.npy", rows)
    (tmp_path / "how.toml").write_text('[away]\ntype = "qdrant"\n')
    words = ["bench", "run", "--dataset", str(tmp_path / "mine.npy"), "--queries", "20"]
    words += ["--configurations", str(tmp_path / "how.toml"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(Catalogue, "load", missing)
    found = vecsearch_(*words)
    assert found.exit_code == 1
    assert "away is not available: the qdrant backend needs it: pip install it" in found.stderr
    assert "unavailable" in found.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--suite", "huge"], "no suite 'huge'"),
        (["--backend", "nothing"], "nothing"),
        (["-k", "ten"], "-k takes positive numbers by commas, not 'ten'"),
        (["--concurrency", "0"], "--concurrency takes positive numbers"),
        (["--repeats", "0"], "repeats must be at least 1, not 0"),
        (["--rows", "10"], "--rows goes with --dataset"),
        (["--backend", "sklearn", "--configurations", "x.json"], "give one"),
        (["--configurations", "absent.json"], "there is no file absent.json"),
    ],
)
def test_a_command_that_means_nothing_is_refused(words, said, tmp_path):
    found = vecsearch_("bench", "run", "--out", str(tmp_path / "out"), *words)
    assert found.exit_code == 2
    assert said in found.stderr
    assert not (tmp_path / "out").exists()


def test_the_environment_is_shown():
    found = vecsearch_("bench", "env", "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["cores"] >= 1
    assert "cpu" in vecsearch_("bench", "env").stdout
