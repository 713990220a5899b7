"""Both directions of a call on one clock, as the caller's telephone carries them."""

from __future__ import annotations

import numpy as np

from voicebot.wav import write_wav_mulaw


class Tape:
    """Grows by one frame of each side every 20 ms; the left channel is the caller, the right one the bot."""

    def __init__(self) -> None:
        self._caller = bytearray()
        self._bot = bytearray()

    def add(self, caller: bytes, bot: bytes) -> None:
        """Append one frame of each side; both have the same length."""
        self._caller += caller
        self._bot += bot

    @property
    def caller(self) -> bytes:
        return bytes(self._caller)

    @property
    def bot(self) -> bytes:
        return bytes(self._bot)

    def wav(self) -> bytes:
        """Return a two-channel mu-law WAV file at 8 kHz."""
        sides = (np.frombuffer(bytes(side), np.uint8) for side in (self._caller, self._bot))
        return write_wav_mulaw(np.stack(list(sides), axis=1).tobytes(), channels=2)
