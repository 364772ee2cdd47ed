"""The requests that Databricks Vector Search takes, as JSON schemas written from its public documents.

Unknown fields are refused. What a schema cannot say well (bytes, widths, columns) is checked in code.
"""

from __future__ import annotations

from vecsearch.testing.standins.service import record

TEXT = {"type": "string", "minLength": 1}
NAME = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,255}$"}
FULL_NAME = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,255}(\\.[A-Za-z0-9_-]{1,255}){2}$"}
COUNT = {"type": "integer", "minimum": 1, "maximum": 10_000}
COLUMNS = {"type": "array", "minItems": 1, "items": TEXT, "uniqueItems": True}

CREATE_ENDPOINT = record("name", "endpoint_type", name=NAME, endpoint_type={"enum": ["STANDARD", "STORAGE_OPTIMIZED"]})
_VECTOR = record(
    "name",
    "embedding_dimension",
    name=TEXT,
    embedding_dimension={"type": "integer", "minimum": 1, "maximum": 4096},
)
CREATE_INDEX = record(
    *("name", "endpoint_name", "primary_key", "index_type", "direct_access_index_spec"),
    name=FULL_NAME,
    endpoint_name=NAME,
    primary_key=TEXT,
    index_type={"const": "DIRECT_ACCESS"},
    direct_access_index_spec=record(
        *("embedding_vector_columns", "schema_json"),
        embedding_vector_columns={"type": "array", "minItems": 1, "items": _VECTOR},
        schema_json=TEXT,
    ),
)
UPSERT = record("inputs_json", inputs_json=TEXT)
QUERY = record(
    "columns",
    "query_vector",
    columns=COLUMNS,
    query_vector={"numbers": True},
    num_results=COUNT,
    query_type={"const": "ANN"},
    filters_json=TEXT,
    filter_string=TEXT,
    score_threshold={"type": "number", "minimum": 0},
)
NEXT_PAGE = record("page_token", page_token=TEXT, endpoint_name=NAME)
SCAN = record(num_results=COUNT, last_primary_key=TEXT)
INVOKE = record("dataframe_records", dataframe_records={"type": "array", "minItems": 1, "items": {"type": "object"}})

TYPES = {
    "integer": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "boolean": "bool",
    "string": "str",
    "date": "str",
    "timestamp": "str",
    "array<float>": "vector",
    "array<double>": "vector",
}
"""The types of columns, and what their values are in JSON."""
