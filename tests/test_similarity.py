"""The front door: what it takes, what it refuses, and that a failed creation leaves nothing."""

import json
import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
from vecsearch_sqlite import SQLiteBackend

import vecsearch
from vecsearch import (
    ConfigError,
    CorruptRunError,
    IndexExistsError,
    IndexNotFoundError,
    InvalidInputError,
    RunError,
    RunExistsError,
    RunNotFoundError,
    UnsupportedError,
    registry,
)

X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
IDS = [f"id{number}" for number in range(20)]


class Encoder:
    """Texts to vectors by their letters."""

    def __init__(self, name="letters", dim=4):
        self.name = name
        self.width = dim
        self.calls = 0

    def encode(self, texts):
        self.calls += 1
        return [np.random.default_rng(sum(text.encode())).normal(size=self.width) for text in texts]

    def get_sentence_embedding_dimension(self):
        return self.width


@pytest.fixture
def sqlite():
    with registry.registered("sqlite", SQLiteBackend):
        yield


def test_arrays_and_ids_by_position():
    index = vecsearch.compute_similarity(embeddings=X)
    assert list(index.ids()) == sorted(str(number) for number in range(20))
    assert index.key is None


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_table_with_column_names(library):
    module = pytest.importorskip(library, reason=f"extra {library}")
    columns = {
        "path": IDS,
        "emb": X.tolist(),
        "text": ["t"] * 20,
        "split": ["train", "test"] * 10,
        "n": list(range(20)),
    }
    table = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    index = vecsearch.compute_similarity(
        table, embeddings="emb", sample_ids="path", documents="text", metadata=["split", "n"]
    )
    match = index.sort_by_similarity("id3", k=1)[0]
    assert (match.id, match.document, match.metadata) == ("id3", "t", {"split": "test", "n": 3})
    np.testing.assert_array_equal(index.get_embeddings(["id7"]).embeddings[0], X[7])
    with pytest.raises(InvalidInputError, match="no column 'pth'; did you mean 'path'"):
        vecsearch.compute_similarity(table, embeddings="emb", sample_ids="pth")


def test_a_pandas_frame_with_holes_in_its_index_and_absent_cells():
    pd = pytest.importorskip("pandas", reason="extra pandas")
    frame = pd.DataFrame({"a": [1.0, None, 3.0], "at": pd.to_datetime(["2026-01-01", None, "2026-01-03"], utc=True)})
    frame.index = [5, 9, 1]
    index = vecsearch.compute_similarity(embeddings=X[:3], sample_ids=frame.index, metadata=frame)
    stored = index.get_metadata()
    assert stored["9"] == {}
    assert stored["5"] == {"a": 1.0, "at": datetime(2026, 1, 1, tzinfo=UTC)}
    assert type(stored["5"]["at"]) is datetime


def test_texts_and_a_model():
    model = Encoder()
    index = vecsearch.compute_similarity({"a": "kite", "b": "boat"}, model=model, key="t")
    assert index.sort_by_similarity("kite", k=1).query_kind == "text"
    assert index.search(text=["boat"], k=1)[0][0].document == "boat"
    assert index.sort_by_similarity("a", k=1).query_kind == "id"
    index.add_samples(["sail"], ["c"])
    assert index.search(text="sail", k=1)[0].documents == ["sail"]
    assert vecsearch.get_run_info("t").config.supports_prompts
    again = vecsearch.load_run("t", model=Encoder())
    assert again.search(text="boat", k=1)[0].ids.tolist() == ["b"]
    with pytest.raises(UnsupportedError, match="text queries need the model"):
        vecsearch.load_run("t").search(text="boat")
    with pytest.raises(InvalidInputError, match=r"vectors of the model 'letters'.*this one is 'other'"):
        vecsearch.load_run("t", model=Encoder("other"))


