"""How a search is put to LanceDB: its parameters, and the lengths of its queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_REFINED, _CANDIDATES = 20, 64


def scales_of(queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Powers of two that bring queries to a length at which ``1 - <x, y>`` keeps the digits of the product."""
    _, exponents = np.frexp(np.abs(queries).max(axis=1))
    scales: NDArray[np.float32] = np.exp2(np.minimum(40.0 - exponents, 120.0)).astype(np.float32)
    return scales


def checked(params: Mapping[str, Any]) -> Mapping[str, int]:
    """The parameters, which are whole numbers all."""
    for name, value in params.items():
        if type(value) is not int or value < 1:
            raise InvalidInputError(f"lancedb: params: {name} is a whole number from 1 on, not {value!r}")
    return params


def tuned(search: Any, params: Mapping[str, int], k: int, *, quantised: bool) -> Any:
    """A search by the vector index."""
    # With a factor, even of 1, the distances are those of the rows, not of their quantised forms. Of those, a few more
    # than k are compared anew: the engine's own habit, none, misses the nearest row too often.
    factor = params.get("refine_factor", -(-max(4 * k, _REFINED) // k) if quantised else 1)
    search = search.refine_factor(factor).ef(max(params.get("ef", _CANDIDATES), k * factor))  # it refuses less than k
    for name, value in params.items():
        if name not in ("ef", "refine_factor"):
            search = getattr(search, name)(value)
    return search
