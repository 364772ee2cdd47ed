"""The command line ``vecsearch``.

Data goes to stdout; messages and progress go to stderr. Exit codes: 0 done, 1 a check that came out negative
(``check``, ``conformance``, ``copy``, ``recall --min``), 2 an error, which is one line that says what to do, 130
interrupted.

``app`` joins the commands; ``commands`` is what stands around all of them: errors, warnings, ``--debug``. ``options``
are the shared options, ``inputs`` reads files and arguments, ``output`` writes tables, CSV and JSON.
"""

import io
import sys

from vecsearch.cli.app import app


def main() -> None:
    """Run the command line with the arguments of this process; ends in ``sys.exit``."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: no id is unprintable where text is ASCII
    app()


__all__ = ("app", "main")
