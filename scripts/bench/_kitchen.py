"""A kitchen in the background of a call, made by rule: an extractor fan, water, dishes, and people talking."""

from __future__ import annotations

import numpy as np

from voicebot.simulation.sounds import Wave, at_level

_RATE_HZ = 8000


def kitchen(duration_ms: float, rng: np.random.Generator) -> Wave:
    """Return the noise of a kitchen at -30 dBFS; only its mixture is fixed, everything else is drawn."""
    size = round(duration_ms * _RATE_HZ / 1000)
    fan = at_level(_shaped(size, 300.0, 2.0, rng) + _hum(size, rng), -34)
    water = at_level(_shaped(size, 2500.0, 0.5, rng) * _swelling(size, 3.0, rng), -38)
    voices = at_level(sum((_murmur(size, rng) for _ in range(4)), np.zeros(size)), -34)
    return at_level(fan + water + voices + _dishes(size, rng), -30)


def _shaped(size: int, knee_hz: float, order: float, rng: np.random.Generator) -> Wave:
    """Return noise that falls off above `knee_hz`."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= 1 + (np.fft.rfftfreq(size, 1 / _RATE_HZ) / knee_hz) ** order
    return np.fft.irfft(spectrum, size)


def _hum(size: int, rng: np.random.Generator) -> Wave:
    seconds = np.arange(size) / _RATE_HZ
    blades_hz = rng.uniform(90, 140)
    hum = sum(np.sin(2 * np.pi * blades_hz * k * seconds + rng.uniform(0, 6)) / k for k in range(1, 6))
    return np.asarray(hum) * 0.1


def _swelling(size: int, rate_hz: float, rng: np.random.Generator) -> Wave:
    """Return a slow rise and fall between 0.3 and 1."""
    points = max(2, round(size / _RATE_HZ * rate_hz) + 2)
    return np.interp(np.arange(size), np.linspace(0, size, points), rng.uniform(0.3, 1.0, points))


def _murmur(size: int, rng: np.random.Generator) -> Wave:
    """Return what is left of a voice from across the room: a buzz with moving formants in the rhythm of syllables."""
    seconds = np.arange(size) / _RATE_HZ
    pitch_hz = rng.uniform(100, 220) * (1 + 0.1 * (_swelling(size, 2.0, rng) - 0.65))
    source = np.sign(np.sin(2 * np.pi * np.cumsum(pitch_hz) / _RATE_HZ)) * np.abs(rng.standard_normal(size)) ** 0.2
    voice = np.zeros(size)
    for low_hz, high_hz in ((300, 800), (900, 2200)):
        formant_hz = low_hz + (high_hz - low_hz) * _swelling(size, 5.0, rng)
        voice += source * np.cos(2 * np.pi * np.cumsum(formant_hz) / _RATE_HZ)
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(3, 5) * seconds + rng.uniform(0, 6)), 0, 1)
    return voice * syllables * (_swelling(size, 0.7, rng) > 0.5)


def _dishes(size: int, rng: np.random.Generator) -> Wave:
    """Return plates and cutlery, about two a second, each a few ringing partials."""
    wave = np.zeros(size)
    for _ in range(rng.poisson(2.0 * size / _RATE_HZ)):
        start = int(rng.integers(size))
        seconds = np.arange(min(size - start, _RATE_HZ // 4)) / _RATE_HZ
        for partial_hz in rng.uniform(900, 3900, 4):
            ring = np.sin(2 * np.pi * partial_hz * seconds) * np.exp(-seconds / rng.uniform(0.01, 0.06))
            wave[start : start + seconds.size] += ring * rng.uniform(150, 700)
    return wave
