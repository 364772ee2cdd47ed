"""Stand-ins for the tests of settings: three backends that hold nothing, and settings with layers of their own."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003  pydantic reads it
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from vecsearch import registry
from vecsearch.backends.base import Backend, BackendConfig, Identity
from vecsearch.settings import Settings

SECRET = "s3cr3t-0123"  # noqa: S105  planted, to be looked for


class QdrantConfig(BackendConfig):
    index_name: Annotated[str | None, Identity()] = Field(
        None, validation_alias=AliasChoices("index_name", "collection_name")
    )
    namespace: Annotated[str, Identity()] = ""
    url: str | None = None
    hosts: list[str] = Field(default_factory=list)
    port: int = 6333
    grpc: bool = False
    size: float | int | None = None
    mode: Literal["fast", "exact"] = "fast"
    hnsw: dict[str, Any] | None = None
    path: Path | None = None
    api_key: SecretStr | None = None
    storage_options: dict[str, SecretStr] | None = None

    @field_validator("api_key")
    @classmethod
    def _no_blanks(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and " " in value.get_secret_value():
            raise ValueError(f"blanks in {value.get_secret_value()}")
        return value


class Qdrant(Backend[QdrantConfig]):
    name = "qdrant"
    Config = QdrantConfig


class PineconeConfig(BackendConfig):
    api_key: SecretStr
    region: str = "us-east-1"

    @model_validator(mode="after")
    def _region(self):
        if self.region == "nowhere":
            raise ValueError("no such region")
        return self


class Pinecone(Backend[PineconeConfig]):
    name = "pinecone"
    Config = PineconeConfig


class PlainConfig(BackendConfig):
    path: Path | None = None


class Plain(Backend[PlainConfig]):
    name = "sklearn"
    Config = PlainConfig


@contextmanager
def fake_backends():
    with (
        registry.registered("qdrant", Qdrant),
        registry.registered("pinecone", Pinecone),
        registry.registered("sklearn", Plain),
    ):
        yield


def build(home: Path, file: Any = None, **environ: str) -> Settings:
    """Settings whose home is ``home``; variables get our prefix, unless they start with ``X_``."""
    if file is not None:
        path = home / "config.json"
        path.write_text(file if isinstance(file, str) else json.dumps(file))
        path.chmod(0o600)
    variables = {name if name.startswith("X_") else f"VECSEARCH_{name}": value for name, value in environ.items()}
    return Settings(environ={"VECSEARCH_HOME": str(home), **variables})


def profiles(**entries: Any) -> dict[str, Any]:
    return {"similarity_backends": entries}
