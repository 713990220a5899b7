"""From what a database or a JSON answer holds to a typed result, or a plain refusal."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation

from voicebot.dialog.events import SlotValue
from voicebot.dialog.values import ValueKind

_YES = frozenset({"true", "yes", "y", "1", "t"})
_NO = frozenset({"false", "no", "n", "0", "f"})
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")


class Unconvertible(ValueError):
    """A value is not of its declared kind. The message names the kind, never the value."""


def typed(value: object, kind: ValueKind) -> SlotValue | None:
    """Convert one field; None stays None. `Unconvertible` when it cannot be of this kind.

    Money never goes through a float: a JSON reader must hand over `Decimal` or text.
    """
    if value is None:
        return None
    try:
        return _CONVERTERS[kind](value)
    except (ValueError, TypeError, InvalidOperation, OverflowError) as error:
        raise Unconvertible(f"not {kind}") from error


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise TypeError


def _yes_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError


def _number(value: object) -> int:
    if isinstance(value, bool):
        raise TypeError
    number = Decimal(str(value))
    if number != number.to_integral_value():
        raise ValueError
    return int(number)


def _money(value: object) -> Decimal:
    if isinstance(value, bool | float):
        raise TypeError
    amount = Decimal(str(value))
    if not amount.is_finite():
        raise ValueError
    return amount


def _date(value: object) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    text = _text(value)
    return datetime.fromisoformat(text).date() if "T" in text else date.fromisoformat(text)


def _time(value: object) -> time:
    if isinstance(value, datetime):
        return value.time()
    if isinstance(value, time):
        return value
    text = _text(value)
    if not _CLOCK.fullmatch(text):
        raise ValueError
    return time.fromisoformat(text.zfill(5) if len(text) < 5 else text)


def _moment(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))


_CONVERTERS: dict[ValueKind, Callable[[object], SlotValue]] = {
    ValueKind.TEXT: _text,
    ValueKind.NAME: _text,
    ValueKind.CHOICE: _text,
    ValueKind.DIGITS: _text,
    ValueKind.ALPHANUMERIC: _text,
    ValueKind.PHONE: _text,
    ValueKind.POSTCODE: _text,
    ValueKind.YES_NO: _yes_no,
    ValueKind.NUMBER: _number,
    ValueKind.MONEY: _money,
    ValueKind.DATE: _date,
    ValueKind.BIRTH_DATE: _date,
    ValueKind.TIME: _time,
    ValueKind.MOMENT: _moment,
}


def written(value: SlotValue) -> str:
    """A value as systems read it: days and times in ISO 8601, money as a plain number."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)
