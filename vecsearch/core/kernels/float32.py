"""The kernel that is always there: numpy's float32 matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vecsearch.core.metrics import Float32, Float64

_UNIT_ROUNDOFF = 2.0**-24
_FEW = 48  # with fewer queries OpenBLAS is a third faster when the rows are the left factor


def accumulation_bound(terms: int) -> float:
    """``m u / (1 - m u)``: the relative error of ``m`` float32 operations chained in any order.

    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. 2002, §3.1: it holds for an inner product of ``m``
    terms however the BLAS orders the sum, with or without fused multiply-add. Infinite where the bound says nothing.
    """
    share = terms * _UNIT_ROUNDOFF
    return share / (1 - share) if share < 1 else float("inf")


class Float32Kernel:
    """One sgemm a tile."""

    name = "float32"
    dtype = np.float32

    def available(self) -> bool:
        """True: it needs numpy alone."""
        return True

    def worth(self, queries: int, width: int) -> bool:
        """True: there is nothing after it."""
        del queries, width
        return True

    def left(self, rows: Float32) -> Float32:
        """The rows themselves."""
        return rows

    right = left

    def unit(self, queries: Float32, block: Float32) -> float:
        """1: these are inner products."""
        del queries, block
        return 1.0

    def scores(self, queries: Float32, block: Float32, out: Float32) -> None:
        """``queries @ block.T`` into ``out``."""
        with np.errstate(over="ignore", invalid="ignore"):
            if len(queries) == 1:
                np.matmul(block, queries[0], out=out[0])  # sgemv on the rows as they lie
            elif len(queries) < _FEW:
                np.copyto(out, np.matmul(block, queries.T).T)
            else:
                np.matmul(queries, block.T, out=out)

    def error(self, queries: Float32, block: Float32, lengths: Float64 | float, reach: float) -> Float64 | float:
        """The bound of d operations."""
        del block
        return accumulation_bound(queries.shape[1]) * lengths * reach
