"""The rows that the suite writes, and what must come of them, by brute force in float64."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from vecsearch.backends.base import Metric
    from vecsearch.results import Ranking

ROWS, DIM = 200, 16
RELATIVE, ABSOLUTE = 1e-4, 1e-5
START = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))


@dataclass(frozen=True, slots=True)
class Data:
    """Aligned columns."""

    ids: list[str]
    vectors: NDArray[np.float32]
    metadata: list[dict[str, Any]]
    documents: list[str | None]

    def columns(self) -> dict[str, Any]:
        """As arguments of ``compute_similarity`` and ``add_to_index``, the vectors read-only."""
        return {
            "embeddings": self.vectors,
            "sample_ids": self.ids,
            "metadata": self.metadata,
            "documents": self.documents,
        }

    def take(self, positions: Iterable[int]) -> Data:
        """These rows."""
        chosen = list(positions)
        return Data(
            [self.ids[p] for p in chosen],
            self.vectors[chosen],
            [self.metadata[p] for p in chosen],
            [self.documents[p] for p in chosen],
        )

    def those(self, holds: Callable[[dict[str, Any]], bool]) -> list[str]:
        """The ids of the rows whose metadata pass the test."""
        return [row_id for row_id, row in zip(self.ids, self.metadata, strict=True) if holds(row)]

    def by_id(self) -> dict[str, NDArray[np.float32]]:
        """Vectors by id."""
        return dict(zip(self.ids, self.vectors, strict=True))


def vectors(rows: int, seed: int = 0, dim: int = DIM) -> NDArray[np.float32]:
    """Random vectors of very different lengths, read-only."""
    generator = np.random.default_rng(seed)
    lengths = generator.uniform(0.2, 5.0, (rows, 1))
    made: NDArray[np.float32] = (generator.standard_normal((rows, dim)) * lengths / np.sqrt(dim)).astype(np.float32)
    made.flags.writeable = False
    return made


def sample_rows(rows: int = ROWS) -> Data:
    """Rows whose order of writing is not the order of their ids, of which the last tenth repeats vectors of the first.

    So every search meets equal distances, which the ids decide.
    """
    made = vectors(rows).copy()
    made[rows - rows // 10 :] = made[: rows // 10]
    made.flags.writeable = False
    ids = [f"r{(position * 77) % 1009:04d}" for position in range(rows)]
    return Data(ids, made, [_metadata(p) for p in range(rows)], [_document(p) for p in range(rows)])


def _metadata(position: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "number": position,
        "ratio": position / 4,
        "parity": "odd" if position % 2 else "even",
        "tags": [f"t{position % 5}", "all"],
        "taken": START + timedelta(hours=position),
    }
    if position % 10 != 7:
        row["flag"] = position % 3 == 0
    if position == 17:
        row["rare"] = "yes"
    return row


def _document(position: int) -> str | None:
    return None if position % 5 == 4 else f"the text of row {position}"


EVERY_TYPE: dict[str, dict[str, Any]] = {
    "text": {"x": "plain"},
    "empty text": {"x": ""},
    "unicode": {"x": 'Zürich 東京 🦊 \u202e "quoted" \\ \n\t'},
    "nul": {"x": "before\0after"},
    "long text": {"x": "x" * 10_000},
    "int": {"x": 7},
    "negative": {"x": -7},
    "past floats": {"x": 2**53 + 1},
    "largest": {"x": 2**63 - 1},
    "smallest": {"x": -(2**63)},
    "whole float": {"x": 1.0},
    "float": {"x": 0.1},
    "tiny float": {"x": 5e-324},
    "huge float": {"x": 1.7976931348623157e308},
    "true": {"x": True},
    "false": {"x": False},
    "zero": {"x": 0},
    "utc": {"x": datetime(2026, 3, 4, 5, 6, 7, 891_011, tzinfo=UTC)},
    "offset": {"x": datetime(1912, 6, 23, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5, minutes=30)))},
    "list": {"x": ["a", "b", "a", "ü"]},
    "empty list": {"x": []},
    "several": {"x": 1, "y": "two", "z": 3.0, "_hidden": True, "Name_9": ["four"]},
    "nothing": {},
}
"""Metadata of every type that the contract allows, by the id of its row."""

TRICKY_IDS = [
    "plain",
    "with space",
    " leading and trailing ",
    "UPPER",
    "upper",
    "Ünïcödé",
    "u\u0308",  # ü in two code points
    "\u00fc",  # ü in one: another id
    "東京",
    "🦊",
    "'; DROP TABLE item; --",
    '" OR ""="',
    "a' OR 'a'='a",
    "back\\slash",
    "line\nbreak",
    "tab\tbed",
    "%_like*?",
    "{json: [1]}",
    "$where",
    "/a/path/../up",
    "https://example.org/?q=1&r=2#here",
    "null",
    "None",
    "true",
    "1.0",
    "0012",
    "-",
    ".",
    "\u202eright to left",
    "x" * 4096,
    "é" * 2048,
]
"""Ids of every legal shape."""


def distances(query: NDArray[Any], rows: NDArray[Any], metric: Metric) -> NDArray[np.float64]:
    """The distance of ``query`` to each row, in float64, from its definition."""
    one, many = np.asarray(query, np.float64), np.asarray(rows, np.float64)
    if metric == "euclidean":
        result = np.sqrt(((many - one) ** 2).sum(axis=1))
    elif metric == "dotproduct":
        result = -(many * one).sum(axis=1)
    else:
        result = 1.0 - (many * one).sum(axis=1) / np.sqrt((many**2).sum(axis=1) * (one**2).sum())
    return np.asarray(result, dtype=np.float64)


def truth(
    query: NDArray[Any], rows: Mapping[str, NDArray[Any]], metric: Metric, among: Iterable[str] | None = None
) -> dict[str, float]:
    """The true distance of every row by id, or of those ``among``."""
    ids = list(rows if among is None else among)
    if not ids:
        return {}
    return dict(zip(ids, distances(query, np.stack([rows[i] for i in ids]), metric).tolist(), strict=True))


def close(measured: Sequence[float] | NDArray[Any], expected: Sequence[float] | NDArray[Any], scale: float) -> bool:
    """Whether distances agree as float32 can: rtol 1e-4 and atol 1e-5 of ``scale``."""
    return bool(np.allclose(measured, expected, rtol=RELATIVE, atol=ABSOLUTE * max(scale, 1.0)))


def assert_ranking(
    ranking: Ranking, expected: Mapping[str, float], k: int | None, *, exact: bool = True, reverse: bool = False
) -> None:
    """The ranking holds ``min(k, rows)`` different rows with their true distances, ordered by (distance, id).

    ``expected`` has the true distance of every row in scope. Where ``exact``, they are the nearest: no row that was
    left out is nearer than the last.
    """
    scale = max(map(abs, expected.values()), default=1.0)
    ids, found = ranking.ids.tolist(), np.asarray(ranking.distances)
    wanted = len(expected) if k is None else min(k, len(expected))
    assert len(set(ids)) == len(ids), f"a row appears twice: {ids}"
    assert set(ids) <= set(expected), f"rows that are not in scope: {sorted(set(ids) - set(expected))[:5]}"
    assert len(ids) == wanted, f"{len(ids)} rows instead of {wanted}"
    assert found.dtype == np.float64
    true = np.array([expected[row_id] for row_id in ids])
    assert close(found, true, scale), f"distances {found[:5]}, true are {true[:5]}"
    keys = -found if reverse else found
    pairs = list(zip(keys.tolist(), ids, strict=True))
    assert pairs == sorted(pairs), "rows are not ordered by (distance, id)"
    if exact:
        best = sorted(expected.values(), reverse=reverse)[:wanted]
        assert close(found, best, scale), f"not the nearest rows: {found[:5]}, the nearest have {best[:5]}"


def ulps(measured: NDArray[np.float32], expected: NDArray[np.float32]) -> int:
    """The largest difference in units in the last place."""
    if not measured.size:
        return 0
    spacing = np.spacing(np.maximum(np.abs(measured), np.abs(expected)).astype(np.float32))
    return int(np.max(np.abs(measured.astype(np.float64) - expected) / spacing))


def same_metadata(found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Equal, the types and the offsets of datetimes included."""
    return _typed(found) == _typed(expected)


def _typed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: (type(value).__name__, value, value.utcoffset() if isinstance(value, datetime) else None)
        for name, value in row.items()
    }
