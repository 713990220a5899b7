"""A leg that the recorder listens to, for whoever carries it without a pipeline: a bridge, or music."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from voicebot.media.transport import Tap
from voicebot.telephony.leg import AudioPlayed, CallLeg, FrameReceived, HangUpReason, LegEvent, LegInfo, key_sender


class Unrecorded:
    """In place of a recorder, for a line that nobody records."""

    def heard(self, frame: bytes, at_s: float) -> None: ...
    def sent(self, audio: bytes, at_s: float) -> None: ...
    def played(self, position_samples: int, at_s: float) -> None: ...
    def cut(self, position_samples: int, at_s: float) -> None: ...
    def secret(self, on: bool, at_s: float, *, bot: bool = False) -> None: ...  # noqa: FBT001  # a switch
    def close(self) -> None: ...


class TappedLeg:
    """A `CallLeg` like the one inside, everything said and heard on it also going to `tap`."""

    def __init__(self, leg: CallLeg, tap: Tap, clock: Callable[[], float]) -> None:
        self._leg = leg
        self._tap = tap
        self._clock = clock

    @property
    def inner(self) -> CallLeg:
        """The leg itself, for what only its kind can do."""
        return self._leg

    @property
    def info(self) -> LegInfo:
        return self._leg.info

    @property
    def sent_samples(self) -> int:
        return self._leg.sent_samples

    @property
    def queued_samples(self) -> int:
        return self._leg.queued_samples

    async def events(self) -> AsyncIterator[LegEvent]:
        async for event in self._leg.events():
            match event:
                case FrameReceived(payload, arrived_s):
                    self._tap.heard(payload, arrived_s)
                case AudioPlayed(position, at_s):
                    self._tap.played(position, at_s)
                case _:
                    pass
            yield event

    async def answer(self) -> None:
        await self._leg.answer()

    def send(self, frame: bytes) -> None:
        self._leg.send(frame)
        self._tap.sent(frame, self._clock())

    def clear(self) -> int:
        heard = self._leg.clear()
        self._tap.cut(heard, self._clock())
        return heard

    def send_keys(self, keys: str) -> None:
        if (send := key_sender(self._leg)) is not None:
            send(keys)

    async def hang_up(self, reason: HangUpReason) -> None:
        await self._leg.hang_up(reason)

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        self._leg.show_caption(speaker, text, final=final)
