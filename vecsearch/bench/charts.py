"""Charts as inline SVG: lines and bars that need no script, no network and no colour to be read.

A series is told from the others by the shape of its marks and the dashes of its line as much as by its colour. Each
mark says what it shows in a ``title`` and leads to its result. Colours come from the style sheet of the page, so that
one chart serves light, dark and paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vecsearch.bench.markup import Markup, element, joined, link
from vecsearch.bench.scales import Kind, Scale, scale, tick

if TYPE_CHECKING:
    from collections.abc import Sequence

STYLES = 8
WIDTH, HEIGHT = 560, 330
_TOP, _RIGHT, _FOOT = 26, 18, 44
_LETTER = 6.7  # the width of one at the size of the style sheet, more or less
_ROW, _BAR = 20, 22
_NAME = 34
_R, _RING = 4.5, 9.0


@dataclass(frozen=True, slots=True)
class Mark:
    """One measured value. ``low`` and ``high``: how far it spread. ``noisy`` ones have a ring."""

    x: float
    y: float
    text: str
    key: str | None = None
    low: float | None = None
    high: float | None = None
    noisy: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Marks joined by a line, and ``others`` that are no part of it and stand back."""

    name: str
    style: int
    line: Sequence[Mark]
    others: Sequence[Mark] = ()
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What lies along a side."""

    name: str
    kind: Kind = "linear"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of one or two parts that stand one after another; ``text`` is written at its end."""

    name: str
    style: int
    parts: tuple[float, ...]
    text: str
    key: str | None = None
    low: float | None = None
    high: float | None = None


def lines(title: str, about: str, across: Axis, up: Axis, series: Sequence[Series]) -> Markup:
    """A chart of lines; ``about`` says in a sentence what is to be seen."""
    marks = [mark for one in series for mark in (*one.line, *one.others)]
    ends = [value for mark in marks for value in (mark.low, mark.high) if value is not None]
    xs = scale(across.kind, [mark.x for mark in marks])
    ys = scale(up.kind, [*(mark.y for mark in marks), *ends])
    frame = _Frame(xs, ys, 14 + _LETTER * max(len(tick(value)) for value in ys.ticks))
    key, rows = _legend(series, HEIGHT + 4)
    body = [
        frame.grid(across, up),
        *(_others(frame, one) for one in series),
        *(_line(frame, one) for one in series),
        key,
    ]
    return _svg(title, about, HEIGHT + 4 + rows * _ROW, body)


class _Frame:
    """The area between the axes."""

    def __init__(self, xs: Scale, ys: Scale, left: float) -> None:
        self.xs, self.ys, self.left = xs, ys, max(left, 34.0)

    def x(self, value: float) -> float:
        return round(self.left + self.xs.place(value) * (WIDTH - _RIGHT - self.left), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - _FOOT - self.ys.place(value) * (HEIGHT - _FOOT - _TOP), 1)

    def grid(self, across: Axis, up: Axis) -> Markup:
        """Lines, values and names of both axes; values that would touch are left out."""
        bottom, right = HEIGHT - _FOOT, WIDTH - _RIGHT
        parts = []
        for value in self.ys.ticks:
            y = self.y(value)
            parts += [
                _path(f"M{self.left} {y}H{right}", class_="grid"),
                _text(self.left - 6, y + 4, tick(value), "end"),
            ]
        free = right + 2 * _LETTER
        for value in reversed(self.xs.ticks):
            x, half = self.x(value), _LETTER * len(tick(value)) / 2
            parts.append(_path(f"M{x} {_TOP}V{bottom}", class_="grid"))
            if x + half < free:
                parts.append(_text(x, bottom + 17, tick(value), "middle"))
                free = x - half - 4
        parts.append(_path(f"M{self.left} {_TOP}V{bottom}H{right}", class_="axis"))
        parts.append(_text(4, 14, up.name, class_="name"))
        parts.append(_text(right, HEIGHT - 8, across.name, "end", class_="name"))
        return element("g", *parts, aria_hidden="true")


def _line(frame: _Frame, series: Series) -> Markup:
    places = [(frame.x(mark.x), frame.y(mark.y)) for mark in series.line]
    drawn = [_path("M" + "L".join(f"{x} {y}" for x, y in places), class_="line")] if len(places) > 1 else []
    for mark, (x, _) in zip(series.line, places, strict=True):
        if mark.low is not None and mark.high is not None:
            drawn.append(_path(f"M{x} {frame.y(mark.low)}V{frame.y(mark.high)}", class_="spread"))
    drawn += [_marked(series, mark, frame, hollow=series.hollow) for mark in series.line]
    return element("g", *drawn, class_=_style(series))


def _others(frame: _Frame, series: Series) -> Markup | None:
    if not series.others:
        return None
    drawn = [_marked(series, mark, frame, hollow=True) for mark in series.others]
    return element("g", *drawn, class_=f"{_style(series)} faint")


def _marked(series: Series, mark: Mark, frame: _Frame, *, hollow: bool) -> Markup:
    x, y = frame.x(mark.x), frame.y(mark.y)
    shape = _shape(series.style, x, y, hollow=hollow)
    ring = _path(f"M{x - _RING} {y}{_circle(_RING)}", class_="ring") if mark.noisy else None
    return _linked(mark, joined([shape, ring]))


