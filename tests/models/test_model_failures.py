"""Samples that cannot be embedded: found, skipped or refused, and always named."""

from dataclasses import replace

import numpy as np
import pytest
from letters import Letters, count

import vecsearch
from vecsearch import InvalidInputError, ModelError, RunExistsError, StorageError, registry
from vecsearch.backends.sklearn import SklearnBackend


class Picky:
    """Fails on a batch that holds a text with ``bad`` in it."""

    name = "picky"
    batch_size = 8
    calls = 0

    def __call__(self, texts):
        type(self).calls += 1
        if any(text.startswith("bad") for text in texts):
            raise RuntimeError("cannot read it")
        return count(texts)

    supports_prompts = True


@pytest.fixture
def samples():
    texts = {f"id{number}": f"text {chr(97 + number % 26)}" for number in range(40)}
    return texts | {"id7": "bad one", "id20": "bad two"}


def test_they_are_skipped_and_named(samples):
    metadata = [{"row": row} for row in range(40)]
    with pytest.warns(
        UserWarning, match="2 of 40 samples were skipped, as the model picky could not .* 'id7': .*read it"
    ):
        index = vecsearch.compute_similarity(samples, model=Picky(), metadata=metadata, key="a")
    assert list(index.failed_samples) == ["id7", "id20"]
    assert "cannot read it" in index.failed_samples["id20"]
    assert len(index) == 38
    assert index.get_metadata(["id8", "id39"]) == {"id8": {"row": 8}, "id39": {"row": 39}}  # columns stay aligned
    assert index.get_documents(["id8"])["id8"] == "text i"
    with pytest.warns(UserWarning, match="1 of 2 samples"):
        receipt = index.add_samples(["bad", "good"], ["x", "y"])
    assert (receipt.written, index.contains(["x", "y"]).tolist()) == (1, [False, True])
    assert set(index.failed_samples) == {"id7", "id20", "x"}


def test_or_refused_before_anything_is_written(samples):
    with pytest.raises(ModelError, match=r"'id7' could not be embedded: .*cannot read it") as caught:
        vecsearch.compute_similarity(samples, model=Picky(), key="a", on_failed="raise")
    assert list(caught.value.failed) == ["id7"]
    assert vecsearch.list_runs() == []
    with pytest.raises(InvalidInputError, match="on_failed must be one of 'skip', 'raise', not 'ignore'"):
        vecsearch.compute_similarity(samples, model=Picky(), on_failed="ignore")


def test_vectors_that_are_returned_are_aligned_unless_asked_otherwise():
    index = vecsearch.compute_similarity({"a": "x"}, model=Picky())
    with pytest.raises(ModelError, match="'1' could not be embedded"):
        index.compute_embeddings(["one", "bad", "two"])
    with pytest.warns(UserWarning, match="1 of 3 samples"):
        found = index.compute_embeddings(["one", "bad", "two"], on_failed="skip")
    assert found.sample_ids.tolist() == ["0", "2"]
    np.testing.assert_array_equal(found.embeddings, count(["one", "two"]))
    assert index.compute_embeddings([]).embeddings.shape == (0, found.embeddings.shape[1])


def test_a_model_that_fails_always_is_not_asked_for_ever():
    Picky.calls = 0
    with pytest.raises(ModelError, match="16 samples in a row could not be embedded"):
        vecsearch.compute_similarity(["bad"] * 10_000, model=Picky())
    assert Picky.calls < 40
    with pytest.raises(ModelError, match=r"no sample could be embedded: .*cannot read it"):
        vecsearch.compute_similarity(["bad"], model=Picky())


