"""Samples to rows: checked first, embedded in batches; what the model cannot embed is skipped and named."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vecsearch import checks
from vecsearch.errors import InvalidInputError, ModelError
from vecsearch.models.base import checked
from vecsearch.progress import reporting
from vecsearch.tables import Chunk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.types import Model

OnFailed = Literal["skip", "raise"]
_ROWS = 256
_IN_A_ROW = 16
"""So many failures in a row are taken for one of the model."""
_NAMED = 5


def rows(
    model: Model,
    samples: Any,
    sample_ids: Any,
    label_ids: Any,
    metadata: Any,
    documents: Any,
    *,
    dim: int | None,
    on_failed: OnFailed,
    progress: Any,
) -> tuple[Chunk, dict[str, str]]:
    """The rows of the samples that could be embedded, and why the others could not, by id.

    Ids and columns are checked before the first sample is embedded. Texts become their own documents.
    """
    checks.choice(on_failed, OnFailed, "on_failed")
    if isinstance(samples, (str, bytes)):
        raise InvalidInputError(f"samples must be a list, not one {type(samples).__name__}; write [sample]")
    items = list(samples)
    ids = _ids(sample_ids, len(items), unique=label_ids is None)
    labels = None if label_ids is None else checks.ids(label_ids, "label_ids")
    checks.same_length(len(items), len(items if labels is None else labels), "label_ids", "samples")
    fields = checks.metadata(metadata, len(items))
    if documents is None and items and _are_texts(model, items):
        documents = items
    texts = checks.documents(documents, len(items))
    names = labels or ids
    vectors, reasons = embedded(model, items, names, dim=dim, on_failed=on_failed, progress=progress)
    kept = [position for position in range(len(items)) if position not in reasons]

    def part(column: Sequence[Any] | None) -> list[Any] | None:
        return None if column is None else [column[position] for position in kept]

    chunk = Chunk(vectors, part(ids) or [], part(labels), part(fields), part(texts))
    return chunk, {names[position]: reason for position, reason in reasons.items()}


def _ids(sample_ids: Any, count: int, *, unique: bool) -> list[str]:
    if sample_ids is None:
        if not unique:
            raise InvalidInputError("label_ids= needs sample_ids= beside it: the sample of each label")
        return [str(position) for position in range(count)]
    ids = checks.ids(sample_ids, "sample_ids", unique=unique)
    checks.same_length(count, len(ids), "sample_ids", "samples")
    return ids


def _are_texts(model: Model, items: Sequence[Any]) -> bool:
    if not all(isinstance(item, str) for item in items):
        return False
    return getattr(model, "modality", None) != "image"  # there a text is a path


def embedded(
    model: Model,
    items: Sequence[Any],
    names: Sequence[str],
    *,
    dim: int | None,
    on_failed: OnFailed,
    progress: Any,
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """The vectors of the samples that could be embedded, in their order, and why the others could not, by position.

    A batch that fails is halved until the sample is found with which it fails. With ``on_failed="raise"`` that is an
    error; so are sixteen failures in a row, and none that succeeds: then the model is at fault, not a sample.
    """
    task = _Embedding(model, items, names, dim, on_failed)
    batch = getattr(model, "batch_size", None) or _ROWS
    with reporting(progress, "embedding", "samples") as report:
        for start in range(0, len(items), batch):
            stop = min(start + batch, len(items))
            task.run(start, stop)
            report(stop, len(items))
    return task.result()


class _Embedding:
    def __init__(
        self, model: Model, items: Sequence[Any], names: Sequence[str], dim: int | None, on_failed: OnFailed
    ) -> None:
        self._model = model
        self._items = items
        self._names = names
        self._dim = dim
        self._on_failed = on_failed
        self._vectors: NDArray[np.float32] | None = None
        self._failed: dict[int, str] = {}
        self._in_a_row = 0

    def run(self, start: int, stop: int) -> None:
        """Embed the samples from start to stop."""
        try:
            vectors = checked(self._model.embed(self._items[start:stop]), stop - start, None, self._model.name)
        except ModelError as error:
            if not error.of_samples:
                raise
            reason = error
        else:
            self._keep(start, stop, vectors)
            return
        if stop - start > 1:
            middle = (start + stop) // 2
            self.run(start, middle)
            self.run(middle, stop)
            return
        self._failed[start] = str(reason)
        self._in_a_row += 1
        if self._on_failed == "raise":
            raise ModelError(
                f"{self._names[start]!r} could not be embedded: {reason}", of_samples=True, failed=self._by_name()
            ) from reason
        if self._in_a_row == _IN_A_ROW:
            text = f"{_IN_A_ROW} samples in a row could not be embedded, the last: {reason}"
            raise ModelError(text, failed=self._by_name()) from reason

    def _keep(self, start: int, stop: int, vectors: NDArray[np.float32]) -> None:
        width = vectors.shape[1]
        if self._vectors is None:
            if self._dim not in (None, width):
                raise InvalidInputError(
                    f"the model {self._model.name} gives {width} dimensions, this index has {self._dim}"
                )
            self._vectors = np.empty((len(self._items), width), np.float32)
        if width != self._vectors.shape[1]:
            raise ModelError(f"the model {self._model.name} gave {self._vectors.shape[1]} dimensions, then {width}")
        self._vectors[start:stop] = vectors
        self._in_a_row = 0

    def _by_name(self) -> dict[str, str]:
        return {self._names[position]: reason for position, reason in self._failed.items()}

    def result(self) -> tuple[NDArray[np.float32], dict[int, str]]:
        """All vectors that there are; what failed is said aloud."""
        if self._vectors is None:
            if self._failed:
                first = next(iter(self._failed.values()))
                raise ModelError(f"no sample could be embedded: {first}", failed=self._by_name())
            return np.empty((0, self._dim or self._model.dim or 0), np.float32), {}
        if not self._failed:
            return self._vectors, {}
        warnings.warn(_said(self._model.name, self._by_name(), len(self._items)), stacklevel=5)
        return np.delete(self._vectors, list(self._failed), axis=0), self._failed


def _said(name: str, failed: Mapping[str, str], count: int) -> str:
    shown = "; ".join(f"{row_id!r}: {reason}" for row_id, reason in list(failed.items())[:_NAMED])
    more = f"; … {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return f"{len(failed)} of {count} samples were skipped, as the model {name} could not embed them: {shown}{more}"


__all__ = ("OnFailed", "embedded", "rows")
