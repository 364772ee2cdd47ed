"""What is the same for every provider: batches, retries, refusals, checks, fingerprints, and no secret anywhere."""

import logging
import traceback

import numpy as np
import pytest
from letters import DIM, Letters, LettersConfig, count

from vecsearch import AccessDeniedError, ConnectionFailedError, InvalidInputError, ModelError, UnsupportedError
from vecsearch.models.base import checked
from vecsearch.models.given import as_model, same_model

SECRET = "s3cr3t-planted"  # noqa: S105  a planted one


@pytest.fixture
def make(monkeypatch):
    def _make(**settings):
        monkeypatch.setattr(Letters, "fails", [])
        monkeypatch.setattr(Letters, "calls", [])
        monkeypatch.setattr(Letters, "opened", 0)
        return Letters(LettersConfig(model="latin", **settings))

    return _make


def test_batches_by_rows_and_by_bytes(make):
    model = make(batch_size=3)
    np.testing.assert_array_equal(model.embed(["a", "bb", "c", "d"]), count(["a", "bb", "c", "d"]))
    assert [len(batch) for batch in model.calls] == [3, 1]
    model.batch_bytes = 12
    model.calls.clear()
    model.embed(["aaaa", "bbbb", "cc"])  # with their quotes 6, 6, 4
    assert model.calls == [["aaaa", "bbbb"], ["cc"]]
    with pytest.raises(ModelError, match="a sample takes 22 bytes, 12 bytes are the most"):
        model.embed(["a" * 20])
    assert model.embed([]).shape == (0, DIM)


def test_it_is_opened_once_when_it_is_used(make):
    model = make()
    assert (model.opened, model.dim, model.name) == (0, None, "letters:latin")
    model.embed(["a"])
    model.embed_prompts(["b"])
    assert (model.opened, model.dim) == (1, DIM)
    assert repr(model) == f"<text model letters:latin, dim={DIM}>"


def test_a_service_that_is_away_is_asked_again(make):
    model = make()
    model.fails += [ConnectionResetError("gone"), ConnectionResetError("gone")]
    assert model.embed(["a"]).shape == (1, DIM)
    assert len(model.calls) == 3


def test_the_deadline_ends_it(make):
    model = make(timeout=0.3)
    model.fails += [ConnectionResetError("gone")] * 100
    with pytest.raises(ConnectionFailedError, match="letters:latin cannot be reached: gone") as caught:
        model.embed(["a"])
    assert (caught.value.backend, caught.value.operation) == ("letters:latin", "embed")


def test_a_wait_that_is_longer_than_the_deadline_is_not_begun(make, monkeypatch):
    model = make(timeout=2.0)
    monkeypatch.setattr(model, "retry_after", lambda _: 60.0)
    model.fails += [ConnectionResetError("busy")]
    with pytest.raises(ConnectionFailedError):
        model.embed(["a"])
    assert len(model.calls) == 1


def test_what_another_try_cannot_mend_is_not_tried(make):
    model = make()
    model.fails += [PermissionError("no")]
    with pytest.raises(AccessDeniedError, match="refused the credentials"):
        model.embed(["a"])
    with pytest.raises(ModelError, match="failed on 2 samples: a bad text") as caught:
        model.embed(["a", "bad"])
    assert caught.value.of_samples
    assert len(model.calls) == 2


def test_what_cannot_be_opened_is_no_fault_of_a_sample(make, monkeypatch):
    model = make()

    def broken():
        raise RuntimeError("no weights")

    monkeypatch.setattr(model, "open", broken)
    with pytest.raises(ModelError, match="could not be opened: no weights") as caught:
        model.embed(["a"])
    assert not caught.value.of_samples


@pytest.mark.parametrize(
    ("vectors", "message", "of_samples"),
    [
        ([[1.0, 2.0]], "1 embeddings from the model m for 2 samples", False),
        ([[1.0, float("nan")], [1.0, 2.0]], "NaN", True),
        ([[1.0, 2.0, 3.0]] * 2, "gave 3 dimensions, it has 2", False),
        ([[1.0], [1.0, 2.0]], "different lengths", True),
        ([["a", "b"], ["c", "d"]], "array of numbers", True),
        (None, "array of numbers", True),
        ({"a": 1}, "array of numbers", True),
    ],
)
def test_what_is_no_embedding_is_refused(vectors, message, of_samples):
    with pytest.raises(ModelError, match=message) as caught:
        checked(vectors, 2, 2, "m")
    assert caught.value.of_samples is of_samples


def test_no_secret_in_any_message_traceback_log_or_repr(make, caplog):
    model = make(key=SECRET, url=f"https://me:{SECRET}@host/v1", timeout=0.2)
    seen = [repr(model), repr(model.config), str(model.fingerprint())]
    causes = (ConnectionResetError, PermissionError, RuntimeError)
    with caplog.at_level(logging.DEBUG):
        for kind in causes:
            model.fails[:] = [kind(f"key {SECRET} at https://me:{SECRET}@host")] * 50
            with pytest.raises(Exception, match=r"\*\*\*") as caught:
                model.embed(["a"])
            seen += ["".join(traceback.format_exception(caught.value)), repr(caught.value)]
    assert not [text for text in [*seen, caplog.text] if SECRET in text]


class Given:
    name = "given"
    dim = None
    supports_prompts = False

    def embed(self, samples):
        return count(samples)

    def embed_prompts(self, texts):
        raise NotImplementedError

    def fingerprint(self):
        return {"name": self.name, "dim": self.dim, "layers": (1, 2)}


def test_an_object_of_the_protocol_is_taken_as_it_is():
    model = Given()
    assert as_model(model) is model

    class Half:
        embed = embed_prompts = None

    with pytest.raises(InvalidInputError, match="Half lacks name, dim, supports_prompts, fingerprint"):
        as_model(Half())
    with pytest.raises(UnsupportedError, match="takes no text queries"):
        as_model(count).embed_prompts(["a"])


def test_a_fingerprint_is_compared_as_a_record_holds_it():
    same_model({"name": "given", "dim": 3, "layers": [1, 2]}, Given())
    same_model(None, Given())
    for recorded in ({"name": "given"}, {"name": "given", "layers": [1]}, {"name": "other", "layers": [1, 2]}):
        with pytest.raises(InvalidInputError, match="the index holds vectors of the model"):
            same_model(recorded, Given())


def test_sentence_transformers_are_told_apart_by_their_weights():
    class Card:
        base_model = "org/weights"

    class Encoder:
        model_card_data = Card()

        def encode(self, texts):
            return count(texts)

    assert as_model(Encoder()).name == "org/weights"
