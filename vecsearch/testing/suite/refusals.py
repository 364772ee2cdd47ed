"""What is refused, is refused before anything is written, with one error that says what is wrong; and what is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vecsearch.errors import InvalidInputError, MissingIdsError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness

if TYPE_CHECKING:
    from vecsearch import SimilarityIndex

_GOOD = data.vectors(3, seed=61)


def _with(row: int, value: float) -> Any:
    changed = _GOOD.copy()
    changed[row, 2] = value
    return changed


_Bad = tuple[str, Callable[["SimilarityIndex"], object]]
_ABC = ["a", "b", "c"]


def _add(*arguments: Any, **named: Any) -> Callable[[SimilarityIndex], object]:
    return lambda index: index.add_to_index(*arguments, **named)


BAD_WRITES: dict[str, _Bad] = {
    "wrong width": ("15.*16", _add(_GOOD[:, :15], _ABC)),
    "one vector": ("shape", _add(_GOOD[0], ["a"])),
    "three axes": ("shape", _add(np.ones((2, 2, 16)), ["a", "b"])),
    "ragged": ("length", _add([[1.0] * 16, [1.0] * 15], ["a", "b"])),
    "nan": ("row 1", _add(_with(1, np.nan), _ABC)),
    "infinity": ("row 2", _add(_with(2, np.inf), _ABC)),
    "beyond float32": ("row 0", _add(_GOOD.astype(np.float64) * np.array([[1e300], [1], [1]]), _ABC)),
    "words": ("number", _add([["x"] * 16], ["a"])),
    "iterator": ("array of numbers, not generator", _add((row for row in _GOOD), _ABC)),
    "masked": ("masked", _add(np.ma.masked_less(_GOOD, 0), _ABC)),
    "complex": ("number", _add(_GOOD.astype(complex), _ABC)),
    "too few ids": ("2 sample_ids", _add(_GOOD, ["a", "b"])),
    "too many ids": ("4 sample_ids", _add(_GOOD, [*_ABC, "d"])),
    "an id as ids": ("list", _add(_GOOD, "abc")),
    "set of ids": ("no order", _add(_GOOD, {"a", "b", "c"})),
    "bool id": ("bool", _add(_GOOD, ["a", True, "c"])),
    "float id": ("1.5", _add(_GOOD, ["a", 1.5, "c"])),
    "none id": ("None", _add(_GOOD, ["a", None, "c"])),
    "empty id": ("empty", _add(_GOOD, ["a", "", "c"])),
    "nul id": ("NUL", _add(_GOOD, ["a", "b\0", "c"])),
    "long id": ("4097", _add(_GOOD, ["a", "b" * 4097, "c"])),
    "id of 64 kB": ("65536 bytes; 4096 is the most", _add(_GOOD, ["a", "é" * 32_768, "c"])),
    "lone surrogate": ("Unicode", _add(_GOOD, ["a", "\ud800", "c"])),
    "twice": ("more than once", _add(_GOOD, ["a", "b", "a"])),
    "twice by type": ("more than once", _add(_GOOD, [1, "b", "1"])),
    "metadata length": ("2 metadata", _add(_GOOD, _ABC, metadata=[{}, {}])),
    "column length": ("field 'x'", _add(_GOOD, _ABC, metadata={"x": [1]})),
    "metadata of one row": ("field 'x' must be a column", _add(_GOOD, _ABC, metadata={"x": 1})),
    "metadata of letters": ("field 'x' must be a column", _add(_GOOD, _ABC, metadata={"x": "abc"})),
    "metadata by row": ("field 'x' must be a column", _add(_GOOD, _ABC, metadata={"x": {0: 1, 1: 2, 2: 3}})),
    "metadata text": ("list of dicts", _add(_GOOD, _ABC, metadata="abc")),
    "metadata of numbers": ("row 0 must be a dict", _add(_GOOD, _ABC, metadata=[1, 2, 3])),
    "metadata iterator": ("2 metadata", lambda index: index.add_to_index(_GOOD, _ABC, metadata=({} for _ in range(2)))),
    "metadata arrays": ("4 values.*'y'", _add(_GOOD, _ABC, metadata={"x": np.arange(3), "y": np.arange(4)})),
    "metadata type": ("row 1", _add(_GOOD, _ABC, metadata=[{}, {"x": object()}, {}])),
    "nested metadata": ("row 0", _add(_GOOD, _ABC, metadata=[{"x": {"y": 1}}, {}, {}])),
    "set of kinds": ("strings", _add(_GOOD, _ABC, metadata=[{"x": {1, "a"}}, {}, {}])),
    "list of ints": ("strings", _add(_GOOD, _ABC, metadata=[{"x": [1]}, {}, {}])),
    "naive datetime": ("timezone", _add(_GOOD, _ABC, metadata=[{"x": datetime(2026, 1, 1)}, {}, {}])),  # noqa: DTZ001
    "date": ("date", _add(_GOOD, _ABC, metadata=[{"x": date(2026, 1, 1)}, {}, {}])),
    "infinite float": ("infinity", _add(_GOOD, _ABC, metadata=[{"x": float("inf")}, {}, {}])),
    "too large int": ("64 bits", _add(_GOOD, _ABC, metadata=[{"x": 2**63}, {}, {}])),
    "bytes": ("bytes", _add(_GOOD, _ABC, metadata=[{"x": b"x"}, {}, {}])),
    "field name": ("field name", _add(_GOOD, _ABC, metadata=[{"a b": 1}, {}, {}])),
    "documents length": ("2 documents", _add(_GOOD, _ABC, documents=["x", "y"])),
    "document as documents": ("one a row", _add(_GOOD, _ABC, documents="xyz")),
    "set of documents": ("one a row, not a set", _add(_GOOD, _ABC, documents={"x", "y", "z"})),
    "document type": ("row 1", _add(_GOOD, _ABC, documents=["x", 1, "y"])),
    "on_existing": ("overwrite", _add(_GOOD, _ABC, on_existing="merge")),
    "on_missing": ("skip", lambda index: index.remove_from_index(sample_ids=["a"], on_missing="ignore")),  # type: ignore[arg-type]
    "mode": ("merge", lambda index: index.set_metadata([{}], ["kept0"], mode="update")),  # type: ignore[arg-type]
    "metadata of none": ("sample_ids=", lambda index: index.set_metadata([{}])),
    "metadata rows": ("metadata rows", lambda index: index.set_metadata([{}, {}], ["kept0"])),
    "set type": ("cannot be stored", lambda index: index.set_metadata([{"x": object()}], ["kept0"])),
}
_QUERY = data.vectors(1)[0]
BAD_READS: dict[str, _Bad] = {
    "wrong width": ("15", lambda index: index.search(_QUERY[:15])),
    "nan": ("NaN", lambda index: index.search(_with(0, np.nan))),
    "words": ("ids=", lambda index: index.search("some text")),
    "nothing": ("ids=", lambda index: index.search()),
    "two queries": ("not both", lambda index: index.search(_QUERY, ids=["kept0"])),
    "include": ("metadata", lambda index: index.search(_QUERY, include=("vectors",))),  # type: ignore[arg-type]
    "max_distance": ("max_distance", lambda index: index.search(_QUERY, max_distance=float("nan"))),
    "id as ids": ("list", lambda index: index.get_embeddings(sample_ids="kept0")),
    "both ids": ("not both", lambda index: index.get_embeddings(sample_ids=["kept0"], label_ids=["kept0"])),
    "batch size": ("whole number", lambda index: list(index.iter_embeddings(0))),
    "unknown on_missing": ("skip", lambda index: index.get_embeddings(sample_ids=["kept0"], on_missing="zeros")),  # type: ignore[arg-type]
}


class RefusalTests(Harness):
    """Bad input, and good input of unusual forms."""

    @pytest.mark.parametrize("mistake", list(BAD_WRITES))
    def test_a_bad_write_writes_nothing(self, mistake: str) -> None:
        """One clear error, and the index is as it was.

        If this fails, check nothing in the adapter: what is refused never reaches it.
        """
        message, call = BAD_WRITES[mistake]
        index = self._kept()
        with pytest.raises(InvalidInputError, match=message):
            call(index)
        assert index.ids().tolist() == ["kept0", "kept1", "kept2"]
        assert index.get_metadata() == {"kept0": {"x": 0}, "kept1": {"x": 1}, "kept2": {"x": 2}}

    @pytest.mark.parametrize("mistake", list(BAD_READS))
    def test_a_bad_question_has_one_clear_error(self, mistake: str) -> None:
        """The message names what is wrong.

        If this fails, check nothing in the adapter.
        """
        message, call = BAD_READS[mistake]
        with pytest.raises(InvalidInputError, match=message):
            call(self._kept())

    def _kept(self) -> SimilarityIndex:
        ids = ["kept0", "kept1", "kept2"]
        columns = {"embeddings": _GOOD, "sample_ids": ids, "metadata": [{"x": number} for number in range(3)]}
        return self._once("kept", {**columns, "metric": self.metric})

    def test_unknown_ids_are_named(self) -> None:
        """By every call that needs them.

        If this fails, check that fetch leaves out unknown ids.
        """
        index = self._kept()
        calls: list[Callable[[], object]] = [
            lambda: index.search(ids=["kept0", "nobody"]),
            lambda: index.sort_by_similarity("nobody"),
            lambda: index.sort_by_similarity(ids=["nobody"]),
            lambda: index.get_embeddings(sample_ids=["nobody"]),
            lambda: index.set_metadata([{}], ["nobody"]),
            lambda: index.remove_from_index(sample_ids=["nobody"], on_missing="raise"),
        ]
        for call in calls:
            with pytest.raises(MissingIdsError, match="nobody") as caught:
                call()
            assert caught.value.ids == ["nobody"]

    def test_zero_vectors(self) -> None:
        """Under cosine they have no direction: refused in rows and queries. Elsewhere they are rows like others.

        If this fails, check ``zero_vectors``: false where the engine cannot store them under any metric.
        """
        zeros = np.zeros((2, data.DIM), np.float32)
        for metric in self.capabilities.metrics:
            index = self.create(embeddings=data.vectors(1), sample_ids=["other"], metric=metric)
            if metric == "cosine" or not self.capabilities.zero_vectors:
                with pytest.raises(InvalidInputError, match="zero"):
                    index.add_to_index(np.concatenate([data.vectors(1), zeros]), ["a", "b", "c"])
                assert index.ids().tolist() == ["other"]
            else:
                index.add_to_index(zeros, ["a", "b"])
                self.assert_vectors(index.get_embeddings(sample_ids=["b", "a"]), ["b", "a"], zeros)
            if metric == "cosine":
                with pytest.raises(InvalidInputError, match="zero"):
                    index.search(zeros[0])
            else:
                assert len(index.search(zeros[0], 5, **self.exactly)[0]) == len(index)

    @pytest.mark.parametrize(
        "form",
        [
            "float64",
            "float16",
            "int",
            "list",
            "tuples",
            "column order",
            "every second",
            "reversed",
            "objects",
            "big endian",
        ],
    )
    def test_vectors_of_any_numeric_form(self, form: str) -> None:
        """They are converted to float32; the caller's array is never changed.

        If this fails, check nothing in the adapter: it gets float32, C-contiguous.
        """
        whole = np.round(data.vectors(8, seed=62).astype(np.float64) * 16)
        whole[:, 0] = 7
        forms: dict[str, Callable[[], Any]] = {
            "float64": lambda: whole,
            "float16": lambda: whole.astype(np.float16),
            "int": lambda: whole.astype(int),
            "list": whole.tolist,
            "tuples": lambda: tuple(map(tuple, whole.tolist())),
            "column order": lambda: np.asfortranarray(whole, dtype=np.float32),
            "every second": lambda: np.repeat(whole, 2, axis=0).astype(np.float32)[::2],
            "reversed": lambda: whole.astype(np.float32)[::-1][::-1],
            "objects": lambda: _objects(whole),
            "big endian": lambda: whole.astype(">f4"),
        }
        given = forms[form]()
        if isinstance(given, np.ndarray):
            given.flags.writeable = False
        ids = [f"v{number}" for number in range(8)]
        index = self.create(embeddings=given, sample_ids=np.array(ids), metric=self.lengths_matter)
        self.assert_vectors(index.get_embeddings(sample_ids=ids), ids, whole.astype(np.float32))
        query = given[3] if not isinstance(given, np.ndarray) or given.dtype != object else given[3].tolist()
        expected = data.truth(whole[3], dict(zip(ids, whole, strict=True)), index.metric)
        data.assert_ranking(index.search(query, 8, **self.exactly)[0], expected, 8)

    def test_what_a_caller_passes_stays_as_it_is(self) -> None:
        """Arrays, lists and dicts that are passed in are neither changed nor kept; what comes out is the caller's own.

        If this fails, check that the adapter copies what it keeps and what it returns.
        """
        vectors, ids = data.vectors(4).copy(), ["a", "b", "c", "d"]
        metadata: list[dict[str, Any]] = [{"x": number, "tags": ["t"]} for number in range(4)]
        documents: list[str | None] = ["one", None, "three", "four"]
        index = self.create(
            embeddings=vectors, sample_ids=ids, metadata=metadata, documents=documents, metric=self.lengths_matter
        )
        assert np.array_equal(vectors, data.vectors(4))
        assert (ids, documents) == (["a", "b", "c", "d"], ["one", None, "three", "four"])
        assert metadata == [{"x": number, "tags": ["t"]} for number in range(4)]
        vectors[:] = 9
        metadata[0]["x"] = "changed"
        metadata[0]["tags"].append("changed")
        found = index.get_embeddings(sample_ids=["a", "b"])
        found.embeddings[:] = 5
        index.get_metadata()["b"]["tags"].append("changed")
        ranking = index.search(data.vectors(4)[1], 4, include=("metadata", "embeddings"), **self.exactly)[0]
        ranking.embeddings[:] = 3
        for row in ranking.metadata:
            row["tags"].append("changed")
            row["more"] = 1
        self.assert_vectors(
            index.get_embeddings(sample_ids=["a", "b", "c", "d"]), ["a", "b", "c", "d"], data.vectors(4)
        )
        assert index.get_metadata() == {row_id: {"x": n, "tags": ["t"]} for n, row_id in enumerate("abcd")}
        query = data.vectors(1, seed=63)[0]
        query.flags.writeable = False
        index.search(query, 2)
        assert np.array_equal(query, data.vectors(1, seed=63)[0])


def _objects(rows: Any) -> Any:
    made = np.empty(len(rows), dtype=object)
    for position, row in enumerate(rows):
        made[position] = row
    return made
