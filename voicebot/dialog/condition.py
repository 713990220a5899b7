"""Conditions an admin writes (``delay_days > 3 and not credited``): parsed once, evaluated without ever raising."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum

from voicebot.dialog.events import SlotValue
from voicebot.dialog.hours import Hours
from voicebot.dialog.hours_values import HoursAspect, is_within
from voicebot.dialog.values import weekday_of

#: Looks a name up: a slot, or opening hours; None when nothing is filled in.
Lookup = Callable[[str], SlotValue | Hours | None]


class Aspect(StrEnum):
    """What can be asked of a value after a dot."""

    DAYS_AHEAD = "days_ahead"
    WEEKDAY = "weekday"
    HOUR = "hour"
    LENGTH = "length"


class Comparison(StrEnum):
    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True)
class Literal:
    value: SlotValue


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    aspect: Aspect | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    left: Literal | Name
    comparison: Comparison
    right: Literal | Name


@dataclass(frozen=True, slots=True)
class OneOf:
    value: Literal | Name
    options: tuple[Literal | Name, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """Whether a day or a moment lies in the opening hours of that name (``day in branch``)."""

    value: Literal | Name
    hours: str


@dataclass(frozen=True, slots=True)
class Holds:
    """A bare name: true when it is filled and is not "no"."""

    name: Name


@dataclass(frozen=True, slots=True)
class Not:
    condition: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    conditions: tuple[Condition, ...]


Condition = Compare | OneOf | Within | Holds | Not | AllOf | AnyOf


class ConditionError(ValueError):
    """A condition cannot be read; the message says why."""


def parse_condition(text: str) -> Condition:
    """Parse `text`; `ConditionError` when it is no condition.

    Names are slots (or ``value``, ``today``, ``now``); constants are numbers, quoted words, ``yes`` and ``no``.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConditionError(f"'{text}' is not a condition.") from error
    return _condition(tree.body)


def names_in(condition: Condition) -> tuple[str, ...]:
    """Every name the condition looks at, in order."""
    match condition:
        case Compare(left, _, right):
            return _operand_names(left, right)
        case OneOf(value, options):
            return _operand_names(value, *options)
        case Within(value, hours):
            return (*_operand_names(value), hours)
        case Holds(name):
            return (name.name,)
        case Not(inner):
            return names_in(inner)
        case AllOf(conditions) | AnyOf(conditions):
            return tuple(name for inner in conditions for name in names_in(inner))


def _operand_names(*operands: Literal | Name) -> tuple[str, ...]:
    return tuple(operand.name for operand in operands if isinstance(operand, Name))


def _condition(node: ast.expr) -> Condition:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return AllOf(tuple(_condition(value) for value in values))
        case ast.BoolOp(op=ast.Or(), values=values):
            return AnyOf(tuple(_condition(value) for value in values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(_condition(operand))
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn() as op], comparators=[ast.List(elts=items)]):
            one_of = OneOf(_operand(left), tuple(_operand(item) for item in items))
            return Not(one_of) if isinstance(op, ast.NotIn) else one_of
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn() as op], comparators=[ast.Name(id=hours)]):
            within = Within(_operand(left), hours)
            return Not(within) if isinstance(op, ast.NotIn) else within
        case ast.Compare(left=left, ops=ops, comparators=rights):
            operands = [_operand(left), *(_operand(right) for right in rights)]
            steps = tuple(
                Compare(first, _comparison(op), second)
                for first, op, second in zip(operands, ops, operands[1:], strict=False)
            )
            return steps[0] if len(steps) == 1 else AllOf(steps)
        case ast.Name() | ast.Attribute():
            name = _operand(node)
            if isinstance(name, Name):
                return Holds(name)
    raise ConditionError(f"'{ast.unparse(node)}' is not a condition.")


def _comparison(op: ast.cmpop) -> Comparison:
    found = _COMPARISONS.get(type(op))
    if found is None:
        raise ConditionError("Compare with ==, !=, <, <=, >, >= or 'in [..]'.")
    return found


_COMPARISONS: dict[type[ast.cmpop], Comparison] = {
    ast.Eq: Comparison.EQUAL,
    ast.NotEq: Comparison.UNEQUAL,
    ast.Lt: Comparison.LESS,
    ast.LtE: Comparison.AT_MOST,
    ast.Gt: Comparison.MORE,
    ast.GtE: Comparison.AT_LEAST,
}


