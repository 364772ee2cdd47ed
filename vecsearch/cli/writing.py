"""``create``, ``ingest`` and ``remove``."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import vecsearch
from vecsearch.cli import inputs, options, output
from vecsearch.cli.commands import say
from vecsearch.errors import IngestError, InvalidInputError, VecsearchError

if TYPE_CHECKING:
    from vecsearch.index import SimilarityIndex
    from vecsearch.types import Receipt


class Metric(StrEnum):
    """How two vectors are compared."""

    cosine = "cosine"
    euclidean = "euclidean"
    dotproduct = "dotproduct"


class IfExists(StrEnum):
    """What is done where the key is taken."""

    stop = "raise"
    load = "load"
    anew = "replace"


class OnExisting(StrEnum):
    """What is done with rows that are there."""

    overwrite = "overwrite"
    skip = "skip"
    stop = "raise"


_Metric = Annotated[
    Metric | None, typer.Option("--metric", help="Cosine where nothing else is said.", show_default=False)
]
_Dim = Annotated[int | None, typer.Option("--dim", help="The width of a vector.", show_default=False)]


def create(
    key: options.Key,
    embeddings: Annotated[
        Path | None, typer.Option("--embeddings", metavar="FILE.npy", help="Vectors, a row each.")
    ] = None,
    ids: Annotated[
        Path | None, typer.Option("--ids", metavar="FILE.txt", help="An id a line; without it 0, 1, 2, …")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE.txt", help="A label id a line: an index of objects within samples."),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            "--metadata", metavar="FILE", help="CSV with a head line, .json or .jsonl: a row for each embedding."
        ),
    ] = None,
    metadata_types: Annotated[
        str | None,
        typer.Option(
            "--metadata-types",
            metavar="NAME=TYPE,…",
            help="For CSV. Without it a column is int, float or bool (true, false) if all of its values are, else "
            "text (007 too); empty is absent. Types: str, int, float, bool, datetime.",
        ),
    ] = None,
    documents: Annotated[
        Path | None, typer.Option("--documents", metavar="FILE", help="A text a line, or a JSON text a line (.jsonl).")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Embeds the --documents, in place of --embeddings, and queries."),
    ] = None,
    metric: _Metric = None,
    dim: _Dim = None,
    backend: options.Backend = None,
    if_exists: Annotated[
        IfExists, typer.Option("--if-exists", help="Where the key is taken: stop, load what is there, make it anew.")
    ] = IfExists.stop,
    settings: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Create an index from files, and record it as the run KEY.

    All files have a row for each embedding, in the same order. A --model, such as openai:text-embedding-3-small or a
    profile of the configuration, embeds the --documents. Without --embeddings and --model the index is empty; then
    --dim says its width, and `vecsearch ingest` fills it.
    """
    given = [
        name
        for name, file in (("ids", ids), ("labels", labels), ("metadata", metadata), ("documents", documents))
        if file
    ]
    embeds = embeddings is None and model is not None
    if embeds and not documents:
        raise InvalidInputError("--model embeds the --documents: give them, or the vectors as --embeddings")
    if embeddings is None and not embeds and (given or dim is None):
        why = (
            f"--{given[0]} needs the --embeddings it belongs to" if given else "index what? give --embeddings FILE.npy"
        )
        raise InvalidInputError(f"{why}, or only --dim for an empty index")
    if metadata_types and not metadata:
        raise InvalidInputError("--metadata-types needs --metadata FILE.csv")
    started = time.monotonic()
    texts = inputs.documents(documents) if documents else None
    vectors = False if embeddings is None else inputs.array(embeddings)
    index = vecsearch.compute_similarity(
        texts if embeds else None,
        key=key,
        embeddings=None if embeds else vectors,
        model=model,
        sample_ids=inputs.ids(ids) if ids else None,
        label_ids=inputs.ids(labels) if labels else None,
        metadata=inputs.metadata(metadata, metadata_types) if metadata else None,
        documents=texts,
        metric=None if metric is None else metric.value,
        dim=dim,
        backend=backend,
        if_exists=if_exists.value,
        **inputs.settings(settings or ()),
    )
    try:
        _described(index, key, None, time.monotonic() - started, as_json=as_json)
    finally:
        options.closed(index)


