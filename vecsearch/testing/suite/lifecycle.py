"""Saved, closed, opened again here and elsewhere, attached to, deleted; secrets stay secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from pydantic import SecretStr, create_model

import vecsearch
from vecsearch.errors import (
    ClosedError,
    IndexExistsError,
    IndexNotFoundError,
    InvalidInputError,
    RunExistsError,
    RunNotFoundError,
    VecsearchError,
)
from vecsearch.testing.suite import _child, data
from vecsearch.testing.suite.harness import WRITING, Harness, nothing_happened, plain_setting
from vecsearch.testing.wrappers import WrappedBackend, recording

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vecsearch.backends.base import Backend, BackendConfig, Rows

_SECRET = "s3cr3t-of-the-conformance-suite"  # noqa: S105  planted to be looked for


class LifecycleTests(Harness):
    """From creation to deletion."""

    def _run(self, key: str = "a_run", **arguments: Any) -> vecsearch.SimilarityIndex:
        return self.create(**{**data.sample_rows().columns(), "metric": self.metric, "key": key, **arguments})

    def _reopened(self, index: vecsearch.SimilarityIndex, key: str = "a_run") -> vecsearch.SimilarityIndex:
        index.save()
        index.close()
        self.forget(index)
        return self.opened(vecsearch.load_run(key))

    def test_a_run_is_opened_again(self) -> None:
        """Saved, closed and loaded: the same rows, the same answers, and everything can be changed.

        If this fails, check that describe tells what create was given, after a new start.
        """
        rows = data.sample_rows()
        index = self._run()
        query = data.vectors(1, seed=81)[0]
        before = index.search(query, 10, **self.exactly)[0]
        index = self._reopened(index)
        assert (index.metric, index.dim, index.is_patches, index.key) == (self.metric, data.DIM, False, "a_run")
        self.assert_vectors(index.get_embeddings(sample_ids=rows.ids), rows.ids, rows.vectors)
        after = index.search(query, 10, **self.exactly)[0]
        assert after.ids.tolist() == before.ids.tolist()
        assert data.close(after.distances, before.distances, 1.0)
        assert after.documents == before.documents
        assert all(data.same_metadata(a, b) for a, b in zip(after.metadata, before.metadata, strict=True))
        index.remove_from_index(sample_ids=rows.ids[:50])
        index.add_to_index(data.vectors(1, seed=82), ["later"])
        index = self._reopened(index)
        assert index.ids().tolist() == sorted([*rows.ids[50:], "later"])

    def test_a_run_is_opened_in_another_process(self) -> None:
        """With the key and the environment alone.

        If this fails, check which settings are ``Identity()``, that the others can come from the environment, and that
        ``durable`` (or ``save``) keeps what it says.
        """
        rows = data.sample_rows()
        settings = self.new_settings()
        index = self.create(**{**rows.columns(), **settings, "metric": self.metric, "key": "elsewhere"})
        query = data.vectors(1, seed=83)[0]
        before = index.search(query, 10)[0]
        if self.capabilities.durable:
            index.remove_from_index(sample_ids=rows.ids[199:])  # and no save()
        else:
            index.save()
        index.close()
        left = 199 if self.capabilities.durable else 200
        answer = self._elsewhere("elsewhere", settings, query)
        self.forget(index)
        self.opened(vecsearch.load_run("elsewhere"))
        assert (answer["metric"], answer["dim"], answer["patches"]) == (self.metric, data.DIM, False)
        assert answer["size"] == left
        assert answer["all_ids"] == sorted(rows.ids[:left])
        expected = data.truth(query, rows.by_id(), self.metric, rows.ids[:left])
        assert data.close(answer["distances"], [expected[row_id] for row_id in answer["ids"]], 1.0)
        kept = [p for p, row_id in enumerate(before.ids) if row_id in expected]
        if self.capabilities.exactness == "always":
            assert answer["ids"][: len(kept)] == [before.ids[p] for p in kept]
        shown = {
            row_id: (n, document)
            for row_id, n, document in zip(answer["ids"], answer["metadata"], answer["documents"], strict=True)
        }
        for row_id, (metadata, document) in shown.items():
            position = rows.ids.index(row_id)
            assert metadata == {name: repr(value) for name, value in rows.metadata[position].items()}
            assert document == rows.documents[position]
        by_id = rows.by_id()
        found = np.array(answer["vectors"], dtype=np.float32)
        assert data.ulps(found, np.stack([by_id[row_id] for row_id in answer["all_ids"]])) <= self.ulps

    def _elsewhere(self, key: str, settings: Mapping[str, Any], query: Any) -> dict[str, Any]:
        cls = self.backend_class
        asked = {
            "name": self.backend,
            "home": f"{cls.__module__}:{cls.__qualname__}",
            "path": sys.path,
            "key": key,
            "query": query.tolist(),
        }
        environment = dict(os.environ)
        for name, value in settings.items():
            environment[f"VECSEARCH_SIMILARITY_{self.backend}_{name}".upper()] = plain_setting(value)
        done = subprocess.run(  # noqa: S603  this Python, our own module
            [sys.executable, "-m", _child.__name__, json.dumps(asked)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def test_closing_deletes_nothing_and_ends_everything(self) -> None:
        """After close every call says that the index is closed; twice is fine; the rows are still there.

        If this fails, check that close lets go of files and connections and of nothing else.
        """
        index = self._run()
        index.save()
        with index:
            assert len(index) == data.ROWS
        index.close()
        for call in (
            lambda: index.search(data.vectors(1)[0]),
            index.count,
            index.ids,
            lambda: index.add_to_index(data.vectors(1), ["a"]),
        ):
            with pytest.raises(ClosedError, match="load_run"):
                call()
        self.forget(index)
        assert len(self.opened(vecsearch.load_run("a_run"))) == data.ROWS

    def test_cleanup_deletes(self) -> None:
        """The rows and the index are gone from the engine; the run says so, and the key is free after delete_run.

        If this fails, check drop, and that describe answers ``None`` afterwards.
        """
        index = self._run()
        index.save()
        index.cleanup()
        assert len(index) == 0
        index.close()
        self.forget(index)
        with pytest.raises(IndexNotFoundError, match="a_run"):
            vecsearch.load_run("a_run")
        vecsearch.delete_run("a_run")
        with pytest.raises(RunNotFoundError):
            vecsearch.load_run("a_run")
        assert len(self._run()) == data.ROWS

    def test_delete_run_deletes_the_index_too(self) -> None:
        """With ``cleanup=True`` nothing is left.

        If this fails, check drop of an index that another object created.
        """
        settings = self.new_settings()
        index = self.create(**{**data.sample_rows().columns(), **settings, "metric": self.metric, "key": "gone"})
        index.save()
        index.close()
        self.forget(index)
        vecsearch.delete_run("gone", cleanup=True)
        assert vecsearch.list_runs() == []
        fresh = self.create(**{**settings, "metric": self.metric, "key": "gone", "dim": 3})
        assert (len(fresh), fresh.dim) == (0, 3)

    def test_a_taken_key_is_not_taken_again(self) -> None:
        """``raise`` leaves everything, ``load`` opens what is there, ``replace`` makes it anew.

        If this fails, check describe and drop.
        """
        settings = self.new_settings()
        first = {**data.sample_rows().columns(), **settings, "metric": self.metric, "key": "taken"}
        index = self.create(**first)
        index.save()
        with pytest.raises(RunExistsError, match="taken"):
            self.create(**first)
        assert len(index) == data.ROWS
        index.close()
        self.forget(index)
        loaded = self.create(**settings, key="taken", if_exists="load", metric=self.metric)
        assert len(loaded) == data.ROWS
        with pytest.raises(InvalidInputError):
            self.create(**settings, key="taken", if_exists="load", metric=self.metric, dim=3)
        loaded.close()
        self.forget(loaded)
        again = self.create(
            **settings,
            key="taken",
            if_exists="replace",
            metric=self.metric,
            embeddings=data.vectors(2),
            sample_ids=["a", "b"],
        )
        assert again.ids().tolist() == ["a", "b"]

    def test_connect_attaches_and_never_creates(self) -> None:
        """What exists is opened, metric and width read from the engine; what does not exist is an error, and stays so.

        If this fails, check that describe answers ``None`` for an unknown name, and makes nothing.
        """
        there, not_there = self.named("conformance_there"), self.named("conformance_not_there")
        settings = {**self.new_settings(), "index_name": there}
        rows = data.sample_rows().take(range(30))
        index = self.create(**{**rows.columns(), **settings, "metric": self.lengths_matter})
        with suppress(InvalidInputError):  # in memory only: then there is nothing to attach to
            index.save()
        index.close()
        self.forget(index)
        settings.pop("index_name")
        other = self.opened(vecsearch.connect(there, backend=self.backend, **settings))
        assert (other.metric, other.dim, len(other)) == (self.lengths_matter, data.DIM, 30)
        self.assert_vectors(other.get_embeddings(sample_ids=rows.ids), rows.ids, rows.vectors)
        wrapper = recording(self.backend_class)
        for _ in range(2):
            with self.through(wrapper), pytest.raises(IndexNotFoundError, match=not_there):
                vecsearch.connect(not_there, backend=self.backend, **self.new_settings())
        assert nothing_happened(wrapper, *WRITING)

    def test_an_index_that_exists_is_not_overwritten(self) -> None:
        """Creating over it is an error, and its rows stay.

        If this fails, check that describe finds an index that another object made, and that create refuses.
        """
        settings = {**self.new_settings(), "index_name": self.named("conformance_taken")}
        index = self.create(**{**data.sample_rows().columns(), **settings, "metric": self.metric})
        index.save()
        with pytest.raises(IndexExistsError):
            self.create(**{**settings, "embeddings": data.vectors(1), "sample_ids": ["a"], "metric": self.metric})
        assert len(index) == data.ROWS

    def test_a_failed_creation_leaves_nothing(self) -> None:
        """Rows that are refused, or an engine that fails: no run, no index, and the key can be used.

        If this fails, check drop of an index without rows.
        """

        class Failing(WrappedBackend, inner=self.backend_class):
            def upsert(self, rows: Rows) -> None:
                del rows
                raise RuntimeError("the engine is full")

        settings = self.new_settings()
        common = {**settings, "metric": self.metric, "key": "failed"}
        bad = np.full((2, 3), np.nan)
        with pytest.raises(InvalidInputError):
            self.create(**{**common, "embeddings": bad, "sample_ids": ["a", "b"]})
        with pytest.raises(VecsearchError, match="full"):
            self.create(wrapper=Failing, **{**common, "embeddings": data.vectors(2), "sample_ids": ["a", "b"]})
        assert vecsearch.list_runs() == []
        index = self.create(**{**common, "embeddings": data.vectors(1), "sample_ids": ["c"]})
        assert index.ids().tolist() == ["c"]

    def test_an_index_may_start_without_a_width(self) -> None:
        """The first rows decide; the run knows it afterwards.

        If this fails, check create with the width of the first rows.
        """
        index = self.create(key="undecided", metric=self.metric)
        assert (index.dim, len(index)) == (None, 0)
        index.add_to_index(data.vectors(2), ["a", "b"])
        assert index.dim == data.DIM
        index = self._reopened(index, "undecided")
        assert (index.dim, index.ids().tolist()) == (data.DIM, ["a", "b"])

    def test_reload_sees_what_another_object_saved(self) -> None:
        """Two objects of one run: after save() here and reload() there, both have the rows.

        If this fails, check reload and save; engines that store each write at once need neither.
        """
        index = self._run()
        index.save()
        other = self.opened(vecsearch.load_run("a_run"))
        assert len(other) == data.ROWS
        index.add_to_index(data.vectors(1, seed=84), ["new"])
        index.save()
        other.reload()
        assert other.contains(["new"]).all()
        other.close()
        self.forget(other)

    def test_no_secret_is_shown_or_recorded(self) -> None:
        """A planted secret, and those of the settings: in no record, print, message or traceback; and none is lost.

        If this fails, check that secrets are ``SecretStr`` fields, and that no message of the adapter contains one.
        """
        wrapper = _with_secret(self.backend_class)
        given = self.new_settings()
        fields = self.backend_class.Config.secret_fields() & set(given)
        secrets = [_SECRET, *(_plain(given[name]) for name in fields)]
        columns = data.sample_rows().take(range(5)).columns()
        index = self.create(
            wrapper=wrapper, **{**columns, **given, "metric": self.metric, "key": "discreet", "planted": _SECRET}
        )
        with pytest.raises(VecsearchError) as caught:
            index.count()
        assert "the password" in str(caught.value)
        home = vecsearch.config.home
        texts = [path.read_text(errors="replace") for path in (home / "runs").glob("*.json")]
        texts += [repr(index), repr(index.config), str(index.config), repr(vecsearch.get_run_info("discreet"))]
        texts += [str(caught.value), repr(caught.value), repr(index.health()), index._repr_html_()]
        chain: BaseException | None = caught.value.__cause__
        while chain is not None:
            texts.append(str(chain))
            chain = chain.__cause__
        for secret in secrets:
            assert not [text for text in texts if secret in text]
        assert texts[0]

    def test_the_public_facts(self) -> None:
        """What an index says of itself.

        If this fails, check the names of the adapter.
        """
        index = self.filled()
        assert index.config.method == self.backend
        assert index.config.metric == index.metric == self.metric
        assert index.capabilities == self.capabilities
        assert self.backend in repr(index)
        assert index.get_model() is None
        assert bool(index)

    def test_settings_of_no_name_are_refused(self, tmp_path: Path) -> None:
        """A setting that the backend does not have is an error that names it; nothing is made.

        If this fails, check that the Config derives from BackendConfig.
        """
        with pytest.raises(vecsearch.ConfigError, match="no_such_setting"):
            self.create(no_such_setting=1)
        assert not (tmp_path / "home" / "runs").exists()


def _plain(value: Any) -> str:
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _with_secret(inner: type[Backend[Any]]) -> type[WrappedBackend]:
    """The backend with one more secret setting, which an error message of the engine repeats."""
    config: type[BackendConfig] = create_model(
        inner.Config.__name__, __base__=inner.Config, planted=(SecretStr | None, None)
    )

    class Talkative(WrappedBackend, inner=inner):
        Config: ClassVar[type[BackendConfig]] = config

        def count(self, where: Any = None) -> int:
            del where
            raise RuntimeError(f"the password {_SECRET} is wrong")

    return Talkative
