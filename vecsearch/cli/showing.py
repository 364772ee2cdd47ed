"""``demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="WordNet embeddings (embeddings-f16.npy, glosses.jsonl.gz) instead of digits.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the pictures go.")] = Path(
        "vecsearch-demo"
    ),
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Draw nothing.")] = False,
) -> None:
    """See what it does, in seconds: index 1,797 handwritten digits, search them, find doubles and rarities."""
    from vecsearch import demo as show

    show.run(data=data, out=None if no_pictures else out)
