"""What an index is called in an engine: names that are made here, and those that a user gives."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from vecsearch.errors import ConfigError

if TYPE_CHECKING:
    from vecsearch.backends.base import Names

_TAIL = 7  # of a name that is too long the end is kept: it tells names of one beginning apart


def made(key: str | None, names: Names | None) -> str:
    """A name that nobody else has, for the index of a run."""
    name = f"vecsearch_{key or 'unnamed'}_{secrets.token_hex(3)}".lower()
    return name if names is None else fitted(name, names)


def check(name: str | None, names: Names | None, backend: str) -> None:
    """Refuse a name that the engine does not take, saying which it would."""
    if name is not None and names is not None and not fits(name, names):
        raise ConfigError(
            f"{backend} cannot call an index {name!r}: {described(names)}; {fitted(name, names)!r} would do"
        )


def fits(name: str, names: Names) -> bool:
    """Whether an index may have this name."""
    return (
        names.shortest <= len(name) <= names.longest
        and re.fullmatch(f"[{names.characters}]*", name) is not None
        and _is_one(name[:1], names.first or names.characters)
        and _is_one(name[-1:], names.last or names.characters)
    )


def fitted(name: str, names: Names) -> str:
    """The name itself, or one like it that fits."""
    filler = next((sign for sign in "_-.x" if _is_one(sign, names.characters)), "x")
    kept = "".join(_kept(sign, names.characters) or filler for sign in name)
    for ends, last in ((names.first, False), (names.last, True)):
        at = -1 if last else 0
        while kept and ends is not None and not _is_one(kept[at], ends):
            kept = kept[:-1] if last else kept[1:]
    if len(kept) < names.shortest:
        kept = f"index{filler}{kept}" if kept else "index"
    if len(kept) > names.longest:
        kept = kept[: names.longest - _TAIL] + kept[-_TAIL:]
    return kept


def described(names: Names) -> str:
    """The rule in words."""
    ends = [f"{word} with [{signs}]" for word, signs in (("begin", names.first), ("end", names.last)) if signs]
    rule = f"names have {names.shortest} to {names.longest} characters [{names.characters}]"
    return f"{rule}, and {' and '.join(ends)}" if ends else rule


def _kept(sign: str, characters: str) -> str:
    return next((form for form in (sign, sign.lower()) if _is_one(form, characters)), "")


def _is_one(sign: str, characters: str) -> bool:
    return re.fullmatch(f"[{characters}]", sign) is not None
