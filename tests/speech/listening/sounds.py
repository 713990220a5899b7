"""Voices and the line for listening tests; coughs, music and the like are `voicebot.simulation.sounds`."""

from __future__ import annotations

import numpy as np

from tests.speech.spoken import FRAME_BYTES, spoken
from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.simulation.sounds import Wave, at_level, on_the_line
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.listening.models import SpeechModel
from voicebot.speech.listening.vad import FRAME_MS, SAMPLE_RATE_HZ, Activity, VoiceActivity


def samples(duration_ms: float) -> int:
    return round(duration_ms * SAMPLE_RATE_HZ / 1000)


def frame_at(duration_ms: float) -> int:
    """Return the number of the frame in which this moment lies."""
    return int(duration_ms / FRAME_MS)


def voice(text: str, level_dbfs: float = -22.0) -> Wave:
    """Return `text` spoken, without the silence around it."""
    wave = np.frombuffer(spoken(text), dtype="<i2").astype(np.float64)
    loud = np.flatnonzero(np.abs(wave) > 0.03 * np.abs(wave).max())
    return at_level(wave[loud[0] : loud[-1] + 1], level_dbfs)


def line(wave: Wave, noise_dbfs: float = -62.0) -> Pcm:
    """Return `wave` as the server hears it, with the same noise every time."""
    return on_the_line(wave, np.random.default_rng(7), noise_dbfs=noise_dbfs)


def frames(pcm: Pcm) -> list[bytes]:
    data = pcm.tobytes()
    return [data[at : at + FRAME_BYTES] for at in range(0, len(data) - FRAME_BYTES + 1, FRAME_BYTES)]


def activities(pcm: Pcm, *, prompt: Pcm | None = None) -> list[Activity]:
    """Judge a whole recording as one call's, with the echo of `prompt` known, if one is played meanwhile."""
    activity = VoiceActivity(SpeechModel())
    guard = EchoGuard()
    if prompt is not None:
        for frame in frames(prompt):
            guard.sent(g711.encode(np.frombuffer(frame, dtype=np.int16)))
    return [guard.judge(frame, activity.feed(frame)) for frame in frames(pcm)]
