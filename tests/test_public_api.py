import subprocess
import sys

import pytest

import vecsearch

CLIENTS = (
    "qdrant_client pymilvus lancedb chromadb pinecone databricks sklearn pandas pyarrow polars matplotlib torch typer"
)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_names_are_sorted_and_all_there():
    assert list(vecsearch.__all__) == sorted(vecsearch.__all__)
    for name in vecsearch.__all__:
        assert getattr(vecsearch, name) is not None
        assert name in dir(vecsearch)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = vecsearch.serach


def test_config_is_the_object_also_after_its_module_was_imported():
    import vecsearch.settings

    assert vecsearch.config is vecsearch.settings.config


def test_importing_loads_no_client():
    loaded = run(f"import sys, vecsearch; print([name for name in {CLIENTS.split()!r} if name in sys.modules])")
    assert loaded == "[]"


def test_using_the_default_backend_loads_no_client(tmp_path):
    code = (
        "import sys, vecsearch;"
        "index = vecsearch.compute_similarity(embeddings=[[1.0, 0.0]]); index.search([[1.0, 1.0]]);"
        f"print([name for name in {CLIENTS.split()!r} if name in sys.modules])"
    )
    assert run(code) == "[]"


def test_importing_costs_little_over_numpy_and_pydantic():
    """Counted in modules, which do not depend on the machine; benchmarks/import_time.py has the milliseconds."""
    code = "import sys, numpy, pydantic; before = len(sys.modules); import vecsearch; print(len(sys.modules) - before)"
    assert int(run(code)) < 30


def test_every_error_is_one_of_ours_and_stands_in_the_tree():
    tree = vecsearch.errors.__doc__
    for name, value in vars(vecsearch.errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, vecsearch.VecsearchError)
            assert name in tree
            assert name in vecsearch.__all__
