"""A SIP call as a `CallLeg`: joins the call's dialog to its audio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import structlog

from voicebot.errors import LocalProtocolError
from voicebot.telephony.inbox import LegInbox
from voicebot.telephony.leg import (
    FRAME_BYTES,
    AudioPlayed,
    EndCause,
    HangUpReason,
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegEvent,
    LegInfo,
)
from voicebot.telephony.sip.call import Call, Party
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.reason import Q850_NORMAL
from voicebot.telephony.sip.refer import Referral

_log = structlog.get_logger()

_REASONS = {
    HangUpReason.COMPLETED: Q850_NORMAL,
    HangUpReason.REFUSED_BUSY: "Q.850;cause=17",
    HangUpReason.SHUTTING_DOWN: "Q.850;cause=41",
    HangUpReason.TOO_LONG: "Q.850;cause=31",
    HangUpReason.FAILED: "Q.850;cause=41",
}


class Signalling(Protocol):
    """A call on its way to its answer."""

    @property
    def call(self) -> Call: ...
    async def ring(self) -> None: ...
    async def progress(self) -> None: ...
    async def answer(self) -> None: ...
    def refuse_for(self, reason: HangUpReason) -> None: ...


class Answered:
    """The signalling of a call that is answered already: one of ours."""

    def __init__(self, call: Call) -> None:
        self.call = call

    async def ring(self) -> None:
        """Do nothing: the call is answered."""

    async def progress(self) -> None:
        """Do nothing: the call is answered."""

    async def answer(self) -> None:
        """Do nothing: the call is answered."""

    def refuse_for(self, reason: HangUpReason) -> None:
        """Hang up, since a call that is answered cannot be refused."""
        self.call.end(EndCause.WE_HUNG_UP, _REASONS[reason])


#: Decides about a REFER that came on a leg, and carries it out.
OnReferral = Callable[["SipLeg", Call, Referral], bool]


class SipLeg:
    """One SIP call. Whoever has it awaits `run()`, which returns when the call has ended and its audio is closed.

    `signal` makes the call's signalling, whose party is this leg.
    """

    def __init__(
        self,
        info: LegInfo,
        media: Media,
        signal: Callable[[Party], Signalling],
        *,
        clock: Callable[[], float],
        on_referral: OnReferral,
    ) -> None:
        self.info = info
        self._media = media
        self._clock = clock
        self._on_referral = on_referral
        self._inbox = LegInbox()
        self._over = asyncio.Event()
        self._sent_samples = 0
        #: What had been sent before the audio there is now.
        self._base_samples = 0
        self._cause: EndCause | None = None
        self._answered = False
        self._log = _log.bind(leg_id=info.leg_id, channel=info.channel)
        self._signalling = signal(self)
        self._pumping = self.call.endpoint.loop.create_task(self._pump(media, 0))

    @property
    def call(self) -> Call:
        return self._signalling.call

    @property
    def is_over(self) -> bool:
        return self._cause is not None

    @property
    def sent_samples(self) -> int:
        return self._sent_samples

    @property
    def queued_samples(self) -> int:
        return self._media.queued_samples

    def events(self) -> AsyncIterator[LegEvent]:
        return self._inbox.events()

    async def ring(self) -> None:
        """Tell the caller that the call has arrived."""
        await self._signalling.ring()

    async def progress(self) -> None:
        """Let audio pass before the call is answered."""
        await self._signalling.progress()

    async def answer(self) -> None:
        await self._signalling.answer()
        if not self._answered and self._cause is None:
            self._answered = True
            self._inbox.put(LegAnswered(self._clock()))

    def send(self, frame: bytes) -> None:
        if len(frame) != FRAME_BYTES:
            raise LocalProtocolError(f"A frame has {FRAME_BYTES} bytes, not {len(frame)}.")
        if self._cause is None:
            self._sent_samples += FRAME_BYTES
            self._media.send(frame)

    def clear(self) -> int:
        return self._base_samples + self._media.clear()

    def send_keys(self, keys: str) -> None:
        """Send keys as telephone events."""
        self._media.send_keys(keys)

    async def hold(self, *, held: bool) -> None:
        """Put the party on hold or take it back; raises `RequestRefused` or `NoAnswer`."""
        await self.call.hold(held=held)

    async def hang_up(self, reason: HangUpReason) -> None:
        if self._cause is None:
            if self.call.state == "early":
                self._signalling.refuse_for(reason)
            else:
                self.call.end(EndCause.WE_HUNG_UP, _REASONS[reason])

    def leave(self) -> None:
        """End the leg because the party was transferred elsewhere."""
        self.call.end(EndCause.REDIRECTED, Q850_NORMAL)

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""

    def move_to(self, signalling: Signalling, media: Media) -> None:
        """Go on with another call and its audio, as after a transfer; the audio there was is closed, not the call."""
        left, self._media, self._signalling = self._media, media, signalling
        signalling.call.party = self
        self._base_samples = self._sent_samples
        self._pumping.cancel()
        self._pumping = signalling.call.endpoint.loop.create_task(self._pump(media, self._base_samples))
        signalling.call.endpoint.start(left.close())
        self._log.info("leg goes on with another call", sip_call_id=signalling.call.dialog.id.call_id)

    async def run(self) -> None:
        """Carry the call's audio until either side ends it."""
        try:
            await self._over.wait()
        finally:
            if self.call.is_confirmed:
                # Whoever carried the leg has let go of it; a call without a leg would go on for ever.
                self.call.end(EndCause.CONNECTION_LOST, Q850_NORMAL)
            self._end(EndCause.CONNECTION_LOST)
            self._pumping.cancel()
            await asyncio.gather(self._pumping, return_exceptions=True)
            await self._media.close()

    async def _pump(self, media: Media, base_samples: int) -> None:
        """Pass on what the audio tells; positions count from the leg's own beginning."""
        async for event in media.events():
            match event:
                case LegEnded(cause=cause):
                    self.call.end(cause, 'SIP;cause=408;text="no audio"')
                    return
                case AudioPlayed(position_samples=position, at_s=at_s):
                    self._inbox.put(AudioPlayed(base_samples + position, at_s))
                case _:
                    self._inbox.put(event)

    # What the call tells

    def keyed(self, key: str, duration_ms: int | None) -> None:
        self._inbox.put(KeyPressed(key, self._clock(), duration_ms))

    def ended(self, call: Call, cause: EndCause) -> None:
        if call is self.call:
            self._end(cause)

    def referred(self, call: Call, referral: Referral) -> bool:
        return self._on_referral(self, call, referral)

    def _end(self, cause: EndCause) -> None:
        if self._cause is not None:
            return
        self._cause = cause
        self._inbox.put(LegEnded(cause, self._clock()))
        self._over.set()
        self._log.info("leg ended", cause=cause)
