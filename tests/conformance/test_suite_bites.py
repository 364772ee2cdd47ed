"""The suite is itself tested: each deliberate fault of a good backend must fail it, and the good one pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from faults import MUTANTS

HERE = Path(__file__).parent
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """{test class: [failed tests]}, and how many tests the honest backend passed; one process for all."""
    output = tmp_path_factory.mktemp("bites") / "results.json"
    environment = {**os.environ, "VECSEARCH_CONFORMANCE_RESULTS": str(output)}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    options = ["-q", "--tb=line", "-pno:cacheprovider", "-pmutants", "-pvecsearch.testing.collecting"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(HERE / "mutants.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert output.exists(), done.stdout + done.stderr
    found = {}
    for name, outcome, reason in json.loads(output.read_text()):
        found.setdefault(name.split("::")[0], []).append((name.split("::")[-1], outcome, reason))
    return found


def test_a_good_backend_passes(outcomes):
    results = outcomes["TestHonest"]
    assert [row for row in results if row[1] == "failed"] == []
    assert sum(outcome == "passed" for _, outcome, _ in results) > 350


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_fault_is_caught(outcomes, name):
    failed = [test for test, outcome, _ in outcomes[f"Test{MUTANTS[name].__name__}"] if outcome == "failed"]
    assert failed, f"no test of the suite noticed {name}"
