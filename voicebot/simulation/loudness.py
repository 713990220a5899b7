"""How loud mu-law audio is, by table: cheap enough for every frame of every call of a load test."""

from __future__ import annotations

import numpy as np

from voicebot import g711

#: RMS of int16 samples above which a frame is heard as speech, about -43 dBFS; telephone speech lies near -20 dBFS.
AUDIBLE_RMS = 230.0
_POWER = g711.decode(bytes(range(256))).astype(np.float64) ** 2


def rms(mulaw: bytes) -> float:
    """Return the root mean square of the int16 samples; 0 for no samples."""
    if not mulaw:
        return 0.0
    return float(np.sqrt(_POWER[np.frombuffer(mulaw, np.uint8)].mean()))


def is_audible(mulaw: bytes) -> bool:
    """Tell whether the bytes are heard, taken together."""
    return rms(mulaw) > AUDIBLE_RMS


def speech_bounds(mulaw: bytes, window_bytes: int = 40) -> tuple[int, int]:
    """Return the offsets of the first audible sample and the one after the last, by windows of 5 ms.

    Both are 0 when nothing is audible.
    """
    whole = len(mulaw) // window_bytes * window_bytes
    if not whole:
        return (0, len(mulaw)) if is_audible(mulaw) else (0, 0)
    powers = _POWER[np.frombuffer(mulaw[:whole], np.uint8)].reshape(-1, window_bytes).mean(axis=1)
    audible = np.flatnonzero(powers > AUDIBLE_RMS**2)
    if not len(audible):
        return 0, 0
    return int(audible[0]) * window_bytes, (int(audible[-1]) + 1) * window_bytes
