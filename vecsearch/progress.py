"""Progress of long calls: a bar where somebody watches, a callable, or nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Report = Callable[[int, int | None], None]

_DELAY_SECONDS = 2.0


def _silent(done: int, total: int | None) -> None:
    del done, total


@contextmanager
def reporting(progress: bool | Report | None, what: str, unit: str = "rows") -> Iterator[Report]:
    """A function ``report(done, total)``.

    ``None``: a bar on stderr after two seconds, if it is a terminal or a notebook; ``True``: a bar at once, anywhere;
    ``False``: nothing; a callable is called with (done, total), total ``None`` where it is not known.
    """
    if progress is False:
        yield _silent
        return
    if callable(progress):
        yield progress
        return
    from tqdm.auto import tqdm  # imported on first use: it looks for a notebook

    delay = 0.0 if progress else _DELAY_SECONDS
    with tqdm(desc=what, unit=f" {unit}", delay=delay, disable=None if progress is None else False, leave=False) as bar:

        def report(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report
