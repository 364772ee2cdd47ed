"""Collections that others made: their own ids and payloads, several vectors, and what is refused."""

from __future__ import annotations

import uuid

import pytest
from engines import require

require("qdrant")

import numpy as np
from qdrant_client import QdrantClient, models

import vecsearch
from vecsearch import F, InvalidInputError, MissingIdsError, UnsupportedError
from vecsearch.testing.standins.qdrant import QdrantStandIn

VECTORS = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
UUID = str(uuid.UUID(int=7))
PAYLOADS = [
    {"shape": "round", "size": 1, "tags": ["a", "b"], "inner": {"deep": [1, {"x": 2}]}, "none": None},
    {"shape": "square", "size": 2.5, "tags": [], "sizes": [1, 9]},
    {"shape": ["round"], "size": True},
    {"a name": "with space", "size": 10},
    {},
    {"shape": "round", "_vs_document": "a text"},
]
IDS = [0, 1, 2, 18446744073709551615, UUID, 5]
SHOWN = [str(row_id) for row_id in IDS]


@pytest.fixture(params=["memory", "server"])
def client(request):
    with QdrantStandIn() as server:
        made = (
            QdrantClient(":memory:")
            if request.param == "memory"
            else QdrantClient(url=server.url, check_compatibility=False)
        )
        yield made
        made.close()


@pytest.fixture
def index(client):
    client.create_collection("theirs", vectors_config=models.VectorParams(size=4, distance=models.Distance.EUCLID))
    points = models.Batch(ids=IDS, vectors=VECTORS.tolist(), payloads=PAYLOADS)
    client.upsert("theirs", points)
    attached = vecsearch.connect("theirs", backend="qdrant", client=client)
    yield attached
    attached.close()


def test_rows_are_read_as_they_are(index):
    assert (index.metric, index.dim, len(index)) == ("euclidean", 4, 6)
    assert index.ids().tolist() == sorted(SHOWN)
    found = index.get_embeddings(sample_ids=SHOWN[::-1])
    assert found.sample_ids.tolist() == SHOWN[::-1]
    np.testing.assert_array_equal(found.embeddings, VECTORS[::-1])
    assert index.get_metadata() == {
        shown: {name: value for name, value in payload.items() if value is not None and name[:4] != "_vs_"}
        for shown, payload in zip(SHOWN, PAYLOADS, strict=True)
    }
    assert index.search(VECTORS[5], 1)[0].documents == ["a text"]


@pytest.mark.parametrize(
    "nobody", ["abc", "-1", "007", "18446744073709551616", UUID.upper() + "A", "{" + UUID + "}", "²"]
)
def test_ids_that_can_be_none_are_missing(index, nobody):
    assert index.contains([nobody, "5"]).tolist() == [False, True]
    with pytest.raises(MissingIdsError):
        index.get_embeddings(sample_ids=[nobody])
    assert index.remove_from_index(sample_ids=[nobody]) == 0
    assert index.use_view(sample_ids=[nobody, "5"]).search(VECTORS[0], 3)[0].ids.tolist() == ["5"]
    assert len(index) == 6
    with pytest.raises(InvalidInputError, match="neither a UUID nor an integer"):
        index.add_to_index(VECTORS[:2], ["77", nobody])
    assert len(index) == 6


def test_filters_that_need_no_mark_of_ours_are_answered(index):
    for tree, expected in (
        (F("shape") == "round", ["0", "5"]),
        (~(F("shape") == "round"), ["1", "2", SHOWN[3], UUID]),
        (F("shape").is_in(["round", "square"]), ["0", "1", "5"]),
        (F("tags").contains("a"), ["0"]),
        (F("size") >= 2, ["1", SHOWN[3]]),
        (F("size") == 1, ["0"]),
        (F("sizes") > 0, []),
        (F("size") == True, ["2"]),  # noqa: E712
        (~F("tags").contains("a") & (F("size") < 5), ["1"]),
    ):
        assert sorted(index.search(VECTORS[0], 6, filter=tree)[0].ids) == sorted(expected), repr(tree)
        assert index.count(tree) == len(expected)