def _operand(node: ast.expr) -> Literal | Name:
    match node:
        case ast.Constant(value=bool() | int() | str() as value):
            return Literal(value)
        case ast.Constant(value=float() as number):
            return Literal(Decimal(repr(number)))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return Literal(-number)
        case ast.Name(id="yes"):
            return Literal(value=True)
        case ast.Name(id="no"):
            return Literal(value=False)
        case ast.Name(id=name):
            return Name(name)
        case ast.Attribute(value=owner, attr=attr) if attr in set(Aspect) and (name := _dotted(owner)):
            return Name(name, Aspect(attr))
        case ast.Attribute() if name := _dotted(node):
            return Name(name)
        case ast.Attribute(attr=attr):
            known = ", ".join(f".{aspect}" for aspect in (*Aspect, *HoursAspect))
            raise ConditionError(f"'.{attr}' is unknown; there are {known}.")
        case _:
            raise ConditionError(f"'{ast.unparse(node)}' is neither a slot nor a constant.")


def _dotted(node: ast.expr) -> str:
    """A name, or what hours hold: ``branch.opens_next``."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if attr in set(HoursAspect):
            return f"{name}.{attr}"
        case _:
            return ""


def holds(condition: Condition, lookup: Lookup, today: date) -> bool:
    """Evaluate. A comparison with something that is not filled, or of another type, is false (``!=`` is true)."""
    match condition:
        case Compare(left, comparison, right):
            return _compare(_value(left, lookup, today), comparison, _value(right, lookup, today))
        case OneOf(value, options):
            sought = _value(value, lookup, today)
            return any(_compare(sought, Comparison.EQUAL, _value(option, lookup, today)) for option in options)
        case Within(value, hours_name):
            hours = lookup(hours_name)
            return isinstance(hours, Hours) and is_within(_value(value, lookup, today), hours)
        case Holds(name):
            found = _value(name, lookup, today)
            return found is not None and found is not False
        case Not(inner):
            return not holds(inner, lookup, today)
        case AllOf(conditions):
            return all(holds(inner, lookup, today) for inner in conditions)
        case AnyOf(conditions):
            return any(holds(inner, lookup, today) for inner in conditions)


def _value(operand: Literal | Name, lookup: Lookup, today: date) -> SlotValue | None:
    if isinstance(operand, Literal):
        return operand.value
    value = lookup(operand.name)
    if value is None or isinstance(value, Hours):
        return None
    if operand.aspect is None:
        return value
    match operand.aspect:
        case Aspect.LENGTH:
            return len(str(value))
        case Aspect.HOUR:
            return value.hour if isinstance(value, time | datetime) else None
        case Aspect.WEEKDAY:
            return weekday_of(value) if isinstance(value, date) else None
        case Aspect.DAYS_AHEAD:
            if isinstance(value, datetime):
                value = value.date()
            return (value - today).days if isinstance(value, date) else None


def _compare(left: SlotValue | None, comparison: Comparison, right: SlotValue | None) -> bool:
    left, right = _coerced(left, right), _coerced(right, left)
    ordered = comparison not in {Comparison.EQUAL, Comparison.UNEQUAL}
    if ordered and (left is None or right is None):
        return False
    try:
        match comparison:
            case Comparison.EQUAL:
                return left == right
            case Comparison.UNEQUAL:
                return left != right
            case Comparison.LESS:
                return bool(left < right)  # type: ignore[operator]  # unlike types raise TypeError, caught below
            case Comparison.AT_MOST:
                return bool(left <= right)  # type: ignore[operator]  # as above
            case Comparison.MORE:
                return bool(left > right)  # type: ignore[operator]  # as above
            case Comparison.AT_LEAST:
                return bool(left >= right)  # type: ignore[operator]  # as above
    except (TypeError, ArithmeticError):  # unlike types, or a Decimal that is not a number
        return comparison is Comparison.UNEQUAL


def _coerced(value: SlotValue | None, other: SlotValue | None) -> SlotValue | None:
    """Read a constant word as the day or time of day that it is compared with (``due == "2026-03-15"``)."""
    if isinstance(value, str) and not isinstance(other, str):
        try:
            if isinstance(other, date) and not isinstance(other, datetime):
                return date.fromisoformat(value)
            if isinstance(other, time):
                return time.fromisoformat(value)
        except ValueError:
            return value
    return value
