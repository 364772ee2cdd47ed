"""The engines by their own clients, each in the fastest way it has: what vecsearch is measured against.

A way opens a store in a fresh folder and writes rows with ids in one go. Queries are asked of a store that vecsearch
has written: so both sides search the same rows, and in Chroma the same graph.
"""

import importlib.metadata
from pathlib import Path
from typing import ClassVar

import numpy as np

TABLE = "rows"


class LanceDB:
    """A connection whose tables are always the latest, as vecsearch has it: so a reader sees what others write."""

    name = "lancedb"
    packages = ("lancedb", "pyarrow")
    ways: ClassVar = {
        "create_table": "`create_table` of one Arrow table: no id is looked up, so a second call would not replace",
        "create_table, add": "`create_table` of the schema, `add` of one Arrow table: the same, without a look for NaN",
        "merge_insert": "`merge_insert` of one Arrow table into an empty one, keyed by id: what replaces rows",
    }

    def settings(self, folder):
        return {"path": str(folder)}

    def open(self, folder, dim):
        from datetime import timedelta

        import lancedb

        self.dim = dim
        self.connection = lancedb.connect(folder, read_consistency_interval=timedelta(0))

    def write(self, vectors, ids, way):
        import pyarrow as pa

        flat = pa.array(vectors.reshape(-1))
        data = pa.table({"id": pa.array(ids), "vector": pa.FixedSizeListArray.from_arrays(flat, self.dim)})
        if way == "create_table":
            self.table = self.connection.create_table(TABLE, data)
            return
        self.table = self.connection.create_table(TABLE, schema=data.schema)
        if way == "merge_insert":
            self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(data)
        else:
            self.table.add(data)

    def of(self, index):
        self.table = index.client.open_table(TABLE)

    def search(self, query, k):
        search = self.table.search(query, vector_column_name="vector").distance_type("cosine")
        found = search.limit(k).select(["id", "_distance"]).to_arrow()
        return found["id"].to_pylist(), found["_distance"].to_numpy()

    def close(self):
        self.table = self.connection = None


class Chroma:
    """The engine in this process; it has no way without a graph."""

    name = "chroma"
    packages = ("chromadb",)
    ways: ClassVar = {
        "add": "`collection.add` in batches of `get_max_batch_size()`: rows of known ids would be left as they are"
    }

    def settings(self, folder):
        return {"path": str(folder)}

    def open(self, folder, dim):
        import chromadb

        del dim
        settings = chromadb.Settings(anonymized_telemetry=False)
        self.client = chromadb.PersistentClient(str(folder), settings=settings)

    def write(self, vectors, ids, way):
        del way
        space = {"hnsw": {"space": "cosine"}}
        self.collection = self.client.create_collection(TABLE, configuration=space, embedding_function=None)
        size = self.client.get_max_batch_size()
        for start in range(0, len(ids), size):
            self.collection.add(ids[start : start + size], vectors[start : start + size])

    def of(self, index):
        self.collection = index.client.get_collection(TABLE, embedding_function=None)

    def search(self, query, k):
        found = self.collection.query(query_embeddings=query[None], n_results=k, include=["distances"])
        return found["ids"][0], found["distances"][0]

    def close(self):
        self.client.close()
        self.client = self.collection = None


class Qdrant:
    """The client's local mode in memory: no server can be had here, and a folder takes 7 ms a row."""

    name = "qdrant"
    packages = ("qdrant-client",)
    ways: ClassVar = {
        "upsert": "`upsert` of one `Batch` a 1,000 rows, UUIDs beside the ids in the payload: ids may be any text",
        "upsert, whole numbers": "the same with whole numbers for ids, and no payload",
    }

    def settings(self, folder):
        del folder
        return {"url": ":memory:"}

    def open(self, folder, dim):
        import qdrant_client

        del folder
        self.dim = dim
        self.client = qdrant_client.QdrantClient(":memory:")

    def write(self, vectors, ids, way):
        import uuid

        from qdrant_client import models

        self.numbered = way != "upsert"
        params = models.VectorParams(size=self.dim, distance=models.Distance.COSINE)
        self.client.create_collection(TABLE, vectors_config=params)
        for start in range(0, len(ids), 1000):
            some = ids[start : start + 1000]
            keys = (
                list(range(start, start + len(some)))
                if self.numbered
                else [str(uuid.uuid5(uuid.NAMESPACE_OID, row_id)) for row_id in some]
            )
            payloads = None if self.numbered else [{"id": row_id} for row_id in some]
            rows = vectors[start : start + 1000].tolist()
            self.client.upsert(TABLE, models.Batch(ids=keys, vectors=rows, payloads=payloads), wait=True)

    def of(self, index):
        self.client = index.client

    def search(self, query, k):
        points = self.client.query_points(TABLE, query=query.tolist(), limit=k, with_payload=True).points
        return [(point.payload or {}).get("_vs_id") for point in points], [1 - point.score for point in points]

    def close(self):
        self.client.close()


class Milvus:
    """Milvus Lite in a folder; its brute-force index, which is vecsearch's own default there."""

    name = "milvus"
    packages = ("pymilvus", "milvus-lite")
    ways: ClassVar = {"insert": "`insert` of dicts, 5,000 a call, which replaces rows of known ids in Milvus Lite"}

    def settings(self, folder):
        return {"path": str(Path(folder) / "milvus.db")}

    def open(self, folder, dim):
        from pymilvus import MilvusClient

        self.dim, self.id, self.vector = dim, "id", "vector"
        self.path = str(Path(folder) / "milvus.db")
        Path(folder).mkdir(parents=True)
        self.client = MilvusClient(self.path, dedicated=True)

    def write(self, vectors, ids, way):
        from pymilvus import DataType

        del way
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=4096)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
        params = self.client.prepare_index_params()
        params.add_index("vector", index_type="FLAT", metric_type="COSINE")
        self.client.create_collection(TABLE, schema=schema, index_params=params)
        for start in range(0, len(ids), 5000):
            some = zip(ids[start : start + 5000], vectors[start : start + 5000], strict=True)
            self.client.insert(TABLE, [{"id": row_id, "vector": vector} for row_id, vector in some])

    def of(self, index):
        self.client, self.id, self.vector = index.client, "_vs_key", "_vs_vector"

    def search(self, query, k):
        asked = {"output_fields": [self.id], "anns_field": self.vector}
        hits = self.client.search(TABLE, data=query[None], limit=k, **asked)[0]
        return [hit[self.id] for hit in hits], [1 - hit["distance"] for hit in hits]

    def close(self):
        from milvus_lite.server_manager import server_manager_instance as servers

        self.client.close()
        servers.release_server(self.path)


ENGINES = {kind.name: kind for kind in (LanceDB, Qdrant, Chroma, Milvus)}


def versions(kind):
    """The versions of an engine's packages; nothing where one of them is missing."""
    try:
        return {name: importlib.metadata.version(name) for name in kind.packages}
    except importlib.metadata.PackageNotFoundError:
        return None


def same(ours, theirs):
    """Whether two answers are the same: ids up to ties, distances as far as float32 goes."""
    ids, distances = theirs
    close = np.allclose(ours.distances, distances, rtol=1e-4, atol=1e-5)
    return close and (list(ours.ids) == list(ids) or len(set(ids) ^ set(ours.ids)) <= 2)
