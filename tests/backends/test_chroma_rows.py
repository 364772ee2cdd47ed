"""What is Chroma's own: numbers in filters, rows that its graph forgets, lists that it leaves behind, its settings."""

from __future__ import annotations

import itertools

import pytest
from engines import require

require("chroma")

import chromadb
import numpy as np
from chromadb.config import Settings

import vecsearch
from vecsearch import F, UnsupportedError, filters
from vecsearch.errors import ConfigError, InvalidInputError, VecsearchError

_NUMBERS = (-2, -1.5, -1, -1.0, -0.5, 0, 0.25, 0.5, 1, 1.0, 1.5, 1.75, 2, 2.0, 2**40, 2**40 + 0.5)
_OTHERS = (True, False, "1", ["1"])
_COMPARISONS = {
    "==": lambda value: F("x") == value,
    "!=": lambda value: F("x") != value,
    "<": lambda value: F("x") < value,
    "<=": lambda value: F("x") <= value,
    ">": lambda value: F("x") > value,
    ">=": lambda value: F("x") >= value,
}


@pytest.fixture
def make(tmp_path):
    """Indexes in one folder, closed behind the test."""
    made = []

    def index(**arguments):
        made.append(vecsearch.compute_similarity(backend="chroma", **{"path": str(tmp_path / "rows"), **arguments}))
        return made[-1]

    yield index
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    values = [*_NUMBERS, *_OTHERS]
    rows = [*({"x": value} for value in values), {}]
    index = vecsearch.compute_similarity(
        backend="chroma",
        path=str(tmp_path_factory.mktemp("numbers")),
        embeddings=np.random.default_rng(1).normal(size=(len(rows), 4)),
        sample_ids=[f"{number:02d}" for number in range(len(rows))],
        metadata=rows,
    )
    yield index, rows
    index.close()


def _holding(tree, rows):
    return [f"{number:02d}" for number, row in enumerate(rows) if filters.predicate(tree)(row)]


@pytest.mark.parametrize("sign", sorted(_COMPARISONS))
def test_numbers_compare_as_numbers(numbers, sign):
    index, rows = numbers
    for value in _NUMBERS:
        tree = _COMPARISONS[sign](value)
        for asked in (tree, ~tree):
            assert index.use_view(filter=asked).ids().tolist() == _holding(asked, rows), asked


@pytest.mark.parametrize("size", [1, 2, 3])
def test_numbers_among_numbers(numbers, size):
    index, rows = numbers
    for values in itertools.islice(itertools.combinations(_NUMBERS[1::2], size), 40):
        for tree in (F("x").is_in(values), F("x").not_in(values), ~F("x").is_in(values), ~F("x").not_in(values)):
            assert index.use_view(filter=tree).ids().tolist() == _holding(tree, rows), tree


def test_as_many_values_as_a_filter_takes(numbers):
    index, rows = numbers
    halves = [number + 0.5 for number in range(10_000)]
    texts = list(map(str, range(10_000)))
    for tree in (F("x").is_in(range(10_000)), F("x").is_in(texts), F("x").not_in(halves[:4000])):
        assert index.use_view(filter=tree).ids().tolist() == _holding(tree, rows)
        assert sorted(index.search(np.ones(4), 99, filter=tree)[0].ids) == _holding(tree, rows)
    for tree in (F("x").is_in(halves), F("x").is_in(range(10_000)) | F("x").is_in(range(10_000, 20_000))):
        with pytest.raises(UnsupportedError, match="values in a filter"):
            index.count(filter=tree)


