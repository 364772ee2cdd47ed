"""A service that takes JSON: routes, schemas of requests, credentials; what the stand-ins of cloud services share.

A subclass lists its ``routes``, says in ``refusal`` what its errors look like and in ``check_access`` who may call, and
keeps its own state. Requests are answered one at a time; what a service refuses it raises as ``RefusalError``.
"""

from __future__ import annotations

import json
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from vecsearch.testing.standins.http import Answer, LoopbackServer, RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vecsearch.testing.standins.faults import Fault
    from vecsearch.testing.standins.http import Request

_LONGEST = 300  # of what is wrong with a request: it may quote the request


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has found its route, and passed its schema."""

    request: Request
    parts: Mapping[str, str]
    """What stands in the place of the names in the route's path."""
    body: Any = None

    def meets(self, fault: Fault) -> bool:
        """Whether the route is to act on this fault."""
        return self.request.fault is fault

    def values(self, name: str) -> list[str]:
        """All values of a parameter of the query."""
        return [value for found, value in self.request.pairs if found == name]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: where it lies, what it takes, who answers it."""

    name: str
    """What faults call it."""
    method: str
    path: str
    """Such as ``/indexes/{name}``."""
    function: Callable[[Call], Any]
    """Gives an ``Answer``, or what is said as JSON with the status 200."""
    schema: Mapping[str, Any] | None = None
    """Of the body; ``None``: there is none."""
    parameters: frozenset[str] = field(default_factory=frozenset)
    """Of the query; any other is refused."""

    def match(self, method: str, path: tuple[str, ...]) -> dict[str, str] | None:
        """The named parts of a path that is this route's, or ``None``."""
        pattern = self.path.strip("/").split("/")
        if method != self.method or len(pattern) != len(path):
            return None
        if any(not part.startswith("{") and part != given for part, given in zip(pattern, path, strict=True)):
            return None
        return {part[1:-1]: given for part, given in zip(pattern, path, strict=True) if part.startswith("{")}


class ServiceStandIn(LoopbackServer):
    """A service behind a loopback server."""

    protocol: ClassVar[str]
    """Which version of the public protocol it follows."""
    checked_with: ClassVar[str]
    """Which versions of the clients it was checked with."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host, port)
        self._turn = threading.RLock()
        self._routes = [(route, None if route.schema is None else _VALIDATOR(route.schema)) for route in self.routes()]

    def routes(self) -> Sequence[Route]:
        """Every operation."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """The settings with which a backend talks to this stand-in."""
        raise NotImplementedError

    def check_access(self, request: Request) -> None:
        """Raise ``RefusalError`` where the credentials do not do."""

    def route_name(self, request: Request) -> str:
        """The name of its route."""
        found = self._route(request)
        return super().route_name(request) if found is None else found[0].name

    def asked(self, route: str) -> list[Request]:
        """The requests of one route, in the order in which they came."""
        return [request for request in self.requests if self.route_name(request) == route]

    def answer(self, request: Request) -> Answer:
        """The route's answer, or a refusal."""
        try:
            self.check_access(request)
            route, call = self._called(request)
            with self._turn:
                said = route.function(call)
        except RefusalError as error:
            return self.refusal(error, request)
        return said if isinstance(said, Answer) else in_json(200, said)

    def _called(self, request: Request) -> tuple[Route, Call]:
        found = self._route(request)
        if found is None:
            raise RefusalError(404, f"no operation {request.method} /{'/'.join(request.path)}")
        route, validator, parts = found
        unknown = {name for name, _ in request.pairs} - route.parameters
        if unknown:
            raise RefusalError(400, f"unknown parameter {min(unknown)!r}")
        return route, Call(request, parts, None if validator is None else _body(request, validator))

    def _route(self, request: Request) -> tuple[Route, Any, dict[str, str]] | None:
        for route, validator in self._routes:
            parts = route.match(request.method, request.path)
            if parts is not None:
                return route, validator, parts
        return None


def in_json(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(content, ensure_ascii=False, allow_nan=False).encode(), headers or {})


def record(*required: str, **properties: Any) -> dict[str, Any]:
    """The schema of an object that has no other fields than these."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def check(body: Any, schema: Mapping[str, Any]) -> None:
    """Refuse a body that does not fit; for a route that takes one of several schemas."""
    _check(body, _VALIDATOR(schema))


def _check(body: Any, validator: Any) -> None:
    wrong = best_match(validator.iter_errors(body))
    if wrong is not None:
        raise RefusalError(400, f"{wrong.json_path}: {wrong.message}"[:_LONGEST])


def _body(request: Request, validator: Any) -> Any:
    try:
        body = request.json()
    except ValueError as error:
        raise RefusalError(400, f"the body is no JSON: {error}") from None
    _check(body, validator)
    return body


def _numbers(validator: Any, asked: bool, values: Any, schema: Any) -> Iterator[ValidationError]:
    """``"numbers": True``: an array of finite numbers; item by item a schema takes a second for a large batch."""
    del validator, schema
    if asked and not (
        isinstance(values, list) and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    ):
        yield ValidationError("this is no array of finite numbers")


_VALIDATOR: Any = extend(Draft202012Validator, {"numbers": _numbers})

__all__ = ("Call", "Route", "ServiceStandIn", "check", "in_json", "record")
