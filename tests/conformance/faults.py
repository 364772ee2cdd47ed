"""A good backend with one fault each, for the suite to find."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from vecsearch.backends.base import METRICS, Score, Spec, Where
from vecsearch.backends.sklearn import SklearnBackend
from vecsearch.filters import Condition, Or, map_conditions, predicate
from vecsearch.testing.wrappers import WrappedBackend

ALL = frozenset({"vectors", "fields", "documents"})
MUTANTS = {}


class Honest(WrappedBackend, inner=SklearnBackend):
    """No fault: nothing may fail. Its rows do not count as local, so that the plans for real engines are taken."""

    capabilities = replace(SklearnBackend.capabilities, local=False)


def mutant(cls):
    MUTANTS[cls.__name__.lower()] = globals()[cls.__name__] = cls
    return cls


def changed(rows, **columns):
    for name, change in columns.items():
        values = getattr(rows, name)
        if values is not None:
            setattr(rows, name, change(values))
    return rows


def take(rows, positions):
    return rows.take(list(positions))


def searched(hits, change):
    """Hits with each query's (scores, rows) changed."""
    pairs = [change(scores, rows) for scores, rows in zip(hits.scores, hits.rows, strict=True)]
    hits.scores, hits.rows = [scores for scores, _ in pairs], [rows for _, rows in pairs]
    return hits


@mutant
class SquaredDistances(Honest, inner=SklearnBackend):
    def search(self, *arguments, **named):
        return searched(super().search(*arguments, **named), lambda scores, rows: (scores**2, rows))


@mutant
class WrongScore(Honest, inner=SklearnBackend):
    capabilities = replace(
        Honest.capabilities, metrics={**dict.fromkeys(METRICS, Score.DISTANCE), "dotproduct": Score.SIMILARITY}
    )


@mutant
class FilterIgnored(Honest, inner=SklearnBackend):
    def search(self, queries, k, where, **named):
        return super().search(queries, k, where and where.ids and Where(where.ids), **named)


@mutant
class FilterIgnoredInCount(Honest, inner=SklearnBackend):
    def count(self, where=None):
        return super().count(where and where.ids and Where(where.ids))


@mutant
class ViewIdsIgnored(Honest, inner=SklearnBackend):
    def search(self, queries, k, where, **named):
        return super().search(queries, k, where and Where(None, where.filter), **named)


@mutant
class PostFiltered(Honest, inner=SklearnBackend):
    """Looks at the nearest k only, and counts as short as it answers."""

    def search(self, queries, k, where, *, include, **named):
        hits = super().search(queries, k, None, include=include | {"fields"}, **named)
        if where is None:
            return hits
        holds = predicate(where.filter) if where.filter is not None else lambda _: True
        wanted = None if where.ids is None else set(where.ids)

        def kept(scores, rows):
            places = [p for p, f in enumerate(rows.fields) if holds(f) and (wanted is None or rows.ids[p] in wanted)]
            self.shown = len(places)
            return scores[places], take(rows, places)

        return searched(hits, kept)

    def count(self, where=None):
        return super().count(where) if where is None else min(super().count(where), getattr(self, "shown", 10**9))


@mutant
class LastBatchDropped(Honest, inner=SklearnBackend):
    """Loses a batch that is smaller than the one before."""

    size = 0

    def upsert(self, rows):
        if len(rows) >= self.size:
            super().upsert(rows)
        self.size = len(rows)


@mutant
class OrderReversed(Honest, inner=SklearnBackend):
    def search(self, *arguments, **named):
        return searched(super().search(*arguments, **named), lambda scores, rows: (scores[::-1].copy(), rows))


@mutant
class IdsTruncated(Honest, inner=SklearnBackend):
    def upsert(self, rows):
        super().upsert(changed(rows, ids=lambda ids: list(dict.fromkeys(i[:64] for i in ids))))


@mutant
class IdsFolded(Honest, inner=SklearnBackend):
    def fetch(self, ids, include):
        return changed(super().fetch([i.strip() for i in ids], include))


@mutant
class NormsLost(Honest, inner=SklearnBackend):
    def upsert(self, rows):
        super().upsert(changed(rows, vectors=lambda v: v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-30)))


@mutant
class HalfPrecision(Honest, inner=SklearnBackend):
    def upsert(self, rows):
        super().upsert(changed(rows, vectors=lambda v: v.astype(np.float16).astype(np.float32)))


