"""What a backend is written with; see ``vecsearch.backends.base`` for the contract."""

from vecsearch.backends.base import (
    Backend,
    BackendConfig,
    Capabilities,
    Hits,
    Identity,
    Metric,
    Rows,
    Score,
    Spec,
    Where,
)

__all__ = (
    "Backend",
    "BackendConfig",
    "Capabilities",
    "Hits",
    "Identity",
    "Metric",
    "Rows",
    "Score",
    "Spec",
    "Where",
)
