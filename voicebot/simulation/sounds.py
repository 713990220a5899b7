"""What else comes down a telephone line: coughs, music, tones, hiss and echo, made by rule at 8 kHz.

Waves are float64 in units of 16-bit samples, so that they can be mixed before `on_the_line` makes them what a server
hears.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voicebot import g711
from voicebot.g711 import Pcm

Wave = npt.NDArray[np.float64]

_RATE_HZ = 8000
_FULL_SCALE = 32768.0
#: Four chords of a slow progression, in Hz.
_CHORDS_HZ = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))
_CHORD_S = 0.5
#: North American ringback (ITU-T E.180 supplement 2): both tones together, 2 s on, 4 s off.
_RINGBACK_HZ = (440.0, 480.0)


def silence(duration_ms: float) -> Wave:
    return np.zeros(round(duration_ms * _RATE_HZ / 1000))


def wave_of(pcm: Pcm) -> Wave:
    """Return samples as a wave."""
    return pcm.astype(np.float64)


def at_level(wave: Wave, level_dbfs: float) -> Wave:
    """Return `wave` with its mean power at `level_dbfs`, 0 being a square wave of full scale."""
    return wave * float(_FULL_SCALE * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(wave**2)))


def mixed(*waves: Wave) -> Wave:
    """Return the sum, as long as the longest."""
    total = np.zeros(max(wave.size for wave in waves))
    for wave in waves:
        total[: wave.size] += wave
    return total


def hiss(duration_ms: float, level_dbfs: float, rng: np.random.Generator) -> Wave:
    """Return white noise."""
    return at_level(rng.standard_normal(round(duration_ms * _RATE_HZ / 1000)), level_dbfs)


def cough(rng: np.random.Generator, level_dbfs: float = -18.0) -> Wave:
    """Return 300 to 500 ms: a burst of air with a sharp start, then a rougher, weaker one over a hoarse hum.

    The three phases are those of recorded coughs (Korpas et al. 1996); their lengths and strengths are drawn.
    """
    second_s = rng.uniform(0.16, 0.28)
    seconds = np.arange(round((second_s + rng.uniform(0.14, 0.22)) * _RATE_HZ)) / _RATE_HZ
    air = np.convolve(rng.standard_normal(seconds.size), [1.0, rng.uniform(0.0, 0.6), -0.5], mode="same")
    shape = np.exp(-seconds / rng.uniform(0.04, 0.09))
    shape += rng.uniform(0.2, 0.6) * np.exp(-(((seconds - second_s) / 0.05) ** 2))
    hum = np.sign(np.sin(2 * np.pi * rng.uniform(110, 260) * seconds)) * np.exp(-(((seconds - second_s) / 0.06) ** 2))
    return at_level(air * shape + rng.uniform(0.0, 0.15) * hum, level_dbfs)


def hum(rng: np.random.Generator, level_dbfs: float = -24.0) -> Wave:
    """Return "mm-hmm" with closed lips, 350 to 550 ms: a low murmur, a breath, and a higher murmur.

    A nasal murmur has its energy about 250 Hz and little above 1 kHz (Fujimura 1962).
    """
    pitch_hz = rng.uniform(95, 230)
    first_s, breath_s, second_s = rng.uniform(0.12, 0.18), rng.uniform(0.03, 0.06), rng.uniform(0.18, 0.3)
    parts = [
        _murmur(first_s, pitch_hz, 0.95 * pitch_hz),
        0.02 * rng.standard_normal(round(breath_s * _RATE_HZ)),
        _murmur(second_s, 1.1 * pitch_hz, 1.35 * pitch_hz),
    ]
    return at_level(np.concatenate(parts), level_dbfs)


def _murmur(duration_s: float, from_hz: float, to_hz: float) -> Wave:
    seconds = np.arange(round(duration_s * _RATE_HZ)) / _RATE_HZ
    phase = 2 * np.pi * np.cumsum(np.linspace(from_hz, to_hz, seconds.size)) / _RATE_HZ
    wave = np.zeros(seconds.size)
    for number in range(1, round(3000 / from_hz)):
        strength = sum(
            g * np.exp(-(((number * from_hz - at) / 120) ** 2)) for g, at in ((1.0, 250), (0.12, 1000), (0.06, 2100))
        )
        wave += (strength + 0.005) * np.sin(number * phase)
    rise = np.minimum(1.0, np.minimum(seconds, duration_s - seconds) / 0.03)
    return wave * rise


def music(duration_ms: float, level_dbfs: float = -24.0) -> Wave:
    """Return plucked chords with overtones, two a second."""
    seconds = np.arange(round(duration_ms * _RATE_HZ / 1000)) / _RATE_HZ
    wave = np.zeros(seconds.size)
    for number in range(int(seconds.size / _RATE_HZ / _CHORD_S) + 1):
        since = seconds[round(number * _CHORD_S * _RATE_HZ) :] - number * _CHORD_S
        for note_hz in _CHORDS_HZ[number % len(_CHORDS_HZ)]:
            overtones = sum(np.sin(2 * np.pi * note_hz * k * since) / k for k in (1, 2, 3))
            wave[seconds.size - since.size :] += overtones * np.exp(-since / 0.4)
    return at_level(wave, level_dbfs)


def ringback(duration_ms: float, level_dbfs: float = -22.0) -> Wave:
    """Return the tone that a caller hears while it rings."""
    seconds = np.arange(round(duration_ms * _RATE_HZ / 1000)) / _RATE_HZ
    tones = sum(np.sin(2 * np.pi * hz * seconds) for hz in _RINGBACK_HZ)
    return at_level(np.asarray(tones), level_dbfs) * (seconds % 6.0 < 2.0)


def echo(wave: Wave, *, delay_ms: float, loss_db: float) -> Wave:
    """Return `wave` as it comes back: later and softer."""
    return np.concatenate([silence(delay_ms), wave * 10 ** (-loss_db / 20)])


def on_the_line(wave: Wave, rng: np.random.Generator, *, noise_dbfs: float = -62.0) -> Pcm:
    """Return `wave` as the server hears it: with line noise, clipped, through mu-law."""
    noisy = wave + hiss(wave.size * 1000 / _RATE_HZ, noise_dbfs, rng)
    return g711.decode(g711.encode(np.clip(noisy, -32768, 32767).astype(np.int16)))
