"""The page of the benchmark says what the code does."""

import ast
import re
import shlex
import typing
from pathlib import Path

import pytest
import typer

import vecsearch.bench
from vecsearch.bench import export, gates
from vecsearch.bench.mixture import Mixture
from vecsearch.bench.points import Kind, Verdict
from vecsearch.bench.suites import SUITES
from vecsearch.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
BENCH = Path(vecsearch.bench.__file__).parent
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines() if line]
GATES = {}
for call in ast.walk(ast.parse((BENCH / "gates.py").read_text(encoding="utf-8"))):
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Gate":
        said = {one.arg: one.value.value for one in call.keywords if one.arg in ("name", "verdict")}
        GATES[said["name"]] = said.get("verdict") or GATES.get(said["name"], "invalid")
BOUNDS = {
    "errors": ["0.1 %"],
    "samples": [str(gates.LEAST_SAMPLES)],
    "ceiling": ["50 %"],
    "spread": ["10 %"],
    "quiet": ["20 %", "5 %"],
    "rate": ["95 %"],
    "same answers": ["99 %"],
}


def command(words):
    """The command of a line, and what follows it."""
    found = typer.main.get_command(app)
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    return found, words


def options(found):
    return {name for parameter in found.params for name in parameter.opts if name.startswith("-")}


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL).group(1)


def row(text, name):
    found = [line for line in text.splitlines() if line.startswith(f"| `{name}`")]
    assert len(found) == 1, f"{name} has {len(found)} rows"
    return found[0]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_that_is_shown_exists(line):
    program, *words = shlex.split(line)
    assert program == "vecsearch"
    found, rest = command(words)
    assert {word for word in rest if word.startswith("-")} <= options(found)


def test_commands_are_found():
    assert len(COMMANDS) > 10
    assert {"run", "report", "compare", "data"} <= {shlex.split(line)[2] for line in COMMANDS if " bench " in line}


@pytest.mark.parametrize("words", ["bench run", "bench report", "bench compare"])
def test_every_option_is_named(words):
    found, _ = command(words.split())
    usual = {"--help", "--json"}
    assert {name for name in options(found) - usual if not re.search(rf"[ `]{name}\b", PAGE)} == set()


def test_every_option_that_is_named_exists():
    known = {"--min"}
    for words in ("run", "report", "compare", "data make", "data import", "data inspect"):
        known |= options(command(["bench", *words.split()])[0])
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known


def test_every_gate_stands_with_its_verdict_and_its_bounds():
    assert {"rows", "ceiling", "quiet"} <= set(GATES)
    table = section("Gates and verdicts")
    for name, verdict in GATES.items():
        assert row(table, name).rstrip(" |").endswith(verdict)
    assert [gates.MOST_ERRORS, gates.MOST_OF_CEILING, gates.MOST_SPREAD] == [0.001, 0.5, 0.1]
    assert [gates.MOST_OTHER_WORK, gates.MOST_STEAL] == [0.2, 0.05]
    assert [gates.LEAST_OF_RATE, gates.LEAST_ALIKE] == [0.95, 0.99]
    for name, bounds in BOUNDS.items():
        assert all(bound in row(table, name) for bound in bounds), name
    assert all(f"`{verdict}`" in table for verdict in typing.get_args(Verdict))


def test_every_workload_suite_dial_and_column_is_named():
    suites = section("What is measured: the suites")
    for name in (*typing.get_args(Kind), *SUITES):
        assert row(suites, name)
    data = section("The data")
    assert [name for name in Mixture.__dataclass_fields__ if f"`{name}`" not in data] == []
    families = ("service", "response", "overhead_native", "overhead_ours")
    table = section("Where the results lie")
    for column in export.COLUMNS:
        family = next(
            (one for one in families if re.fullmatch(rf"{one}_(samples|mean_ns|p\d+_ns|max_ns)", column.name)), ""
        )
        name = column.name.removeprefix(f"{family}_") if family else column.name
        assert f"`{name}`" in table, column.name
        assert not family or f"`{family}_*`" in table
