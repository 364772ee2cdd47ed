"""``vecsearch conformance NAME``: the suite from the command line, for a backend that may have no tests of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecsearch import registry
from vecsearch import settings as settings_
from vecsearch.errors import MissingDependencyError, VecsearchError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 3600
_MODULE = '''"""Written by ``vecsearch conformance``."""
import json
import os
from pathlib import Path

import pytest

from vecsearch.testing import IndexConformance
from vecsearch.testing.suite._child import register

ASKED = json.loads(os.environ["VECSEARCH_CONFORMANCE"])
register(ASKED["name"], ASKED["home"], ASKED["path"])


class TestConformance(IndexConformance):
    backend = ASKED["name"]

    def settings(self, tmp_path):
        paths = {name: str(tmp_path / "data") for name in ASKED["paths"]}
        return paths | ASKED["settings"]

    def back_door(self, index):
        pytest.skip("there is no back door to this engine: write a test class with a back_door of its own")
'''


@dataclass(frozen=True, slots=True)
class Result:
    """One test of the suite."""

    name: str
    """``test_name``, with its parameter in brackets"""
    outcome: str
    """``passed``, ``failed``, ``xfailed`` or ``skipped``"""
    reason: str = ""
    """Why it failed or was skipped; empty for a test that passed."""


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """What the suite found."""

    backend: str
    results: list[Result]

    @property
    def passed(self) -> int:
        """The number of tests that passed."""
        return self._number("passed")

    @property
    def failed(self) -> int:
        """The number of tests that failed."""
        return self._number("failed")

    @property
    def xfailed(self) -> int:
        """The number of known gaps."""
        return self._number("xfailed")

    @property
    def skipped(self) -> int:
        """The number of tests that do not apply, or could not be made."""
        return self._number("skipped")

    def _number(self, outcome: str) -> int:
        return sum(result.outcome == outcome for result in self.results)

    def to_json(self) -> str:
        """The counts and every test, as a JSON object."""
        counts = {name: self._number(name) for name in ("passed", "failed", "xfailed", "skipped")}
        results = [asdict(result) for result in self.results]
        return json.dumps({"backend": self.backend, **counts, "results": results}, indent=1, ensure_ascii=False)


def run_conformance(backend_name: str, settings: Mapping[str, Any] | None = None) -> ConformanceReport:
    """Run the whole suite against a backend that is built in, installed, or registered here, in a process of its own.

    ``settings`` are the backend's own, for every index that the suite makes; a ``path`` that is not given is a new
    folder each time, and connection settings may come from the environment. Each test makes an index of its own and
    deletes it. Tests that look into the engine past vecsearch are skipped: only a test class has that back door.

    Raises ``UnknownBackendError``, ``MissingDependencyError`` where the backend's client or pytest is not installed.
    """
    for module in ("pytest", "pytest_timeout"):
        if find_spec(module) is None:
            raise MissingDependencyError("the conformance suite needs pytest: pip install 'vecsearch[testing]'")
    cls = registry.backend_class(backend_name)
    given = dict(settings or {})
    asked = {
        "name": backend_name,
        "home": f"{cls.__module__}:{cls.__qualname__}",
        "path": [entry or str(Path.cwd()) for entry in sys.path],
        "paths": ["path"] if settings_.resolve(backend_name, given).config.wants_path else [],
        "settings": given,
    }
    with tempfile.TemporaryDirectory(prefix="vecsearch-conformance-") as name:
        folder = Path(name)
        (folder / "test_conformance.py").write_text(_MODULE, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        output = folder / "results.json"
        environment = {
            **os.environ,
            "VECSEARCH_CONFORMANCE": json.dumps(asked, default=_plain),
            "VECSEARCH_CONFORMANCE_RESULTS": str(output),
            "PYTHONPATH": os.pathsep.join(asked["path"]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for variable in ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST"):
            environment.pop(variable, None)
        plugins = ("vecsearch.testing.collecting", "no:cacheprovider", "no:randomly", "no:xdist")
        options = ["-q", "--timeout=300", f"--basetemp={folder / 'tmp'}", *(f"-p{plugin}" for plugin in plugins)]
        done = subprocess.run(  # noqa: S603  this Python, our own module
            [sys.executable, "-m", "pytest", *options, str(folder)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if not output.exists():
            raise VecsearchError(f"the conformance suite could not run: {(done.stdout + done.stderr)[-2000:]}")
        return ConformanceReport(
            backend_name,
            [
                Result(row[0].rpartition("::")[2] if "[" not in row[0] else row[0].partition("::")[2], *row[1:])
                for row in json.loads(output.read_text(encoding="utf-8"))
            ],
        )


def _plain(value: Any) -> Any:
    secret = getattr(value, "get_secret_value", None)
    return secret() if secret else str(value)


__all__ = ("ConformanceReport", "Result", "run_conformance")
