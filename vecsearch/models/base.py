"""Any embedding model behind one protocol: an object of ours, one with ``.encode``, or a callable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from vecsearch import checks
from vecsearch.errors import InvalidInputError, UnsupportedError, VecsearchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from vecsearch.types import Model


class CallableModel:
    """A model made of one or two functions: samples to vectors, and prompts to vectors."""

    def __init__(
        self,
        name: str,
        embed: Callable[[Sequence[Any]], Any],
        embed_prompts: Callable[[Sequence[str]], Any] | None,
        dim: int | None = None,
    ) -> None:
        self.name = name
        self.dim = dim
        self.supports_prompts = embed_prompts is not None
        self._embed = embed
        self._embed_prompts = embed_prompts

    def embed(self, samples: Sequence[Any]) -> NDArray[np.float32]:
        """Embeddings of samples: float32, shape (n, dim)."""
        return self._vectors(self._embed, samples)

    def embed_prompts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of texts used as queries: float32, shape (n, dim)."""
        if self._embed_prompts is None:
            raise UnsupportedError(f"the model {self.name} takes no text queries")
        return self._vectors(self._embed_prompts, texts)

    def fingerprint(self) -> dict[str, Any]:
        """The name and width, which a run records."""
        return {"name": self.name, "dim": self.dim}

    def _vectors(self, function: Callable[[Sequence[Any]], Any], items: Sequence[Any]) -> NDArray[np.float32]:
        try:
            vectors = function(list(items))
        except VecsearchError:
            raise
        except Exception as error:
            raise InvalidInputError(f"the model {self.name} failed on {len(items)} items: {error}") from error
        array = checks.embeddings(vectors, self.dim, f"the model {self.name}: embeddings")
        checks.same_length(len(items), len(array), f"embeddings from the model {self.name}", "items")
        if len(array):
            self.dim = array.shape[1]
        return array


def as_model(model: Any) -> Model | None:
    """The model that a user's argument means.

    An object with ``embed`` and ``embed_prompts`` is taken as it is; one with ``encode`` (sentence-transformers) serves
    samples and prompts (``encode_query`` where it has one); a callable maps a list of samples to rows, and takes text
    queries if it has ``supports_prompts = True``.
    """
    if model is None:
        return None
    if isinstance(model, str):
        raise UnsupportedError(
            f"models by name ({model!r}) need a provider, and this version has none; pass the model itself: an object "
            "with .encode, or a callable that maps a list of samples to vectors"
        )
    if hasattr(model, "embed") and hasattr(model, "embed_prompts"):
        return cast("Model", model)
    name = model_name(model)
    if hasattr(model, "encode"):
        dim = _declared_dim(model)
        return cast("Model", CallableModel(name, model.encode, getattr(model, "encode_query", model.encode), dim))
    if callable(model):
        prompts = model if getattr(model, "supports_prompts", False) else None
        return cast("Model", CallableModel(name, model, prompts, getattr(model, "dim", None)))
    raise InvalidInputError(f"{type(model).__name__} is no model; it needs .encode, .embed, or to be callable")


def model_name(model: Any) -> str:
    """A name that tells one model from another, as far as the object says."""
    for attribute in ("name", "model_name", "__qualname__"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return f"{type(model).__module__}.{type(model).__qualname__}"


def _declared_dim(model: Any) -> int | None:
    for name in ("get_embedding_dimension", "get_sentence_embedding_dimension"):
        method = getattr(model, name, None)
        if callable(method):
            value = method()
            return value if isinstance(value, int) else None
    return None


def same_model(recorded: Mapping[str, Any] | None, model: Model | None) -> None:
    """Refuse a model that is not the one whose vectors the index holds."""
    same_fingerprint(recorded, None if model is None else model.fingerprint())


def same_fingerprint(recorded: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> None:
    """Refuse a model by its fingerprint, as ``same_model`` does."""
    if not recorded or not given:
        return
    different = {key for key, value in recorded.items() if value is not None and given.get(key) not in (None, value)}
    if different:
        key = min(different)
        raise InvalidInputError(
            f"the index holds vectors of the model {recorded.get('name')!r} ({key} {recorded[key]!r}), "
            f"this one is {given.get('name')!r} ({key} {given.get(key)!r})"
        )
