"""The collections of the Qdrant stand-in in Qdrant's own engine: the Rust code of the server, as a library.

The stand-in's REST API stays in front of it, so that the whole way from a user's call to segments, graphs and quantised
vectors is walked; only the server's process, its WAL and its cluster are not there.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path

import qdrant_edge as engine
from qdrant_client.http import models

from vecsearch.testing.standins.http import RefusalError
from vecsearch.testing.standins.qdrant import Store

# The library's own binding takes True for 1, so booleans are texts in there.
_BOOLS = {True: "\ue000true", False: "\ue000false"}
_TEXTS = {text: value for value, text in _BOOLS.items()}
_DISTANCES = {
    models.Distance.COSINE: engine.Distance.Cosine,
    models.Distance.EUCLID: engine.Distance.Euclid,
    models.Distance.DOT: engine.Distance.Dot,
}


class EngineStore(Store):
    """One shard a collection, in a folder that goes with it."""

    def __init__(self, folder=None):
        super().__init__()
        self._folder = Path(folder or tempfile.mkdtemp(prefix="vecsearch-engine-"))
        self._shards = {}
        self._unoptimised = set()

    def close(self):
        for shard in self._shards.values():
            shard.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, name, asked):
        super().create(name, asked)
        folder = self._folder / str(len(list(self._folder.iterdir())))
        folder.mkdir()
        graph = asked.hnsw_config or models.HnswConfigDiff()
        options = {}
        if isinstance(asked.quantization_config, models.ScalarQuantization):
            scalar = asked.quantization_config.scalar
            options["quantization_config"] = engine.ScalarQuantizationConfig(engine.ScalarType.Int8, scalar.quantile)
        self._shards[name] = engine.EdgeShard.create(
            str(folder),
            engine.EdgeConfig(
                vectors=engine.EdgeVectorParams(size=asked.vectors.size, distance=_DISTANCES[asked.vectors.distance]),
                # By kilobytes; the least that there is, so that small collections have a graph, too.
                hnsw_config=engine.HnswIndexConfig(graph.m or 16, graph.ef_construct or 100, full_scan_threshold=1),
                optimizers=engine.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=1),
                **options,
            ),
        )
        return True

    def drop(self, name):
        shard = self._shards.pop(name, None)
        if shard is not None:
            shard.close()
        return super().drop(name)

    def _shard(self, name):
        if name not in self._shards:
            raise RefusalError(404, f"Not found: Collection `{name}` doesn't exist!")
        return self._shards[name]

    def _searchable(self, name):
        shard = self._shard(name)
        with self._lock:
            if name in self._unoptimised:
                self._unoptimised.discard(name)
                shard.optimize()  # graphs are built by a server's optimizer, in the background
        return shard

    def _changed(self, name, operation):
        try:
            self._shard(name).update(operation)
        except Exception as error:
            if type(error) is not Exception:
                raise
            raise RefusalError(400, f"Wrong input: {error}") from error
        self._unoptimised.add(name)
        return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

    def indexed(self, name):
        return self._searchable(name).info().indexed_vectors_count

    def upsert(self, name, asked):
        if isinstance(asked, models.PointsBatch):
            batch = asked.batch
            rows = zip(batch.ids, batch.vectors, batch.payloads, strict=True)
        else:
            rows = ((point.id, point.vector, point.payload) for point in asked.points)
        points = [engine.Point(row_id, vector, _inward(payload or {})) for row_id, vector, payload in rows]
        return self._changed(name, engine.UpdateOperation.upsert_points(points))

    def delete(self, name, asked):
        return self._changed(name, engine.UpdateOperation.delete_points(list(asked.points)))

    def retrieve(self, name, asked):
        found = self._shard(name).retrieve(list(asked.ids), *_parts(asked))
        return [models.Record(**_point(record)) for record in found]

    def query(self, name, asked):
        shard = self._searchable(name)
        requests = [
            engine.QueryRequest(
                limit=one.limit,
                query=engine.Query.Nearest(getattr(one.query, "nearest", one.query)),
                filter=_filter(one.filter),
                params=_params(one.params),
                with_payload=_parts(one)[0],
                with_vector=_parts(one)[1],
            )
            for one in asked.searches
        ]
        return [
            models.QueryResponse(
                points=[models.ScoredPoint(**_point(p), score=p.score, version=p.version) for p in found]
            )
            for found in shard.query_batch(engine.QueryBatchRequest(requests))
        ]

    def scroll(self, name, asked):
        with_payload, with_vector = _parts(asked)
        records, following = self._shard(name).scroll(
            engine.ScrollRequest(
                offset=asked.offset,
                limit=asked.limit,
                filter=_filter(asked.filter),
                with_payload=with_payload,
                with_vector=with_vector,
            )
        )
        points = [models.Record(**_point(record)) for record in records]
        return models.ScrollResult(points=points, next_page_offset=None if following is None else _id(following))

    def count(self, name, asked):
        counted = self._shard(name).count(engine.CountRequest(filter=_filter(asked.filter), exact=True))
        return models.CountResult(count=counted)


def _params(params):
    if params is None:
        return None
    quantised = params.quantization
    if quantised is not None:
        quantised = engine.QuantizationSearchParams(
            quantised.ignore or False, quantised.rescore, quantised.oversampling
        )
    return engine.SearchParams(hnsw_ef=params.hnsw_ef, exact=params.exact or False, quantization=quantised)


def _parts(asked):
    payload = True if asked.with_payload is None else asked.with_payload
    if isinstance(payload, models.PayloadSelectorExclude):
        payload = engine.PayloadSelector.Exclude(payload.exclude)
    return payload, asked.with_vector or False


def _point(point):
    payload = None if point.payload is None else _outward(point.payload)
    return {"id": _id(point.id), "vector": point.vector, "payload": payload}


def _id(row_id):
    return row_id if isinstance(row_id, int) else str(row_id)


def _inward(payload):
    return {name: _BOOLS[value] if isinstance(value, bool) else value for name, value in payload.items()}


def _outward(payload):
    return {name: _TEXTS.get(value, value) if isinstance(value, str) else value for name, value in payload.items()}


def _filter(tree):
    if tree is None:
        return None

    def all_of(conditions):
        if conditions is None:
            return None
        return [_condition(one) for one in (conditions if isinstance(conditions, list) else [conditions])]

    return engine.Filter(must=all_of(tree.must), should=all_of(tree.should), must_not=all_of(tree.must_not))


def _condition(condition):
    if isinstance(condition, models.Filter):
        return _filter(condition)
    if isinstance(condition, models.HasIdCondition):
        return engine.HasIdCondition(set(condition.has_id))
    assert isinstance(condition, models.FieldCondition), condition
    if condition.range is not None:
        bounds = condition.range.model_dump(exclude_none=True)
        assert all(math.isfinite(bound) for bound in bounds.values())
        return engine.FieldCondition(condition.key, range=engine.RangeFloat(**bounds))
    if isinstance(condition.match, models.MatchAny):
        return engine.FieldCondition(condition.key, match=engine.MatchAny(list(condition.match.any)))
    value = condition.match.value
    return engine.FieldCondition(
        condition.key, match=engine.MatchValue(_BOOLS[value] if isinstance(value, bool) else value)
    )
