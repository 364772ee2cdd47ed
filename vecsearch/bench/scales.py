"""Axes: where a value lies on a line, and the round values that are written beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["linear", "log", "recall"]
_RECALLS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
_LEAST_MISS = 2e-4
_TICKS, _MANY_DECADES = 6, 3
_THOUSAND, _HUNDRED = 1_000, 100


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of values on a line from 0 to 1."""

    kind: Kind
    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value lies; outside of the range at its end."""
        start, end = _bent(self.kind, self.low), _bent(self.kind, self.high)
        return min(1.0, max(0.0, (_bent(self.kind, max(value, self.low)) - start) / (end - start)))


def _bent(kind: Kind, value: float) -> float:
    if kind == "log":
        return math.log10(value)
    if kind == "recall":  # equal steps for equal factors of what is missed; 1 lies at the end, not at infinity
        return -math.log10(1 - value + _LEAST_MISS)
    return value


def scale(kind: Kind, values: Sequence[float]) -> Scale:
    """A scale that holds the values, between round ends.

    Values that a kind cannot show (zero on a logarithm) are not counted: they lie at its end.
    """
    if kind == "recall":
        return _recall(values)
    if kind == "log":
        return _log([value for value in values if value > 0] or [1.0])
    return _linear(max([*values, 0.0]))


def _recall(values: Sequence[float]) -> Scale:
    low = max((tick for tick in _RECALLS[:-2] if tick <= min(values, default=0.0)), default=0.0)
    return Scale("recall", low, 1.0, tuple(tick for tick in _RECALLS if tick >= low))


def _log(values: Sequence[float]) -> Scale:
    steps = [digit * 10.0**power for power in range(-9, 13) for digit in (1, 2, 5)]
    start = max(at for at, step in enumerate(steps) if step <= min(values) * 1.0001 or at == 0)
    end = min(at for at, step in enumerate(steps) if step >= max(values) * 0.9999 or at == len(steps) - 1)
    if start == end:
        start, end = max(0, start - 1), min(len(steps) - 1, end + 1)
    ticks = steps[start : end + 1]
    if len(ticks) > 3 * _MANY_DECADES:
        ticks = [step for step in ticks if str(step).lstrip("0.")[0] == "1" or f"{step:e}"[0] == "1"]
    return Scale("log", steps[start], steps[end], tuple(ticks))


def _linear(most: float) -> Scale:
    most = most if most > 0 else 1.0
    raw = most / (_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= raw * 0.9999)
    count = math.ceil(most / step - 1e-9)
    return Scale("linear", 0.0, count * step, tuple(step * number for number in range(count + 1)))


def number(value: float) -> str:
    """A number as people read it: three figures that count, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= _HUNDRED:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def tick(value: float) -> str:
    """A number beside an axis: as short as it can be."""
    if abs(value) >= _THOUSAND:
        for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= size:
                return f"{value / size:g}{letter}"
    return f"{value:g}"
