"""Patch indexes: a row per label, many labels a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import vecsearch
from vecsearch import F
from vecsearch.errors import InvalidInputError, MissingIdsError
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness

if TYPE_CHECKING:
    from vecsearch import SimilarityIndex

_MANY, _SOME = 130, 12


class PatchTests(Harness):
    """Labels of samples."""

    def _labels(self) -> tuple[list[str], list[str]]:
        """Labels in no order, and the sample of each: 130 of one, 12 of another, one each of the rest."""
        samples = ["crowd"] * _MANY + ["group"] * _SOME + [f"single{number}" for number in range(20)]
        return [f"label{(number * 101) % 997:03d}" for number in range(len(samples))], samples

    def _patches(self) -> SimilarityIndex:
        return self._once("patches", {**self._columns(), "metric": self.metric})

    def _columns(self) -> dict[str, Any]:
        labels, samples = self._labels()
        return {
            "embeddings": data.vectors(len(labels), seed=51),
            "sample_ids": samples,
            "label_ids": labels,
            "metadata": [{"number": number} for number in range(len(labels))],
        }

    def _of(self, *samples: str) -> list[str]:
        labels, owners = self._labels()
        return [
            label
            for sample in samples
            for label in sorted(lb for lb, own in zip(labels, owners, strict=True) if own == sample)
        ]

    def test_a_sample_means_all_its_labels(self) -> None:
        """However many there are; in the order of the samples asked, then by label id.

        If this fails, check that scan gives all rows of a filter, past its first page.
        """
        index, vectors = self._patches(), data.vectors(len(self._labels()[0]), seed=51)
        labels, _ = self._labels()
        for asked in (["crowd"], ["group"], ["single3", "group", "crowd", "single0"]):
            expected = self._of(*asked)
            found = index.get_embeddings(sample_ids=asked)
            positions = [labels.index(label) for label in expected]
            owners = [self._labels()[1][p] for p in positions]
            self.assert_vectors(found, owners, vectors[positions], expected)
            assert list(index.get_metadata(sample_ids=asked)) == expected
        assert len(self._of("crowd")) == _MANY
        assert (len(index), index.ids().tolist()) == (len(labels), sorted(labels))

    def test_labels_come_in_the_order_asked(self) -> None:
        """By label ids, with the sample of each.

        If this fails, check that fetch returns the hidden field ``_vs_sample``.
        """
        index, (labels, samples) = self._patches(), self._labels()
        positions = [140, 0, 155, 3, 0]
        vectors = data.vectors(len(labels), seed=51)[positions]
        asked = [labels[p] for p in positions]
        self.assert_vectors(index.get_embeddings(label_ids=asked), [samples[p] for p in positions], vectors, asked)
        assert index.contains([labels[0], "crowd"]).tolist() == [True, False]

    def test_missing_samples_and_labels(self) -> None:
        """A sample without labels and an unknown label are missing.

        If this fails, check that a filter that matches no row gives no row.
        """
        index = self._patches()
        with pytest.raises(MissingIdsError, match="empty"):
            index.get_embeddings(sample_ids=["group", "empty"])
        with pytest.raises(MissingIdsError, match="nobody"):
            index.get_embeddings(label_ids=["nobody"])
        found = index.get_embeddings(sample_ids=["empty", "single1"], on_missing="skip")
        assert found.sample_ids.tolist() == ["single1"]

    def test_search_finds_labels_and_their_samples(self) -> None:
        """Rows are labels; each says its sample; metadata are the user's own.

        If this fails, check that search returns the hidden field ``_vs_sample`` with the hits.
        """
        index, (labels, samples) = self._patches(), self._labels()
        rows = dict(zip(labels, data.vectors(len(labels), seed=51), strict=True))
        query = data.vectors(1, seed=52)[0]
        ranking = index.search(query, 15, **self.exactly)[0]
        data.assert_ranking(ranking, data.truth(query, rows, self.metric), 15)
        owner = dict(zip(labels, samples, strict=True))
        assert ranking.label_ids is not None
        assert ranking.label_ids.tolist() == ranking.ids.tolist()
        assert ranking.sample_ids.tolist() == [owner[label] for label in ranking.ids]
        assert ranking.metadata == [{"number": labels.index(label)} for label in ranking.ids]
        assert (
            index.search(query, 3, include=(), **self.exactly)[0].sample_ids.tolist() == ranking.sample_ids[:3].tolist()
        )

    def test_a_sample_is_no_query(self) -> None:
        """Searching by a sample id is an error that says to use a label's.

        If this fails, check nothing in the adapter.
        """
        for call in (
            lambda: self._patches().search(ids=["group"]),
            lambda: self._patches().search(ids=[self._labels()[0][0], "group"]),
            lambda: self._patches().sort_by_similarity("group"),
        ):
            with pytest.raises(MissingIdsError, match="label"):
                call()

    def test_views_by_samples_and_by_labels(self) -> None:
        """A view by samples takes all their labels; search, count and iteration stay inside.

        If this fails, check ``where.ids`` and filters together.
        """
        index, (labels, _) = self._patches(), self._labels()
        rows = dict(zip(labels, data.vectors(len(labels), seed=51), strict=True))
        query = data.vectors(1, seed=53)[0]
        for view, inside in (
            (index.use_view(sample_ids=["group", "single4"]), self._of("group", "single4")),
            (index.use_view(sample_ids=["crowd", "unknown"]), self._of("crowd")),
            (index.use_view(label_ids=labels[135:150]), labels[135:150]),
            (index.use_view(filter=F("number") < 20), labels[:20]),
            (index.use_view(filter=F("number") < 20).use_view(sample_ids=["crowd"]), labels[:20]),
        ):
            assert view.ids().tolist() == sorted(inside)
            assert len(view.get_embeddings().embeddings) == len(inside)
            exact = self.capabilities.exactness != "always"
            ranking = view.search(query, 20, allow_scan=True, exact=exact)[0]
            data.assert_ranking(ranking, data.truth(query, rows, self.metric, inside), 20)

    def test_a_label_that_is_added_again_moves(self) -> None:
        """A label has one sample: adding it under another takes it there.

        If this fails, check that upsert replaces all fields of a row, hidden ones too.
        """
        index = self.create(**self._columns(), metric=self.metric)
        label = self._of("group")[4]
        index.add_to_index(data.vectors(1, seed=54), ["single0"], [label])
        assert len(index) == len(self._labels()[0])
        assert label not in index.get_embeddings(sample_ids=["group"]).label_ids.tolist()  # type: ignore[union-attr]
        assert label in index.get_embeddings(sample_ids=["single0"]).label_ids.tolist()  # type: ignore[union-attr]
        assert index.get_embeddings(label_ids=[label]).sample_ids.tolist() == ["single0"]

    def test_removing_by_sample_and_by_label(self) -> None:
        """All labels of a sample go, or the labels named; the others stay.

        If this fails, check that delete takes more ids than a page of scan.
        """
        index = self.create(**self._columns(), metric=self.metric)
        assert index.remove_from_index(sample_ids=["crowd", "unknown"]) == _MANY
        gone = self._of("group")[:3]
        assert index.remove_from_index(label_ids=gone) == 3
        with pytest.raises(MissingIdsError):
            index.remove_from_index(sample_ids=["crowd"], on_missing="raise")
        left = set(self._labels()[0]) - set(self._of("crowd")) - set(gone)
        assert index.ids().tolist() == sorted(left)

    def test_metadata_of_a_sample_goes_to_all_its_labels(self) -> None:
        """``set_metadata`` by sample changes all labels of it, by label that one.

        If this fails, check that fetch returns whole rows.
        """
        index = self.create(**self._columns(), metric=self.metric)
        assert index.set_metadata([{"seen": True}], ["group"]) == _SOME
        index.set_metadata([{"seen": False}], label_ids=[self._of("crowd")[0]])
        assert index.use_view(filter=F("seen") == True).ids().tolist() == self._of("group")  # noqa: E712
        assert index.use_view(filter=F("seen").exists()).count(allow_scan=True) == _SOME + 1
        assert set(index.get_embeddings(sample_ids=["group"]).sample_ids) == {"group"}

    def test_samples_are_not_metadata(self) -> None:
        """The hidden field of the sample is in no metadata, and cannot be filtered by.

        If this fails, check nothing in the adapter.
        """
        index = self._patches()
        assert all(list(row) == ["number"] for row in index.get_metadata().values())
        with pytest.raises(InvalidInputError):
            index.count(F("_vs_sample") == "crowd")

    def test_a_patch_index_is_opened_again_as_one(self) -> None:
        """After save and load it is still an index of labels, with the sample of each.

        If this fails, check that describe tells ``patches`` as create was given it.
        """
        index = self.create(**self._columns(), metric=self.metric, key="labels")
        index.save()
        index.close()
        self.forget(index)
        index = self.opened(vecsearch.load_run("labels"))
        assert index.is_patches
        assert index.get_embeddings(sample_ids=["group"]).label_ids.tolist() == self._of("group")  # type: ignore[union-attr]
        assert index.add_to_index(data.vectors(1), ["group"], ["one more"]).written == 1
        assert len(index.use_view(sample_ids=["group"])) == _SOME + 1
        assert vecsearch.get_run_info("labels").patches

    def test_what_an_index_is_stays(self) -> None:
        """Labels on an index of samples, none on one of labels, a label twice in a call: refused, nothing written.

        If this fails, check that describe tells ``patches``.
        """
        patches = self.create(**self._columns(), metric=self.metric)
        samples, _ = self.few(3)
        vectors = data.vectors(2)
        for index, arguments in (
            (patches, (vectors, ["a", "b"])),
            (patches, (vectors, ["a", "b"], ["same", "same"])),
            (patches, (vectors, ["a", "b"], ["one"])),
            (samples, (vectors, ["a", "b"], ["c", "d"])),
        ):
            before = len(index)
            with pytest.raises(InvalidInputError):
                index.add_to_index(*arguments)
            assert len(index) == before
        with pytest.raises(InvalidInputError, match="sample_ids"):
            samples.get_embeddings(label_ids=["a"])
