"""Tests of an engine run where its client is installed; where all are expected, one that is missing is a failure."""

from __future__ import annotations

import os
from importlib.util import find_spec

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


def require_model(provider: str, *modules: str) -> None:
    """The same for a provider of embedding models, and for what else its test imports."""
    missing = [name for name in modules if find_spec(name) is None]
    if registry.MODELS.is_installed(provider) and not missing:
        return
    reason = f"{', '.join(missing) or registry.PROVIDERS[provider].client} is not installed; nox -s models has it"
    if os.environ.get("VECSEARCH_EXPECT_ALL_MODELS"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)
