import os
import subprocess
import sys

import numpy as np
import pytest

from vecsearch.errors import InvalidInputError, MissingIdsError
from vecsearch.exact_duplicates import find_exact_duplicates


@pytest.fixture
def files(tmp_path):
    paths = []
    for number, content in enumerate([b"one", b"two", b"one", b"", b"two", b"one", b"", b"three"]):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(content)
        paths.append(path)
    return paths


def test_groups_are_in_the_order_of_the_input(files):
    found = find_exact_duplicates(dict(enumerate(files)))
    assert found.groups == {"0": ["2", "5"], "1": ["4"], "3": ["6"]}
    assert list(found.groups) == ["0", "1", "3"]
    assert found.unique_ids.tolist() == ["0", "1", "3", "7"]
    assert found.duplicate_ids.tolist() == ["2", "5", "4", "6"]
    assert len(found) == 4
    assert found.keep_mask(range(8)).tolist() == [True, True, False, True, False, False, False, True]
    with pytest.raises(MissingIdsError):
        found.keep_mask([8])
    backwards = find_exact_duplicates({number: files[number] for number in reversed(range(8))})
    assert backwards.groups == {"6": ["3"], "5": ["2", "0"], "4": ["1"]}


def test_lists_are_named_by_path_or_position(files):
    found = find_exact_duplicates([str(files[0]), files[2]])
    assert found.groups == {str(files[0]): [str(files[2])]}
    assert find_exact_duplicates([b"a", b"b", b"a"]).groups == {"0": ["2"]}
    assert find_exact_duplicates([files[0], b"one"]).groups == {"0": ["1"]}  # content counts, not where it lies
    assert len(find_exact_duplicates([])) == 0
    with pytest.raises(InvalidInputError, match="more than once"):
        find_exact_duplicates([files[0], str(files[0])])


def test_arrays_count_with_dtype_and_shape():
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    items = {
        "a": array,
        "same": np.asfortranarray(array),
        "strided": np.repeat(array, 2, axis=1)[:, ::2],
        "shape": array.reshape(3, 2),
        "dtype": array.astype(np.float32),
        "bits": array.view(np.float32),
        "bytes": array.tobytes(),
        "empty": np.empty((0, 3), np.int32),
        "nothing": np.empty((0, 3), np.int32),
        "scalar": np.array(3),
        "text": np.array(["x"]),
        "fields": np.zeros(2, dtype=[("x", "f4"), ("y", "i2")]),
    }
    assert find_exact_duplicates(items).groups == {"a": ["same", "strided"], "empty": ["nothing"]}


def test_what_cannot_be_read_is_reported(files, tmp_path):
    items = {"gone": tmp_path / "gone", "a": files[0], "folder": tmp_path, "b": files[2], "nul": "a\0b"}
    found = find_exact_duplicates(items)
    assert found.groups == {"a": ["b"]}
    assert list(found.failures) == ["gone", "folder", "nul"]
    assert found.failures["gone"].startswith("FileNotFoundError")
    assert found.keep_mask(["gone", "b"]).tolist() == [True, False]
    assert "3 could not be read" in repr(found)
    with pytest.raises(InvalidInputError, match=r"3 items could not be read: gone: FileNotFoundError"):
        find_exact_duplicates(items, skip_failures=False)
    many = [tmp_path / f"no{i}" for i in range(9)]
    with pytest.raises(InvalidInputError, match=r"9 items .*4 more"):
        find_exact_duplicates(many, skip_failures=False)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_workers_change_nothing(workers):
    rng = np.random.default_rng(0)
    items = {f"{i}": bytes([value]) * 1000 for i, value in enumerate(rng.integers(0, 50, 700))}
    seen = []
    found = find_exact_duplicates(items, workers=workers, progress=lambda done, total: seen.append((done, total)))
    first = {}
    for name, item in items.items():
        first.setdefault(item, []).append(name)
    assert found.groups == {names[0]: names[1:] for names in first.values()}
    assert seen == [(done, 700) for done in range(1, 701)]


def test_another_process_finds_the_same(files):
    # Python's own hash differs from process to process: equal files would never meet.
    code = f"from vecsearch.exact_duplicates import _digest; print(_digest({str(files[0])!r}).hex())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    "samples",
    ["photos", b"x", 3, [3], {"a": None}, {"a": ["x"]}, [np.array([object()])], {True: b"x"}],
)
def test_refusals(samples):
    with pytest.raises(InvalidInputError):
        find_exact_duplicates(samples)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_workers_are_a_number(workers):
    with pytest.raises(InvalidInputError, match="workers"):
        find_exact_duplicates([b"x"], workers=workers)


def test_results_show_and_convert():
    pytest.importorskip("pandas")
    found = find_exact_duplicates({"<i>": b"x", "<b>": b"x"})
    assert found.to_pandas().to_dict("list") == {"id": ["<b>"], "first_id": ["<i>"]}
    assert repr(found) == "ExactDuplicates(1 copies among 2 items)"
    assert "<b>" not in found._repr_html_()
    assert bool(find_exact_duplicates([]))
