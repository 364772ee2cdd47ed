"""Filters in the two dialects of Databricks: a dict on standard endpoints, a text like SQL on storage-optimised ones.

The dict is an ``and`` of keys such as ``"year >="``; it has no ``or`` between columns, and each key comes once. In the
text, values are literals: quotes are doubled, and a backslash, which some dialects of SQL read as the beginning of an
escape and some do not, is refused. Names are those of columns of the index, which hold letters, digits and ``_`` only.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from vecsearch import filters
from vecsearch.backends._mosaic_columns import KINDS, NONE, SAMPLE, TAGS, kind_column
from vecsearch.errors import UnsupportedError
from vecsearch.filters import And, Condition, Constant, Filter, Or

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vecsearch.backends._mosaic_columns import Layout
    from vecsearch.backends.base import Where

Dialect = Literal["STANDARD", "STORAGE_OPTIMIZED"]
_SIGNS = {"eq": "=", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "in": "IN", "not_in": "NOT IN"}
_BOUNDS = frozenset({"lt", "lte", "gt", "gte"})


def compiled(where: Where | None, layout: Layout, dialect: Dialect) -> dict[str, str] | None:
    """What a query says of ``where``: nothing for all rows; ``None`` where no row can be meant.

    Raises ``UnsupportedError`` for what the index or the dialect cannot be asked.
    """
    parts: list[Filter] = []
    if where is not None and where.ids is not None:
        parts.append(Condition(layout.key, "in", tuple(dict.fromkeys(layout.native_keys(where.ids)))))
    if where is not None and where.filter is not None:
        parts.append(_resolved(where.filter, layout))
    if not parts:
        return {}
    tree = filters.normal_form(And(tuple(parts)))
    if isinstance(tree, Constant):
        return {} if tree.value else None
    if dialect == "STORAGE_OPTIMIZED":
        return {"filter_string": _text(tree)}
    asked = _dict(tree)
    return None if asked is None else {"filters_json": json.dumps(asked, ensure_ascii=False)}


def can_name(ids: Sequence[str], dialect: Dialect) -> list[str]:
    """Those of these ids that a filter can name."""
    return [row_id for row_id in ids if dialect == "STANDARD" or _is_plain(row_id)]


# ---- fields as columns


def _resolved(tree: Filter, layout: Layout) -> Filter:
    return filters.fold(
        tree,
        leaf=lambda leaf: _leaf(leaf, layout),
        every=lambda parts: And(tuple(parts)),
        some=lambda parts: Or(tuple(parts)),
    )


def _leaf(leaf: Condition, layout: Layout) -> Filter:
    """A condition on a column, its values of the column's type; or a constant, where the values decide."""
    if leaf.field == TAGS:
        return _kind_leaf(leaf, layout)
    if leaf.field == SAMPLE and SAMPLE in layout.columns:
        return leaf
    type_ = layout.types.get(leaf.field)
    if type_ is None or leaf.op in ("contains", "exists") or leaf.negated:
        raise UnsupportedError(f"mosaic: the index has no column that can be asked for {leaf!r}")
    if KINDS[type_] != filters.kind(leaf.members[0]):
        raise UnsupportedError(f"mosaic: the column {leaf.field!r} holds {type_}, and is asked for {leaf!r}")
    if type_ == "int":
        return _in_whole_numbers(leaf)
    if type_ == "float":
        return _in_floats(leaf)
    return leaf


def _kind_leaf(leaf: Condition, layout: Layout) -> Filter:
    """``_vs_fields`` contains ``year`` or ``year:number``: what the column of the field's kind says."""
    name, _, kind = str(leaf.value).partition(":")
    column = kind_column(layout, name)
    if column is None:
        raise UnsupportedError(
            f"mosaic: the index has no column of the field {name!r}: it cannot be asked whether it is"
        )
    if kind:
        return Condition(column, "ne" if leaf.negated else "eq", kind)
    return Condition(column, "eq" if leaf.negated else "ne", NONE)


def _in_whole_numbers(leaf: Condition) -> Filter:
    """The same condition with whole numbers, which is what a column of whole numbers is compared with."""
    values: list[Any] = list(leaf.members)
    if leaf.op in _BOUNDS:
        (value,) = values
        whole = math.ceil(value) if leaf.op in ("lt", "gte") else math.floor(value)
        return replace(leaf, value=whole)
    whole_values = tuple(int(value) for value in values if value == math.floor(value))
    if not whole_values:  # what is not whole is equal to none
        return Constant(leaf.op in ("ne", "not_in"))
    many: Any = "in" if leaf.op in ("eq", "in") else "not_in"
    return Condition(leaf.field, many, whole_values)


def _in_floats(leaf: Condition) -> Filter:
    floats = tuple(float(value) for value in leaf.members)  # type: ignore[arg-type]  # numbers, by their kind
    if leaf.op == "eq":  # the documents know equality of texts, booleans and integers only
        return And((Condition(leaf.field, "gte", floats[0]), Condition(leaf.field, "lte", floats[0])))
    return replace(leaf, value=floats if isinstance(leaf.value, tuple) else floats[0])


# ---- the dict


def _dict(tree: Filter) -> dict[str, Any] | None:
    """The filter as an and of keys; ``None`` where two of them exclude each other."""
    leaves = tree.parts if isinstance(tree, And) else (tree,)
    found: dict[str, Any] = {}
    for leaf in leaves:
        if not isinstance(leaf, Condition) or leaf.op == "not_in":
            raise UnsupportedError(f"mosaic: a standard endpoint has no filter that says {tree!r}")
        value: Any = leaf.value
        key = f"{leaf.field} {_SIGNS[leaf.op]}"
        if leaf.op in ("eq", "in"):
            key, value = leaf.field, list(leaf.members)
            if key in found:
                value = [one for one in found[key] if one in value]
            if not value:
                return None
        elif leaf.op == "ne":
            key = f"{leaf.field} NOT"
            if found.get(key, value) != value:
                raise UnsupportedError(
                    f"mosaic: a standard endpoint excludes one value of a column, not several: {tree!r}"
                )
        elif key in found:
            value = min(found[key], value) if leaf.op in ("lt", "lte") else max(found[key], value)
        found[key] = value
    return {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in found.items()}


# ---- the text


def _text(tree: Filter) -> str:
    text: str = filters.fold(
        tree,
        leaf=_comparison,
        every=lambda parts: f"({' AND '.join(parts)})",
        some=lambda parts: f"({' OR '.join(parts)})",
    )
    return text


def _comparison(leaf: Condition) -> str:
    values = [_literal(value) for value in leaf.members]
    value = f"({', '.join(values)})" if leaf.op in ("in", "not_in") else values[0]
    return f"{leaf.field} {_SIGNS[leaf.op]} {value}"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if not _is_plain(value):
        raise UnsupportedError(f"mosaic: a text with a backslash or NUL cannot be compared with safely: {value[:60]!r}")
    quoted: str = value.replace("'", "''")
    return f"'{quoted}'"


def _is_plain(text: str) -> bool:
    return "\\" not in text and "\0" not in text


__all__ = ("Dialect", "can_name", "compiled")
