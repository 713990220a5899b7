"""Speech for recognition tests: made here, at 8 kHz, through mu-law as the telephone would."""

from __future__ import annotations

from functools import cache

import numpy as np

from voicebot import g711
from voicebot.speech.synthesis.flite import flite_library_present
from voicebot.speech.synthesis.speaker import Speaker
from voicebot.speech.synthesis.voices import load_speaker
from voicebot.speech.tts import Voice

FRAME_BYTES = 320
_PAUSE = bytes(FRAME_BYTES * 15)


@cache
def _speaker() -> Speaker:
    if flite_library_present("rms"):
        return load_speaker(Voice("flite", "rms"), None)
    return load_speaker(Voice("espeak", "en-us+klatt5"), None)


@cache
def spoken(text: str) -> bytes:
    """Return 16-bit PCM of `text` with 300 ms of silence before and after, a whole number of 20 ms frames."""
    pcm = g711.decode(_speaker().speak_mulaw(text))
    rest = -len(pcm) % (FRAME_BYTES // 2)
    return _PAUSE + np.concatenate([pcm, np.zeros(rest, dtype=np.int16)]).tobytes() + _PAUSE


def frames(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]
