"""The audit of an index: its search against the exact answer on its own rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch import core
from vecsearch.calls import VECTORS, Engine
from vecsearch.errors import InvalidInputError
from vecsearch.queries import SCAN_ROWS, Options, nearest
from vecsearch.scopes import Scope, scan
from vecsearch.types import RecallReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_RESAMPLES = 1000
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


def measure(engine: Engine, scope: Scope, queries: int, k: int, params: Mapping[str, Any], seed: int) -> RecallReport:
    """Recall over ``queries`` rows of the scope, drawn without replacement by ``seed``.

    The queries are drawn in one pass (reservoir sampling, Vitter 1985), the truth comes from one more pass for all of
    them; each search is timed alone. A returned row counts if it is no farther than the true k-th, within the tolerance
    of float32. The interval is the bootstrap's (Efron 1979) over queries.
    """
    generator = np.random.default_rng(seed)
    sample = _sample(engine, scope, queries, generator)
    if not len(sample):
        raise InvalidInputError("no rows to measure recall on")
    assert engine.spec is not None  # noqa: S101  it has rows
    truth = core.Nearest(sample, k, engine.spec.metric)
    seen = 0
    for batch in scan(engine, scope, VECTORS, SCAN_ROWS):
        assert batch.vectors is not None  # noqa: S101  asked for
        truth.update(batch.vectors, np.arange(seen, seen + len(batch)))
        seen += len(batch)
    distances, _ = truth.result()
    shares, times = np.empty(len(sample)), np.empty(len(sample))
    for number in range(len(sample)):
        started = time.perf_counter_ns()
        found = nearest(engine, scope, sample[number : number + 1], Options(k, params=params))[0]
        times[number] = (time.perf_counter_ns() - started) / 1e6
        radius = distances[number][-1]
        inside = found.distances <= radius + abs(radius) * _RELATIVE + _ABSOLUTE
        shares[number] = np.count_nonzero(inside) / len(distances[number])
    means = generator.choice(shares, (_RESAMPLES, len(shares))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    p50, p95 = np.quantile(times, (0.5, 0.95))
    return RecallReport(float(shares.mean()), float(low), float(high), len(sample), k, float(p50), float(p95))


def _sample(engine: Engine, scope: Scope, size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    kept: list[NDArray[np.float32]] = []
    seen = 0
    for batch in scan(engine, scope, VECTORS, SCAN_ROWS):
        for row in batch.vectors if batch.vectors is not None else ():
            seen += 1
            if len(kept) < size:
                kept.append(row)
            elif (place := int(generator.integers(seen))) < size:
                kept[place] = row
    return np.array(kept, dtype=np.float32)
