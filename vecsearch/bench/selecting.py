"""Filters of a given pass rate that lie with the queries, against them, or anyhow.

What a filter does to an approximate index depends on whether it lets the rows near the query pass. So rows are ranked
by their distance from one anchor, and asked for by that rank: the queries nearest the anchor find all their neighbours
among the first ranks (correlated), the farthest find none of them there (anti); a second, random rank is the control.
One query in four belongs to each set.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import core
from vecsearch.bench.datasets import make
from vecsearch.bench.points import FilterSpec
from vecsearch.bench.truth import truth
from vecsearch.errors import InvalidInputError
from vecsearch.filters import F, normal_form, parse, predicate, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.bench.datasets import Dataset
    from vecsearch.filters import Filter

NEAR, ANYHOW = "bench_near", "bench_random"
QUERY_SETS = {"correlated": "near", "anti": "far", "random": "some", "given": "queries"}
_SHARE, _LEAST = 4, 20
_NEIGHBOURS = 100


def ranked(dataset: Dataset, seed: int = 0) -> tuple[Dataset, dict[str, Dataset]]:
    """The dataset with two fields a row, and its sets of queries by name."""
    rng = np.random.default_rng(seed)
    anchor = dataset.queries[int(rng.integers(len(dataset.queries)))]
    n, q = len(dataset.vectors), len(dataset.queries)
    near, anyhow = np.empty(n, dtype=np.int64), rng.permutation(n)
    near[np.argsort(core.pair_distances(anchor, dataset.vectors, dataset.metric), kind="stable")] = np.arange(n)
    own: Sequence[Mapping[str, Any]] = dataset.metadata or [{}] * n
    columns = zip(own, near.tolist(), anyhow.tolist(), strict=True)
    fields = [{**row, NEAR: first, ANYHOW: second} for row, first, second in columns]
    whole = make(dataset.name, dataset.vectors, dataset.queries, dataset.metric, fields)
    order = np.argsort(core.pair_distances(anchor, dataset.queries, dataset.metric), kind="stable")
    size = min(q, max(_LEAST, q // _SHARE))
    sets = {"near": order[:size], "far": order[-size:], "some": rng.permutation(q)[:size]}
    # Each is a dataset of its own: the truth is kept by its hash.
    return whole, {name: _asking(whole, np.sort(places)) for name, places in sets.items()}


def _asking(dataset: Dataset, places: NDArray[np.int64]) -> Dataset:
    return make(dataset.name, dataset.vectors, dataset.queries[places], dataset.metric, dataset.metadata)


def made(dataset: Dataset, sets: Mapping[str, Dataset], rates: Sequence[float]) -> list[FilterSpec]:
    """A filter for each pass rate and each correlation, its lift measured."""
    found = []
    for rate in rates:
        bound = max(1, round(rate * len(dataset.vectors)))
        for correlation, field in (("correlated", NEAR), ("random", ANYHOW), ("anti", NEAR)):
            name = f"{correlation} {rate:.3g}"
            found.append(spec(sets[QUERY_SETS[correlation]], name, F(field) < bound, correlation))
    return found


def spec(dataset: Dataset, name: str, tree: Filter | Mapping[str, Any], correlation: str = "given") -> FilterSpec:
    """A filter as it is recorded, its pass rate and its lift for the queries of the dataset."""
    parsed = parse(tree)
    assert parsed is not None  # noqa: S101  a tree was given
    among = passing(dataset, parsed)
    if not len(among):
        raise InvalidInputError(f"no row passes the filter {name!r}: there is nothing to find with it")
    rate = len(among) / len(dataset.vectors)
    nearest = truth(dataset, min(_NEIGHBOURS, len(dataset.vectors))).positions
    lift = float(np.isin(nearest, among).mean()) / rate
    return FilterSpec(name=name, tree=to_json(parsed), pass_rate=rate, correlation=correlation, lift=lift)


def passing(dataset: Dataset, tree: Filter | Mapping[str, Any]) -> NDArray[np.int64]:
    """The rows for which a filter holds, by the reference evaluator; ascending."""
    parsed = parse(tree)
    assert parsed is not None  # noqa: S101  a tree was given
    holds = predicate(normal_form(parsed))
    return np.array([at for at, row in enumerate(dataset.metadata or ()) if holds(row)], dtype=np.int64)


def without_fields(dataset: Dataset) -> Dataset:
    """The dataset without metadata, for workloads that do not filter."""
    return (
        dataset
        if dataset.metadata is None
        else replace(make(dataset.name, dataset.vectors, dataset.queries, dataset.metric))
    )


__all__ = ("QUERY_SETS", "made", "passing", "ranked", "spec", "without_fields")
