"""The suite covers what there is: every backend, every capability; and each test says what to look at if it fails."""

from __future__ import annotations

import ast
import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from vecsearch import MissingDependencyError, UnknownBackendError, registry, testing
from vecsearch.backends.base import Capabilities
from vecsearch.testing import IndexConformance, command, run_conformance

HERE = Path(__file__).parent
SUITE = Path(command.__file__).parent / "suite"


def suite_tests():
    return {name: f for name, f in inspect.getmembers(IndexConformance, callable) if name.startswith("test_")}


def read_attributes():
    trees = [ast.parse(path.read_text()) for path in SUITE.glob("*.py")]
    return {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("name", [field.name for field in fields(Capabilities)])
def test_every_capability_is_read_by_the_suite(name):
    assert name in read_attributes(), f"no test looks at Capabilities.{name}"


@pytest.mark.parametrize("name", sorted({*registry.BUILT_IN, "sqlite"}))
def test_every_backend_has_a_harness(name):
    declared = [
        node.value.value
        for path in HERE.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "backend"
        and isinstance(node.value, ast.Constant)
    ]
    assert name in declared, f"tests/conformance has no test class for {name}"


@pytest.mark.parametrize("name", sorted(suite_tests()))
def test_every_test_says_what_to_check(name):
    text = " ".join((suite_tests()[name].__doc__ or "").split())
    assert re.search(r"If this fails, (check|correct|lower) ", text), f"{name}: its docstring ends with no advice"


def test_no_subject_overwrites_a_test_of_another():
    seen = {}
    for part in IndexConformance.__mro__[1:]:
        for name in vars(part):
            assert not name.startswith("test_") or seen.setdefault(name, part) is part, f"{name} is in two files"


def test_a_gap_must_name_a_test():
    with pytest.raises(TypeError, match="test_of_nothing"):
        type("Wrong", (IndexConformance,), {"gaps": {"test_of_nothing": "because"}})
    with pytest.raises(TypeError, match="settings"):
        type("Wrong", (IndexConformance,), {"gaps": {"settings": "because"}})


def test_gaps_are_strict_and_hooks_are_needed(pytester):
    pytester.makepyfile(
        """
        from vecsearch.testing import IndexConformance

        class TestGaps(IndexConformance):
            backend = "sklearn"
            gaps = {"test_health": "it works, so this is wrong", "test_widths": "no back door either"}

            def settings(self, tmp_path):
                return {"nonsense": 1} if "widths" in str(tmp_path) else {}

        class TestNoHooks(IndexConformance):
            backend = "sklearn"
        """
    )
    done = pytester.runpytest_subprocess(
        "-k", "test_health or test_widths or test_the_engine_holds_what", "-p", "no:cacheprovider"
    )
    done.assert_outcomes(failed=5, xfailed=1)
    shown = done.stdout.str()
    assert "XPASS(strict)] it works" in shown
    assert "needs settings(self, tmp_path)" in shown
    assert "needs back_door(self, index)" in shown


def test_asserts_of_the_suite_are_explained(pytester):
    pytester.makepyfile("import vecsearch.testing; assert vecsearch.testing.IndexConformance\ndef test(): pass")
    pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.timeout(400)
def test_the_command_runs_the_suite():
    report = run_conformance("sqlite")
    assert (report.failed, report.xfailed) == (0, 0), [r for r in report.results if r.outcome == "failed"]
    assert report.passed > 350
    skipped = {result.name: result.reason for result in report.results if result.outcome == "skipped"}
    assert "test_the_engine_holds_what_was_put" in skipped
    assert "back door" in skipped["test_the_engine_holds_what_was_put"]
    document = json.loads(report.to_json())
    assert document["passed"] == report.passed
    assert {"name", "outcome", "reason"} == set(document["results"][0])


def test_the_command_reports_failures(tmp_path):
    report = run_conformance("sklearn", {"path": str(tmp_path / "one place for all")})
    assert report.failed
    assert all(result.reason for result in report.results if result.outcome == "failed")


def test_the_command_refuses_what_is_not_there(monkeypatch):
    with pytest.raises(UnknownBackendError):
        run_conformance("nosuch")
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"vecsearch\[testing\]"):
        run_conformance("sklearn")
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = testing.nothing_here
