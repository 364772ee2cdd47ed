"""What is looked at all together is refused as if it had been looked at one by one."""

import uuid

import numpy as np
import pytest

from vecsearch import checks
from vecsearch.errors import InvalidInputError


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize("bad", ["", "a\0b", "\0", "x" * 4097, "\ud800", None, True, 1.5, b"b"])
@pytest.mark.parametrize("others", [[], ["a", "b"], ["é"]])
def test_bad_ids_among_good_ones(bad, others):
    for values in ([bad, *others], [*others, bad]):
        with pytest.raises(InvalidInputError, match="sample_ids"):
            checks.ids(values)


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["a"],
        ["a", "b c", "~"],
        ["x" * 4096, "a"],
        ["é", "a"],
        ["é" * 2048],
        np.array(["a", "bb"]),
        np.array(["a", "bb"], dtype=object),
        np.array([1, 2]),
        [np.str_("a"), Name("b")],
        [uuid.UUID(int=1), 7, "a"],
        ("a", "b"),
        {"a": 1, "b": 2},
    ],
)
def test_good_ids_are_plain_texts(values):
    found = checks.ids(values)
    assert found == [str(value) for value in values]
    assert {type(value) for value in found} <= {str}
    assert checks.ids(iter(values)) == found


def test_the_list_of_ids_is_not_the_callers():
    values = ["a", "b"]
    found = checks.ids(values)
    values.append("c")
    assert found == ["a", "b"]


def test_ids_given_twice_are_named():
    with pytest.raises(InvalidInputError, match=r"\['b'\]"):
        checks.ids(["a", "b", "c", "b"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_among_many_is_found(bad):
    rows = np.random.default_rng(0).standard_normal((70_000, 3)).astype(np.float32)
    rows[66_001, 1] = bad
    with pytest.raises(InvalidInputError, match="row 66001"):
        checks.embeddings(rows, 3)
    rows[66_001, 2] = -bad
    with pytest.raises(InvalidInputError, match="row 66001"):
        checks.embeddings(rows, 3)


def test_sums_that_overflow_refuse_nothing():
    rows = np.full((100, 4), np.finfo(np.float32).max, dtype=np.float32)
    assert checks.embeddings(rows, 4) is rows


def test_zero_vectors_are_told_from_those_that_begin_with_zero():
    rows = np.eye(4, dtype=np.float32)
    checks.no_zero_vectors(rows, "")
    checks.no_zero_vectors(rows[:0], "")
    rows[[1, 3]] = [[0, 0, -0.0, 0], [0, 0, 0, 1e-45]]
    with pytest.raises(InvalidInputError, match=r"in row 1: no"):
        checks.no_zero_vectors(rows, "no")


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(3, np.float32),
        np.array([1, np.nan, 0], np.float32),
        np.array([1, np.inf, 0], np.float32),
        np.array([1e-30, 0, 0], np.float32),
        np.array([1e30, 0, 0], np.float32),
        np.ones(4, np.float32),
        np.ones(3),
        np.ones(6, np.float32)[::2],
        np.ones((1, 3), np.float32),
        [1.0, 2.0, 3.0],
    ],
)
def test_what_one_product_does_not_show_to_be_sound(values):
    assert not checks.is_sound_vector(values, 3)


def test_a_sound_vector():
    assert checks.is_sound_vector(np.array([0, -1, 2], np.float32), 3)
    assert not checks.is_sound_vector(np.array([0, -1, 2], np.float32), None)
