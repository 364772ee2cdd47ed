"""``search``, ``get``, ``count``, ``duplicates`` and ``unique``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecsearch.cli import inputs, options, output
from vecsearch.cli.commands import say
from vecsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vecsearch.index import SimilarityIndex
    from vecsearch.results import Ranking

_PARTS = ("metadata", "documents", "embeddings")


def search(
    key: options.Key,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="Rows like this row; again for a query each.", show_default=False)
    ] = None,
    vector: Annotated[
        str | None,
        typer.Option("--vector", metavar="FILE.npy|'[…]'", help="Rows near this vector, or each of several."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="Rows near this text, by the run's model; again for a query each."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many rows for each query.")] = 10,
    filter_: options.Filter = None,
    exclude_self: Annotated[bool, typer.Option("--exclude-self", help="Leave the row of --id out.")] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="The least similar rows, farthest first.")] = False,
    max_distance: Annotated[
        float | None, typer.Option("--max-distance", help="No row farther than this.", show_default=False)
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="The true nearest, where the engine approximates.")] = False,
    allow_scan: options.AllowScan = False,
    include: Annotated[
        str, typer.Option("--include", metavar="PARTS", help="Of metadata, documents, embeddings; or none.")
    ] = "metadata,documents",
    fmt: options.Rows = None,
    as_json: options.Json = False,
) -> None:
    """Find the rows nearest to a row, a vector or a text.

    Smaller distances are nearer, for every metric and backend. A text needs a run whose model was chosen by its name.
    """
    form = output.chosen(fmt, as_json=as_json)
    if sum(map(bool, (ids, vector, text))) != 1:
        raise InvalidInputError("search for what? give --id, --vector or --text, one of them")
    parts = _parts(include)
    asked: dict[str, Any] = {
        "k": k,
        "filter": inputs.filter_tree(filter_),
        "exact": exact,
        "max_distance": max_distance,
        "include": parts,
        "allow_scan": allow_scan or None,
        "exclude_self": exclude_self,
    }
    query: dict[str, Any] = {"ids": ids} if ids else {"text": text}
    if vector is not None:
        query = {"vector": inputs.vectors(vector)}
    with options.opened(key) as index:
        if reverse:
            found = _reversed(index, query, asked)
        else:
            found = list(index.search(query.pop("vector", None), **query, **asked))
        names = ids or text or [str(number) for number in range(len(found))]
        _write(key, index, names, found, parts, form)


def _parts(include: str) -> tuple[str, ...]:
    parts = tuple(part for part in inputs.names(include) if part != "none")
    for part in parts:
        if part not in _PARTS:
            raise InvalidInputError(f"--include takes {', '.join(_PARTS)} or none, not {part!r}")
    return parts


def _reversed(
    index: "SimilarityIndex",
    query: dict[str, Any],
    asked: dict[str, Any],
) -> "list[Ranking]":
    """A query each, as a search does."""
    import numpy as np

    ((selector, values),) = query.items()
    each = np.atleast_2d(values) if selector == "vector" else values
    return [index.sort_by_similarity(**{selector: one}, reverse=True, **asked) for one in each]


def _write(
    key: str,
    index: "SimilarityIndex",
    names: "Sequence[str]",
    found: "list[Ranking]",
    parts: tuple[str, ...],
    form: output.Format,
) -> None:
    several = len(found) > 1
    records: list[dict[str, Any]] = []
    for name, ranking in zip(names, found, strict=True):
        own = _records(ranking, parts)
        records += [{"query": name, **record} for record in own] if several else own
    whole = {
        "key": key,
        "metric": index.metric,
        "results": [
            {"query": name, "exact": ranking.exact, "matches": _records(ranking, parts)}
            for name, ranking in zip(names, found, strict=True)
        ],
    }
    output.rows(records, form, whole=whole)
    if form is output.Format.table and not all(ranking.exact for ranking in found):
        say("approximate; --exact gives the true nearest rows")


def _records(ranking: "Ranking", parts: tuple[str, ...]) -> list[dict[str, Any]]:
    records = []
    for number, match in enumerate(ranking):
        record: dict[str, Any] = {"id": match.id, "distance": match.distance}
        if match.label_id is not None:
            record["sample_id"] = match.sample_id
        if "metadata" in parts:
            record["metadata"] = dict(match.metadata or {})
        if "documents" in parts and match.document is not None:
            record["document"] = match.document
        if "embeddings" in parts:
            record["embedding"] = ranking.embeddings[number]
        records.append(record)
    return records


def get(
    key: options.Key,
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Rows.", show_default=False)],
    embeddings: Annotated[bool, typer.Option("--embeddings", help="Their vectors too.")] = False,
    fmt: options.Rows = None,
    as_json: options.Json = False,
) -> None:
    """Show rows: their metadata, documents, and vectors."""
    form = output.chosen(fmt, as_json=as_json)
    with options.opened(key) as index:
        chosen: dict[str, Any] = {"label_ids" if index.is_patches else "sample_ids": ids}
        metadata = index.get_metadata(**chosen)
        vectors = index.get_embeddings(**chosen)
        documents = index.get_documents(**chosen)
        records: list[dict[str, Any]] = []
        for number, row_id in enumerate(ids):
            record: dict[str, Any] = {"id": row_id}
            if index.is_patches:
                record["sample_id"] = vectors.sample_ids[number]
            record["metadata"] = metadata[row_id]
            if documents[row_id] is not None:
                record["document"] = documents[row_id]
            if embeddings:
                record["embedding"] = vectors.embeddings[number]
            records.append(record)
        output.rows(records, form)


def count(
    key: options.Key,
    filter_: options.Filter = None,
    allow_scan: options.AllowScan = False,
    as_json: options.Json = False,
) -> None:
    """Count rows: all, or those for which a filter holds."""
    with options.opened(key) as index:
        rows = index.count(inputs.filter_tree(filter_), allow_scan=allow_scan or None)
    if as_json:
        output.document({"key": key, "count": rows})
    else:
        output.lines([str(rows)])


def duplicates(
    key: options.Key,
    thresh: Annotated[
        float | None, typer.Option("--thresh", help="Rows at most this far from a kept one.", show_default=False)
    ] = None,
    fraction: Annotated[
        float | None, typer.Option("--fraction", help="This share of the rows, the most alike.", show_default=False)
    ] = None,
    filter_: options.Filter = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Go on from this folder after a stop.", show_default=False)
    ] = None,
    fmt: options.Rows = None,
    as_json: options.Json = False,
) -> None:
    """Find near-duplicates: each row that could go, and the kept row that it is nearest to."""
    form = output.chosen(fmt, as_json=as_json)
    with options.opened(key) as index:
        found = _part(index, filter_).find_duplicates(thresh, fraction, checkpoint=checkpoint)
    columns = found.to_columns()
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    whole = {
        "key": key,
        "thresh": found.thresh,
        "fraction": found.fraction,
        "unique": len(found.unique_ids),
        "duplicates": records,
    }
    output.rows(records, form, whole=whole)
    say(f"{key}: {len(records):,} of {len(records) + len(found.unique_ids):,} rows, within {found.thresh:.4g}")


def unique(
    key: options.Key,
    number: Annotated[int, typer.Argument(metavar="COUNT", help="How many.", show_default=False)],
    filter_: options.Filter = None,
    as_json: options.Json = False,
) -> None:
    """Choose the rows that lie farthest from each other: their ids, one a line, the most telling first."""
    with options.opened(key) as index:
        found = _part(index, filter_).find_unique(number)
    if as_json:
        ids = [
            {"id": row_id, "gap": gap if gap < float("inf") else None}
            for row_id, gap in zip(found.unique_ids, found.gaps.tolist(), strict=True)
        ]
        output.document({"key": key, "unique": ids})
    else:
        output.lines(found.unique_ids)


def _part(index: "SimilarityIndex", filter_: str | None) -> Any:
    tree = inputs.filter_tree(filter_)
    return index if tree is None else index.use_view(filter=tree)
