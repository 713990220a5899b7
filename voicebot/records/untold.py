"""Where a caller may have said what was asked for although no turn holds it: over a prompt, between turns, unheard.

Nothing was transcribed there, so nothing can be found in words. While a question stands whose answer must not be kept,
the caller's lane is silence but for the turns, which are judged by what was heard in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voicebot.records.record import Speaker
from voicebot.redaction import asked_by, asked_in

#: A turn is taken to begin a little before it was noticed, and to end a little later.
_MARGIN_MS = 300
#: What the bot says besides, which leaves the question standing: that it looks something up, or listens on.
_ASIDES = frozenset({"one_moment", "go_on", "voice_trouble", "filler"})
#: What stands for something that was taken out names it, and asks for nothing.
_MARK = re.compile(r"\[[a-z ]+\]")
_FOR_EVER_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class HeldTurn:
    """What is known of a turn when its recording is finished."""

    speaker: Speaker
    at_ms: int
    heard_ms: int
    text: str
    prompt: str | None


def untold(turns: Iterable[HeldTurn]) -> list[tuple[int, int]]:
    """Return the stretches, from and until in milliseconds, in which no turn holds what the caller says in answer.

    A question stands from its first word until the bot has said the next thing, which a late answer may run into.
    """
    in_order = sorted(turns, key=lambda turn: turn.at_ms)
    held = [
        (turn.at_ms - _MARGIN_MS, turn.at_ms + turn.heard_ms + _MARGIN_MS)
        for turn in in_order
        if turn.speaker is Speaker.CALLER
    ]
    return [part for window in _questions(in_order) for part in _without(window, held)]


def _questions(turns: Sequence[HeldTurn]) -> Iterable[tuple[int, int]]:
    asked_at_ms: int | None = None
    for turn in turns:
        if turn.speaker is Speaker.CALLER:
            continue
        if (turn.prompt and asked_by(turn.prompt)) or asked_in(_MARK.sub("", turn.text)):
            asked_at_ms = turn.at_ms if asked_at_ms is None else asked_at_ms
        elif asked_at_ms is not None and (turn.prompt or "").rpartition(".")[2] not in _ASIDES:
            yield asked_at_ms, turn.at_ms + turn.heard_ms
            asked_at_ms = None
    if asked_at_ms is not None:
        yield asked_at_ms, _FOR_EVER_MS


def _without(window: tuple[int, int], held: Sequence[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """Return what of a window lies outside of turns, which are in order."""
    start, end = window
    for held_from, held_until in held:
        if held_until <= start or held_from >= end:
            continue
        if held_from > start:
            yield start, held_from
        start = max(start, held_until)
    if start < end:
        yield start, end
