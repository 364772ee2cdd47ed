"""Tokens and secrets go to the workspace, and nowhere else: grepped for in all that is said, logged and kept."""

from __future__ import annotations

import io
import logging
import traceback

import numpy as np
import pytest
from engines import require

require("mosaic")

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

import vecsearch
from vecsearch.backends.mosaic import MosaicConfig
from vecsearch.errors import AccessDeniedError, ConfigError, VecsearchError
from vecsearch.testing.standins.faults import CUT, EXPIRED, refused
from vecsearch.testing.standins.mosaic import MosaicStandIn

TOKEN = "dapi-planted-31c7a5"  # noqa: S105
PRINCIPAL = ("a-principal", "planted-secret-77b1")
VECTORS = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)


@pytest.fixture
def server():
    with MosaicStandIn(token=TOKEN, principal=PRINCIPAL) as started:
        yield started


@pytest.fixture
def heard(monkeypatch, tmp_path):
    """All loggers of this process, at their most talkative, with the client's own switch for headers left alone."""
    monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path))
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def used(settings, server):
    """A life of an index, with failures; what was said on the way."""
    said = []
    index = vecsearch.compute_similarity(
        embeddings=VECTORS, sample_ids=list("abcdef"), backend="mosaic", key="a_run", timeout=5.0, **settings
    )
    said += [repr(index), repr(index.config), str(index.client), repr(index.client.config)]
    server.fail(EXPIRED, refused(403), refused(400), CUT, refused(503), route="query")
    for _ in range(3):
        try:
            index.search(VECTORS[0], 2)
        except VecsearchError as error:
            said.append("".join(traceback.format_exception(error)))
    index.search(VECTORS[0], 2)
    index.save()
    index.close()
    return said


def check(secrets, said, heard, tmp_path, server):
    kept = [path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    asked = [f"{request.path} {request.query} {request.body}" for request in server.requests]
    for text in [*said, heard.getvalue(), *kept, *asked]:
        for secret in secrets:
            assert secret not in text


def test_a_token_is_in_nothing(server, heard, tmp_path):
    said = used(server.settings(), server)
    assert any("AccessDenied" in text for text in said)
    assert "Bearer " + TOKEN in {request.headers.get("authorization") for request in server.requests}
    check([TOKEN], said, heard, tmp_path, server)


def principal(server, secret=PRINCIPAL[1]):
    settings = {name: value for name, value in server.settings().items() if name != "personal_access_token"}
    return {
        **settings,
        "service_principal_client_id": PRINCIPAL[0],
        "service_principal_client_secret": secret,
    }


def test_a_service_principal(server, heard, tmp_path):
    said = used(principal(server), server)
    issued = {request.headers["authorization"].removeprefix("Bearer ") for request in server.asked("query")}
    assert issued
    assert TOKEN not in issued
    check([PRINCIPAL[1], *issued], said, heard, tmp_path, server)


def test_a_secret_that_is_wrong(server):
    with pytest.raises(AccessDeniedError, match="invalid_client") as caught:
        vecsearch.compute_similarity(
            embeddings=VECTORS, sample_ids=list("abcdef"), backend="mosaic", **principal(server, "wrong-secret-90210")
        )
    assert "wrong-secret-90210" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"catalog_name": None}, "catalog_name and schema_name"),
        ({"service_principal_client_id": "x"}, "give both"),
        ({"service_principal_client_id": "x", "service_principal_client_secret": "y"}, "give one of"),
        ({"catalog_name": "a.b/../c"}, "is no name"),
        ({"metadata_schema": {"id": "str"}}, "column of its own"),
        ({"metadata_schema": {"a'b": "str"}}, "column of its own"),
        ({"metadata_schema": {"x": "text"}}, "metadata_schema"),
        ({"client": "text"}, "WorkspaceClient"),
    ],
)
def test_settings_that_make_no_sense(server, changes, said):
    with pytest.raises(ConfigError, match=said) as caught:
        vecsearch.compute_similarity(dim=4, embeddings=False, backend="mosaic", **{**server.settings(), **changes})
    assert TOKEN not in str(caught.value)
    assert not server.requests


def test_a_client_of_the_users_own(server):
    client = WorkspaceClient(config=Config(host=server.url, token=TOKEN, auth_type="pat"))
    settings = {name: server.settings()[name] for name in ("catalog_name", "schema_name", "endpoint_name")}
    index = vecsearch.compute_similarity(
        embeddings=VECTORS, sample_ids=list("abcdef"), backend="mosaic", client=client, **settings
    )
    assert index.client is client
    assert len(index) == 6
    index.close()


def test_the_configuration_prints_no_secret(server):
    config = MosaicConfig(**principal(server))
    for text in (repr(config), str(config), config.model_dump_json()):
        assert PRINCIPAL[1] not in text
