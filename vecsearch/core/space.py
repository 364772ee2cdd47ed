"""Where candidates are looked for: each metric as an inner product, with a certified margin.

For each metric there is a *target* of a pair that grows as the distance falls, and that a kernel can approximate by an
inner product: ``1 - d`` for cosine, ``-d`` for dotproduct, ``½‖x-c‖² - ½d²`` = ``⟨x-c, y-c⟩ - ½‖y-c‖²`` for euclidean,
where the centre ``c`` cancels in ``d`` and only keeps the numbers, and so the margin, small.

``|score - target(d)| <= margin`` holds for the distance ``d`` as `pair_distances` *computes* it, so the margin holds
three things: the kernel's own bound, the rounding of norms and unit rows, the rounding of the pair distance itself.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecsearch.core.kernels.float32 import accumulation_bound
from vecsearch.core.metrics import norms_of, ordinary_norms, unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecsearch.core.kernels import Kernel
    from vecsearch.core.metrics import Float32, Float64, Metric

_TINY = 2.0**-126  # what one flushed or denormal float32 product may lose
_LARGE = 1e36  # ‖x‖‖y‖ up to here keeps every partial sum of a float32 product finite (Cauchy-Schwarz)
_LONGEST = 1e38  # a row up to here stays finite when its components are rounded to fewer bits
_NEARLY_UNIT = 2.0**-20  # rows so near to unit length are taken as they are, at the price of as much margin
_COPY_FROM = 16  # with fewer queries a tile, correcting the scores is cheaper than correcting a copy of the rows
_TURNING = 20 * accumulation_bound(66)  # 8 times the rounding of 64 products, for either side, and a little
_MOST_STEPS = 2.0**30  # of a term that is subtracted from int32 scores


class Placed(NamedTuple):
    """Rows as the kernel sees them.

    Attributes:
        operand: the kernel's form of the rows.
        size: how many.
        lengths: float64 (b,), or 1.0 for unit rows: their norms in the space.
        reach: the largest of them.
        scale: float32 (b,) that scores are multiplied by, if that was left for later.
        stretch: how far from 1 the length of a unit row may be beyond rounding.

    """

    operand: Any
    size: int
    lengths: Float64 | float
    reach: float
    scale: Float32 | None = None
    stretch: float = 0.0


class Tile(NamedTuple):
    """Scores of queries and rows.

    Attributes:
        raw: (q, b), the kernel's scores.
        unit: a score is ``unit * raw``.
        margin: float64 (q,), how far each score of a query may be from its target; inf where unknown.

    """

    raw: NDArray[Any]
    unit: float
    margin: Float64


class Space:
    """One metric through one kernel, in one width, about one centre.

    Args:
        metric: the metric.
        kernel: what makes the inner products.
        width: d.
        centre: float32 (d,) for euclidean, a typical row; None for the origin.
        turn: turn all rows alike (see `turned`), which leaves inner products as they are.

    """

    def __init__(
        self, metric: Metric, kernel: Kernel, width: int, centre: Float32 | None = None, *, turn: bool = False
    ) -> None:
        self.metric = metric
        self.kernel = kernel
        self.width = width
        self.centre = centre if metric == "euclidean" else None
        self._turn = turn
        # A dozen roundings beyond the d of the sum: the unit row's two, the difference, the square, the root.
        self._gamma = accumulation_bound(width + 12)

    def queries(self, rows: Float32, norms: Float64, out: Float32 | None = None) -> Placed:
        """Move C-contiguous queries (q, d) with their norms into the space; a copy, if needed, goes to ``out``."""
        rows, lengths, stretch = self.moved(rows, norms, out)
        reach = lengths if isinstance(lengths, float) else float(lengths.max(initial=0.0))
        return Placed(self.kernel.left(rows), len(rows), lengths, reach, None, stretch)

    def block(self, rows: Float32, norms: Float64, out: Float32 | None = None, *, queries: int = _COPY_FROM) -> Placed:
        """Move a block of C-contiguous rows (b, d) with their norms into the space.

        Args:
            rows: the rows, not written to unless they are ``out``.
            norms: float64 (b,), `row_norms` of them.
            out: float32 (b, d) that a copy goes to, if one is needed.
            queries: how many queries they will meet; with few of them no copy is made for float32.

        """
        few = queries < _COPY_FROM and self.kernel.name == "float32"
        if few and self.metric == "cosine" and ordinary_norms(norms).all() and not _nearly_unit(norms):
            scale = np.reciprocal(norms).astype(np.float32)
            return Placed(self.kernel.right(rows), len(rows), 1.0, 1.0, scale)
        rows, lengths, stretch = self.moved(rows, norms, out)
        reach = lengths if isinstance(lengths, float) else float(lengths.max(initial=0.0))
        return Placed(self.kernel.right(rows), len(rows), lengths, reach, None, stretch)

    def moved(
        self, rows: Float32, norms: Float64, out: Float32 | None = None
    ) -> tuple[Float32, Float64 | float, float]:
        """The rows as the metric compares them, their lengths, and how far from 1 those of unit rows may be."""
        lengths: Float64 | float = norms
        stretch = 0.0
        if self.metric == "cosine":
            lengths = 1.0
            if _nearly_unit(norms):
                stretch = float(np.abs(norms - 1.0).max(initial=0.0))
            else:
                rows = unit_rows(rows, norms, out)
        elif self.centre is not None:
            with np.errstate(over="ignore"):
                rows = np.subtract(rows, self.centre, out=out)
                lengths = norms_of(rows)
        return turned(rows) if self._turn else rows, lengths, stretch

    def tile(self, queries: Placed, block: Placed, scratch: Float32) -> Tile:
        """The scores of placed queries and a placed block.

        Args:
            queries: q of them.
            block: b of them.
            scratch: float32, C-contiguous, at least q · b: the scores are written there.

        """
        kernel = self.kernel
        out = scratch.ravel()[: queries.size * block.size].view(kernel.dtype).reshape(queries.size, block.size)
        unit = kernel.unit(queries.operand, block.operand)
        margin = self.margin(queries, block)
        terms = 0.5 * np.square(np.asarray(block.lengths)) / unit if self.metric == "euclidean" else None
        if kernel.dtype is np.int32 and terms is not None:
            margin += unit
            if not terms.max(initial=0.0) < _MOST_STEPS:
                margin[:] = np.inf
        if not np.isfinite(margin).all():
            out.fill(0)  # float32 may overflow to nan here: propose everything instead
            return Tile(out, unit, np.full(queries.size, np.inf))
        kernel.scores(queries.operand, block.operand, out)
        if block.scale is not None:
            out *= block.scale
        if terms is not None:
            out -= (np.rint(terms) if kernel.dtype is np.int32 else terms).astype(kernel.dtype)
        return Tile(out, unit, margin)

    def margin(self, queries: Placed, block: Placed) -> Float64:
        """How far scores may be from their targets, float64 (q,): inf where float32 could overflow."""
        gamma = self._gamma
        lengths = np.broadcast_to(np.asarray(queries.lengths, dtype=np.float64), (queries.size,))
        with np.errstate(over="ignore", invalid="ignore"):
            error = self.kernel.error(queries.operand, block.operand, lengths, block.reach)
            margin = np.array(np.broadcast_to(error, (queries.size,)))
            if self.metric == "cosine":
                margin += 3 * gamma + 2 * (queries.stretch + block.stretch)
            elif self.metric == "euclidean":
                margin += 1.5 * gamma * np.square(lengths + block.reach)
            if self._turn:
                margin += _TURNING * lengths * block.reach
            margin *= (1 + gamma) ** 4  # the lengths themselves are rounded
            margin += self.width * _TINY * (1 + lengths + block.reach)
            largest = lengths * block.reach if self.metric != "euclidean" else np.square(lengths + block.reach)
            margin[~((largest < _LARGE) & (lengths < _LONGEST) & (block.reach < _LONGEST))] = np.inf
        return margin

    def target(self, queries: Placed, distances: Float64 | float) -> Float64:
        """The target of each query at a distance: one for all or (q,)."""
        distances = np.asarray(distances, dtype=np.float64)
        if self.metric == "cosine":
            return np.broadcast_to(1.0 - distances, (queries.size,))
        if self.metric == "dotproduct":
            return np.broadcast_to(0.0 - distances, (queries.size,))
        with np.errstate(over="ignore", invalid="ignore"):
            return 0.5 * np.square(queries.lengths) - 0.5 * np.square(distances)

    def half_squares(self, queries: Placed, scores: Float32) -> Float64:
        """``½‖x-y‖²`` of unit rows or centred rows by their scores (q,), wrong by at most the margin."""
        if self.metric == "cosine":
            return 1.0 - scores.astype(np.float64)
        return 0.5 * np.square(queries.lengths) - scores


def _nearly_unit(norms: Float64) -> bool:
    return float(np.abs(norms - 1.0).max(initial=0.0)) <= _NEARLY_UNIT


def turned(rows: Float32) -> Float32:
    """Rows times a block diagonal of Hadamard matrices with random signs: an exactly orthogonal matrix.

    A large component is spread over up to 64, so that the largest of a row is hardly larger than the others. Of the
    family of Ailon and Chazelle, The fast Johnson-Lindenstrauss transform, SIAM Journal on Computing 39, 2009.
    """
    out = np.empty_like(rows)
    start, width = 0, rows.shape[1]
    for size, matrix in _hadamard().items():
        stop = start + (width - start) // size * size
        if stop > start:
            part = np.ascontiguousarray(rows[:, start:stop])
            out[:, start:stop] = (part.reshape(-1, size) @ matrix).reshape(part.shape)
        start = stop
    return out


@cache
def _hadamard() -> dict[int, Float32]:
    """Sylvester's matrices of 64, 16, 4 and 1 rows, whose scale is a power of two, with random signs."""
    signs = np.random.default_rng(64).choice(np.array([-1, 1], dtype=np.float32), 64)
    found = {}
    for size in (64, 16, 4, 1):
        bits = np.arange(size)
        ones = np.array([int(number).bit_count() for number in (bits[:, None] & bits).ravel()]).reshape(size, size)
        found[size] = (signs[:size, None] * np.where(ones % 2, -1, 1) / size**0.5).astype(np.float32)
    return found


def rounded_down(values: Float64) -> Float32:
    """Float32 values below these, so that comparing with them errs towards keeping."""
    with np.errstate(over="ignore"):
        return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def rounded_up(values: Float64) -> Float32:
    """Float32 values above these."""
    with np.errstate(over="ignore"):
        return np.nextafter(values.astype(np.float32), np.float32(np.inf))


def raw_bound(dtype: np.dtype[Any], values: Float64) -> NDArray[Any]:
    """The least raw scores that may reach these values, in the type of the scores."""
    if dtype == np.float32:
        return rounded_down(values)
    bounds = np.iinfo(dtype)
    return np.clip(np.floor(values), bounds.min, bounds.max).astype(dtype)
