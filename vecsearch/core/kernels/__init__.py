"""Kernels: what proposes candidates, with a certified bound on its error.

A kernel scores a tile of queries against a block of rows by approximate inner products. How wrong it may be is its own
business, as long as it says so: candidates carry the bound, and the answer is decided on `pair_distances`. Kernels may
therefore be exchanged, even from tile to tile, without changing a bit of any answer. docs/adr/0008 has the argument.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

from vecsearch.core.kernels.bfloat16 import BFloat16Kernel
from vecsearch.core.kernels.float32 import Float32Kernel
from vecsearch.core.kernels.int8 import Int8Kernel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vecsearch.core.metrics import Float32, Float64

__all__ = ["KERNELS", "Float32Kernel", "Kernel", "KernelName", "kernel_chain", "kernel_name"]

KernelName = Literal["auto", "int8", "bfloat16", "float32"]
VARIABLE = "VECSEARCH_KERNEL"
"""The environment variable that names the kernel of this process, where a call names none."""


class Kernel(Protocol):
    """One way to score tiles. Stateless, so that all threads share it."""

    name: str

    @property
    def dtype(self) -> type[np.generic]:
        """What it writes: float32 scores, or int32 that are scores once multiplied by `unit`."""

    def available(self) -> bool:
        """Whether its library and the processor's instructions are here."""

    def worth(self, queries: int, width: int) -> bool:
        """Whether it is faster than the next kernel for so many queries of this width."""

    def left(self, rows: Float32) -> Any:
        """The form of C-contiguous float32 rows (q, d) that `scores` reads as queries. May be the rows themselves."""

    def right(self, rows: Float32) -> Any:
        """The form of C-contiguous float32 rows (b, d) that `scores` reads as the block. May be the rows themselves."""

    def unit(self, queries: Any, block: Any) -> float:
        """What one of its scores is worth."""

    def scores(self, queries: Any, block: Any, out: NDArray[Any]) -> None:
        """Write the scores of prepared queries and rows to ``out``, C-contiguous (q, b) of `dtype`."""

    def error(self, queries: Any, block: Any, lengths: Float64 | float, reach: float) -> Float64 | float:
        """The certified bound, one or (q,): ``|unit · score - ⟨x,y⟩|`` is at most this, underflow aside.

        Args:
            queries: the prepared queries.
            block: the prepared rows.
            lengths: float64, one or (q,), the lengths of the queries.
            reach: the length of the longest row.

        """


KERNELS: tuple[Kernel, ...] = (Int8Kernel(), BFloat16Kernel(), Float32Kernel())
"""Coarsest and fastest first; the last is always there."""


def kernel_name(name: str | None = None) -> KernelName:
    """The kernel that is asked for.

    Args:
        name: "int8", "bfloat16", "float32" or "auto"; None: what the environment variable ``VECSEARCH_KERNEL`` says,
            else "auto".

    Raises:
        ValueError: there is no such kernel, or it is not available here.

    """
    asked = "kernel=" if name else f"{VARIABLE}="
    name = name or os.environ.get(VARIABLE) or "auto"
    if name not in get_args(KernelName):
        raise ValueError(f"{asked}{name!r}: there are {', '.join(get_args(KernelName))}")
    if name != "auto" and not KERNELS[_place(name)].available():
        raise ValueError(
            f"{asked}{name!r} is not available: it needs pip install 'vecsearch[fast]' and a processor with the "
            "instructions; `vecsearch backends --core` shows what is here"
        )
    return cast("KernelName", name)


def _place(name: str) -> int:
    """The place of a kernel in the order of `KERNELS`; of "auto", the first."""
    return next((place for place, kernel in enumerate(KERNELS) if kernel.name == name), 0)


def kernel_chain(name: str | None = None) -> tuple[Kernel, ...]:
    """The kernels to use, coarsest first: where the bound of one lets too much pass, the next scores the tile again.

    Args:
        name: as in `kernel_name`: this one and the finer ones; "auto": all that are available.

    Raises:
        ValueError: there is no such kernel, or it is not available here.

    """
    return tuple(kernel for kernel in KERNELS[_place(kernel_name(name)) :] if kernel.available())
