"""An HTTP server on loopback that can be slow, fail, stop, and come back: what a stand-in is made of."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from vecsearch.testing.standins.faults import DROPPED, Fault, Plan, refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_REQUESTS = 100_000
"""How many requests a server notes, and answers: a test that asks for more has run wild."""
_GARBLED = b'{"half an answ'


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    path: tuple[str, ...]
    """The parts between slashes, unquoted."""
    query: Mapping[str, str]
    """The last value of each name."""
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes
    pairs: tuple[tuple[str, str], ...] = ()
    """The query as it came, where a name may come several times."""
    fault: Fault | None = None
    """What it meets."""

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None
    """How many bytes of the body go out before the connection ends; ``None``: all."""


class RefusalError(Exception):
    """What a service refuses, with its status and, where the service has one, its own code."""

    def __init__(self, status: int, text: str, code: str | int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing of a client that went away, which is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class LoopbackServer:
    """Listens on loopback, at a port that is free, while it is started; a subclass gives the answers.

    ``delay`` seconds pass before each answer. ``fail`` plans what the next requests meet instead of an answer.
    """

    max_request_bytes: int = 32 << 20
    max_url_bytes: int = 64 << 10

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.delay = 0.0
        self.requests: list[Request] = []
        self.faults = Plan()
        self.host = host
        self._port = port
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """The answer to one request; called from several threads."""
        raise NotImplementedError

    def route_name(self, request: Request) -> str:
        """What faults call this kind of request."""
        return f"{request.method} /{'/'.join(request.path)}"

    def refusal(self, refused: RefusalError, request: Request) -> Answer:
        """A refusal in the service's own form."""
        del request
        return Answer(refused.status, str(refused).encode())

    def too_large(self, size: int, request: Request) -> Answer:
        """The answer to a request of more than ``max_request_bytes``, whose body was not read."""
        return self.refusal(RefusalError(413, f"{size} bytes are more than {self.max_request_bytes}"), request)

    @property
    def port(self) -> int:
        """Where it listens; the same after a pause."""
        return self._port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self._port}"

    def fail(self, *faults: Fault | Answer | None, route: str | None = None) -> None:
        """What the next requests meet, in turn: of one route, or of all.

        An ``Answer`` is said instead of the right one; ``None``: the connection ends without a word.
        """
        self.faults.add([_fault(fault) for fault in faults], route)

    def fail_at_random(self, share: float, seed: int, faults: Sequence[Fault] = (refused(503),)) -> None:
        """From now on this share of all requests meets one of these, drawn at random; 0: none any more."""
        self.faults.draw(share, seed, faults)

    def start(self) -> None:
        """Listen; after ``stop`` at the same port."""
        self._server = _Server((self.host, self._port), self._handler())
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

    def _met(self, request: Request) -> Answer | None:
        """Note a request, and say what its caller gets; ``None``: the connection ends without a word."""
        fault = self.faults.take(self.route_name(request))
        request = replace(request, fault=fault)
        with self._lock:
            if len(self.requests) >= MAX_REQUESTS:
                return Answer(500, b"too many requests for a test")
            self.requests.append(request)
        time.sleep(self.delay + (fault.seconds if fault else 0.0))
        try:
            return self.answer(request) if fault is None else self._faulty(request, fault)
        except Exception as error:  # noqa: BLE001  else the client would try again for a minute
            return Answer(500, f"the stand-in failed: {error!r}".encode())

    def _faulty(self, request: Request, fault: Fault) -> Answer | None:
        if fault.instead is not None:
            return fault.instead
        if fault.status is not None:
            said = self.refusal(RefusalError(fault.status, f"planned: {fault.name}"), request)
            return replace(said, headers={**said.headers, **fault.headers})
        answer = self.answer(request) if fault.carried_out else None
        if answer is None or fault.reply == "none":
            return None
        if fault.reply == "cut":
            return replace(answer, sent=len(answer.body) // 2)
        return replace(answer, body=_GARBLED) if fault.reply == "garbled" else answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # the head and the body are two packets
            timeout = 60

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                too_large = size > outer.max_request_bytes
                parts = urlsplit(self.path)
                pairs = tuple(parse_qsl(parts.query, keep_blank_values=True))
                request = Request(
                    self.command,
                    tuple(unquote(part) for part in parts.path.strip("/").split("/") if part),
                    dict(pairs),
                    {name.lower(): value for name, value in self.headers.items()},
                    b"" if too_large else self.rfile.read(size),
                    pairs,
                )
                said: Answer | None
                if too_large:
                    said = outer.too_large(size, request)
                    self.close_connection = True
                elif len(self.path) > outer.max_url_bytes:
                    said = outer.refusal(RefusalError(414, f"a URL of {len(self.path)} bytes is too long"), request)
                else:
                    said = outer._met(request)
                if said is None:
                    self.close_connection = True
                else:
                    self._say(said)

            def _say(self, answer: Answer) -> None:
                try:
                    self.send_response(answer.status)
                    for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(b"" if self.command == "HEAD" else answer.body[: answer.sent])
                except OSError:  # nobody waits for it any more
                    self.close_connection = True
                if answer.sent is not None:
                    self.close_connection = True

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815  the names that http.server calls

            def log_message(self, *_: Any) -> None:
                """Nothing: tests look at ``requests``."""

        return Handler


def _fault(given: Fault | Answer | None) -> Fault:
    if given is None:
        return DROPPED
    return Fault(name=str(given.status), instead=given) if isinstance(given, Answer) else given


__all__ = ("MAX_REQUESTS", "Answer", "LoopbackServer", "RefusalError", "Request")
