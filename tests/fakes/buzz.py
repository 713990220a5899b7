"""A buzz with the harmonics and syllables of a voice: voice activity takes it for speech, nobody recognises words."""

from __future__ import annotations

import numpy as np

from voicebot import g711
from voicebot.telephony.leg import FRAME_BYTES, SAMPLE_RATE_HZ


def buzz(seconds: float, *, pitch_hz: float = 130.0) -> list[bytes]:
    """Return mu-law frames of `seconds` of buzzing."""
    time_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.zeros_like(time_s)
    for harmonic in range(1, 25):
        frequency = pitch_hz * harmonic
        formants = sum(np.exp(-(((frequency - centre) / 180.0) ** 2)) for centre in (500, 1500, 2500))
        wave += (formants + 0.02) * np.sin(2 * np.pi * frequency * time_s + harmonic)
    syllables = 0.65 + 0.35 * np.sin(2 * np.pi * 4 * time_s)
    mulaw = g711.encode((wave / np.abs(wave).max() * 12000 * syllables).astype(np.int16))
    return [mulaw[start : start + FRAME_BYTES] for start in range(0, len(mulaw) - FRAME_BYTES + 1, FRAME_BYTES)]
