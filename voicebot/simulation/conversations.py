"""The three calls of the demo: what the caller says and does, and what they must have heard at the end.

What they must have heard is read from the company's own database after the call, not written here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path

from voicebot.backends.demo.data import HOLIDAYS
from voicebot.dialog.events import SlotValue
from voicebot.dialog.values import Form, ValueKind, spoken
from voicebot.simulation.knowledge import today
from voicebot.simulation.phrasebook import WEEKDAYS
from voicebot.simulation.script import Press, Say, Script, Step

#: Of the demo's customers, the one whose number and balance are hardest to mistake for others on a telephone.
_ACCOUNT, _PIN, _ORDER = "448205", "6018", "48213"

#: Given the company's database and the caller's number, the words in a row that only a right answer holds.
Facts = Callable[[Path, str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class DemoCall:
    """A call that counts as done when the record says that `goal` was reached and the caller heard every fact."""

    title: str
    goal: str
    script: Script
    facts: Facts


def _the_balance(company: Path, caller: str) -> tuple[str, ...]:
    del caller
    (cents,) = _row(company, "SELECT balance_cents FROM customer WHERE account_number = ?", _ACCOUNT)
    return (f"your balance is {_said(Decimal(str(cents)) / 100, ValueKind.MONEY)}",)


def _the_delay(company: Path, caller: str) -> tuple[str, ...]:
    del caller
    promised, expected = _row(company, "SELECT promised, expected FROM shop_order WHERE number = ?", _ORDER)
    due, coming = date.fromisoformat(str(promised)), date.fromisoformat(str(expected))
    return (f"{(coming - due).days} days late", _said(coming, ValueKind.DATE))


def _the_booking(company: Path, caller: str, weekday: str) -> tuple[str, ...]:
    row = _row(company, "SELECT day, time FROM appointment WHERE phone = ? ORDER BY reference DESC", caller)
    day, hour = date.fromisoformat(str(row[0])), time.fromisoformat(str(row[1]))
    booked = f"booked for {_said(day, ValueKind.DATE)} at {_said(hour, ValueKind.TIME)}"
    # The caller named another day first: without the correction it is not the appointment they wanted.
    return (booked, weekday, "at 4 PM")


def _row(company: Path, query: str, argument: str) -> tuple[object, ...]:
    """Return the first row, or one of nothing, which no caller can have heard."""
    with closing(sqlite3.connect(f"file:{company}?mode=ro", uri=True)) as connection:
        found: tuple[object, ...] | None = connection.execute(query, (argument,)).fetchone()
    if found is None:
        raise LookupError(query)
    return found


def _said(value: SlotValue, kind: ValueKind) -> str:
    """Return a value as the bot words it."""
    return spoken(value, kind, form=Form.PLAIN, noun="", today=today())


def _script(name: str, steps: tuple[Step, ...], asides: tuple[Step, ...]) -> Script:
    """Return a patient caller's script: the bot may talk for a while, and may take its time to hang up."""
    patient = tuple(replace(step, timeout_s=40.0) for step in steps)
    return Script(name, patient, asides, puzzled=(Say("Sorry, could you say that again?"),), goodbye_timeout_s=45.0)


_DONE = Step(("anything else",), (Say("No, that's all."),))

BALANCE = DemoCall(
    title="Account balance, the PIN keyed in",
    goal="balance",
    script=_script(
        "balance",
        steps=(
            Step(("help you today",), (Say("Can you check my account balance?"),)),
            Step(("account number",), (Say("four four eight, two zero five"),)),
            Step(("pin",), (Press(_PIN, secret=True),)),
            _DONE,
        ),
        asides=(
            # Who was not understood keys it in.
            Step(
                ("don't match", "account number once more", "need your account number", "account number has six"),
                (Press(_ACCOUNT),),
            ),
            Step(("digit pin", "your pin"), (Press(_PIN, secret=True),)),
        ),
    ),
    facts=_the_balance,
)

ORDER = DemoCall(
    title="An order that is late",
    goal="order_status",
    script=_script(
        "order",
        steps=(
            Step(("help you today",), (Say("Where is my order?"),)),
            Step(("order number",), (Say("four eight two one three"),)),
            _DONE,
        ),
        asides=(
            Step(("can't find an order", "once more", "need your order number", "has five digits"), (Press(_ORDER),)),
            Step(("by express",), (Say("No, thank you."),)),
        ),
    ),
    facts=_the_delay,
)


#: Weekdays in the order in which a caller would have them, Monday being 0.
_LIKED_WEEKDAYS = (2, 4, 1, 0, 3)


def appointment(day_of_call: date) -> DemoCall:
    """Return the call of somebody who says one day and then another, both within a week and open for appointments.

    In the demo's calendar four o'clock is free on each of them.
    """
    closed = {(month, day) for month, day, _ in HOLIDAYS}
    ahead = (day_of_call + timedelta(days=days) for days in range(1, 7))
    offered = [day for day in ahead if day.weekday() in _LIKED_WEEKDAYS and (day.month, day.day) not in closed]
    first, then, *_ = (
        WEEKDAYS[day.weekday()] for day in sorted(offered, key=lambda d: _LIKED_WEEKDAYS.index(d.weekday()))
    )
    return DemoCall(
        title="An appointment, corrected on the way",
        goal="book_appointment",
        script=_script(
            "appointment",
            steps=(
                Step(("help you today",), (Say("I'd like to book an appointment."),)),
                Step(("which day",), (Say(f"On {first}."),)),
                Step(("what time",), (Say("At four o'clock."),)),
                Step(("shall i book",), (Say(f"Actually, on {then}."),)),
                Step((f"{then} … at 4 PM shall i book", f"shall i book {then} … at 4 PM"), (Say("Yes, please."),)),
                _DONE,
            ),
            asides=(
                Step(("sorry which day", "need a day"), (Say(f"On {then}."),)),
                Step(("sorry what time", "need a time"), (Say("Four o'clock, please."),)),
                Step((f"{then} … shall i book", f"yes or a no … {then}"), (Say("No, at four o'clock."),)),
                Step(("shall i book", "yes or a no"), (Say(f"No, on {then}."),)),
            ),
        ),
        facts=lambda company, caller: _the_booking(company, caller, then),
    )


def demo_calls(day_of_call: date) -> tuple[DemoCall, ...]:
    """Return the calls of the demo."""
    return (BALANCE, ORDER, appointment(day_of_call))
