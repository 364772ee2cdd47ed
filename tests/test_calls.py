"""The border: retries, translations, secrets, closing."""

import logging
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from pydantic import SecretStr
from vecsearch_sqlite import SQLiteBackend, SQLiteConfig

import vecsearch
from vecsearch import registry
from vecsearch.backends import Capabilities, Score, Spec
from vecsearch.calls import Engine, distances
from vecsearch.errors import (
    AccessDeniedError,
    BackendError,
    ClosedError,
    ConnectionFailedError,
    IndexNotFoundError,
    NotVisibleYetError,
    UnsupportedError,
)


class FlakyConfig(SQLiteConfig):
    api_key: SecretStr | None = None
    headers: dict[str, SecretStr] | None = None
    url: str | None = None


class Flaky(SQLiteBackend):
    """Fails as often as it is told to, in its client's own words."""

    name = "flaky"
    Config = FlakyConfig
    errors: ClassVar = {
        **SQLiteBackend.errors,
        ConnectionRefusedError: "unavailable",
        OSError: "storage",
        KeyError: "denied",
    }

    def __init__(self, config):
        super().__init__(config)
        self.failures = []
        self.shown = True

    def count(self, where=None):
        if self.failures:
            raise self.failures.pop(0)
        return super().count(where)

    def visible(self, written, deleted):
        return self.shown


@pytest.fixture
def engine(tmp_path):
    made = Engine(Flaky(FlakyConfig(path=str(tmp_path / "x.db"), index_name="photos", timeout=0.6)))
    made.create(Spec(2, "cosine"))
    yield made
    made.close()


def test_a_call_is_repeated_until_the_engine_is_back(engine, caplog):
    engine.backend.failures = [ConnectionRefusedError("down")] * 2
    with caplog.at_level(logging.INFO, "vecsearch"):
        assert engine.count() == 0
    assert "trying again" in caplog.text


def test_an_engine_that_stays_away_is_one_error_with_what_to_check(engine):
    engine.backend.failures = [ConnectionRefusedError("refused by 127.0.0.1:1")] * 1000
    with pytest.raises(ConnectionFailedError, match=r"flaky 'photos': count: refused by .* \(is it running") as caught:
        engine.count()
    assert (caught.value.backend, caught.value.operation) == ("flaky", "count")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_what_cannot_get_better_is_not_repeated(engine):
    engine.backend.failures = [KeyError("no"), KeyError("no")]
    with pytest.raises(AccessDeniedError, match="check the credentials"):
        engine.count()
    assert len(engine.backend.failures) == 1


def test_the_most_derived_class_decides(engine):
    engine.backend.failures = [sqlite3.IntegrityError("x")]
    with pytest.raises(vecsearch.IndexExistsError):
        engine.count()


def test_an_error_that_no_table_names_still_has_ours_around_it(engine):
    engine.backend.failures = [RuntimeError("whatever")]
    with pytest.raises(BackendError, match="flaky 'photos': count: whatever"):
        engine.count()


@pytest.mark.parametrize(
    "text", ["bad key hunter2!", "header s3cr3t-two refused", "GET https://me:pa55word@host/x failed"]
)
def test_no_secret_leaves_in_a_foreign_message(engine, text, caplog):
    config = FlakyConfig(
        path=engine.config.path,
        index_name="other",
        api_key="hunter2!",
        headers={"X": "s3cr3t-two"},
        url="https://me:pa55word@host",
    )
    assert "pa55word" not in repr(config) + str(config)
    backend = Flaky(config)
    backend.failures = [RuntimeError(text)] * 2
    other = Engine(backend)
    other.create(Spec(2, "cosine"))
    with caplog.at_level(logging.DEBUG, "vecsearch"), pytest.raises(BackendError) as caught:
        other.count()
    shown = str(caught.value) + repr(caught.value.__cause__) + caplog.text
    assert not any(secret in shown for secret in ("hunter2!", "s3cr3t-two", "pa55word"))
    assert "***" in str(caught.value)


def test_writes_that_do_not_show_are_an_error_that_says_they_are_written(engine):
    engine.backend.shown = False
    with pytest.raises(NotVisibleYetError, match="are written, but not visible"):
        engine.wait_until_visible(["a"], [], timeout=0.1)


def test_an_engine_that_goes_away_after_a_write_does_not_undo_it(engine):
    def away(*_):
        raise ConnectionRefusedError("refused")

    engine.backend.visible = away
    with pytest.raises(NotVisibleYetError, match=r"are written, but .* not known .*: flaky 'photos': wait: refused"):
        engine.wait_until_visible(["a"], [])


def test_what_takes_its_time_is_no_error_where_the_engine_ends_it(engine):
    engine.backend.capabilities = replace(engine.backend.capabilities, ends_in_time=False)
    engine.describe()
    engine.backend.visible = lambda *_: time.sleep(1) or True
    engine.wait_until_visible(["a"], [])  # upkeep may take longer than the timeout: what was written is
    enough = threading.Event()
    engine.backend.count = lambda _: enough.wait(20)
    started = time.monotonic()
    with pytest.raises(ConnectionFailedError, match=r"no answer within 0.6 s \(is it running"):
        engine.count()
    assert time.monotonic() - started < 3
    enough.set()


def test_after_closing_every_call_says_so(engine):
    engine.close()
    engine.close()
    with pytest.raises(ClosedError, match="open it again with load_run"):
        engine.count()


def test_creating_what_the_engine_cannot_hold_is_refused_before_the_call(tmp_path):
    class Narrow(SQLiteBackend):
        capabilities = Capabilities(metrics={"cosine": Score.SIMILARITY}, dims=(2, 8))

    engine = Engine(Narrow(SQLiteConfig(path=str(tmp_path / "x.db"))))
    with pytest.raises(UnsupportedError, match="2 to 8 dimensions, not 9"):
        engine.create(Spec(9, "cosine"))
    with pytest.raises(UnsupportedError, match="has no metric 'euclidean'"):
        engine.create(Spec(4, "euclidean"))
    assert engine.describe() is None


@pytest.mark.parametrize(
    ("score", "metric", "native", "distance"),
    [
        (Score.DISTANCE, "cosine", 0.25, 0.25),
        (Score.SIMILARITY, "cosine", 0.75, 0.25),
        (Score.SIMILARITY, "dotproduct", 3.0, -3.0),
        (Score.SQUARED, "euclidean", 9.0, 3.0),
        (Score.SQUARED, "euclidean", -1e-9, 0.0),
        (Score.ONE_MINUS, "cosine", 0.25, 0.25),
        (Score.ONE_MINUS, "dotproduct", -2.0, -3.0),
    ],
)
def test_scores_become_distances(score, metric, native, distance):
    np.testing.assert_allclose(distances(np.array([native]), score, metric), [distance])


def test_an_index_whose_engine_lost_it_is_named(tmp_path):
    with registry.registered("sqlite", SQLiteBackend):
        index = vecsearch.compute_similarity(embeddings=[[1.0, 2.0]], key="gone", backend="sqlite")
        index.close()
        (tmp_path / "nothing").mkdir()
        info = vecsearch.get_run_info("gone")
        Path(info.settings["path"]).unlink()
        with pytest.raises(IndexNotFoundError, match="no longer holds the index of run 'gone'"):
            vecsearch.load_run("gone")
