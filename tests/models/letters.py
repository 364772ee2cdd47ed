"""A model that counts letters: small, and of another vector for every text of other letters."""

from typing import ClassVar

import numpy as np
from pydantic import SecretStr

from vecsearch.models import EmbeddingModel, ModelConfig

DIM = 27


def count(texts):
    """Unit-free counts of the letters a to z, and one more so that no vector is zero."""
    vectors = np.ones((len(texts), DIM), np.float32)
    for row, text in enumerate(texts):
        for letter in text.lower():
            if "a" <= letter <= "z":
                vectors[row, ord(letter) - ord("a")] += 1
    return vectors


class LettersConfig(ModelConfig):
    key: SecretStr | None = None
    url: str | None = None
    timeout: float = 5.0


class Letters(EmbeddingModel[LettersConfig]):
    """A provider as another distribution would write it; ``fails`` holds what its next calls raise."""

    provider = "letters"
    Config = LettersConfig
    fails: ClassVar[list[Exception]] = []
    faults: ClassVar[dict[type[Exception], str]] = {ConnectionResetError: "unavailable", PermissionError: "denied"}
    calls: ClassVar[list[list[str]]] = []
    opened = 0

    def open(self):
        type(self).opened += 1
        return object()

    def vectors(self, payloads, *, prompt):
        assert self.client is not None
        self.calls.append(payloads)
        if self.fails:
            raise self.fails.pop(0)
        if any("bad" in payload for payload in payloads):
            raise RuntimeError("a bad text")
        return count(payloads)

    def fault(self, error):
        return self.faults.get(type(error))


class Outside(Letters):
    provider = "outside"
