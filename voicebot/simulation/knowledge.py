"""What a caller knows before calling: the language of a bot, read from its flows, and the demo company's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from voicebot.backends.demo.data import BILLS, CUSTOMERS, ORDERS, PLACES
from voicebot.dialog.flow import Bot, Flow
from voicebot.dialog.loader import load_bot
from voicebot.dialog.prompt import Filled, Fixed, Piece, Prompt
from voicebot.dialog.steps import CallStep, prompts_of
from voicebot.dialog.values import Form, ValueKind
from voicebot.simulation.phrasebook import Phrasebook, Slot

_SLOTS = {
    ValueKind.MONEY: Slot.MONEY,
    ValueKind.NUMBER: Slot.NUMBER,
    ValueKind.DIGITS: Slot.DIGITS,
    ValueKind.ALPHANUMERIC: Slot.DIGITS,
    ValueKind.DATE: Slot.DAY,
    ValueKind.TIME: Slot.TIME,
    ValueKind.MOMENT: Slot.MOMENT,
}


#: Days before and after a call that a company speaks of: what was promised, and as far as its calendar goes.
_PAST_DAYS, _COMING_DAYS = 60, 150


def knowledge_of(flows: Path, today: date) -> Phrasebook:
    """Return the language of the bot in `flows`, with the demo company's names; ConfigurationError as `load_bot`."""
    days = tuple(today + timedelta(days=away) for away in range(-_PAST_DAYS, _COMING_DAYS))
    return replace(phrasebook_of(load_bot(flows), demo_names()), days=days)


def today() -> date:
    """Return the day where the caller is, as the demo's server takes it too."""
    return datetime.now().astimezone().date()


def demo_names() -> tuple[str, ...]:
    """Return the words that only the demo company's data have."""
    return (
        *(customer.name for customer in CUSTOMERS),
        *(order.item for order in ORDERS),
        *(order.reason for order in ORDERS if order.reason),
        *dict.fromkeys(bill.payee for bill in BILLS),
        *(city for _, city in PLACES),
    )


def phrasebook_of(bot: Bot, names: tuple[str, ...] = ()) -> Phrasebook:
    """Return all that `bot` may say. Values of text, names and choices are `names`, flow titles and choices' names."""
    sentences: dict[str, None] = {}
    kinds: dict[str, ValueKind] = {}
    for flow in bot.flows.values():
        own = _kinds_in(bot, flow)
        kinds |= own
        for step in flow.steps.values():
            for prompt in prompts_of(step):
                sentences |= dict.fromkeys(_written(prompt, own))
    # What is left is said by the bot as a whole and names nothing of a flow's own.
    for prompt in bot.prompts():
        sentences |= dict.fromkeys(_written(prompt, kinds))
    titles = (flow.title for flow in bot.flows.values())
    slots = (slot for flow in bot.flows.values() for slot in flow.slots.values())
    choices = (choice.phrases[0] for slot in slots for choice in slot.type.choices)
    known = dict.fromkeys((*names, *titles, *choices, *bot.names))
    return Phrasebook(tuple(sentences), tuple(name for name in known if name))


def _kinds_in(bot: Bot, flow: Flow) -> dict[str, ValueKind]:
    kinds = {name: slot.type.kind for name, slot in (*bot.remembered.items(), *flow.slots.items())}
    for step in flow.steps.values():
        if isinstance(step, CallStep):
            results = bot.operations[step.operation].results
            kinds |= {slot: results[result] for result, slot in step.save.items() if result in results}
    return kinds


def _written(prompt: Prompt, kinds: Mapping[str, ValueKind]) -> Iterator[str]:
    for pieces in prompt.variants:
        plural = " ".join(_piece(piece, kinds, ending="s") for piece in pieces)
        singular = " ".join(_piece(piece, kinds, ending="") for piece in pieces)
        yield from {plural: None, singular: None}


def _piece(piece: Piece, kinds: Mapping[str, ValueKind], *, ending: str) -> str:
    match piece:
        case Fixed(text):
            return text
        case Filled(name, form, noun, closing):
            if form is Form.COUNT:
                return f"{{{Slot.NUMBER}}} {noun}{ending}{closing}" if ending else f"one {noun}{closing}"
            spoken_as = {Form.DIGITS: Slot.DIGITS, Form.RELATIVE: Slot.WHEN}
            slot = spoken_as.get(form) or _SLOTS.get(kinds.get(name, ValueKind.TEXT), Slot.NAME)
            return f"{{{slot}}}{closing}"
