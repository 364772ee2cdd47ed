"""Imports run one way: a module imports only from layers above its own in this list."""

import ast
from pathlib import Path

import pytest

import vecsearch

PACKAGE = Path(vecsearch.__file__).parent

LAYERS = [
    {"errors"},
    {"types", "core", "filters", "files", "progress", "masking", "catalogue"},
    {"configured"},
    {"backends.base", "tables", "checks", "results"},
    {"codec", "models", "naming"},
    {"calls", "handle"},
    {"scopes", "uploads", "embedding"},
    {"queries"},
    {"rows", "ingest"},
    {"asking", "comparison", "recall", "spool", "pair_file"},
    {"distances", "images"},
    {"near", "plots"},
    {"selections"},
    {"duplicates", "exact_duplicates"},
    {"views"},
    {"index"},
    {"copying"},
    {"backends"},
    {"registry"},
    {"layers"},
    {"resolving"},
    {"explain"},
    {"settings"},
    {"runs"},
    {"given", "model_names"},
    {"similarity"},
    {"demo", "testing", "bench"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ADAPTERS = sorted(path for path in (PACKAGE / "backends").glob("*.py") if path.name != "base.py")
ADAPTERS_MAY = {"backends", "core", "errors", "files", "filters", "types"}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name: str) -> str:
    """The layer's word for a module: packages of one subject count as one."""
    if name == "backends.base" or name not in RANK:
        return name if name in RANK else name.partition(".")[0]
    return name


def imports(path: Path) -> set[str]:
    """Modules of ours that a file imports at run time, also inside functions."""
    tree = ast.parse(path.read_text())
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("vecsearch.") for alias in node.names if alias.name.startswith("vecsearch.")
            }
        elif isinstance(node, ast.ImportFrom) and node.module == "vecsearch":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vecsearch."):
            assert node.level == 0
            found.add((node.module or "").removeprefix("vecsearch."))
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_one_way(path):
    own = room(module_name(path))
    assert own in RANK, f"{path.name} is in no layer"
    for name in imports(path):
        other = room(name)
        if other == own or other not in RANK:
            continue
        assert RANK[other] < RANK[own], f"{module_name(path)} imports {name}, which builds on it"


@pytest.mark.parametrize("path", ADAPTERS, ids=module_name)
def test_an_adapter_imports_no_policy(path):
    for name in imports(path):
        assert name.partition(".")[0] in ADAPTERS_MAY, f"{path.name} imports {name}"
        helper = name.startswith("backends._")
        assert name in ("backends", "backends.base") or helper or not name.startswith("backends."), name


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=module_name)
def test_the_core_knows_numbers_only(path):
    assert all(name.partition(".")[0] == "core" for name in imports(path))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_engine_is_named_outside_its_adapter(path):
    """Strings in code, not words in docstrings: a policy that asks which engine it is has bent.

    The command line and the demo speak of the default; the suite compares every backend with it.
    """
    if path.parent.name in ("backends", "cli", "suite") or path.name in ("registry.py", "demo.py", "cli.py"):
        return
    tree = ast.parse(path.read_text())
    engines = {"sklearn", "qdrant", "milvus", "lancedb", "chroma", "pinecone", "mosaic"}
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not words & engines


def test_files_stay_short():
    assert {path.name: lines for path in FILES if (lines := len(path.read_text().splitlines())) > 420} == {}
