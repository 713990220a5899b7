"""A call's session against a scripted dialog and a line without audio, for the tests of this folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from tests.fakes.dialog import Answer, Parrot, ScriptedDialog
from tests.fakes.journal import MemoryJournal
from tests.fakes.leg import FakeLeg
from tests.fakes.line import FakeLine
from voicebot.calls.plan import CallPlan
from voicebot.calls.seams import History, StandingPrompts, no_history
from voicebot.calls.session import CallSession
from voicebot.calls.transfer.handing_over import Transfers
from voicebot.dialog.actions import (
    Action,
    EndCall,
    Listen,
    PromptPart,
    RecordDecision,
    RecordingAction,
    Say,
)
from voicebot.dialog.events import (
    CallerHungUp,
    CallerSpoke,
    CallMustEnd,
    CallStarted,
    Event,
    SlotValue,
)
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.media.events import (
    LineEnded,
    LineEvent,
)
from voicebot.records.metrics import Metrics
from voicebot.telephony.leg import LegEnded

OPEN = Expectation("open", (AnswerKind.OPEN,), no_input_s=60)
PIN = Expectation("pin", (AnswerKind.DIGITS,), secret=True, no_input_s=60)
PROMPTS = StandingPrompts("one moment", "voice is gone", "something broke")


@dataclass(frozen=True)
class Answered:
    outcome: str = "ok"
    result: Mapping[str, SlotValue | None] = field(default_factory=dict)


class SlowSystems:
    """Answers after `delay_s`, or fails."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.trouble: Exception | None = None
        self.keys: list[str | None] = []
        self.finished = 0

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> Answered:
        self.keys.append(idempotency_key)
        await asyncio.sleep(self.delay_s)
        if self.trouble is not None:
            raise self.trouble
        self.finished += 1
        return Answered(result={"balance": 12})


class SilentTape:
    def __init__(self) -> None:
        self.secrets: list[bool] = []
        self.bot_secrets: list[bool] = []
        self.closed = False

    def heard(self, frame: bytes, at_s: float) -> None: ...
    def sent(self, audio: bytes, at_s: float) -> None: ...
    def played(self, position_samples: int, at_s: float) -> None: ...
    def cut(self, position_samples: int, at_s: float) -> None: ...
    def secret(self, on: bool, at_s: float, *, bot: bool = False) -> None:
        self.secrets.append(on)
        self.bot_secrets.append(bot)

    def close(self) -> None:
        self.closed = True


def say(text: str, *, prompt: str = "p") -> Say:
    return Say(prompt, (PromptPart(text),))


class Stage:
    """A running call and everything around it."""

    def __init__(
        self,
        answer: Answer,
        *,
        max_call_s: float = 600,
        speaks: bool = True,
        mute: frozenset[str] = frozenset(),
        transfers: Transfers | None = None,
        history: History = no_history,
    ) -> None:
        self._speaks = speaks
        self._mute = mute
        self.leg = FakeLeg()
        self.dialog = ScriptedDialog(answer)
        self.journal = MemoryJournal()
        self.systems = SlowSystems()
        self.tape = SilentTape()
        self.steered: list[tuple[str, RecordingAction]] = []
        self.lines: list[FakeLine] = []
        self.session = CallSession(
            CallPlan("call-1", "recordings/call-1.wav", "UTC", 1, max_call_s, PROMPTS),
            self.leg,
            dialog=self.dialog,
            understanding=Parrot(),
            operations=self.systems,
            make_line=self._make_line,
            journal=self.journal,
            meter=Metrics(CollectorRegistry()),
            recording=self.tape,
            clock=asyncio.get_running_loop().time,
            now=lambda: datetime.now(UTC),
            transfers=transfers,
            history=history,
            steer_recording=lambda call_id, action: self.steered.append((call_id, action)),
        )
        self.running = asyncio.create_task(self.session.run())
        self._listener = asyncio.create_task(self._carry_leg_events())

    def _make_line(self, on_event: Callable[[LineEvent], None]) -> FakeLine:
        self.lines.append(FakeLine(on_event, speaks=self._speaks, mute=self._mute))
        return self.lines[0]

    @property
    def line(self) -> FakeLine:
        return self.lines[0]

    async def _carry_leg_events(self) -> None:
        async for event in self.leg.events():
            if isinstance(event, LegEnded):
                self.line.on_event(LineEnded(event.cause, event.at_s))

    def heard(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.dialog.events if isinstance(event, kind)]

    async def finish(self) -> None:
        async with asyncio.timeout(20):
            await self.running


@contextlib.asynccontextmanager
async def stage(answer: Answer, *, max_call_s: float = 600) -> AsyncIterator[Stage]:
    made = Stage(answer, max_call_s=max_call_s)
    try:
        yield made
    finally:
        if not made.running.done():
            made.leg.end()
        await made.finish()


def greet(event: Event) -> Sequence[Action]:
    """Greet, listen, and end politely on "bye"."""
    match event:
        case CallStarted():
            return [say("hello"), Listen(OPEN)]
        case CallerSpoke(interpretations=(best, *_)) if best.text == "bye":
            return [say("goodbye"), EndCall("completed")]
        case CallerSpoke():
            return [RecordDecision("echo", "main", "open", "other", 0.8), say("and now"), Listen(OPEN)]
        case CallMustEnd():
            return [say("time is up"), EndCall("too_long")]
        case CallerHungUp():
            return [EndCall("hung_up")]
        case _:
            return []
