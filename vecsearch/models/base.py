"""The page a model provider is written against: payloads in, vectors out; everything else is done in front of it.

Batches by rows and bytes, retries within a deadline, errors in our words without secrets, and the checks of what came
back are the same for every provider.
"""

from __future__ import annotations

import json
import threading
import time
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from pydantic import Field

from vecsearch import checks
from vecsearch.configured import Configured, Identity
from vecsearch.errors import (
    AccessDeniedError,
    ConnectionFailedError,
    InvalidInputError,
    ModelError,
    UnsupportedError,
    VecsearchError,
)
from vecsearch.masking import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Fault

_SHOWN = 500
"""Characters of a foreign message: some clients quote the whole request."""
Modality = Literal["text", "image"]
"""What ``embed`` takes: texts, or images (a path, the bytes of a file, or a PIL image)."""


class ModelConfig(Configured):
    """The settings common to all providers; a provider's own model derives from it.

    ``Identity()`` fields are those that make another model, so that vectors of one are never mixed with the other's.
    """

    model: Annotated[str, Identity()] = Field(min_length=1, description="the model, as the provider calls it")
    batch_size: int = Field(64, ge=1, description="samples in one call")
    timeout: float = Field(120.0, gt=0, description="seconds for one call, its retries included")


C = TypeVar("C", bound=ModelConfig)


