"""The three calls of the demo: what the caller says and does, and what they must have heard at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from voicebot.simulation.script import Press, Say, Script, Step


@dataclass(frozen=True, slots=True)
class DemoCall:
    """A call that counts as done when the record says that `goal` was reached and the caller heard each of `facts`.

    A fact is words in a row that only a right answer holds.
    """

    title: str
    goal: str
    script: Script
    facts: tuple[str, ...]


def _script(name: str, steps: tuple[Step, ...], asides: tuple[Step, ...]) -> Script:
    """Return a patient caller's script: the bot may talk for a while, and may take its time to hang up."""
    patient = tuple(replace(step, timeout_s=40.0) for step in steps)
    return Script(name, patient, asides, goodbye_timeout_s=45.0)


#: What a caller does who was not understood: they key it in.
_KEYED_ACCOUNT = Step(("don't match", "account number once more", "need your account number"), (Press("402938"),))

BALANCE = DemoCall(
    title="Account balance, the PIN keyed in",
    goal="balance",
    script=_script(
        "balance",
        steps=(
            Step(("help you today",), (Say("Hello. I'd like to check my account balance, please."),)),
            Step(("account number",), (Say("four zero two, nine three eight"),)),
            Step(("pin",), (Press("1593", secret=True),)),
            Step(("anything else",), (Say("No, that's all. Goodbye."),)),
        ),
        asides=(_KEYED_ACCOUNT, Step(("digit pin", "your pin"), (Press("1593", secret=True),))),
    ),
    facts=("three hundred twelve dollars and seven cents",),
)

ORDER = DemoCall(
    title="An order that is late",
    goal="order_status",
    script=_script(
        "order",
        steps=(
            Step(("help you today",), (Say("Where is my order?"),)),
            Step(("order number",), (Say("four eight two one three"),)),
            Step(("anything else",), (Say("No, that's all. Goodbye."),)),
        ),
        asides=(
            Step(("can't find an order", "once more", "need your order number"), (Press("48213"),)),
            Step(("by express",), (Say("No, thank you."),)),
        ),
    ),
    facts=("five days late",),
)

APPOINTMENT = DemoCall(
    title="An appointment, corrected on the way",
    goal="book_appointment",
    script=_script(
        "appointment",
        steps=(
            Step(("help you today",), (Say("I'd like to book an appointment."),)),
            Step(("which day",), (Say("Next Tuesday, please."),)),
            Step(("what time",), (Say("At three o'clock."),)),
            Step(("shall i book",), (Say("No, four o'clock, please."),)),
            Step(("at four p m shall i book",), (Say("Yes, please."),)),
            Step(("anything else",), (Say("No, that's all. Goodbye."),)),
        ),
        asides=(
            Step(("sorry which day", "need a day"), (Say("Next Tuesday."),)),
            Step(("sorry what time", "need a time", "which would you like"), (Say("At four o'clock."),)),
            Step(("another day another time or neither",), (Say("Another time."),)),
            Step(("yes or no",), (Say("Yes."),)),
        ),
    ),
    facts=("booked for", "at four"),
)

DEMO_CALLS = (BALANCE, ORDER, APPOINTMENT)
