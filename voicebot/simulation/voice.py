"""The caller's own voice: never the bot's, so that nobody can take an echo for an answer."""

from __future__ import annotations

from functools import cache

from voicebot.errors import EngineUnavailable
from voicebot.speech.synthesis.speaker import Speaker
from voicebot.speech.synthesis.voices import load_speaker
from voicebot.speech.tts import Voice

#: In order of preference. Of the voices that need no download, a telephone recogniser understands these best: 25 of 29
#: short answers word for word, flite's own female voice 17. The first needs no root, so every machine hears the same.
CALLER_VOICES = (Voice("espeak", "en-us+klatt3"), Voice("flite", "kal16", 0.9), Voice("espeak", "en-us+klatt6"))


def voices_beside(engines: str) -> tuple[Voice, ...]:
    """Return the voices that a caller may take where the bot's `engines` run, as the server's ready line names them."""
    return tuple(voice for voice in CALLER_VOICES if f"{voice.engine} {voice.name}" not in engines)


def speak(voice: Voice, text: str) -> bytes:
    """Return `text` in mu-law at 8 kHz; EngineUnavailable when the voice is missing.

    Loads engines, GPL ones among them: call it in a process of its own.
    """
    return _speaker(voice).speak_mulaw(text, voice.speed)


def first_present(voices: tuple[Voice, ...]) -> Voice:
    """Return the first of `voices` that speaks here; EngineUnavailable with every reason when none does."""
    reasons: list[str] = []
    for voice in voices:
        try:
            _speaker(voice)
        except EngineUnavailable as error:
            reasons.append(str(error))
        else:
            return voice
    raise EngineUnavailable(f"the simulated caller has no voice: {'; '.join(reasons)}")


@cache
def _speaker(voice: Voice) -> Speaker:
    return load_speaker(voice, None)