def test_filters_that_would_need_one_are_scans_or_refused(index):
    for tree in (F("shape") != "round", F("size").not_in([1]), F("shape").exists(), F("shape") < "s"):
        with pytest.raises(UnsupportedError, match="qdrant"):
            index.search(VECTORS[0], 6, filter=tree)
        expected = {shown for shown, row in index.get_metadata().items() if vecsearch.filters.predicate(tree)(row)}
        assert set(index.search(VECTORS[0], 6, filter=tree, allow_scan=True)[0].ids) == expected, repr(tree)


def test_rows_are_written_and_changed(index, client):
    index.add_to_index(VECTORS[:2] + 1, ["77", str(uuid.UUID(int=8))], metadata=[{"shape": "new"}, {}])
    assert len(index) == 8
    (point,) = client.retrieve("theirs", [77], with_payload=True)
    assert point.payload["shape"] == "new"
    index.set_metadata([{"size": 3}], ["0"])
    kept = index.get_metadata(sample_ids=["0"])["0"]
    assert kept == {**{n: v for n, v in PAYLOADS[0].items() if v is not None}, "size": 3}
    index.remove_from_index(filter=F("shape") == "new")
    assert len(index) == 7


def test_copies_of_vectors_under_cosine_have_the_length_one(client):
    client.create_collection("unit", vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    client.upsert("unit", models.Batch(ids=[1], vectors=[[3.0, 0.0, 4.0, 0.0]]))
    index = vecsearch.connect("unit", backend="qdrant", client=client)
    np.testing.assert_allclose(index.get_embeddings(sample_ids=["1"]).embeddings, [[0.6, 0, 0.8, 0]], rtol=1e-6)
    index.close()


def several(client):
    params = {
        "image": models.VectorParams(size=4, distance=models.Distance.DOT),
        "text": models.VectorParams(size=3, distance=models.Distance.COSINE),
    }
    client.create_collection("several", vectors_config=params)
    vectors = {"image": VECTORS.tolist(), "text": VECTORS[:, :3].tolist()}
    client.upsert("several", models.Batch(ids=[0, 1, 2, 3, 4, 5], vectors=vectors))


def test_one_of_several_vectors_is_named(client):
    several(client)
    with pytest.raises(InvalidInputError, match="'image', 'text'; say which by vector_name"):
        vecsearch.connect("several", backend="qdrant", client=client)
    with pytest.raises(InvalidInputError, match="'image', 'text'"):
        vecsearch.connect("several", backend="qdrant", client=client, vector_name="sound")
    remote = client.init_options["url"] is not None
    key = "several" if remote else None  # rows in memory have no records
    index = vecsearch.connect("several", backend="qdrant", client=client, vector_name="image", key=key)
    assert (index.metric, index.dim) == ("dotproduct", 4)
    np.testing.assert_array_equal(index.get_embeddings(sample_ids=["3"]).embeddings, VECTORS[[3]])
    ranking = index.search(VECTORS[2], 6, include=("embeddings",))[0]
    np.testing.assert_allclose(ranking.distances, np.sort(-VECTORS @ VECTORS[2]), rtol=1e-5, atol=1e-6)
    index.close()
    if remote:
        again = vecsearch.load_run("several", client=client)  # the record knows which vector
        assert again.dim == 4
        again.close()


def test_a_new_collection_may_name_its_vector(client):
    index = vecsearch.compute_similarity(
        embeddings=VECTORS, sample_ids=SHOWN, backend="qdrant", client=client, index_name="ours", vector_name="image"
    )
    assert list(client.get_collection("ours").config.params.vectors) == ["image"]
    assert index.search(VECTORS[1], 1)[0].ids.tolist() == [SHOWN[1]]
    index.close()


@pytest.mark.parametrize("kind", ["manhattan", "multivector", "sparse"])
def test_what_cannot_be_searched_is_refused(client, kind):
    single = models.VectorParams(size=4, distance=models.Distance.MANHATTAN)
    multi = models.VectorParams(
        size=4,
        distance=models.Distance.COSINE,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
    if kind == "sparse":
        if client.init_options.get("url"):
            pytest.skip("the stand-in knows dense vectors only")
        client.create_collection("odd", sparse_vectors_config={"words": models.SparseVectorParams()})
    else:
        client.create_collection("odd", vectors_config=single if kind == "manhattan" else multi)
    with pytest.raises((UnsupportedError, InvalidInputError), match="odd"):
        vecsearch.connect("odd", backend="qdrant", client=client)
