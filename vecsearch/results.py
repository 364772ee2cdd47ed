"""What a search returns: ``Neighbors``, a sequence of ``Ranking``, one for each query."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from vecsearch.errors import InvalidInputError, MissingDependencyError, MissingIdsError
from vecsearch.types import Match

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from vecsearch.types import QueryKind, Records

_SHOWN = 10


def object_array(values: Sequence[Any]) -> NDArray[np.object_]:
    """A 1-D object array of these values, whatever they are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def as_text(value: object) -> str:
    """The id of a row as text: int 3 and "3" name the same row."""
    return value if type(value) is str else str(value)


class Ranking(Sequence[Match]):
    """The rows nearest to one query, nearest first (farthest first with ``reverse=True``).

    Rows are ordered by (distance, id). Distances are float64 in the metric's unit: cosine ``1 - cos``, euclidean
    ``‖x - y‖``, dotproduct ``-⟨x, y⟩``; smaller is nearer for all of them. Iterating gives ``Match``es of plain Python
    values. A part that was not included raises, naming the ``include=`` to write.
    """

    __slots__ = ("_patches", "_records", "distances", "exact", "query_kind")

    def __init__(
        self,
        records: Records,
        distances: NDArray[np.float64],
        *,
        exact: bool,
        query_kind: QueryKind,
        patches: bool,
    ) -> None:
        self._records = records
        self._patches = patches
        self.distances = distances
        self.exact = exact
        """Whether the answer is the exact one, not an approximation of the engine."""
        self.query_kind = query_kind
        """How the query was read: as a vector, an id, or text."""

    @property
    def ids(self) -> NDArray[np.object_]:
        """The identity of each row: label ids on a patch index, else sample ids; shape (k,), of str."""
        return object_array(self._records.ids)

    @property
    def sample_ids(self) -> NDArray[np.object_]:
        """The sample of each row; shape (k,), of str."""
        return object_array(self._records.ids if self._records.sample_ids is None else self._records.sample_ids)

    @property
    def label_ids(self) -> NDArray[np.object_] | None:
        """The label of each row on a patch index; ``None`` where there is a row per sample."""
        return object_array(self._records.ids) if self._patches else None

    @property
    def metadata(self) -> list[dict[str, Any]]:
        """The metadata of each row."""
        part: list[dict[str, Any]] = self._part(self._records.metadata, "metadata")
        return part

    @property
    def documents(self) -> list[str | None]:
        """The document of each row, ``None`` where it has none."""
        part: list[str | None] = self._part(self._records.documents, "documents")
        return part

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The vector of each row: float32, shape (k, dim)."""
        part: NDArray[np.float32] = self._part(self._records.vectors, "embeddings")
        return part

    def _part(self, part: Any, name: str) -> Any:
        if part is None:
            raise InvalidInputError(f'{name} were not included in this result; search with include=("{name}", ...)')
        return part

    def positions(self, ids: Iterable[Any]) -> NDArray[np.int64]:
        """Where each row stands in ``ids``: int64, shape (k,), for ``table.iloc[...]``.

        Ints and strings that look alike are the same id. Raises ``MissingIdsError`` for a row that is not in ``ids``.
        """
        where = {as_text(value): position for position, value in enumerate(ids)}
        unknown = [row for row in self._records.ids if row not in where]
        if unknown:
            raise MissingIdsError(f"not in the ids given: {unknown[:5]!r}", unknown)
        return np.array([where[row] for row in self._records.ids], dtype=np.int64)

    def to_columns(self) -> dict[str, list[Any]]:
        """Plain columns for any table library: id, distance, sample_id (patch index), document, metadata fields."""
        columns: dict[str, list[Any]] = {"id": list(self._records.ids), "distance": self.distances.tolist()}
        if self._records.sample_ids is not None:
            columns["sample_id"] = list(self._records.sample_ids)
        if self._records.documents is not None:
            columns["document"] = list(self._records.documents)
        rows = self._records.metadata or []
        for name in sorted({name for row in rows for name in row}):
            if name in columns:
                raise InvalidInputError(
                    f"a metadata field is called {name!r} like a column of the result; use .metadata"
                )
            columns[name] = [row.get(name) for row in rows]
        return columns

    def to_pandas(self) -> pd.DataFrame:
        """A row per match; metadata fields under their own names."""
        frame: pd.DataFrame = pandas().DataFrame(self.to_columns())
        return frame

    @overload
    def __getitem__(self, index: int) -> Match: ...
    @overload
    def __getitem__(self, index: slice) -> list[Match]: ...
    def __getitem__(self, index: int | slice) -> Match | list[Match]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        records = self._records
        row_id = records.ids[index]
        return Match(
            id=row_id,
            distance=float(self.distances[index]),
            sample_id=row_id if records.sample_ids is None else records.sample_ids[index],
            label_id=row_id if self._patches else None,
            metadata=None if records.metadata is None else records.metadata[index],
            document=None if records.documents is None else records.documents[index],
        )

    def __iter__(self) -> Iterator[Match]:
        return (self[position] for position in range(len(self)))

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        rows = ", ".join(f"{match.id!r}: {match.distance:.4f}" for match in self[:_SHOWN])
        more = f", … {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        answer = "exact" if self.exact else "approximate"
        return f"Ranking({len(self)} rows by {self.query_kind}, {answer}; {{{rows}{more}}})"

    def _repr_html_(self) -> str:
        return html_table(
            [
                {"id": m.id, "distance": f"{m.distance:.4f}", **(m.metadata or {}), "document": m.document}
                for m in self[: 2 * _SHOWN]
            ],
            caption=repr(self).split(";", 1)[0].removeprefix("Ranking("),
        )


class Neighbors(Sequence[Ranking]):
    """One ``Ranking`` for each query of a batch, in the order of the queries."""

    __slots__ = ("_rankings",)

    def __init__(self, rankings: Sequence[Ranking]) -> None:
        self._rankings = tuple(rankings)

    @property
    def ids(self) -> list[NDArray[np.object_]]:
        """The ids of each ranking."""
        return [ranking.ids for ranking in self._rankings]

    @property
    def distances(self) -> list[NDArray[np.float64]]:
        """The distances of each ranking."""
        return [ranking.distances for ranking in self._rankings]

    def to_pandas(self) -> pd.DataFrame:
        """All rankings in one table, with the number of the query in the column ``query``."""
        frames = [ranking.to_pandas().assign(query=number) for number, ranking in enumerate(self._rankings)]
        table: pd.DataFrame = pandas().concat(frames, ignore_index=True) if frames else pandas().DataFrame()
        return table

    @overload
    def __getitem__(self, index: int) -> Ranking: ...
    @overload
    def __getitem__(self, index: slice) -> Neighbors: ...
    def __getitem__(self, index: int | slice) -> Ranking | Neighbors:
        return Neighbors(self._rankings[index]) if isinstance(index, slice) else self._rankings[index]

    def __len__(self) -> int:
        return len(self._rankings)

    def __repr__(self) -> str:
        first = f"; first: {self._rankings[0]!r}" if self._rankings else ""
        return f"Neighbors({len(self)} queries{first})"

    def _repr_html_(self) -> str:
        return "".join(f"<p>query {n}</p>{r._repr_html_()}" for n, r in enumerate(self._rankings[:3]))


def html_table(rows: Sequence[dict[str, Any]], caption: str) -> str:
    """A small table for a notebook; every value is escaped."""
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if value is not None))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(row.get(name, '')))}</td>" for name in names) + "</tr>" for row in rows
    )
    return f"<table><caption>{html.escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def pandas() -> Any:
    """The module pandas, or an error that says how to install it."""
    try:
        import pandas as module  # noqa: ICN001  it is returned
    except ModuleNotFoundError as error:
        raise MissingDependencyError("this needs pandas: pip install 'vecsearch[pandas]'") from error
    return module
