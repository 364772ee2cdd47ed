"""Copies of an index: every column arrives, a copy goes on where it was, and every difference is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import vecsearch
from vecsearch import F
from vecsearch.backends.sklearn import SklearnBackend
from vecsearch.cli import app
from vecsearch.errors import IngestError, InvalidInputError
from vecsearch.registry import registered
from vecsearch.testing.wrappers import BreakdownError, faulty

ROWS, DIM = 3000, 8
IDS = [f"r{(n * 77) % ROWS:04}" for n in range(ROWS)]
VECTORS = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
METADATA = [{"n": n, "odd": bool(n % 2), "tags": [f"t{n % 5}"]} for n in range(ROWS)]
DOCUMENTS = [f"text {n}" if n % 3 else None for n in range(ROWS)]


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(rows=ROWS, **settings):
    columns = {
        "embeddings": VECTORS[:rows],
        "sample_ids": IDS[:rows],
        "metadata": METADATA[:rows],
        "documents": DOCUMENTS[:rows],
    }
    return vecsearch.compute_similarity(**{**columns, **settings})


def empty(**settings):
    return vecsearch.compute_similarity(embeddings=False, **settings)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
@pytest.mark.parametrize("backend", ["sklearn", "sqlite"])
def test_all_columns_arrive(tmp_path, backend, metric):
    from vecsearch_sqlite import SQLiteBackend

    with registered("sqlite", SQLiteBackend):
        source = made(300, metric=metric)
        path = {"path": str(tmp_path / "copy.db")} if backend == "sqlite" else {}
        target = empty(metric=metric, backend=backend, **path)
        report = vecsearch.copy_index(source, target, verify="full")
        assert report.ok
        assert (report.written, report.compared_rows, report.source_rows, report.target_rows) == (300, 300, 300, 300)
        assert report.queries == 100
        assert report.overlap == 1
        assert target.get_metadata() == source.get_metadata()
        assert target.get_documents() == source.get_documents()
        target.close()


def test_a_sample_is_compared_by_default():
    report = vecsearch.copy_index(made(), empty())
    assert report.ok
    assert report.compared_rows == 1000
    assert report.target_rows == ROWS


def test_labels_arrive():
    labels = [f"l{n}" for n in range(ROWS)]
    samples = [f"s{n % 50}" for n in range(ROWS)]
    target = empty()
    report = vecsearch.copy_index(made(sample_ids=samples, label_ids=labels), target, verify="full")
    assert report.ok
    assert target.is_patches
    assert len(target.get_embeddings(sample_ids=["s7"]).embeddings) == ROWS // 50


def test_a_view_is_copied_alone():
    source, target = made(), empty()
    report = vecsearch.copy_index(source.use_view(filter=F("n") < 100), target, verify="full")
    assert report.ok
    assert len(target) == report.source_rows == 100
    by_ids = vecsearch.copy_index(source.use_view(IDS[:7]), empty(key="seven"), verify="full", checkpoint="c.json")
    assert (by_ids.ok, by_ids.written) == (True, 7)


def test_an_empty_index_makes_an_empty_index():
    report = vecsearch.copy_index(empty(), empty())
    assert (report.ok, report.written, report.queries) == (True, 0, 0)


def test_the_metric_that_was_chosen_is_kept_and_no_other_taken():
    source, target = made(50, metric="euclidean"), empty()
    with pytest.raises(InvalidInputError, match=r"metric euclidean, the target cosine.*metric='euclidean'"):
        vecsearch.copy_index(source, target)
    assert len(target) == 0


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"dim": 9}, "8 dimensions, the target 9"),
        ({"dim": 8, "patches_field": "objects"}, "a row per sample, the target a row per label"),
    ],
)
def test_a_target_of_another_kind_is_refused(target, message):
    with pytest.raises(InvalidInputError, match=message):
        vecsearch.copy_index(made(50), empty(**target))


def test_an_index_is_not_copied_onto_itself(tmp_path):
    index = made(50, path=str(tmp_path / "a"))
    index.save()
    with pytest.raises(InvalidInputError, match="the same index"):
        vecsearch.copy_index(index, index)
    again = vecsearch.connect("a", path=str(tmp_path / "a"))
    with pytest.raises(InvalidInputError, match="the same index"):
        vecsearch.copy_index(index, again)


def test_views_are_no_targets_and_words_no_indexes():
    index = made(50)
    with pytest.raises(InvalidInputError, match="target: an open SimilarityIndex is needed, not View"):
        vecsearch.copy_index(index, made(50, metric="euclidean").use_view(IDS[:3]))
    with pytest.raises(InvalidInputError, match="source: an open View is needed, not str"):
        vecsearch.copy_index("kb", index)
    with pytest.raises(InvalidInputError, match="verify"):
        vecsearch.copy_index(index, empty(), verify="some")


class Length:
    def __init__(self, name):
        self.name = name

    def encode(self, texts):
        return np.array([[len(text), 1, 0, 0] for text in texts], dtype=np.float32)


def test_the_model_goes_with_the_vectors():
    source = vecsearch.compute_similarity(["a", "bb", "ccc"], model=Length("one"))
    target = empty(key="copy")
    vecsearch.copy_index(source, target)
    target.close()
    with pytest.raises(InvalidInputError, match="'one'"):
        vecsearch.load_run("copy", model=Length("other"))
    assert vecsearch.load_run("copy", model=Length("one")).search(text="dd", k=1)[0].ids.tolist() == ["1"]
    with pytest.raises(InvalidInputError, match="'other'"):
        vecsearch.copy_index(source, empty(model=Length("other")))


# ---- what differs is told


def test_rows_that_are_missing_or_too_many_are_named():
    source, target = made(100), empty()

    class Dropping(SklearnBackend):
        def upsert(self, rows):
            super().upsert(rows.take([n for n, row_id in enumerate(rows.ids) if row_id != IDS[5]]))

    with registered("sklearn", Dropping):
        target = empty()
    target.add_to_index(np.eye(1, DIM), ["stranger"])
    report = vecsearch.copy_index(source, target)
    assert not report.ok
    assert (report.missing, report.extra) == ([IDS[5]], ["stranger"])
    assert (report.missing_rows, report.extra_rows) == (1, 1)
    assert f"1 rows are missing in the target: '{IDS[5]}'" in report.mismatches
    assert "MISMATCH" in str(report)


@pytest.mark.parametrize("column", ["vectors", "metadata", "documents", "types"])
def test_columns_that_arrive_changed_are_named(column):
    class Changing(SklearnBackend):
        def upsert(self, rows):
            spoiled = rows.ids.index(IDS[5])
            if column == "vectors":
                rows.vectors = rows.vectors.copy()
                rows.vectors[spoiled, 0] *= 1.001
            elif column == "metadata":
                rows.fields[spoiled] = {**rows.fields[spoiled], "n": -1}
            elif column == "types":
                rows.fields[spoiled] = {**rows.fields[spoiled], "n": float(rows.fields[spoiled]["n"])}
            else:
                rows.documents[spoiled] = "other"
            super().upsert(rows)

    with registered("sklearn", Changing):
        target = empty()
    report = vecsearch.copy_index(made(100), target, verify="full")
    named = "metadata" if column == "types" else column
    assert report.different == {named: [IDS[5]]}
    assert report.different_rows == {named: 1}
    assert [one for one in report.mismatches if f"1 rows have other {named}: '{IDS[5]}'" in one]


def test_samples_that_arrive_changed_are_named():
    class Changing(SklearnBackend):
        def upsert(self, rows):
            rows.fields = [{**row, "_vs_sample": "other"} for row in rows.fields]
            super().upsert(rows)

    with registered("sklearn", Changing):
        target = empty()
    source = made(20, sample_ids=["s"] * 20, label_ids=IDS[:20])
    report = vecsearch.copy_index(source, target)
    assert report.different_rows == {"sample ids": 20}


def test_answers_that_differ_are_told():
    class Lying(SklearnBackend):
        def search(self, *arguments, **named):
            hits = super().search(*arguments, **named)
            hits.scores = [scores + 0.01 for scores in hits.scores]
            return hits

    class Withholding(SklearnBackend):
        def search(self, queries, k, where, **named):
            hits = super().search(queries, k + 1, where, **named)
            hits.scores = [scores[1:] for scores in hits.scores]
            hits.rows = [rows.take(range(1, len(rows))) for rows in hits.rows]
            return hits

    for backend, words in ((Lying, "distances differ, by up to 0.01"), (Withholding, "of the nearest 10 agree")):
        with registered("sklearn", backend):
            target = empty()
        report = vecsearch.copy_index(made(200), target)
        assert len(report.mismatches) == 1
        assert words in report.mismatches[0]


def test_rows_at_equal_distances_are_no_difference():
    vectors = np.repeat(VECTORS[:10], 30, axis=0)

    class Backwards(SklearnBackend):
        """Among equals the last ids, as an engine without an order may give."""

        def search(self, queries, k, where, **named):
            hits = super().search(queries, 30, where, **named)
            hits.scores = [scores[-k:] for scores in hits.scores]
            hits.rows = [rows.take(range(len(rows) - k, len(rows))) for rows in hits.rows]
            return hits

    with registered("sklearn", Backwards):
        target = empty()
    source = vecsearch.compute_similarity(embeddings=vectors, sample_ids=IDS[:300])
    assert vecsearch.copy_index(source, target).mismatches == []


# ---- half-way


def test_a_copy_that_fails_says_how_to_go_on_and_goes_on():
    source = made()
    broken = faulty(SklearnBackend, lambda name, calls: BreakdownError() if name == "upsert" and calls == 3 else None)
    with registered("sklearn", broken):
        target = empty(key="copy", batch_rows=500)
    with pytest.raises(IngestError, match="resume with checkpoint=") as caught:
        vecsearch.copy_index(source, target, checkpoint="c.json")
    assert caught.value.written == len(target) == 1000 or caught.value.written == 1500
    written = []
    report = vecsearch.copy_index(
        source, target, checkpoint="c.json", verify="full", progress=lambda n, _: written.append(n)
    )
    assert report.ok
    assert report.written == ROWS - caught.value.written


def test_a_checkpoint_of_another_source_is_refused():
    target = empty(key="copy")

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vecsearch.copy_index(made(), target, checkpoint="c.json", progress=stop)
    with pytest.raises(InvalidInputError, match="another source or index"):
        vecsearch.copy_index(made(100), target, checkpoint="c.json")


KILLED = """
import sys, vecsearch
source = vecsearch.load_run("source")
target = vecsearch.compute_similarity(key="copy", embeddings=False, backend="slow", path=sys.argv[1])
vecsearch.copy_index(source, target, checkpoint="c.json")
"""


def test_a_copy_goes_on_after_a_kill(tmp_path):
    source = made(key="source")
    slow = (
        "import time, vecsearch.registry as r, vecsearch_sqlite as s\n"
        "class Slow(s.SQLiteBackend):\n"
        "    name = 'slow'\n"
        "    def upsert(self, rows):\n"
        "        time.sleep(0.1); super().upsert(rows)\n"
        "held = r.registered('slow', Slow)\n"
        "held.__enter__()\n"
    )
    path = str(tmp_path / "slow.db")
    process = subprocess.Popen([sys.executable, "-c", slow + KILLED, path], env=_environment())
    deadline = time.monotonic() + 60
    while not (tmp_path / "c.json").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = json.loads((tmp_path / "c.json").read_text())["rows"]
    assert 0 < done < ROWS
    from vecsearch_sqlite import SQLiteBackend

    class Same(SQLiteBackend):
        name = "slow"

    with registered("slow", Same):
        target = vecsearch.load_run("copy")
        report = vecsearch.copy_index(source, target, checkpoint="c.json", verify="full")
        assert report.ok
        assert report.written == ROWS - done
        target.close()
        source.close()


def _environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "examples" / "sqlite_backend")}


# ---- the command line


def run(*line, code=0):
    result = CliRunner().invoke(app, [str(word) for word in line])
    assert result.exit_code == code, (line, result.stdout, result.stderr)
    return result


def test_the_command_copies_and_reports():
    made(key="kb").close()
    shown = run("copy", "kb", "kb2", "--verify", "full")
    assert "3,000 in the source, 3,000 in the target" in shown.stdout
    report = json.loads(run("copy", "kb", "kb3", "--checkpoint", "c.json", "--json").stdout)
    assert report["ok"]
    assert report["written"] == ROWS
    assert vecsearch.load_run("kb2").get_metadata() == vecsearch.load_run("kb3").get_metadata()


def test_a_difference_is_an_exit_code():
    made(key="kb").close()
    other = made(100, key="other", sample_ids=[f"x{n}" for n in range(100)])
    other.close()
    shown = run("copy", "kb", "other", code=1)
    assert "100 rows are in the target only" in shown.stdout
    assert "they differ" in shown.stderr


def test_the_command_knows_profiles(monkeypatch, tmp_path):
    monkeypatch.setenv("VECSEARCH_SIMILARITY_BACKENDS", "staging,prod")
    for name in ("STAGING", "PROD"):
        monkeypatch.setenv(f"VECSEARCH_SIMILARITY_{name}_TYPE", "sklearn")
    monkeypatch.setenv("VECSEARCH_SIMILARITY_STAGING_PATH", str(tmp_path / "staging"))
    made(100, backend="staging").save()
    shown = run("copy", "kb", "--from", "staging", "--to", "prod", "--verify", "full")
    assert "100 in the source" in shown.stdout
    assert vecsearch.get_run_info("kb").profile == "prod"
    assert len(vecsearch.load_run("kb")) == 100


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["kb"], "is the source itself"),
        (["nokey", "kb"], "no run 'nokey'"),
        (["kb", "other", "--set", "threads=1"], "--set describes a new run"),
        (["kb", "other", "--to", "sqlite"], "exists on sklearn, not on sqlite"),
        (["kb", "euclidean"], "create the target with"),
    ],
)
def test_mistakes_are_one_line(line, message):
    made(50, key="kb").close()
    made(50, key="other").close()
    made(50, key="euclidean", metric="euclidean").close()
    shown = run("copy", *line, code=2)
    assert message in shown.stderr
    assert shown.stderr.count("\n") == 1


def test_a_target_that_got_no_row_does_not_stay():
    vectors = np.zeros((3, 4), dtype=np.float32)
    vecsearch.compute_similarity(embeddings=vectors, metric="dotproduct", key="zeros").close()
    broken = faulty(SklearnBackend, lambda name, _: BreakdownError() if name == "upsert" else None)
    with registered("sklearn", broken):
        run("copy", "zeros", "copy", code=2)
    assert vecsearch.list_runs() == ["zeros"]
