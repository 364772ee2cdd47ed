"""Rows go in and come out as they were put: vectors, ids, documents, counts; and lie so in the engine."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vecsearch.errors import MissingIdsError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness

if TYPE_CHECKING:
    from vecsearch.backends.base import Metric


class RowTests(Harness):
    """Round trips."""

    @pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
    def test_vectors_come_back_as_put(self, metric: Metric) -> None:
        """Vectors of very different lengths come back under every metric.

        If this fails, check that fetch returns float32 of the stored vector, and that ``normalises`` names the
        metrics under which the engine keeps unit vectors.
        """
        if metric not in self.capabilities.metrics:
            pytest.skip(f"{self.backend} declares no {metric}; test_undeclared_metrics_are_refused tries it")
        rows = data.sample_rows()
        index = self.filled(metric)
        self.assert_vectors(index.get_embeddings(sample_ids=rows.ids), rows.ids, rows.vectors)
        assert (index.metric, index.dim, len(index)) == (metric, data.DIM, data.ROWS)

    def test_all_rows_come_in_the_order_of_their_ids(self) -> None:
        """Without ids, get_embeddings, ids and get_metadata give every row once, ascending.

        If this fails, check that scan gives every row exactly once, also past its first batch.
        """
        rows = data.sample_rows()
        order = sorted(range(data.ROWS), key=rows.ids.__getitem__)
        index = self.filled()
        self.assert_vectors(index.get_embeddings(), sorted(rows.ids), rows.vectors[order])
        assert index.ids().tolist() == sorted(rows.ids)
        assert set(index.get_metadata()) == set(rows.ids)

    def test_rows_come_in_the_order_asked(self) -> None:
        """Vectors and metadata belong to the ids beside them, in the order asked, repeated where asked twice.

        If this fails, check that the columns of fetch are aligned: its rows may come in any order, but each whole.
        """
        rows = data.sample_rows()
        positions = [5, 199, 0, 5, 42, 0, *range(60, 20, -1)]
        asked = [rows.ids[p] for p in positions]
        index = self.filled()
        self.assert_vectors(index.get_embeddings(sample_ids=asked), asked, rows.vectors[positions])
        found = index.get_metadata(sample_ids=asked)
        assert all(data.same_metadata(found[rows.ids[p]], rows.metadata[p]) for p in positions)

    def test_missing_ids_raise_or_are_left_out(self) -> None:
        """Ids that are not there are named by the error, or skipped on request; never zeros, never another row.

        If this fails, check that fetch leaves out ids that do not exist, and does not fail on them.
        """
        index, rows = self.filled(), data.sample_rows()
        asked = ["nobody", rows.ids[3], "none"]
        for read in (index.get_embeddings, index.get_metadata):
            with pytest.raises(MissingIdsError, match="nobody") as caught:
                read(sample_ids=asked)
            assert caught.value.ids == ["nobody", "none"]
        kept = index.get_embeddings(sample_ids=asked, on_missing="skip")
        self.assert_vectors(kept, [rows.ids[3]], rows.vectors[[3]])
        none = index.get_embeddings(sample_ids=["nobody"], on_missing="skip")
        assert none.embeddings.shape == (0, data.DIM)
        assert list(index.get_metadata(sample_ids=asked, on_missing="skip")) == [rows.ids[3]]

    def test_contains_answers_for_each_id(self) -> None:
        """``contains`` is a bool an id, aligned, repeated ones included.

        If this fails, check that fetch with an empty ``include`` still returns the ids that exist.
        """
        ids = data.sample_rows().ids
        found = self.filled().contains([ids[0], "nobody", ids[7], ids[0]])
        assert found.dtype == np.bool_
        assert found.tolist() == [True, False, True, True]

    @pytest.mark.parametrize("batch_size", ["1", "7", "200", "5000"])
    def test_iteration_is_complete(self, batch_size: str) -> None:
        """Every row once, with its vector, in batches of at most the size asked for.

        If this fails, check that scan keeps to ``batch_rows`` and that its pages neither repeat nor miss rows.
        """
        rows = data.sample_rows()
        batches = list(self.filled().iter_embeddings(int(batch_size)))
        assert all(0 < len(batch.embeddings) <= int(batch_size) for batch in batches)
        ids = [row_id for batch in batches for row_id in batch.sample_ids]
        assert sorted(ids) == sorted(rows.ids)
        by_id = rows.by_id()
        found = np.concatenate([batch.embeddings for batch in batches])
        expected = np.stack([by_id[row_id] for row_id in ids])
        assert data.ulps(found, expected) <= self.ulps

    def test_ids_of_every_legal_shape(self) -> None:
        """Quotes, SQL, unicode, 4,096 bytes: each names its own row in every call.

        If this fails, check that ids are passed as parameters or escaped, never trimmed, folded or normalised.
        """
        ids = data.TRICKY_IDS
        vectors = data.vectors(len(ids), seed=1)
        index = self.create(embeddings=vectors, sample_ids=ids, metric=self.metric)
        assert index.ids().tolist() == sorted(ids)
        self.assert_vectors(index.get_embeddings(sample_ids=ids[::-1]), ids[::-1], vectors[::-1])
        nearest = index.search(ids=ids, k=1, **self.exactly)
        if self.metric != "dotproduct":
            assert [ranking.ids[0] for ranking in nearest] == ids
        assert len(index.use_view(sample_ids=ids[3:9])) == 6
        assert index.remove_from_index(sample_ids=ids[::2]) == len(ids[::2])
        assert index.ids().tolist() == sorted(ids[1::2])

    def test_ids_may_be_ints_and_uuids(self) -> None:
        """They become text, and the number and its text name the same row.

        If this fails, check nothing in the adapter: ids are made text before it is called.
        """
        token = uuid.UUID(int=5)
        index = self.create(embeddings=data.vectors(3), sample_ids=[1, token, np.int64(-3)], metric=self.metric)
        assert index.ids().tolist() == sorted(["1", str(token), "-3"])
        assert index.contains([1, "1", token, str(token), -3]).all()
        assert all(type(row_id) is str for row_id in index.ids())

    def test_documents_come_back(self) -> None:
        """A document is a text of any length that a row holds, or none; an empty one is not none.

        If this fails, check that documents are stored beside the row and returned by search where included.
        """
        most = self.capabilities.row_bytes
        documents = [
            "",
            None,
            "x" * (50_000 if most is None else min(50_000, most - 200)),
            "Zürich 東京 🦊 \"'\\ \n",
            "None",
        ]
        ids = [f"d{number}" for number in range(5)]
        vectors = data.vectors(5)
        index = self.create(embeddings=vectors, sample_ids=ids, documents=documents, metric=self.metric)
        ranking = index.search(vectors[0], 5, include=("documents",), **self.exactly)[0]
        assert dict(zip(ranking.ids, ranking.documents, strict=True)) == dict(zip(ids, documents, strict=True))

    def test_the_engine_holds_what_was_put(self) -> None:
        """Past vecsearch, through the engine's own client: the same ids, vectors and native metadata.

        If this fails, check that upsert writes what it is given: a wrong write and a wrong read may hide each other.
        """
        rows = data.sample_rows()
        behind = self.behind(self.filled())
        assert sorted(behind) == sorted(rows.ids)
        for row_id, vector, metadata in zip(rows.ids, rows.vectors, rows.metadata, strict=True):
            held, fields = behind[row_id]
            if self.metric not in self.capabilities.normalises:
                assert np.array_equal(np.asarray(held, dtype=np.float32), vector)
            else:
                assert np.allclose(held / np.linalg.norm(held), vector / np.linalg.norm(vector), atol=1e-5)
            native = {name: v for name, v in metadata.items() if type(v).__name__ in self.capabilities.metadata_types}
            plain = {name: v for name, v in fields.items() if name[:4] != "_vs_" and "__" not in name}
            assert data.same_metadata({name: plain.get(name) for name in native}, native)
            assert set(plain) <= set(metadata)
        if self.capabilities.id_form == "uuid":
            assert all(str(uuid.UUID(row_id)) == row_id for row_id in self.back_door(self.filled()))

    def test_the_engine_holds_no_more_after_changes(self) -> None:
        """Overwritten fields and removed rows are gone from the engine itself.

        If this fails, check that upsert replaces whole rows (no merge), and that delete deletes.
        """
        index, rows = self.few()
        index.add_to_index(rows.vectors[[1]] * 2, [rows.ids[1]], metadata=[{"parity": "new"}])
        index.remove_from_index(sample_ids=[rows.ids[0]])
        behind = self.behind(index)
        assert sorted(behind) == sorted(rows.ids[1:])
        vector, fields = behind[rows.ids[1]]
        assert fields["parity"] == "new"
        assert not {name for name in fields if name.partition("__")[0] in ("number", "tags", "taken", "ratio")}
        if self.metric not in self.capabilities.normalises:
            assert np.array_equal(np.asarray(vector, dtype=np.float32), rows.vectors[1] * 2)