def test_filtered_answers_are_complete_at_every_selectivity(make):
    """Half of the vectors repeat, so that the graph leaves many rows out."""
    rng = np.random.default_rng(2)
    vectors = np.repeat(rng.normal(size=(50, 8)), 100, axis=0)
    vectors[::2] = rng.normal(size=(2500, 8))
    index = make(
        embeddings=vectors,
        sample_ids=[f"r{number:04d}" for number in range(5000)],
        metadata=[{"n": number} for number in range(5000)],
        metric="euclidean",
    )
    query = vectors[7]
    true = np.linalg.norm(vectors - query, axis=1)
    for matches in (2500, 500, 50, 5, 1, 0):
        tree = F("n") < matches
        for k in (1, 10, 100, 5000):
            for exact in (False, True):
                ranking = index.search(query, k, filter=tree, exact=exact)[0]
                assert len(ranking) == min(k, matches)
                assert all(int(row_id[1:]) < matches for row_id in ranking.ids)
            assert ranking.exact
            assert np.allclose(ranking.distances, np.sort(true[:matches])[:k], atol=1e-4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
def test_rows_that_no_edge_leads_to_are_ranked_all_the_same(make, metric):
    """Thousands of equal vectors: Chroma's own search for all of them finds fewer, nearly always."""
    ids = [f"r{number:04d}" for number in range(3000)]
    index = make(embeddings=np.tile([[3.0, 4.0, 0.0]], (3000, 1)), sample_ids=ids, metric=metric)
    expected = {"cosine": 0.0, "euclidean": 0.0, "dotproduct": -25.0}[metric]
    for ranking in (index.search([3.0, 4.0, 0.0], 3000)[0], index.search([3.0, 4.0, 0.0], 3000, exact=True)[0]):
        assert sorted(ranking.ids) == ids
        assert np.allclose(ranking.distances, expected, atol=2e-3)


def test_lists_of_deleted_collections_are_not_inherited(make, tmp_path):
    index = make(embeddings=np.eye(3), sample_ids=list("abc"), metadata=[{"tags": ["old"]}] * 3, index_name="first")
    client = index.client
    client.delete_collection("first")  # as another tool would: with the lists left behind
    fresh = make(embeddings=np.eye(3), sample_ids=list("xyz"), metadata=[{}, {"n": 1}, {"tags": ["new"]}])
    assert fresh.get_metadata() == {"x": {}, "y": {"n": 1}, "z": {"tags": ["new"]}}
    assert fresh.count(filter=F("tags").exists()) == 1
    assert fresh.count(filter=F("tags").contains("old")) == 0


def test_lists_are_not_left_behind(make):
    index = make(embeddings=np.eye(3), sample_ids=list("abc"), metadata=[{"tags": ["old"]}] * 3)
    client = index.client
    index.cleanup()
    other = client.create_collection("of_another_tool", embedding_function=None)
    other.add(ids=["x"], embeddings=[[1, 0]], metadatas=[{"n": 1}])
    assert other.get()["metadatas"] == [{"n": 1}]


def test_a_row_forgets_its_document_and_empty_lists_come_back(make):
    index = make(embeddings=np.eye(2), sample_ids=["a", "b"], metadata=[{"l": []}, {"l": ["x"]}], documents=["d", ""])
    assert index.get_metadata() == {"a": {"l": []}, "b": {"l": ["x"]}}
    index.add_to_index(np.eye(2), ["a", "b"], metadata=[{"m": 1}, {"l": []}])
    assert index.search(ids=["a"], k=2)[0].documents == [None, None]
    assert index.get_metadata() == {"a": {"m": 1}, "b": {"l": []}}
    assert index.use_view(filter=~F("l").contains("x")).ids().tolist() == ["a", "b"]
    index.add_to_index(np.eye(2), ["a", "b"], documents=["", "new"])
    assert index.search(np.eye(2)[0], 2, exact=True)[0].documents == ["", "new"]


@pytest.mark.parametrize("ef", [0, -1, 9, 100_001, 1.5, "50", True, None])
def test_bad_candidates_are_refused(make, ef):
    index = make(embeddings=np.eye(12), sample_ids=list("abcdefghijkl"))
    if ef is None:
        assert len(index.search(np.ones(12), 10, params={"ef_search": None})[0]) == 10
        return
    with pytest.raises(InvalidInputError, match="ef_search"):
        index.search(np.ones(12), 10, params={"ef_search": ef})
    with pytest.raises(InvalidInputError, match="no search parameter 'nprobe'"):
        index.search(np.ones(12), 10, params={"nprobe": 3})


def test_more_candidates_find_more(make):
    vectors = np.random.default_rng(3).normal(size=(4000, 64))
    ids = [str(number) for number in range(4000)]
    index = make(embeddings=vectors, sample_ids=ids, hnsw={"ef_search": 1, "max_neighbors": 4, "ef_construction": 10})
    queries = np.random.default_rng(4).normal(size=(30, 64))
    exact = index.search(queries, 10, exact=True)

    def found(**params):
        answers = index.search(queries, 10, params=params, include=())
        assert [len(ranking) for ranking in answers] == [10] * 30
        return sum(len(set(a.ids) & set(b.ids)) for a, b in zip(answers, exact, strict=True))

    assert found() < found(ef_search=500)


@pytest.mark.parametrize(
    "graph",
    [{"max_neighbors": 0}, {"max_neighbors": 1}, {"ef_search": 0}, {"ef_construction": -1}, {"space": "l2"}, {"M": 16}],
)
def test_graphs_that_chroma_would_not_survive_are_refused(make, graph):
    with pytest.raises(ConfigError, match=next(iter(graph))):
        make(hnsw=graph, embeddings=False)


def test_the_graph_is_what_was_asked_for(make):
    graph = {"max_neighbors": 8, "ef_construction": 60, "ef_search": 70, "sync_threshold": 500}
    index = make(embeddings=False, dim=4, metric="dotproduct", hnsw=graph)
    held = index.client.get_collection(index.config.index_name, embedding_function=None).configuration_json["hnsw"]
    assert {name: held[name] for name in graph} == graph
    assert held["space"] == "ip"


def test_a_client_that_is_given_stays_open(tmp_path):
    client = chromadb.PersistentClient(tmp_path / "mine", Settings(anonymized_telemetry=False))
    index = vecsearch.compute_similarity(
        backend="chroma", client=client, embeddings=np.eye(2), sample_ids=["a", "b"], collection_name="mine"
    )
    assert index.client is client
    assert "client" not in repr(index.config)
    index.close()
    assert client.get_collection("mine", embedding_function=None).count() == 2
    again = vecsearch.connect("mine", backend="chroma", client=client)
    assert again.ids().tolist() == ["a", "b"]
    again.close()
    client.close()


@pytest.mark.parametrize("client", ["http://localhost", object()])
def test_a_client_that_is_none_is_refused(client):
    with pytest.raises(ConfigError, match="client of chromadb"):
        vecsearch.compute_similarity(backend="chroma", client=client, embeddings=False)


def test_handles_of_one_folder_see_each_other(tmp_path, monkeypatch):
    """However the folder is spelled: Chroma itself would keep two memories, and searches would be stale."""
    monkeypatch.chdir(tmp_path)
    settings = {"backend": "chroma", "key": "shared"}
    first = vecsearch.compute_similarity(embeddings=np.eye(4), sample_ids=list("abcd"), path="here", **settings)
    second = vecsearch.load_run("shared", path=str(tmp_path / "." / "here"))
    first.add_to_index([[9.0, 9, 9, 8]], ["new"])
    assert second.search([[9.0, 9, 9, 8]], 1)[0].ids.tolist() == ["new"]
    second.remove_from_index(sample_ids=["new"])
    assert first.search([[9.0, 9, 9, 8]], 9)[0].ids.tolist() != ["new"]
    first.close()
    assert len(second.search([[9.0, 9, 9, 8]], 9)[0]) == 4
    second.close()


def test_telemetry_is_off_and_the_folder_s_env_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("ANONYMIZED_TELEMETRY=True\nCHROMA_OTEL_COLLECTION_ENDPOINT=http://127.0.0.1:9\n")
    index = vecsearch.compute_similarity(backend="chroma", path=str(tmp_path / "x"), embeddings=False, dim=2)
    settings = index.client.get_settings()
    assert settings.anonymized_telemetry is False
    assert not settings.chroma_otel_collection_endpoint
    index.close()


def test_one_place(tmp_path):
    with pytest.raises(VecsearchError, match="host and path"):
        vecsearch.compute_similarity(backend="chroma", host="localhost", path=str(tmp_path), embeddings=False)
