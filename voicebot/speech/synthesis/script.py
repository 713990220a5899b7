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
    script: list[Speech | Pause] = []
    for part in parse_marks(text):
        if isinstance(part, Pause):
            script.append(part)
        elif words := _words(part, lexicon):
            before = script[-1] if script else None
            if isinstance(before, Speech) and before.speed == part.speed:
                script[-1] = Speech(f"{before.text} {words}", before.speed)
            else:
                script.append(Speech(words, part.speed))
    return tuple(script)


def _words(run: Run, lexicon: Lexicon) -> str:
    match run.reading:
        case Reading.SPELL:
            return letters(run.text, between=", ")
        case Reading.DIGITS:
            return digit_groups("".join(character for character in run.text if character.isdecimal()))
        case Reading.TEXT:
            return normalize(lexicon.apply(run.text))