def test_a_model_that_breaks_its_word_is_refused():
    class Short(Encoder):
        def encode(self, texts):
            return super().encode(texts)[:-1]

    class Broken(Encoder):
        def encode(self, texts):
            raise RuntimeError("CUDA")

    for model, message in (
        (Short(), "1 embeddings from the model"),
        (Broken(), "no sample could be embedded: .* CUDA"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            vecsearch.compute_similarity(["a", "b"], model=model, key="m")
        assert vecsearch.list_runs() == []
    with pytest.raises(ConfigError, match="no model provider or profile 'clip'"):
        vecsearch.compute_similarity(["a"], model="clip")
    with pytest.raises(InvalidInputError, match="samples need a model="):
        vecsearch.compute_similarity(["a"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"samples": X}, InvalidInputError, "pass embeddings="),
        ({"embeddings": True}, InvalidInputError, "embeddings=True says nothing"),
        ({"embeddings": "emb"}, InvalidInputError, "names a column"),
        ({}, InvalidInputError, "nothing to index"),
        ({"embeddings": X, "brain_key": "a"}, ConfigError, "called key here"),
        ({"embeddings": X, "metric": "cosin"}, InvalidInputError, "metric must be one of 'cosine'"),
        ({"embeddings": X, "if_exists": "maybe"}, InvalidInputError, "if_exists must be one of"),
        ({"embeddings": X, "key": "no good"}, InvalidInputError, "cannot be the key"),
        ({"embeddings": X, "dim": 0}, InvalidInputError, "dim must be a whole number of at least 1"),
        ({"embeddings": X, "dim": 5, "key": "k"}, InvalidInputError, "4 dimensions, this index has 5"),
        ({"embeddings": X, "threads": 0, "key": "k"}, ConfigError, "threads"),
        ({"embeddings": X, "therads": 1, "key": "k"}, ConfigError, "did you mean 'threads'"),
        ({"embeddings": X, "label_ids": IDS}, InvalidInputError, "label_ids= needs sample_ids="),
        ({"embeddings": X, "patches_field": "gt", "key": "k"}, InvalidInputError, "row per label: give label_ids="),
        ({"embeddings": X, "sample_ids": "ids"}, InvalidInputError, "sample_ids must be a list of ids"),
        ({"embeddings": X[0], "key": "k"}, InvalidInputError, "for one vector write embeddings=\\[vector\\]"),
        ({"embeddings": [[1, 2], [3]], "key": "k"}, InvalidInputError, "different lengths|one length"),
        ({"embeddings": np.zeros((2, 3)), "key": "k"}, InvalidInputError, "vectors of zeros in rows 0, 1"),
        ({"embeddings": [[1e300, 1]], "key": "k"}, InvalidInputError, "beyond float32 in row 0"),
        ({"embeddings": [["a", "b"]], "key": "k"}, InvalidInputError, "must be an array of numbers"),
        ({"embeddings": X, "sample_ids": [True, *IDS[1:]], "key": "k"}, InvalidInputError, "is a bool"),
        ({"embeddings": X, "sample_ids": [1.5, *IDS[1:]], "key": "k"}, InvalidInputError, "is no id"),
        ({"embeddings": X, "sample_ids": ["a\x00", *IDS[1:]], "key": "k"}, InvalidInputError, "NUL"),
        ({"embeddings": X, "sample_ids": ["é" * 2049, *IDS[1:]], "key": "k"}, InvalidInputError, "4098 bytes"),
        ({"embeddings": X, "metadata": [{"a__b": 1}] * 20, "key": "k"}, InvalidInputError, "is no field name"),
        (
            {
                "embeddings": X,
                "metadata": [{"a": datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)}] * 20,
                "key": "k",
            },
            InvalidInputError,
            "no timezone",
        ),
        ({"embeddings": X, "metadata": [{"a": {"b": 1}}] * 20, "key": "k"}, InvalidInputError, "dict cannot be stored"),
        ({"embeddings": X, "metadata": [{"a": 2**63}] * 20, "key": "k"}, InvalidInputError, "does not fit 64 bits"),
        ({"embeddings": X, "metadata": {"a": [1]}, "key": "k"}, InvalidInputError, "1 values of metadata field 'a'"),
        ({"embeddings": X, "documents": ["a"], "key": "k"}, InvalidInputError, "1 documents for 20 embeddings"),
    ],
)
def test_what_is_refused_leaves_nothing(arguments, error, message, own_home):
    with pytest.raises(error, match=message):
        vecsearch.compute_similarity(**arguments)
    assert vecsearch.list_runs() == []
    left = [
        path for path in own_home.rglob("*") if path.is_file() and path.suffix != ".lock" and "lock" not in path.name
    ]
    assert left == []


@pytest.mark.parametrize(
    "values", [X.astype(np.float64), X.tolist(), X.astype(np.float16), (X * 10).astype(int), X[:, ::-1]]
)
def test_numbers_of_every_kind_are_converted_and_never_changed(values):
    before = np.array(values)
    if isinstance(values, np.ndarray):
        values.setflags(write=False)
    index = vecsearch.compute_similarity(embeddings=values, metric="euclidean")
    np.testing.assert_array_equal(index.get_embeddings(["3"]).embeddings[0], before[3].astype(np.float32))
    np.testing.assert_array_equal(values, before)


