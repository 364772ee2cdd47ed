"""The tree: conditions joined by ``&``, ``|`` and ``~``. Data only; what it means is in ``meaning``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn, TypeVar, get_args

from vecsearch.errors import FilterError
from vecsearch.filters.values import MAX_MEMBERS, Scalar, field_name, members_of, nearest, plain, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np

T = TypeVar("T")
Operator = Literal["eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "contains", "exists"]

MAX_DEPTH = 16
MAX_NODES = 512
LISTS = frozenset({"in", "not_in"})
SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

OPPOSITES: dict[Operator, Operator] = {
    "eq": "ne",
    "ne": "eq",
    "lt": "gte",
    "lte": "gt",
    "gt": "lte",
    "gte": "lt",
    "in": "not_in",
    "not_in": "in",
}
"""What holds of the values of the same kind for which an operator does not."""

_OPERATORS: tuple[Operator, ...] = get_args(Operator)
_METHODS = {"in": "is_in", "not_in": "not_in", "contains": "contains"}
_ORDERS = frozenset({"lt", "lte", "gt", "gte"})
_USE_OPERATORS = (
    "a filter has no truth value of its own: use & | ~ (and parentheses) instead of `and`, `or`, `not`, `if`"
)
_USE_PARENTHESES = "put every comparison in parentheses: (F('a') == 1) & (F('b') > 2)"
_SHOWN_MEMBERS = 10


class Filter:
    """A filter; build one with ``F`` or ``from_json`` and join them with ``&``, ``|`` and ``~``.

    Immutable and hashable. Two filters are equal when they are the same tree with values of the same types.
    """

    __slots__ = ()
    __array_ufunc__: ClassVar[None] = None  # so that a numpy scalar on the left leaves the operator to us

    def __and__(self, other: Filter) -> Filter:
        return _joined(And, self, other)

    def __or__(self, other: Filter) -> Filter:
        return _joined(Or, self, other)

    def __rand__(self, other: object) -> NoReturn:
        raise FilterError(f"{show(other)} is no filter: {_USE_PARENTHESES}")

    __ror__ = __rand__

    def __invert__(self) -> Filter:
        return self.part if isinstance(self, Not) else bounded(Not(self))

    def __bool__(self) -> bool:
        raise FilterError(_USE_OPERATORS)

    def __eq__(self, other: object) -> bool:
        return _identity(self) == _identity(other) if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(_identity(self))

    def __repr__(self) -> str:
        return _code(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Condition(Filter):
    """One leaf: ``field op value``. Nothing is checked here: internals use hidden ``_vs_`` fields and long lists.

    ``value`` is a scalar; a tuple of scalars for ``in`` and ``not_in``; always ``True`` for ``exists``. ``negated``
    means the complement of the leaf, rows without the field included.
    """

    field: str
    op: Operator
    value: Scalar | tuple[Scalar, ...] = True
    negated: bool = False

    @property
    def members(self) -> tuple[Scalar, ...]:
        """``value`` as a tuple, also where it is one scalar."""
        return self.value if isinstance(self.value, tuple) else (self.value,)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class And(Filter):
    """Holds where all parts hold."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Or(Filter):
    """Holds where any part holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Not(Filter):
    """Holds where its part does not."""

    part: Filter


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Constant(Filter):
    """All rows or none; only ``normal_form`` makes one, and only at the top."""

    value: bool


class F:
    """A metadata field, to be compared: ``(F("year") >= 2020) & F("tags").contains("cat")``."""

    __slots__ = ("name",)
    __array_ufunc__: ClassVar[None] = None
    __hash__: ClassVar[None]  # type: ignore[assignment]  # == makes a condition, so a set of fields has no meaning

    def __init__(self, name: str) -> None:
        self.name = field_name(name)

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return condition(self.name, "eq", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return condition(self.name, "ne", value)

    def __lt__(self, value: Scalar | np.generic) -> Condition:
        return condition(self.name, "lt", value)

    def __le__(self, value: Scalar | np.generic) -> Condition:
        return condition(self.name, "lte", value)

    def __gt__(self, value: Scalar | np.generic) -> Condition:
        return condition(self.name, "gt", value)

    def __ge__(self, value: Scalar | np.generic) -> Condition:
        return condition(self.name, "gte", value)

    def is_in(self, values: Iterable[Scalar | np.generic]) -> Condition:
        """The value equals a member; an empty list matches no row."""
        return condition(self.name, "in", values)

    def not_in(self, values: Iterable[Scalar | np.generic]) -> Condition:
        """The value is of the kind of a member and equals none; an empty list matches every row that has the field."""
        return condition(self.name, "not_in", values)

    def contains(self, text: str) -> Condition:
        """The value is a list and ``text`` is a member of it (no substrings)."""
        return condition(self.name, "contains", text)

    def exists(self) -> Condition:
        """The row has the field, whatever its kind."""
        return Condition(self.name, "exists")

    def __contains__(self, text: object) -> bool:
        raise FilterError(f"`in` cannot make a filter: write {self!r}.contains({show(text)})")

    def _incomplete(self, _other: object = None) -> NoReturn:
        raise FilterError(f"{self!r} alone is no filter: write {self!r}.exists() or a comparison; {_USE_PARENTHESES}")

    __and__ = __or__ = __rand__ = __ror__ = __invert__ = _incomplete

    def __bool__(self) -> bool:
        return self._incomplete()

    def __repr__(self) -> str:
        return f"F({self.name!r})"


def conditions(tree: Filter) -> Iterator[Condition]:
    """The leaves, from left to right."""
    return (node for node, _ in walk(tree) if isinstance(node, Condition))


def fields(tree: Filter) -> frozenset[str]:
    """The names of the fields that a filter reads."""
    return frozenset(leaf.field for leaf in conditions(tree))


def operators(tree: Filter) -> frozenset[str]:
    """The operators that a filter needs, as in ``Capabilities.filter_operators``."""
    negated = any(isinstance(node, Not) or (isinstance(node, Condition) and node.negated) for node, _ in walk(tree))
    return frozenset({leaf.op for leaf in conditions(tree)} | ({"not"} if negated else set()))


def has_alternatives(tree: Filter) -> bool:
    """Whether an ``Or`` is in it."""
    return any(isinstance(node, Or) for node, _ in walk(tree))


def map_conditions(tree: Filter, rewrite: Callable[[Condition], Filter]) -> Filter:
    """The filter with each leaf replaced by what ``rewrite`` answers.

    ``rewrite`` sees leaves without negation, which is put back around its answer, so that no rewriting can lose it.
    Take the normal form again where the answers are not leaves.
    """
    match tree:
        case Condition(negated=True):
            answer = rewrite(replace(tree, negated=False))
            return replace(answer, negated=not answer.negated) if isinstance(answer, Condition) else Not(answer)
        case Condition():
            return rewrite(tree)
        case And(parts) | Or(parts):
            return type(tree)(tuple(map_conditions(part, rewrite) for part in parts))
        case Not(part):
            return Not(map_conditions(part, rewrite))
    return tree


def fold(
    tree: Filter,
    *,
    leaf: Callable[[Condition], T],
    every: Callable[[tuple[T, ...]], T],
    some: Callable[[tuple[T, ...]], T],
) -> T:
    """What a filter in normal form means elsewhere, from what its leaves and their conjunctions mean there.

    ``leaf`` sees conditions, possibly negated; ``every`` and ``some`` the answers of all parts of an and, of an or.
    """
    match tree:
        case Condition():
            return leaf(tree)
        case And(parts):
            return every(tuple(fold(part, leaf=leaf, every=every, some=some) for part in parts))
        case Or(parts):
            return some(tuple(fold(part, leaf=leaf, every=every, some=some) for part in parts))
    raise FilterError(f"{show(tree)} is not in normal form")


def condition(field: str, op: Operator, value: object, negated: bool = False) -> Condition:
    """A leaf whose field, operator and value were checked; the values in it are plain Python ones."""
    field = field_name(field)
    if op not in _OPERATORS:
        raise FilterError(f"{show(op)} is no operator{nearest(op, _OPERATORS)}")
    if op == "exists":
        return Condition(field, op, negated=negated)
    if op in LISTS:
        return Condition(field, op, members_of(field, _METHODS[op], value), negated)
    if op == "contains" and not isinstance(value, str):
        raise FilterError(f"F({field!r}).contains takes one text, a member of the list, not {show(value)}")
    if isinstance(value, (F, Filter)):
        where = f"F({field!r})"
        raise FilterError(f"{where} compares with values, not with fields; for a range: ({where} > 1) & ({where} < 3)")
    checked = plain(field, value)
    if op in _ORDERS and isinstance(checked, bool):
        raise FilterError(f"F({field!r}) {SIGNS[op]} {checked}: booleans have no order, use ==")
    return Condition(field, op, checked, negated)


def _joined(join: type[And | Or], left: Filter, right: object) -> Filter:
    if not isinstance(right, Filter):
        raise FilterError(f"{show(right)} is no filter: {_USE_PARENTHESES}")
    return bounded(
        join(tuple(part for side in (left, right) for part in (side.parts if isinstance(side, join) else (side,))))
    )


def bounded(tree: Filter) -> Filter:
    """The tree itself, if it is one, and not too deep or too large."""
    for count, (node, depth) in enumerate(walk(tree), start=1):
        if depth > MAX_DEPTH:
            raise FilterError(f"a filter may be {MAX_DEPTH} levels deep, not more")
        if count > MAX_NODES:
            raise FilterError(
                f"a filter may have {MAX_NODES} parts, not more: .is_in([...]) takes {MAX_MEMBERS:,} values"
            )
        if isinstance(node, (And, Or)) and (type(node.parts) is not tuple or not node.parts):
            raise FilterError(f"{type(node).__name__} takes a tuple of at least one filter, not {show(node.parts)}")
        if type(node) not in _NODES:
            raise FilterError(f"{show(node)} is no filter")
    return tree


_NODES = frozenset({Condition, And, Or, Not, Constant})


def walk(tree: Filter) -> Iterator[tuple[Filter, int]]:
    """Every node with its depth, parents first; without recursion, because a tree may be of any depth."""
    stack = [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        if isinstance(node, (And, Or)):
            stack.extend((part, depth + 1) for part in reversed(node.parts))
        elif isinstance(node, Not):
            stack.append((node.part, depth + 1))


def _identity(tree: Filter) -> object:
    """What makes two filters equal; with the types of the values, because 1, 1.0 and True are equal in Python."""
    match tree:
        case Condition(field, op, value, negated):
            types = tuple(map(type, value)) if isinstance(value, tuple) else type(value)
            return field, op, value, types, negated
        case And(parts) | Or(parts):
            return type(tree), *map(_identity, parts)
        case Not(part):
            return Not, _identity(part)
        case Constant(value):
            return Constant, value
    return id(tree)


def _code(tree: Filter) -> str:
    """The code that makes the filter."""
    match tree:
        case Condition(negated=True):
            return _code(Not(replace(tree, negated=False)))
        case Condition(field, "exists"):
            return f"F({field!r}).exists()"
        case Condition(field, op, value) if op in SIGNS:
            return f"F({field!r}) {SIGNS[op]} {_code_of_value(value)}"
        case Condition(field, op, value):
            shown = _code_of_members(value) if isinstance(value, tuple) else _code_of_value(value)
            return f"F({field!r}).{_METHODS.get(op, op)}({shown})"
        case And(parts) | Or(parts) if len(parts) > 1:
            return (" & " if isinstance(tree, And) else " | ").join(map(_code_of_part, parts))
        case And(parts) | Or(parts):
            return f"{type(tree).__name__}(({', '.join(_code(part) + ',' for part in parts)}))"
        case Not(part):
            return f"~{_code_of_part(part)}"
        case Constant(value):
            return f"Constant({value!r})"
    return object.__repr__(tree)


def _code_of_value(value: object) -> str:
    text = repr(value)
    return text.replace("datetime.", "").replace("timezone.utc", "UTC") if isinstance(value, datetime) else text


def _code_of_members(members: tuple[Scalar, ...]) -> str:
    more = len(members) - _SHOWN_MEMBERS
    shown = ", ".join(map(_code_of_value, members[:_SHOWN_MEMBERS]))
    return f"[{shown}, ... {more:,} more]" if more > 0 else f"[{shown}]"


def _code_of_part(part: Filter) -> str:
    text = _code(part)
    bare = part.negated or part.op not in SIGNS if isinstance(part, Condition) else isinstance(part, (Not, Constant))
    return text if bare else f"({text})"
