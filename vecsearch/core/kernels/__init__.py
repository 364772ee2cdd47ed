"""Kernels: what proposes candidates, with a certified bound on its error.

A kernel scores a tile of queries against a tile of rows by approximate inner products. How wrong it may be is its own
business, as long as it says so: candidates carry the bound, and the answer is decided on `pair_distances`. Kernels may
therefore be exchanged without changing a bit of any answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vecsearch.core.kernels.float32 import Float32Kernel

if TYPE_CHECKING:
    from vecsearch.core.metrics import Float32, Float64

__all__ = ["Float32Kernel", "Kernel", "default_kernel"]


class Kernel(Protocol):
    """One way to score tiles. Stateless, so that all threads share it."""

    name: str

    def available(self) -> bool:
        """Whether its library and the processor's instructions are here."""

    def prepare(self, rows: Float32) -> Any:
        """The form of C-contiguous float32 rows (b, d) that `scores` reads. May be the rows themselves."""

    def scores(self, queries: Any, block: Any, out: Float32) -> None:
        """Write approximate inner products of prepared queries and rows to ``out``, C-contiguous (q, b)."""

    def error(self, queries: Any, block: Any) -> Float64 | float:
        """The certified bound r, one or (q,): ``|score - ⟨x,y⟩| <= r ‖x‖ ‖y‖`` for the tile, underflow aside."""


def default_kernel() -> Kernel:
    """The fastest kernel that is available here."""
    return Float32Kernel()
