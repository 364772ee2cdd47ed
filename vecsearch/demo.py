"""A look at what an index does, on data that comes along: ``vecsearch demo``.

The digits are those of scikit-learn, 1,797 images of 8 x 8 pixels: Alpaydin & Kaynak, "Optical Recognition of
Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

import gzip
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.errors import InvalidInputError, MissingDependencyError, RunNotFoundError
from vecsearch.filters import F, Filter
from vecsearch.runs import get_run_info
from vecsearch.similarity import compute_similarity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch.duplicates import Duplicates, Unique
    from vecsearch.index import SimilarityIndex
    from vecsearch.results import Ranking

K = 10
_UNIQUE = 20
_SHOWN = 5
_QUERIES = 2_000
_FRACTION = 0.02


@dataclass(slots=True)
class Subject:
    """What is indexed, and what is asked about it."""

    title: str
    key: str
    embeddings: NDArray[Any]
    ids: list[str]
    metadata: dict[str, list[Any]]
    label: str
    """The metadata field that similar rows should share"""
    query: str
    view: Filter
    view_name: str
    texts: list[str] | None = None
    images: NDArray[Any] | None = None
    thresh: float | None = None
    """The distance of a near-duplicate; else the most alike are taken, a share of the rows"""

    def name(self, row_id: str, position: Mapping[str, int]) -> str:
        """How a row is called in the report."""
        at = position[row_id]
        return self.texts[at] if self.texts else f"{self.label} {self.metadata[self.label][at]}"


@dataclass(slots=True)
class Report:
    """What came out; ``facts`` is ready for JSON."""

    subject: Subject
    facts: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)
    hint: str = ""
    """Why there are no pictures, where they were asked for"""


def digits() -> Subject:
    """The handwritten digits of scikit-learn."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return Subject(
        title="1,797 handwritten digits, 8 x 8 pixels each, from scikit-learn",
        key="digits",
        embeddings=data.data,
        ids=[str(number) for number in range(len(data.data))],
        metadata={"digit": data.target.tolist()},
        label="digit",
        query="29",
        view=F("digit") == 3,  # noqa: PLR2004
        view_name="the 3s",
        images=data.images,
    )