def test_a_key_that_exists():
    first = vecsearch.compute_similarity(embeddings=X, key="k", metric="euclidean")
    with pytest.raises(RunExistsError, match=r"load_run\('k'\) opens it"):
        vecsearch.compute_similarity(embeddings=X[:3], key="k")
    loaded = vecsearch.compute_similarity(embeddings=X[:3], key="k", if_exists="load")
    assert loaded.metric == "euclidean"
    assert len(loaded) == len(first) == 20
    with pytest.raises(InvalidInputError, match=r'has euclidean, dim=4, not cosine, .*if_exists="replace"'):
        vecsearch.compute_similarity(embeddings=X, key="k", metric="cosine", if_exists="load")
    with pytest.raises(InvalidInputError, match="NaN"):
        vecsearch.compute_similarity(embeddings=X * np.nan, key="k", if_exists="replace")
    assert len(vecsearch.load_run("k")) == 20
    replaced = vecsearch.compute_similarity(embeddings=X[:3], key="k", if_exists="replace")
    assert (len(replaced), replaced.metric) == (3, "cosine")
    assert len(vecsearch.load_run("k")) == 3


def test_an_empty_index_takes_its_width_from_the_first_rows():
    index = vecsearch.compute_similarity(embeddings=False, key="e", metric="dotproduct")
    assert (index.dim, len(index), list(index.ids())) == (None, 0, [])
    assert index.get_embeddings().embeddings.shape == (0, 0)
    assert index.search([[1.0, 2.0]])[0].ids.tolist() == []
    assert index.add_to_index([], []).written == 0
    index.close()
    again = vecsearch.load_run("e")
    again.add_to_index(X, IDS)
    again.save()
    assert vecsearch.get_run_info("e").dim == 4
    assert (vecsearch.load_run("e").dim, vecsearch.load_run("e").metric) == (4, "dotproduct")


def test_closing_with_unsaved_changes_warns_once_and_only_with_a_key():
    index = vecsearch.compute_similarity(embeddings=X, key="w")
    index.close()
    index = vecsearch.load_run("w")
    index.add_to_index(X[:1], ["new"])
    with pytest.warns(UserWarning, match=r"unsaved changes; call index\.save"):
        index.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index.close()
        with vecsearch.compute_similarity(embeddings=X):
            pass
    with pytest.raises(vecsearch.ClosedError, match="load_run"):
        index.count()


def test_a_failed_creation_with_a_full_disk_leaves_the_key_free(monkeypatch):
    from vecsearch.backends.sklearn import SklearnBackend

    def full(self):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SklearnBackend, "save", full)
        with pytest.raises(vecsearch.BackendError, match="No space left"):
            vecsearch.compute_similarity(embeddings=X, key="full")
    assert len(vecsearch.compute_similarity(embeddings=X, key="full")) == 20


def test_a_creation_that_was_killed_is_named_and_can_be_removed():
    from vecsearch import runs

    runs.reserve(runs.RunInfo(key="half", profile="sklearn", backend="sklearn", metric="cosine"))
    with pytest.raises(RunError, match=r"never finished; remove it with delete_run\('half', cleanup=True\)"):
        vecsearch.load_run("half")
    vecsearch.delete_run("half", cleanup=True)
    assert vecsearch.list_runs() == []


def test_a_corrupt_record_is_named_and_the_others_work(own_home):
    vecsearch.compute_similarity(embeddings=X, key="good")
    vecsearch.compute_similarity(embeddings=X, key="bad")
    (own_home / "runs" / "bad.json").write_text("{")
    with pytest.raises(CorruptRunError, match=r"bad\.json"):
        vecsearch.load_run("bad")
    assert len(vecsearch.load_run("good")) == 20
    vecsearch.compute_similarity(embeddings=X[:2], key="bad", if_exists="replace")
    assert len(vecsearch.load_run("bad")) == 2


def test_a_damaged_array_is_named(own_home):
    vecsearch.compute_similarity(embeddings=X, key="d")
    (vectors,) = (own_home / "data" / "sklearn" / "d").glob("vectors*")
    content = vectors.read_bytes()
    vectors.write_bytes(content[:-4])
    with pytest.raises(vecsearch.CorruptDataError, match=vectors.name) as caught:
        vecsearch.load_run("d")
    assert caught.value.path == vectors
    vectors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    health = vecsearch.load_run("d").health()
    assert not health.ok
    assert vectors.name in health.problems[0]


