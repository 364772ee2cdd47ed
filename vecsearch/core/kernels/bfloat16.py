"""bfloat16 products: the eight significant bits of each number, summed in float32, by the optional numkong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.core.kernels import numkong
from vecsearch.core.kernels.float32 import accumulation_bound

if TYPE_CHECKING:
    from vecsearch.core.metrics import Float32, Float64

_ROUNDOFF = 2.0**-8  # of a number rounded to eight significant bits: |x - x̃| <= 2⁻⁸ |x| in each component
_LEAST_QUERIES = 64  # rounding the rows must pay for itself


class BFloat16Kernel:
    """Rows rounded to bfloat16. Worth it where the processor multiplies whole tiles of them (AMX)."""

    name = "bfloat16"
    dtype = np.float32

    def available(self) -> bool:
        """With numkong, on processors with AMX: elsewhere it is slower than float32."""
        found = numkong.capabilities()
        return bool(found & numkong.AMX) and numkong.keeps_its_word("bfloat16", found)

    def worth(self, queries: int, width: int) -> bool:
        """From a few dozen queries on."""
        del width
        return queries >= _LEAST_QUERIES

    def left(self, rows: Float32) -> Any:
        """The rounded rows, and the number of their columns."""
        return numkong.library().Tensor(rows).astype("bf16"), rows.shape[1]

    def right(self, rows: Float32) -> Any:
        """The rounded rows, packed."""
        library = numkong.library()
        return library.dots_pack(library.Tensor(rows).astype("bf16"), dtype="bf16")

    def unit(self, queries: Any, block: Any) -> float:
        """1: these are inner products."""
        del queries, block
        return 1.0

    def scores(self, queries: Any, block: Any, out: Float32) -> None:
        """The products of the rounded rows into ``out``."""
        numkong.library().dots_packed(queries[0], block, out=numkong.output(out))

    def error(self, queries: Any, block: Any, lengths: Float64 | float, reach: float) -> Float64 | float:
        """The rounding of both sides by Cauchy-Schwarz, and that of the sum."""
        del block
        rounded = (1 + _ROUNDOFF) ** 2
        # The instruction adds products in pairs: at most two operations a column.
        return (rounded - 1 + accumulation_bound(2 * queries[1]) * rounded) * lengths * reach
