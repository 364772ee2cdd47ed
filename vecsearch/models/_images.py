"""Images on their way to a model: as the bytes of a file, or opened."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from vecsearch.errors import InvalidInputError

_KINDS = "a path, the bytes of a file, or a PIL image"


def encoded(sample: Any) -> bytes:
    """The bytes of an image file: of a path, as they are, or of a PIL image, as PNG."""
    if isinstance(sample, (bytes, bytearray, memoryview)):
        return bytes(sample)
    if isinstance(sample, (str, Path)):
        try:
            return Path(sample).expanduser().read_bytes()
        except OSError as error:
            raise InvalidInputError(f"the image {str(sample)!r} cannot be read: {error.strerror or error}") from error
    if hasattr(sample, "save") and hasattr(sample, "mode"):
        buffer = io.BytesIO()
        sample.save(buffer, format="PNG")
        return buffer.getvalue()
    raise InvalidInputError(f"an image is {_KINDS}, not {type(sample).__name__}")


def opened(sample: Any) -> Any:
    """A PIL image in RGB."""
    if hasattr(sample, "convert") and hasattr(sample, "mode"):
        return sample.convert("RGB")
    from PIL import Image

    content = encoded(sample)
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises for a damaged file
        raise InvalidInputError(f"no image can be read from {_shown(sample)}: {error}") from error


def _shown(sample: Any) -> str:
    return repr(str(sample)) if isinstance(sample, (str, Path)) else f"{len(bytes(sample))} bytes"


__all__ = ("encoded", "opened")
