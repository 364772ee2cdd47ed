"""One program on every engine, chosen by one variable: it prints the same table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engines import require

from vecsearch import registry

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


@pytest.mark.parametrize("backend", sorted(set(registry.BUILT_IN) - {registry.DEFAULT, *CLOUD}))
def test_the_same_table(backend, tmp_path):
    require(backend, whole_file=False)
    assert printed(backend, tmp_path) == printed(registry.DEFAULT, tmp_path)
