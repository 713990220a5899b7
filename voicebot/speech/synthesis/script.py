"""What the voice has to do for one text: say this at that speed, pause, say that. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.speech.synthesis.lexicon import Lexicon
from voicebot.speech.synthesis.marks import Pause, Reading, Run, parse_marks
from voicebot.speech.synthesis.normalize import normalize
from voicebot.speech.synthesis.words.numbers import digit_groups, letters


@dataclass(frozen=True, slots=True)
class Speech:
    """Words only, ready for an engine; `speed` is relative to the voice's own."""

    text: str
    speed: float = 1.0


Script = tuple[Speech | Pause, ...]

_NO_LEXICON = Lexicon()


def write_script(text: str, lexicon: Lexicon = _NO_LEXICON) -> Script:
    """Return what is to be done for a prompt's `text`; empty when there is nothing to hear."""
    joined: list[Speech | Pause] = []
    for part in parse_marks(text):
        if isinstance(part, Pause):
            joined.append(part)
            continue
        read = _read(part, lexicon)
        before = joined[-1] if joined else None
        if isinstance(before, Speech) and before.speed == part.speed:
            joined[-1] = Speech(f"{before.text} {read}", before.speed)
        else:
            joined.append(Speech(read, part.speed))
    spoken = (part if isinstance(part, Pause) else Speech(normalize(part.text), part.speed) for part in joined)
    return tuple(part for part in spoken if isinstance(part, Pause) or part.text)


def _read(run: Run, lexicon: Lexicon) -> str:
    match run.reading:
        case Reading.SPELL:
            return letters(run.text, between=", ")
        case Reading.DIGITS:
            return digit_groups("".join(character for character in run.text if character.isdecimal()))
        case Reading.TEXT:
            return lexicon.apply(run.text)
