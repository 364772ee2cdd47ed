"""Figures: distances, duplicates, unique rows, neighbours. Needs matplotlib: ``pip install 'vecsearch[plot]'``.

Figures are made without pyplot: there is no global state, nothing to close, and no display is needed. Each function
returns a matplotlib ``Figure``, which a notebook shows by itself; ``path=`` also writes it to a file.
"""

from __future__ import annotations

import io
import textwrap
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from vecsearch import checks
from vecsearch.distances import nearest_distances
from vecsearch.errors import InvalidInputError, MissingDependencyError, UnsupportedError
from vecsearch.images import by_id, pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vecsearch.core import Metric
    from vecsearch.results import Neighbors, Ranking
    from vecsearch.selections import Duplicates, Unique
    from vecsearch.spool import Source

_INK, _SOFT, _LINE = "#333333", "#767676", "#dddddd"
_ACCENT, _BAR, _SIGNAL = "#4477aa", "#9dbbd8", "#cc5522"  # blue and orange: apart for every kind of colour vision
_DPI = 150
_TILE, _CAPTION, _GAP, _MARGIN, _HEAD = 1.0, 0.34, 0.1, 0.2, 0.62  # inches
_NARROWEST = 4.6
_COLUMNS, _ANSWERS = 8, 10  # tiles in a line, of groups and of neighbours
_SMALL = 64  # images of fewer pixels on a side are shown pixel by pixel
_NAME = 16  # characters of an id in a caption
_SAMPLE = 20_000


def plot_distances(
    source: Source,
    metric: Metric | None = None,
    bins: int = 100,
    *,
    thresh: float | None = None,
    sample: int | None = _SAMPLE,
    path: str | Path | None = None,
    progress: bool | Callable[[int, int | None], None] | None = None,
) -> Figure:
    """A histogram of each row's distance to its nearest other row, to choose a ``thresh`` by.

    Near-duplicates are the hump or the tail at the left; a good ``thresh`` lies in the valley after it. The curve is
    the share of rows that have another row that near; duplicates are fewer, since one of each group is kept.

    Args:
        source: an index, a view, or anything that ``find_duplicates`` takes.
        metric: another metric than the index's; needed where that is dotproduct.
        bins: number of bars.
        thresh: draws a line there.
        sample: look at this many rows at most, spread evenly over the ids; each is compared with all rows. ``None``
            looks at every row.
        path: also write the figure to this file, as PNG if it ends so.
        progress: a bar, ``False`` for none, or a callable ``(done, total)``.

    Raises ``UnsupportedError`` for dotproduct, ``MissingDependencyError`` without matplotlib, else as
    ``find_duplicates``.

    """
    bins = checks.positive(bins, "bins")
    figure = _figure(6.4, 3.8)
    _, distances, total = nearest_distances(source, metric=metric, sample=sample, progress=progress)
    chosen = metric or source.metric
    axes = _axes(figure, f"{chosen} distance to the nearest other row", "rows")
    if len(distances):
        axes.hist(distances, bins=bins, color=_BAR)
        axes.locator_params(axis="y", integer=True)
        curve = axes.twinx()
        _bare(curve)
        curve.spines["right"].set_visible(True)
        curve.plot(np.sort(distances), np.arange(1, len(distances) + 1) / len(distances) * 100, color=_INK, lw=1)
        curve.set_ylim(0, 103)
        curve.set_ylabel("% of rows with one that near", color=_INK, fontsize=9)
        counted = f"{total:,} rows" if len(distances) == total else f"{len(distances):,} of {total:,} rows"
        _heading(axes, f"{counted}; median {np.median(distances):.3g}, 1 % below {np.quantile(distances, 0.01):.3g}")
    else:
        _notice(axes, "fewer than two rows: there are no distances")
    if thresh is not None:
        _mark(axes, thresh)
    return _saved(figure, path)


