"""The suite over each faulty backend, in one session of pytest; run by test_suite_bites, as a plug-in too.

A class stops at its first failed test: that is all that must be known of it.
"""

from __future__ import annotations

from collections import Counter

import pytest
from faults import ALL, MUTANTS, Honest

from vecsearch import registry
from vecsearch.backends.sklearn import SklearnBackend
from vecsearch.testing import IndexConformance


class _Suite(IndexConformance):
    def settings(self, tmp_path):
        return {"path": str(tmp_path / "index")}

    def back_door(self, index):
        """Through a good backend over the same files."""
        index.save()
        peek = SklearnBackend(SklearnBackend.Config(path=index.config.path))
        peek.describe()
        rows = next(iter(peek.scan(10**6, ALL)))
        peek.close()
        return {i: (v, f) for i, v, f in zip(rows.ids, rows.vectors, rows.fields, strict=True)}


def _register(name, cls):
    """A backend and its test class, for as long as this module lives."""
    cls.name = name
    registry.BACKENDS._registered[name] = cls
    globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (_Suite,), {"backend": name, "__module__": __name__})


_register("honest", Honest)
for _name, _cls in MUTANTS.items():
    _register(_name, _cls)
FAILED: Counter[str] = Counter()


LATE = ("another_process", "readers_see", "ingest", "stays_away")


def pytest_collection_modifyitems(items):
    """What notices most comes first, what is slow last, so that a fault is soon found."""
    early = ("rows", "metadata", "search", "writes", "filtering", "patches")

    def rank(item):
        subject = item.function.__module__.rpartition(".")[2]
        return any(word in item.name for word in LATE), early.index(subject) if subject in early else len(early)

    items.sort(key=lambda item: (item.cls.__name__, rank(item)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """After a failure the rest of a class is left out."""
    if not FAILED[item.cls.__name__]:
        return None
    item.session._setupstate.teardown_exact(nextitem)
    return True


def pytest_runtest_logreport(report):
    if report.failed:
        FAILED[report.nodeid.split("::")[1]] += 1
