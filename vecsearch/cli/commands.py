"""What stands around every command: errors as one line, warnings, ``--debug``, interrupts, closed pipes."""

import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from vecsearch.errors import VecsearchError

ERROR, INTERRUPTED, CLOSED_PIPE = 2, 130, 141
# Newer versions of typer bring their own click, older ones import it: reached in a way that both have.
_USAGE = typer.BadParameter.__mro__[1]
_CLICK = typer.BadParameter.__mro__[2]

# The library speaks of its functions; here the same things have other names.
_WORDS = (
    (re.compile(r"load_run\('(\w+)'\) opens it, if_exists='replace' or delete_run\('\w+'\) removes it"),
     r"--if-exists replace makes it anew, --if-exists load keeps it, vecsearch runs delete \1 removes it"),
    (re.compile(r"delete_run\(['\"]?(\w+)['\"]?, cleanup=True\)"), r"vecsearch runs delete \1 --cleanup"),
    (re.compile(r"delete_run\(['\"]?(\w+)['\"]?\)"), r"vecsearch runs delete \1"),
    (re.compile(r"allow_scan=True"), "--allow-scan"),
    (re.compile(r"exact=True"), "--exact"),
    (re.compile(r"if_exists=['\"](\w+)['\"]"), r"--if-exists \1"),
    (re.compile(r"on_existing=['\"](\w+)['\"]"), r"--on-existing \1"),
    (re.compile(r"(?:resume with )?checkpoint=['\"]([^'\"]+)['\"]"), r"the same command with --checkpoint \1 goes on"),
    (re.compile(r"compute_similarity creates one|create it with compute_similarity"), "vecsearch create makes one"),
)  # fmt: skip


class Commands(TyperGroup):
    """The top of the command line. It is entered here by the script, by ``python -m`` and by tests alike."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run one command line; ends in ``sys.exit`` as typer's own does, unless ``standalone_mode=False``."""
        given: Sequence[str] | None = args[0] if args else extra.pop("args", None)
        line, debug = _without_debug(sys.argv[1:] if given is None else given)
        standalone = extra.pop("standalone_mode", True)
        with _messages(debug=debug):
            code = self._run(line, {**extra, "prog_name": "vecsearch"}, debug=debug)
        if standalone:
            sys.exit(code)
        return code

    def _run(self, line: list[str], extra: dict[str, Any], *, debug: bool) -> int:
        try:
            code = super().main(args=line, standalone_mode=False, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_stdout()
            return CLOSED_PIPE
        except typer.Abort:
            return fail("stopped; nothing was done")
        except Exception as error:  # noqa: BLE001  every error ends here, as one line
            if debug:
                traceback.print_exc()
            return fail(_text(error, debug=debug))
        if code == INTERRUPTED:
            say("interrupted")
        return code if isinstance(code, int) else 0

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a pipe that its reader closed is kept from typer, which would call it a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(CLOSED_PIPE) from None


def say(text: str) -> None:
    """A message for whoever watches; data goes another way."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def fail(text: str) -> int:
    """Report an error as one line; the exit code."""
    say(f"error: {one_line(text)}")
    return ERROR


def one_line(text: str) -> str:
    """A message of several lines as one."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def in_words_of_the_command_line(text: str) -> str:
    """A message of the library, with options and commands in the place of arguments and functions."""
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return text


def _text(error: Exception, *, debug: bool) -> str:
    if isinstance(error, _CLICK):
        message = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
        context = getattr(error, "ctx", None)
        path = "vecsearch" if context is None else str(context.command_path)
        return f"{message} (see {path} --help)" if isinstance(error, _USAGE) else message
    if isinstance(error, VecsearchError):
        return in_words_of_the_command_line(str(error))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    advice = "" if debug else "; --debug shows where, and what to report"
    return f"a defect of vecsearch: {type(error).__name__}: {error}{advice}"


def _without_debug(line: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments without ``--debug``, which may stand anywhere before a ``--``, and whether it was there."""
    line = list(line)
    end = line.index("--") if "--" in line else len(line)
    options = [word for word in line[:end] if word != "--debug"]
    return options + line[end:], len(options) < end


@contextmanager
def _messages(*, debug: bool) -> Iterator[None]:
    """Warnings and log records as lines on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logger = logging.getLogger("vecsearch")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {one_line(in_words_of_the_command_line(record.getMessage()))}"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, file, line
    say(f"warning: {one_line(str(message))}")


def _forget_stdout() -> None:
    """Nobody reads: what is buffered goes nowhere, so that the end of the process has nothing to complain about."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a stdout that is no file
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  it lasts as long as the process
