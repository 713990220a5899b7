"""DTMF found in the audio, for carriers that do not send keys apart (ITU-T Q.23, Q.24)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from voicebot import g711
from voicebot.speech.listening.vad import FRAME_SAMPLES, SAMPLE_RATE_HZ

_ROWS_HZ = (697.0, 770.0, 852.0, 941.0)
_COLUMNS_HZ = (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS = ("123A", "456B", "789C", "*0#D")

_HOP_SAMPLES = FRAME_SAMPLES // 2
#: Of the bank's rows, which are cosines and sines of all tones, those of the tones without their overtones.
_FIRST_HARMONICS = [*range(8), *range(16, 24)]
#: A recording is looked through in parts of 20 s, so that whoever waits for the interpreter gets it in between.
_BLOCK_WINDOWS = 2000


@dataclass(frozen=True, slots=True)
class ToneHeard:
    """A key's tone, reported once when it is certain (40 ms after its start at most), at the sample it began."""

    key: str
    start_sample: int


class DtmfDetector:
    """Keys in one caller's audio, fed 20 ms at a time.

    What keeps voices from dialling (talk-off): two tones must hold nearly all the energy, in a true row and a true
    column at about equal strength, alone in their groups, without a voice's overtones, for 30 ms.
    """

    #: Q.24 has receivers answer down to -25 dBm; with margin for quiet lines.
    _LEAST_DBFS = -42.0
    #: Share of the window's energy in the two tones. A pure pair under mu-law gives over 0.95.
    _LEAST_PURITY = 0.82
    #: How much the column may exceed the row and the other way round (Q.24: 4 and 8 dB), with margin.
    _MOST_TWIST_DB = 6.0
    _MOST_REVERSE_TWIST_DB = 9.0
    #: By how much a tone exceeds the others of its group and its own first overtone; 20 ms windows blur neighbours.
    _LEAST_LEAD_DB = 6.0
    _HITS = 2
    #: A tone is over after so many windows without it, so that a dropout does not double the key.
    GAP_WINDOWS = 3

    def __init__(self) -> None:
        tones_hz = np.array([*_ROWS_HZ, *_COLUMNS_HZ])
        self._bank = _goertzel(np.concatenate([tones_hz, 2.0 * tones_hz]))
        self._previous = np.zeros(_HOP_SAMPLES, dtype=np.float32)
        self._position_samples = 0
        self._candidate = ""
        self._hits = 0
        self._current = ""
        self._misses = 0

    def feed(self, pcm: bytes) -> list[ToneHeard]:
        """Take 20 ms of signed 16-bit PCM and return the keys that became certain with it, in order."""
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        audio = np.concatenate([self._previous, samples])
        self._previous = samples[_HOP_SAMPLES:]
        # Both half-overlapping windows in one product: 2 by 160 samples.
        windows = np.stack([audio[: 2 * _HOP_SAMPLES], audio[_HOP_SAMPLES:]])
        heard: list[ToneHeard] = []
        for window in windows:
            self._position_samples += _HOP_SAMPLES
            tone = self._count(self.key_in(window))
            if tone is not None:
                heard.append(tone)
        return heard

    def likely(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """Return which of the windows, shape (n, 160), may hold a key: loud, and little but two tones."""
        energy = np.einsum("ij,ij->i", windows, windows)
        parts = windows @ self._bank[_FIRST_HARMONICS].T
        powers = parts[:, :8] ** 2 + parts[:, 8:] ** 2
        two = powers[:, :4].max(axis=1) + powers[:, 4:].max(axis=1)
        loud = energy >= self._least_energy(windows.shape[1])
        return np.flatnonzero(loud & (2.0 * two / windows.shape[1] >= self._LEAST_PURITY * energy))

    def _least_energy(self, samples: int) -> float:
        return float(10 ** (self._LEAST_DBFS / 10) * 32768.0**2 * samples)

    def key_in(self, window: npt.NDArray[np.float32]) -> str:
        """Return the key whose tone fills a window of 160 samples; empty for none."""
        energy = float(window @ window)
        if energy < self._least_energy(window.size):
            return ""
        parts = self._bank @ window
        powers = parts[:16] ** 2 + parts[16:] ** 2
        row, column = int(np.argmax(powers[:4])), int(np.argmax(powers[4:8]))
        row_power, column_power = float(powers[row]), float(powers[4 + column])
        # A sine of amplitude a in n samples has energy a²n/2, and its correlation with the bank's unit tone is an/2.
        if 2.0 * (row_power + column_power) / window.size < self._LEAST_PURITY * energy:
            return ""
        twist_db = 10.0 * np.log10(column_power / row_power)
        if not -self._MOST_REVERSE_TWIST_DB <= twist_db <= self._MOST_TWIST_DB:
            return ""
        lead = 10 ** (self._LEAST_LEAD_DB / 10)
        rivals = (
            *(float(power) * lead > row_power for place, power in enumerate(powers[:4]) if place != row),
            *(float(power) * lead > column_power for place, power in enumerate(powers[4:8]) if place != column),
            float(powers[8 + row]) * lead > row_power,
            float(powers[12 + column]) * lead > column_power,
        )
        return "" if any(rivals) else _KEYS[row][column]

    def _count(self, key: str) -> ToneHeard | None:
        if key and key == self._candidate:
            self._hits += 1
        else:
            self._candidate, self._hits = key, 1
        if key != self._current:
            self._misses += 1
            if self._misses >= self.GAP_WINDOWS:
                self._current = ""
        else:
            self._misses = 0
        if not key or key == self._current or self._hits < self._HITS:
            return None
        self._current, self._misses = key, 0
        return ToneHeard(key, max(0, self._position_samples - (self._hits + 1) * _HOP_SAMPLES))


def tones_in(pcm: g711.Pcm) -> list[tuple[int, int]]:
    """Return where a whole recording at 8 kHz holds the tones of keys, as samples from and until, in order."""
    if pcm.size < 2 * _HOP_SAMPLES:
        return []
    detector = DtmfDetector()
    windows = np.lib.stride_tricks.sliding_window_view(pcm, 2 * _HOP_SAMPLES)[::_HOP_SAMPLES]
    hits: list[tuple[int, str]] = []
    for first in range(0, len(windows), _BLOCK_WINDOWS):
        block = windows[first : first + _BLOCK_WINDOWS].astype(np.float32)
        # Of speech and silence hardly a window is left that is worth a closer look.
        for index in detector.likely(block):
            key = detector.key_in(block[index])
            if key:
                hits.append((first + int(index), key))
    spans: list[tuple[int, int]] = []
    for (before, key), (at, same) in pairwise(hits):
        # As often in a row as makes a key certain; a dropout does not end it.
        if key == same and at - before < DtmfDetector.GAP_WINDOWS:
            start, end = before * _HOP_SAMPLES, (at + 2) * _HOP_SAMPLES
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
    return spans


def tone(key: str, duration_ms: int, level_dbfs: float = -13.0) -> g711.Pcm:
    """Return the tone of a key, int16 at 8 kHz, each of its two sines at `level_dbfs`."""
    for row, keys in zip(_ROWS_HZ, _KEYS, strict=True):
        if key in keys:
            seconds = np.arange(duration_ms * SAMPLE_RATE_HZ // 1000) / SAMPLE_RATE_HZ
            column = _COLUMNS_HZ[keys.index(key)]
            amplitude = 32767.0 * np.sqrt(2.0) * 10 ** (level_dbfs / 20)
            both = np.sin(2 * np.pi * row * seconds) + np.sin(2 * np.pi * column * seconds)
            pcm: g711.Pcm = np.clip(amplitude * both, -32768, 32767).astype(np.int16)
            return pcm
    raise ValueError("a key is one of 0-9, *, #, A-D")


def _goertzel(tones_hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the cosines, then the sines, of each tone over one window: (2 tones, 160), a Goertzel bank as a matrix."""
    phase = 2 * np.pi * np.outer(tones_hz, np.arange(2 * _HOP_SAMPLES)) / SAMPLE_RATE_HZ
    return np.concatenate([np.cos(phase), np.sin(phase)]).astype(np.float32)
