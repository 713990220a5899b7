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
from numpy.lib.stride_tricks import sliding_window_view

from voicebot import g711
from voicebot.speech.listening.vad import FRAME_SAMPLES, Activity

_Floats = npt.NDArray[np.float32]

_SILENT = b"\xff" * FRAME_SAMPLES
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
    #: A line on which nothing sounded during so many loud frames of a prompt returns none of it: far more than any echo
    #: is late.
    _UNRETURNED_FRAMES = 100

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self._frames_since_prompt = self._REACH_FRAMES
        #: The loud frames of this prompt since something sounded.
        self._unreturned = 0
        #: Not looked at yet, after one frame that was: what was played longer ago than any echo takes need not be.
        self._played: deque[bytes] = deque([_SILENT], maxlen=self._REACH_FRAMES + self._MOST_FRAMES)
        self._heard: deque[bytes] = deque(maxlen=self._MOST_FRAMES)
        self._voiced: deque[bool] = deque(maxlen=self._MOST_FRAMES)
        #: Band levels of what was played, a column a hop, and of what was heard, a column a frame, the newest last.
        self._played_db = np.full((_BANDS, 2 * (self._REACH_FRAMES + self._MOST_FRAMES - 1)), _level(0.0), np.float32)
        self._heard_db = np.full((_BANDS, self._MOST_FRAMES), _level(0.0), np.float32)
        #: Every stretch of the prompt as long as what is heard, at steps of half a frame: (bands, frames, delays).
        self._stretches_db = sliding_window_view(self._played_db, 2 * self._REACH_FRAMES, axis=1)[:, ::2]
        self._gain_db = 0.0
        self._finds = np.zeros(2 * self._REACH_FRAMES, dtype=np.float32)
        #: Where the echo is, once the delay is known.
        self._near: slice | None = None

    def sent(self, frame: bytes) -> None:
        """Take 20 ms of a prompt as they are sent, 160 bytes of mu-law; a frame plays each time `judge` is asked."""
        self._queue.append(frame)

    def cleared(self) -> None:
        """The leg has dropped what was queued: it will not come back as echo."""
        self._queue.clear()

    def judge(self, pcm: bytes, activity: Activity) -> Activity:
        """Return `activity`, or the same without speech and with `echo` set where the prompt explains it."""
        played = self._queue.popleft() if self._queue else None
        if played is not None and (activity.sound or self._frames_since_prompt):
            self._unreturned = 0
        elif played is not None and not g711.is_quiet(played):
            self._unreturned += 1
        self._frames_since_prompt = 0 if played is not None else self._frames_since_prompt + 1
        if self._frames_since_prompt > self._REACH_FRAMES:
            if self._voiced:
                self._heard.clear()
                self._voiced.clear()
                self._heard_db[:] = _level(0.0)
            return activity
        voiced = activity.speech or activity.hint
        self._played.append(_SILENT if played is None else played)
        self._heard.append(pcm)
        self._voiced.append(voiced)
        # Behind a prompt of which nothing came back, who speaks is the caller.
        ruled_out = played is None and self._near is None and self._unreturned >= self._UNRETURNED_FRAMES
        if voiced and not ruled_out and self._explained(activity.noise_floor_dbfs):
            return replace(activity, speech=False, echo=True)
        return activity

    def _explained(self, noise_floor_dbfs: float) -> bool:
        voiced = sum(self._voiced)
        if voiced < (self._LEAST_FRAMES if self._near is None else self._LEAST_FRAMES_KNOWN):
            return False
        self._catch_up()
        loudest_db = self._heard_db.max()
        noise_db = _level(32768.0**2 * 10 ** (noise_floor_dbfs / 10) * _NOISE_POWER)
        counts = self._heard_db > np.maximum(noise_db + self._OVER_NOISE_DB, loudest_db - self._RANGE_DB)[:, np.newaxis]
        if loudest_db > self._played_db.max() or not counts.any():
            # Louder than anything we played, or nothing but noise.
            return False
        if self._near is not None:
            residue_db, gain_db, _ = self._best_fit(counts, self._stretches_db[..., self._near])
            if residue_db <= self._MOST_RESIDUE_KNOWN_DB and abs(gain_db - self._gain_db) <= self._LOSS_SPREAD_DB:
                return True
        if voiced < self._LEAST_FRAMES:
            return False
        residue_db, gain_db, delay = self._best_fit(counts, self._stretches_db)
        if residue_db > self._MOST_RESIDUE_DB[voiced - self._LEAST_FRAMES] or gain_db > -self._LEAST_LOSS_DB:
            return False
        self._found(delay, gain_db)
        return True

    def _found(self, delay: int, gain_db: float) -> None:
        self._finds *= self._FADING
        self._finds[delay] += 1.0
        self._gain_db += (gain_db - self._gain_db) / min(float(self._finds.sum()), 10.0)
        likeliest = int(self._finds.argmax())
        near = slice(max(0, likeliest - self._DELAY_SPREAD), likeliest + self._DELAY_SPREAD + 1)
        self._near = near if self._finds[near].sum() >= self._KNOWN_FINDS else None

    def _best_fit(self, counts: npt.NDArray[np.bool_], stretches_db: _Floats) -> tuple[float, float, int]:
        """Return what the best of the stretches leaves unexplained and its gain, both in dB, and which it is.

        `counts`, (bands, frames), says which of the levels heard do; `stretches_db` are (bands, frames, delays).
        """
        # Only what counts is taken, band after band: (levels that count, delays).
        bands, frames = counts.nonzero()
        difference = self._heard_db[bands, frames][:, np.newaxis] - stretches_db[bands, frames]
        sizes = np.bincount(bands, minlength=_BANDS)
        gain = (_EACH_BAND.take(bands, axis=1) @ difference) / np.maximum(sizes, 1).astype(np.float32)[:, np.newaxis]
        overall = gain.sum(axis=0) / np.float32(np.count_nonzero(sizes))
        gain = np.minimum(np.maximum(gain, overall - self._COLOUR_DB), overall + self._COLOUR_DB)
        difference -= gain.take(bands, axis=0)
        residue = np.einsum("ld,ld->d", difference, difference)
        best = int(residue.argmin())
        return math.sqrt(residue[best] / bands.size), float(overall[best]), best

    def _catch_up(self) -> None:
        """Work out the levels of what was played and heard since the last time; only speech over a prompt asks."""
        halves = g711.decode(b"".join(self._played)).reshape(-1, _HOP_SAMPLES)
        hops = np.concatenate([halves[1:-1], halves[2:]], axis=1)
        heard = np.frombuffer(b"".join(self._heard), dtype="<i2").reshape(-1, FRAME_SAMPLES)
        levels_db = _band_levels(np.concatenate([hops, heard]))
        _append(self._played_db, levels_db[: len(hops)])
        _append(self._heard_db, levels_db[len(hops) :])
        last = self._played[-1]
        self._played.clear()
        self._played.append(last)
        self._heard.clear()


def _append(columns: _Floats, rows: _Floats) -> None:
    """Add `rows` behind the `columns`, of which as many are lost in front."""
    columns[:, : -len(rows)] = columns[:, len(rows) :]
    columns[:, -len(rows) :] = rows.T


def _band_levels(windows: g711.Pcm) -> _Floats:
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
_EACH_BAND = np.eye(_BANDS, dtype=np.float32)
#: What white noise of unit variance adds to each band.
_NOISE_POWER = float(_WINDOW @ _WINDOW) * _FILTERS.sum(axis=0)
