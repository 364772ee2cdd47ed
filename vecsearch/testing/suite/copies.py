"""Copies between this backend and the default one: what a change of engine must not change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import vecsearch
from vecsearch import registry
from vecsearch.testing.suite import data
from vecsearch.testing.suite.harness import Harness

if TYPE_CHECKING:
    from pathlib import Path

    from vecsearch import SimilarityIndex


class CopyTests(Harness):
    """``copy_index`` into the backend and out of it."""

    @pytest.mark.parametrize("patches", [False, True], ids=["samples", "labels"])
    def test_copied_here_and_back(self, patches: bool) -> None:
        """All columns come back as they were put, and both sides give the same answers.

        If this fails, check that scan and fetch give every column, and that upsert writes whole rows.
        """
        rows = data.sample_rows(60)
        columns: dict[str, Any] = rows.columns()
        if patches:
            columns |= {"label_ids": [f"l-{row_id}" for row_id in rows.ids], "sample_ids": ["s1", "s2", "s3"] * 20}
        metric = self.lengths_matter
        first = self._plain(metric=metric, **columns)
        here = self.create(embeddings=False, metric=metric)
        there = self._plain(metric=metric, embeddings=False)
        for source, target in ((first, here), (here, there)):
            report = vecsearch.copy_index(source, target, verify="full")
            assert report.mismatches == []
            assert report.written == report.compared_rows == len(rows.ids)
            assert report.queries
        assert there.get_metadata() == first.get_metadata()
        assert there.get_documents() == first.get_documents()
        assert data.ulps(there.get_embeddings().embeddings, first.get_embeddings().embeddings) <= self.ulps

    def test_a_copy_goes_on_where_it_was(self, tmp_path: Path) -> None:
        """With a checkpoint, rows that are in are not written again, and the source is read in one order.

        If this fails, check that fetch finds all rows by their ids.
        """
        index, rows = self.few(30)
        target = self._plain(metric=index.metric, embeddings=False, key="copy")
        file = tmp_path / "copy.json"

        def stop(done: int, total: int | None) -> None:
            del total
            if done:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            vecsearch.copy_index(index, target, checkpoint=file, progress=stop)
        assert file.exists()
        report = vecsearch.copy_index(index, target, checkpoint=file, verify="full")
        assert report.mismatches == []
        assert report.target_rows == len(rows.ids)
        assert report.written < len(rows.ids)
        assert not file.exists()

    def _plain(self, **arguments: Any) -> SimilarityIndex:
        return self.opened(vecsearch.compute_similarity(backend=registry.DEFAULT, **arguments))
