"""Joins legs in process: what one party says, the others hear, whatever carries any of them. Two, or three mixed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import structlog

from voicebot import g711
from voicebot.media.drift import Elastic
from voicebot.telephony.leg import (
    FRAME_MS,
    SILENT_FRAME,
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
    key_sender,
)
from voicebot.telephony.rtp.events import tones

_log = structlog.get_logger()

#: A party's frames are mixed once so many wait, so that those that come in bunches leave no gaps.
_WAITING_FRAMES = 2
#: How long a key sounds where it goes as a tone, and the silence after it.
_KEY_MS, _KEY_GAP_MS = 160, 80
#: More than these are older than anybody should hear.
_MOST_FRAMES = 5


class Side(StrEnum):
    CALLER = "caller"
    AGENT = "agent"
    #: Somebody the agent has asked into the call.
    THIRD = "third"


@dataclass(frozen=True, slots=True)
class BridgeEnded:
    """The leg that ended first."""

    side: Side
    cause: EndCause


#: Sees everything that a party does while bridged, once it was passed on; must not block.
Observe = Callable[[Side, LegEvent], None]
#: Is told of every key that a party presses; whoever it is for gets it by `send_key`.
Pressed = Callable[[Side, str], None]


class _Way:
    """What one party hears of the others."""

    def __init__(self, sink: CallLeg) -> None:
        self._sink = sink
        self._send_key = key_sender(sink)
        self._tones: deque[bytes] = deque()
        self.elastic = Elastic(sink.queued_samples, measured=_measures(sink))

    def begin(self) -> None:
        """Start over with what waits in the leg now."""
        self.elastic = Elastic(self._sink.queued_samples, measured=_measures(self._sink))

    def forward(self, frame: bytes) -> None:
        if self._tones:
            # In the place of what is said, frame for frame: nothing is sent later for a key.
            frame = self._tones.popleft()
        for _ in range(self.elastic.copies(frame, self._sink.queued_samples)):
            self._sink.send(frame)

    def press(self, key: str) -> None:
        """Send a key as a message where the leg can, else as a tone in the audio, which any telephone understands."""
        if self._send_key is not None:
            self._send_key(key)
        else:
            self._tones += tones(key, key_ms=_KEY_MS, gap_ms=_KEY_GAP_MS)


def _measures(sink: CallLeg) -> bool:
    """Tell whether a leg paces its audio itself and so knows what waits, where a carrier would have to report it."""
    return Capability.PLAYBACK_CONFIRMED not in sink.info.capabilities


class Bridge:
    """Carries audio both ways from `run` until a leg ends or `run` is cancelled; then the legs are the owner's again.

    Nobody else may consume the legs' `events` meanwhile: `observe` is told of all of them, for recording and
    transcription. Keys go to `pressed`; without it, to the other party.
    """

    def __init__(
        self,
        caller: CallLeg,
        agent: CallLeg,
        *,
        clock: Callable[[], float],
        observe: Observe,
        pressed: Pressed | None = None,
    ) -> None:
        self._caller = caller
        self._agent = agent
        self._observe = observe
        self._clock = clock
        self._to_agent = _Way(agent)
        self._to_caller = _Way(caller)
        self._pressed = pressed

    def send_key(self, side: Side, key: str) -> None:
        """Let a party have a key."""
        (self._to_caller if side is Side.CALLER else self._to_agent).press(key)

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
            match event:
                case FrameReceived(payload):
                    onward.forward(payload)
                case KeyPressed(key):
                    if self._pressed is None:
                        onward.press(key)
                    else:
                        self._pressed(side, key)
                case AudioPlayed():
                    back.elastic.reported()
                case LegEnded() | LegAnswered() | LegHeld():
                    pass
            self._observe(side, event)
            if isinstance(event, LegEnded):
                return BridgeEnded(side, event.cause)
        return BridgeEnded(side, EndCause.CONNECTION_LOST)


class _Voice:
    """What one party says, taken a frame at a time by a clock that is not theirs."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._flows = False

    def put(self, frame: bytes) -> None:
        self._frames.append(frame)
        if len(self._frames) > _MOST_FRAMES:
            while len(self._frames) > _WAITING_FRAMES:
                self._frames.popleft()

    def take(self) -> bytes | None:
        """Return the next frame; None while there is none, or too few to go on with."""
        self._flows = bool(self._frames) and (self._flows or len(self._frames) >= _WAITING_FRAMES)
        return self._frames.popleft() if self._flows else None


class Conference:
    """Mixes three parties from `run` until a leg ends or `run` is cancelled; then the legs are the owner's again.

    Everybody hears the others, never themselves. As with a `Bridge`, nobody else may read the legs meanwhile;
    `pressed` is told of every key.
    """

    def __init__(
        self,
        legs: Mapping[Side, CallLeg],
        *,
        clock: Callable[[], float],
        observe: Observe,
        pressed: Pressed,
    ) -> None:
        self._legs = dict(legs)
        self._clock = clock
        self._observe = observe
        self._pressed = pressed
        self._voices = {side: _Voice() for side in legs}
        self._ways = {side: _Way(leg) for side, leg in legs.items()}

    def send_key(self, side: Side, key: str) -> None:
        """Let a party have a key, if they are there."""
        if side in self._ways:
            self._ways[side].press(key)

    async def run(self) -> BridgeEnded:
        """Mix until a leg ends, and return which did."""
        for way in self._ways.values():
            way.begin()
        reading = [asyncio.create_task(self._read(side, leg)) for side, leg in self._legs.items()]
        mixing = asyncio.create_task(self._mix())
        try:
            done, _ = await asyncio.wait([*reading, mixing], return_when=asyncio.FIRST_COMPLETED)
            if mixing in done:
                await mixing  # it ends only by breaking down, and nobody would hear anybody any more
            return next(task.result() for task in reading if task in done)
        finally:
            for task in (*reading, mixing):
                task.cancel()
            await asyncio.gather(*reading, mixing, return_exceptions=True)
            _log.info("conference ended", parties=len(self._legs))

    async def _read(self, side: Side, leg: CallLeg) -> BridgeEnded:
        async for event in leg.events():
            match event:
                case FrameReceived(payload):
                    self._voices[side].put(payload)
                case KeyPressed(key):
                    self._pressed(side, key)
                case AudioPlayed():
                    self._ways[side].elastic.reported()
                case LegEnded() | LegAnswered() | LegHeld():
                    pass
            self._observe(side, event)
            if isinstance(event, LegEnded):
                return BridgeEnded(side, event.cause)
        return BridgeEnded(side, EndCause.CONNECTION_LOST)

    async def _mix(self) -> None:
        due_s = self._clock()
        while True:
            due_s += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due_s - self._clock()))
            said = {side: voice.take() for side, voice in self._voices.items()}
            for side, way in self._ways.items():
                way.forward(mixed([frame for other, frame in said.items() if other is not side and frame]))


def mixed(frames: list[bytes]) -> bytes:
    """Return one mu-law frame with all of `frames` in it; silence for none. What is too loud together is clipped."""
    if not frames:
        return SILENT_FRAME
    if len(frames) == 1:
        return frames[0]
    total = np.sum([g711.decode(frame) for frame in frames], axis=0, dtype=np.int32)
    return g711.encode(np.clip(total, -32768, 32767).astype(np.int16))
