"""Our own prompt coming back: telling its echo from the caller, without cancelling it.

Carriers and browsers cancel most echo; what is left is the prompt, later by up to a second, softer, its bands coloured
by the way. So the last frames of the caller's side are laid against the prompt at every delay: if one delay explains
all bands by a constant loss, it is the prompt. Another voice never fits; a caller over the echo does not, either. Once
a call's delay is known, fewer frames and a looser fit do, since chance has one place left instead of a hundred.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from voicebot import g711
from voicebot.speech.listening.vad import FRAME_SAMPLES, Activity

_Floats = npt.NDArray[np.float32]

_SILENT = np.zeros(FRAME_SAMPLES, dtype=np.float32)
_HOP_SAMPLES = FRAME_SAMPLES // 2
_BANDS = 12


class EchoGuard:
    """One call's guard. `sent` and `cleared` follow what goes to the leg, `judge` what comes from it."""

    #: The longest way there and back, with what a carrier queues.
    _REACH_FRAMES = 60
    #: Frames laid against the prompt, and voiced ones among them at least: fewer let a short word fit by chance.
    _MOST_FRAMES = 10
    _LEAST_FRAMES = 6
    _LEAST_FRAMES_KNOWN = 3
    #: What an echo leaves unexplained, by how many voiced frames were compared at all delays; at the known one. Seen
    #: on 9 prompts by 3 voices, echo 95 % under 3.6 dB (4.6 with reflections); callers' voices 95 % over 3.2 dB at 6
    #: frames and 4.6 at 10, and mostly louder than any echo.
    _MOST_RESIDUE_DB = (3.2, 3.5, 3.8, 4.0, 4.2)
    _MOST_RESIDUE_KNOWN_DB = 7.0
    #: How far the loss may stray from the one known: speech over the echo is louder than the echo alone.
    _LOSS_SPREAD_DB = 4.0
    #: A delay is known after so many finds within this many hops of each other; old finds fade.
    _KNOWN_FINDS = 5.0
    _DELAY_SPREAD = 2
    _FADING = 0.98
    _LEAST_LOSS_DB = 8.0
    #: Bands so far below the loudest, or so little above the line's noise, say nothing about the sound.
    _RANGE_DB = 30.0
    _OVER_NOISE_DB = 6.0
    #: A way that colours one band more than this against the others is no line.
    _COLOUR_DB = 10.0

    def __init__(self) -> None:
        self._queue: deque[_Floats] = deque()
        self._played: deque[_Floats] = deque(maxlen=self._REACH_FRAMES + self._MOST_FRAMES + 1)
        self._frames_since_prompt = self._REACH_FRAMES
        #: Band levels of what was played, one row a hop, the newest last; those of `_pending` are still to come.
        self._levels = np.full((2 * (self._REACH_FRAMES + self._MOST_FRAMES), _BANDS), _level(0.0), np.float32)
        self._pending: list[_Floats] = [_SILENT]
        self._heard: deque[bytes] = deque(maxlen=self._MOST_FRAMES)
        self._voiced: deque[bool] = deque(maxlen=self._MOST_FRAMES)
        self._gain_db = 0.0
        self._finds = np.zeros(2 * self._REACH_FRAMES, dtype=np.float32)

    def sent(self, mulaw: bytes) -> None:
        """Take prompt audio as it is sent, whole frames of 160 bytes; it plays one frame each time `judge` is asked."""
        audio = g711.decode(mulaw).astype(np.float32)
        self._queue.extend(audio[start : start + FRAME_SAMPLES] for start in range(0, audio.size, FRAME_SAMPLES))

    def cleared(self) -> None:
        """The leg has dropped what was queued: it will not come back as echo."""
        self._queue.clear()

    def judge(self, pcm: bytes, activity: Activity) -> Activity:
        """Return `activity`, or the same without speech and with `echo` set where the prompt explains it."""
        played = self._queue.popleft() if self._queue else None
        self._frames_since_prompt = 0 if played is not None else self._frames_since_prompt + 1
        if self._frames_since_prompt > self._REACH_FRAMES:
            self._heard.clear()
            self._voiced.clear()
            return activity
        self._pending.append(_SILENT if played is None else played)
        self._heard.append(pcm)
        self._voiced.append(activity.speech or activity.hint)
        if not (activity.speech or activity.hint):
            # What was played longer ago than any echo takes need not be looked at any more.
            del self._pending[: -(self._REACH_FRAMES + self._MOST_FRAMES)]
            return activity
        return replace(activity, speech=False, echo=True) if self._explained(activity.noise_floor_dbfs) else activity

    def _explained(self, noise_floor_dbfs: float) -> bool:
        voiced = sum(self._voiced)
        if voiced < self._LEAST_FRAMES_KNOWN:
            return False
        self._catch_up()
        frames = np.frombuffer(b"".join(self._heard), dtype="<i2").astype(np.float32)
        heard = _band_levels(frames.reshape(-1, FRAME_SAMPLES))
        noise = _level(32768.0**2 * 10 ** (noise_floor_dbfs / 10) * _NOISE_POWER)
        counts = heard > np.maximum(noise + self._OVER_NOISE_DB, heard.max() - self._RANGE_DB)
        if not counts.any() or heard.max() > self._levels.max():
            # Nothing but noise, or louder than anything we played.
            return False
        # Every stretch of the prompt as long as what was heard, at steps of half a frame: (delays, bands, frames).
        stretches = np.lib.stride_tricks.sliding_window_view(self._levels, 2 * len(heard) - 1, axis=0)[..., ::2]
        stretches = stretches[-self._finds.size :]
        known = int(np.argmax(self._finds))
        near = slice(max(0, known - self._DELAY_SPREAD), known + self._DELAY_SPREAD + 1)
        if self._finds[near].sum() >= self._KNOWN_FINDS:
            residue_db, gain_db, _ = self._best_fit(heard, counts, stretches[near])
            if residue_db <= self._MOST_RESIDUE_KNOWN_DB and abs(gain_db - self._gain_db) <= self._LOSS_SPREAD_DB:
                return True
        if voiced < self._LEAST_FRAMES:
            return False
        residue_db, gain_db, delay = self._best_fit(heard, counts, stretches)
        if residue_db > self._MOST_RESIDUE_DB[voiced - self._LEAST_FRAMES] or gain_db > -self._LEAST_LOSS_DB:
            return False
        self._finds *= self._FADING
        self._finds[delay] += 1.0
        self._gain_db += (gain_db - self._gain_db) / min(float(self._finds.sum()), 10.0)
        return True

    def _best_fit(self, heard: _Floats, counts: npt.NDArray[np.bool_], stretches: _Floats) -> tuple[float, float, int]:
        """Return what the best of the stretches leaves unexplained and its gain, both in dB, and which it is.

        `heard` and which of it `counts` are (frames, bands), `stretches` (delays, bands, frames).
        """
        difference = heard.T - stretches
        weight = counts.T / np.maximum(counts.sum(axis=0), 1)[:, np.newaxis]
        gain = (difference * weight).sum(axis=2)
        overall = gain[:, counts.any(axis=0)].mean(axis=1, keepdims=True)
        gain = np.clip(gain, overall - self._COLOUR_DB, overall + self._COLOUR_DB)
        unexplained = (difference - gain[..., np.newaxis]) * counts.T
        residue = np.einsum("dbf,dbf->d", unexplained, unexplained) / counts.sum()
        best = int(np.argmin(residue))
        return math.sqrt(residue[best]), float(overall[best, 0]), best

    def _catch_up(self) -> None:
        """Work out the levels of what was played since the last time; only speech over a prompt ever asks for them."""
        audio = np.concatenate(self._pending)
        windows = np.lib.stride_tricks.sliding_window_view(audio, FRAME_SAMPLES)[_HOP_SAMPLES::_HOP_SAMPLES]
        self._levels = np.concatenate([self._levels, _band_levels(windows)])[-len(self._levels) :]
        self._pending = self._pending[-1:]


def _band_levels(windows: _Floats) -> _Floats:
    """Return (n, bands) levels in dB for (n, 160) samples; far below line noise all levels are alike."""
    spectrum = np.fft.rfft(windows * _WINDOW, axis=-1)
    return _level((spectrum.real**2 + spectrum.imag**2) @ _FILTERS)


def _level(power: npt.ArrayLike) -> _Floats:
    levels: _Floats = (10.0 * np.log10(np.asarray(power) + 1e3)).astype(np.float32)
    return levels


def _filters() -> _Floats:
    """Return (81, bands): each FFT bin of 50 Hz in the band it lies in, bands of equal ratio from 200 to 3,600 Hz."""
    edges_hz = np.geomspace(200.0, 3600.0, _BANDS + 1)
    bins_hz = 50.0 * np.arange(FRAME_SAMPLES // 2 + 1)[:, np.newaxis]
    return ((bins_hz >= edges_hz[:-1]) & (bins_hz < edges_hz[1:])).astype(np.float32)


_WINDOW = np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)
_FILTERS = _filters()
#: What white noise of unit variance adds to each band.
_NOISE_POWER = float(_WINDOW @ _WINDOW) * _FILTERS.sum(axis=0)
