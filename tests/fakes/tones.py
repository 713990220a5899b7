"""Tones by which two who talk over a line are told apart, and whether they are heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from voicebot import g711
from voicebot.simulation.line import CarrierLine

#: What each side of a test's call sounds like.
TONE_HZ = {"caller": 450, "agent": 1000}
#: For what comes at once on an idle machine.
PATIENCE_S = 60.0


def tone(hz: int, seconds: float) -> bytes:
    """Return a tone, mu-law at 8 kHz."""
    samples = 8000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * 8000)) / 8000)
    return g711.encode(samples.astype(np.int16))


def loudness_at(mulaw: bytes, hz: int) -> float:
    """Return how much of the sound is at one frequency, 0 to 1."""
    samples = g711.decode(mulaw).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    around = np.abs(np.fft.rfftfreq(len(samples), 1 / 8000) - hz) < 20
    return float(spectrum[around].sum() / max(1.0, spectrum.sum()))


def is_heard(mulaw: bytes | bytearray, hz: int) -> bool:
    """Tell whether half a second of the last two that came was mostly at one frequency."""
    latest = bytes(mulaw[-16000:])
    return any(loudness_at(latest[at : at + 4000], hz) > 0.5 for at in range(0, len(latest) - 3999, 2000))


async def until(is_so: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Wait until something is so; TimeoutError when it does not come to be."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.1)


async def hear_each_other(
    agent_says: Callable[[bytes], object],
    agent_heard: Callable[[], bytes | bytearray],
    caller: CarrierLine,
    caller_heard: Callable[[], bytes | bytearray],
) -> None:
    """Have both sides of a call speak until each hears the other; TimeoutError when one does not.

    They talk for three seconds more, since who is gone sooner has served nobody. The caller is silent afterwards:
    whoever talks on has the bot's goodbye wait.
    """
    agent_says(tone(TONE_HZ["agent"], PATIENCE_S))
    caller.speak(tone(TONE_HZ["caller"], PATIENCE_S))
    await until(lambda: is_heard(agent_heard(), TONE_HZ["caller"]))
    await until(lambda: is_heard(caller_heard(), TONE_HZ["agent"]))
    enough = len(caller_heard()) + 3 * 8000
    await until(lambda: len(caller_heard()) >= enough)
    caller.say_nothing_more()