def plot_duplicates(
    duplicates: Duplicates,
    images: Any = None,
    *,
    ids: Sequence[Any] | None = None,
    path: str | Path | None = None,
    rows: int = 10,
    sort_by: Literal["count", "distance"] = "count",
) -> Figure:
    """A grid: a kept image in each row, followed by its duplicates and their distances, nearest first.

    Args:
        duplicates: what ``find_duplicates`` returned.
        images: a mapping ``{id: image}``, a function of the id, a list aligned with ``ids``, or, where ids are paths, a
            list of these. An image is an array, a path, encoded bytes, or a PIL image. Without ``images``, the figure
            is a histogram of the duplicates' distances.
        ids: the ids of a list of images.
        path: also write the figure to this file, as PNG if it ends so.
        rows: groups shown at most.
        sort_by: ``"count"`` shows the largest groups first, ``"distance"`` those with the most doubtful member.

    Raises ``MissingIdsError`` for rows without an image, ``MissingDependencyError`` without matplotlib. An image that
    cannot be read leaves a note in its place.

    """
    rows = checks.positive(rows, "rows")
    if sort_by not in ("count", "distance"):
        raise InvalidInputError(f"sort_by must be 'count' or 'distance', not {sort_by!r}")
    title = repr(duplicates).removeprefix("Duplicates(").removesuffix(")")
    if images is None or not len(duplicates):
        return _saved(_distance_histogram(duplicates, title), path)
    groups = list(duplicates.neighbors_map.items())
    if sort_by == "count":
        groups.sort(key=lambda group: (-len(group[1]), group[0]))
    else:
        groups.sort(key=lambda group: (-group[1][-1][1], group[0]))
    hidden = len(groups) - rows
    # The most doubtful are the last of a long group: all but the last tile show the nearest, the last the farthest.
    shown = [(kept, _abridged(group)) for kept, group in groups[:rows]]
    found = by_id(images, [name for kept, group in shown for name in (kept, *(pair[0] for pair in group))], ids)
    lines = []
    for (kept, group), (_, whole) in zip(shown, groups, strict=False):
        skipped = len(whole) - len(group)
        tiles = [_Tile(found[kept], f"kept\n{_short(kept)}", accent=True)]
        tiles += [_Tile(found[name], f"{distance:.4f}\n{_short(name)}") for name, distance in group]
        if skipped:
            tiles[-1] = tiles[-1]._replace(before=f"{skipped:,} more")
        lines.append(tiles)
    more = f"; {hidden:,} more groups" if hidden > 0 else ""
    return _saved(_grid(lines, f"{title}\nkept images framed, then their duplicates with the distance{more}"), path)


def plot_unique(
    unique: Unique,
    images: Any = None,
    *,
    ids: Sequence[Any] | None = None,
    path: str | Path | None = None,
    count: int = 40,
) -> Figure:
    """The first images chosen, in that order, with how far each is from those before it.

    Without ``images``, the gap of each row against its number: where the curve flattens, more rows add little. The
    arguments are as for ``plot_duplicates``; ``count`` is the most images shown.
    """
    count = checks.positive(count, "count")
    title = repr(unique).removeprefix("Unique(").removesuffix(")")
    if images is None or not len(unique):
        figure = _figure(6.4, 3.8)
        axes = _axes(figure, "rows chosen", f"{unique.metric} distance to those before")
        if len(unique) > 1:
            axes.plot(np.arange(2, len(unique) + 1), unique.gaps[1:], color=_ACCENT, lw=1.5, marker=".", ms=3)
            axes.set_ylim(bottom=0)
            axes.set_xlim(left=1)
            axes.locator_params(axis="x", integer=True)
        else:
            _notice(axes, "fewer than two rows were chosen: there are no gaps")
        _heading(axes, title)
        return _saved(figure, path)
    names = unique.unique_ids[:count].tolist()
    found = by_id(images, names, ids)
    tiles = [
        _Tile(found[name], f"{f'{gap:.4f}' if np.isfinite(gap) else 'first'}\n{_short(name)}")
        for name, gap in zip(names, unique.gaps.tolist(), strict=False)
    ]
    lines = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    head = f"{title}\nin the order chosen, with the distance to those before"
    return _saved(_grid(lines, head), path)


