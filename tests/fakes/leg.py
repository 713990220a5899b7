"""A leg whose party is the test: it plays our audio in real time like a carrier does, and says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from voicebot.telephony.leg import (
    FRAME_BYTES,
    FRAME_MS,
    SAMPLE_RATE_HZ,
    SILENT_FRAME,
    AudioPlayed,
    Capability,
    Channel,
    Direction,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegEnded,
    LegEvent,
    LegInfo,
)

#: How often playback is confirmed, as carriers' marks do.
_CONFIRM_EVERY_SAMPLES = 1600


def _now_s() -> float:
    """Return the loop's time, which is the monotonic clock's but in virtual time."""
    return asyncio.get_running_loop().time()


class FakeLeg:
    def __init__(self, caller: str = "+15550100", leg_id: str = "leg-1", *, keys_apart: bool = True) -> None:
        keys = {Capability.KEYS_APART} if keys_apart else set()
        self._info = LegInfo(
            leg_id,
            Channel.TWILIO,
            Direction.INBOUND,
            caller,
            "+15550199",
            capabilities=frozenset({Capability.PLAYBACK_CONFIRMED, *keys}),
        )
        self._events: asyncio.Queue[LegEvent] = asyncio.Queue()
        self._sent: list[bytes] = []
        self._begin_s: float | None = None
        self._base_samples = 0
        self._played = 0
        self._ticker: asyncio.Task[None] | None = None
        self.heard = bytearray()
        self.cleared = 0
        self.answered = False
        self.hung_up: HangUpReason | None = None
        self.captions: list[tuple[str, str, bool]] = []
        self.send_times_s: list[float] = []

    @property
    def info(self) -> LegInfo:
        return self._info

    @property
    def sent_samples(self) -> int:
        return len(self._sent) * FRAME_BYTES

    @property
    def queued_samples(self) -> int:
        return self.sent_samples - self._position()

    @property
    def queued_ms(self) -> int:
        return self.queued_samples * 1000 // SAMPLE_RATE_HZ

    async def answer(self) -> None:
        self.answered = True

    def send(self, frame: bytes) -> None:
        assert len(frame) == FRAME_BYTES
        if self.hung_up:
            return
        if self._position() >= self.sent_samples:
            self._begin_s = _now_s()
            self._base_samples = self.sent_samples
        self._sent.append(frame)
        self.send_times_s.append(_now_s())
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._play())

    def clear(self) -> int:
        position = self._position()
        self.cleared += 1
        self._hear(position)
        self._base_samples = self.sent_samples
        self._begin_s = None
        self._played = self.sent_samples
        return position

    async def hang_up(self, reason: HangUpReason) -> None:
        if self.hung_up is None:
            self.hung_up = reason
            self.end(EndCause.WE_HUNG_UP)

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        self.captions.append((speaker, text, final))

    async def events(self) -> AsyncIterator[LegEvent]:
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, LegEnded):
                if self._ticker:
                    self._ticker.cancel()
                return

    def end(self, cause: EndCause = EndCause.PEER_HUNG_UP) -> None:
        self._events.put_nowait(LegEnded(cause, _now_s()))

    def press(self, keys: str, at_s: float | None = None) -> None:
        for key in keys:
            self._events.put_nowait(KeyPressed(key, _now_s() if at_s is None else at_s, 100))

    async def speak(self, frames: Sequence[bytes], *, realtime: bool = True) -> None:
        """Send frames as the party, 20 ms apart by deadline."""
        start_s = _now_s()
        for index, frame in enumerate(frames):
            if realtime:
                await asyncio.sleep(max(0.0, start_s + index * FRAME_MS / 1000 - _now_s()))
            self._events.put_nowait(FrameReceived(frame, _now_s()))

    async def stay_silent(self, seconds: float) -> None:
        await self.speak([SILENT_FRAME] * round(seconds * 1000 / FRAME_MS))

    def _position(self) -> int:
        if self._begin_s is None:
            return self._base_samples
        elapsed = int((_now_s() - self._begin_s) * SAMPLE_RATE_HZ)
        return min(self.sent_samples, self._base_samples + elapsed)

    def _hear(self, position: int) -> None:
        audio = b"".join(self._sent)
        self.heard += audio[self._played : position]
        self._played = max(self._played, position)

    async def _play(self) -> None:
        confirmed = 0
        while True:
            await asyncio.sleep(0.02)
            position = self._position()
            if position - confirmed >= _CONFIRM_EVERY_SAMPLES or (
                position > confirmed and position == self.sent_samples
            ):
                confirmed = position
                self._hear(position)
                self._events.put_nowait(AudioPlayed(position, _now_s()))
