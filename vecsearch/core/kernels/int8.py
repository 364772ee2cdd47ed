"""int8 products: whole numbers of one step a block, multiplied exactly, by the optional numkong.

A block has one step, 1/127 of its largest component. How far each row is from its rounded form is *measured*, so the
bound is that of these rows and not of the worst rows there could be: ``|⟨x,y⟩ - ⟨x̃,ỹ⟩| <= ‖x-x̃‖‖y‖ + ‖x̃‖‖y-ỹ‖``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecsearch.core.kernels import numkong
from vecsearch.core.kernels.float32 import accumulation_bound

if TYPE_CHECKING:
    from vecsearch.core.metrics import Float32, Float64, Int8, Int32

_STEPS = 127  # a symmetric range: -128 is not used
_SMALL, _LARGE = 1e-30, 1e30  # peaks between which steps and their inverses are ordinary float32
_CHUNK = 1 << 18  # elements looked at in one step: they stay in L2
_ROUNDING = 2.0**-16  # in steps: scaling a component to at most 127 rounds it by 127 · 2⁻²⁴ or less
_NARROW = 256  # below so many columns VNNI gains nothing on a float32 product of many queries
_WIDEST = 65_536  # more products of 127 · 127 would not fit an int32
_FEW = 32  # so few queries wait for memory, of which int8 needs a quarter


class Codes(NamedTuple):
    """Rows as int8.

    Attributes:
        operand: int8 (n, d), or numkong's packed form of it.
        step: what 1 stands for.
        error: float64 (n,), ``‖row - step · code‖`` or more; infinite where the rows have no such form.

    """

    operand: Any
    step: float
    error: Float64


def step_for(peak: float) -> float:
    """The step of rows whose largest component has this size; zero where they have no such form."""
    return 1.0 / float(np.float32(_STEPS / peak)) if _SMALL < peak < _LARGE else 0.0 if peak else 1.0


def encode(rows: Float32, step: float, codes: Int8) -> Float64:
    """Write rows (n, d) as whole steps to ``codes`` (n, d); returns the error of each, float64 (n,)."""
    width = rows.shape[1]
    if not step or width > _WIDEST:
        codes[:] = 0
        return np.full(len(rows), np.inf)
    errors = np.empty(len(rows))
    chunk = max(1, _CHUNK // width)
    scaled, whole = np.empty((2, min(chunk, len(rows)), width), dtype=np.float32)
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        np.multiply(part, np.float32(1.0 / step), out=scaled[: len(part)])
        np.rint(scaled[: len(part)], out=whole[: len(part)])
        codes[start : start + len(part)] = whole[: len(part)]
        scaled -= whole
        squares = np.einsum("ij,ij->i", scaled[: len(part)], scaled[: len(part)])
        errors[start : start + len(part)] = np.sqrt(squares.astype(np.float64))
    errors *= 1 + accumulation_bound(width + 4)
    errors += _ROUNDING * width**0.5
    errors *= step
    return errors


def packed(codes: Codes) -> Codes:
    """Encoded rows in the form of a block; the error is that of the worst of them."""
    rows = numkong.library().dots_pack(codes.operand, dtype="int8")
    return Codes(rows, codes.step, codes.error.max(initial=0.0, keepdims=True))


class Int8Kernel:
    """Rows rounded to int8, one step a block."""

    name = "int8"
    dtype = np.int32

    def available(self) -> bool:
        """With numkong, on processors with 8-bit dot products."""
        found = numkong.capabilities()
        return bool(found & numkong.VNNI) and numkong.keeps_its_word("int8", found)

    def worth(self, queries: int, width: int) -> bool:
        """Always with AMX; with VNNI alone for few queries and for wide rows."""
        return queries <= _FEW or width >= _NARROW or bool(numkong.capabilities() & numkong.AMX)

    def left(self, rows: Float32) -> Codes:
        """The rounded rows."""
        codes = np.empty(rows.shape, dtype=np.int8)
        step = step_for(np.abs(rows).max(initial=0))
        return Codes(codes, step or 1.0, encode(rows, step, codes))

    def right(self, rows: Float32) -> Codes:
        """The rounded rows, packed; the error is that of the worst of them."""
        return packed(self.left(rows))

    def unit(self, queries: Codes, block: Codes) -> float:
        """The product of the steps."""
        return queries.step * block.step

    def scores(self, queries: Codes, block: Codes, out: Int32) -> None:
        """The exact products of the codes into ``out``."""
        numkong.library().dots_packed(queries.operand, block.operand, out=numkong.output(out))

    def error(self, queries: Codes, block: Codes, lengths: Float64 | float, reach: float) -> Float64 | float:
        """Cauchy-Schwarz, with the measured errors."""
        worst = float(block.error[0])
        bound: Float64 = queries.error * reach + (lengths + queries.error) * worst
        return bound
