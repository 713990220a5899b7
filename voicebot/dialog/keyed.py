"""What a key entry means at the question that was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicebot.dialog.reading import Answered, Asked, ChoseFlow, Meaning, Refused, SaidNo, SaidYes, Scene, refusal_of
from voicebot.dialog.steps import AskStep, ConfirmStep, RequestStep


def read_keys(scene: Scene, keys: str) -> Meaning | None:
    """What a key entry means: a value, a menu's choice, 0 for a person, * to hear it again."""
    meaning = _keyed(scene, keys)
    if isinstance(meaning, Refused | None):
        if keys == "0":
            return Asked(scene.bot.commands.person, 1.0)
        if keys == "*":
            return Asked(scene.bot.commands.repeat, 1.0)
    return meaning


def _keyed(scene: Scene, keys: str) -> Meaning | None:
    if scene.clarifying:
        chosen = next(_keyed_options(keys, scene.clarifying), None)
        return Asked(chosen, 1.0) if chosen else SaidNo() if keys == "2" else None
    match scene.step:
        case RequestStep(menu=menu):
            return ChoseFlow(menu[keys]) if keys in menu else None
        case ConfirmStep():
            return SaidYes() if keys == "1" else SaidNo() if keys == "2" else None
        case AskStep(slot=slot):
            verdict = scene.verdict_on_keys(slot, keys)
            return Answered(verdict.candidate.value) if verdict.candidate else refusal_of(verdict, slot)


def _keyed_options(keys: str, options: Sequence[str]) -> Iterator[str]:
    if len(keys) == 1 and keys in "123456789" and int(keys) <= len(options):
        yield options[int(keys) - 1]
