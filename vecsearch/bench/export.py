"""Points as one flat table: a row a point, columns with stable names, as CSV, as Parquet, or in pandas.

Times keep their units, which the names say: ``_ns`` for single calls, ``_seconds`` for whole phases. What was not
measured is empty. Lists and objects are JSON, so that every format holds the same.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vecsearch.bench.formats import pyarrow
from vecsearch.bench.summary import reasons
from vecsearch.bench.trust import asked
from vecsearch.errors import InvalidInputError
from vecsearch.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from vecsearch.bench.points import Point

Kind = Literal["text", "int", "float", "bool", "time", "json"]


class Column(NamedTuple):
    """One column: its name, what it holds, and where that lies in a point."""

    name: str
    kind: Kind
    path: str


def _times(prefix: str, path: str) -> Iterator[Column]:
    yield Column(f"{prefix}_samples", "int", f"{path}.samples")
    for quantile in ("mean", "p50", "p90", "p95", "p99", "p999", "max"):
        yield Column(f"{prefix}_{quantile}_ns", "float", f"{path}.{quantile}")


COLUMNS: tuple[Column, ...] = (
    # ---- which result, and what it is worth
    Column("key", "text", "key"),
    Column("verdict", "text", "verdict"),
    Column("failed_gates", "text", "gates"),
    Column("why", "text", "gates"),
    Column("run_id", "text", "run_id"),
    Column("started", "time", "started"),
    Column("took_seconds", "float", "seconds"),
    Column("schema_version", "int", "schema_version"),
    # ---- the data
    Column("dataset", "text", "spec.dataset"),
    Column("dataset_sha256", "text", "spec.dataset_sha256"),
    Column("rows", "int", "spec.rows"),
    Column("dim", "int", "spec.dim"),
    Column("metric", "text", "spec.metric"),
    Column("fields", "json", "spec.fields"),
    Column("queries", "int", "dataset.queries"),
    Column("duplicate_rows", "int", "dataset.duplicates"),
    Column("lid_median", "float", "dataset.lid_median"),
    Column("relative_contrast", "float", "dataset.relative_contrast"),
    # ---- the engine
    Column("label", "text", "spec.label"),
    Column("backend", "text", "spec.backend"),
    Column("deployment", "text", "backend.deployment"),
    Column("exactness", "text", "backend.exactness"),
    Column("client_versions", "json", "backend.client"),
    Column("requested_settings", "json", "spec.settings"),
    Column("effective_settings", "json", "backend.settings"),
    Column("search_params", "json", "spec.search_params"),
    Column("build", "int", "spec.build"),
    Column("seed", "int", "spec.seed"),
    # ---- the workload
    Column("kind", "text", "spec.workload.kind"),
    Column("k", "int", "spec.workload.k"),
    Column("concurrency", "int", "spec.workload.concurrency"),
    Column("rate_per_second", "float", "spec.workload.rate"),
    Column("filter", "text", "spec.workload.filter.name"),
    Column("filter_tree", "json", "spec.workload.filter.tree"),
    Column("filter_pass_rate", "float", "spec.workload.filter.pass_rate"),
    Column("filter_correlation", "text", "spec.workload.filter.correlation"),
    Column("filter_lift", "float", "spec.workload.filter.lift"),
    Column("batch", "int", "spec.workload.batch"),
    Column("exact", "bool", "spec.workload.exact"),
    Column("repeats", "int", "spec.workload.repeats"),
    Column("least_seconds", "float", "spec.workload.seconds"),
    Column("most_seconds", "float", "spec.workload.most_seconds"),
    Column("warmup_queries", "int", "spec.workload.warmup"),
    Column("delete_share", "float", "spec.workload.delete_share"),
    # ---- searches
    Column("qps", "float", "search.qps"),
    Column("qps_repeats", "json", "search.qps_repeats"),
    *_times("service", "search.service"),
    Column("service_p50_repeats_ns", "json", "search.p50_repeats"),
    *_times("response", "search.response"),
    Column("recall_strict", "float", "search.recall.strict"),
    Column("recall_tied", "float", "search.recall.tied"),
    Column("recall_p5", "float", "search.recall.p5"),
    Column("recall_low", "float", "search.recall.low"),
    Column("recall_short", "float", "search.recall.short"),
    Column("repeated_ids", "int", "search.recall.repeated"),
    Column("calls", "int", "search.asked"),
    Column("errors", "int", "search.errors"),
    Column("error", "text", "search.error"),
    Column("search_cpu_seconds", "float", "search.cpu_seconds"),
    # ---- builds, streams, reopening, the overhead over the client
    Column("load_rows", "int", "load.rows"),
    Column("load_insert_seconds", "float", "load.insert_seconds"),
    Column("load_searchable_seconds", "float", "load.searchable_seconds"),
    Column("load_rows_per_second", "float", "load.rows_per_second"),
    Column("load_cpu_seconds", "float", "load.cpu_seconds"),
    Column("stream_rows", "int", "stream.inserted"),
    Column("stream_seconds", "float", "stream.seconds"),
    Column("stream_rows_per_second", "float", "stream.rows_per_second"),
    Column("stream_behind_seconds", "float", "stream.behind_seconds"),
    Column("stream_missing_rows", "int", "stream.missing"),
    Column("stream_deleted_rows", "int", "stream.deleted"),
    Column("stream_remaining_rows", "int", "stream.remaining"),
    Column("reopen_open_seconds", "float", "reopen.open_seconds"),
    Column("reopen_first_query_seconds", "float", "reopen.first_query_seconds"),
    Column("reopen_warm_p50_ns", "float", "reopen.warm_p50"),
    Column("overhead_samples", "int", "overhead.samples"),
    Column("overhead_ratio", "float", "overhead.ratio"),
    Column("overhead_ratio_low", "float", "overhead.low"),
    Column("overhead_ratio_high", "float", "overhead.high"),
    Column("overhead_difference_ns", "float", "overhead.difference"),
    Column("overhead_same_answers", "float", "overhead.same_answers"),
    *_times("overhead_native", "overhead.native"),
    *_times("overhead_ours", "overhead.ours"),
    # ---- what it took
    Column("disk_bytes", "int", "resources.disk_bytes"),
    Column("memory_peak_bytes", "int", "resources.memory_peak"),
    Column("memory_steady_bytes", "int", "resources.memory_steady"),
    Column("memory_base_bytes", "int", "resources.memory_base"),
    # ---- what tells whether to believe it
    Column("null_qps", "float", "control.null_qps"),
    Column("exact_recall", "float", "control.exact_recall"),
    Column("counted_rows", "int", "control.count"),
    Column("load_average", "float", "control.load_average"),
    Column("steal", "float", "control.steal"),
    Column("others", "float", "control.others"),
    # ---- the machine
    Column("cpu", "text", "environment.cpu"),
    Column("cpu_cores", "int", "environment.cores"),
    Column("cpu_affinity", "int", "environment.affinity"),
    Column("cpu_limit", "float", "environment.cpu_limit"),
    Column("machine_memory_bytes", "int", "environment.memory_bytes"),
    Column("machine_memory_limit_bytes", "int", "environment.memory_limit"),
    Column("system", "text", "environment.system"),
    Column("kernel", "text", "environment.kernel"),
    Column("python", "text", "environment.python"),
    Column("packages", "json", "environment.packages"),
    Column("packages_sha256", "text", "environment.packages_sha256"),
    Column("threads", "json", "environment.threads"),
    Column("commit", "text", "environment.commit"),
    Column("dirty", "bool", "environment.dirty"),
)
"""Names and order are stable: a new column comes at the end of its part, none is renamed."""


def rows(points: Iterable[Point]) -> list[dict[str, Any]]:
    """A row a point, in the order of the points; ``None`` where nothing was measured, JSON as text."""
    return [{column.name: _value(point, column) for column in COLUMNS} for point in points]


def _value(point: Point, column: Column) -> Any:
    if column.path == "gates":
        if not point.failed:
            return None
        return reasons(point.failed) if column.name == "why" else ", ".join(gate.name for gate in point.failed)
    value: Any = point
    for name in column.path.split("."):
        if value is None:
            return None
        value = getattr(value, name)
    if column.kind == "json" and value is not None:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return value.astimezone(UTC) if isinstance(value, datetime) else value


# ---- files


def write(points: Iterable[Point], path: Path) -> None:
    """Write a ``.csv`` or a ``.parquet``, sorted as the page is; what is there is replaced.

    Raises:
        InvalidInputError: no points, or a name that ends otherwise.
        MissingDependencyError: Parquet without pyarrow.
        StorageError: it cannot be written.

    """
    form = check(path)
    found = sorted(points, key=lambda point: (point.spec.dataset, point.spec.label, asked(point), point.key))
    if not found:
        raise InvalidInputError("no results to export; vecsearch bench run makes some")
    atomic_write(path, form(rows(found)))


def check(path: Path) -> Callable[[Sequence[dict[str, Any]]], bytes]:
    """What makes the bytes of a file of this name; refuses other names, and Parquet without pyarrow."""
    forms = {".csv": _csv, ".parquet": _parquet}
    suffix = path.suffix.lower()
    if suffix not in forms:
        raise InvalidInputError(f"{path}: results are exported as .csv or .parquet, by the end of the name")
    if suffix == ".parquet":
        pyarrow()
    return forms[suffix]


def _csv(found: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in COLUMNS)
    writer.writerows([_cell(value) for value in row.values()] for row in found)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """``repr`` of a float, by which csv writes it, loses no digit."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else value


def _parquet(found: Sequence[dict[str, Any]]) -> bytes:
    pa, parquet = pyarrow()
    kinds = {
        "text": pa.string(),
        "json": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(column.name, kinds[column.kind]) for column in COLUMNS])
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(found), schema=schema), sink)
    return sink.getvalue()


def frame(points: Iterable[Point]) -> Any:
    """The same as a pandas frame, in the order of the points; types do not depend on what is missing."""
    from vecsearch.results import pandas

    pd = pandas()
    kinds = {
        "text": "string",
        "json": "string",
        "int": "Int64",
        "float": "float64",
        "bool": "boolean",
        "time": "datetime64[us, UTC]",
    }
    found = rows(points)
    return pd.DataFrame(
        {column.name: pd.Series([row[column.name] for row in found], dtype=kinds[column.kind]) for column in COLUMNS}
    )


__all__ = ("COLUMNS", "Column", "check", "frame", "rows", "write")
