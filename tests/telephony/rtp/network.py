"""A network between a talker and a jitter buffer, on a clock of its own: delay, jitter, loss, drift."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from voicebot import g711
from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME
from voicebot.telephony.rtp.jitter import Audio, JitterBuffer

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
VOICE = g711.encode((8000 * np.sin(np.arange(FRAME_SAMPLES) / 5)).astype(np.int16))


def as_it_is(payload: bytes) -> bytes:
    return payload


@dataclass(slots=True)
class Played:
    """What came out: `delays_ms` from sending to playing of every frame that was not concealed."""

    buffer: JitterBuffer
    frames: int = 0
    concealed: int = 0
    delays_ms: list[float] = field(default_factory=list)


def talk(
    seconds: float,
    *,
    loss: float = 0.0,
    jitter_s: float = 0.0,
    drift_ppm: float = 0.0,
    packet_ms: int = 20,
    speech_share: float = 0.8,
    start_timestamp: int = 0,
    seed: int = 1,
) -> Played:
    """Talk through the network into a new buffer; jitter is even between 0 and `jitter_s`."""
    chance = np.random.default_rng(seed)
    samples = packet_ms * SAMPLE_RATE_HZ // 1000
    arrivals: list[tuple[float, int]] = []
    count = round(seconds * 1000 / packet_ms)
    for index in range(count):
        if chance.random() >= loss:
            sent_s = index * packet_ms / 1000 / (1 + drift_ppm / 1e6)
            arrivals.append((sent_s + float(chance.random()) * jitter_s, index))
    arrivals.sort()
    played = Played(JitterBuffer())
    buffer, at = played.buffer, 0
    for tick in range(round(seconds / FRAME_S)):
        now_s = tick * FRAME_S + 0.007
        while at < len(arrivals) and arrivals[at][0] <= now_s:
            arrived_s, index = arrivals[at]
            timestamp = (start_timestamp + index * samples) % (1 << 32)
            is_speech = index * packet_ms % 5000 < 5000 * speech_share
            payload = (VOICE if is_speech else SILENT_FRAME) * (packet_ms // 10)
            buffer.put(Audio(timestamp, samples, payload[:samples], as_it_is), arrived_s)
            at += 1
        pulled = buffer.pull(now_s)
        if pulled is None:
            continue
        frame, concealed = pulled
        assert len(frame) == FRAME_SAMPLES
        played.frames += 1
        played.concealed += concealed
        if not concealed:
            played.delays_ms.append(buffer.delay_ms(now_s) + FRAME_S * 1000)
    return played
