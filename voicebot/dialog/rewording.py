"""Files of prompts in another language or another tone: the same flows, other words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

from voicebot.dialog.declarations import read_prompt
from voicebot.dialog.document import Source, suggestion
from voicebot.dialog.flow import Bot
from voicebot.dialog.prompt import Prompt

_Part = TypeVar("_Part")


def reword(bot: Bot, source: Source) -> Bot:
    """Return the bot with the prompts of a file, ``prompt's name: words``, in place of its own.

    A name that no prompt has, or a value that the prompt of that name does not say, becomes a problem of the file.
    """
    known = {prompt.name: prompt for prompt in bot.prompts()}
    new: dict[str, Prompt] = {}
    for name, entry in source.fields():
        if name not in known:
            entry.problem(f"There is no prompt '{name}'.", suggestion(name, known))
            continue
        prompt = read_prompt(entry, name, interruptible=known[name].interruptible)
        if prompt is None:
            continue
        for unknown in sorted(prompt.names - known[name].names):
            entry.problem(f"'{unknown}' is not said by '{name}'.", suggestion(unknown, known[name].names))
        new[name] = prompt
    return _with_prompts(bot, new)


def _with_prompts(part: _Part, new: Mapping[str, Prompt]) -> _Part:
    """Return a copy of a bot or a part of it, with prompts exchanged by name wherever they stand in it."""
    exchanged = _exchanged(part, new)
    assert isinstance(exchanged, type(part))  # the copy is of the same shape
    return exchanged


def _exchanged(part: object, new: Mapping[str, Prompt]) -> object:
    match part:
        case Prompt():
            return new.get(part.name, part)
        case tuple():
            return tuple(_exchanged(item, new) for item in part)
        case dict():
            return {key: _exchanged(item, new) for key, item in part.items()}
        case _ if is_dataclass(part) and not isinstance(part, type):
            return replace(part, **{field.name: _exchanged(getattr(part, field.name), new) for field in fields(part)})
        case _:
            return part
