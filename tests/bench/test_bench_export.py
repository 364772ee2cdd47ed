"""The table of results holds every figure of every point, the same in each format."""

import csv
import json
import subprocess
import sys
import types
import typing
from datetime import datetime
from pathlib import Path

import pytest
from bench_points import a_point
from bench_results import a_result, a_run, a_search, a_spec
from pydantic import BaseModel
from typer.testing import CliRunner

from vecsearch.bench import Comparison, export
from vecsearch.bench.points import Gate, Point
from vecsearch.bench.store import Store
from vecsearch.cli import app
from vecsearch.errors import InvalidInputError

LEFT_OUT = {
    "search.rate": "the same as spec.workload.rate",
    "gates.name": "those that failed are in failed_gates",
    "gates.passed": "those that failed are in failed_gates",
    "gates.detail": "those of the failed are in why",
    "gates.verdict": "the worst is in verdict",
}


def leaves(model, prefix=""):
    """The dotted paths of all fields of a model that are no models themselves."""
    for name, field in model.model_fields.items():
        inner = next(
            (one for one in parts(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)), None
        )
        yield from [f"{prefix}{name}"] if inner is None else leaves(inner, f"{prefix}{name}.")


def parts(annotation):
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list, typing.Annotated):
        return [part for one in typing.get_args(annotation) for part in parts(one)]
    return [annotation]


def at(point, path):
    for name in path.split("."):
        if point is None:
            return None
        point = getattr(point, name)
    return point


@pytest.fixture(scope="module")
def points():
    return a_run()


@pytest.fixture(scope="module")
def folder(points, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"))
    for point in points:
        store.put(point)
    return store.folder


def test_every_field_of_a_point_is_a_column_or_is_left_out_with_a_reason():
    exported = {column.path for column in export.COLUMNS}
    known = set(leaves(Point))
    assert {"search.service.p99", "spec.workload.filter.lift", "environment.dirty", "gates.detail"} <= known
    missing = known - exported - set(LEFT_OUT)
    assert not missing, f"a column in vecsearch/bench/export.py, or a reason above: {sorted(missing)}"
    assert not set(LEFT_OUT) & exported
    assert set(LEFT_OUT) <= known
    assert exported - known == {"key", "gates"}


def test_names_are_used_once_and_say_their_units():
    names = [column.name for column in export.COLUMNS]
    assert len(set(names)) == len(names)
    units = {"seconds": "_seconds", "bytes": "_bytes", "per_second": "_per_second"}
    for column in export.COLUMNS:
        for word, unit in units.items():
            assert not column.path.endswith(word) or column.name.endswith(unit), column
        if any(column.path.startswith(f"search.{part}.p") for part in ("service", "response")):
            assert column.name.endswith("_ns"), column


def test_a_csv_holds_every_figure_of_every_point(points, tmp_path):
    export.write(points, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        read = {row["key"]: row for row in csv.DictReader(file)}
    assert set(read) == {point.key for point in points}
    readers = {"int": int, "float": float, "bool": json.loads, "json": json.loads, "time": datetime.fromisoformat}
    for point in points:
        row = read[point.key]
        assert list(row) == [column.name for column in export.COLUMNS]
        for name, kind, path in export.COLUMNS:
            if path == "gates":
                continue
            said = row[name]
            found = None if said == "" else readers.get(kind, str)(said)
            assert found == at(point, path), (name, said)


def test_parquet_holds_the_same(points, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export.write(points, tmp_path / "results.parquet")
    table = parquet.read_table(tmp_path / "results.parquet")
    assert table.column_names == [column.name for column in export.COLUMNS]
    expected = {row["key"]: row for row in export.rows(points)}
    assert {row["key"]: row for row in table.to_pylist()} == expected
    assert str(table.schema.field("started").type) == "timestamp[us, tz=UTC]"


def test_the_types_of_a_column_do_not_depend_on_what_was_measured(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for name, point in {"bare": a_point(), "full": a_result(a_spec("quick"), search=a_search(0.9, 100))}.items():
        export.write([point], tmp_path / f"{name}.parquet")
    bare, full = (parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("bare", "full"))
    assert bare == full


def test_pandas_gets_the_same_columns_in_the_order_of_the_points(points):
    pandas = pytest.importorskip("pandas")
    table = Comparison(points, None).to_pandas()
    assert list(table.columns) == [column.name for column in export.COLUMNS]
    assert list(table["key"]) == [point.key for point in points]
    searched = table[table["qps"].notna()]
    assert list(searched["qps"]) == [point.search.qps for point in points if point.search]
    assert (table["load_rows"].dtype, table["dirty"].dtype) == (pandas.Int64Dtype(), pandas.BooleanDtype())
    assert table.dtypes.equals(Comparison([a_point()], None).to_pandas().dtypes)


def test_what_failed_is_named_and_what_was_not_measured_is_empty(tmp_path):
    gates = [
        Gate(name="rows", passed=False, detail="9 of 10"),
        Gate(name="errors", passed=True, detail="none"),
        Gate(name="spread", passed=False, detail="30 %, \n=SUM", verdict="noisy"),
    ]
    row = export.rows([a_point(gates=gates, verdict="invalid")])[0]
    assert (row["failed_gates"], row["why"]) == ("rows, spread", "rows: 9 of 10; spread: 30 %, \n=SUM")
    assert row["search_params"] == "{}"
    assert {row[name] for name in ("qps", "service_p50_ns", "filter", "disk_bytes", "deployment")} == {None}
    assert export.rows([a_point()])[0]["failed_gates"] is None


def test_the_command_writes_the_table_beside_the_page(folder, points, tmp_path):
    result = CliRunner().invoke(app, ["bench", "report", str(folder), "--export", str(tmp_path / "new" / "R.CSV")])
    assert result.exit_code == 0, result.output
    assert f"the table {tmp_path / 'new' / 'R.CSV'}" in result.stderr
    assert (folder / "report.html").exists()
    with (tmp_path / "new" / "R.CSV").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(points)
    assert [row["label"] for row in rows] == sorted(row["label"] for row in rows)


@pytest.mark.parametrize("name", ["results.xlsx", "results"])
def test_another_format_is_refused_before_anything_is_written(folder, tmp_path, name):
    page = tmp_path / "page.html"
    words = ["bench", "report", str(folder), "--html", str(page), "--export", str(tmp_path / name)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "exported as .csv or .parquet" in result.stderr
    assert not list(tmp_path.iterdir())
    with pytest.raises(InvalidInputError, match="no results to export"):
        export.write([], Path("x.csv"))


def test_csv_needs_no_library_and_parquet_says_which(tmp_path):
    code = (
        "import sys; sys.modules.update(pyarrow=None, pandas=None); sys.path.insert(0, sys.argv[1]);"
        "from bench_points import a_point; from vecsearch.bench import export; from pathlib import Path;"
        "export.write([a_point()], Path('one.csv'));\n"
        "try: export.write([a_point()], Path('one.parquet'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.strip() == "MissingDependencyError Parquet files need pyarrow: pip install 'vecsearch[arrow]'"
    assert [path.name for path in tmp_path.iterdir()] == ["one.csv"]
