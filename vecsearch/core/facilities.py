"""What the core computes with on this machine."""

from __future__ import annotations

from importlib import metadata
from typing import NamedTuple

from vecsearch.core.kernels import KERNELS, kernel_chain, numkong
from vecsearch.core.threads import usable_cores


class Facilities(NamedTuple):
    """What is here, and what is used of it.

    Attributes:
        kernels: the kernels in use, coarsest first, as ``VECSEARCH_KERNEL`` decides.
        available: all that would run here.
        numkong: the version of the optional library; None where it is not installed.
        instructions: the processor's instruction sets that it uses.
        threads: of a call that names no number.

    """

    kernels: tuple[str, ...]
    available: tuple[str, ...]
    numkong: str | None
    instructions: tuple[str, ...]
    threads: int

    @classmethod
    def here(cls) -> Facilities:
        """Ask the machine.

        Raises:
            ValueError: an environment variable names a kernel that is not here, or no number of threads.

        """
        return cls(
            tuple(kernel.name for kernel in kernel_chain()),
            tuple(kernel.name for kernel in KERNELS if kernel.available()),
            metadata.version("numkong") if numkong.library() else None,
            tuple(sorted(numkong.capabilities() - {"serial"})),
            usable_cores(),
        )
