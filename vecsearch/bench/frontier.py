"""What a backend reaches at a given recall, from what was measured of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

S = TypeVar("S")
_SAME = 1e-9


class Spot(NamedTuple, Generic[S]):
    """One measured configuration: its recall, what it cost or gave, and where that comes from."""

    recall: float
    value: float
    source: S


class Reached(NamedTuple, Generic[S]):
    """A value at a recall: measured at ``above``, or between ``below`` and ``above``."""

    value: float
    below: Spot[S] | None
    above: Spot[S]


def frontier(spots: Iterable[Spot[S]], *, larger: bool) -> list[Spot[S]]:
    """The spots that no other spot beats in both recall and value, by rising recall.

    ``larger``: more is better (queries a second); otherwise less is (a latency).
    """
    sign = 1.0 if larger else -1.0
    kept: list[Spot[S]] = []
    for spot in sorted(spots, key=lambda one: (-one.recall, -sign * one.value)):
        if not kept or sign * spot.value > sign * kept[-1].value:
            kept.append(spot)
    return kept[::-1]


def at(front: Sequence[Spot[S]], recall: float) -> Reached[S] | None:
    """The value of a frontier at a recall, or ``None`` where the recall was not reached.

    Between two neighbours the logarithm of the value is linear in the recall. Outside of what was measured nothing is
    made up: below the lowest recall it is the value of that spot, which has at least the recall that is asked for.
    """
    if not front or front[-1].recall < recall - _SAME:
        return None
    number = next(at for at, spot in enumerate(front) if spot.recall >= recall - _SAME)
    above = front[number]
    if number == 0 or above.recall <= recall + _SAME:
        return Reached(above.value, None, above)
    below = front[number - 1]
    share = (recall - below.recall) / (above.recall - below.recall)
    between = math.exp((1 - share) * math.log(below.value) + share * math.log(above.value))
    return Reached(between, below, above)
