"""What a written channel may offer to tap instead of typing, at the question where a conversation stands."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.dialog.flow import Bot
from voicebot.dialog.state import Phase, State
from voicebot.dialog.steps import AskStep, ConfirmStep, RequestStep
from voicebot.dialog.turn import Turn
from voicebot.dialog.values import Form, ValueKind, written


@dataclass(frozen=True, slots=True)
class Button:
    """`label` is read, `keys` is what tapping it means: an entry on the keypad."""

    label: str
    keys: str


_YES_NO = (Button("Yes", "1"), Button("No", "2"))


def buttons(bot: Bot, state: State) -> tuple[Button, ...]:
    """Return what can be tapped now; nothing where an answer must be typed. Pure, and never raises."""
    if state.phase is not Phase.ASKING or not state.stack:
        return ()
    if state.clarifying:
        return _clarifying(bot, state)
    turn = Turn(bot, state, state.at)
    match turn.step:
        case ConfirmStep():
            return _YES_NO
        case RequestStep(menu=menu):
            return tuple(Button(_sentence(bot.flows[flow].title or flow), key) for key, flow in menu.items())
        case AskStep(slot=name, options=options):
            slot = turn.slot_of(name)
            offered = [value for option in options if (value := turn.value(option)) is not None]
            if offered and slot:
                words = [
                    written(value, slot.type.kind, form=Form.PLAIN, noun="", today=turn.today) for value in offered
                ]
                return tuple(Button(word, str(number)) for number, word in enumerate(words, start=1))
            if slot and slot.type.kind is ValueKind.YES_NO:
                return _YES_NO
            choices = slot.type.choices if slot else ()
            return tuple(
                Button(_sentence(choice.phrases[0]), str(number)) for number, choice in enumerate(choices, start=1)
            )
        case _:
            return ()


def _clarifying(bot: Bot, state: State) -> tuple[Button, ...]:
    titles = [
        bot.flows[flow].title if (flow := bot.intents_by_name[intent].flow) else intent for intent in state.clarifying
    ]
    offered = tuple(Button(_sentence(title), str(number)) for number, title in enumerate(titles, start=1))
    return (*offered, Button("Neither", "2")) if len(offered) == 1 else offered


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
