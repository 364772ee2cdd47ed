"""What the tests of the suite stand on: the hooks of an adapter, indexes made and closed, what to expect of a call."""

from __future__ import annotations

import itertools
import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pytest
from pydantic import SecretStr

import vecsearch
from vecsearch import filters, naming, registry
from vecsearch.backends.base import METRICS, Backend, Capabilities, Metric
from vecsearch.errors import UnsupportedError
from vecsearch.testing.suite import data
from vecsearch.testing.wrappers import RecordingBackend, recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from vecsearch import Embeddings, Filter, SimilarityIndex, View

READING = ("search", "scan", "count", "fetch")
WRITING = ("create", "upsert", "delete", "drop")


class Harness:
    """The hooks that an adapter's test class fills in, and helpers for the tests."""

    backend: ClassVar[str]
    """The name of the backend, as in ``compute_similarity(backend=…)``."""

    gaps: ClassVar[Mapping[str, str]] = {}
    """Known defects: the name of a test (or ``test[parameter]``) and the reason. Each is a strict xfail."""

    recall: ClassVar[float] = 0.9
    """The least share of true neighbours in an approximate answer on 200 rows."""

    def settings(self, tmp_path: Path) -> dict[str, Any]:
        """The settings of a new, empty index: called with another empty folder for each."""
        raise NotImplementedError(f"{type(self).__name__} needs settings(self, tmp_path)")

    def back_door(self, index: SimilarityIndex) -> Mapping[str, tuple[NDArray[np.float32], Mapping[str, Any]]]:
        """All rows as the engine holds them, read through its own client: ``{id: (vector, metadata)}``.

        Ids and metadata are the engine's own: the suite knows of hidden ``_vs_`` fields and of UUIDs for ids.
        """
        raise NotImplementedError(f"{type(self).__name__} needs back_door(self, index)")

    # ---- pytest's side

    _shared: ClassVar[dict[str, SimilarityIndex]]
    _folders: Iterator[Path]
    _opened: list[SimilarityIndex]

    def __init_subclass__(cls, **rest: Any) -> None:
        """A class of its own keeps indexes of its own; a gap that names no test is a mistake."""
        super().__init_subclass__(**rest)
        cls._shared = {}
        for name in cls.gaps:
            if not callable(getattr(cls, name.partition("[")[0], None)) or not name.startswith("test_"):
                raise TypeError(f"{cls.__name__}.gaps names {name!r}, which is no test of the suite")

    @pytest.fixture(autouse=True)
    def _prepared(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        """A home and folders of its own for each test; indexes that it made are deleted and closed behind it."""
        for name in (request.node.name, getattr(request.node, "originalname", "")):
            if name in self.gaps:
                request.applymarker(pytest.mark.xfail(reason=self.gaps[name], strict=True))
                break
        monkeypatch.setenv("VECSEARCH_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("VECSEARCH_CONFIG_PATH", raising=False)
        self._request = request
        self._opened = []
        self._folders = (tmp_path / f"index{number}" for number in itertools.count())
        self._environment = monkeypatch
        yield
        for index in self._opened:
            _discard(index)

    # ---- indexes

    @property
    def capabilities(self) -> Capabilities:
        """What the backend declares under these settings."""
        return self.empty("facts").capabilities

    @property
    def metric(self) -> Metric:
        """A metric that the backend has: cosine if it can."""
        return next(metric for metric in METRICS if metric in self.capabilities.metrics)

    @property
    def lengths_matter(self) -> Metric:
        """A metric under which a vector's length counts, if there is one."""
        return "euclidean" if "euclidean" in self.capabilities.metrics else self.metric

    def named(self, name: str) -> str:
        """An index's name like ``name`` that the backend takes."""
        rule = self.capabilities.index_names
        return name if rule is None else naming.fitted(name, rule)

    def new_settings(self) -> dict[str, Any]:
        """The settings of one more index."""
        folder = next(self._folders)
        folder.mkdir(parents=True)
        return self._settings(folder)

    def _settings(self, folder: Path) -> dict[str, Any]:
        """The settings; their secrets are in the environment, too, since a run that is opened again has none."""
        settings = self.settings(folder)
        for name in self.backend_class.Config.secret_fields() & settings.keys():
            variable = f"VECSEARCH_SIMILARITY_{self.backend}_{name}".upper()
            self._environment.setenv(variable, plain_setting(settings[name]))
        return settings

    def create(self, *, wrapper: type[Backend[Any]] | None = None, **arguments: Any) -> SimilarityIndex:
        """``compute_similarity`` for one test, by default of an empty index; through a ``wrapper`` of the backend."""
        arguments = {**self.new_settings(), **arguments}
        if "embeddings" not in arguments:
            arguments["embeddings"] = False
        with self.through(wrapper):
            index = vecsearch.compute_similarity(backend=self.backend, **arguments)
        self._opened.append(index)
        return index

    def through(self, wrapper: type[Backend[Any]] | None) -> Any:
        """A block in which the backend's name means ``wrapper``."""
        return nullcontext() if wrapper is None else registry.registered(self.backend, wrapper)

    def opened(self, index: SimilarityIndex) -> SimilarityIndex:
        """An index that the test opened itself, to be closed behind it."""
        self._opened.append(index)
        return index

    def forget(self, index: SimilarityIndex) -> None:
        """An index that the test has closed and whose rows shall stay."""
        self._opened.remove(index)

    def recorded(self, **arguments: Any) -> tuple[SimilarityIndex, type[RecordingBackend]]:
        """An index whose calls to the backend are noted in the class beside it."""
        wrapper = recording(self.backend_class)
        return self.create(wrapper=wrapper, **arguments), wrapper

    @property
    def backend_class(self) -> type[Backend[Any]]:
        """The class that the backend's name means."""
        return registry.backend_class(self.backend)

    def empty(self, name: str) -> SimilarityIndex:
        """An index without rows or width that all tests of the class share, for reading only."""
        return self._once(name, {"embeddings": False})

    def filled(self, metric: Metric | None = None) -> SimilarityIndex:
        """The index of ``data.sample_rows()`` that all tests of the class share, for reading only."""
        metric = metric or self.metric
        return self._once(f"filled {metric}", {**data.sample_rows().columns(), "metric": metric})

    def _once(self, name: str, arguments: Mapping[str, Any]) -> SimilarityIndex:
        if name not in self._shared:
            folder = self._request.getfixturevalue("tmp_path_factory").mktemp("shared")
            settings = self._settings(folder)
            index = vecsearch.compute_similarity(backend=self.backend, **settings, **arguments)
            self._shared[name] = index
            owner = self._request.node.getparent(pytest.Class)
            assert owner is not None, "the suite's tests live in a class"

            def discard() -> None:
                _discard(self._shared.pop(name))

            owner.addfinalizer(discard)
        return self._shared[name]

    def few(self, rows: int = 12, **arguments: Any) -> tuple[SimilarityIndex, data.Data]:
        """A new index of a few rows, to be written to, and its rows."""
        content = data.sample_rows().take(range(rows))
        return self.create(**{**content.columns(), "metric": self.metric, **arguments}), content

    # ---- what to expect

    def native(self, primitive: str, filter_: Filter | None = None, *, ids: bool = False) -> bool:
        """Whether the backend declares that ``primitive`` takes this filter, or ids."""
        caps = self.capabilities
        if filter_ is None:
            return not ids or primitive in caps.filters_in
        normal = filters.normal_form(filter_)
        if isinstance(normal, filters.Constant):
            return not ids or not normal.value or primitive in caps.filters_in
        needed = frozenset(op for leaf in filters.conditions(normal) for op in _needed(leaf, caps))
        if not caps.joins_by_or and ("or" in needed or filters.has_alternatives(normal)):
            return False
        needed -= {"or"}
        integers = [
            value
            for leaf in filters.conditions(normal)
            for value in leaf.members
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        ]
        in_range = caps.max_int >= 2**63 - 1 or all(abs(value) < caps.max_int for value in integers)
        return primitive in caps.filters_in and needed <= caps.filter_operators and in_range

    @property
    def ulps(self) -> int:
        """How far a vector that came back may be from what was put, in units in the last place.

        Not at all, but where the engine keeps unit vectors, which some round anew at every search.
        """
        return 8 if self.capabilities.normalises else 0

    @property
    def exactly(self) -> dict[str, Any]:
        """The arguments that make a search exact on this backend."""
        kind = self.capabilities.exactness
        if kind == "always":
            return {}
        return {"exact": True} if kind == "on_request" else {"exact": True, "allow_scan": True}

    def check_search(
        self,
        target: View,
        query: NDArray[Any],
        expected: Mapping[str, float],
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002  the name that users write
        ids: bool = False,
        **options: Any,
    ) -> None:
        """One search, asked in every way that the contract allows, against the true distances of the rows in scope.

        As the user asks: true distances, no short answer, no row out of scope; the nearest where the backend is exact.
        Where it declares that it cannot: ``UnsupportedError``. Exactly, with leave to scan: the nearest, always.
        """
        caps = target.capabilities
        fits = caps.max_k is None or min(k, len(target)) <= caps.max_k
        if (self.native("search", filter, ids=ids) and fits) or caps.local:
            try:
                ranking = target.search(query, k, filter=filter, **options)[0]
            except UnsupportedError:
                assert self.may_refuse(len(expected), k, filter)
                ranking = target.search(query, k, filter=filter, allow_scan=True, **options)[0]
            always = caps.exactness == "always"
            data.assert_ranking(ranking, expected, k, exact=always)
            assert ranking.exact or not always
            if not always and expected:
                wanted = min(k, len(expected))
                radius = sorted(expected.values())[wanted - 1]
                near = sum(expected[row_id] <= radius + abs(radius) * 1e-6 + 1e-6 for row_id in ranking.ids)
                assert near >= self.recall * wanted, "fewer true neighbours than `recall`"
        elif expected:
            with pytest.raises(UnsupportedError):
                target.search(query, k, filter=filter, **options)
        exact = caps.exactness != "always"
        ranking = target.search(query, k, filter=filter, allow_scan=True, exact=exact, **options)[0]
        data.assert_ranking(ranking, expected, k)
        assert ranking.exact

    def may_refuse(self, matches: int, k: int, filter_: Filter | None) -> bool:
        """Whether a search may want leave to scan: fewer than k rows match, and the backend cannot count them."""
        caps = self.capabilities
        return matches < k and not caps.local and filter_ is not None and not self.native("count", filter_)

    def assert_vectors(
        self, found: Embeddings, ids: Sequence[str], vectors: NDArray[np.float32], labels: Sequence[str] | None = None
    ) -> None:
        """The triple holds these vectors as they were put, with these ids, in this order."""
        assert found.embeddings.dtype == np.float32
        assert found.embeddings.shape == vectors.shape
        assert found.sample_ids.tolist() == list(ids)
        assert (found.label_ids is None) == (labels is None)
        if labels is not None:
            assert cast("Any", found.label_ids).tolist() == list(labels)
        worst = data.ulps(found.embeddings, vectors)
        assert worst <= self.ulps, f"vectors differ by {worst} units in the last place"

    def behind(self, index: SimilarityIndex) -> dict[str, tuple[NDArray[np.float32], Mapping[str, Any]]]:
        """What the back door shows, under the user's ids."""
        rows = self.back_door(index)
        if self.capabilities.id_form == "uuid":
            return {fields["_vs_id"]: (vector, fields) for vector, fields in rows.values()}
        return dict(rows)


def _needed(leaf: filters.Condition, caps: Capabilities) -> set[str]:
    """The operators that a condition comes to: where fields or kinds are kept beside the row, they are asked for."""
    loose = bool(caps.filter_operators - caps.strict_operators)
    tagged = "list" in caps.metadata_types and (loose or "exists" not in caps.filter_operators)
    complement = {"not"} if leaf.negated else set()
    if caps.filter_fields is not None and not _held(leaf, caps.filter_fields):
        return {"the field"}
    if leaf.op == "exists":
        return complement | {"contains" if tagged else "exists"}
    if leaf.op in ("lt", "lte", "gt", "gte") and isinstance(leaf.value, str) and not caps.orders_texts:
        return {"the order of texts"}
    if leaf.op in caps.strict_operators and ("not" in caps.strict_operators or not leaf.negated):
        return complement | {leaf.op}
    if not tagged:
        return {"the kinds of values"}
    alternative = {"or"} if leaf.negated else set()
    op = filters.OPPOSITES.get(leaf.op, leaf.op) if leaf.negated else leaf.op
    return {"contains", *complement, *alternative, op}


def _held(leaf: filters.Condition, fields: Mapping[str, str]) -> bool:
    """Whether the engine holds the field so that it can be asked for this."""
    held = fields.get(leaf.field)
    asked = "list" if leaf.op == "contains" else held if leaf.op == "exists" else filters.kind(leaf.members[0])
    return held is not None and held == asked


def hurry(index: SimilarityIndex, seconds: float) -> None:
    """Give each call of an index so long, from now on: to be created, it may have needed longer."""
    engine = index._engine  # noqa: SLF001  there is no other way, and no use for one but here
    engine.config = engine.backend.config = engine.config.model_copy(update={"timeout": seconds})


def _discard(index: SimilarityIndex) -> None:
    try:
        index.cleanup()
    except vecsearch.ClosedError:
        return
    index.close()


def plain_setting(value: Any) -> str:
    """A setting as a variable of the environment holds it."""
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    return value if isinstance(value, str) else json.dumps(value)


def nothing_happened(wrapper: type[RecordingBackend], *primitives: str, since: int = 0) -> bool:
    """Whether none of these calls reached the backend after the first ``since``."""
    return not [call for call in wrapper.log[since:] if call.primitive in (primitives or READING + WRITING)]