def _circle(r: float) -> str:
    return f"a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"


def _style(series: Series) -> str:
    return f"s{series.style % STYLES}{' again' if series.style >= STYLES else ''}{' hollow' if series.hollow else ''}"


def _linked(mark: Mark, shape: Markup) -> Markup:
    text = f"{mark.text} (noisy)" if mark.noisy else mark.text
    drawn = joined([element("title", text), shape])
    # Not a stop for the tabulator: the table under each chart has the same links, in order.
    return link(mark.key, drawn, tabindex="-1") if mark.key else element("g", drawn)


def _shape(style: int, x: float, y: float, *, hollow: bool) -> Markup:
    paths = (
        f"M{x - _R} {y}{_circle(_R)}",
        f"M{x - 4} {y - 4}h8v8h-8z",  # a square
        f"M{x} {y - 5.5}l5.5 9.5h-11z",  # a triangle
        f"M{x} {y - 6}l6 6l-6 6l-6 -6z",  # a diamond
        f"M{x} {y + 5.5}l5.5 -9.5h-11z",  # a triangle on its tip
        f"M{x - 1.8} {y - 5.4}h3.6v3.6h3.6v3.6h-3.6v3.6h-3.6v-3.6h-3.6v-3.6h3.6z",  # a cross
        f"M{x - 2.8} {y - 5}h5.6l2.8 5l-2.8 5h-5.6l-2.8 -5z",  # a hexagon
        f"M{x - 6} {y - 3}h12v6h-12z",  # a flat box
    )
    # After a round of colours another of shapes begins, one further on, so that no two look alike.
    return _path(paths[(style + style // STYLES) % STYLES], class_="mark hollow" if hollow else "mark")


def _legend(series: Sequence[Series], top: float) -> tuple[Markup, int]:
    """The names with their marks, as many on a row as fit; how many rows."""
    x, row, parts = 8.0, 0, []
    for one in series:
        name = shortened(one.name)
        needed = 34 + _LETTER * len(name) + 16
        if x > 8 and x + needed > WIDTH:  # noqa: PLR2004  the first stands where it stands
            x, row = 8.0, row + 1
        y = top + 12 + row * _ROW
        drawn = [
            element("title", one.name),
            _path(f"M{x} {y}h28", class_="line"),
            _shape(one.style, x + 14, y, hollow=one.hollow),
            _text(x + 34, y + 4, name),
        ]
        parts.append(element("g", *drawn, class_=_style(one)))
        x += needed
    return element("g", *parts), row + 1


def bars(title: str, about: str, across: str, found: Sequence[Bar]) -> Markup:
    """A chart of bars, one under the other, each with its value."""
    measured = scale("linear", [value for bar in found for value in (sum(bar.parts), bar.high or 0.0)])
    left = 12 + _LETTER * max(len(shortened(bar.name)) for bar in found)
    after = 14 + _LETTER * max(len(bar.text) for bar in found)
    unit = (WIDTH - left - after) / measured.high
    bottom = _TOP + len(found) * (_BAR + 8)
    parts = [_text(4, 14, across, class_="name")]
    for number, bar in enumerate(found):
        y, x, drawn = _TOP + number * (_BAR + 8) + 4, left, []
        for place, part in enumerate(bar.parts):
            wide = round(part * unit, 1)
            class_ = "bar second" if place else "bar"
            drawn.append(element("rect", x=x, y=y, width=wide, height=_BAR, class_=class_))
            x += wide
        if bar.low is not None and bar.high is not None and bar.high > bar.low:
            middle, start, end = y + _BAR / 2, left + bar.low * unit, left + bar.high * unit
            drawn.append(_path(f"M{start:.1f} {middle - 4}v8m0 -4H{end:.1f}m0 -4v8", class_="whisker"))
            x = max(x, end)
        drawn.append(_text(x + 6, y + _BAR / 2 + 4, bar.text, class_="value"))
        mark = Mark(0.0, 0.0, f"{bar.name}: {bar.text}", bar.key)
        parts.append(_text(left - 6, y + _BAR / 2 + 4, shortened(bar.name), "end"))
        parts.append(element("g", _linked(mark, joined(drawn)), class_=f"s{bar.style % STYLES}"))
    parts.append(_path(f"M{left} {_TOP}V{bottom}", class_="axis"))
    return _svg(title, about, bottom + 8, parts)


def shortened(name: str) -> str:
    """A name that fits beside its mark."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _svg(title: str, about: str, height: float, body: Sequence[str | None]) -> Markup:
    said = (element("title", title), element("desc", about))
    return element("svg", *said, *body, viewBox=f"0 0 {WIDTH} {height:g}", role="group", aria_label=title)


def _path(d: str, **attributes: str) -> Markup:
    return element("path", d=d, **attributes)


def _text(x: float, y: float, text: str, at: str | None = None, **attributes: str) -> Markup:
    return element("text", text, x=round(x, 1), y=round(y, 1), text_anchor=at, **attributes)