def plot_neighbors(
    query_image: Any,
    ranking: Ranking | Neighbors,
    images: Any,
    *,
    ids: Sequence[Any] | None = None,
    titles: Mapping[str, str] | None = None,
    path: str | Path | None = None,
    rows: int = 10,
) -> Figure:
    """A query and the images nearest to it, ten at most, with their distances; for several queries a row each.

    Args:
        query_image: the image of the query (``None`` for a text or a vector); for ``Neighbors``, a list of them.
        ranking: what ``sort_by_similarity`` returned, or ``search``.
        images: as for ``plot_duplicates``.
        ids: the ids of a list of images.
        titles: ``{id: text}``, shown in place of the id.
        path: also write the figure to this file, as PNG if it ends so.
        rows: queries shown at most.

    Raises ``MissingIdsError`` for rows without an image, ``MissingDependencyError`` without matplotlib.

    """
    rows = checks.positive(rows, "rows")
    rankings: list[Any] = [ranking] if hasattr(ranking, "query_kind") else list(ranking)
    queries = [query_image] if hasattr(ranking, "query_kind") else list(query_image)
    checks.same_length(len(rankings), len(queries), "query images", "rankings")
    named = {str(name): text for name, text in (titles or {}).items()}
    answers = [list(zip(one.ids.tolist(), one.distances.tolist(), strict=True))[:_ANSWERS] for one in rankings[:rows]]
    found = by_id(images, list(dict.fromkeys(name for answer in answers for name, _ in answer)), ids)
    lines = []
    for query, answer in zip(queries, answers, strict=False):
        tiles = [] if query is None else [_Tile(query, "query", accent=True)]
        tiles += [_Tile(found[name], f"{distance:.4f}\n{_short(named.get(name, name))}") for name, distance in answer]
        lines.append(tiles)
    exact = "exact" if all(one.exact for one in rankings) else "approximate"
    return _saved(_grid(lines, f"nearest first, with the distance ({exact})"), path)


class _Tile(NamedTuple):
    image: Any
    caption: str
    accent: bool = False
    before: str = ""
    """Written in the place before the tile, which it takes."""


