"""A stand-in for endpoints of embedding models: OpenAI's ``/embeddings``, and Databricks Model Serving's invocations.

What it proves is the wire: the real clients' requests, checked strictly, and answers on purpose good or bad. The models
behind it are functions of the test. Checked with httpx 0.28 and databricks-sdk 0.156.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.testing.standins.http import Answer, LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vecsearch.testing.standins.http import Request

    Embed = Callable[[Sequence[str]], Any]

_OPENAI_FIELDS = {"model", "input", "encoding_format", "dimensions"}
_DATABRICKS_BYTES = 16 << 20
_OPENAI_INPUTS = 2048


class EmbeddingStandIn(LoopbackServer):
    """Serves ``models``, functions from texts (or base64 images) to vectors, by both protocols.

    ``token``, where it is given, must come with each request. ``change`` may spoil the body of a good answer.
    """

    def __init__(self, models: Mapping[str, Embed], *, token: str | None = None) -> None:
        super().__init__()
        self.models = dict(models)
        self.token = token
        self.change: Callable[[Any], Any] = lambda body: body

    def answer(self, request: Request) -> Answer:
        """The answer to one request."""
        if request.path[:1] == (".well-known",):  # the SDK asks for it before anything else, and does without
            return Answer(404, b"{}")
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            openai = request.path[:1] == ("v1",)
            body: Any = {"error": {"message": "bad key"}}
            return _said(401, body if openai else {"error_code": "UNAUTHENTICATED", "message": "bad token"})
        if request.method == "POST" and request.path == ("v1", "embeddings"):
            return self._openai(request.json())
        if (
            request.method == "POST"
            and request.path[:1] == ("serving-endpoints",)
            and request.path[2:] == ("invocations",)
        ):
            return self._databricks(request)
        return _said(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "no such path"})

    def _openai(self, body: Any) -> Answer:
        unknown = set(body) - _OPENAI_FIELDS
        texts = body.get("input")
        if unknown or not isinstance(texts, list) or not 0 < len(texts) <= _OPENAI_INPUTS:
            return _said(400, {"error": {"message": f"invalid input {sorted(unknown)}"}})
        if not all(isinstance(text, str) and text for text in texts):
            return _said(400, {"error": {"message": "'$.input' is invalid: an empty string"}})
        if body.get("model") not in self.models:
            return _said(404, {"error": {"message": f"The model {body.get('model')!r} does not exist"}})
        vectors = np.asarray(self.models[body["model"]](texts), dtype=np.float64)[:, : body.get("dimensions")]
        data = [
            {"object": "embedding", "index": row, "embedding": vector.tolist()} for row, vector in enumerate(vectors)
        ]
        # Out of order on purpose: `index` is what the protocol promises.
        return _said(200, self.change({"object": "list", "data": data[::-1], "model": body["model"]}))

    def _databricks(self, request: Request) -> Answer:
        name, body = request.path[1], request.json()
        if name not in self.models:
            return _said(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no endpoint {name}"})
        if len(request.body) > _DATABRICKS_BYTES:
            return _said(400, {"error_code": "MAX_REQUEST_SIZE_EXCEEDED", "message": "more than 16 MB"})
        records = body.get("dataframe_records")
        good = set(body) == {"dataframe_records"} and all(
            set(record) == {"input"} and isinstance(record["input"], str) and record["input"] for record in records
        )
        if not good:
            return _said(400, {"error_code": "BAD_REQUEST", "message": "the records are not those of the signature"})
        vectors = np.asarray(self.models[name]([record["input"] for record in records]), dtype=np.float64)
        return _said(200, self.change({"predictions": vectors.tolist()}))


def _said(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode())


__all__ = ("EmbeddingStandIn",)
