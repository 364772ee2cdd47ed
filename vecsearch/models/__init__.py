"""Embedding models: what turns samples and prompts into vectors."""

from vecsearch.models.base import as_model

__all__ = ("as_model",)
