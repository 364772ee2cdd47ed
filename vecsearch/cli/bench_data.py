"""``bench data``: what engines are measured on."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vecsearch.cli import options, output
from vecsearch.cli.commands import say

if TYPE_CHECKING:
    from vecsearch.bench.datasets import Dataset
    from vecsearch.bench.inspecting import Inspection

app = typer.Typer(help="The data that engines are measured on.", no_args_is_help=True)

_TRUTH = 100  # neighbours in a file of ann-benchmarks

_Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="digits, mixture, mixture:alpha=0.6, wordnet:FOLDER, or a path.", show_default=False
    ),
]
_Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="A new folder, or a new file ending in .hdf5.", show_default=False)
]
_RowCount = Annotated[
    int | None, typer.Option("--rows", help="How many rows; all by default.", min=1, show_default=False)
]
_QueryCount = Annotated[int, typer.Option("--queries", help="How many queries, held out, at most.", min=1)]
_Seed = Annotated[int, typer.Option("--seed", help="Which rows and queries are drawn.", min=0)]
_Metric = Annotated[
    str | None,
    typer.Option("--metric", help="cosine, euclidean or dotproduct; else what the file says.", show_default=False),
]


@app.command()
def make(
    source: _Source,
    out: _Out,
    rows: _RowCount = None,
    queries: _QueryCount = 1000,
    seed: _Seed = 0,
    metric: _Metric = None,
) -> None:
    """Write a data set by its name: vectors, queries held out from them, metadata."""
    from vecsearch.bench import datasets

    _write(datasets.load(source, rows=rows, queries=queries, seed=seed, metric=metric), out)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="HDF5 of ann-benchmarks, .npy, .fvecs, .fbin, .parquet.", show_default=False
        ),
    ],
    out: _Out,
    queries_file: Annotated[
        Path | None,
        typer.Option("--queries-file", help="The queries, where they are a file of their own.", show_default=False),
    ] = None,
    embeddings: Annotated[
        str | None, typer.Option("--embeddings", help="The column of vectors in Parquet.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What reports call it; else the file's name.", show_default=False)
    ] = None,
    rows: _RowCount = None,
    queries: _QueryCount = 1000,
    seed: _Seed = 0,
    metric: _Metric = None,
) -> None:
    """Write a file of vectors as a data set. Queries come from the file, another file, or are held out."""
    from vecsearch.bench import datasets, formats

    found = formats.read(file, embeddings=embeddings)
    if queries_file is not None:
        found = replace(found, queries=formats.read(queries_file, embeddings=embeddings).vectors)
    title = name or file.stem
    _write(datasets.of_contents(title, found, rows=rows, queries=queries, seed=seed, metric=metric), out)


def _write(dataset: "Dataset", out: Path) -> None:
    from vecsearch.bench import formats
    from vecsearch.bench.truth import truth

    exact = None
    if formats.is_hdf5(out):
        formats.refuse_existing(out)  # before the truth is found, which may take a while
        exact = truth(dataset, _TRUTH)
    formats.write(dataset, out, exact)
    shape = f"{len(dataset.vectors):,} rows of {dataset.vectors.shape[1]}, {len(dataset.queries):,} queries"
    say(f"{out}: {shape}, {dataset.metric}")


@app.command()
def inspect(
    source: _Source,
    rows: _RowCount = None,
    queries: _QueryCount = 1000,
    seed: _Seed = 0,
    metric: _Metric = None,
    as_json: options.Json = False,
) -> None:
    """Say how large and how hard a data set is, and what its filters let pass."""
    from vecsearch.bench import datasets, inspecting

    found = inspecting.inspect(datasets.load(source, rows=rows, queries=queries, seed=seed, metric=metric), seed=seed)
    if as_json:
        output.document(asdict(found))
        return
    output.lines(_facts(found))
    if found.fields:
        output.lines([""])
        records = [
            {
                "field": field.name,
                "values": field.values,
                "present": field.present,
                "pass rate min": field.pass_rate_min,
                "median": field.pass_rate_median,
                "max": field.pass_rate_max,
            }
            for field in found.fields
        ]
        output.rows(records, output.Format.table)


def _facts(found: "Inspection") -> list[str]:
    def figure(value: float | None, digits: int) -> str:
        return "unknown" if value is None else f"{value:.{digits}f}"

    dimension = f"{figure(found.lid_median, 1)} (90 % of queries below {figure(found.lid_p90, 1)})"
    return [
        f"{found.name}  {found.rows:,} rows of {found.dim}, {found.queries:,} queries, {found.metric}",
        f"sha256              {found.sha256}",
        f"norms               {found.norm_min:.4g} to {found.norm_max:.4g}, median {found.norm_median:.4g}",
        f"duplicates          {found.duplicates:,} rows; {found.known_queries:,} queries are rows",
        f"intrinsic dimension {dimension}",
        f"relative contrast   {figure(found.contrast_median, 2)} (at the 10th neighbour)",
    ]
