"""Backend names and the classes behind them; nothing is imported before it is asked for.

A backend of another distribution is found by an entry point of the group ``vecsearch.backends``::

    [project.entry-points."vecsearch.backends"]
    mydb = "vecsearch_mydb:MyDbBackend"

An embedding model's provider likewise, in the group ``vecsearch.models``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecsearch.backends.base import Backend, BackendConfig
from vecsearch.catalogue import BuiltIn, Catalogue, nearest
from vecsearch.errors import UnknownBackendError
from vecsearch.models.base import EmbeddingModel, ModelConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "sklearn"
BUILT_IN: Mapping[str, BuiltIn] = {
    "chroma": BuiltIn("vecsearch.backends.chroma:ChromaBackend", "chroma", "chromadb"),
    "lancedb": BuiltIn("vecsearch.backends.lancedb:LanceBackend", "lancedb", "lancedb"),
    "milvus": BuiltIn("vecsearch.backends.milvus:MilvusBackend", "milvus", "pymilvus"),
    "mosaic": BuiltIn("vecsearch.backends.mosaic:MosaicBackend", "mosaic", "databricks.sdk"),
    "pinecone": BuiltIn("vecsearch.backends.pinecone:PineconeBackend", "pinecone", "pinecone"),
    "qdrant": BuiltIn("vecsearch.backends.qdrant:QdrantBackend", "qdrant", "qdrant_client"),
    "sklearn": BuiltIn("vecsearch.backends.sklearn:SklearnBackend", None, None),
}
PROVIDERS: Mapping[str, BuiltIn] = {
    "databricks": BuiltIn("vecsearch.models.databricks:DatabricksModel", "databricks", "databricks.sdk"),
    "minilm": BuiltIn("vecsearch.models.minilm:MiniLM", "minilm", "tokenizers"),
    "mlflow": BuiltIn("vecsearch.models.mlflow:MlflowModel", "mlflow", "mlflow"),
    "openai": BuiltIn("vecsearch.models.openai:OpenAIModel", "openai", "httpx"),
    "sentence-transformers": BuiltIn(
        "vecsearch.models.sentence_transformers:SentenceTransformersModel",
        "sentence-transformers",
        "sentence_transformers",
    ),
}

BACKENDS: Catalogue[Backend[Any]] = Catalogue(
    "backend",
    "vecsearch.backends",
    BUILT_IN,
    base=Backend,  # type: ignore[type-abstract]  # derived from, never made
    config=BackendConfig,
    name=r"[a-z][a-z0-9]*",
    unknown=UnknownBackendError,
)
MODELS: Catalogue[EmbeddingModel[Any]] = Catalogue(
    "model provider",
    "vecsearch.models",
    PROVIDERS,
    base=EmbeddingModel,  # type: ignore[type-abstract]  # the same
    config=ModelConfig,
    name=r"[a-z][a-z0-9-]*",
)

names = BACKENDS.names
backend_class = BACKENDS.load
importing = BACKENDS.importing
is_installed = BACKENDS.is_installed
name_of = BACKENDS.name_of
registered = BACKENDS.registered

__all__ = (
    "BACKENDS",
    "BUILT_IN",
    "DEFAULT",
    "MODELS",
    "PROVIDERS",
    "BuiltIn",
    "backend_class",
    "importing",
    "is_installed",
    "name_of",
    "names",
    "nearest",
    "registered",
)
