"""What a bad line does to a caller's voice: noise, packets late or lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voicebot import g711
from voicebot.telephony.leg import FRAME_SAMPLES

#: Active level of the simulated caller's speech, which noise is measured against.
SPEECH_DBFS = -20.0
_NOISE_SAMPLES = FRAME_SAMPLES * 50 * 20


@dataclass(frozen=True, slots=True)
class Impairment:
    """How bad the line is. `noise_snr_db` is speech over noise (None: no noise); `loss` is a probability, 0 to 1.

    `jitter_ms` is the largest delay a packet may have; packets stay in order.
    """

    noise_snr_db: float | None = None
    jitter_ms: float = 0.0
    loss: float = 0.0
    seed: int = 0


class ImpairedLine:
    """Applies an `Impairment` frame by frame; the same seed gives the same line."""

    def __init__(self, impairment: Impairment) -> None:
        self._impairment = impairment
        self._random = np.random.default_rng(impairment.seed)
        self._noise = self._make_noise(impairment.noise_snr_db)
        self._at = 0

    def spoil(self, frame: bytes) -> bytes:
        """Return the frame with the line's noise added."""
        if self._noise is None:
            return frame
        noise = self._noise[self._at : self._at + len(frame)]
        self._at = (self._at + FRAME_SAMPLES) % _NOISE_SAMPLES
        mixed = np.clip(g711.decode(frame) + noise, -32768, 32767)
        return g711.encode(np.round(mixed).astype(np.int16))

    def loses(self) -> bool:
        """Tell whether the next packet gets lost."""
        return self._impairment.loss > 0 and bool(self._random.random() < self._impairment.loss)

    def delay_s(self) -> float:
        """Return how long the next packet takes longer than the fastest one."""
        if self._impairment.jitter_ms <= 0:
            return 0.0
        return float(self._random.random()) * self._impairment.jitter_ms / 1000

    def _make_noise(self, snr_db: float | None) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
        if snr_db is None:
            return None
        # Street and room noise falls off towards high frequencies; a one-pole low pass over white noise is near it.
        white = self._random.standard_normal(_NOISE_SAMPLES)
        spectrum = np.fft.rfft(white)
        hz = np.fft.rfftfreq(_NOISE_SAMPLES, 1 / 8000)
        coloured = np.fft.irfft(spectrum / np.sqrt(1 + (hz / 500) ** 2), _NOISE_SAMPLES)
        wanted_rms = 32768 * 10 ** ((SPEECH_DBFS - snr_db) / 20)
        return np.asarray(coloured * (wanted_rms / coloured.std()), np.float64)
