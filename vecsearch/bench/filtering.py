"""Filters of known pass rate that follow the vectors, ignore them, or oppose them, for any data set.

Whether a filter keeps a query's neighbours or its far side decides how an index copes with it, more than the share of
rows that it keeps. So rows get labels: cells of rows near one another, and as many at random. A query asks for its own
cell ("topic"), for a random label ("random"), or for the cell farthest from it ("anti").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from vecsearch import core
from vecsearch.bench import datasets
from vecsearch.bench.truth import truth
from vecsearch.errors import InvalidInputError
from vecsearch.filters import F

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.bench.datasets import Dataset
    from vecsearch.filters import Filter

Correlation = Literal["topic", "random", "anti"]
CORRELATIONS: tuple[Correlation, ...] = get_args(Correlation)
PASS_RATES = (0.01, 0.1, 0.5, 0.9, 0.99)
_PARTS = {0.01: 100, 0.1: 10, 0.5: 2, 0.9: 10, 0.99: 100}
_NEIGHBOURS = 100  # in which the lift is counted


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """One filter a query, of one pass rate and correlation."""

    correlation: Correlation
    pass_rate: float
    """Measured: the mean over the queries of the share of rows that pass"""
    lift: float
    """How much more often the 100 nearest rows of a query pass than all rows do, the mean over queries: above 1 the
    filter follows the vectors, below 1 it opposes them"""
    filters: tuple[Filter, ...]
    positions: tuple[NDArray[np.int64], ...]
    """The rows that pass, for each query, as `truth.truth` and `measures.recall` take them"""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A data set with the labels in its metadata, and what each query asks for."""

    dataset: Dataset
    own: dict[int, NDArray[np.int64]]
    far: dict[int, NDArray[np.int64]]
    drawn: dict[int, NDArray[np.int64]]

    def filtered(self, pass_rate: float, correlation: Correlation, *, home: Path | None = None) -> Filtered:
        """The filters of one kind.

        Args:
            pass_rate: 0.01, 0.1, 0.5, 0.9 or 0.99; from 0.9 on they exclude a label.
            correlation: "topic", "random" or "anti".
            home: as for `truth.truth`.

        """
        if pass_rate not in _PARTS or correlation not in CORRELATIONS:
            raise InvalidInputError(
                f"pass rates are {', '.join(map(str, PASS_RATES))} and correlations {', '.join(CORRELATIONS)}, "
                f"not {pass_rate} and {correlation!r}"
            )
        parts, excluded = _PARTS[pass_rate], pass_rate > 0.5  # noqa: PLR2004  the complement of a rarer label
        near, far = (self.far, self.own) if excluded else (self.own, self.far)
        wanted = {"topic": near, "anti": far, "random": self.drawn}[correlation][parts]
        name = _field(parts, by_chance=correlation == "random")
        labels = np.array([row[name] for row in self.dataset.metadata or ()])
        passing = [np.flatnonzero((labels == label) != excluded) for label in range(parts)]
        field = F(name)
        tests = [field != label if excluded else field == label for label in range(parts)]
        positions = tuple(passing[label] for label in wanted)
        rate = float(np.mean([len(rows) for rows in positions]) / len(labels))
        nearest = truth(self.dataset, _NEIGHBOURS, home=home).positions
        shares = ((labels[nearest] == wanted[:, None]) != excluded).mean(axis=1)
        return Filtered(correlation, rate, float(shares.mean() / rate), tuple(tests[at] for at in wanted), positions)


def label(dataset: Dataset, *, seed: int = 0) -> Labelled:
    """The data set with labels beside its own metadata: ``bench_near_<parts>`` and ``bench_any_<parts>``.

    Cells have equal numbers of rows about centres drawn from the rows. All distances are of the exact core, so every
    process finds the same labels.

    Raises:
        InvalidInputError: fewer than 200 rows, or metadata that has these names already.

    """
    if len(dataset.vectors) < 2 * max(_PARTS.values()):
        raise InvalidInputError(f"{dataset.name}: {len(dataset.vectors)} rows are too few for a pass rate of 1 %")
    rows = [dict(row) for row in dataset.metadata or [{} for _ in range(len(dataset.vectors))]]
    rng = np.random.default_rng(seed)
    own, far, drawn = {}, {}, {}
    for parts in sorted(set(_PARTS.values())):
        centres = dataset.vectors[np.sort(rng.permutation(len(rows))[:parts])]
        cells = _cells(core.cross_distances(centres, dataset.vectors, dataset.metric).T)
        chance = rng.permutation(np.arange(len(rows)) % parts)
        for name, labels in ((_field(parts, by_chance=False), cells), (_field(parts, by_chance=True), chance)):
            if any(name in row for row in rows):
                raise InvalidInputError(f"{dataset.name}: its metadata have a field {name} already")
            for row, value in zip(rows, labels.tolist(), strict=True):
                row[name] = value
        away = core.cross_distances(dataset.queries, centres, dataset.metric)
        own[parts], far[parts] = away.argmin(axis=1), away.argmax(axis=1)
        drawn[parts] = rng.integers(0, parts, len(dataset.queries))
    labelled = datasets.make(dataset.name, dataset.vectors, dataset.queries, dataset.metric, rows)
    return Labelled(labelled, own, far, drawn)


def _field(parts: int, *, by_chance: bool) -> str:
    return f"bench_{'any' if by_chance else 'near'}_{parts}"


def _cells(distances: NDArray[np.float64]) -> NDArray[np.int64]:
    """A centre for each row (n, parts), each centre with as many rows as the others, give or take one.

    In rounds: rows that have no centre ask the nearest that has room, which takes the nearest of them.
    """
    count, parts = distances.shape
    cells = np.full(count, -1, dtype=np.int64)
    room = np.full(parts, count // parts)
    room[: count % parts] += 1
    open_distances = distances.copy()
    while (waiting := np.flatnonzero(cells < 0)).size:
        open_distances[:, room == 0] = np.inf
        asked = open_distances[waiting].argmin(axis=1)
        for centre in np.unique(asked):
            asking = waiting[asked == centre]
            taken = asking[np.argsort(distances[asking, centre], kind="stable")[: room[centre]]]
            cells[taken] = centre
            room[centre] -= len(taken)
    return cells
