"""Whether a backend answers, asked for a short time and without making anything."""

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vecsearch import naming, settings
from vecsearch.errors import IndexNotFoundError, MissingDependencyError, VecsearchError

if TYPE_CHECKING:
    from vecsearch.backends.base import Capabilities, Names

_NAME = "check"  # an index that need not exist: "there is none" is an answer


@dataclass(slots=True)
class Answer:
    """What came back."""

    name: str
    backend: str = ""
    """The type; the name itself where it is no profile."""
    state: str = "unknown"
    """``embedded``, ``answers``, ``silent``, ``not installed`` or ``not configured``"""
    latency_ms: float | None = None
    problem: str = ""
    capabilities: "Capabilities | None" = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        """Whether it can be used now."""
        return self.state in ("embedded", "answers")


def probe(names: Sequence[str], seconds: float) -> list[Answer]:
    """Ask all of these backends or profiles at once; whoever has not answered after ``seconds`` is silent."""
    answers = [Answer(name) for name in names]
    with tempfile.TemporaryDirectory(prefix="vecsearch-check-", ignore_cleanup_errors=True) as folder:
        # A client may wait longer than it is told to: a daemon is left behind, and the command ends all the same.
        threads = [
            threading.Thread(target=_ask, args=(answer, seconds, f"{folder}/{number}"), daemon=True)
            for number, answer in enumerate(answers)
        ]
        deadline = time.monotonic() + seconds + 0.5
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    for answer, thread in zip(answers, threads, strict=True):
        if thread.is_alive() and answer.state == "unknown":
            answer.state, answer.problem = "silent", f"no answer within {seconds:g} s"
    return answers


def _ask(answer: Answer, seconds: float, path: str) -> None:
    from vecsearch.calls import Engine

    try:
        resolved = settings.resolve(answer.name, {})
        answer.backend, answer.capabilities = resolved.backend, resolved.backend_class.capabilities
        if answer.capabilities.local:
            answer.state = "embedded"
            return
        engine = Engine(
            resolved.backend_class(_bounded(resolved.config, seconds, path, answer.capabilities.index_names))
        )
        answer.capabilities = engine.capabilities
        try:
            started = time.monotonic()
            engine.call_once("check", engine.backend.describe)
        finally:
            milliseconds = (time.monotonic() - started) * 1e3
            engine.close()
        answer.state = "embedded" if engine.capabilities.local else "answers"
        answer.latency_ms = round(milliseconds, 1)
    except IndexNotFoundError:
        answer.state = "answers"
    except MissingDependencyError as error:
        answer.state, answer.problem = "not installed", str(error)
    except VecsearchError as error:
        answer.state = "silent" if answer.backend else "not configured"
        answer.problem = str(error)
    except Exception as error:  # noqa: BLE001  a client that cannot be opened raises what it likes
        answer.state, answer.problem = "silent", f"{type(error).__name__}: {error}"


def _bounded(config: Any, seconds: float, path: str, names: "Names | None") -> Any:
    """The same settings, for an index that does not exist, in a place that can be thrown away."""
    update: dict[str, Any] = {"timeout": min(config.timeout, seconds)}
    if config.index_name is None:
        update["index_name"] = naming.made(_NAME, names)
    if config.wants_path:
        update["path"] = path
    return config.model_copy(update=update)
