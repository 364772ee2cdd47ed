"""Files of vectors, written by hand as their own tools write them, and read back."""

from __future__ import annotations

import json
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsearch.bench import datasets, formats
from vecsearch.bench.truth import truth
from vecsearch.errors import InvalidInputError, MissingDependencyError, StorageError


def rows(count=30, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, d)).astype(np.float32)


def dataset(metric="euclidean", metadata=True):
    fields = [{"tenant": f"t{n % 3}", "year": n, "ok": n % 2 == 0, "tags": ["ä", "b"]} for n in range(30)]
    return datasets.make("mine", rows(), rows(4, seed=1), metric, fields if metadata else None)


def fvecs(array):
    heads = np.full((len(array), 1), array.shape[1], dtype="<i4")
    return np.hstack([heads, array.astype("<f4").view("<i4")]).tobytes()


def fbin(array, dtype="<f4"):
    return np.array(array.shape, dtype="<u4").tobytes() + array.astype(dtype).tobytes()


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("name", ["folder", "file.hdf5", "deep/er/file.h5"])
def test_what_is_written_comes_back_the_same(tmp_path, metric, metadata, name):
    if "." in name:
        pytest.importorskip("h5py")
    given = dataset(metric, metadata)
    formats.write(given, tmp_path / name)
    found = datasets.load(tmp_path / name)
    assert found.sha256 == given.sha256
    assert found.metadata == given.metadata
    assert found.metric == metric
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [name.rpartition("/")[2]]


def test_a_folder_is_mapped(tmp_path):
    formats.write(dataset(), tmp_path / "mine")
    assert isinstance(datasets.load(tmp_path / "mine").vectors, np.memmap)


def test_hdf5_is_what_ann_benchmarks_reads(tmp_path):
    h5py = pytest.importorskip("h5py")
    given = dataset("cosine")
    exact = truth(given, 10, home=tmp_path)
    formats.write(given, tmp_path / "x.hdf5", exact)
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert dict(file.attrs) == {"distance": "angular", "dimension": 5, "type": "dense", "point_type": "float"}
        assert (file["train"].dtype, file["train"].shape) == (np.float32, (30, 5))
        assert (file["test"].shape, file["neighbors"].dtype) == ((4, 5), np.int32)
        np.testing.assert_array_equal(file["neighbors"][:], exact.positions)
        np.testing.assert_allclose(file["distances"][:], exact.distances, rtol=1e-6)


def test_hdf5_of_theirs_is_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "glove-5-angular.hdf5", "w") as file:
        file.attrs["distance"] = "angular"
        file["train"], file["test"] = rows().astype(np.float64), rows(9, seed=1)
    found = datasets.load(tmp_path / "glove-5-angular.hdf5", queries=6)
    assert (found.name, found.metric, found.metadata) == ("glove-5-angular", "cosine", None)
    np.testing.assert_array_equal(found.vectors, rows())
    np.testing.assert_array_equal(found.queries, rows(9, seed=1)[:6])
    fewer = datasets.load(tmp_path / "glove-5-angular.hdf5", rows=10)
    assert {row.tobytes() for row in fewer.vectors} < {row.tobytes() for row in found.vectors}
    with pytest.raises(InvalidInputError, match="31 rows are asked for, there are 30"):
        datasets.load(tmp_path / "glove-5-angular.hdf5", rows=31)


@pytest.mark.parametrize(
    ("attributes", "name", "says"),
    [
        ({"distance": "hamming"}, "train", "hamming"),
        ({"distance": "angular", "type": "sparse"}, "train", "no dense file"),
        ({"distance": "angular"}, "other", "no dense file"),
    ],
)
def test_hdf5_of_another_kind_is_refused(tmp_path, attributes, name, says):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.attrs.update(attributes)
        file[name] = rows()
    with pytest.raises(InvalidInputError, match=says):
        formats.read(tmp_path / "x.hdf5")


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 20), d=st.integers(1, 9), seed=st.integers(0, 99))
def test_rows_led_by_their_width_and_rows_after_a_head_are_read(tmp_path_factory, count, d, seed):
    folder, array = tmp_path_factory.mktemp("files"), rows(count, d, seed)
    (folder / "a.fvecs").write_bytes(fvecs(array))
    (folder / "a.fbin").write_bytes(fbin(array))
    np.save(folder / "a.npy", array)
    for name in ("a.fvecs", "a.fbin", "a.npy"):
        found = formats.read(folder / name).vectors
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, array)
        assert isinstance(found, np.memmap)


@pytest.mark.parametrize(("suffix", "dtype"), [(".u8bin", "u1"), (".i8bin", "i1")])
def test_bytes_are_read_and_cast(tmp_path, suffix, dtype):
    array = np.arange(1, 61).reshape(20, 3)
    (tmp_path / f"a{suffix}").write_bytes(fbin(array, dtype))
    found = datasets.hold_out("a", formats.read(tmp_path / f"a{suffix}").vectors, "euclidean")
    assert found.vectors.dtype == np.float32
    assert {*found.vectors.ravel(), *found.queries.ravel()} == set(range(1, 61))


