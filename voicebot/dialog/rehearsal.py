"""Plays stories against a bot, without audio and in milliseconds, and notes what of it they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from voicebot.dialog.actions import (
    Action,
    CallBackend,
    EndCall,
    Listen,
    NoteConsent,
    ResumeRecording,
    Say,
    SetGoal,
    StopRecording,
    TransferTo,
)
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.coverage import Setback, Shown, setbacks_met
from voicebot.dialog.events import (
    BackendAnswered,
    BackendFailed,
    CallerHungUp,
    CallerPressed,
    CallerSilent,
    CallerSpoke,
    CallerTalkedTooLong,
    CallMustEnd,
    CallStarted,
    Event,
    HearingFailed,
    Interpretation,
)
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.flow import Bot
from voicebot.dialog.machine import new_state, trace
from voicebot.dialog.story import (
    BotSays,
    CallEnds,
    CallerPresses,
    CallerSays,
    GoalReached,
    Happening,
    Happens,
    PersonRequested,
    RecordingChange,
    RecordingChanged,
    SlotHolds,
    Story,
    StoryStep,
    SystemAnswers,
)

#: Reads a text as the language room would; used where a story does not say what the caller's words mean.
Understand = Callable[[str, Expectation, datetime], tuple[Interpretation, ...]]

_TURN_LASTS = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where a story and the bot part ways: the story's line, what it expects, and what happened instead."""

    line: int
    expected: str
    found: str

    def __str__(self) -> str:
        return f"line {self.line}: expected {self.expected}, found {self.found}"