def test_ids_and_columns_are_refused_before_the_first_sample_is_embedded():
    Picky.calls = 0
    for wrong, message in (
        ({"sample_ids": ["a", "a"]}, "given more than once"),
        ({"sample_ids": ["a"]}, "1 sample_ids for 2 samples"),
        ({"metadata": [{"no good": 1}, {}]}, "is no field name"),
        ({"documents": ["one"]}, "1 documents for 2"),
        ({"label_ids": ["a", "b"]}, "needs sample_ids="),
        ({"sample_ids": ["a", "b"], "label_ids": ["l"]}, "1 label_ids for 2 samples"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            vecsearch.compute_similarity(["x", "y"], model=Picky(), **wrong)
    with pytest.raises(InvalidInputError, match="samples must be a list, not one str"):
        vecsearch.compute_similarity("one text", model=Picky())
    assert Picky.calls == 0


def test_another_width_is_refused_at_the_first_batch(samples):
    Picky.calls = 0
    with pytest.raises(InvalidInputError, match="gives 27 dimensions, this index has 5"):
        vecsearch.compute_similarity(list("abcdefghijkl"), model=Picky(), dim=5, key="a")
    assert Picky.calls == 1
    assert vecsearch.list_runs() == []


def test_labels_of_samples_that_fail():
    with pytest.warns(UserWarning, match="'l2'"):
        index = vecsearch.compute_similarity(
            ["a", "bad", "c"], sample_ids=["s", "s", "t"], label_ids=["l1", "l2", "l3"], model=Picky()
        )
    assert (index.is_patches, sorted(index.ids()), list(index.failed_samples)) == (True, ["l1", "l3"], ["l2"])


def test_a_table_and_a_model_embed_its_documents():
    pa = pytest.importorskip("pyarrow", reason="extra arrow")
    table = pa.table({"name": ["a", "b"], "text": ["kite", "boat"], "n": [1, 2]})
    index = vecsearch.compute_similarity(table, sample_ids="name", documents="text", metadata=["n"], model=Picky())
    match = index.sort_by_similarity(text="boat", k=1)[0]
    assert (match.id, match.document, match.metadata) == ("b", "boat", {"n": 2})


def test_progress_is_told_in_samples():
    seen = []
    vecsearch.compute_similarity(
        list("abcdefghij"), model=Picky(), progress=lambda done, total: seen.append((done, total))
    )
    assert seen[:2] == [(8, 10), (10, 10)]


def test_create_now_and_add_later():
    index = vecsearch.compute_similarity(embeddings=False, model=Picky(), key="later")
    assert index.add_samples(["kite", "boat"], ["a", "b"]).written == 2
    index.save()
    assert vecsearch.get_run_info("later").model == {"name": "picky", "dim": 27}
    with pytest.raises(InvalidInputError, match="the index holds vectors of the model 'picky'"):
        vecsearch.load_run("later", model=count)


def test_a_taken_key_and_an_engine_that_is_away_are_told_before_the_first_sample_is_embedded(monkeypatch):
    vecsearch.compute_similarity({"a": "x"}, model=Picky(), key="kb").close()
    Picky.calls = 0
    for key in ("kb", "KB"):
        with pytest.raises(RunExistsError, match="kb"):
            vecsearch.compute_similarity({"a": "x"}, model=Picky(), key=key)

    class Away(SklearnBackend):
        capabilities = replace(SklearnBackend.capabilities, local=False)

        def describe(self):
            raise StorageError("no answer")

    with registry.registered("away", Away), pytest.raises(StorageError, match="no answer"):
        vecsearch.compute_similarity({"a": "x"}, model=Picky(), key="other", backend="away")
    assert Picky.calls == 0
    assert vecsearch.list_runs() == ["kb"]


def test_a_copy_keeps_the_model():
    with registry.MODELS.registered("letters", Letters):
        source = vecsearch.compute_similarity({"a": "kite", "b": "boat"}, model="letters:latin", key="one")
        target = vecsearch.compute_similarity(embeddings=False, key="two")
        vecsearch.copy_index(source, target)
        target.close()
        again = vecsearch.load_run("two")
        assert again.search(text="boat", k=1)[0].ids.tolist() == ["b"]
        assert vecsearch.get_run_info("two").model_source == vecsearch.get_run_info("one").model_source
