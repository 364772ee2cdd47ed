"""Where candidates are looked for: each metric as an inner product, with a certified margin.

For each metric there is a *target* of a pair that grows as the distance falls, and that a kernel can approximate by an
inner product: ``1 - d`` for cosine, ``-d`` for dotproduct, ``½‖x-c‖² - ½d²`` = ``⟨x-c, y-c⟩ - ½‖y-c‖²`` for euclidean,
where the centre ``c`` cancels in ``d`` and only keeps the numbers, and so the margin, small.

``|score - target(d)| <= margin`` holds for the distance ``d`` as `pair_distances` *computes* it, so the margin holds
three things: the kernel's own bound, the rounding of norms and unit rows, the rounding of the pair distance itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecsearch.core.kernels.float32 import accumulation_bound
from vecsearch.core.metrics import norms_of, ordinary_norms, unit_rows

if TYPE_CHECKING:
    from vecsearch.core.kernels import Kernel
    from vecsearch.core.metrics import Float32, Float64, Metric

_TINY = 2.0**-126  # what one flushed or denormal float32 product may lose
_LARGE = 1e36  # ‖x‖‖y‖ up to here keeps every partial sum of a float32 product finite (Cauchy-Schwarz)
_NEARLY_UNIT = 2.0**-20  # rows so near to unit length are taken as they are, at the price of as much margin
_COPY_FROM = 16  # with fewer queries a tile, correcting the scores is cheaper than correcting a copy of the rows


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


class Space:
    """One metric through one kernel, in one width, about one centre.

    Args:
        metric: the metric.
        kernel: what makes the inner products.
        width: d.
        centre: float32 (d,) for euclidean, a typical row; None for the origin.

    """

    def __init__(self, metric: Metric, kernel: Kernel, width: int, centre: Float32 | None = None) -> None:
        self.metric = metric
        self.kernel = kernel
        self._centre = centre if metric == "euclidean" else None
        # A dozen roundings beyond the d of the sum: the unit row's two, the difference, the square, the root.
        self._gamma = accumulation_bound(width + 12)
        self._underflow = width * _TINY

    def place(self, block: Float32, norms: Float64, out: Float32 | None = None, *, queries: int = _COPY_FROM) -> Placed:
        """Move C-contiguous rows (b, d) with their norms into the space.

        Args:
            block: the rows, not written to unless they are ``out``.
            norms: float64 (b,), `row_norms` of them.
            out: float32 (b, d) that a copy goes to, if one is needed.
            queries: how many queries they will meet; with few of them no copy is made.

        """
        scale = None
        lengths: Float64 | float = norms
        if self.metric == "cosine":
            lengths = 1.0
            stretch = float(np.abs(norms - 1.0).max(initial=0.0))
            if stretch <= _NEARLY_UNIT:
                return Placed(self.kernel.prepare(block), len(block), lengths, lengths, None, stretch)
            if queries < _COPY_FROM and ordinary_norms(norms).all():
                scale = np.reciprocal(norms).astype(np.float32)
            else:
                block = unit_rows(block, norms, out)
        elif self._centre is not None:
            with np.errstate(over="ignore"):
                block = np.subtract(block, self._centre, out=out)
                lengths = norms_of(block)
        reach = lengths if isinstance(lengths, float) else float(lengths.max(initial=0.0))
        return Placed(self.kernel.prepare(block), len(block), lengths, reach, scale)

    def scores(self, queries: Placed, block: Placed, out: Float32) -> Float64:
        """Write scores to C-contiguous ``out`` (q, b); returns their margins, float64 (q,), inf where unknown."""
        margin = self._margin(queries, block)
        if not np.isfinite(margin).all():
            out.fill(0.0)  # float32 may overflow to nan here: propose everything instead
            return np.full(queries.size, np.inf)
        self.kernel.scores(queries.operand, block.operand, out)
        if block.scale is not None:
            out *= block.scale
        if self.metric == "euclidean":
            lengths = np.asarray(block.lengths)
            out -= (0.5 * lengths * lengths).astype(np.float32)
        return margin

    def _margin(self, queries: Placed, block: Placed) -> Float64:
        gamma = self._gamma
        lengths = np.broadcast_to(np.asarray(queries.lengths, dtype=np.float64), (queries.size,))
        with np.errstate(over="ignore", invalid="ignore"):
            margin = self.kernel.error(queries.operand, block.operand) * lengths * block.reach
            if self.metric == "cosine":
                margin += 3 * gamma + 2 * (queries.stretch + block.stretch)
            elif self.metric == "euclidean":
                margin += 1.5 * gamma * np.square(lengths + block.reach)
            margin *= (1 + gamma) ** 4  # the lengths themselves are rounded
            margin += self._underflow
            largest = lengths * block.reach if self.metric != "euclidean" else np.square(lengths + block.reach)
            margin[~(largest < _LARGE)] = np.inf
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


def rounded_down(values: Float64) -> Float32:
    """Float32 values below these, so that comparing with them errs towards keeping."""
    with np.errstate(over="ignore"):
        return np.nextafter(values.astype(np.float32), np.float32(-np.inf))