#: What a caller does in a story.
CallerStep = CallerSays | CallerPresses | Happens


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the caller did, None at the start of the call, and each text that the bot said before the next thing."""

    caller: CallerStep | None
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """`mismatch` is None when the story went as written. `lines` is the conversation, for people to read."""

    story: Story
    mismatch: Mismatch | None
    shown: Shown
    lines: tuple[str, ...]
    exchanges: tuple[Exchange, ...]


def rehearse(bot: Bot, story: Story, understand: Understand | None = None) -> Rehearsed:
    """Play one story to its end or to the first mismatch."""
    player = _Player(bot, story, understand)
    mismatch = player.play()
    exchanges = tuple(Exchange(caller, tuple(said)) for caller, said in player.exchanges)
    return Rehearsed(story, mismatch, player.shown, tuple(player.lines), exchanges)


class _Player:
    def __init__(self, bot: Bot, story: Story, understand: Understand | None) -> None:
        # A flow that a person has the bot run is told as it is run then: alone.
        self.bot = Conversation(bot).aside(story.begins).bot if story.begins in bot.flows else bot
        self.story = story
        self.understand = understand
        self._walked: set[tuple[str, str]] = set()
        self._setbacks: set[Setback] = set()
        self.lines: list[str] = []
        self.exchanges: list[tuple[CallerStep | None, list[str]]] = [(None, [])]
        self._state = new_state(self.bot)
        self._now = story.at.replace(tzinfo=ZoneInfo(story.zone))
        self._actions: list[Action] = []
        self._calls: list[CallBackend] = []

    @property
    def shown(self) -> Shown:
        return Shown(frozenset(self._walked), frozenset(self._setbacks))

    def play(self) -> Mismatch | None:
        started = CallStarted(
            at=self._now,
            channel=self.story.channel,
            caller=self.story.caller,
            called="",
            zone=self.story.zone,
            seed=self.story.seed,
            call_id=self.story.name,
        )
        self._take(started)
        for step in self.story.steps:
            mismatch = self._play(step)
            if mismatch:
                return mismatch
        return None

    def _take(self, event: Event) -> None:
        """Hand an event in. What was said and done before belongs to the turn before."""
        self._state, actions, walked = trace(self.bot, self._state, event)
        self._now += _TURN_LASTS
        self._walked.update(walked)
        self._setbacks.update(setbacks_met(self.bot, actions))
        for action in actions:
            if isinstance(action, Say):
                self.lines.append(f"bot: {action.text}")
                self.exchanges[-1][1].append(action.text)
        # What is said after a system's answer belongs to the turn that asked for it.
        if not isinstance(event, BackendAnswered | BackendFailed):
            self._actions = []
        self._actions += actions
        self._calls += [action for action in actions if isinstance(action, CallBackend)]

    def _play(self, step: StoryStep) -> Mismatch | None:
        if isinstance(step, CallerStep):
            self.exchanges.append((step, []))
        match step:
            case BotSays(line, text):
                said = " ".join(action.text for action in self._actions if isinstance(action, Say))
                return None if text.lower() in said.lower() else Mismatch(line, f"'{text}' to be said", f"'{said}'")
            case CallerSays():
                return self._caller_says(step)
            case CallerPresses(_, keys):
                self.lines.append(f"caller presses {keys}")
                self._take(CallerPressed(self._now, keys))
            case Happens(_, what):
                self.lines.append(f"({what})")
                self._take(self._happening(what))
            case SystemAnswers():
                return self._system_answers(step)
            case GoalReached(line, goal):
                reached = [action.goal for action in self._actions if isinstance(action, SetGoal) and action.reached]
                return None if goal in reached else Mismatch(line, f"the goal '{goal}' reached", f"{reached}")
            case PersonRequested(line, reason):
                reasons = [action.reason for action in self._actions if isinstance(action, TransferTo)]
                return None if reason in reasons else Mismatch(line, f"a person for '{reason}'", f"{reasons}")
            case RecordingChanged(line, change):
                changes = _recording_changes(self._actions)
                return None if change in changes else Mismatch(line, f"the recording {change}", f"{changes}")
            case SlotHolds(line, slot, text):
                return self._slot_holds(line, slot, text)
            case CallEnds(line, outcome):
                ends = [action.outcome for action in self._actions if isinstance(action, EndCall)]
                return None if outcome in ends else Mismatch(line, f"the call to end '{outcome}'", f"{ends}")
            case _:
                assert_never(step)
        return None

    def _happening(self, what: Happening) -> Event:
        match what:
            case Happening.SILENT:
                return CallerSilent(self._now)
            case Happening.HANGS_UP:
                return CallerHungUp(self._now)
            case Happening.NOT_HEARD:
                return HearingFailed(self._now)
            case Happening.TALKS_TOO_LONG:
                return CallerTalkedTooLong(self._now)
            case Happening.TOO_LONG:
                return CallMustEnd(self._now, "too_long")
            case Happening.SHUTTING_DOWN:
                return CallMustEnd(self._now, "shutting_down")
            case _:
                assert_never(what)

    def _caller_says(self, step: CallerSays) -> Mismatch | None:
        self.lines.append(f"caller: {step.text}")
        readings = step.readings
        if not readings:
            listens = [action for action in self._actions if isinstance(action, Listen)]
            if self.understand is None or not listens:
                return Mismatch(step.line, "a question to answer", "nobody is listening")
            readings = self.understand(step.text, listens[-1].expectation, self._now)
        self._take(CallerSpoke(self._now, readings))
        return None

    def _system_answers(self, step: SystemAnswers) -> Mismatch | None:
        call = next((call for call in self._calls if call.request_id == self._state.waiting_for), None)
        if call is None:
            return Mismatch(step.line, f"a call of '{step.operation}'", "none")
        if call.operation != step.operation:
            return Mismatch(step.line, f"a call of '{step.operation}'", f"'{call.operation}'")
        for name, text in step.arguments.items():
            if str(call.arguments.get(name)) != text:
                return Mismatch(step.line, f"'{name}' to be {text}", f"{call.arguments.get(name)}")
        self.lines.append(f"{call.operation}: {step.outcome or 'unavailable'}")
        if step.outcome is None:
            self._take(BackendFailed(self._now, call.request_id))
        else:
            self._take(BackendAnswered(self._now, call.request_id, step.outcome, step.result))
        return None

    def _slot_holds(self, line: int, slot: str, text: str) -> Mismatch | None:
        stack = self._state.stack
        value = stack[-1].slots.get(slot, self._state.slots.get(slot)) if stack else None
        return None if str(value) == text else Mismatch(line, f"'{slot}' to hold {text}", f"{value}")


def _recording_changes(actions: Sequence[Action]) -> list[str]:
    found = []
    for action in actions:
        match action:
            case StopRecording():
                found.append(RecordingChange.STOPPED.value)
            case ResumeRecording():
                found.append(RecordingChange.RESUMED.value)
            case NoteConsent(consent):
                found.append(consent.value)
            case _:
                pass
    return found
