"""HTML and SVG as text that is escaped unless it was made here: what data says can never become markup."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Controls and lone surrogates, which no page may hold; marks that turn the direction of the text around them.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_VOID = frozenset({"meta", "br", "col", "wbr"})


class Markup(str):
    """Text that is markup already. Only this module makes it, and the one style sheet of the page."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """An element; children that are no ``Markup`` are escaped, attributes always.

    Attributes that are ``None`` are left out, a trailing underscore is dropped (``class_``), and other underscores
    become hyphens.
    """
    opening = [name]
    for key, value in attributes.items():
        if value is not None:
            written = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
            opening.append(f'{key.rstrip("_").replace("_", "-")}="{safe(str(written))}"')
    start = " ".join(opening)
    return Markup(f"<{start}/>") if name in _VOID else Markup(f"<{start}>{joined(children)}</{name}>")


def joined(parts: Iterable[str | None], between: str = "") -> Markup:
    """Parts one after another, escaped where they are no ``Markup``."""
    return Markup(safe(between).join(safe(part) for part in parts if part is not None))


def safe(text: str) -> Markup:
    """Text as markup; characters that do not belong on a page are replaced."""
    return text if isinstance(text, Markup) else Markup(html.escape(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)))


def table(head: Iterable[str], rows: Iterable[Iterable[str]], caption: str, **attributes: str | None) -> Markup:
    """A table whose first column names its rows, in a box that scrolls where the page is narrow.

    A row that needs an attribute of its own is given as ``Markup`` whole.
    """
    top = element("tr", *(element("th", name, scope="col") for name in head))
    body = [row if isinstance(row, Markup) else line(row) for row in rows]
    whole = element("table", element("caption", caption), element("thead", top), element("tbody", *body), **attributes)
    return element("div", whole, class_="wide", tabindex="0", role="region", aria_label=caption)


def line(cells: Iterable[str], **attributes: str | None) -> Markup:
    """One row of a table."""
    first, *others = cells
    return element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others), **attributes)


def link(key: str, text: str, **attributes: str | None) -> Markup:
    """Text that leads to the result it was taken from."""
    return element("a", text, href=f"#{anchor(key)}", **attributes)


def anchor(key: str) -> str:
    """The place of a result on the page."""
    return f"result-{key}"
