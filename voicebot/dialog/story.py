"""Stories: a conversation written down in YAML, as examples for people and tests for the flows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path

from voicebot.dialog.document import Fields, Source, read_yaml, suggestion
from voicebot.dialog.escalation.topic import Topic
from voicebot.dialog.events import Entity, IntentScore, Interpretation, Mood, SlotValue
from voicebot.dialog.expectation import AnswerKind
from voicebot.dialog.flow import Bot, Operation
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.values import ValueKind
from voicebot.errors import ConfigurationError, Problem

#: How sure a story's recogniser and classifier are where the story does not say.
SURE = 0.95


@dataclass(frozen=True, slots=True)
class BotSays:
    """What was said since the caller's last turn contains `text`, whatever the capitals."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class CallerSays:
    """`readings` is empty when the story leaves understanding to the language room."""

    line: int
    text: str
    readings: tuple[Interpretation, ...]


@dataclass(frozen=True, slots=True)
class CallerPresses:
    line: int
    keys: str


class Happening(StrEnum):
    """Things that happen without words, by the name a story gives them."""

    SILENT = "silent"
    HANGS_UP = "hangs_up"
    NOT_HEARD = "not_heard"
    TALKS_TOO_LONG = "talks_too_long"
    TOO_LONG = "call_too_long"
    SHUTTING_DOWN = "shutting_down"


HAPPENINGS = tuple(Happening)


@dataclass(frozen=True, slots=True)
class Happens:
    line: int
    what: Happening


@dataclass(frozen=True, slots=True)
class SystemAnswers:
    """The bot called `operation` (with at least `arguments`); None as `outcome` means that it cannot be reached."""

    line: int
    operation: str
    arguments: Mapping[str, str]
    outcome: str | None
    result: Mapping[str, SlotValue | None]


@dataclass(frozen=True, slots=True)
class GoalReached:
    line: int
    goal: str


@dataclass(frozen=True, slots=True)
class PersonRequested:
    line: int
    reason: str


class RecordingChange(StrEnum):
    """What may become of the recording on a turn, by the name a story gives it."""

    STOPPED = "stopped"
    RESUMED = "resumed"
    ANNOUNCED = "announced"
    AGREED = "agreed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RecordingChanged:
    line: int
    change: RecordingChange


@dataclass(frozen=True, slots=True)
class SlotHolds:
    line: int
    slot: str
    text: str


@dataclass(frozen=True, slots=True)
class CallEnds:
    line: int
    outcome: str


StoryStep = (
    BotSays
    | CallerSays
    | CallerPresses
    | Happens
    | SystemAnswers
    | GoalReached
    | PersonRequested
    | RecordingChanged
    | SlotHolds
    | CallEnds
)


@dataclass(frozen=True, slots=True)
class Story:
    """`at` is the local time of the call in `zone`. `begins` is the flow it begins with, if not that of every call."""

    name: str
    file: str
    at: datetime
    zone: str
    channel: str
    seed: int
    caller: str
    steps: tuple[StoryStep, ...]
    begins: str = ""


_DEFAULT_AT = "2026-03-02 10:00"
_DEFAULT_ZONE = "America/New_York"
STORY_KEYS = ("story", "at", "zone", "channel", "seed", "caller_number", "begins", "steps")
STORY_STEP_KEYS = {
    "bot": (),
    "caller": ("means", "or_heard"),
    "press": (),
    "system": ("with", "answers", "gives"),
    "goal": (),
    "person": (),
    "recording": (),
    "slot": ("holds",),
    "ends": (),
}
_MOOD_KEYS = ("frustration", "urgency", "topics", "no_person")
MEANS_KEYS = ("intent", "intents", "also", "confidence", "yes_no", "correction", *_MOOD_KEYS, *AnswerKind)


def load_stories(directory: Path, bot: Bot) -> tuple[Story, ...]:
    """Read every ``*.yaml`` under `directory`; `ConfigurationError` with all mistakes, each with file and line."""
    problems: list[Problem] = []
    stories: list[Story] = []
    for path in sorted(directory.rglob("*.yaml")):
        name = path.relative_to(directory.parent).as_posix()
        source = read_yaml(path, name, problems)
        stories += [_StoryReader(bot, name).read(item) for item in (source.items() if source else [])]
    if problems:
        raise ConfigurationError(problems)
    return tuple(stories)


