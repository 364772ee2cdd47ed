"""What an index and its views have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vecsearch.backends.base import Metric
    from vecsearch.calls import Engine
    from vecsearch.ingest import Draft
    from vecsearch.types import Model


@dataclass(slots=True)
class Handle:
    """An engine, what is known of the index before its first row, and the model of its vectors."""

    engine: Engine
    draft: Draft
    model: Model | None = None
    key: str | None = None
    label: str = ""
    recorded_model: Mapping[str, Any] | None = None

    @property
    def metric(self) -> Metric:
        """The metric of the index."""
        spec = self.engine.spec
        return spec.metric if spec else self.draft.metric

    @property
    def dim(self) -> int | None:
        """The width of a vector, as far as it is known."""
        spec = self.engine.spec
        return spec.dim if spec else self.draft.dim

    @property
    def is_patches(self) -> bool:
        """Whether there is a row per label."""
        spec = self.engine.spec
        return spec.patches if spec else bool(self.draft.patches)

    @property
    def model_record(self) -> dict[str, Any] | None:
        """The fingerprint of the model whose vectors the index holds."""
        if self.model is not None:
            return self.model.fingerprint()
        return dict(self.recorded_model) if self.recorded_model else None

    @property
    def model_hint(self) -> str:
        """The name of the recorded model, for a message."""
        name = (self.recorded_model or {}).get("name")
        return f" ({name!r})" if name else ""
