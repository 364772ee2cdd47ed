"""The stand-in itself: strict about requests, and of use to whoever writes a model or has no account."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from engines import require

require("mosaic")

from databricks.sdk import WorkspaceClient, errors
from databricks.sdk.core import Config
from databricks.sdk.service import vectorsearch

import vecsearch
from vecsearch.testing.standins.http import RefusalError
from vecsearch.testing.standins.lag import Clock
from vecsearch.testing.standins.mosaic import CLIP, MosaicStandIn
from vecsearch.testing.standins.mosaic_filters import from_dict, from_text

SCHEMA = {"id": "string", "vector": "array<float>", "year": "integer", "title": "string", "sold": "boolean"}
NAME = "main.default.index"
TOKEN = "stand-in-token"  # noqa: S105  known to everybody who may reach it
COLUMNS = {"a": "str", "n": "int", "f": "float", "b": "bool", "v": "vector"}
ROW = {"a": "x", "n": 2, "f": 0.5, "b": True}


@pytest.fixture
def server():
    with MosaicStandIn() as started:
        yield started


@pytest.fixture
def client(server, monkeypatch):
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nonexistent")
    config = Config(host=server.url, token=TOKEN, auth_type="pat", retry_timeout_seconds=3, http_timeout_seconds=3)
    return WorkspaceClient(config=config)


@pytest.fixture
def index(client):
    spec = vectorsearch.DirectAccessVectorIndexSpec(
        embedding_vector_columns=[vectorsearch.EmbeddingVectorColumn(name="vector", embedding_dimension=3)],
        schema_json=json.dumps(SCHEMA),
    )
    api = client.vector_search_indexes
    api.create_index(NAME, "stand-in", "id", vectorsearch.VectorIndexType.DIRECT_ACCESS, direct_access_index_spec=spec)
    rows = [{"id": f"r{n}", "vector": [float(n), 0.0, 0.0], "year": 2000 + n} for n in range(5)]
    api.upsert_data_vector_index(NAME, json.dumps(rows))
    return api


def test_scores_are_those_of_the_documents(index):
    found = index.query_index(NAME, ["id"], query_vector=[0.0, 0.0, 0.0], num_results=3)
    assert found.manifest.columns[-1].name == "score"
    assert found.result.data_array == [["r0", 1.0], ["r1", 0.5], ["r2", pytest.approx(0.2)]]


@pytest.mark.parametrize(
    "row",
    [
        {"id": "a", "vector": [1.0, 2.0]},
        {"id": "a", "vector": [1.0, 2.0, None]},
        {"id": "", "vector": [1.0, 2.0, 3.0]},
        {"vector": [1.0, 2.0, 3.0]},
        {"id": "a"},
        {"id": "a", "vector": [1.0, 2.0, 3.0], "nothing": 1},
        {"id": "a", "vector": [1.0, 2.0, 3.0], "year": "2000"},
        {"id": "a", "vector": [1.0, 2.0, 3.0], "year": 2**31},
        {"id": "a", "vector": [1.0, 2.0, 3.0], "sold": 1},
    ],
)
def test_rows_that_do_not_fit_are_refused(index, row):
    with pytest.raises(errors.BadRequest):
        index.upsert_data_vector_index(NAME, json.dumps([row]))
    with pytest.raises(errors.BadRequest):
        index.upsert_data_vector_index(NAME, json.dumps([{"id": "b", "vector": [1.0, 2.0, 3.0]}] * 2))


@pytest.mark.parametrize(
    "query",
    [
        {"columns": ["nothing"]},
        {"num_results": 10_001},
        {"num_results": 0},
        {"query_vector": [1.0]},
        {"query_type": "HYBRID"},
        {"query_text": "text"},
        {"filters_json": "{}"},
        {"filters_json": "no json"},
        {"filters_json": '{"nothing": 1}'},
    ],
)
def test_queries_that_do_not_fit_are_refused(index, query):
    good = {"columns": ["id"], "query_vector": [0.0, 0.0, 0.0]}
    assert index.query_index(NAME, **good).result.row_count == 5
    with pytest.raises(errors.BadRequest):
        index.query_index(NAME, **{**good, **query})


def test_a_dialect_belongs_to_a_kind_of_endpoint(server, index, client):
    body = {"columns": ["id"], "query_vector": [0.0, 0.0, 0.0], "filter_string": "year = 2001"}
    path = f"/api/2.0/vector-search/indexes/{NAME}/query"
    with pytest.raises(errors.BadRequest, match="dialect"):
        client.api_client.do("POST", path, body=body)
    server.endpoints["stand-in"].type = "STORAGE_OPTIMIZED"
    assert client.api_client.do("POST", path, body=body)["result"]["data_array"][0][0] == "r1"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('{"a": "x"}', True),
        ('{"a": ["y", "x"]}', True),
        ('{"a NOT": "x"}', False),
        ('{"n >": 1, "n <=": 2}', True),
        ('{"n >": 2}', False),
        ('{"b": true, "f": 0.5}', True),
        ('{"missing NOT": 1}', None),
        ('{"a >": "x"}', None),
        ('{"n": "2"}', None),
        ('{"n": 2.5}', None),
        ('{"a IN": "x"}', None),
        ('{"v": 1}', None),
        ('{"a": []}', None),
        ("[]", None),
    ],
)
def test_the_dict(text, holds):
    if holds is None:
        with pytest.raises(RefusalError):
            from_dict(text, COLUMNS)
    else:
        assert from_dict(text, COLUMNS)(ROW) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a = 'x'", True),
        ("a = 'it''s' OR n >= 2", True),
        ("(n < 2 OR f > 0.25) AND b = true", True),
        ("n NOT IN (1, 2)", False),
        ("a != 'x'", False),
        ("n = -2 AND a = 'x'", False),
        ("a = 'x' --", None),
        ("a = 'x\\'", None),
        ("a = x", None),
        ("a = 'x", None),
        ("(a = 'x'", None),
        ("a = 'x' b = true", None),
        ("missing = 1", None),
        ("n = 'x'", None),
        ("a < 'x'", None),
        ("", None),
    ],
)
def test_the_text(text, holds):
    if holds is None:
        with pytest.raises(RefusalError):
            from_text(text, COLUMNS)
    else:
        assert from_text(text, COLUMNS)(ROW) is holds


def test_missing_values_are_unknown_in_the_text():
    empty = {"a": None}
    assert from_text("a != 'x'", COLUMNS)(empty) is None
    assert from_text("a != 'x' OR n IN (1)", COLUMNS)({"a": None, "n": 1}) is True
    assert from_text("a != 'x' AND n IN (1)", COLUMNS)({"a": None, "n": 2}) is False


def test_models_answer_with_what_they_are_given(server, client):
    server.models["mine"] = lambda inputs: [[float(len(one)), 1.0] for one in inputs]
    records = [{"input": "abc"}, {"input": "a"}]
    found = client.serving_endpoints.query(name="mine", dataframe_records=records)
    assert found.predictions == [[3.0, 1.0], [1.0, 1.0]]
    assert found.served_model_name == "mine-1"
    clip = client.serving_endpoints.query(name=CLIP, dataframe_records=records).predictions
    again = client.serving_endpoints.query(name=CLIP, dataframe_records=records[1:]).predictions
    assert (len(clip[0]), clip[1]) == (768, again[0])
    assert all(map(math.isfinite, clip[0]))
    with pytest.raises(errors.NotFound):
        client.serving_endpoints.query(name="nobody", dataframe_records=records)
    with pytest.raises(errors.BadRequest):
        client.serving_endpoints.query(name="mine", dataframe_records=[{"text": "abc"}])


def test_a_model_that_is_asleep(monkeypatch):
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nonexistent")
    clock = Clock()
    with MosaicStandIn(clock=clock) as server:
        server.models_ready_at[CLIP] = 10.0
        config = Config(host=server.url, token=TOKEN, auth_type="pat", retry_timeout_seconds=1)
        client = WorkspaceClient(config=config)
        assert client.serving_endpoints.get(CLIP).state.ready.value == "NOT_READY"
        with pytest.raises(TimeoutError):
            client.serving_endpoints.query(name=CLIP, dataframe_records=[{"input": "a"}])
        clock.advance(10.0)
        assert client.serving_endpoints.query(name=CLIP, dataframe_records=[{"input": "a"}]).predictions


def test_tokens_of_a_principal_expire(monkeypatch):
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nonexistent")
    clock = Clock()
    with MosaicStandIn(clock=clock) as server:
        options = {"client_id": "stand-in-client", "client_secret": "stand-in-secret", "auth_type": "oauth-m2m"}
        client = WorkspaceClient(config=Config(host=server.url, **options))
        assert [one.name for one in client.vector_search_endpoints.list_endpoints()] == ["stand-in"]
        clock.advance(3600.0)  # the client does not know
        with pytest.raises(errors.Unauthenticated, match="expired"):
            client.vector_search_endpoints.get_endpoint("stand-in")


def test_it_runs_from_the_command_line():
    from vecsearch.cli.serving import STAND_INS

    assert STAND_INS["mosaic"].endswith(":MosaicStandIn")
    with MosaicStandIn() as server:
        index = vecsearch.compute_similarity(
            embeddings=np.eye(3, dtype=np.float32), sample_ids=["a", "b", "c"], backend="mosaic", **server.settings()
        )
        assert index.search(np.float32([1, 0, 0]), 1)[0].ids.tolist() == ["a"]
        index.close()
