"""When the bot speaks and when it has paused, from what the caller hears. Pure; the clock comes in."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.simulation.loudness import is_audible
from voicebot.telephony.leg import FRAME_BYTES, FRAME_MS

#: Kept from before the first audible frame: soft consonants begin quietly.
_LEAD_FRAMES = 8

#: Silence longer than a consonant's.
_STOPPED_S = 0.15


@dataclass(frozen=True, slots=True)
class BotBegan:
    at_s: float


@dataclass(frozen=True, slots=True)
class BotPaused:
    """The bot spoke from `began_s` to `ended_s`; `mulaw` is what was heard, pauses inside and a margin included."""

    began_s: float
    ended_s: float
    mulaw: bytes


class Attention:
    """Fed every frame the caller hears. A pause is `pause_s` of silence after speech."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._lead = b""
        self._heard = bytearray()
        self._began_s: float | None = None
        self._last_audible_s = 0.0

    @property
    def bot_speaks(self) -> bool:
        return self._began_s is not None

    def hear(self, frame: bytes, at_s: float) -> BotBegan | BotPaused | None:
        """Take the frame whose end was heard at `at_s`."""
        audible = is_audible(frame)
        if audible:
            self._last_audible_s = at_s
        if self._began_s is None:
            self._lead = (self._lead + frame)[-_LEAD_FRAMES * FRAME_BYTES :]
            if not audible:
                return None
            self._began_s = at_s - FRAME_MS / 1000
            self._heard = bytearray(self._lead)
            return BotBegan(self._began_s)
        self._heard += frame
        if at_s - self._last_audible_s < self._pause_s:
            return None
        return self.finish()

    def split(self, now_s: float) -> BotPaused | None:
        """Return what was heard of an utterance that has stopped by `now_s` but had no full pause yet."""
        if self._began_s is None or now_s - self._last_audible_s < _STOPPED_S:
            return None
        return self.finish()

    def finish(self) -> BotPaused | None:
        """Return what was heard of an utterance that never came to its pause, because the call ended."""
        if self._began_s is None:
            return None
        paused = BotPaused(self._began_s, self._last_audible_s, bytes(self._heard))
        self._began_s, self._lead = None, b""
        return paused
