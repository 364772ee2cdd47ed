"""Models of MLflow, of any flavour, by their URI: ``mlflow:models:/clip/3``, ``mlflow:runs:/…``, a path.

Loading such a model runs the code that it was saved with, so the URI is as trusted as a program.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from vecsearch.configured import Identity
from vecsearch.models.base import EmbeddingModel, ModelConfig


class MlflowConfig(ModelConfig):
    """The settings of a model."""

    model: Annotated[str, Identity()] = Field(min_length=1, description="the URI of the model")
    tracking_uri: str | None = Field(None, description="the tracking server, for models:/ and runs:/")
    input_name: str | None = Field(None, description="the column of the model's signature; without it a list is passed")
    prompts: bool = Field(default=True, description="whether it embeds texts")


class MlflowModel(EmbeddingModel[MlflowConfig]):
    """A ``pyfunc`` whose ``predict`` gives a vector for each row."""

    provider = "mlflow"
    Config: ClassVar[type[ModelConfig]] = MlflowConfig

    def __init__(self, config: MlflowConfig) -> None:
        super().__init__(config)
        self.supports_prompts = config.prompts

    def open(self) -> Any:
        """Load the model."""
        import mlflow

        if self.config.tracking_uri is not None:
            mlflow.set_tracking_uri(self.config.tracking_uri)
        return mlflow.pyfunc.load_model(self.config.model)

    def payload(self, sample: Any, *, prompt: bool) -> Any:
        """Whatever its signature takes; a query is a text."""
        return super().payload(sample, prompt=prompt) if prompt else sample

    def vectors(self, payloads: list[Any], *, prompt: bool) -> Any:
        """One prediction."""
        del prompt
        rows: Any = payloads
        if self.config.input_name is not None:
            import pandas as pd

            rows = pd.DataFrame({self.config.input_name: payloads})
        found = self.client.predict(rows)
        if hasattr(found, "to_numpy"):  # a frame of one column of vectors, or of a column for each dimension
            found = found.to_numpy()
            if found.ndim > 1 and found.shape[1] == 1:
                found = list(found[:, 0])
        return found


__all__ = ("MlflowConfig", "MlflowModel")
