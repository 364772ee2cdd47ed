"""From what a process saw to figures: recall against the truth, percentiles of all samples, gates, the verdict.

The truth is made here, in another process than the engine's, and no distance that a backend claims is believed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vecsearch.bench import gates, measures
from vecsearch.bench.points import CLOSED, Control, Gate, Overhead, Recall, Search, Spec, Times
from vecsearch.bench.truth import Truth, truth

_RESAMPLES = 1000

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from vecsearch.bench.datasets import Dataset
    from vecsearch.bench.tasks import Observation


def exact_recall(dataset: Dataset, found: NDArray[np.int64]) -> float:
    """Recall of exact searches of the first queries; at a tie any row will do."""
    k, first = found.shape[1], slice(0, len(found))
    whole = truth(dataset, k)
    part = Truth(whole.positions[first], whole.distances[first])
    scored = measures.recall(replace(dataset, queries=dataset.queries[first]), part, found, k)
    return 0.0 if scored.foreign or scored.repeated else scored.tied_mean


def times(samples: NDArray[np.int64]) -> Times:
    """Percentiles as a record."""
    found = measures.times(samples)
    names = ("mean", "p50", "p90", "p95", "p99", "p999", "max")
    return Times(samples=found.count, **{name: getattr(found, name) for name in names})


def search(
    spec: Spec,
    dataset: Dataset,
    passing: NDArray[np.int64] | None,
    seen: Observation,
    arrays: Mapping[str, NDArray[np.int64]],
) -> tuple[Search | None, dict[str, NDArray[np.float64]], list[Gate]]:
    """The figures of a search, its recall a query, and the gates on its answers.

    ``dataset`` holds the queries that were asked; ``passing`` the rows that may be found, ``None`` for all.
    """
    work, service = spec.workload, arrays["service_ns"]
    errors = gates.errors(seen.errors, seen.asked)
    if not len(service):
        return None, {}, [errors, gates.finished(seen.error or "no call was answered")]
    scored, answered = _recall(dataset, work.k, passing, arrays)
    recall = Recall(
        strict=scored.mean,
        tied=scored.tied_mean,
        p5=scored.p5,
        low=float(scored.strict.min()),
        short=scored.short / len(answered),
        repeated=scored.repeated,
    )
    repeats = range(len(seen.repeat_seconds))
    counts = [int(np.count_nonzero(arrays["repeat"] == number)) for number in repeats]
    sizes = np.minimum(work.batch, len(dataset.queries) - arrays["query"] * work.batch)
    found = Search(
        service=times(service),
        response=times(arrays["response_ns"]) if "response_ns" in arrays else None,
        rate=work.rate if work.kind == "open" else None,
        qps=float(sizes.sum()) / sum(seen.repeat_seconds),
        qps_repeats=[
            float(sizes[arrays["repeat"] == number].sum()) / seen.repeat_seconds[number] for number in repeats
        ],
        p50_repeats=[float(np.median(service[arrays["repeat"] == number])) for number in repeats if counts[number]],
        errors=seen.errors,
        asked=seen.asked,
        error=seen.error,
        recall=recall,
        cpu_seconds=seen.cpu_seconds,
    )
    kept = {"recall": np.full(len(dataset.queries), np.nan), "tied": np.full(len(dataset.queries), np.nan)}
    kept["recall"][answered], kept["tied"][answered] = scored.strict, scored.tied
    return found, kept, [errors, *gates.answers(recall, scored.foreign)]


def _recall(
    dataset: Dataset, k: int, passing: NDArray[np.int64] | None, arrays: Mapping[str, NDArray[np.int64]]
) -> tuple[measures.Recall, NDArray[np.int64]]:
    answered = np.flatnonzero(arrays["answered"])
    whole = truth(dataset, k, passing)
    part = Truth(whole.positions[answered], whole.distances[answered])
    some = replace(dataset, queries=dataset.queries[answered])
    return measures.recall(some, part, arrays["ids"][answered], k, passing), answered


def overhead(arrays: Mapping[str, NDArray[np.int64]], seed: int) -> tuple[Overhead, list[Gate]]:
    """How much longer vecsearch takes than the client: the ratio of the medians, its interval from resampled pairs."""
    ours, native = arrays["ours_ns"], arrays["native_ns"]
    picks = np.random.default_rng(seed).integers(0, len(ours), (_RESAMPLES, len(ours)))
    drawn = np.median(ours[picks], axis=1) / np.median(native[picks], axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    found = Overhead(
        samples=len(ours),
        native=times(native),
        ours=times(ours),
        ratio=float(np.median(ours) / np.median(native)),
        low=float(low),
        high=float(high),
        difference=float(np.median(ours - native)),
        same_answers=float(np.mean(arrays["same"])),
    )
    return found, [gates.alike(found)]


def performance(spec: Spec, found: Search, control: Control) -> list[Gate]:
    """The gates on the times of a search."""
    if spec.workload.kind == "open":
        return [gates.kept_up(found)]
    if spec.workload.kind in CLOSED:
        return [gates.ceiling(found.qps, control.null_qps), gates.samples(found), gates.spread(found)]
    return []


__all__ = ("exact_recall", "overhead", "performance", "search", "times")
