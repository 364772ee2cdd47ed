"""The example adapter lives outside the package: it is found by its path, and known by its name while tests run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vecsearch import registry

pytest_plugins = ["pytester"]
sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "sqlite_backend"))


@pytest.fixture(autouse=True, scope="session")
def sqlite():
    from vecsearch_sqlite import SQLiteBackend

    if "sqlite" in registry.names():
        yield
        return
    with registry.registered("sqlite", SQLiteBackend):
        yield
