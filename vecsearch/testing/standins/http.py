"""An HTTP server on loopback that can be slow, fail, stop, and come back: what a stand-in is made of."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REQUESTS = 100_000
"""How many requests a server notes, and answers: a test that asks for more has run wild."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: tuple[str, ...]
    """The parts between slashes, unquoted."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class LoopbackServer:
    """Listens on 127.0.0.1, at a port that is free, while it is started; a subclass gives the answers.

    ``delay`` seconds pass before each answer. ``fail`` plans what the next requests meet instead of an answer.
    """

    max_request_bytes: int = 32 << 20

    def __init__(self) -> None:
        self.delay = 0.0
        self.requests: list[Request] = []
        self._plan: deque[Answer | None] = deque()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """The answer to one request; called from several threads."""
        raise NotImplementedError

    def too_large(self, size: int) -> Answer:
        """The answer to a request of more than ``max_request_bytes``."""
        return Answer(413, f"{size} bytes are more than {self.max_request_bytes}".encode())

    @property
    def port(self) -> int:
        """Where it listens; the same after a pause."""
        return self._port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def fail(self, *answers: Answer | None) -> None:
        """What the next requests meet, in turn; ``None``: the connection ends without a word."""
        with self._lock:
            self._plan.extend(answers)

    def start(self) -> None:
        """Listen; after ``stop`` at the same port."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse every connection, as a server that is down; what it holds, it keeps."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _note(self, request: Request) -> Answer | None:
        """Note a request; raises where its connection is to end."""
        with self._lock:
            if len(self.requests) >= MAX_REQUESTS:
                return Answer(500, b"too many requests for a test")
            self.requests.append(request)
            if not self._plan:
                return None
            planned = self._plan.popleft()
        if planned is None:
            raise ConnectionAbortedError
        return planned

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # the head and the body are two packets
            timeout = 60

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                if size > outer.max_request_bytes:
                    self._say(outer.too_large(size))
                    self.close_connection = True
                    return
                parts = urlsplit(self.path)
                request = Request(
                    self.command,
                    tuple(unquote(part) for part in parts.path.strip("/").split("/") if part),
                    dict(parse_qsl(parts.query, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(size),
                )
                try:
                    planned = outer._note(request)
                except ConnectionAbortedError:
                    self.close_connection = True
                    return
                time.sleep(outer.delay)
                try:
                    answer = planned or outer.answer(request)
                except Exception as error:  # noqa: BLE001  else the client would try again for a minute
                    answer = Answer(500, f"the stand-in failed: {error!r}".encode())
                self._say(answer)

            def _say(self, answer: Answer) -> None:
                try:
                    self.send_response(answer.status)
                    for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(b"" if self.command == "HEAD" else answer.body)
                except OSError:  # nobody waits for it any more
                    self.close_connection = True

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815  the names that http.server calls

            def log_message(self, *_: Any) -> None:
                """Nothing: tests look at ``requests``."""

        return Handler


__all__ = ("MAX_REQUESTS", "Answer", "LoopbackServer", "Request")
