"""Images for a figure: which one belongs to which id, and its pixels, from arrays, files, bytes or PIL images."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import checks
from vecsearch.errors import InvalidInputError, MissingDependencyError, MissingIdsError
from vecsearch.results import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LARGEST = 384  # pixels on a side: more than a tile of a figure can show
_CHANNELS = (1, 3, 4)
_EIGHT_BIT = 255


def by_id(images: Any, needed: Sequence[str], ids: Sequence[Any] | None = None) -> dict[str, Any]:
    """The image of each id in ``needed``.

    ``images`` is a mapping ``{id: image}``, a function of the id, or a sequence aligned with ``ids``. A pandas Series
    goes by its index. Where the ids are the paths of the images, a sequence of these paths is enough.

    Raises ``MissingIdsError`` for ids that have no image.
    """
    found = _lookup(images, needed, ids)
    missing = [name for name in needed if name not in found]
    if missing:
        raise MissingIdsError(f"images: none for {missing[:5]!r}; give {{id: image}}, or a list with ids=", missing)
    return {name: found[name] for name in needed}


def _lookup(images: Any, needed: Sequence[str], ids: Sequence[Any] | None) -> dict[str, Any]:
    wanted = set(needed)
    if ids is not None:
        names, items = checks.ids(ids, "ids"), list(images)
        checks.same_length(len(names), len(items), "images", "ids")
        return {name: item for name, item in zip(names, items, strict=True) if name in wanted}
    if isinstance(images, Mapping):
        keys = {as_text(key): key for key in images}  # keys alone: a mapping may load its images when asked
        return {name: images[keys[name]] for name in needed if name in keys}
    if callable(images):
        return {name: images(name) for name in needed}
    if isinstance(images, (str, bytes)) or not isinstance(images, Iterable):
        raise InvalidInputError("images must be {id: image}, a function of the id, or a list of images with ids=")
    index = getattr(images, "index", None)
    if index is not None and not callable(index):
        by_index = {as_text(name): item for name, item in zip(index, images, strict=True) if as_text(name) in wanted}
        if wanted <= by_index.keys():
            return by_index
    paths = {str(item): item for item in images if isinstance(item, (str, Path)) and str(item) in wanted}
    if not paths and wanted:
        raise InvalidInputError(
            "images is a list, which does not say whose image each is: add ids=, in the same order, or give {id: image}"
        )
    return paths


def pixels(image: Any) -> NDArray[Any] | None:
    """An image as ``imshow`` takes it: (h, w) of one brightness, or (h, w, 3 or 4); ``None`` if it cannot be read.

    Large files are decoded at a reduced size. Channels may come first or last; colours of any range become 8 bit.
    """
    if isinstance(image, (str, Path, bytes)):
        return _decoded(image)
    array = np.asarray(image)
    if array.dtype.kind not in "biuf" or not array.size:
        return None
    if array.dtype.kind == "f":
        array = np.nan_to_num(array)
    if array.ndim == 3 and array.shape[-1] not in _CHANNELS and array.shape[0] in _CHANNELS:  # noqa: PLR2004  h, w, channels
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:  # noqa: PLR2004  the same
        array = array[..., 0]
    if array.ndim == 2:  # noqa: PLR2004  brightness
        return array
    if array.ndim != 3 or array.shape[-1] not in _CHANNELS:  # noqa: PLR2004  the same
        return None
    if array.dtype != np.uint8:
        scale = _EIGHT_BIT if array.dtype.kind in "bf" and array.max() <= 1 else 1
        array = np.clip(array * float(scale), 0, _EIGHT_BIT).astype(np.uint8)
    return array


def _decoded(source: str | Path | bytes) -> NDArray[Any] | None:
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as error:
        raise MissingDependencyError("image files need Pillow: pip install 'vecsearch[plot]'") from error
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            image.draft("RGB", (_LARGEST, _LARGEST))
            image.thumbnail((_LARGEST, _LARGEST))
            upright = ImageOps.exif_transpose(image)
            return np.asarray(upright if upright.mode in ("L", "RGB", "RGBA") else upright.convert("RGBA"))
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ):  # Pillow raises each of them for a damaged file
        return None
