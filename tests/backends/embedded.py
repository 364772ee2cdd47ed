"""What the tests of the embedded backend share: making one, asking it, and a brute force to compare it with."""

from __future__ import annotations

from datetime import timedelta, timezone

import numpy as np

from vecsearch.backends.base import Rows, Spec, Where
from vecsearch.backends.sklearn import SklearnBackend, SklearnConfig
from vecsearch.filters import normal_form

ALL = frozenset({"vectors", "fields", "documents"})
NOTHING = frozenset()
DIM = 4  # so that a row of ones is 2 long
EASTERN = timezone(timedelta(hours=-5))


def backend(path=None, **options):
    return SklearnBackend(SklearnConfig(path=None if path is None else str(path), **options))


def rows(ids, seed=0, fields=None, documents=None, dim=DIM):
    vectors = np.random.default_rng(seed).standard_normal((len(ids), dim)).astype(np.float32)
    return Rows(list(ids), vectors, fields, documents)


def created(ids=(), metric="euclidean", path=None, **columns):
    made = backend(path)
    made.create(Spec(DIM, metric))
    if ids:
        made.upsert(rows(ids, **columns))
    return made


def search(made, queries, k, where=None, include=NOTHING):
    return made.search(np.atleast_2d(queries), k, where, include=include, exact=True, params={})


def where(ids=None, filter_=None):
    return Where(ids, None if filter_ is None else normal_form(filter_))


def distances(query, vectors, metric):
    query, vectors = np.float64(query), np.float64(vectors)
    if metric == "euclidean":
        return np.linalg.norm(vectors - query, axis=1)
    dots = vectors @ query
    if metric == "dotproduct":
        return -dots
    return 1 - dots / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)


def everything(made, batch_rows=3, where=None):
    found = {}
    for batch in made.scan(batch_rows, ALL, where):
        assert 0 < len(batch) <= batch_rows
        for number, name in enumerate(batch.ids):
            assert name not in found
            found[name] = (batch.vectors[number].tobytes(), batch.fields[number], batch.documents[number])
    return found


# ---- tables of which every part of every row carries one value


def opened(path):
    return SklearnBackend(SklearnConfig(path=str(path)))


def filled(path, value, count=3):
    """A table of ``count`` rows that all carry ``value``: in the vectors, the fields and the documents."""
    made = opened(path)
    if made.describe() is None:
        made.create(Spec(DIM, "euclidean", patches=True))
    write(made, value, count)
    return made


def write(made, value, count=3):
    ids = [f"r{number}" for number in range(count)]
    vectors = np.full((count, DIM), value, dtype=np.float32)
    made.upsert(Rows(ids, vectors, [{"v": value}] * count, [str(value)] * count))


def state(path):
    """The one value of all rows, read through a fresh backend; every part must agree."""
    made = opened(path)
    if made.describe() is None:
        return None
    made.verify()
    (batch,) = made.scan(100_000, ALL)
    value = batch.fields[0]["v"]
    assert batch.fields == [{"v": value}] * len(batch)
    assert batch.documents == [str(value)] * len(batch)
    assert np.all(batch.vectors == value)
    np.testing.assert_array_equal(made._table.snapshot.norms, np.full(len(batch), 2.0 * value))
    return value


def files(path):
    return sorted(entry.name for entry in path.iterdir())


def parts(folder):
    return [name for name in files(folder) if name not in {"manifest.json", ".lock"}]
