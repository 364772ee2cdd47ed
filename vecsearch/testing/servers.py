"""The user's own server, which ``VECSEARCH_TEST_<BACKEND>_<SETTING>`` points the suite at."""

from __future__ import annotations

import json
import os
from typing import Any


def own_server(backend: str) -> dict[str, Any]:
    """The settings in the environment, such as ``VECSEARCH_TEST_QDRANT_URL``; empty where there are none.

    Lists and tables are JSON. Every index that the suite makes there has a name of its own, and is deleted behind it.
    """
    prefix = f"VECSEARCH_TEST_{backend}_".upper()
    found = {name.removeprefix(prefix).lower(): value for name, value in os.environ.items() if name.startswith(prefix)}
    return {name: json.loads(value) if value[:1] in ("[", "{") else value for name, value in found.items()}


__all__ = ("own_server",)