def ingest(
    key: options.Key,
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…", help="Parquet files or globs in quotes, or one .npy file.", show_default=False
        ),
    ],
    embeddings: Annotated[str, typer.Option("--embeddings", metavar="COLUMN")] = "embedding",
    ids: Annotated[
        str, typer.Option("--ids", metavar="COLUMN", help="With .npy: a text file, an id a line.")
    ] = "sample_id",
    labels: Annotated[str | None, typer.Option("--labels", metavar="COLUMN", help="With .npy: a text file.")] = None,
    metadata: Annotated[
        str | None, typer.Option("--metadata", metavar="A,B,…", help="Columns. With .npy: a file as for create.")
    ] = None,
    documents: Annotated[
        str | None, typer.Option("--documents", metavar="COLUMN", help="With .npy: a file as for create.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="The same command goes on where it was stopped, or killed."),
    ] = None,
    on_existing: Annotated[
        OnExisting, typer.Option("--on-existing", help="What is done with rows that are in the index.")
    ] = OnExisting.overwrite,
    make: Annotated[bool, typer.Option("--create", help="Create the run if there is none.")] = False,
    metric: _Metric = None,
    dim: _Dim = None,
    backend: options.Backend = None,
    settings: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Write files of any size into an index, in bounded memory, and save it."""
    arguments = _columns(source, embeddings, ids, labels, metadata, documents)
    arguments |= {"on_existing": on_existing.value, "checkpoint": checkpoint}
    index, new = _opened_for_ingest(key, make, metric, dim, backend, inputs.settings(settings or ()))
    try:
        receipt = index.ingest(**arguments)
        index.save()
        _described(index, key, receipt, receipt.seconds, as_json=as_json)
    except IngestError:
        index.save()  # what the message calls written is written
        raise
    except VecsearchError:
        if new and not index.count():
            options.closed(index)
            vecsearch.delete_run(key, cleanup=True)
        raise
    finally:
        options.closed(index)


def _opened_for_ingest(
    key: str, make: bool, metric: Metric | None, dim: int | None, backend: str | None, settings: dict[str, Any]
) -> "tuple[SimilarityIndex, bool]":
    """The index, and whether it was made for this."""
    described = [name for name, value in (("metric", metric), ("dim", dim), ("backend", backend)) if value is not None]
    if not make and (described or settings):
        raise InvalidInputError(f"--{(described or ['set'])[0]} describes a new run; say --create with it")
    if not make or key in vecsearch.list_runs():
        index = vecsearch.load_run(key, backend=backend, **settings)
        if (metric and index.metric != metric.value) or (dim and index.dim not in (None, dim)):
            options.closed(index)
            raise InvalidInputError(f"the run {key!r} exists with {options.where(index)}; leave --metric and --dim out")
        return index, False
    index = vecsearch.compute_similarity(
        key=key,
        embeddings=False,
        metric=None if metric is None else metric.value,
        dim=dim,
        backend=backend,
        **settings,
    )
    return index, True


def _columns(
    source: list[str],
    embeddings: str,
    ids: str,
    labels: str | None,
    metadata: str | None,
    documents: str | None,
) -> dict[str, Any]:
    """The arguments of ``index.ingest``: names of columns for Parquet; for ``.npy``, the columns themselves."""
    if not any(one.endswith(".npy") for one in source):
        return {
            "source": source,
            "embeddings": embeddings,
            "sample_ids": ids,
            "label_ids": labels,
            "metadata": inputs.names(metadata),
            "documents": documents,
        }
    if len(source) > 1:
        raise InvalidInputError("one .npy file at a time, as its ids lie beside it; Parquet files can be many")
    if ids == "sample_id":
        raise InvalidInputError("a .npy file has no ids: give --ids FILE.txt, an id a line")
    return {
        "source": inputs.array(Path(source[0])),
        "sample_ids": inputs.ids(Path(ids)),
        "label_ids": inputs.ids(Path(labels)) if labels else None,
        "metadata": inputs.metadata(Path(metadata)) if metadata else (),
        "documents": inputs.documents(Path(documents)) if documents else None,
    }


def _described(index: "SimilarityIndex", key: str, receipt: "Receipt | None", seconds: float, *, as_json: bool) -> None:
    """Say what the index is now."""
    rows = index.count()
    facts = {"key": key, "rows": rows, "dim": index.dim, "metric": index.metric, "backend": index.config.method}
    did = ""
    if receipt is not None:
        facts |= {"written": receipt.written, "skipped": receipt.skipped}
        skipped = f", {receipt.skipped:,} skipped" if receipt.skipped else ""
        did = f"{receipt.written:,} rows written{skipped}; "
    say(f"{key}: {did}{rows:,} rows ({options.where(index)}, {seconds:.1f} s)")
    if as_json:
        output.document({**facts, "seconds": round(seconds, 3)})


def remove(
    key: options.Key,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="A row (a label on an index of labels); again for more.")
    ] = None,
    filter_: options.Filter = None,
    yes: options.Yes = False,
    as_json: options.Json = False,
) -> None:
    """Remove rows, by id or by filter. Ids that are not there are left alone."""
    if bool(ids) == bool(filter_):
        raise InvalidInputError("remove what? give --id or --filter, one of them; vecsearch runs delete removes all")
    tree = inputs.filter_tree(filter_)
    with options.opened(key) as index:
        if not yes:
            rows = index.count(tree) if tree else int(index.contains(ids or ()).sum())
            options.confirmed(f"Remove {rows:,} of {index.count():,} rows from {key}?", yes=yes)
        which = "label_ids" if index.is_patches else "sample_ids"
        chosen: dict[str, Any] = {"filter": tree} if tree else {which: ids}
        removed = index.remove_from_index(**chosen)
        index.save()
        say(f"{key}: {removed:,} rows removed, {index.count():,} left")
        if as_json:
            output.document({"key": key, "removed": removed})