def test_delete_takes_the_data_of_the_default_backend_along(own_home):
    vecsearch.compute_similarity(embeddings=X, key="gone")
    vecsearch.delete_run("gone")
    assert not list((own_home / "data").rglob("vectors*"))
    with pytest.raises(RunNotFoundError, match="no run 'gone'"):
        vecsearch.delete_run("gone")


def test_delete_leaves_an_engines_index_unless_told(sqlite, tmp_path):
    settings = {"backend": "sqlite", "path": str(tmp_path / "x.db"), "index_name": "photos"}
    vecsearch.compute_similarity(embeddings=X, key="k", **settings)
    vecsearch.delete_run("k")
    with vecsearch.connect("photos", backend="sqlite", path=settings["path"], key="again") as index:
        assert (len(index), index.dim, index.metric) == (20, 4, "cosine")
    vecsearch.delete_run("again", cleanup=True)
    with pytest.raises(IndexNotFoundError, match="holds no index 'photos'"):
        vecsearch.connect("photos", backend="sqlite", path=settings["path"])


def test_creating_over_what_an_engine_holds(sqlite, tmp_path):
    settings = {"backend": "sqlite", "path": str(tmp_path / "x.db"), "index_name": "photos"}
    vecsearch.compute_similarity(embeddings=X, metric="euclidean", **settings)
    with pytest.raises(IndexExistsError, match=r"open it with connect\(\)"):
        vecsearch.compute_similarity(embeddings=X, key="k", **settings)
    with vecsearch.connect("photos", backend="sqlite", path=settings["path"]) as untouched:
        assert len(untouched) == 20
    with pytest.raises(InvalidInputError, match="the index that exists has euclidean"):
        vecsearch.compute_similarity(embeddings=False, key="k", **settings)
    attached = vecsearch.compute_similarity(embeddings=False, metric="euclidean", key="k", **settings)
    assert len(attached) == 20
    replaced = vecsearch.compute_similarity(embeddings=X[:2], key="k", if_exists="replace", **settings)
    assert (len(replaced), replaced.metric) == (2, "cosine")


def test_switching_the_engine_by_one_variable(sqlite, monkeypatch):
    answers = []
    for name in ("sklearn", "sqlite"):
        monkeypatch.setenv("VECSEARCH_DEFAULT_SIMILARITY_BACKEND", name)
        index = vecsearch.compute_similarity(embeddings=X, sample_ids=IDS, key=f"on_{name}")
        answers.append(index.search(X, k=5))
    for first, second in zip(*answers, strict=True):
        assert first.ids.tolist() == second.ids.tolist()
        np.testing.assert_allclose(first.distances, second.distances, atol=1e-6)


def test_two_processes_of_one_run(tmp_path):
    index = vecsearch.compute_similarity(embeddings=X, key="two")
    other = vecsearch.load_run("two")
    other.add_to_index(X[:1], ["new"])
    other.save()
    index.add_to_index(X[:1], ["mine"])
    with pytest.raises(vecsearch.StorageError, match="reload"):
        index.save()
    with pytest.raises(InvalidInputError, match="unsaved changes"):
        index.reload()
    fresh = vecsearch.load_run("two")
    assert len(fresh) == 21
    other.remove_from_index(["new"])
    other.save()
    fresh.reload()
    assert len(fresh) == 20


def test_the_record_is_readable_and_holds_what_the_index_is(own_home):
    vecsearch.compute_similarity(
        embeddings=X, sample_ids=IDS, label_ids=[f"l{i}" for i in IDS], key="r", patches_field="gt"
    )
    record = json.loads((own_home / "runs" / "r.json").read_text())
    assert (record["metric"], record["dim"], record["patches"], record["patches_field"]) == ("cosine", 4, True, "gt")
    index = vecsearch.load_run("r")
    assert index.config.patches_field == "gt"
    assert index.is_patches
    assert vecsearch.list_runs(patches_field="gt") == ["r"]


def test_reprs_are_short_and_touch_no_engine():
    index = vecsearch.compute_similarity(embeddings=X, sample_ids=["<b>", *IDS[1:]], metadata=[{"t": "<i>"}] * 20)
    index.close()
    assert repr(index) == "SimilarityIndex(sklearn, cosine, dim=4)"
    assert "cosine" in index._repr_html_()
    index = vecsearch.compute_similarity(embeddings=X, sample_ids=["<b>", *IDS[1:]], metadata=[{"t": "<i>"}] * 20)
    ranking = index.sort_by_similarity("<b>")
    assert len(repr(ranking)) < 400
    assert "<b>" not in ranking._repr_html_()
    assert "&lt;b&gt;" in ranking._repr_html_()
    assert "<i>" not in index.search(X[:2], k=2)._repr_html_()
