"""A model that a user passes: an object of our protocol, one with ``.encode``, or a callable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from vecsearch.errors import InvalidInputError, ModelError, UnsupportedError, VecsearchError
from vecsearch.models.base import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from vecsearch.models.base import Modality
    from vecsearch.types import Model

_PROTOCOL = ("name", "dim", "supports_prompts", "embed", "embed_prompts", "fingerprint")


class CallableModel:
    """A model made of one or two functions: samples to vectors, and prompts to vectors."""

    def __init__(
        self,
        name: str,
        embed: Callable[[Sequence[Any]], Any],
        embed_prompts: Callable[[Sequence[str]], Any] | None,
        dim: int | None = None,
        modality: Modality | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.name = name
        self.dim = dim
        self.modality = modality
        self.batch_size = batch_size
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
            text = f"the model {self.name} failed on {len(items)} items: {error}"
            raise ModelError(text, of_samples=True) from error
        array = checked(vectors, len(items), self.dim, self.name)
        if len(array):
            self.dim = array.shape[1]
        return array


def as_model(model: Any) -> Model:
    """The model that a user's object means.

    An object with ``embed`` and ``embed_prompts`` is taken as it is; one with ``encode`` (sentence-transformers) serves
    samples and prompts (``encode_query`` where it has one); a callable maps a list of samples to rows, and takes text
    queries if it has ``supports_prompts = True``.
    """
    if hasattr(model, "embed") and hasattr(model, "embed_prompts"):
        missing = [name for name in _PROTOCOL if not hasattr(model, name)]
        if missing:
            raise InvalidInputError(f"the model {type(model).__name__} lacks {', '.join(missing)}")
        return cast("Model", model)
    name = model_name(model)
    more = (getattr(model, "modality", None), getattr(model, "batch_size", None))
    if hasattr(model, "encode"):
        prompts = getattr(model, "encode_query", model.encode)
        return cast("Model", CallableModel(name, model.encode, prompts, _declared_dim(model), *more))
    if callable(model):
        prompts = model if getattr(model, "supports_prompts", False) else None
        return cast("Model", CallableModel(name, model, prompts, getattr(model, "dim", None), *more))
    raise InvalidInputError(f"{type(model).__name__} is no model; it needs .encode, .embed, or to be callable")


def model_name(model: Any) -> str:
    """A name that tells one model from another, as far as the object says."""
    card = getattr(model, "model_card_data", None)  # of sentence-transformers: what its weights are called
    for owner, attribute in ((model, "name"), (model, "model_name"), (card, "base_model"), (model, "__qualname__")):
        value = getattr(owner, attribute, None)
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


def same_fingerprint(recorded: Mapping[str, Any] | None, fingerprint: Mapping[str, Any] | None) -> None:
    """Refuse a model by its fingerprint, as ``same_model`` does."""
    if not recorded or not fingerprint:
        return
    given = json.loads(json.dumps(fingerprint))  # as a record holds it
    for key in sorted({*recorded, *given}, key=lambda key: (key != "name", key)):
        mine, theirs = recorded.get(key), given.get(key)
        if mine != theirs and not (key == "dim" and None in (mine, theirs)):
            raise InvalidInputError(
                f"the index holds vectors of the model {recorded.get('name')!r} ({key} {mine!r}), "
                f"this one is {given.get('name')!r} ({key} {theirs!r})"
            )


__all__ = ("CallableModel", "as_model", "model_name", "same_fingerprint", "same_model")
