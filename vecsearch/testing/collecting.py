"""A plug-in of pytest that writes one line of JSON a test: its name, what came of it, and why."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_results: dict[str, tuple[str, str, str]] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """Of the three phases of a test the worst counts."""
    name = report.nodeid.partition("::")[2]
    before = _results.get(report.nodeid, (name, "", ""))[1]
    if hasattr(report, "wasxfail") and report.outcome != "passed":
        outcome, reason = "xfailed", report.wasxfail
    elif report.failed:
        outcome, reason = "failed", _last_line(report)
    elif report.skipped:
        outcome, reason = "skipped", report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    else:
        outcome, reason = "passed", ""
    order = ("", "passed", "skipped", "xfailed", "failed")
    if order.index(outcome) > order.index(before):
        _results[report.nodeid] = (name, outcome, reason.removeprefix("Skipped: "))


def pytest_collectreport(report: Any) -> None:
    """What cannot be collected is a failure, too."""
    if report.failed:
        _results[report.nodeid] = (report.nodeid, "failed", str(report.longrepr)[-1000:])


def _last_line(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr)


def pytest_sessionfinish() -> None:
    """Write everything at once."""
    target = os.environ.get("VECSEARCH_CONFORMANCE_RESULTS")
    if target:
        Path(target).write_text(json.dumps(list(_results.values())), encoding="utf-8")