@mutant
class UpsertMerges(Honest, inner=SklearnBackend):
    def upsert(self, rows):
        old = self.inner.fetch(rows.ids, ALL)
        before = dict(zip(old.ids, old.fields, strict=True))
        fields = [{**before.get(i, {}), **f} for i, f in zip(rows.ids, rows.fields, strict=True)]
        super().upsert(changed(rows, fields=lambda _: fields))


@mutant
class DocumentsKept(Honest, inner=SklearnBackend):
    """A document that is not given again stays."""

    def upsert(self, rows):
        old = self.inner.fetch(rows.ids, ALL)
        before = dict(zip(old.ids, old.documents, strict=True))
        kept = [d if d is not None else before.get(i) for i, d in zip(rows.ids, rows.documents, strict=True)]
        super().upsert(changed(rows, documents=lambda _: kept))


@mutant
class DeleteIgnored(Honest, inner=SklearnBackend):
    def delete(self, ids):
        pass


@mutant
class DeleteStopsAtTheUnknown(Honest, inner=SklearnBackend):
    def delete(self, ids):
        super().delete(ids[:100])


@mutant
class CountOffByOne(Honest, inner=SklearnBackend):
    def count(self, where=None):
        return super().count(where) + 1


@mutant
class ScanRepeats(Honest, inner=SklearnBackend):
    def scan(self, batch_rows, include, where=None):
        for number, batch in enumerate(super().scan(batch_rows, include, where)):
            yield batch
            if number == 1:
                yield take(batch, [0])


@mutant
class ScanMisses(Honest, inner=SklearnBackend):
    """Loses the first row of each page but the first."""

    def scan(self, batch_rows, include, where=None):
        for number, batch in enumerate(super().scan(batch_rows, include, where)):
            yield take(batch, range(number > 0, len(batch)))


@mutant
class ScanOnePage(Honest, inner=SklearnBackend):
    def scan(self, batch_rows, include, where=None):
        yield from (take(batch, range(min(len(batch), 100))) for batch in super().scan(batch_rows, include, where))


@mutant
class ScanIgnoresFilter(Honest, inner=SklearnBackend):
    def scan(self, batch_rows, include, where=None):
        return super().scan(batch_rows, include, where and where.ids and Where(where.ids))


@mutant
class FetchMisaligned(Honest, inner=SklearnBackend):
    def fetch(self, ids, include):
        return changed(super().fetch(ids, include), vectors=lambda v: np.roll(v, 1, axis=0))


@mutant
class FetchMisalignedFields(Honest, inner=SklearnBackend):
    def fetch(self, ids, include):
        return changed(super().fetch(ids, include), fields=lambda f: f[1:] + f[:1])


@mutant
class SearchMisaligned(Honest, inner=SklearnBackend):
    def search(self, *arguments, **named):
        hits = super().search(*arguments, **named)
        return searched(hits, lambda s, rows: (s, changed(rows, documents=lambda d: d[::-1], fields=lambda f: f[::-1])))


@mutant
class FetchInventsRows(Honest, inner=SklearnBackend):
    def fetch(self, ids, include):
        found = super().fetch(ids, include)
        missing = [i for i in ids if i not in found.ids]
        if missing and found.ids:
            found = take(found, [*range(len(found)), *[0] * len(missing)])
            found.ids[-len(missing) :] = missing
        return found


@mutant
class MetricByDefault(Honest, inner=SklearnBackend):
    """Makes every index with the engine's default metric."""

    def create(self, spec):
        super().create(replace(spec, metric="cosine"))


@mutant
class DocumentsDropped(Honest, inner=SklearnBackend):
    def upsert(self, rows):
        super().upsert(changed(rows, documents=lambda d: [None] * len(d)))


@mutant
class EmptyDocumentsDropped(Honest, inner=SklearnBackend):
    def upsert(self, rows):
        super().upsert(changed(rows, documents=lambda d: [text or None for text in d]))


def fields_mutant(name, change):
    class Changed(Honest, inner=SklearnBackend):
        def upsert(self, rows):
            super().upsert(changed(rows, fields=lambda all_: [{n: change(v) for n, v in f.items()} for f in all_]))

    Changed.__name__ = Changed.__qualname__ = name
    return mutant(Changed)


