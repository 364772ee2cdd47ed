"""What the search for duplicates and for unique rows returns: frozen values that name rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import checks
from vecsearch.errors import MissingIdsError
from vecsearch.near import NO_THRESH
from vecsearch.results import html_table, object_array, pandas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from vecsearch.core import Metric

_SHOWN = 20


@dataclass(frozen=True, eq=False, repr=False)
class Duplicates:
    """Near-duplicates: the rows that are kept, and those that lie near one of them. ``len`` is how many are dropped.

    No two kept rows are within ``thresh`` of each other; every duplicate is within ``thresh`` of its nearest kept row.
    Ids are in the order of the walk that chose them: ascending, or by ``priority``. Distances are in the unit of
    ``metric``. Ids are strings; for a table with ids of another type use ``keep_mask``.
    """

    unique_ids: NDArray[np.object_]
    """The rows to keep: str, shape (kept,)"""
    duplicate_ids: NDArray[np.object_]
    """The rows to drop: str, shape (duplicates,)"""
    nearest_ids: NDArray[np.object_]
    """The nearest kept row of each duplicate: str, shape (duplicates,)"""
    distances: NDArray[np.float64]
    """Its distance: shape (duplicates,)"""
    thresh: float
    """Rows at most this far from a kept row are duplicates; -1 if ``fraction`` was asked for and rows that are copies
    of each other alone exceed it, so that none was dropped"""
    fraction: float
    """The share of all rows that are duplicates"""
    metric: Metric

    @cached_property
    def neighbors_map(self) -> dict[str, list[tuple[str, float]]]:
        """``{kept id: [(duplicate id, distance), …]}``, nearest first, then by id; only kept rows with duplicates."""
        found: dict[str, list[tuple[str, float]]] = {}
        for row, nearest, distance in zip(self.duplicate_ids, self.nearest_ids, self.distances.tolist(), strict=True):
            found.setdefault(nearest, []).append((row, distance))
        for group in found.values():
            group.sort(key=lambda pair: (pair[1], pair[0]))
        return {row: found[row] for row in self.unique_ids if row in found}

    def keep_mask(self, ids: Iterable[Any]) -> NDArray[np.bool_]:
        """Which of ``ids`` to keep, for the user's own table: ``table[duplicates.keep_mask(table["id"])]``.

        Takes ids as the user has them, also ints and UUIDs; bool, shape (len(ids),). Raises ``MissingIdsError`` for an
        id that was not looked at.
        """
        return _mask(ids, self._kept)

    @cached_property
    def _kept(self) -> dict[str, bool]:
        return dict.fromkeys(self.unique_ids, True) | dict.fromkeys(self.duplicate_ids, False)

    def to_columns(self) -> dict[str, list[Any]]:
        """Plain columns id, nearest_id, distance: a row per duplicate, for any table library."""
        return {
            "id": self.duplicate_ids.tolist(),
            "nearest_id": self.nearest_ids.tolist(),
            "distance": self.distances.tolist(),
        }

    def to_pandas(self) -> pd.DataFrame:
        """A row per duplicate: id, nearest_id, distance."""
        frame: pd.DataFrame = pandas().DataFrame(self.to_columns())
        return frame

    def plot(
        self, images: Any = None, *, ids: Sequence[Any] | None = None, path: str | Path | None = None, rows: int = 10
    ) -> Any:
        """A figure: kept images, each with its duplicates; without ``images`` a histogram. See ``plot_duplicates``."""
        from vecsearch import plots

        return plots.plot_duplicates(self, images, ids=ids, path=path, rows=rows)

    def __len__(self) -> int:
        return len(self.duplicate_ids)

    def __bool__(self) -> bool:
        return True  # finding none is an answer

    def __repr__(self) -> str:
        total = len(self.unique_ids) + len(self)
        if self.thresh == NO_THRESH:
            within = "the fraction asked for is less than the share of exact copies"
        else:
            within = f"within {self.metric} {self.thresh:.4g}"
        return f"Duplicates({len(self)} of {total} rows, {self.fraction:.2%}, {within})"

    def _repr_html_(self) -> str:
        columns = zip(self.duplicate_ids[:_SHOWN], self.nearest_ids[:_SHOWN], self.distances[:_SHOWN], strict=True)
        return html_table(
            [{"id": row, "nearest kept": nearest, "distance": f"{distance:.4f}"} for row, nearest, distance in columns],
            caption=repr(self),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Unique:
    """The rows chosen to lie far from each other, in the order they were chosen; ``len`` is how many.

    Every prefix of ``unique_ids`` is the answer to a smaller count.
    """

    unique_ids: NDArray[np.object_]
    """str, shape (count,)"""
    gaps: NDArray[np.float64]
    """How far each row was from the nearest row chosen before it; the first is at infinity. Never ascends."""
    thresh: float
    """The least gap: any two chosen rows are at least this far apart; infinity for fewer than two"""
    metric: Metric
    other_ids: NDArray[np.object_] = field(default_factory=lambda: object_array([]))
    """The rows that were not chosen, ascending: str"""

    def keep_mask(self, ids: Iterable[Any]) -> NDArray[np.bool_]:
        """Which of ``ids`` were chosen: bool, shape (len(ids),). Takes ints and UUIDs too.

        Raises ``MissingIdsError`` for an id that was not looked at.
        """
        return _mask(ids, self._kept)

    @cached_property
    def _kept(self) -> dict[str, bool]:
        return dict.fromkeys(self.unique_ids, True) | dict.fromkeys(self.other_ids, False)

    def to_columns(self) -> dict[str, list[Any]]:
        """Plain columns id, gap: a row per chosen row, for any table library."""
        return {"id": self.unique_ids.tolist(), "gap": self.gaps.tolist()}

    def to_pandas(self) -> pd.DataFrame:
        """A row per chosen row: id, gap."""
        frame: pd.DataFrame = pandas().DataFrame(self.to_columns())
        return frame

    def plot(
        self, images: Any = None, *, ids: Sequence[Any] | None = None, path: str | Path | None = None, count: int = 40
    ) -> Any:
        """A figure: the first images chosen; without ``images`` the gap against the count. See ``plot_unique``."""
        from vecsearch import plots

        return plots.plot_unique(self, images, ids=ids, path=path, count=count)

    def __len__(self) -> int:
        return len(self.unique_ids)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        total = len(self) + len(self.other_ids)
        apart = f", at least {self.metric} {self.thresh:.4g} apart" if len(self) > 1 else ""
        return f"Unique({len(self)} of {total} rows{apart})"

    def _repr_html_(self) -> str:
        rows = zip(self.unique_ids[:_SHOWN], self.gaps[:_SHOWN], strict=True)
        return html_table([{"id": row, "gap": f"{gap:.4f}"} for row, gap in rows], caption=repr(self))


@dataclass(frozen=True, eq=False, repr=False)
class ExactDuplicates:
    """Items of equal content: ``groups`` maps the first of each to its copies. ``len`` is how many copies there are."""

    unique_ids: NDArray[np.object_]
    """The first of each content, in the order of the input: str"""
    groups: Mapping[str, list[str]]
    """``{first id: [ids of its copies]}`` in the order of the input; only contents that occur more than once"""
    failures: Mapping[str, str]
    """``{id: reason}`` of the items that could not be read: they are neither kept nor dropped on evidence"""

    @property
    def duplicate_ids(self) -> NDArray[np.object_]:
        """The copies, group by group: str."""
        return object_array([row for group in self.groups.values() for row in group])

    def keep_mask(self, ids: Iterable[Any]) -> NDArray[np.bool_]:
        """Which of ``ids`` to keep: bool, shape (len(ids),). What could not be read is kept.

        Raises ``MissingIdsError`` for an id that was not looked at.
        """
        return _mask(ids, self._kept)

    @cached_property
    def _kept(self) -> dict[str, bool]:
        kept = dict.fromkeys(self.unique_ids, True) | dict.fromkeys(self.failures, True)
        return kept | dict.fromkeys(self.duplicate_ids, False)

    def to_columns(self) -> dict[str, list[Any]]:
        """Plain columns id, first_id: a row per copy, for any table library."""
        pairs = [(row, first) for first, group in self.groups.items() for row in group]
        return {"id": [row for row, _ in pairs], "first_id": [first for _, first in pairs]}

    def to_pandas(self) -> pd.DataFrame:
        """A row per copy: id, first_id."""
        frame: pd.DataFrame = pandas().DataFrame(self.to_columns())
        return frame

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        unread = f", {len(self.failures)} could not be read" if self.failures else ""
        total = len(self.unique_ids) + len(self) + len(self.failures)
        return f"ExactDuplicates({len(self)} copies among {total} items{unread})"

    def _repr_html_(self) -> str:
        columns = self.to_columns()
        rows = zip(columns["id"][:_SHOWN], columns["first_id"][:_SHOWN], strict=True)
        return html_table([{"id": row, "copy of": first} for row, first in rows], caption=repr(self))


def _mask(ids: Iterable[Any], kept: dict[str, bool]) -> NDArray[np.bool_]:
    names = checks.ids(ids, "ids", unique=False)
    unknown = [name for name in dict.fromkeys(names) if name not in kept]
    if unknown:
        raise MissingIdsError(f"not among the rows that were looked at: {unknown[:5]!r}", unknown)
    return np.array([kept[name] for name in names], dtype=np.bool_)
