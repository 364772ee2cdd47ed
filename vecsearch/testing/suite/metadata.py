"""Metadata comes back as it was put, types included; a write replaces the row; set_metadata changes only metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vecsearch.errors import MissingIdsError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness


class MetadataTests(Harness):
    """Metadata."""

    @pytest.mark.parametrize("kind", list(data.EVERY_TYPE))
    def test_metadata_of_every_type_comes_back(self, kind: str) -> None:
        """``1.0`` stays a float, ``True`` a bool, an offset an offset, an empty list a list; large integers exact.

        If this fails, check that ``metadata_types`` and ``max_int`` declare only what comes back exactly: the rest is
        kept beside the row and needs nothing of the adapter.
        """
        index = self._every_type()
        found = index.get_metadata(sample_ids=[kind])[kind]
        assert data.same_metadata(found, data.EVERY_TYPE[kind]), found

    def test_metadata_comes_with_a_search(self) -> None:
        """A search returns the same metadata as get_metadata.

        If this fails, check that the fields of search's rows are those of fetch's, types included.
        """
        index = self._every_type()
        ranking = index.search(data.vectors(1)[0], len(data.EVERY_TYPE), include=("metadata",), **self.exactly)[0]
        assert sorted(ranking.ids) == sorted(data.EVERY_TYPE)
        for row_id, metadata in zip(ranking.ids, ranking.metadata, strict=True):
            assert data.same_metadata(metadata, data.EVERY_TYPE[row_id]), row_id

    def _every_type(self) -> Any:
        ids = list(data.EVERY_TYPE)
        columns = {"embeddings": data.vectors(len(ids)), "sample_ids": ids, "metadata": list(data.EVERY_TYPE.values())}
        return self._once("every type", {**columns, "metric": self.metric})

    def test_absent_values_are_absent(self) -> None:
        """``None`` and NaN are not stored, in rows and in columns; no metadata is an empty dict.

        If this fails, check that the adapter invents no value for a field that a row does not have.
        """
        index = self.create(
            embeddings=data.vectors(3),
            sample_ids=["a", "b", "c"],
            metadata={"x": [1, None, 3], "y": [None, float("nan"), 0.5]},
            metric=self.metric,
        )
        index.add_to_index(data.vectors(1, seed=2), ["d"])
        assert index.get_metadata() == {"a": {"x": 1}, "b": {}, "c": {"x": 3, "y": 0.5}, "d": {}}

    def test_new_fields_may_come_later(self) -> None:
        """Rows with other fields, or another type in a field, can be added to rows that are there.

        If this fails, check that the adapter adds columns where the engine has a schema.
        """
        index, rows = self.few(3)
        later = {"fresh": "field", "number": "a text where others have a number", "ratio": True}
        index.add_to_index(data.vectors(1, seed=3), ["later"], metadata=[later])
        assert data.same_metadata(index.get_metadata(sample_ids=["later"])["later"], later)
        for row_id, metadata in zip(rows.ids, rows.metadata, strict=True):
            assert data.same_metadata(index.get_metadata(sample_ids=[row_id])[row_id], metadata)

    def test_a_write_replaces_the_whole_row(self) -> None:
        """Metadata and document that a write does not give are gone afterwards; other rows keep theirs.

        If this fails, check that upsert does not merge: fields that are not given must vanish, the document too.
        """
        index, rows = self.few()
        first, second, third = rows.ids[:3]
        index.add_to_index(data.vectors(2, seed=4), [first, second], metadata=[{"parity": "none"}, None])
        found = index.get_metadata(sample_ids=[first, second, third])
        assert found[first] == {"parity": "none"}
        assert found[second] == {}
        assert data.same_metadata(found[third], rows.metadata[2])
        ranking = index.search(rows.vectors[0], len(rows.ids), include=("documents", "metadata"), **self.exactly)[0]
        documents = dict(zip(ranking.ids, ranking.documents, strict=True))
        assert documents[first] is None
        assert documents[third] == rows.documents[2]
        self.assert_vectors(
            index.get_embeddings(sample_ids=[second, third]),
            [second, third],
            np.stack([data.vectors(2, seed=4)[1], rows.vectors[2]]),
        )

    @pytest.mark.parametrize("mode", ["merge", "replace"])
    def test_set_metadata(self, mode: Any) -> None:
        """Merging keeps the other fields, replacing does not; vectors, documents and other rows stay as they are.

        If this fails, check that fetch returns whole rows, vectors and documents included, to be written back.
        """
        index, rows = self.few()
        first, second = rows.ids[0], rows.ids[4]
        changed = index.set_metadata([{"parity": "?", "extra": 1}, {}], [first, second], mode=mode)
        assert changed == 2
        found = index.get_metadata()
        kept = mode == "merge"
        assert data.same_metadata(found[first], {**(rows.metadata[0] if kept else {}), "parity": "?", "extra": 1})
        assert data.same_metadata(found[second], rows.metadata[4] if kept else {})
        assert data.same_metadata(found[rows.ids[1]], rows.metadata[1])
        self.assert_vectors(index.get_embeddings(sample_ids=rows.ids), rows.ids, rows.vectors)
        ranking = index.search(rows.vectors[0], len(rows.ids), include=("documents",), **self.exactly)[0]
        documents = dict(zip(rows.ids, rows.documents, strict=True))
        assert all(
            document == documents[row_id] for row_id, document in zip(ranking.ids, ranking.documents, strict=True)
        )

    def test_set_metadata_of_missing_rows_changes_nothing(self) -> None:
        """An unknown id is an error that names it, and the known rows keep what they had.

        If this fails, check that fetch leaves out unknown ids.
        """
        index, rows = self.few(4)
        with pytest.raises(MissingIdsError, match="nobody"):
            index.set_metadata([{"parity": "?"}] * 2, [rows.ids[0], "nobody"])
        assert data.same_metadata(index.get_metadata()[rows.ids[0]], rows.metadata[0])
        assert len(index) == 4
