"""Databricks Model Serving, by ``databricks-sdk``: endpoints of custom models, such as CLIP, for texts or images."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from vecsearch.configured import Identity
from vecsearch.errors import InvalidInputError, ModelError
from vecsearch.models._images import encoded
from vecsearch.models.base import EmbeddingModel, Modality, ModelConfig

if TYPE_CHECKING:
    from vecsearch.backends.base import Fault


class DatabricksConfig(ModelConfig):
    """The settings of an endpoint. Without a token or a service principal, the SDK looks for credentials itself."""

    model: Annotated[str, Identity()] = Field(
        min_length=1,
        validation_alias=AliasChoices("model", "endpoint"),
        description="the serving endpoint that embeds samples",
    )
    modality: Annotated[Modality, Identity()] = Field("text", description="what that endpoint takes; images as base64")
    prompt_endpoint: Annotated[str | None, Identity()] = Field(
        None, description="the endpoint of the same space that embeds texts, beside one for images"
    )
    input_name: str = Field("input", description="the name of the records' field")
    workspace_url: str | None = Field(None, validation_alias=AliasChoices("workspace_url", "host"))
    personal_access_token: SecretStr | None = Field(
        None, validation_alias=AliasChoices("personal_access_token", "token")
    )
    service_principal_client_id: str | None = None
    service_principal_client_secret: SecretStr | None = None
    timeout: float = Field(300.0, gt=0, description="an endpoint that was scaled to zero takes minutes to wake")

    @field_validator("workspace_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return value if value is None or "://" in value else f"https://{value}"

    @model_validator(mode="after")
    def _one_login(self) -> DatabricksConfig:
        if self.personal_access_token is not None and self.service_principal_client_id is not None:
            raise ValueError("give a personal_access_token or a service principal, not both")
        if (self.service_principal_client_id is None) != (self.service_principal_client_secret is None):
            raise ValueError("a service principal is its client id and its client secret, both")
        return self


class DatabricksModel(EmbeddingModel[DatabricksConfig]):
    """A serving endpoint that takes ``{"input": text or base64 image}`` records and returns a vector for each."""

    provider = "databricks"
    Config: ClassVar[type[ModelConfig]] = DatabricksConfig
    batch_bytes = 15_000_000
    """16 MB are the most in one request; what remains is for the names around the values."""

    def __init__(self, config: DatabricksConfig) -> None:
        super().__init__(config)
        self.modality = config.modality
        self.supports_prompts = config.modality == "text" or config.prompt_endpoint is not None

    def open(self) -> Any:
        """The workspace's client. Making it asks the workspace for its configuration."""
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.config import Config

        config = self.config
        login: dict[str, Any] = {}
        if config.personal_access_token is not None:
            login = {"token": config.personal_access_token.get_secret_value(), "auth_type": "pat"}
        elif config.service_principal_client_secret is not None:
            login = {
                "client_id": config.service_principal_client_id,
                "client_secret": config.service_principal_client_secret.get_secret_value(),
                "auth_type": "oauth-m2m",
            }
        # Both in whole seconds. The SDK tries again by itself where it is told to wait, and would do so for 300 s.
        seconds = max(1, round(config.timeout))
        return WorkspaceClient(
            config=Config(
                host=config.workspace_url, http_timeout_seconds=seconds, retry_timeout_seconds=seconds, **login
            )
        )

    def payload(self, sample: Any, *, prompt: bool) -> Any:
        """A text, or an image in base64."""
        if prompt or self.modality == "text":
            return super().payload(sample, prompt=prompt)
        content = encoded(sample)
        if not content:
            raise InvalidInputError("an empty image")
        return base64.b64encode(content).decode("ascii")

    def vectors(self, payloads: list[Any], *, prompt: bool) -> Any:
        """One request, in the form of a dataframe's records."""
        endpoint = (self.config.prompt_endpoint if prompt else None) or self.config.model
        records = [{self.config.input_name: payload} for payload in payloads]
        answer = self.client.serving_endpoints.query(name=endpoint, dataframe_records=records)
        if answer.predictions is None:
            raise ModelError(f"the endpoint {endpoint!r} answered without predictions")
        return answer.predictions

    def fault(self, error: Exception) -> Fault | None:
        """What the SDK's classes mean."""
        from databricks.sdk import errors
        from requests import RequestException

        meanings: dict[type[Exception], Fault] = {
            errors.Unauthenticated: "denied",
            errors.PermissionDenied: "denied",
            errors.NotFound: "not_found",
            errors.TooManyRequests: "rate_limited",
            errors.TemporarilyUnavailable: "unavailable",
            errors.DeadlineExceeded: "unavailable",
            errors.InternalError: "unavailable",
            TimeoutError: "unavailable",
            RequestException: "unavailable",  # also a cut body, or one that is no JSON: the SDK lets them through
        }
        return next((fault for kind, fault in meanings.items() if isinstance(error, kind)), None)


__all__ = ("DatabricksConfig", "DatabricksModel")
