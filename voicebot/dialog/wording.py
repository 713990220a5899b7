"""Checks on what callers hear and say: keys nobody is told of, questions without a second try, colliding examples."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from voicebot.dialog.finding import Finding, at, declared_at, error, warning
from voicebot.dialog.flow import Bot, Flow, spoken_words
from voicebot.dialog.steps import AskStep, ConfirmStep, QuestionStep, RequestStep, prompts_of

#: More words than this in one breath are forgotten by the end of it.
WORDS_MOST = 50
_EXAMPLES_LEAST = 5
_PRESSED = re.compile(r"\b(?:press|or|and)?\s*([0-9])\b")


def wording_findings(bot: Bot) -> Iterator[Finding]:
    for flow in bot.flows.values():
        for step in flow.steps.values():
            for prompt in prompts_of(step):
                words = max(sum(len(_words(piece)) for piece in pieces) for pieces in prompt.variants)
                if words > WORDS_MOST:
                    what = f"A caller hears {words} words at once here."
                    fix = f"Say it in at most {WORDS_MOST}, or in two steps."
                    yield warning("too_long", at(flow, step), what, fix)
            if isinstance(step, QuestionStep):
                yield from _question(bot, flow, step)
    yield from _examples(bot)
    yield from _types(bot)


def _words(piece: object) -> list[str]:
    return str(getattr(piece, "text", "value")).split()


def _question(bot: Bot, flow: Flow, step: QuestionStep) -> Iterator[Finding]:
    question = step.question
    if not question.again:
        what = "The same words come again when the caller was not understood."
        yield warning("no_reprompt", at(flow, step), what, "Add 'again:' with other words.")
    slot = (flow.slots.get(step.slot) or bot.remembered.get(step.slot)) if isinstance(step, AskStep) else None
    told = question.keys or (slot.type.keys if slot else None)
    if told is None and not isinstance(step, ConfirmStep):
        what = "Nobody tells the caller how to answer with keys."
        yield warning("no_keys", at(flow, step), what, "Add 'keys: You can key in …'.")
    if isinstance(step, RequestStep) and question.keys:
        named = set(_PRESSED.findall(question.keys.text.lower()))
        for key in sorted(named - step.menu.keys()):
            what = f"Callers are told of key {key}, which leads nowhere."
            yield error("menu", at(flow, step), what, f"Add '{key}: <flow>' to the menu.")
        for key in sorted(step.menu.keys() - named - {"0"}):
            what = f"No caller is told of key {key}."
            yield warning("menu", at(flow, step), what, "Name it in 'keys:'.")
    if isinstance(step, ConfirmStep):
        missing = [name for name in step.slots if name not in question.prompt.names]
        if missing:
            what = f"The caller confirms '{missing[0]}' without hearing it."
            yield error("unheard", at(flow, step), what, f"Put {{{missing[0]}}} into the prompt.")


def _examples(bot: Bot) -> Iterator[Finding]:
    owners: dict[str, list[str]] = defaultdict(list)
    for intent in bot.intents_by_name.values():
        for example in intent.examples:
            owners[spoken_words(example)].append(intent.name)
        if len(intent.examples) < _EXAMPLES_LEAST and intent.flow:
            what = f"'{intent.name}' has only {len(intent.examples)} examples."
            place = f"intent {intent.name}"
            yield warning("few_examples", declared_at(bot, place), what, "Give 5 to 10, as callers say it.")
    for example, names in owners.items():
        if len(set(names)) > 1:
            what = f"'{example}' is an example of {' and of '.join(sorted(set(names)))}."
            place = f"intent {names[-1]}"
            yield error("collision", declared_at(bot, place), what, "Keep it where it belongs.")


def _types(bot: Bot) -> Iterator[Finding]:
    asked = {
        slot.type.name: slot.type
        for flow in bot.flows.values()
        for step in flow.steps.values()
        if isinstance(step, AskStep) and (slot := flow.slots.get(step.slot) or bot.remembered.get(step.slot))
    }
    for slot_type in asked.values():
        if (slot_type.lengths or slot_type.pattern) and slot_type.invalid is None:
            what = f"A caller with a wrong '{slot_type.name}' is not told what is wrong."
            place = f"type {slot_type.name}"
            yield warning("no_reason", declared_at(bot, place), what, "Add 'invalid: It has six digits.'.")
