"""One program on every engine, chosen by one variable: it prints the same table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import require

import vecsearch
from vecsearch import registry
from vecsearch.backends._native import NATIVE

PROGRAM = Path(__file__).parent.parent / "examples" / "switching.py"
CLOUD = ("pinecone", "mosaic")


def printed(backend, folder):
    home = {"VECSEARCH_HOME": str(folder), "VECSEARCH_DEFAULT_SIMILARITY_BACKEND": backend}
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("VECSEARCH_")}, **home}
    command = [sys.executable, str(PROGRAM)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", sorted(NATIVE))
def test_the_clients_own_search_that_overhead_is_measured_against_finds_the_same(backend, tmp_path, monkeypatch):
    require(backend, whole_file=False)
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path))
    rng = np.random.default_rng(0)
    rows, query = rng.standard_normal((300, 16), dtype=np.float32), rng.standard_normal(16, dtype=np.float32)
    ids = [f"r{number}" for number in range(300)]
    index = vecsearch.compute_similarity(embeddings=rows, sample_ids=ids, metric="cosine", key="own", backend=backend)
    with index:
        search = NATIVE[backend](index.client, index.config, "cosine")
        assert list(search(query, 10)) == list(index.search(query, 10)[0].ids)


@pytest.mark.parametrize("backend", sorted(set(registry.BUILT_IN) - {registry.DEFAULT, *CLOUD}))
def test_the_same_table(backend, tmp_path):
    require(backend, whole_file=False)
    assert printed(backend, tmp_path) == printed(registry.DEFAULT, tmp_path)
