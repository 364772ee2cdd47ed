"""hnswlib as a backend: one graph in this process, no more of it than the benchmark harness asks for.

What it cannot do is declared, so that vecsearch answers from the rows or refuses: it has no exact search and no
filters, and nothing is saved. A row that is replaced leaves its old node in the graph, marked as deleted.
"""

import copy
from typing import ClassVar

import hnswlib
import numpy as np
from pydantic import Field

from vecsearch.backends import Backend, BackendConfig, Capabilities, Hits, Rows, Score
from vecsearch.errors import InvalidInputError

NAME = "hnswlib"
SPACES = {"cosine": "cosine", "euclidean": "l2", "dotproduct": "ip"}
EF = 10  # hnswlib's own


class HnswlibConfig(BackendConfig):
    m: int = Field(16, ge=2, description="links of a node")
    ef_construction: int = Field(200, ge=1, description="candidates while building")
    seed: int = Field(100, ge=0, description="of the levels of the nodes")
    threads: int = Field(1, ge=1, description="of building; the graph of several differs from run to run")


class HnswlibBackend(Backend[HnswlibConfig]):
    name: ClassVar = NAME
    Config: ClassVar = HnswlibConfig
    capabilities = Capabilities(
        # Its cosine is 1 - cos, its l2 the square, its ip 1 - <x, y>.
        metrics={"cosine": Score.DISTANCE, "euclidean": Score.SQUARED, "dotproduct": Score.ONE_MINUS},
        exactness="never",
        filter_operators=frozenset(),
        strict_operators=frozenset(),
        filters_in=frozenset(),  # it has a filter: a Python function that is called for each node
        batch_rows=100_000,  # rows are added in the order that they are given
        normalises=frozenset({"cosine"}),
        thread_safe=False,  # ef is a setting of the graph, not of a query
        local=True,
        durable=False,
    )
    errors: ClassVar = {LookupError: "not_found", FileExistsError: "exists"}
    search_params: ClassVar = frozenset({"ef"})

    def __init__(self, config):
        super().__init__(config)
        self._made = self._graph = None
        self._labels = {}  # the number of each row in the graph, by its id
        self._names = []  # the id of each number, given once and never again
        self._contents = {}  # fields and document of each row, by its id

    @property
    def client(self):
        return self._graph

    def describe(self):
        return self._made

    def create(self, spec):
        if self._made is not None:
            raise FileExistsError("there is an index already")
        self._graph = hnswlib.Index(space=SPACES[spec.metric], dim=spec.dim)
        self._graph.init_index(
            max_elements=1,  # it grows with the rows
            M=self.config.m,
            ef_construction=self.config.ef_construction,
            random_seed=self.config.seed,
        )
        self._made = spec

    def upsert(self, rows):
        graph = self._opened()
        first = len(self._names)
        needed = first + len(rows)
        if needed > graph.get_max_elements():
            graph.resize_index(needed if not first else max(needed, 2 * first))
        graph.add_items(rows.vectors, np.arange(first, needed), num_threads=self.config.threads)
        self._names += rows.ids
        self.delete(rows.ids)
        documents = rows.documents or [None] * len(rows)
        fields = rows.fields or [{} for _ in rows.ids]
        self._labels.update(zip(rows.ids, range(first, needed), strict=True))
        self._contents.update(zip(rows.ids, zip(fields, documents, strict=True), strict=True))

    def delete(self, ids):
        graph = self._opened()
        for row_id in self._labels.keys() & set(ids):
            graph.mark_deleted(self._labels.pop(row_id))
            del self._contents[row_id]

    def fetch(self, ids, include):
        self._opened()
        return self._rows([row_id for row_id in ids if row_id in self._labels], include)

    def search(self, queries, k, where, *, include, exact, params):
        del where, exact  # neither is declared
        graph, k = self._opened(), min(k, len(self._labels))
        if not k:
            return Hits([np.empty(0)] * len(queries), [self._rows([], include) for _ in queries])
        graph.set_ef(_ef(params))  # below k it takes k
        found, scores = graph.knn_query(queries, k, num_threads=1)
        names = self._names
        answers = [self._rows([names[label] for label in line], include) for line in found.tolist()]
        return Hits(list(scores), answers)

    def scan(self, batch_rows, include, where=None):
        del where
        self._opened()
        rows = self._rows(list(self._labels), include)  # now, not at the first batch
        return (rows.take(range(at, min(at + batch_rows, len(rows)))) for at in range(0, len(rows), batch_rows))

    def count(self, where=None):
        del where
        self._opened()
        return len(self._labels)

    def drop(self):
        self._made = self._graph = None
        self._labels, self._names, self._contents = {}, [], {}

    def close(self):
        self.drop()

    def _opened(self):
        if self._graph is None:
            raise LookupError("there is no index in this process")
        return self._graph

    def _rows(self, ids, include):
        rows = Rows(ids)
        if "vectors" in include:
            labels = [self._labels[row_id] for row_id in ids]
            dim = self._made.dim
            rows.vectors = self._graph.get_items(labels) if ids else np.empty((0, dim), dtype=np.float32)
        if "fields" in include:
            rows.fields = [copy.deepcopy(self._contents[row_id][0]) for row_id in ids]
        if "documents" in include:
            rows.documents = [self._contents[row_id][1] for row_id in ids]
        return rows


def _ef(params):
    ef = params.get("ef", EF)
    if isinstance(ef, bool) or not isinstance(ef, int) or ef < 1:
        raise InvalidInputError(f"{NAME}: ef must be a whole number of at least 1, not {ef!r}")
    return ef
