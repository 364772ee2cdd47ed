"""Run records: reserved once, whole or absent, readable, without secrets, safe with two processes."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from vecsearch import files, runs, settings
from vecsearch.backends.base import BackendConfig
from vecsearch.errors import (
    CorruptRunError,
    InvalidInputError,
    RunError,
    RunExistsError,
    RunNotFoundError,
    StorageError,
)
from vecsearch.runs import RunInfo

SECRET = "s3cr3t-0123"  # noqa: S105  planted, to be looked for


def info(key: str = "img_sim", **values) -> RunInfo:
    return RunInfo(**{"key": key, "profile": "sklearn", "backend": "sklearn", "metric": "cosine", **values})


@pytest.fixture
def home(tmp_path):
    with settings.config.override(home=tmp_path):
        yield tmp_path


def ready(key: str, **values) -> RunInfo:
    made = info(key, **values)
    runs.reserve(made)
    made = made.model_copy(update={"state": "ready"})
    runs.update(made)
    return made


def test_a_run_is_reserved_then_ready(home):
    made = info(
        dim=3, model={"name": "clip", "fingerprint": "ab"}, supports_prompts=True, patches_field="gt", patches=True
    )
    runs.reserve(made)
    assert runs.get_run_info("img_sim") == made
    assert made.state == "creating"
    runs.update(made.model_copy(update={"state": "ready"}))
    again = runs.get_run_info("img_sim")
    assert again.state == "ready"
    assert again.created == made.created
    assert again.created.utcoffset() is not None
    with pytest.raises(ValidationError):
        again.state = "creating"


def test_the_file_is_readable_and_ends_in_a_line_break(home):
    runs.reserve(info(settings={"url": "http://localhost"}))
    text = (home / "runs" / "img_sim.json").read_text()
    assert text.endswith("}\n")
    assert json.loads(text)["settings"] == {"url": "http://localhost"}
    assert "key" not in json.loads(text)
    assert [path.name for path in (home / "runs").iterdir() if path.suffix == ".tmp"] == []


def test_the_configuration_by_attributes(home):
    ready("gt_sim", supports_prompts=True, model={"name": "clip"}, settings={"url": "u", "hosts": ["a"]})
    config = runs.get_run_info("gt_sim").config
    assert (config.supports_prompts, config.method, config.model, config.metric) == (True, "sklearn", "clip", "cosine")
    assert (config.patches_field, config.url, config.hosts) == (None, "u", ["a"])
    assert config == runs.get_run_info("gt_sim").config
    assert "url='u'" in repr(config)
    with pytest.raises(AttributeError, match="no public setting 'api_key'; it has hosts, method"):
        _ = config.api_key
    with pytest.raises(AttributeError, match="cannot be changed"):
        config.url = "v"


@pytest.mark.parametrize("key", ["", "1a", "a-b", "a b", "a/b", "../a", "a\n", "é", "a" * 64, None, 3])
def test_keys_that_are_none(home, key):
    for call in (runs.check_key, runs.get_run_info, runs.delete_record, lambda new: runs.rename_run("a", new)):
        with pytest.raises(InvalidInputError, match="cannot be the key of a run: letters, digits"):
            call(key)


def test_keys_that_are(home):
    assert [runs.check_key(key) for key in ("a", "_", "A1_b", "a" * 63)] == ["a", "_", "A1_b", "a" * 63]


def test_a_key_is_taken_once_whatever_its_case(home):
    runs.reserve(info())
    with pytest.raises(
        RunExistsError, match=r"being created, or its creation failed: then delete_run\('img_sim', clean"
    ):
        runs.reserve(info())
    with pytest.raises(RunExistsError, match="'IMG_sim' differs only in case from the run 'img_sim'"):
        runs.reserve(info("IMG_sim"))
    with pytest.raises(RunNotFoundError, match="no run 'IMG_sim'"):
        runs.get_run_info("IMG_sim")
    runs.update(info().model_copy(update={"state": "ready", "created": runs.get_run_info("img_sim").created}))
    with pytest.raises(RunExistsError, match=r"a run 'img_sim' exists: load_run\('img_sim'\) opens it"):
        runs.reserve(info())


def test_an_unknown_key_lists_the_keys_nearest_first(home):
    with pytest.raises(RunNotFoundError, match="there are no runs"):
        runs.get_run_info("a")
    for key in ("alpha", "img_sim", "zeta"):
        ready(key)
    for call in (runs.get_run_info, runs.delete_record, lambda key: runs.rename_run(key, "b")):
        with pytest.raises(RunNotFoundError, match=r"no run 'img_smi' in .*; the runs are img_sim, "):
            call("img_smi")
    with pytest.raises(LookupError):
        runs.update(info("gone"))


def test_a_stale_record_changes_nothing(home):
    first = ready("a")
    runs.delete_record("a")
    second = ready("a", dim=7)
    with pytest.raises(RunError, match=r"was replaced by another at .*stale"):
        runs.update(first)
    with pytest.raises(RunError, match="was replaced by another; it was left"):
        runs.delete_record("a", only=first)
    with pytest.raises(RunError, match="is ready already"):
        runs.update(second.model_copy(update={"state": "creating"}))
    assert runs.get_run_info("a") == second
    runs.delete_record("a", only=second)
    assert runs.list_runs() == []


def test_filters(home):
    ready("b", profile="prod", backend="qdrant", metric="euclidean", model={"name": "clip"}, supports_prompts=True)
    ready("a", patches_field="gt", patches=True)
    runs.reserve(info("c"))
    found = {
        "all": runs.list_runs(),
        "backend": runs.list_runs(backend="qdrant"),
        "profile": runs.list_runs(backend="prod"),
        "metric": runs.list_runs(metric="euclidean"),
        "model": runs.list_runs(model="clip"),
        "prompts": runs.list_runs(supports_prompts=True),
        "no prompts": runs.list_runs(supports_prompts=False),
        "patches": runs.list_runs(patches_field="gt"),
        "both": runs.list_runs(patches_field="gt", supports_prompts=True),
        "state": runs.list_runs(state="creating"),
        "none": runs.list_runs(model=None),
    }
    assert found == {
        "all": ["a", "b", "c"],
        "backend": ["b"],
        "profile": ["b"],
        "metric": ["b"],
        "model": ["b"],
        "prompts": ["b"],
        "no prompts": ["a", "c"],
        "patches": ["a"],
        "both": [],
        "state": ["c"],
        "none": ["a", "b", "c"],
    }
    with pytest.raises(
        InvalidInputError, match=r"no filter 'bakend'; did you mean 'backend'\?; filters: backend, metric"
    ):
        runs.list_runs(bakend="x")


# Damage


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b'{"format_version": 1', "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "holds no JSON object"),
        (b'{"format_version": 2, "new": 1}', "was written by a later vecsearch .format 2.: upgrade"),
        ({"metric": "l2"}, "metric: Input should be"),
        ({"cls": "os.system"}, "cls: Extra inputs are not permitted"),
        ({"key": "other"}, "key: not expected"),
        ({"created": "2020-01-01T00:00:00"}, "created: Input should have timezone info"),
        ({"settings": f"api_key={SECRET}"}, "settings: Input should be a valid dictionary"),
    ],
)
def test_a_damaged_record_is_named_and_the_others_stay_usable(home, caplog, content, reason):
    ready("good")
    path = home / "runs" / "bad.json"
    if isinstance(content, dict):
        ready("bad")
        content = json.dumps({**json.loads(path.read_text()), **content}).encode()
    path.write_bytes(content)
    with pytest.raises(CorruptRunError, match=reason) as caught:
        runs.get_run_info("bad")
    assert caught.value.path == path
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)
    with caplog.at_level(logging.WARNING, logger="vecsearch"):
        assert runs.list_runs() == ["good"]
    assert str(path) in caplog.text
    assert [error.path for error in runs.corrupt_runs()] == [path]
    assert runs.get_run_info("good").state == "ready"
    with pytest.raises(RunExistsError, match=r"delete_run\('bad'\) removes the record"):
        runs.reserve(info("bad"))
    runs.delete_record("bad")
    assert runs.corrupt_runs() == []


def test_files_that_are_no_records(home):
    ready("good")
    (home / "runs" / ".good.json.1-ab.tmp").write_text("{")
    (home / "runs" / ".hidden.json").write_text("{")
    (home / "runs" / "notes.txt").write_text("x")
    assert runs.corrupt_runs() == []
    (home / "runs" / "no key.json").write_text("{}")
    assert runs.list_runs() == ["good"]
    assert "cannot be a key" in str(runs.corrupt_runs()[0])


def test_a_record_is_never_half_written(home, monkeypatch):
    made = ready("a", dim=3)
    before = (home / "runs" / "a.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write .*a\.json: No space left on device") as caught:
        runs.update(made.model_copy(update={"dim": 4}))
    assert caught.value.errno == errno.ENOSPC
    assert (home / "runs" / "a.json").read_bytes() == before
    assert sorted(path.name for path in (home / "runs").iterdir()) == [".lock", "a.json"]


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        settings.config.override(home=tmp_path / "file"),
        pytest.raises(StorageError, match=r"cannot lock .*file/runs"),
    ):
        runs.reserve(info())


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_home_can_be_read(home):
    ready("a")
    (home / "runs").chmod(0o500)
    try:
        assert runs.list_runs() == ["a"]
        with pytest.raises(StorageError, match="Permission denied"):
            runs.reserve(info("b"))
    finally:
        (home / "runs").chmod(0o700)


def test_atomic_write(tmp_path):
    target = tmp_path / "deep" / "er" / "file"
    files.atomic_write(target, "é")
    files.atomic_write(target, b"\x00")
    assert target.read_bytes() == b"\x00"
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    with pytest.raises(StorageError, match="cannot write"):
        files.atomic_write(target / "below", "x")
    with pytest.raises(StorageError, match="cannot write"):
        files.atomic_write(target.parent, "x")


def test_a_lock_that_stays_held_is_said(tmp_path):
    path = tmp_path / ".lock"
    with files.locked(path), pytest.raises(StorageError, match=r"still locked by another process after 0\.02 s"):  # noqa: SIM117
        with files.locked(path, timeout=0.02):
            pass
    with files.locked(path, timeout=0):
        pass


# Renames and places


def test_a_rename_keeps_everything_and_never_replaces(home):
    data = home / "data" / "sklearn" / "a"
    data.mkdir(parents=True)
    made = ready("a", settings={"path": str(data)})
    ready("b")
    with pytest.raises(RunExistsError, match="a run 'b' exists"):
        runs.rename_run("a", "b")
    with pytest.raises(RunExistsError, match="only in case"):
        runs.rename_run("a", "B")
    runs.rename_run("a", "c")
    assert runs.list_runs() == ["b", "c"]
    assert runs.get_run_info("c") == made.model_copy(update={"key": "c"})
    assert Path(runs.get_run_info("c").config.path).is_dir()
    runs.rename_run("c", "C")
    assert runs.list_runs() == ["C", "b"]
    with pytest.raises(RunNotFoundError):
        runs.update(made)
    runs.reserve(info("half"))
    with pytest.raises(RunError, match="is being created"):
        runs.rename_run("half", "whole")


def test_a_new_run_never_takes_the_data_of_a_renamed_one(home):
    first = runs.data_path("sklearn", "a")
    assert first == home / "data" / "sklearn" / "a"
    ready("a", settings={"path": str(first)})
    runs.rename_run("a", "b")
    second = runs.data_path("sklearn", "a")
    assert second == home / "data" / "sklearn" / "a-2"
    second.mkdir(parents=True)  # left by something that crashed
    assert runs.data_path("sklearn", "a").name == "a-3"
    assert runs.data_path("lancedb", "a").name == "a"


def test_a_home_can_be_moved(home, tmp_path_factory):
    ready("a", settings={"path": str(home / "data" / "sklearn" / "a")})
    ready("b", settings={"path": "/elsewhere/b"})
    ready("c", settings={"path": "s3://bucket/c"})
    ready("d", settings={"path": ":memory:"})
    ready("e", settings={"path": "here/e"})
    assert json.loads((home / "runs" / "a.json").read_text())["settings"]["path"] == "data/sklearn/a"
    other = tmp_path_factory.mktemp("other") / "home"
    home.rename(other)
    found = {key: runs.get_run_info(key, home=other).settings["path"] for key in "abcde"}
    other.rename(home)
    assert found == {
        "a": str(other / "data" / "sklearn" / "a"),
        "b": "/elsewhere/b",
        "c": "s3://bucket/c",
        "d": ":memory:",
        "e": str(Path("here/e").absolute()),
    }


# Secrets


class SecretConfig(BackendConfig):
    url: str
    api_key: SecretStr
    storage_options: dict[str, SecretStr] | None = None


def test_a_record_holds_no_secret(home):
    config = SecretConfig(
        url=f"https://me:{SECRET}@host", api_key=SecretStr(SECRET), storage_options={"key": SecretStr(SECRET)}
    )
    made = ready("a", settings=settings.public_config(config))
    assert made.settings == {"url": "https://host"}
    assert all(SECRET not in path.read_text() for path in (home / "runs").iterdir())
    assert SECRET not in repr(runs.get_run_info("a")) + repr(made.config)


# Two processes


def _race(home, start, results, name):
    """Reserve, rename and delete keys that the other process wants too; report what was won."""
    won = []
    with settings.config.override(home=home):
        start.wait()
        for round_ in range(25):
            made = info(f"k{round_}", vecsearch_version=name)
            try:
                runs.reserve(made)
            except RunExistsError:
                pass
            else:
                won.append(f"made {round_}")
                runs.update(made.model_copy(update={"state": "ready"}))
            runs.list_runs()
            try:
                runs.rename_run(f"k{round_}", f"r{round_}")
                won.append(f"renamed {round_}")
            except (RunNotFoundError, RunExistsError, RunError):
                pass
            try:
                runs.delete_record(f"r{round_}")
                won.append(f"deleted {round_}")
            except RunNotFoundError:
                pass
    results.put(won)


def test_two_processes_race_and_each_prize_is_won_by_one(tmp_path):
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_race, args=(tmp_path, start, results, name)) for name in ("one", "two")]
    for process in processes:
        process.start()
    won = results.get(timeout=60) + results.get(timeout=60)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    made, renamed, deleted = (sorted(w for w in won if w.startswith(kind)) for kind in ("made", "renamed", "deleted"))
    left = runs.list_runs(home=tmp_path)
    # What was made was renamed and deleted at most once each, and what is left is exactly what nobody deleted.
    assert len(made) == len(deleted) + len(left)
    assert len(renamed) == len(deleted) + sum(key.startswith("r") for key in left)
    assert runs.corrupt_runs(home=tmp_path) == []


def test_one_of_many_threads_reserves(home):
    outcomes = []

    def reserve() -> None:
        try:
            runs.reserve(info(), home=home)
            outcomes.append("won")
        except RunExistsError:
            outcomes.append("lost")

    threads = [threading.Thread(target=reserve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["won"]


def test_times_are_aware():
    with pytest.raises(ValidationError):
        info(created=datetime(2020, 1, 1))  # noqa: DTZ001  that is the point
    assert info(created=datetime(2020, 1, 1, tzinfo=UTC)).created.year == 2020
