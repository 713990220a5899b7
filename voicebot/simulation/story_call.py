"""A story as a spoken call: its caller's lines are said, and the server's record is held against the story."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from voicebot.dialog.rehearsal import CallerStep, Exchange
from voicebot.dialog.story import (
    CallEnds,
    CallerPresses,
    CallerSays,
    GoalReached,
    Happening,
    Happens,
    SlotHolds,
    Story,
)
from voicebot.simulation.carrier import CallRefused, Network, Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.phrasebook import words_of
from voicebot.simulation.story_system import StorySystem
from voicebot.speech.synthesis.marks import plain_text

#: How often the record is looked at.
_POLL_S = 0.25
#: How long a reply may take to begin, and how many seconds a word of it may take to be said.
_REPLY_S, _WORD_S = 15.0, 0.7
#: How much longer a caller waits who says nothing: the bot first waits for them.
_SILENCE_S = 15.0
_KEY_GAP_S = 0.25
_END_S = 15.0
#: What no caller does by voice or keys, by why.
_UNSPEAKABLE = {
    Happening.NOT_HEARD: "the recogniser would have to fail",
    Happening.TALKS_TOO_LONG: "a caller would have to talk for minutes",
    Happening.TOO_LONG: "it takes the longest call there may be",
    Happening.SHUTTING_DOWN: "the server would have to stop",
}

Record = dict[str, Any]
#: Returns the server's record of a call by the carrier's name of it; None before there is one.
RecordOf = Callable[[str], Awaitable[Record | None]]


class Voice(Protocol):
    """Says a text in the caller's voice, mu-law at 8 kHz; `senses.Senses` does."""

    async def speak(self, text: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Misheard:
    """A caller's line and what the server made of it."""

    line: int
    said: str
    heard: str

    def __str__(self) -> str:
        return f"line {self.line}: '{self.said}' was heard as '{self.heard}'"


@dataclass(frozen=True, slots=True)
class StoryCall:
    """How it went: `problems` is empty when the record is as the story says, whatever was `misheard`."""

    story: Story
    problems: tuple[str, ...]
    misheard: tuple[Misheard, ...]
    took_s: float


def unspeakable(story: Story) -> str:
    """Why a story cannot be told by telephone; empty when it can."""
    if story.begins:
        return "it begins when a person has ended the call"
    if story.channel != "phone":
        return f"it goes by {story.channel}"
    whats = (step.what for step in story.steps if isinstance(step, Happens))
    return next((_UNSPEAKABLE[what] for what in whats if what in _UNSPEAKABLE), "")


async def call_story(
    story: Story,
    exchanges: Sequence[Exchange],
    *,
    network: Network,
    voice: Voice,
    record_of: RecordOf,
    system: StorySystem,
) -> StoryCall:
    """Tell `story` on a call of its own; `exchanges` is how it goes without audio. CarrierError without a server."""
    began_s = time.monotonic()
    lines = [exchange.caller.text for exchange in exchanges if isinstance(exchange.caller, CallerSays)]
    voiced = {text: await voice.speak(text) for text in lines}
    system.tell(story)
    try:
        async with network.dial(numbers=Numbers(caller=story.caller)) as line:
            call = _Call(line, voiced, record_of)
            problem = await call.follow(exchanges)
            if not problem and isinstance(story.steps[-1], CallEnds):
                problem = await call.see_the_end()
    except CallRefused as refusal:
        return StoryCall(story, (f"the server refused the call: {refusal.spoken}",), (), 0.0)
    record = await call.closed_record()
    problems = [*([problem] if problem else []), *system.surprises]
    if not problem:
        problems += [f"the story has {operation} asked, which it was not" for operation in system.unasked]
        problems += judge(story, record)
    return StoryCall(story, tuple(problems), misheard(story, record), time.monotonic() - began_s)


class _Call:
    def __init__(self, line: CarrierLine, voiced: dict[str, bytes], record_of: RecordOf) -> None:
        self._line = line
        self._voiced = voiced
        self._record_of = record_of
        self._seen = 0

    async def follow(self, exchanges: Sequence[Exchange]) -> str:
        """Act and listen in turn; return where the call and the story part ways, empty when nowhere."""
        for exchange in exchanges:
            if exchange.caller is not None:
                if self._line.end is not None:
                    return f"line {exchange.caller.line}: the bot had hung up"
                await self._act(exchange.caller)
            if hung_up(exchange.caller):
                return ""
            expected = [plain_text(text) for text in exchange.said]
            said = await self._said(expected, longer_s=_SILENCE_S if silent(exchange.caller) else 0.0)
            if said != expected:
                where = f"line {exchange.caller.line}" if exchange.caller else "at the start"
                return f"{where}: expected '{' '.join(expected)}', the bot said '{' '.join(said)}'"
        return ""

    async def _act(self, step: CallerStep) -> None:
        match step:
            case CallerSays(_, text):
                await self._line.speak(self._voiced[text]).finished.wait()
            case CallerPresses(_, keys):
                for key in keys:
                    self._line.press(key)
                    await asyncio.sleep(_KEY_GAP_S)
            case Happens(_, Happening.HANGS_UP):
                await self._line.hang_up()
            case Happens():
                return

    async def _said(self, expected: list[str], *, longer_s: float) -> list[str]:
        """Wait until the caller has heard all that is expected, or something else and then nothing more."""
        words = sum(len(text.split()) for text in expected)
        patience_s = _REPLY_S + longer_s + words * _WORD_S
        deadline_s = time.monotonic() + patience_s
        texts: list[str] = []
        while time.monotonic() < deadline_s:
            record = await self._record_of(self._line.call_sid)
            spoken = [turn["text"] for turn in record["turns"] if turn["speaker"] == "bot"] if record else []
            texts = spoken[self._seen :]
            if texts == expected or len(texts) > len(expected):
                break
            await asyncio.sleep(_POLL_S)
        self._seen += len(texts)
        return texts

    async def see_the_end(self) -> str:
        """Wait for the bot to hang up."""
        try:
            async with asyncio.timeout(_END_S):
                await self._line.ended.wait()
        except TimeoutError:
            return "the bot did not hang up at the end of the story"
        return ""

    async def closed_record(self) -> Record:
        """Return the record once it is complete; what there is of it when that takes too long."""
        deadline_s = time.monotonic() + _END_S
        while True:
            record = await self._record_of(self._line.call_sid)
            if (record is not None and record["ended_at"] is not None) or time.monotonic() > deadline_s:
                return record or {}
            await asyncio.sleep(_POLL_S)


def hung_up(step: CallerStep | None) -> bool:
    """Tell whether the caller has left by `step`."""
    return isinstance(step, Happens) and step.what is Happening.HANGS_UP


def silent(step: CallerStep | None) -> bool:
    """Tell whether the caller says nothing in `step`."""
    return isinstance(step, Happens) and step.what is Happening.SILENT


def judge(story: Story, record: Record) -> list[str]:
    """Hold a call's record against its story: slots, goals and how it ended. One sentence for each difference."""
    problems: list[str] = []
    turns = record.get("turns", [])
    held = {(name, value) for turn in turns for name, value in turn["slots"].items()}
    unwritten = any(turn["secret"] for turn in turns)
    for step in story.steps:
        match step:
            case SlotHolds(line, slot, text) if (slot, text) not in held and not unwritten:
                problems.append(f"line {line}: '{slot}' never held {text}")
            case CallEnds(line, outcome) if record.get("outcome") != outcome:
                problems.append(f"line {line}: the call ended '{record.get('outcome')}', not '{outcome}'")
            case _:
                pass
    goals = [step.goal for step in story.steps if isinstance(step, GoalReached)]
    if goals and not record.get("goal_reached"):
        problems.append(f"the goal '{goals[-1]}' was not reached")
    return problems


def misheard(story: Story, record: Record) -> tuple[Misheard, ...]:
    """Which of the caller's lines the server heard otherwise, as far as the call went. Secret ones are not kept."""
    lines = [step for step in story.steps if isinstance(step, CallerSays | CallerPresses)]
    turns = [turn for turn in record.get("turns", []) if turn["speaker"] == "caller"]
    found: list[Misheard] = []
    for step, turn in zip(lines, turns, strict=False):
        if isinstance(step, CallerSays) and not turn["secret"] and words_of(turn["text"]) != words_of(step.text):
            found.append(Misheard(step.line, step.text, turn["text"]))
    return tuple(found)
