"""A dict that the embedded backend must agree with, whatever is done to both."""

from __future__ import annotations

import tempfile
from datetime import UTC, timedelta, timezone
from pathlib import Path

import numpy as np
from embedded import ALL, DIM, EASTERN, backend, created, distances, everything, search, where
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vecsearch.backends.base import Rows, Spec
from vecsearch.filters import F, predicate

IDS = st.sampled_from(["a", "b", "c", "d", "é", "x\ny", "\U0001f600", "0"])
SCALARS = st.one_of(
    st.text(max_size=3),
    st.integers(1 - 2**63, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.datetimes(timezones=st.sampled_from([UTC, EASTERN, timezone(timedelta(hours=5, minutes=45))])),
)
VALUES = SCALARS | st.integers(0, 2) | st.integers() | st.lists(st.text(max_size=2), max_size=2)
FIELDS = st.dictionaries(st.sampled_from(["n", "s", "$date"]), VALUES, max_size=3)
VECTOR = st.lists(st.integers(-3, 3), min_size=DIM, max_size=DIM)
ROW = st.tuples(VECTOR, FIELDS, st.none() | st.text(max_size=3))


class AgainstADict(RuleBasedStateMachine):
    """Whatever is done, the backend holds what a dict holds, and a search is a brute force over it."""

    @initialize(metric=st.sampled_from(["euclidean", "dotproduct"]))
    def create(self, metric):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "table"
        self.metric = metric
        self.made = created(metric=metric, path=self.path)
        self.rows, self.saved = {}, None
        self.scan, self.scanned = None, None

    def teardown(self):
        self.folder.cleanup()

    @rule(written=st.dictionaries(IDS, ROW, min_size=1))
    def upsert(self, written):
        vectors = np.array([row[0] for row in written.values()], dtype=np.float32)
        columns = [row[1] for row in written.values()], [row[2] for row in written.values()]
        self.made.upsert(Rows(list(written), vectors, *columns))
        self.rows |= {name: (np.float32(row[0]).tobytes(), row[1], row[2]) for name, row in written.items()}

    @rule(ids=st.sets(IDS, min_size=1))
    def delete(self, ids):
        self.made.delete(sorted(ids))
        self.rows = {name: row for name, row in self.rows.items() if name not in ids}

    @rule(ids=st.sets(IDS, min_size=1))
    def fetch(self, ids):
        found = self.made.fetch(sorted(ids), ALL)
        read = zip(found.ids, map(np.ndarray.tobytes, found.vectors), found.fields, found.documents, strict=True)
        expected = {name: row for name, row in self.rows.items() if name in ids}
        assert {name: tuple(row) for name, *row in read} == expected

    @rule(
        query=VECTOR, k=st.integers(1, 12), value=st.none() | st.integers(0, 2) | SCALARS, ids=st.none() | st.sets(IDS)
    )
    def search(self, query, k, value, ids):
        tree = None if value is None else F("n") == value
        holds = (lambda _: True) if tree is None else predicate(tree)
        among = where(None if ids is None else sorted(ids), tree)
        kept = {n: r for n, r in self.rows.items() if holds(r[1]) and (ids is None or n in ids)}
        assert self.made.count(among) == len(kept)
        assert everything(self.made, where=among) == kept
        vectors = np.array([np.frombuffer(row[0], dtype=np.float32) for row in kept.values()]).reshape(-1, DIM)
        hits = search(self.made, np.float32(query), k, among, include=ALL)
        np.testing.assert_allclose(
            hits.scores[0], np.sort(distances(query, vectors, self.metric))[:k], rtol=1e-4, atol=1e-5
        )
        found = hits.rows[0]
        assert len(set(found.ids)) == len(found.ids)
        np.testing.assert_allclose(
            hits.scores[0], distances(query, found.vectors, self.metric) if len(found) else [], rtol=1e-4, atol=1e-5
        )

    @rule()
    def begin_scan(self):
        self.scan, self.scanned = self.made.scan(2, ALL), dict(self.rows)

    @precondition(lambda self: self.scan is not None)
    @rule()
    def end_scan(self):
        found = {}
        for batch in self.scan:
            read = zip(batch.ids, map(np.ndarray.tobytes, batch.vectors), batch.fields, batch.documents, strict=True)
            found |= {name: tuple(row) for name, *row in read}
        assert found == self.scanned
        self.scan = None

    @rule()
    def save(self):
        self.made.save()
        self.saved = dict(self.rows)
        assert not self.made.unsaved

    @precondition(lambda self: self.saved is not None)
    @rule(again=st.booleans())
    def reopen(self, again):
        self.made.close()
        self.made = backend(self.path)
        self.rows = dict(self.saved)
        assert self.made.describe() == Spec(DIM, self.metric)
        if again:
            self.made.reload()

    @invariant()
    def agree(self):
        if not hasattr(self, "made"):
            return
        assert self.made.count() == len(self.rows)
        assert everything(self.made) == self.rows
        ids, vectors = self.made.matrix()
        assert {name: vector.tobytes() for name, vector in zip(ids, vectors, strict=True)} == {
            name: row[0] for name, row in self.rows.items()
        }


AgainstADict.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAgainstADict = AgainstADict.TestCase
