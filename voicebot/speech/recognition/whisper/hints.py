"""The text that a Whisper model is told came before: it leans the spelling and the choice of words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from voicebot.dialog.expectation import AnswerKind
from voicebot.speech.recognition.whisper.model import Cue
from voicebot.speech.recognition.wire import Request

#: About 110 tokens; each takes time to read.
_MOST_CHARACTERS = 400
#: Of two examples with as many new words, the shorter; but four letters more are worth one new word.
_LONG = 20
_EXAMPLES: Mapping[AnswerKind, str] = {
    AnswerKind.YES_NO: "Yes. No.",
    AnswerKind.DIGITS: "4 0 2 7 9 1.",
    AnswerKind.ALPHANUMERIC: "B 7 K 4 2.",
    AnswerKind.DATE: "Next Tuesday. March 3rd. The 15th.",
    AnswerKind.TIME: "At 3. 10:30 a.m.",
    AnswerKind.MONEY: "$42.60.",
}


def cue_for(request: Request, names: Iterable[str], examples: Iterable[str]) -> Cue:
    """Return what an answer to this question might look like, and the words that it may hold.

    `examples` are whole requests, shown where the question takes any; `names` come from the customer's data.
    """
    parts = [_EXAMPLES[kind] for kind in request.kinds if kind in _EXAMPLES]
    requests = examples if AnswerKind.OPEN in request.kinds else ()
    text = " ".join(parts)
    for words in dict.fromkeys((*request.phrases, *requests, *names)):
        if len(text) + len(words) + 2 > _MOST_CHARACTERS:
            break
        text = f"{text} {sentence(words)}".strip()
    return Cue(text, request.lengths if AnswerKind.DIGITS in request.kinds else None)


def telling(examples: Sequence[str]) -> tuple[str, ...]:
    """Return the few `examples` that hold the most different words, in the order of what each adds."""
    left = {example: set(example.lower().split()) for example in examples}
    chosen: list[str] = []
    seen: set[str] = set()
    length = 0
    while left and length < _MOST_CHARACTERS:
        best = max(left, key=lambda each: len(left[each] - seen) / (len(each) + _LONG))
        seen |= left[best]
        length += len(best) + 2
        chosen.append(best)
        left = {example: words for example, words in left.items() if words - seen}
    return tuple(chosen)


def sentence(words: str) -> str:
    """Return `words` as Whisper writes them after such hints."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
