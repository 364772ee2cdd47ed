"""A task in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from pydantic import ValidationError

from vecsearch.bench.tasks import Observation, Task
from vecsearch.bench.worker import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable

_MODULE = "vecsearch.bench.worker"


def in_process(timeout: float) -> Callable[[Task], Observation]:
    """A function that does tasks, each in a process of its own that is ended after ``timeout`` seconds."""

    def perform(task: Task) -> Observation:
        answer = task.out / ANSWER
        answer.unlink(missing_ok=True)
        with tempfile.TemporaryFile() as said:
            problem = _ended(task, said.fileno(), timeout)
            if problem is None and answer.exists():
                try:
                    return Observation.model_validate_json(answer.read_bytes())
                except ValidationError:
                    problem = "the process wrote an answer that cannot be read"
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1].strip()}" if lines else ""
        return Observation(problem=f"{problem or 'the process wrote no answer'}{last}".replace(str(task.home), "~"))

    return perform


def _ended(task: Task, said: int, timeout: float) -> str | None:
    """Run to the end; what went wrong."""
    process = subprocess.Popen(  # noqa: S603  this interpreter, a module of ours
        [sys.executable, "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=said,
        env=_environ(task),
    )
    try:
        process.communicate(task.model_dump_json().encode(), timeout)
    except subprocess.TimeoutExpired:
        return f"the process had not ended after {timeout:g} s"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return None if process.returncode == 0 else f"the process ended with {process.returncode}"


def _environ(task: Task) -> dict[str, str]:
    """This environment without our own settings: all that count are in the task."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VECSEARCH_")}
    return {**kept, "VECSEARCH_HOME": str(task.home)}


__all__ = ("in_process",)
