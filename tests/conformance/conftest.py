"""The example adapter lives outside the package: it is found by its path, and known by its name while tests run."""

from __future__ import annotations

import pytest

from vecsearch import registry


@pytest.fixture(autouse=True, scope="module")
def sqlite():
    from vecsearch_sqlite import SQLiteBackend

    if "sqlite" in registry.names():
        yield
        return
    with registry.registered("sqlite", SQLiteBackend):
        yield