def wordnet(folder: Path) -> Subject:
    """WordNet's definitions with the embeddings in ``folder``: ``embeddings-f16.npy`` and ``glosses.jsonl.gz``."""
    vectors, glosses = folder / "embeddings-f16.npy", folder / "glosses.jsonl.gz"
    for file in (vectors, glosses):
        if not file.is_file():
            raise InvalidInputError(f"there is no {file}; without --data the demo uses digits that come along")
    with gzip.open(glosses, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    ids = [row["id"] for row in rows]
    return Subject(
        title=f"{len(rows):,} word senses of WordNet with their definitions",
        key="wordnet",
        embeddings=np.load(vectors, allow_pickle=False),
        ids=ids,
        metadata={"pos": [row["pos"] for row in rows], "topic": [row["lex"] for row in rows]},
        label="topic",
        query="00537534-n" if "00537534-n" in ids else ids[0],
        view=F("pos") == "verb",
        view_name="the verbs",
        texts=[f"{', '.join(row['words'])}: {row['gloss']}" for row in rows],
        thresh=0.05,
    )


def run(subject: Subject, out: Path | None = None) -> Report:
    """Index it, save the run, ask, and draw into the folder ``out``.

    Raises ``InvalidInputError`` where a run of that key exists that no demo made.
    """
    _refuse_anothers(subject)
    report = Report(subject, {})
    position = {row_id: at for at, row_id in enumerate(subject.ids)}
    with _timed(report, "index"):
        index = compute_similarity(
            embeddings=subject.embeddings,
            sample_ids=subject.ids,
            metadata=subject.metadata,
            documents=subject.texts,
            key=subject.key,
            metric="cosine",
            if_exists="replace",
        )
    with index:
        duplicates, unique = _asked(index, report, position)
        if out is not None and subject.images is not None:
            _draw(report, out, index, duplicates, unique)
    return report


def _refuse_anothers(subject: Subject) -> None:
    """A run that is not the demo's is not the demo's to replace."""
    try:
        info = get_run_info(subject.key)
    except RunNotFoundError:
        return
    if info.state == "ready" and info.dim != subject.embeddings.shape[1]:
        raise InvalidInputError(
            f"there is a run {subject.key!r} that is not the demo's; give it another key: "
            f"vecsearch runs rename {subject.key} my_{subject.key}"
        )


@contextmanager
def _timed(report: Report, what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    report.seconds[what] = time.perf_counter() - started


def _asked(index: SimilarityIndex, report: Report, position: Mapping[str, int]) -> tuple[Duplicates, Unique]:
    subject = report.subject

    def named(ids: Sequence[str]) -> list[str]:
        return [subject.name(row_id, position) for row_id in ids]

    def matches(ranking: Ranking) -> list[dict[str, Any]]:
        names = named(ranking.ids.tolist())
        return [{"id": m.id, "distance": m.distance, "name": n} for m, n in zip(ranking, names, strict=True)]

    with _timed(report, "search"):
        ranking = index.search(ids=[subject.query], k=K, exclude_self=True)[0]
    with _timed(report, "share"):
        share, asked = _share(index, subject)
    with _timed(report, "duplicates"):
        fraction = _FRACTION if subject.thresh is None else None
        duplicates = index.find_duplicates(subject.thresh, fraction, progress=None)
    with _timed(report, "unique"):
        unique = index.find_unique(_UNIQUE)
    with _timed(report, "view"):
        view = index.use_view(filter=subject.view)
        within = view.search(ids=[subject.query], k=_SHOWN)[0]
    closest = np.argsort(duplicates.distances, kind="stable")[:_SHOWN]
    report.facts = {
        "key": subject.key,
        "rows": index.count(),
        "dim": index.dim,
        "metric": index.metric,
        "backend": index.config.method,
        "query": {"id": subject.query, "name": named([subject.query])[0]},
        "neighbors": matches(ranking),
        "share": {"k": K, "queries": asked, "field": subject.label, "share": share},
        "duplicates": {
            "count": len(duplicates),
            "fraction": duplicates.fraction,
            "thresh": duplicates.thresh,
            "closest": [
                {
                    "id": duplicates.duplicate_ids[at],
                    "nearest_id": duplicates.nearest_ids[at],
                    "distance": float(duplicates.distances[at]),
                    "names": named([duplicates.duplicate_ids[at], duplicates.nearest_ids[at]]),
                }
                for at in closest
            ],
        },
        "unique": [
            {"id": row_id, "name": name}
            for row_id, name in zip(unique.unique_ids.tolist(), named(unique.unique_ids.tolist()), strict=True)
        ],
        "view": {"name": subject.view_name, "rows": view.count(), "neighbors": matches(within)},
    }
    return duplicates, unique


def _share(index: SimilarityIndex, subject: Subject) -> tuple[float, int]:
    """How many of the ``K`` nearest of each row share its label: over all rows, or over some spread evenly."""
    step = 1 if len(subject.ids) <= _QUERIES else len(subject.ids) // _QUERIES
    asked = subject.ids[::step]
    labels = dict(zip(subject.ids, subject.metadata[subject.label], strict=True))
    same = total = 0
    for start in range(0, len(asked), _QUERIES):
        queries = asked[start : start + _QUERIES]
        for row_id, found in zip(queries, index.search(ids=queries, k=K, exclude_self=True, include=()), strict=True):
            same += sum(labels[other] == labels[row_id] for other in found.ids)
            total += len(found)
    return same / total, len(asked)


def _draw(report: Report, out: Path, index: SimilarityIndex, duplicates: Duplicates, unique: Unique) -> None:
    """Three pictures; without matplotlib a hint."""
    from vecsearch import plots

    subject, images = report.subject, report.subject.images
    assert images is not None  # noqa: S101  asked before
    labels = subject.metadata[subject.label]
    titles = {row_id: f"{row_id}, {subject.label} {label}" for row_id, label in zip(subject.ids, labels, strict=True)}
    firsts = [labels.index(label) for label in sorted(set(labels))]  # one of each kind
    found = index.search(ids=[subject.ids[at] for at in firsts], k=K, exclude_self=True, include=())
    pictures = [out / name for name in ("neighbors.png", "duplicates.png", "unique.png")]
    with _timed(report, "pictures"):
        try:
            out.mkdir(parents=True, exist_ok=True)
            plots.plot_neighbors(
                [images[at] for at in firsts], found, images, ids=subject.ids, titles=titles, path=pictures[0]
            )
            plots.plot_duplicates(duplicates, images, ids=subject.ids, path=pictures[1], rows=6)
            plots.plot_unique(unique, images, ids=subject.ids, path=pictures[2])
        except MissingDependencyError as error:
            report.hint = str(error)
            return
        except OSError as error:
            raise InvalidInputError(f"the pictures cannot be written to {out}: {error.strerror or error}") from error
    report.pictures = pictures
