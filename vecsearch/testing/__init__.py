"""What proves that a backend keeps the contract: the conformance suite, wrappers of backends, the truth table.

An adapter's own tests inherit the suite and give it two hooks::

    from vecsearch.testing import IndexConformance

    class TestMyDB(IndexConformance):
        backend = "mydb"

        def settings(self, tmp_path):
            return {"url": f"file://{tmp_path}"}

        def back_door(self, index):
            return index.client.dump()   # {id: (vector, metadata)}, past vecsearch

``vecsearch conformance mydb`` runs the same suite from the command line. See ``docs/adding-a-backend.md``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecsearch.testing.command import ConformanceReport, run_conformance
    from vecsearch.testing.conformance import IndexConformance
    from vecsearch.testing.servers import own_server

_HOMES = {
    "ConformanceReport": "vecsearch.testing.command",
    "IndexConformance": "vecsearch.testing.conformance",
    "own_server": "vecsearch.testing.servers",
    "run_conformance": "vecsearch.testing.command",
}
_ASSERTING = ("vecsearch.testing.conformance", "vecsearch.testing.suite")


def _rewrite_asserts() -> None:
    """Have pytest explain the suite's asserts as it does those of a test file; they must not be imported yet."""
    if not any(name in sys.modules for name in _ASSERTING):
        import pytest

        pytest.register_assert_rewrite(*_ASSERTING)


def __getattr__(name: str) -> Any:
    """Loaded when asked for, because only the suite needs pytest."""
    if name not in _HOMES:
        raise AttributeError(f"module 'vecsearch.testing' has no attribute {name!r}")
    if name == "IndexConformance":
        try:
            _rewrite_asserts()
        except ModuleNotFoundError as error:
            from vecsearch.errors import MissingDependencyError

            raise MissingDependencyError(
                "the conformance suite needs pytest: pip install 'vecsearch[testing]'"
            ) from error
    return getattr(import_module(_HOMES[name]), name)


__all__ = ("ConformanceReport", "IndexConformance", "own_server", "run_conformance")
