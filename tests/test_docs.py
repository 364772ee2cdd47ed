"""The page of the engines names every setting and every search option that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vecsearch import registry
from vecsearch.backends.base import BackendConfig

PAGE = (Path(__file__).parent.parent / "docs" / "engines.md").read_text(encoding="utf-8")
COMMON, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)


def section(backend):
    found = [text for text in SECTIONS if re.match(rf"{backend}\b", text)]
    assert len(found) == 1, f"docs/engines.md has no section {backend}"
    return found[0]


@pytest.mark.parametrize("backend", sorted(registry.BUILT_IN))
def test_every_setting_is_named(backend):
    if not registry.is_installed(backend):
        section(backend)
        pytest.skip(f"{backend} is not installed")
    cls = registry.backend_class(backend)
    own = set(cls.Config.model_fields) - set(BackendConfig.model_fields) - {"client"} | cls.search_params
    missing = [
        name for name in sorted(own) if f"`{name}`" not in section(backend) and f"`{name}=" not in section(backend)
    ]
    assert missing == []


def test_common_settings_are_named():
    missing = [name for name in BackendConfig.model_fields if f"`{name}`" not in COMMON]
    assert missing == []
