"""Tests of an engine run where its client is installed; where all are expected, one that is missing is a failure."""

from __future__ import annotations

import os

import pytest

from vecsearch import registry


def require(backend: str, *, whole_file: bool = True) -> None:
    """To be called at the top of a test file, before it imports the engine's client; or within a test."""
    if registry.is_installed(backend):
        return
    reason = f"{registry.BUILT_IN[backend].client} is not installed: pip install 'vecsearch[{backend}]'"
    if os.environ.get("VECSEARCH_EXPECT_ALL_ENGINES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=whole_file)
