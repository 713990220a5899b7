"""Joins two legs in process: what one party says, the other hears, whatever carries either of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from voicebot.media.drift import Elastic
from voicebot.telephony.leg import (
    AudioPlayed,
    CallLeg,
    Capability,
    EndCause,
    FrameReceived,
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegEvent,
    LegHeld,
)

_log = structlog.get_logger()


class Side(StrEnum):
    CALLER = "caller"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class BridgeEnded:
    """The leg that ended first."""

    side: Side
    cause: EndCause


#: Sees everything that either party does while bridged; must not block.
Observe = Callable[[Side, LegEvent], None]
SendKeys = Callable[[str], None]


class _Way:
    """One direction: from `source` to `sink`."""

    def __init__(self, sink: CallLeg, send_keys: SendKeys | None) -> None:
        self._sink = sink
        self._send_keys = send_keys
        self.elastic = Elastic(sink.queued_samples, measured=_measures(sink))
        self.passes_keys = send_keys is not None

    def begin(self) -> None:
        """Start over with what waits in the leg now."""
        self.elastic = Elastic(self._sink.queued_samples, measured=_measures(self._sink))

    def forward(self, frame: bytes) -> None:
        for _ in range(self.elastic.copies(frame, self._sink.queued_samples)):
            self._sink.send(frame)

    def press(self, key: str) -> None:
        if self.passes_keys and self._send_keys is not None:
            self._send_keys(key)


def _measures(sink: CallLeg) -> bool:
    """Tell whether a leg paces its audio itself and so knows what waits, where a carrier would have to report it."""
    return Capability.PLAYBACK_CONFIRMED not in sink.info.capabilities


class Bridge:
    """Carries audio both ways from `run` until a leg ends or `run` is cancelled; then the legs are the owner's again.

    Nobody else may consume the legs' `events` meanwhile: `observe` is told of all of them, for recording and
    transcription. `keys_to_caller` and `keys_to_agent` send a key to that leg, None where keys go no further.
    """

    def __init__(
        self,
        caller: CallLeg,
        agent: CallLeg,
        *,
        clock: Callable[[], float],
        observe: Observe,
        keys_to_caller: SendKeys | None = None,
        keys_to_agent: SendKeys | None = None,
    ) -> None:
        self._caller = caller
        self._agent = agent
        self._observe = observe
        self._clock = clock
        self._to_agent = _Way(agent, keys_to_agent)
        self._to_caller = _Way(caller, keys_to_caller)

    def withhold_keys(self, *, on: bool) -> None:
        """Keep the caller's keys from the agent while a payment is taken."""
        self._to_agent.passes_keys = not on

    async def run(self) -> BridgeEnded:
        """Carry audio until either leg ends, and return which did."""
        began_s = self._clock()
        ways = (self._to_agent, self._to_caller)
        for way in ways:
            way.begin()
        tasks = [
            asyncio.create_task(self._read(Side.CALLER, self._caller, self._to_agent, self._to_caller)),
            asyncio.create_task(self._read(Side.AGENT, self._agent, self._to_caller, self._to_agent)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            _log.info(
                "bridge ended",
                seconds=round(self._clock() - began_s, 1),
                dropped=sum(way.elastic.dropped for way in ways),
                doubled=sum(way.elastic.doubled for way in ways),
            )

    async def _read(self, side: Side, leg: CallLeg, onward: _Way, back: _Way) -> BridgeEnded:
        """Pass on what a party does; what it reports as played steers the way towards it."""
        async for event in leg.events():
            self._observe(side, event)
            match event:
                case FrameReceived(payload):
                    onward.forward(payload)
                case KeyPressed(key):
                    onward.press(key)
                case AudioPlayed():
                    back.elastic.reported()
                case LegEnded(cause):
                    return BridgeEnded(side, cause)
                case LegAnswered() | LegHeld():
                    pass
        return BridgeEnded(side, EndCause.CONNECTION_LOST)
