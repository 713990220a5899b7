"""The text that a Whisper model is told came before: it leans the spelling and the choice of words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from voicebot.dialog.expectation import AnswerKind
from voicebot.speech.recognition.wire import Request

_MOST_CHARACTERS = 400
_EXAMPLES: Mapping[AnswerKind, str] = {
    AnswerKind.YES_NO: "Yes. No.",
    AnswerKind.DIGITS: "4 0 2 7 9 1.",
    AnswerKind.ALPHANUMERIC: "B 7 K 4 2.",
    AnswerKind.DATE: "Next Tuesday. March 3rd. The 15th.",
    AnswerKind.TIME: "At 3. 10:30 a.m.",
    AnswerKind.MONEY: "$42.60.",
}


def prompt_for(request: Request, names: Iterable[str]) -> str:
    """Return what an answer to this question might look like, and the words that it may hold."""
    parts = [_EXAMPLES[kind] for kind in request.kinds if kind in _EXAMPLES]
    words = dict.fromkeys((*request.phrases, *names))
    text = " ".join(parts)
    for word in words:
        if len(text) + len(word) + 2 > _MOST_CHARACTERS:
            break
        text = f"{text} {word}.".strip()
    return text