def _abridged(group: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """As many duplicates as a line holds: all, or the nearest and the farthest."""
    room = _COLUMNS - 1
    return group if len(group) <= room else [*group[: room - 2], group[-1]]


def _grid(lines: Sequence[Sequence[_Tile]], title: str) -> Figure:
    columns = max((sum(2 if tile.before else 1 for tile in line) for line in lines), default=1)
    width = max(_NARROWEST, 2 * _MARGIN + columns * (_TILE + _GAP) - _GAP)
    height = _HEAD + len(lines) * (_TILE + _CAPTION + _GAP) + _MARGIN
    figure = _figure(width, height)
    head, _, rest = title.partition("\n")
    for text, top, size, colour in ((head, 0.12, 9, _INK), (rest, 0.3, 7.5, _SOFT)):
        wrapped = textwrap.shorten(text, int(width * 17)) if text else ""
        place = (_MARGIN / width, 1 - top / height)
        figure.text(*place, wrapped, fontsize=size, color=colour, va="top", parse_math=False)
    for line_number, line in enumerate(lines):
        bottom = height - _HEAD - line_number * (_TILE + _CAPTION + _GAP) - _TILE
        column = 0
        for tile in line:
            if tile.before:
                left, column = _MARGIN + column * (_TILE + _GAP), column + 1
                place = ((left + _TILE / 2) / width, (bottom + _TILE / 2) / height)
                figure.text(*place, tile.before, fontsize=8, color=_SOFT, ha="center", va="center")
            left, column = _MARGIN + column * (_TILE + _GAP), column + 1
            axes = figure.add_axes((left / width, bottom / height, _TILE / width, _TILE / height))
            axes.set_xticks([])
            axes.set_yticks([])
            _draw(axes, tile)
    return figure


def _draw(axes: Axes, tile: _Tile) -> None:
    array = pixels(tile.image)
    if array is None:
        axes.text(0.5, 0.5, "cannot\nbe read", fontsize=7, color=_SOFT, ha="center", va="center")
    else:
        most = 255 if array.dtype == np.uint8 else 1 if array.dtype == np.bool_ else None
        axes.imshow(
            array,
            cmap="gray",
            vmin=None if most is None else 0,
            vmax=most,
            interpolation="nearest" if max(array.shape[:2]) < _SMALL else "antialiased",
        )
        axes.set_anchor("S")
    for spine in axes.spines.values():
        spine.set_edgecolor(_ACCENT if tile.accent else _LINE)
        spine.set_linewidth(2.5 if tile.accent else 0.8)
    axes.annotate(
        tile.caption,
        (0.5, 0),
        xytext=(0, -4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=7,
        color=_ACCENT if tile.accent else _INK,
        ha="center",
        va="top",
        parse_math=False,
        annotation_clip=False,
    )


def _distance_histogram(duplicates: Duplicates, title: str) -> Figure:
    figure = _figure(6.4, 3.8)
    axes = _axes(figure, f"{duplicates.metric} distance to the nearest kept row", "duplicates")
    if len(duplicates):
        axes.hist(duplicates.distances, bins=min(100, 10 + len(duplicates) // 10), color=_BAR)
        axes.locator_params(axis="y", integer=True)
        _mark(axes, duplicates.thresh)
    else:
        _notice(axes, "no row is a duplicate")
    _heading(axes, title)
    return figure


def _figure(width: float, height: float) -> Figure:
    return _figure_class()(figsize=(width, height), dpi=_DPI, facecolor="white")


@cache
def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDependencyError("figures need matplotlib: pip install 'vecsearch[plot]'") from error

    class Picture(Figure):
        """A figure that a notebook shows by itself, though pyplot does not know it."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

        def show(self, warn: bool = True) -> None:
            """Show the figure in a notebook."""
            del warn
            try:
                display = get_ipython().display_pub  # type: ignore[name-defined]
            except NameError:
                raise UnsupportedError(
                    'only a notebook can show a figure here; write it to a file: path="figure.png", or '
                    'figure.savefig("figure.png")'
                ) from None
            display.publish({"image/png": self._repr_png_(), "text/plain": repr(self)})

    return Picture


def _axes(figure: Figure, x: str, y: str) -> Axes:
    axes = figure.add_axes((0.11, 0.15, 0.78, 0.72))
    _bare(axes)
    axes.set_xlabel(x, fontsize=9, color=_INK)
    axes.set_ylabel(y, fontsize=9, color=_INK)
    axes.grid(axis="y", color=_LINE, lw=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.1)
    return axes


def _bare(axes: Axes) -> None:
    axes.tick_params(labelsize=8, colors=_SOFT, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_edgecolor(_LINE)


def _heading(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=9, color=_INK, loc="left", pad=10, parse_math=False)


def _notice(axes: Axes, text: str) -> None:
    """Words in place of a diagram."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, fontsize=9, color=_SOFT, ha="center", va="center")


def _mark(axes: Axes, thresh: float) -> None:
    axes.axvline(thresh, color=_SIGNAL, lw=1.2)
    low, high = axes.get_xlim()
    right = thresh < (low + high) / 2  # where there is room for the word
    axes.annotate(
        f"thresh {thresh:.4g}",
        (thresh, 1),
        xytext=(4 if right else -4, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=8,
        color=_SIGNAL,
        ha="left" if right else "right",
        va="top",
    )


def _short(name: str) -> str:
    """An id that fits under a tile: its end, which tells paths apart."""
    plain = " ".join(name.split())
    return plain if len(plain) <= _NAME else "…" + plain[1 - _NAME :]


def _saved(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        figure.savefig(path)
    return figure
