"""Python threads over tiles, each with a BLAS of one thread.

numpy releases the interpreter lock in products, comparisons and copies, so threads over tiles keep every core busy
through selection as well; threads inside BLAS would leave all but one idle there.
"""

from __future__ import annotations

import os
from collections.abc import Callable

Progress = Callable[[int, int], None]


def usable_cores() -> int:
    """The number of cores this process may run on."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)