fields_mutant("OffsetLost", lambda v: v.astimezone(UTC) if isinstance(v, datetime) else v)
fields_mutant("MicrosecondsLost", lambda v: v.replace(microsecond=0) if isinstance(v, datetime) else v)
fields_mutant("DatetimeAsText", lambda v: v.isoformat() if isinstance(v, datetime) else v)
fields_mutant("IntAsFloat", lambda v: float(v) if type(v) is int else v)
fields_mutant("BoolAsInt", lambda v: int(v) if type(v) is bool else v)
fields_mutant("WholeFloatAsInt", lambda v: int(v) if isinstance(v, float) and v.is_integer() and v < 2**53 else v)
fields_mutant("ListDeduplicated", lambda v: list(dict.fromkeys(v)) if isinstance(v, list) else v)
fields_mutant("EmptyListDropped", lambda v: v or "" if isinstance(v, list) else v)
fields_mutant("TextTrimmed", lambda v: v.strip() if isinstance(v, str) else v)


@mutant
class ShortByOne(Honest, inner=SklearnBackend):
    """One row too few, which also count does not admit."""

    def search(self, queries, k, where, **named):
        self.less = True
        return super().search(queries, max(k - 1, 1), where, **named)

    def count(self, where=None):
        return super().count(where) - getattr(self, "less", False)


@mutant
class NearestForgotten(Honest, inner=SklearnBackend):
    """Approximate where it says exact: leaves out the second nearest."""

    def search(self, queries, k, where, **named):
        hits = super().search(queries, k + 1, where, **named)
        return searched(
            hits,
            lambda s, rows: (
                (np.delete(s, [1])[:k], take(rows, [0, *range(2, len(rows))][:k]))
                if len(s) > k > 1
                else (s[:k], take(rows, range(min(k, len(rows)))))
            ),
        )


def filter_mutant(name, rewrite):
    """Every primitive sees its filter rewritten."""

    def seen(where):
        if where is None or where.filter is None:
            return where
        return Where(where.ids, map_conditions(where.filter, rewrite))

    class Rewritten(Honest, inner=SklearnBackend):
        def search(self, queries, k, where, **named):
            return super().search(queries, k, seen(where), **named)

        def scan(self, batch_rows, include, where=None):
            return super().scan(batch_rows, include, seen(where))

        def count(self, where=None):
            return super().count(seen(where))

    Rewritten.__name__ = Rewritten.__qualname__ = name
    return mutant(Rewritten)


def leaf(operators, change):
    return lambda c: change(c) if c.op in operators else c


filter_mutant("NeMatchesMissing", leaf({"ne"}, lambda c: Condition(c.field, "eq", c.value, negated=True)))
filter_mutant("LessIsLessOrEqual", leaf({"lt"}, lambda c: Condition(c.field, "lte", c.value)))
filter_mutant("ContainsIsEquals", leaf({"contains"}, lambda c: Or((c, Condition(c.field, "eq", c.value)))))
filter_mutant("ExistsIsNotEmpty", leaf({"exists"}, lambda c: Condition(c.field, "ne", "") if c.field == "x" else c))
filter_mutant(
    "IntegersAsFloats", lambda c: Condition(c.field, c.op, float(c.value), c.negated) if type(c.value) is int else c
)


@mutant
class CaseIgnored(Honest, inner=SklearnBackend):
    """Compares texts as a case-blind collation does."""

    def scan(self, batch_rows, include, where=None):
        if where is None or where.filter is None:
            return super().scan(batch_rows, include, where)
        either = map_conditions(where.filter, self.blind)
        return super().scan(batch_rows, include, Where(where.ids, either))

    @staticmethod
    def blind(leaf):
        if leaf.op != "eq" or not isinstance(leaf.value, str):
            return leaf
        return Or((leaf, Condition(leaf.field, "in", (leaf.value.lower(), leaf.value.upper()))))


@mutant
class IdsOrFilter(Honest, inner=SklearnBackend):
    """Forgets the filter where there are ids, in every primitive."""

    def search(self, queries, k, where, **named):
        return super().search(queries, k, where and Where(where.ids, None if where.ids else where.filter), **named)

    def scan(self, batch_rows, include, where=None):
        return super().scan(batch_rows, include, where and Where(where.ids, None if where.ids else where.filter))

    def count(self, where=None):
        return super().count(where and Where(where.ids, None if where.ids else where.filter))


