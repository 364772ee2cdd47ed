"""The requests that Pinecone takes, as JSON schemas written from its public documents; unknown fields are refused.

What a schema cannot say well (sizes in bytes, the width of an index, the operators of filters) is checked in code.
"""

from __future__ import annotations

from typing import Any

from vecsearch.testing.standins.service import record

NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$"}
NAMESPACE = {"type": "string", "maxLength": 512, "pattern": "^[\\x01-\\x7f]*$"}
ID = {"type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[\\x01-\\x7f]+$"}
METRIC = {"enum": ["cosine", "euclidean", "dotproduct"]}
DIMENSION = {"type": "integer", "minimum": 1, "maximum": 20_000}
PROTECTION = {"enum": ["enabled", "disabled"]}
COUNT = {"type": "integer", "minimum": 1}
TAGS = {
    "type": "object",
    "maxProperties": 20,
    "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,80}$"},
    "additionalProperties": {"type": "string", "maxLength": 120},
}
TEXT = {"type": "string", "minLength": 1}
NUMBERS = {"numbers": True}
FLAG = {"type": "boolean"}
SPARSE = record(
    "indices",
    "values",
    indices={"type": "array", "maxItems": 2048, "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}},
    values={"type": "array", "maxItems": 2048, "items": {"type": "number"}},
)
FILTER = {"type": "object", "minProperties": 1}
METADATA = {
    "type": "object",
    "propertyNames": {"pattern": "^[^$]"},
    "additionalProperties": {
        "anyOf": [
            {"type": ["string", "number", "boolean"]},
            {"type": "array", "items": {"type": "string"}},
        ]
    },
}

_MANAGED = record("deployment_type", "cloud", "region", deployment_type={"const": "managed"}, cloud=TEXT, region=TEXT)
_POD = record(
    *("deployment_type", "environment", "pod_type", "replicas", "shards"),
    deployment_type={"const": "pod"},
    environment=TEXT,
    pod_type=TEXT,
    replicas=COUNT,
    shards=COUNT,
)
_DENSE = record(
    "type", "dimension", "metric", type={"const": "dense_vector"}, dimension=DIMENSION, metric=METRIC, description=TEXT
)
CREATE = record(
    "schema",
    schema=record("fields", fields=record("_values", _values=_DENSE)),
    name=NAME,
    deployment={"oneOf": [_MANAGED, _POD]},
    deletion_protection=PROTECTION,
    tags=TAGS,
)
"""Since 2026-07; indexes with fields of other names are not of the vectors API, which is all that is here."""

_PODS = record(
    *("environment", "pod_type"),
    environment=TEXT,
    pod_type=TEXT,
    pods=COUNT,
    replicas=COUNT,
    shards=COUNT,
    metadata_config={"type": ["object", "null"]},
    source_collection={"type": ["string", "null"]},
)
CREATE_2025 = record(
    *("name", "spec", "dimension"),
    name=NAME,
    metric=METRIC,
    vector_type={"const": "dense"},
    dimension=DIMENSION,
    deletion_protection=PROTECTION,
    tags=TAGS,
    spec={
        "oneOf": [
            record("serverless", serverless=record("cloud", "region", cloud=TEXT, region=TEXT)),
            record("pod", pod=_PODS),
        ]
    },
)
"""Until 2026-04."""

UPSERT = record(
    "vectors",
    namespace=NAMESPACE,
    vectors={
        "type": "array",
        "minItems": 1,
        "maxItems": 1000,
        "items": record("id", "values", id=ID, values=NUMBERS, sparseValues=SPARSE, metadata=METADATA),
    },
)
QUERY = record(
    "topK",
    namespace=NAMESPACE,
    topK={"type": "integer", "minimum": 1, "maximum": 10_000},
    filter=FILTER,
    includeValues=FLAG,
    includeMetadata=FLAG,
    vector=NUMBERS,
    sparseVector=SPARSE,
    id=ID,
)
FETCH_BY_METADATA = record(
    "filter",
    namespace=NAMESPACE,
    filter=FILTER,
    limit={"type": "integer", "minimum": 1, "maximum": 10_000},
    paginationToken=TEXT,
)
DELETE: dict[str, Any] = {
    **record(
        namespace=NAMESPACE,
        ids={"type": "array", "minItems": 1, "maxItems": 1000, "items": ID},
        deleteAll=FLAG,
        filter=FILTER,
    ),
    "oneOf": [{"required": ["ids"]}, {"required": ["deleteAll"]}, {"required": ["filter"]}],
}
STATS = record()

__all__ = ("CREATE", "CREATE_2025", "DELETE", "FETCH_BY_METADATA", "QUERY", "STATS", "UPSERT")
