"""Makes up audio for packets that never came: the last pitch period goes on and fades. Pure.

The idea is that of ITU-T G.711 Appendix I: voiced speech repeats itself, so repeating its last period bridges a gap of
a packet or two unnoticed; longer gaps fade out, since a held vowel sounds worse than silence.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from voicebot import g711
from voicebot.telephony.leg import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME

_PER_MS = SAMPLE_RATE_HZ // 1000
#: Pitch between 66 and 200 Hz covers most voices; a higher one is found as a multiple of its period.
_SHORTEST_LAG = 5 * _PER_MS
_LONGEST_LAG = 15 * _PER_MS
_TEMPLATE = 20 * _PER_MS
_HISTORY_FRAMES = 3
#: Full volume for 10 ms, then fading to nothing at 60 ms.
_FULL_SAMPLES = 10 * _PER_MS
_FADE_SAMPLES = 50 * _PER_MS
#: The first real audio after a gap is blended in over this.
_BLEND_SAMPLES = 4 * _PER_MS

_Linear = npt.NDArray[np.float64]
_RISE: _Linear = np.linspace(0.0, 1.0, _BLEND_SAMPLES, endpoint=False)


class Concealer:
    """Sees every frame of one stream in order: `heard` for those that came, `lost` for those that did not."""

    def __init__(self) -> None:
        self._history: deque[bytes] = deque(maxlen=_HISTORY_FRAMES)
        self._period: _Linear | None = None
        self._made_samples = 0

    def heard(self, frame: bytes) -> bytes:
        """Note a frame and return it, blended with what was made up if a gap ends here."""
        if self._period is not None:
            frame = self._blend(frame, self._period)
            self._period = None
        self._history.append(frame)
        return frame

    def lost(self) -> bytes:
        """Return a mu-law frame for one that is missing."""
        if self._period is None:
            self._period = self._last_period()
            self._made_samples = 0
        elif self._made_samples >= _FULL_SAMPLES + _FADE_SAMPLES:
            return SILENT_FRAME
        made = self._more(self._period, FRAME_SAMPLES)
        self._made_samples += FRAME_SAMPLES
        return _encode(made)

    def _last_period(self) -> _Linear:
        history = b"".join(self._history)
        linear = g711.decode(history.rjust(FRAME_BYTES * _HISTORY_FRAMES, SILENT_FRAME[:1])).astype(np.float64)
        template = linear[-_TEMPLATE:]
        lags = range(_SHORTEST_LAG, _LONGEST_LAG + 1)
        windows = np.lib.stride_tricks.sliding_window_view(linear[-_TEMPLATE - _LONGEST_LAG :], _TEMPLATE)
        shifted = windows[_LONGEST_LAG - np.asarray(lags)]
        energy = np.einsum("ij,ij->i", shifted, shifted)
        likeness = shifted @ template / np.sqrt(energy + 1.0)
        return linear[-lags[int(likeness.argmax())] :]

    def _more(self, period: _Linear, samples: int) -> _Linear:
        """Continue the repetition, with its fading."""
        at = np.arange(self._made_samples, self._made_samples + samples)
        gain = np.clip((_FULL_SAMPLES + _FADE_SAMPLES - at) / _FADE_SAMPLES, 0.0, 1.0)
        repeated: _Linear = period[at % len(period)] * gain
        return repeated

    def _blend(self, frame: bytes, period: _Linear) -> bytes:
        blend = min(_BLEND_SAMPLES, len(frame))
        real = g711.decode(frame[:blend]).astype(np.float64)
        rise = _RISE[:blend]
        return _encode(self._more(period, blend) * (1.0 - rise) + real * rise) + frame[blend:]


def _encode(linear: _Linear) -> bytes:
    return g711.encode(np.clip(np.rint(linear), -32768, 32767).astype(np.int16))