class _StoryReader:
    def __init__(self, bot: Bot, file: str) -> None:
        self._bot = bot
        self._file = file

    def read(self, source: Source) -> Story:
        fields = source.fields(STORY_KEYS)
        at_text = fields.text("at", _DEFAULT_AT)
        steps = fields.require("steps")
        seed = fields.get("seed")
        name, begins = fields.require("story"), fields.get("begins")
        if begins:
            self._known(begins.text(), self._bot.flows, begins, "flow")
        try:
            at = datetime.fromisoformat(at_text)
        except ValueError:
            source.problem(f"'{at_text}' is no time.", "Write it like 2026-03-02 10:00.")
            at = datetime.fromisoformat(_DEFAULT_AT)
        return Story(
            name=name.text() if name else "",
            file=self._file,
            at=at,
            zone=fields.text("zone", _DEFAULT_ZONE),
            channel=fields.text("channel", "phone"),
            seed=seed.number() if seed else 1,
            caller=fields.text("caller_number", "+12025550123"),
            steps=tuple(step for item in (steps.items() if steps else []) if (step := self._step(item))),
            begins=begins.text() if begins else "",
        )

    def _step(self, source: Source) -> StoryStep | None:
        if source.is_text:
            what = source.text()
            if what in HAPPENINGS:
                return Happens(source.line, Happening(what))
            source.problem(f"'{what}' does not happen in stories.", suggestion(what, HAPPENINGS))
            return None
        names = source.fields().names
        kind = next((name for name in names if name in STORY_STEP_KEYS), None)
        if kind is None:
            source.problem("This is no step of a story.", suggestion(names[0] if names else "", tuple(STORY_STEP_KEYS)))
            return None
        fields = source.fields((kind, *STORY_STEP_KEYS[kind]))
        value = fields.get(kind) or source
        text = value.text()
        match kind:
            case "bot":
                return BotSays(source.line, text)
            case "caller":
                return CallerSays(source.line, text, self._readings(text, fields))
            case "press":
                return CallerPresses(source.line, text)
            case "system":
                return self._system(source, value, text, fields)
            case "goal":
                self._known(text, self._bot.intents_by_name, value, "intent")
                return GoalReached(source.line, text)
            case "person":
                return PersonRequested(source.line, text)
            case "recording":
                self._known(text, tuple(RecordingChange), value, "change of the recording")
                return RecordingChanged(source.line, RecordingChange(text)) if text in set(RecordingChange) else None
            case "slot":
                return SlotHolds(source.line, text, fields.text("holds"))
            case _:
                self._known(text, tuple(Outcome), value, "outcome")
                return CallEnds(source.line, text)

    def _readings(self, text: str, fields: Fields) -> tuple[Interpretation, ...]:
        means = fields.get("means")
        if means is None:
            return ()
        readings = [self._reading(text, means, SURE)]
        others = fields.get("or_heard")
        for rank, item in enumerate(others.items() if others else [], start=1):
            other = item.fields(("caller", "means"))
            other_means = other.require("means")
            if other_means:
                readings.append(self._reading(other.text("caller"), other_means, SURE - 0.05 * rank))
        return tuple(readings)

    def _reading(self, text: str, source: Source, confidence: float) -> Interpretation:
        fields = source.fields(MEANS_KEYS)
        given = fields.get("confidence")
        sure = given.fraction() if given else SURE
        intents: list[IntentScore] = []
        if intent := fields.get("intent"):
            self._known(intent.text(), self._bot.intents_by_name, intent, "intent")
            intents.append(IntentScore(intent.text(), sure))
        if several := fields.get("intents"):
            for name, entry in several.fields(self._bot.intents_by_name):
                intents.append(IntentScore(name, entry.fraction()))
        entities = []
        for kind in AnswerKind:
            given_values = fields.get(kind)
            for item in given_values.items() if given_values else []:
                entity = self._entity(kind, item, text)
                if entity:
                    entities.append(entity)
        yes_no = fields.get("yes_no")
        return Interpretation(
            text=text,
            confidence=confidence,
            intents=tuple(sorted(intents, key=lambda score: -score.confidence)),
            entities=tuple(entities),
            affirmative=yes_no.flag() if yes_no else None,
            correction=fields.flag("correction"),
            further=self._also(fields.get("also")),
            mood=self._mood(fields),
            topics=self._topics(fields.get("topics")),
            refuses_person=fields.flag("no_person"),
        )

    @staticmethod
    def _mood(fields: Fields) -> Mood:
        """Read how the caller sounds; who is frustrated is as unhappy."""
        frustration, urgency = (
            entry.fraction() if (entry := fields.get(name)) else 0.0 for name in ("frustration", "urgency")
        )
        return Mood(-frustration, frustration, urgency)

    @staticmethod
    def _topics(source: Source | None) -> frozenset[Topic]:
        found = set()
        for item in source.items() if source else []:
            if (name := item.text()) in set(Topic):
                found.add(Topic(name))
            elif name:
                item.problem(f"There is no topic '{name}'.", suggestion(name, list(Topic)))
        return frozenset(found)

    def _also(self, source: Source | None) -> tuple[IntentScore, ...]:
        names = [item for item in source.items() if item.text()] if source else []
        for item in names:
            self._known(item.text(), self._bot.intents_by_name, item, "intent")
        return tuple(IntentScore(item.text(), SURE) for item in names)

    @staticmethod
    def _entity(kind: AnswerKind, source: Source, text: str) -> Entity | None:
        """Read a value; ``{is: value, words: tuesday}`` names the words it came from, else it was the whole text."""
        fields = source.fields(("is", "words")) if source.is_fields else None
        value_source = fields.require("is") if fields else source
        if value_source is None:
            return None
        value = read_value(value_source, ValueKind(kind) if kind is not AnswerKind.OPEN else ValueKind.TEXT)
        words = fields.text("words", text) if fields else text
        start = max(text.find(words), 0)
        return None if value is None else Entity(kind, value, words, start, start + len(words))

    def _system(self, source: Source, value: Source, name: str, fields: Fields) -> SystemAnswers:
        operation = self._bot.operations.get(name)
        self._known(name, self._bot.operations, value, "operation")
        outcome: str | None = fields.text("answers", "ok")
        answers = fields.get("answers")
        if outcome == "unavailable":
            outcome = None
        elif operation and answers:
            self._known(str(outcome), ("ok", "unavailable", *operation.failures), answers, f"outcome of '{name}'")
        arguments: dict[str, str] = {}
        if with_source := fields.get("with"):
            known = operation.arguments if operation else None
            arguments = {argument: entry.text() for argument, entry in with_source.fields(known)}
        return SystemAnswers(source.line, name, arguments, outcome, self._result(fields.get("gives"), operation))

    def _result(self, source: Source | None, operation: Operation | None) -> dict[str, SlotValue | None]:
        if source is None or operation is None:
            return {}
        return {name: read_value(entry, operation.results[name]) for name, entry in source.fields(operation.results)}

    @staticmethod
    def _known(name: str, known: Mapping[str, object] | tuple[str, ...], source: Source, what: str) -> None:
        if name and name not in known:
            source.problem(f"There is no {what} '{name}'.", suggestion(name, tuple(known)))


def read_value(source: Source, kind: ValueKind) -> SlotValue | None:
    """Read a value as it is written in YAML: days and times in ISO 8601, money as a plain number."""
    text = source.text()
    readers: dict[ValueKind, Callable[[str], SlotValue]] = {
        ValueKind.NUMBER: int,
        ValueKind.MONEY: Decimal,
        ValueKind.DATE: date.fromisoformat,
        ValueKind.BIRTH_DATE: date.fromisoformat,
        ValueKind.TIME: time.fromisoformat,
        ValueKind.MOMENT: datetime.fromisoformat,
    }
    if kind is ValueKind.YES_NO:
        return source.flag()
    try:
        return readers.get(kind, str)(text)
    except (ValueError, InvalidOperation):
        source.problem(f"'{text}' is no {kind}.", "Write days as 2026-03-15, times as 14:30, money as 12.50.")
        return None