def test_rows_without_queries_are_held_out(tmp_path):
    (tmp_path / "base.fvecs").write_bytes(fvecs(rows(50)))
    found = datasets.load(tmp_path / "base.fvecs", queries=7, metric="euclidean")
    assert (found.name, found.metric) == ("base", "euclidean")
    assert (found.vectors.shape, found.queries.shape) == ((43, 5), (7, 5))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.fvecs", fvecs(rows())[:-3]),
        ("a.fvecs", fvecs(rows())[:-4]),
        ("a.fvecs", b""),
        ("a.fvecs", b"\0\0\0\0"),
        ("a.fvecs", fvecs(rows(3, 3)) + fvecs(rows(4, 2))),
        ("a.fbin", fbin(rows())[:-4]),
        ("a.fbin", fbin(rows())[:-1]),
        ("a.fbin", fbin(rows()) + b"\0\0\0\0"),
        ("a.fbin", b"\0\0\0"),
        ("a.fbin", b"\0" * 8),
        ("a.npy", b""),
        ("a.npy", b"no array"),
        ("a.npy", pickle.dumps([1])),
        ("a.hdf5", b"no hdf5"),
        ("a.parquet", b"no parquet"),
        ("a.csv", b"1,2"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, content):
    pytest.importorskip({"hdf5": "h5py", "parquet": "pyarrow"}.get(name[2:], "numpy"))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=name.replace(".", r"\.")):
        datasets.load(tmp_path / name)


def test_a_pickle_in_an_array_is_not_read(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}]), allow_pickle=True)
    with pytest.raises(InvalidInputError, match=r"no \.npy file of numbers"):
        formats.read(tmp_path / "a.npy")


def test_parquet_gives_vectors_and_metadata(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table(
        {
            "id": [f"r{n}" for n in range(30)],
            "emb": rows().tolist(),
            "year": [n if n % 2 else None for n in range(30)],
            "score": [0.5] * 30,
            "nested": [{"a": 1}] * 30,
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    found = formats.read(tmp_path / "a.parquet")
    np.testing.assert_allclose(found.vectors, rows())
    assert found.metadata[:2] == [{"id": "r0", "score": 0.5}, {"id": "r1", "year": 1, "score": 0.5}]
    two = table.append_column("other", pa.array(rows().tolist()))
    parquet.write_table(two, tmp_path / "b.parquet")
    with pytest.raises(InvalidInputError, match=r"which column holds the vectors.*emb, other"):
        formats.read(tmp_path / "b.parquet")
    assert formats.read(tmp_path / "b.parquet", embeddings="other").vectors.shape == (30, 5)
    with pytest.raises(InvalidInputError, match="embd"):
        formats.read(tmp_path / "b.parquet", embeddings="embd")


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InvalidInputError, match="exists"):
        formats.write(dataset(), tmp_path / "mine")
    with pytest.raises(InvalidInputError, match=r"\.hdf5"):
        formats.write(dataset(), tmp_path / "mine.npy")


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageError, match="No space left"):
        formats.write(dataset(), tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_json_cannot_hold_are_refused(tmp_path):
    odd = datasets.make("odd", rows(), rows(2), metadata=[{"f": b"x"}] * 30)
    with pytest.raises(InvalidInputError, match="JSON"):
        formats.write(odd, tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("{", "damaged"),
        (json.dumps({"format": 1}), "damaged"),
        (json.dumps({"format": 9, "metric": "cosine", "metadata": False}), "of format 9"),
        (None, r"no dataset\.json"),
    ],
)
def test_a_folder_that_is_none_of_ours_is_refused(tmp_path, head, says):
    formats.write(dataset(), tmp_path / "mine")
    file = tmp_path / "mine" / "dataset.json"
    file.unlink() if head is None else file.write_text(head)
    with pytest.raises(InvalidInputError, match=says):
        formats.read(tmp_path / "mine")


def test_a_folder_with_a_part_missing_is_refused(tmp_path):
    formats.write(dataset(), tmp_path / "mine")
    (tmp_path / "mine" / "queries.npy").unlink()
    with pytest.raises(InvalidInputError, match=r"queries\.npy cannot be read: No such file"):
        formats.read(tmp_path / "mine")


def test_a_file_that_is_not_there_is_said_with_what_could_be():
    with pytest.raises(InvalidInputError, match=r"no data set 'digitz': digits, mixture, wordnet:<folder>, or a path"):
        datasets.load("digitz")


@pytest.mark.parametrize(("module", "name", "extra"), [("h5py", "a.hdf5", "hdf5"), ("pyarrow", "a.parquet", "arrow")])
def test_a_missing_library_is_named(tmp_path, monkeypatch, module, name, extra):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(MissingDependencyError, match=rf"pip install 'vecsearch\[{extra}\]'"):
        formats.read(tmp_path / name)