class EmbeddingModel(ABC, Generic[C]):
    """A provider's model. It is made without a connection; ``open`` is called once, when it is first used.

    What ``vectors`` raises is the client's own, and ``fault`` says what it means: ``"unavailable"`` and
    ``"rate_limited"`` are tried again until the timeout; ``"denied"`` and ``"not_found"`` end everything; anything else
    may lie with a sample of the batch, so that the others are tried without it.
    """

    Config: ClassVar[type[ModelConfig]]
    provider: ClassVar[str]
    modality: Modality = "text"
    supports_prompts: bool = True
    batch_bytes: int | None = None
    """How many bytes of payloads one call carries, by ``size``."""

    def __init__(self, config: C) -> None:
        self.config = config
        self.dim: int | None = None
        self.profile: str | None = None
        """The name that chose it in the configuration."""
        self._client: Any = None
        self._lock = threading.Lock()

    # ---- what a provider writes

    def open(self) -> Any:
        """The client, or the loaded model."""
        return None

    @staticmethod
    def end(client: Any) -> None:
        """Let go of what ``open`` made."""

    def payload(self, sample: Any, *, prompt: bool) -> Any:
        """What is sent for a sample, or for the text of a query. Raise ``InvalidInputError`` for what cannot be."""
        del prompt
        if not isinstance(sample, str):
            raise InvalidInputError(f"the model {self.name} takes texts, not {type(sample).__name__}")
        return sample

    def size(self, payload: Any) -> int:
        """How much a payload weighs against ``batch_bytes``."""
        return len(json.dumps(payload))

    @abstractmethod
    def vectors(self, payloads: list[Any], *, prompt: bool) -> Any:
        """One row of numbers for each payload, in their order."""

    def fault(self, error: Exception) -> Fault | None:
        """What an exception means; ``None``: it may lie with a sample."""
        del error
        return None

    def reason(self, error: Exception) -> str:
        """What an exception says, for the message of ours."""
        return str(error)

    def retry_after(self, error: Exception) -> float:
        """How many seconds the service asks to wait."""
        del error
        return 0.0

    # ---- the protocol

    @property
    def name(self) -> str:
        """The name that chooses it: ``provider:model``."""
        return f"{self.provider}:{self.config.model}"

    @property
    def batch_size(self) -> int:
        """How many samples one call takes."""
        return self.config.batch_size

    @property
    def client(self) -> Any:
        """The provider's own client or model, opened now if it was not yet."""
        with self._lock:
            if self._client is None:
                try:
                    self._client = self.open()
                except VecsearchError:
                    raise
                except Exception as error:  # noqa: BLE001  as below
                    raise self._translated(error, "could not be opened", of_samples=False) from self._cause(error)
                if self._client is not None:
                    weakref.finalize(self, self.end, self._client)
            return self._client

    def embed(self, samples: Sequence[Any]) -> NDArray[np.float32]:
        """Embeddings of samples: float32, shape (n, dim)."""
        return self._embedded(samples, prompt=False)

    def embed_prompts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of texts used as queries: float32, shape (n, dim)."""
        if not self.supports_prompts:
            raise UnsupportedError(f"the model {self.name} takes no text queries; search by ids or vectors")
        return self._embedded(texts, prompt=True)

    def fingerprint(self) -> dict[str, Any]:
        """The name, the width, and the settings that make another model."""
        identity = type(self.config).identity_fields() - {"model"}
        settings = self.config.model_dump(mode="json", include=set(identity), exclude_none=True)
        return {"name": self.name, "dim": self.dim, **settings}

    def __repr__(self) -> str:
        return f"<{self.modality} model {self.name}{f', dim={self.dim}' if self.dim else ''}>"

    # ---- what is the same for all

    def _embedded(self, items: Sequence[Any], *, prompt: bool) -> NDArray[np.float32]:
        parts = []
        for batch in self._batches(items, prompt=prompt):
            part = checked(self._call(batch, prompt=prompt), len(batch), self.dim, self.name)
            self.dim = part.shape[1]
            parts.append(part)
        return np.concatenate(parts) if parts else np.empty((0, self.dim or 0), np.float32)

    def _batches(self, items: Sequence[Any], *, prompt: bool) -> Iterator[list[Any]]:
        batch: list[Any] = []
        weight = 0
        for item in items:
            try:
                payload = self.payload(item, prompt=prompt)
            except InvalidInputError as error:
                raise ModelError(str(error), of_samples=True) from error
            size = 0 if self.batch_bytes is None else self.size(payload)
            if self.batch_bytes is not None and size > self.batch_bytes:
                limit = f"{self.batch_bytes:,} bytes are the most"
                raise ModelError(f"the model {self.name}: a sample takes {size:,} bytes, {limit}", of_samples=True)
            full = len(batch) == self.batch_size or (self.batch_bytes is not None and weight + size > self.batch_bytes)
            if batch and full:
                yield batch
                batch, weight = [], 0
            batch.append(payload)
            weight += size
        if batch:
            yield batch

    def _call(self, batch: list[Any], *, prompt: bool) -> Any:
        started = time.monotonic()
        try:
            return self._call_once(batch, prompt=prompt)
        except ConnectionFailedError as error:
            left = self.config.timeout - (time.monotonic() - started)
            asked = getattr(error, "retry_after", 0.0)
            if left <= asked:
                raise
        # Imported here: a call that succeeds pays nothing for the retry library.
        from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay
        from tenacity import wait_random_exponential as growing

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return float(max(growing(multiplier=0.2, max=10)(state), getattr(error, "retry_after", 0.0)))

        time.sleep(asked)
        retrying = Retrying(
            stop=stop_before_delay(left - asked),
            wait=wait,
            retry=retry_if_exception_type(ConnectionFailedError),
            reraise=True,
        )
        return retrying(self._call_once, batch, prompt=prompt)

    def _call_once(self, batch: list[Any], *, prompt: bool) -> Any:
        try:
            return self.vectors(batch, prompt=prompt)
        except VecsearchError:
            raise
        except Exception as error:  # noqa: BLE001  a foreign error never passes without ours around it
            raise self._translated(error, f"failed on {len(batch)} samples", of_samples=True) from self._cause(error)

    def _cause(self, error: Exception) -> Exception | None:
        """The foreign error, unless its text would show a secret in the traceback."""
        return error if without_secrets(str(error), self.config) == str(error) else None

    def _translated(self, error: Exception, what: str, *, of_samples: bool) -> VecsearchError:
        fault = self.fault(error)
        reason = without_secrets(self.reason(error), self.config)[:_SHOWN] or type(error).__name__
        if fault in ("unavailable", "rate_limited"):
            lost = ConnectionFailedError(f"the model {self.name} cannot be reached: {reason}")
            lost.backend, lost.operation = self.name, "embed"
            lost.retry_after = self.retry_after(error)  # type: ignore[attr-defined]  # for this module alone
            return lost
        if fault == "denied":
            denied = AccessDeniedError(f"the model {self.name} refused the credentials: {reason}")
            denied.backend, denied.operation = self.name, "embed"
            return denied
        return ModelError(f"the model {self.name} {what}: {reason}", of_samples=of_samples and fault is None)


def checked(vectors: Any, count: int, dim: int | None, name: str) -> NDArray[np.float32]:
    """What a model returned, if it is one finite float32 vector of one width for each sample."""
    try:
        array = checks.embeddings(vectors, None, f"the model {name}: embeddings")
    except InvalidInputError as error:  # NaN for one of the samples, say
        raise ModelError(str(error), of_samples=True) from error
    if len(array) != count:
        raise ModelError(
            f"{len(array)} embeddings from the model {name} for {count} samples; there must be one for each"
        )
    if dim is not None and count and array.shape[1] != dim:
        raise ModelError(f"the model {name} gave {array.shape[1]} dimensions, it has {dim}")
    return array


__all__ = ("EmbeddingModel", "Modality", "ModelConfig", "checked")
