"""The optional library numkong: whether it is here, what the processor can do, and whether the library is right."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from vecsearch.core.kernels.float32 import accumulation_bound

AMX = frozenset({"sapphireamx", "graniteamx"})
"""Matrix instructions of Intel Xeon processors from the fourth generation on."""
VNNI = AMX | {"icelake", "genoa", "turin", "alder", "sierra"}
"""The 8-bit dot products of AVX-512 and AVX2."""


@cache
def library() -> Any:
    """The module, or None where it is not installed or cannot be loaded."""
    try:
        import numkong
    except (ImportError, OSError):
        return None
    needed = ("dots_pack", "dots_packed", "get_capabilities", "from_pointer", "Tensor")
    return numkong if all(hasattr(numkong, name) for name in needed) else None


def capabilities() -> frozenset[str]:
    """The instruction sets that are in use, asked anew each time, since they can be disabled."""
    numkong = library()
    return frozenset(name for name, on in numkong.get_capabilities().items() if on) if numkong else frozenset()


def output(array: Any) -> Any:
    """A C-contiguous array as the tensor that numkong insists on writing to; the same memory."""
    return library().from_pointer(array.ctypes.data, array.shape, array.dtype.name, owner=array)


def products(x: Any, blocks: list[Any], out: Any) -> None:
    """The products of int8 rows with packed blocks, each (len(x), width) one after the other in ``out``."""
    numkong, count, address = library(), len(x), out.ctypes.data
    for block in blocks:
        part = numkong.from_pointer(address, (count, block.width), "int32", owner=out)
        numkong.dots_packed(x, block, out=part)
        address += 4 * count * block.width


@cache
def keeps_its_word(dtype: str, instructions: frozenset[str]) -> bool:
    """Whether a small product comes out as the bounds assume: certificates rest on the library's rounding.

    int8 must be exact, bfloat16 must be rounded to nearest (ties to even) and summed in float32.
    """
    del instructions  # a key of the cache: each set of instructions is tried for itself
    numkong = library()
    rng = np.random.default_rng(0)
    if dtype == "int8":
        x, y = rng.integers(-127, 128, (2, 33, 200), dtype=np.int8)
        x[0], y[0] = 127, -127
        scores = np.empty((33, 33), dtype=np.int32)
        numkong.dots_packed(x, numkong.dots_pack(y, dtype="int8"), out=output(scores))
        return np.array_equal(scores, x.astype(np.int32) @ y.astype(np.int32).T)
    x, y = rng.standard_normal((2, 33, 200), dtype=np.float32)
    x[0, :4] = [1 + 2.0**-8, 1 + 3 * 2.0**-8, 2.0**-130, 0.0]
    given = [np.asarray(numkong.Tensor(part).astype("bf16")) for part in (x, y)]
    for part, halves in zip((x, y), given, strict=True):
        bits = part.view(np.uint32)
        nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        if not np.array_equal(halves.view(np.uint16), nearest.astype(np.uint16)):
            return False
    wide = [(halves.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64) for halves in given]
    scores = np.empty((33, 33), dtype=np.float32)
    packed = numkong.dots_pack(numkong.Tensor(y).astype("bf16"), dtype="bf16")
    numkong.dots_packed(numkong.Tensor(x).astype("bf16"), packed, out=output(scores))
    bound = accumulation_bound(400) * np.linalg.norm(wide[0], axis=1)[:, None] * np.linalg.norm(wide[1], axis=1)
    return bool((np.abs(scores - wide[0] @ wide[1].T) <= bound).all())