@mutant
class LongListsCut(Honest, inner=SklearnBackend):
    """Reads the first 500 values of a list."""

    def scan(self, batch_rows, include, where=None):
        if where is None or where.filter is None:
            return super().scan(batch_rows, include, where)
        cut = map_conditions(where.filter, lambda c: replace(c, value=c.value[:50]) if c.op == "in" else c)
        return super().scan(batch_rows, include, Where(where.ids, cut))


@mutant
class PatchesForgotten(Honest, inner=SklearnBackend):
    def describe(self):
        spec = super().describe()
        return spec and replace(spec, patches=False)


@mutant
class WidthForgotten(Honest, inner=SklearnBackend):
    def describe(self):
        spec = super().describe()
        return spec and replace(spec, dim=spec.dim + 1)


@mutant
class TextCut(Honest, inner=SklearnBackend):
    """Documents up to 32 kB."""

    def upsert(self, rows):
        super().upsert(changed(rows, documents=lambda d: [text and text[:32_000] for text in d]))


@mutant
class NewFieldsIgnored(Honest, inner=SklearnBackend):
    """The first write decides which fields there are."""

    names = None

    def upsert(self, rows):
        self.names = self.names or {name for row in rows.fields for name in row}
        super().upsert(changed(rows, fields=lambda f: [{n: v for n, v in r.items() if n in self.names} for r in f]))


@mutant
class ReloadDoesNothing(Honest, inner=SklearnBackend):
    def reload(self):
        pass


@mutant
class SaveForgetsDeletions(Honest, inner=SklearnBackend):
    gone = ()

    def delete(self, ids):
        rows = self.inner.fetch(ids, ALL)
        self.gone = [*self.gone, rows]
        super().delete(ids)

    def save(self):
        for rows in self.gone:
            if len(rows):
                super().upsert(rows)
        super().save()


@mutant
class DotproductOfUnitVectors(Honest, inner=SklearnBackend):
    """Normalises the query, which changes no order under cosine, but distances elsewhere."""

    def search(self, queries, k, where, **named):
        lengths = np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-30)
        return super().search(np.ascontiguousarray(queries / lengths), k, where, **named)


@mutant
class WriteNotDurable(Honest, inner=SklearnBackend):
    """Claims that a write is safe without save()."""

    capabilities = replace(Honest.capabilities, durable=True)
    unsaved = False


@mutant
class CloseDeletes(Honest, inner=SklearnBackend):
    def close(self):
        super().drop()
        super().close()


@mutant
class DropForgets(Honest, inner=SklearnBackend):
    """Deletes the rows in memory and leaves the files."""

    def drop(self):
        self.inner._forget()


@mutant
class ConnectCreates(Honest, inner=SklearnBackend):
    def describe(self):
        if super().describe() is None:
            self.create(Spec(16, "cosine"))
        return super().describe()


@mutant
class InputsChanged(Honest, inner=SklearnBackend):
    def search(self, queries, k, where, **named):
        hits = super().search(queries, k, where, **named)
        if queries.flags.writeable:
            queries *= 0.5
        return hits


@mutant
class RemembersTheFilter(Honest, inner=SklearnBackend):
    """A view once asked for stays."""

    last = None

    def search(self, queries, k, where, **named):
        self.last = where or self.last
        return super().search(queries, k, self.last, **named)

    def count(self, where=None):
        return super().count(where or self.last)


@mutant
class FailuresSwallowed(Honest, inner=SklearnBackend):
    def upsert(self, rows):
        if len(rows) > 150:
            rows = take(rows, range(150))
        super().upsert(rows)


@mutant
class SampleOfALabelStays(Honest, inner=SklearnBackend):
    """A label that is added again keeps its first sample."""

    def upsert(self, rows):
        old = self.inner.fetch(rows.ids, ALL)
        owner = {i: f.get("_vs_sample") for i, f in zip(old.ids, old.fields, strict=True) if "_vs_sample" in f}
        fields = [
            {**f, "_vs_sample": owner[i]} if i in owner else f for i, f in zip(rows.ids, rows.fields, strict=True)
        ]
        super().upsert(changed(rows, fields=lambda _: fields))


@mutant
class QueriesOutOfOrder(Honest, inner=SklearnBackend):
    def search(self, queries, k, where, **named):
        hits = super().search(queries, k, where, **named)
        hits.scores.reverse()
        hits.rows.reverse()
        return hits
