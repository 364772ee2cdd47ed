"""Clusters that are as hard to search as real text embeddings: topics about super-topics, each with its own spectrum.

Independent normal or uniform numbers mislead: at 384 dimensions their intrinsic dimension is four times that of text,
and approximate indexes do worse on them than on any real data. Tuned to WordNet's glosses at 20,000 rows of 384
(local intrinsic dimension 24, relative contrast 1.24); at other sizes `inspecting.inspect` says what came out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUPER_TOPICS = 20
_ROWS_A_TOPIC = 10
_SIZES = 0.8  # the exponent of Zipf's law for the sizes of topics
_SPREAD = 1.5  # of a topic about its centre, whose expected norm is 1
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Mixture:
    """The dials.

    Args:
        d: the width.
        alpha: the standard deviations of a topic fall as i^-alpha: 0.6 is harder to search, 1.0 easier.
        topics: how many; a tenth of the rows by default. Fewer are easier.
        rank: how many directions a topic has, ``d`` by default. Fewer are easier, in topics of many rows above all.

    """

    d: int = 384
    alpha: float = 0.75
    topics: int | None = None
    rank: int | None = None

    def __post_init__(self) -> None:
        for name in ("d", "topics", "rank"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInputError(f"mixture: {name} must be at least 1, not {value}")
        if self.rank is not None and self.rank > self.d:
            raise InvalidInputError(f"mixture: rank must be at most d = {self.d}, not {self.rank}")
        if not 0 <= self.alpha <= 10:  # noqa: PLR2004
            raise InvalidInputError(f"mixture: alpha must be from 0 to 10, not {self.alpha:g}")


def parse(dials: str) -> Mixture:
    """``"alpha=0.6,rank=32"`` as a `Mixture`; empty is the default."""
    known = {field.name: float if field.name == "alpha" else int for field in fields(Mixture)}
    given: dict[str, Any] = {}
    for part in filter(None, dials.split(",")):
        name, _, value = part.partition("=")
        if name not in known or name in given:
            raise InvalidInputError(f"mixture: {part!r}: write name=value, each once, of {', '.join(known)}")
        try:
            given[name] = known[name](value)
        except ValueError:
            raise InvalidInputError(f"mixture: {name} takes a number, not {value!r}") from None
    return Mixture(**given)


def generate(mixture: Mixture, count: int, seed: int = 0) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Unit rows float32 (count, d), and of each the ``topic`` and ``super_topic`` it was drawn from.

    No step is a matrix product, whose last bits depend on the threads: the same seed gives the same rows, and the same
    hash, in every process of a machine.
    """
    rng = np.random.default_rng(seed)
    d = mixture.d
    topics = mixture.topics or max(1, count // _ROWS_A_TOPIC)
    parents = rng.integers(0, _SUPER_TOPICS, topics)
    centres = rng.standard_normal((_SUPER_TOPICS, d))[parents] + rng.standard_normal((topics, d))
    centres /= np.sqrt(2 * d)
    signs = rng.integers(0, 2, (2, topics, d), dtype=np.int8) * np.int8(2) - np.int8(1)
    sizes = np.arange(1, topics + 1) ** -_SIZES
    owners = np.sort(rng.choice(topics, count, p=sizes / sizes.sum()))
    spectrum = np.arange(1, d + 1) ** -mixture.alpha
    spectrum[mixture.rank or d :] = 0
    spectrum *= _SPREAD / np.linalg.norm(spectrum)
    rows = np.empty((count, d), dtype=np.float32)
    for start in range(0, count, _BLOCK):
        owner = owners[start : start + _BLOCK]
        block = rng.standard_normal((len(owner), d)) * spectrum
        _turn(block, signs[0, owner], signs[1, owner])
        block += centres[owner]
        rows[start : start + _BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return rows, [
        {"topic": topic, "super_topic": parent}
        for topic, parent in zip(owners.tolist(), parents[owners].tolist(), strict=True)
    ]


def _turn(rows: NDArray[np.float64], first: NDArray[np.int8], second: NDArray[np.int8]) -> None:
    """Rotate each row in place, by Hadamard transforms with the random signs of its topic between and after them.

    Ailon & Chazelle, "Approximate nearest neighbors and the fast Johnson-Lindenstrauss transform", 2006: such a product
    points as generically as a rotation drawn uniformly, which would take a QR decomposition a topic. Two overlapping
    transforms cover a width that is no power of two. Mere permutations of the axes would not do: topics that share
    their longest axis become neighbours, and the intrinsic dimension falls by a third.
    """
    width = 1 << (rows.shape[1].bit_length() - 1)
    _hadamard(rows[:, :width])
    rows *= first
    _hadamard(rows[:, -width:])
    rows *= second


def _hadamard(rows: NDArray[np.float64]) -> None:
    """The orthonormal Walsh-Hadamard transform of each row, in place; the width is a power of two."""
    width = rows.shape[1]
    half = 1
    while half < width:
        for start in range(0, width, 2 * half):
            left, right = rows[:, start : start + half], rows[:, start + half : start + 2 * half]
            total = left + right
            np.subtract(left, right, out=right)
            left[:] = total
        half *= 2
    rows /= np.sqrt(width)
