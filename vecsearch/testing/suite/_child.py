"""What a new process does for the suite: opens a run with nothing but its environment, and says what it finds there."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from importlib import import_module
from typing import Any

_known = ExitStack()


def register(name: str, home: str, path: list[str]) -> None:
    """Make a backend known that another process registered for its tests only; ``home`` is ``module:Class``."""
    from vecsearch import registry

    sys.path.extend(entry for entry in path if entry not in sys.path)
    if name in registry.names():
        return
    module, _, attribute = home.partition(":")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    _known.enter_context(registry.registered(name, found))


def main() -> None:
    """Arguments: the name of the backend, its class, the import path, the key, a query, all as JSON."""
    asked = json.loads(sys.argv[1])
    register(asked["name"], asked["home"], asked["path"])
    import numpy as np

    import vecsearch

    with vecsearch.load_run(asked["key"]) as index:
        ranking = index.search(np.array(asked["query"], dtype=np.float32), 10, include=("metadata", "documents"))[0]
        found = index.get_embeddings()
        answer = {
            "metric": index.metric,
            "dim": index.dim,
            "patches": index.is_patches,
            "size": len(index),
            "ids": ranking.ids.tolist(),
            "distances": ranking.distances.tolist(),
            "documents": ranking.documents,
            "metadata": [{name: repr(value) for name, value in row.items()} for row in ranking.metadata],
            "all_ids": found.sample_ids.tolist(),
            "vectors": found.embeddings.tolist(),
        }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
