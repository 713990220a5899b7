"""From an engine's samples to the telephone: silence trimmed, level equalised, 8 kHz, all per whole clause.

A clause is resampled in one piece. A streaming resampler would hold back 20 ms frames by 95 to 170 ms, and lose the
last of them if nobody flushed it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from voicebot import g711
from voicebot.g711 import Pcm

TELEPHONE_RATE_HZ = 8_000
TARGET_LEVEL_DBFS = -20.0

_FULL_SCALE = 32_768.0
_HIGHEST_PEAK = 30_000.0
_FRAME_S = 0.02
# Frames this far below the loudest are pauses, not speech (in the spirit of ITU-T P.56's active speech level).
_PAUSE_BELOW_LOUDEST_DB = 30.0
# Quieter than this there is no speech to bring up, only the engine's own silence.
_FAINTEST_DBFS = -65.0
_SILENT_BELOW_PEAK = 0.003
_KEEP_BEFORE_S = 0.02
# Final consonants fade slowly; more is kept behind the last audible sample than before the first.
_KEEP_AFTER_S = 0.06

_Floats = npt.NDArray[np.float64]


def to_telephone(samples: Pcm, rate_hz: int) -> Pcm:
    """Return one whole clause at 8 kHz, int16, without the engine's silence around it and at TARGET_LEVEL_DBFS."""
    if not len(samples):
        return samples
    trimmed = trim_silence(samples, rate_hz).astype(np.float64)
    if rate_hz != TELEPHONE_RATE_HZ:
        trimmed = soxr.resample(trimmed, rate_hz, TELEPHONE_RATE_HZ, quality="HQ")
    return equalise(trimmed)


def trim_silence(samples: Pcm, rate_hz: int) -> Pcm:
    """Drop silence before and after the speech, keeping a margin that no audible sample lies outside of."""
    audible = np.flatnonzero(np.abs(samples.astype(np.int32)) > _SILENT_BELOW_PEAK * _peak(samples))
    if not len(audible):
        return samples[:0]
    first = max(0, int(audible[0]) - round(_KEEP_BEFORE_S * rate_hz))
    last = int(audible[-1]) + 1 + round(_KEEP_AFTER_S * rate_hz)
    return samples[first:last]


def equalise(samples: npt.NDArray[np.number]) -> Pcm:
    """Return 8 kHz `samples` as int16 with their active level at TARGET_LEVEL_DBFS, or below where peaks forbid it."""
    level_dbfs = active_level_dbfs(samples)
    gain = 1.0
    if level_dbfs > _FAINTEST_DBFS:
        gain = min(10 ** ((TARGET_LEVEL_DBFS - level_dbfs) / 20), _HIGHEST_PEAK / _peak(samples))
    scaled: Pcm = np.round(np.clip(samples * gain, -_HIGHEST_PEAK, _HIGHEST_PEAK)).astype(np.int16)
    return scaled


def active_level_dbfs(samples: npt.NDArray[np.number], rate_hz: int = TELEPHONE_RATE_HZ) -> float:
    """Return the RMS level of the speech in `samples`, pauses left out, in dB below a full-scale square wave."""
    frame = round(_FRAME_S * rate_hz)
    whole = np.zeros(-(-len(samples) // frame) * frame)
    whole[: len(samples)] = samples
    powers: _Floats = np.mean((whole / _FULL_SCALE).reshape(-1, frame) ** 2, axis=1)
    loudest = powers.max(initial=0.0)
    if loudest <= 0.0:
        return float("-inf")
    active = powers[powers > loudest * 10 ** (-_PAUSE_BELOW_LOUDEST_DB / 10)]
    return float(10 * np.log10(active.mean()))


def silence(duration_s: float) -> bytes:
    """Return mu-law silence."""
    return g711.encode(np.zeros(round(duration_s * TELEPHONE_RATE_HZ), np.int16))


def _peak(samples: npt.NDArray[np.number]) -> float:
    return float(np.abs(samples.astype(np.float64)).max(initial=1e-9))
