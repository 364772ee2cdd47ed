"""Embedding models: what turns samples and prompts into vectors.

A provider of another distribution derives from ``EmbeddingModel``, and declares an entry point of ``vecsearch.models``.
"""

from vecsearch.configured import Identity
from vecsearch.models.base import EmbeddingModel, Modality, ModelConfig

__all__ = ("EmbeddingModel", "Identity", "Modality", "ModelConfig")
