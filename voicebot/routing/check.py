"""`flows check` for queues.yaml: its mistakes, and what callers are told in no words of the flows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voicebot.dialog.finding import Finding, error, refused, warning
from voicebot.dialog.flow import Bot, Place
from voicebot.dialog.loader import QUEUES
from voicebot.errors import ConfigurationError
from voicebot.routing.loader import load_routing
from voicebot.routing.wording import TO_CALLERS, Wording, names_in


def queues_findings(folder: Path, bot: Bot) -> Iterator[Finding]:
    """Find what is wrong with the queues in `folder`, those of `bot`; nothing where it has none."""
    try:
        routing = load_routing(folder, schedules=tuple(bot.hours), flows=tuple(bot.flows))
    except ConfigurationError as wrong:
        yield from refused(wrong)
        return
    if routing is not None:
        yield from _wording_findings(routing.wording)


def _wording_findings(wording: Wording) -> Iterator[Finding]:
    """Every step of a hand-over has its prompt in the flows, which says what the built-in one says: who, and when."""
    place = Place(QUEUES, 1)
    for name, usual in TO_CALLERS.items():
        text = wording.written.get(name)
        if text is None:
            what = f"Nothing in the flows is said to a caller at '{name}'."
            yield error("unsaid", place, what, f"Add under 'says:', in your words, '{name}: \"{usual}\"'.")
            continue
        for left_out in sorted(names_in(usual) - names_in(text)):
            what = f"A caller is not told the '{left_out}' at '{name}'."
            yield warning("unsaid", place, what, f"Put {{{left_out}}} into the text.")
