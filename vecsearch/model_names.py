"""Models by name: ``provider:model`` or a profile of the configuration, and from a run's record in another process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from vecsearch import registry
from vecsearch import settings as layers
from vecsearch.errors import ConfigError
from vecsearch.masking import public_config
from vecsearch.models.base import EmbeddingModel
from vecsearch.models.given import as_model, same_model
from vecsearch.runs import ModelSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from vecsearch.models.base import Modality
    from vecsearch.runs import RunInfo
    from vecsearch.types import Model


def load_model(name: str, **settings: Any) -> EmbeddingModel[Any]:
    """The embedding model of a name, to be passed as ``model=``, or used by itself.

    ``name`` is ``"provider:model"`` (``"openai:text-embedding-3-small"``, ``"sentence-transformers:all-MiniLM-L6-v2"``,
    ``"databricks:clip-text-embedding"``, ``"mlflow:models:/clip/3"``, ``"minilm"``), or a profile of the section
    ``models`` of the configuration, which can be followed by ``:model`` too. ``settings`` are above every other layer.
    Nothing is connected or loaded before the model is first used.

    Raises ``ConfigError`` with the nearest name, ``MissingDependencyError`` with the pip line.
    """
    profile, _, model = name.partition(":")
    if "model" in settings and model:
        raise ConfigError(f"{name!r} names the model, and so does model={settings['model']!r}: give one of them")
    return _made(profile, {"model": model or None, **settings})


def _made(
    profile: str,
    settings: Mapping[str, Any],
    recorded: Mapping[str, Any] | None = None,
    recorded_provider: str | None = None,
) -> EmbeddingModel[Any]:
    resolved = layers.config.resolve_model(profile, settings, recorded=recorded, recorded_provider=recorded_provider)
    registry.MODELS.require(resolved.backend)
    own = resolved.backend_class.provider  # a record names it, and is read by that name
    if own != resolved.backend:
        raise ConfigError(f"the model provider {resolved.backend!r} calls itself {own!r}: both must be one name")
    model = resolved.backend_class(resolved.config)
    model.profile = resolved.profile
    return model


def chosen(model: Any, settings: Mapping[str, Any] | None) -> Model | None:
    """The model that ``model=`` and ``model_settings=`` mean: by name, or the user's own object."""
    if isinstance(model, str):
        return load_model(model, **(settings or {}))
    if settings:
        raise ConfigError("model_settings= go with a model that is chosen by its name: model='provider:model'")
    return None if model is None else as_model(model)


def source(model: Model | None) -> ModelSource | None:
    """What a run records so that its model can be made again; ``None`` for an object of the user's own."""
    if isinstance(model, RecordedModel):
        return model.source
    if not isinstance(model, EmbeddingModel):
        return None
    return ModelSource(
        profile=model.profile or model.provider, provider=model.provider, settings=public_config(model.config)
    )


class RecordedModel:
    """The model of a run, made from its record when it is first used: who searches by ids needs no credentials for it.

    The record says which model; how to reach it comes from the layers first.
    """

    def __init__(self, info: RunInfo, settings: Mapping[str, Any] | None) -> None:
        if info.model is None or info.model_source is None:
            raise AssertionError("a record without a model")
        self.name = str(info.model.get("name"))
        self.supports_prompts = info.supports_prompts
        self.source = info.model_source
        self._record: dict[str, Any] = dict(info.model)
        self._settings = dict(settings or {})
        self._model: EmbeddingModel[Any] | None = None
        self._lock = threading.Lock()
        if settings:
            self.made()  # what is wrong with them is said now

    @property
    def dim(self) -> int | None:
        """The width of its vectors."""
        dim: int | None = self._record.get("dim")
        return dim

    @property
    def modality(self) -> Modality:
        """What ``embed`` takes."""
        return self.made().modality

    @property
    def batch_size(self) -> int:
        """How many samples one call takes."""
        return self.made().batch_size

    def made(self) -> EmbeddingModel[Any]:
        """The model itself."""
        with self._lock:
            if self._model is None:
                source = self.source
                model = _made(source.profile, self._settings, source.settings, source.provider)
                model.dim = self.dim
                same_model(self._record, model)
                self._model = model
            return self._model

    def embed(self, samples: Sequence[Any]) -> NDArray[np.float32]:
        """Embeddings of samples: float32, shape (n, dim)."""
        return self.made().embed(samples)

    def embed_prompts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of texts used as queries: float32, shape (n, dim)."""
        return self.made().embed_prompts(texts)

    def fingerprint(self) -> dict[str, Any]:
        """As it was recorded."""
        return dict(self._record)

    def __repr__(self) -> str:
        return f"<recorded model {self.name}>"


def recorded(info: RunInfo, settings: Mapping[str, Any] | None) -> Model | None:
    """The model of a run, if it can be made from the record."""
    if info.model is None or info.model_source is None:
        if settings:
            raise ConfigError(f"run {info.key!r} records no model that can be made from a name: pass model=")
        return None
    return RecordedModel(info, settings)


__all__ = ("RecordedModel", "chosen", "load_model", "recorded", "source")
