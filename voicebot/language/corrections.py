"""Cues that a caller takes something back: "no, the fifteenth", "I mean", "actually", "make it four"."""

from __future__ import annotations

from collections.abc import Sequence

from voicebot.language.words import Phrases, Word

_CUES = Phrases.of(
    (
        "no i mean",
        "no i meant",
        "no i said",
        "no sorry",
        "no wait",
        "no make it",
        "no make that",
        "i mean",
        "i meant",
        "i said",
        "actually",
        "make it",
        "make that",
        "change it to",
        "change that to",
        "scratch that",
        "or rather",
        "correction",
        "sorry i meant",
        "wait no",
        "not that",
        "let's say",
        "on second thought",
        "on second thoughts",
        "that's wrong",
        "that is wrong",
        "that's not right",
        "instead",
        "sorry",
        "no",
        "oops",
    ),
    None,
)


def correction_at(words: Sequence[Word]) -> int | None:
    """Return the index of the first word after the last correction cue, None when there is none."""
    after: int | None = None
    index = 0
    while index < len(words):
        found = _CUES.at(words, index)
        index = found[1] if found else index + 1
        after = index if found else after
    return after
