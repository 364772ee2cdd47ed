"""Points are what was measured, and nothing else passes for one."""

import json

import numpy as np
import pytest
from bench_points import a_point, a_spec

from vecsearch.bench.points import Gate
from vecsearch.bench.store import Store
from vecsearch.errors import CorruptDataError, InvalidInputError


def test_a_point_comes_back_as_it_was_put(tmp_path):
    store, point = Store(tmp_path), a_point(gates=[Gate(name="rows", passed=False, detail="9 of 10")])
    times = np.arange(5, dtype=np.int64)
    store.put(point, {"service_ns": times})
    assert store.get(point.key) == point
    assert list(store) == [point]
    np.testing.assert_array_equal(Store(tmp_path).arrays(point.key)["service_ns"], times)
    assert point.failed == point.gates


def test_the_key_is_that_of_everything_asked(tmp_path):
    keys = {
        a_spec().key,
        a_spec(build=1).key,
        a_spec(search_params={"ef": 10}).key,
        a_spec(settings={"m": 4}).key,
        a_spec(workload={"k": 11}).key,
        a_spec(dataset_sha256="1" * 64).key,
    }
    assert len(keys) == 6
    assert a_spec().key == a_spec().key
    assert a_spec().key in {*keys} - {a_spec(build=1).key}
    assert a_spec().key not in Store(tmp_path)


@pytest.mark.parametrize("break_it", [{"verdict": "fine"}, {"schema_version": 2}, {"color": "red"}, {"spec": None}])
def test_a_file_that_is_no_point_is_refused_by_name(tmp_path, break_it):
    store, point = Store(tmp_path), a_point()
    store.put(point)
    path = tmp_path / "points" / f"{point.key}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **break_it}))
    with pytest.raises(CorruptDataError, match=f"{point.key}.json is no point of schema 1: "):
        store.get(point.key)


def test_a_spec_that_was_changed_by_hand_is_found(tmp_path):
    store, point = Store(tmp_path), a_point()
    store.put(point)
    path = tmp_path / "points" / f"{point.key}.json"
    path.write_text(path.read_text().replace('"rows": 1000', '"rows": 2000'))
    with pytest.raises(CorruptDataError, match="changed by hand"):
        store.get(point.key)


def test_a_point_that_is_written_again_loses_its_old_arrays(tmp_path):
    store, point = Store(tmp_path), a_point()
    store.put(point, {"service_ns": np.arange(3)})
    store.put(point)
    assert store.arrays(point.key) == {}


def test_unknown_points_damaged_arrays_and_objects_are_refused(tmp_path):
    store, point = Store(tmp_path), a_point()
    with pytest.raises(InvalidInputError, match="holds no point 'x'"):
        store.get("x")
    with pytest.raises(TypeError, match="pickled"):
        store.put(point, {"ids": np.array([None])})
    store.put(point, {"service_ns": np.arange(3)})
    (tmp_path / "points" / f"{point.key}.npz").write_bytes(b"no archive")
    with pytest.raises(CorruptDataError, match="no arrays that can be read"):
        store.arrays(point.key)
    store.remove(point.key)
    assert point.key not in store


def test_what_is_not_finite_is_no_figure(tmp_path):
    with pytest.raises(ValueError, match="finite"):
        a_point(seconds=float("nan"))
