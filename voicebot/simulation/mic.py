"""A person as the caller: their microphone into the call, the bot out of their loudspeaker, keys from the keyboard."""

from __future__ import annotations

import asyncio
import importlib
import queue
import sys
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np

from voicebot import g711
from voicebot.errors import VoicebotError
from voicebot.simulation.line import CarrierLine
from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME

#: Frames of the bot kept for the loudspeaker before the oldest are dropped: its clock may be slower than ours.
_MOST_WAITING = 15
_KEYS = frozenset("0123456789*#ABCD")


class MicrophoneUnavailable(VoicebotError):
    """There is no way to hear or to be heard here; the message says what would help."""


class Microphone:
    """One microphone and one loudspeaker at the telephone's rate. Use headphones, or the bot hears itself.

    Raises MicrophoneUnavailable when made without the `microphone` extra, PortAudio or a sound card.
    """

    def __init__(self) -> None:
        self._sounddevice = _load_sounddevice()
        self._to_play: queue.Queue[bytes] = queue.Queue(_MOST_WAITING)
        self._loop = asyncio.get_running_loop()
        try:
            self._sounddevice.check_input_settings(samplerate=SAMPLE_RATE_HZ, channels=1, dtype="int16")
            self._sounddevice.check_output_settings(samplerate=SAMPLE_RATE_HZ, channels=1, dtype="int16")
        except (self._sounddevice.PortAudioError, ValueError) as error:
            raise MicrophoneUnavailable(
                f"no microphone or loudspeaker can be used ({error}); call with --text or --wav instead, or open the"
                " server's /call page in a browser"
            ) from error

    def hear(self, frame: bytes, at_s: float) -> None:
        """Take a frame of the bot for the loudspeaker; the line's listener."""
        del at_s
        if self._to_play.full():
            with suppress(queue.Empty):
                self._to_play.get_nowait()
        self._to_play.put_nowait(frame)

    async def talk(self, line: CarrierLine) -> None:
        """Carry the person's voice, and keys typed as a line, until the call or the standard input ends."""
        stream = self._sounddevice.Stream(
            samplerate=SAMPLE_RATE_HZ,
            blocksize=FRAME_SAMPLES,
            channels=1,
            dtype="int16",
            callback=lambda taken, given, *_: self._exchange(line, taken, given),
        )
        typing = asyncio.create_task(asyncio.to_thread(_type_keys, self._loop, line))
        with stream:
            await line.ended.wait()
        typing.cancel()

    def _exchange(self, line: CarrierLine, taken: Any, given: Any) -> None:
        """Runs in PortAudio's thread, 20 ms at a time."""
        said = g711.encode(np.ascontiguousarray(taken[:, 0]))
        self._loop.call_soon_threadsafe(line.speak, said)
        try:
            heard = self._to_play.get_nowait()
        except queue.Empty:
            heard = SILENT_FRAME
        given[:, 0] = g711.decode(heard)


def _type_keys(loop: asyncio.AbstractEventLoop, line: CarrierLine) -> None:
    for typed in sys.stdin:
        for key in typed.strip().upper():
            if key in _KEYS:
                loop.call_soon_threadsafe(line.press, key)


def _load_sounddevice(load: Callable[[str], ModuleType] = importlib.import_module) -> Any:
    try:
        return load("sounddevice")
    except (ImportError, OSError) as error:
        # sounddevice raises OSError where it is installed but PortAudio is not.
        raise MicrophoneUnavailable(
            f"the microphone cannot be used ({error}). Install it with: pip install sounddevice, and on Debian"
            " apt-get install libportaudio2; or call with --text or --wav"
        ) from error
