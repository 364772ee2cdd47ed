"""One query through an engine's own client, of an index that vecsearch has made: what an adapter is measured against.

Each is the shortest way that the client documents to ids and distances; nothing is checked, ordered or translated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecsearch.backends._lance_search import tuned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from vecsearch.backends.base import Metric

    Search = Callable[[NDArray[np.float32], int], Sequence[str]]
    """The ids of the nearest rows of one query"""

_LANCE_METRICS: Mapping[Metric, str] = {"cosine": "cosine", "euclidean": "l2", "dotproduct": "dot"}


def _chroma(client: Any, settings: Any, metric: Metric) -> Search:
    del metric
    collection = client.get_collection(settings.index_name, embedding_function=None)

    def search(query: NDArray[np.float32], k: int) -> Sequence[str]:
        found = collection.query(query_embeddings=query[None], n_results=k, include=["distances"])
        ids: Sequence[str] = found["ids"][0]
        return ids

    return search


def _lancedb(client: Any, settings: Any, metric: Metric) -> Search:
    table, kind = client.open_table(settings.index_name), _LANCE_METRICS[metric]
    # Settings at their defaults are not among the public ones; that of the index is IVF_FLAT.
    quantised = not vars(settings).get("index_type", "FLAT").endswith("FLAT")

    def search(query: NDArray[np.float32], k: int) -> Sequence[str]:
        asked = table.search(query, vector_column_name="vector").distance_type(kind)
        # Whoever wants the distances of the rows, and not of their quantised forms, asks for as much.
        asked = tuned(asked.limit(k), {}, k, quantised=quantised)
        found = asked.select(["id", "_distance"]).to_arrow()
        ids: Sequence[str] = found["id"].to_pylist()
        return ids

    return search


def _milvus(client: Any, settings: Any, metric: Metric) -> Search:
    del metric

    def search(query: NDArray[np.float32], k: int) -> Sequence[str]:
        asked = {"output_fields": ["_vs_key"], "anns_field": "_vs_vector"}
        return [hit["_vs_key"] for hit in client.search(settings.index_name, data=query[None], limit=k, **asked)[0]]

    return search


def _qdrant(client: Any, settings: Any, metric: Metric) -> Search:
    del metric

    def search(query: NDArray[np.float32], k: int) -> Sequence[str]:
        points = client.query_points(settings.index_name, query=query.tolist(), limit=k, with_payload=True).points
        return [point.payload["_vs_id"] for point in points if point.payload]

    return search


NATIVE: Mapping[str, Callable[[Any, Any, Metric], Search]] = {
    "chroma": _chroma,
    "lancedb": _lancedb,
    "milvus": _milvus,
    "qdrant": _qdrant,
}
"""By backend: a search from the client, the settings of the index, and the metric."""
