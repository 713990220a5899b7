"""Sounds for listening tests: voices, coughs, music, noise and echo, through mu-law as the telephone would."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.speech.spoken import FRAME_BYTES, spoken
from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.listening.models import SpeechModel
from voicebot.speech.listening.vad import FRAME_SAMPLES, SAMPLE_RATE_HZ, Activity, VoiceActivity

_Wave = npt.NDArray[np.float64]


def samples(duration_ms: float) -> int:
    """Return a whole number of frames' worth of samples."""
    return round(duration_ms * SAMPLE_RATE_HZ / 1000 / FRAME_SAMPLES) * FRAME_SAMPLES


def silence(duration_ms: float) -> _Wave:
    return np.zeros(samples(duration_ms))


def voice(text: str, level_dbfs: float = -22.0) -> _Wave:
    """Return `text` spoken, without the silence around it."""
    wave = np.frombuffer(spoken(text), dtype="<i2").astype(np.float64)
    loud = np.flatnonzero(np.abs(wave) > 0.03 * np.abs(wave).max())
    return at_level(wave[loud[0] : loud[-1] + 1], level_dbfs)


def at_level(wave: _Wave, level_dbfs: float) -> _Wave:
    return wave * float(32768.0 * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(wave**2)))


def hiss(duration_ms: float, level_dbfs: float, seed: int = 1) -> _Wave:
    return at_level(np.random.default_rng(seed).standard_normal(samples(duration_ms)), level_dbfs)


def cough(seed: int = 1) -> _Wave:
    """Return 340 ms: a burst of air with a sharp start, then a rougher, weaker one."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(samples(340)) / SAMPLE_RATE_HZ
    shape = np.exp(-seconds / 0.07) + 0.5 * np.exp(-((seconds - 0.2) ** 2) / 0.002)
    air = np.convolve(rng.standard_normal(seconds.size), [1.0, 0.2, -0.5], mode="same")
    return at_level(air * shape, -18.0)


def music(duration_ms: float) -> _Wave:
    """Return chords that change twice a second, each note plucked, with overtones."""
    seconds = np.arange(samples(duration_ms)) / SAMPLE_RATE_HZ
    wave = np.zeros(seconds.size)
    for number, chord in enumerate([(262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294)] * 20):
        since = seconds - 0.5 * number
        plucked = np.where(since >= 0, np.exp(-np.maximum(since, 0) / 0.4), 0.0)
        for note in chord:
            wave += plucked * sum(np.sin(2 * np.pi * note * k * since) / k for k in (1, 2, 3))
    return at_level(wave, -24.0)


def mixed(*parts: _Wave) -> _Wave:
    """Return the sum, as long as the longest."""
    total = np.zeros(max(part.size for part in parts))
    for part in parts:
        total[: part.size] += part
    return total


def line(wave: _Wave, noise_dbfs: float = -62.0) -> Pcm:
    """Return `wave` as the server hears it: with line noise, through mu-law."""
    noisy = mixed(wave, hiss(wave.size * 1000 / SAMPLE_RATE_HZ, noise_dbfs, seed=7))
    return g711.decode(g711.encode(np.clip(noisy, -32768, 32767).astype(np.int16)))


def frames(pcm: Pcm) -> list[bytes]:
    data = pcm.tobytes()
    return [data[at : at + FRAME_BYTES] for at in range(0, len(data) - FRAME_BYTES + 1, FRAME_BYTES)]


def activities(pcm: Pcm, *, prompt: Pcm | None = None) -> list[Activity]:
    """Judge a whole recording as one call's, with the echo of `prompt` known, if one is played meanwhile."""
    activity = VoiceActivity(SpeechModel())
    guard = EchoGuard()
    if prompt is not None:
        guard.sent(g711.encode(prompt))
    return [guard.judge(frame, activity.feed(frame)) for frame in frames(pcm)]
