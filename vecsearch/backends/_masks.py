"""Filters over the columns of the embedded backend.

A condition reads one field, and its value alone decides. So each field that is ever asked for is coded once (a number
per distinct value); a condition is tried on the distinct values, by the reference evaluator, and spread over the rows
by their codes. A row's fields never change in its column: codes and masks stay true while the column lives, and are
only lengthened.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from vecsearch.filters import And, Condition, Constant, Filter, Not, Or, predicate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from vecsearch.backends._columns import Column
    from vecsearch.backends._table import Snapshot

_FILTERS_KEPT = 32
_ABSENT = 0


class Masks:
    """For which rows a filter holds; the filters asked last are remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._column: Column[dict[str, Any]] | None = None
        self._codes: dict[str, _Codes] = {}
        self._kept: OrderedDict[Filter, NDArray[np.bool_]] = OrderedDict()

    def get(self, filter_: Filter, snapshot: Snapshot) -> NDArray[np.bool_]:
        """A flag for each row of ``snapshot``, dead ones included."""
        column, rows = snapshot.fields, len(snapshot)
        with self._lock:
            if self._column is not column:  # another table, or this one written anew
                self._column, self._codes = column, {}
                self._kept.clear()
            mask = self._kept.get(filter_)
            known = 0 if mask is None else len(mask)
            if known < rows:
                more = self._evaluate(filter_, column, known, rows)
                mask = more if mask is None else np.concatenate([mask, more])
                self._kept[filter_] = mask
            assert mask is not None or rows == 0  # noqa: S101  the branch above made one
            if mask is None:
                return np.empty(0, dtype=np.bool_)
            self._kept.move_to_end(filter_)
            while len(self._kept) > _FILTERS_KEPT:
                self._kept.popitem(last=False)
            return mask[:rows]

    def _evaluate(self, tree: Filter, column: Column[dict[str, Any]], start: int, stop: int) -> NDArray[np.bool_]:
        match tree:
            case Condition(field=field):
                codes = self._codes.setdefault(field, _Codes(field))
                codes.lengthen(column, stop)
                return codes.where(tree, start, stop)
            case And(parts):
                return _reduced(np.logical_and, (self._evaluate(part, column, start, stop) for part in parts))
            case Or(parts):
                return _reduced(np.logical_or, (self._evaluate(part, column, start, stop) for part in parts))
            case Not(part):
                return ~self._evaluate(part, column, start, stop)
            case Constant(value):
                return np.full(stop - start, value)
        raise TypeError(f"{type(tree).__name__} is no filter")


def _reduced(join: np.ufunc, masks: Iterator[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    result = next(masks).copy()
    for mask in masks:
        join(result, mask, out=result)
    return result


class _Codes:
    """One field of all rows: a number for each distinct value, 0 where it is absent."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._codes = np.empty(0, dtype=np.int32)
        self._rows = 0
        self._values: list[Any] = [None]
        self._code_of: dict[Any, int] = {}

    def lengthen(self, column: Column[dict[str, Any]], rows: int) -> None:
        if rows <= self._rows:
            return
        if rows > len(self._codes):
            larger = np.empty(max(rows, 3 * self._rows // 2), dtype=np.int32)
            larger[: self._rows] = self._codes[: self._rows]
            self._codes = larger
        coded = (self._code(fields.get(self._field)) for fields in column.look(self._rows, rows))
        self._codes[self._rows : rows] = np.fromiter(coded, dtype=np.int32, count=rows - self._rows)
        self._rows = rows

    def where(self, leaf: Condition, start: int, stop: int) -> NDArray[np.bool_]:
        holds, field, values = predicate(leaf), self._field, self._values
        codes = self._codes[start:stop]
        if len(codes) < len(values):
            return np.array([holds({field: values[code]}) for code in codes.tolist()], dtype=np.bool_)
        flags = np.array([holds({field: value}) for value in values], dtype=np.bool_)
        return flags[codes]

    def _code(self, value: Any) -> int:
        if value is None:
            return _ABSENT
        # With the type: 1, 1.0 and True are equal, and a filter tells them apart.
        key = (list, *value) if isinstance(value, list) else (type(value), value)
        code = self._code_of.get(key)
        if code is None:
            code = self._code_of[key] = len(self._values)
            self._values.append(value)
        return code
