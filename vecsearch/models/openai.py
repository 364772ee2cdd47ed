"""Endpoints that speak OpenAI's ``/embeddings``: OpenAI itself, and any server that follows it, by ``base_url``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from vecsearch.configured import Identity
from vecsearch.errors import ModelError
from vecsearch.models._http import fault_of, seconds
from vecsearch.models.base import EmbeddingModel, ModelConfig

if TYPE_CHECKING:
    import httpx

    from vecsearch.backends.base import Fault

_CONNECT_SECONDS = 10.0


class OpenAIConfig(ModelConfig):
    """The settings of an endpoint."""

    base_url: str = Field("https://api.openai.com/v1", description="the endpoint, without /embeddings")
    api_key: SecretStr | None = Field(None, description="sent as Authorization: Bearer")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="sent with each request")
    dimensions: Annotated[int | None, Identity()] = Field(None, ge=1, description="shortens the vectors, where it can")
    batch_size: int = Field(256, ge=1, le=2048, description="texts in one request; OpenAI takes 2,048")

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")


class OpenAIModel(EmbeddingModel[OpenAIConfig]):
    """A model behind ``POST {base_url}/embeddings``."""

    provider = "openai"
    Config: ClassVar[type[ModelConfig]] = OpenAIConfig
    batch_bytes = 1_000_000
    """OpenAI takes 300,000 tokens in one request, about four bytes each."""

    def open(self) -> httpx.Client:
        """An HTTP client; redirects are not followed, since they would carry the key elsewhere."""
        import httpx

        config = self.config
        headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        if config.api_key is not None:
            headers["Authorization"] = f"Bearer {config.api_key.get_secret_value()}"
        timeout = httpx.Timeout(config.timeout, connect=min(_CONNECT_SECONDS, config.timeout))
        return httpx.Client(headers=headers, timeout=timeout)

    @staticmethod
    def end(client: httpx.Client) -> None:
        """Close the connections."""
        client.close()

    def vectors(self, payloads: list[Any], *, prompt: bool) -> Any:
        """One request."""
        del prompt
        config = self.config
        body: dict[str, Any] = {"model": config.model, "input": payloads, "encoding_format": "float"}
        if config.dimensions is not None:
            body["dimensions"] = config.dimensions
        answer = self.client.post(f"{config.base_url}/embeddings", json=body)
        answer.raise_for_status()
        try:
            content = answer.json()
        except ValueError as error:
            raise ModelError(f"{config.base_url} answered {answer.status_code} with what is no JSON") from error
        return self._ordered(content, len(payloads))

    def _ordered(self, content: Any, count: int) -> list[Any]:
        """The vectors by their ``index``: the API does not promise an order."""
        data = content.get("data") if isinstance(content, dict) else None
        if not isinstance(data, list) or not all(isinstance(item, dict) and "embedding" in item for item in data):
            raise ModelError(f"{self.config.base_url} answered without data[].embedding; is that its /embeddings?")
        if len(data) != count:
            raise ModelError(f"{len(data)} embeddings from the model {self.name} for {count} samples")
        indices = [item.get("index", position) for position, item in enumerate(data)]
        if sorted(indices, key=str) != sorted(range(count), key=str):
            raise ModelError(
                f"the model {self.name} numbered its {count} embeddings {indices[:5]}…, not 0 to {count - 1}"
            )
        rows: list[Any] = [None] * count
        for index, item in zip(indices, data, strict=True):
            rows[index] = item["embedding"]
        return rows

    def fault(self, error: Exception) -> Fault | None:
        """By the status of the answer; no answer is worth another try, whatever the reason."""
        import httpx

        if isinstance(error, httpx.HTTPStatusError):
            return fault_of(error.response.status_code)
        return "unavailable" if isinstance(error, httpx.TransportError) else None

    def retry_after(self, error: Exception) -> float:
        """By the answer's header."""
        import httpx

        return seconds(error.response.headers.get("retry-after")) if isinstance(error, httpx.HTTPStatusError) else 0.0

    def reason(self, error: Exception) -> str:
        """The endpoint's own message, of a body ``{"error": {"message": …}}`` or any other."""
        import httpx

        if not isinstance(error, httpx.HTTPStatusError):
            return f"{self.config.base_url}: {str(error) or type(error).__name__}"
        answer = error.response
        try:
            said = answer.json()["error"]
            said = said["message"] if isinstance(said, dict) else said
        except (ValueError, KeyError, TypeError):
            said = answer.text
        return f"{self.config.base_url} answered {answer.status_code}: {said or answer.reason_phrase}"


__all__ = ("OpenAIConfig", "OpenAIModel")
