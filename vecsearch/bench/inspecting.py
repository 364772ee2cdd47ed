"""How hard a data set is to search, and what its filters let pass: figures to read next to any recall."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import core

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from vecsearch.bench.datasets import Dataset

QUERIES = 500
_NEIGHBOURS = 100  # for the intrinsic dimension: fewer are noisy, more are not local
_CONTRAST_AT = 10
_ROWS = 4096  # drawn for the mean distance: its error is then below 1 % of the spread of distances
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Field:
    """One metadata field, as equality filters see it."""

    name: str
    present: float
    """The share of rows that have it"""
    values: int
    """How many different ones"""
    pass_rate_min: float
    pass_rate_median: float
    pass_rate_max: float
    """Of the filters ``field == value`` (of lists: contains), over the values"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` found; ready for JSON through ``dataclasses.asdict``."""

    name: str
    sha256: str
    metric: str
    rows: int
    dim: int
    queries: int
    norm_min: float
    norm_median: float
    norm_max: float
    duplicates: int
    """Rows equal to an earlier one"""
    known_queries: int
    """Queries equal to a row: an index may find them too easily"""
    lid_median: float | None
    lid_p90: float | None
    """Local intrinsic dimension of the queries; None where all their neighbours are equally far"""
    contrast_median: float | None
    """Relative contrast at the 10th neighbour: near 1, all rows are about as far as the nearest; None where that is a
    copy of the query"""
    fields: tuple[Field, ...]


def inspect(dataset: Dataset, *, queries: int = QUERIES, seed: int = 0) -> Inspection:
    """Size, norms, duplicates, intrinsic dimension, relative contrast, pass rates.

    Distances are those of a true metric: of unit rows under cosine (√(2 · distance)), euclidean under dotproduct.

    Args:
        dataset: what to look at.
        queries: the first so many queries are asked.
        seed: which rows are drawn for the mean distance.

    """
    rows = _metric_rows(dataset, dataset.vectors)
    asked = _metric_rows(dataset, dataset.queries[:queries])
    near, _ = core.knn(asked, rows, _NEIGHBOURS, "euclidean")
    drawn = np.random.default_rng(seed).permutation(len(rows))[:_ROWS]
    mean = core.cross_distances(asked, rows[np.sort(drawn)], "euclidean").mean(axis=1)
    dimension, contrast = intrinsic_dimension(near), relative_contrast(mean, near[:, :_CONTRAST_AT][:, -1])
    norms = core.row_norms(dataset.vectors)
    seen = set(_digests(dataset.vectors))
    return Inspection(
        name=dataset.name,
        sha256=dataset.sha256,
        metric=dataset.metric,
        rows=len(rows),
        dim=rows.shape[1],
        queries=len(dataset.queries),
        norm_min=float(norms.min()),
        norm_median=float(np.median(norms)),
        norm_max=float(norms.max()),
        duplicates=len(rows) - len(seen),
        known_queries=sum(digest in seen for digest in _digests(dataset.queries)),
        lid_median=_quantile(dimension, 0.5),
        lid_p90=_quantile(dimension, 0.9),
        contrast_median=_quantile(contrast, 0.5),
        fields=_fields(dataset.metadata or ()),
    )


def intrinsic_dimension(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Local intrinsic dimension about each query, the maximum likelihood estimate -1 / mean(ln(rᵢ / r_k)).

    Levina & Bickel, "Maximum Likelihood Estimation of Intrinsic Dimension", 2004, in the form of Amsaleg et al.,
    "Estimating Local Intrinsic Dimensionality", 2015, whose mean is over all k distances.

    Args:
        distances: float64 (q, k) of the k nearest in a true metric, ascending. Zeros, which are copies of the query,
            are left out.

    Returns:
        float64 (q,); NaN where no distance is below the largest.

    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(distances / distances[:, -1:])
        apart = np.isfinite(logs)
        total = np.where(apart, logs, 0).sum(axis=1)
        dimension: NDArray[np.float64] = np.where(total < 0, -apart.sum(axis=1) / total, np.nan)
    return dimension


def relative_contrast(mean: NDArray[np.float64], nearest: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much farther a row is on average than the k-th nearest: infinite where that is a copy of the query.

    He, Kumar & Chang, "On the Difficulty of Nearest Neighbor Search", 2012, who divide the expectations over queries;
    here it is of each query, so that a median can be taken.

    Args:
        mean: float64 (q,), the mean distance from each query.
        nearest: float64 (q,), the distance of its k-th nearest row.

    """
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast: NDArray[np.float64] = np.where(nearest > 0, mean / nearest, np.inf)
    return contrast


def _quantile(values: NDArray[np.float64], share: float) -> float | None:
    """Of what is known; None where nothing is, or it is infinite: JSON has no form for either."""
    known = values[~np.isnan(values)]
    found = float(np.quantile(known, share, method="inverted_cdf")) if known.size else np.inf
    return found if np.isfinite(found) else None


def _metric_rows(dataset: Dataset, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows whose euclidean distance is a metric that orders as the data set's own does, but for the dot product."""
    if dataset.metric != "cosine":
        return rows
    norms = core.row_norms(rows)
    unit = np.empty(rows.shape, dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        unit[part] = rows[part] / norms[part, None]
    return unit


def _digests(rows: NDArray[np.float32]) -> Iterable[bytes]:
    for start in range(0, len(rows), _BLOCK):
        for row in rows[start : start + _BLOCK] + np.float32(0):  # -0 and 0 are one number
            yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()


def _fields(metadata: Iterable[dict[str, Any]]) -> tuple[Field, ...]:
    counts: dict[str, Counter[Any]] = {}
    present: Counter[str] = Counter()
    rows = 0
    for row in metadata:
        rows += 1
        for name, value in row.items():
            if value is None:
                continue
            present[name] += 1
            members = set(value) if isinstance(value, list | tuple) else (value,)
            # True and 1 are one key of a dict, and two values of a filter.
            counts.setdefault(name, Counter()).update((isinstance(member, bool), member) for member in members)
    return tuple(
        _field(name, present[name] / rows, np.array([*found.values()]) / rows) for name, found in counts.items()
    )


def _field(name: str, present: float, rates: NDArray[np.float64]) -> Field:
    if not rates.size:  # empty lists only
        return Field(name, present, 0, 0.0, 0.0, 0.0)
    return Field(name, present, len(rates), float(rates.min()), float(np.median(rates)), float(rates.max()))
