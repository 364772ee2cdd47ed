"""Models of the library sentence-transformers, on this machine: texts, Instructor's instructions, CLIP's images."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr

from vecsearch.configured import Identity
from vecsearch.models._images import opened
from vecsearch.models.base import EmbeddingModel, Modality, ModelConfig


class SentenceTransformersConfig(ModelConfig):
    """The settings of a model. Code from a model's repository is not run; pass such a model as an object."""

    model: Annotated[str, Identity()] = Field(min_length=1, description="a name on the Hugging Face Hub, or a folder")
    revision: Annotated[str | None, Identity()] = Field(None, description="a commit or tag of it")
    modality: Annotated[Modality, Identity()] = Field("text", description="what is indexed; CLIP's queries are texts")
    prompt: Annotated[str | None, Identity()] = Field(
        None, description="the instruction before each sample; else the model's own for documents"
    )
    query_prompt: Annotated[str | None, Identity()] = Field(
        None, description="the instruction before each query; else the model's own for queries"
    )
    dimensions: Annotated[int | None, Identity()] = Field(None, ge=1, description="shortens the vectors")
    normalize: Annotated[bool, Identity()] = Field(default=False, description="whether vectors get the length 1")
    device: str | None = Field(None, description="cpu, cuda, mps; else the best there is")
    token: SecretStr | None = Field(None, description="for models of the Hub that need one")
    local_files_only: bool = Field(default=False, description="whether nothing is downloaded")


class SentenceTransformersModel(EmbeddingModel[SentenceTransformersConfig]):
    """A ``SentenceTransformer``."""

    provider = "sentence-transformers"
    Config: ClassVar[type[ModelConfig]] = SentenceTransformersConfig

    def __init__(self, config: SentenceTransformersConfig) -> None:
        super().__init__(config)
        self.modality = config.modality

    def open(self) -> Any:
        """Load the model, which the first time may download it."""
        from sentence_transformers import SentenceTransformer

        config = self.config
        return SentenceTransformer(
            config.model,
            device=config.device,
            revision=config.revision,
            truncate_dim=config.dimensions,
            local_files_only=config.local_files_only,
            token=None if config.token is None else config.token.get_secret_value(),
            trust_remote_code=False,
        )

    def payload(self, sample: Any, *, prompt: bool) -> Any:
        """A text, or an opened image."""
        return super().payload(sample, prompt=prompt) if prompt or self.modality == "text" else opened(sample)

    def vectors(self, payloads: list[Any], *, prompt: bool) -> Any:
        """One batch."""
        config = self.config
        options: dict[str, Any] = {
            "batch_size": len(payloads),
            "show_progress_bar": False,
            "convert_to_numpy": True,
            "normalize_embeddings": config.normalize,
        }
        if not prompt and self.modality == "image":
            return self.client.encode(payloads, **options)
        # From version 5 on, these two add the prompts that the model itself declares.
        encode = getattr(self.client, "encode_query" if prompt else "encode_document", self.client.encode)
        instruction = config.query_prompt if prompt else config.prompt
        return encode(payloads, **options, **({} if instruction is None else {"prompt": instruction}))


__all__ = ("SentenceTransformersConfig", "SentenceTransformersModel")
