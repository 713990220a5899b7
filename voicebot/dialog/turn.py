"""One event's worth of work: where a conversation stands, what is said and changed, and the actions collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from voicebot.dialog.actions import (
    Action,
    EndCall,
    Listen,
    RecordDecision,
    Say,
    SetGoal,
    Takeover,
    TransferTo,
)
from voicebot.dialog.condition import Lookup
from voicebot.dialog.declarations import BUILT_IN, is_impersonal
from voicebot.dialog.events import Entity, SlotValue
from voicebot.dialog.flow import Bot, Flow
from voicebot.dialog.hours import Hours
from voicebot.dialog.hours_values import HoursAspect, hours_names, value_now
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.prompt import Prompt, Values, render
from voicebot.dialog.reading import Scene
from voicebot.dialog.spelled import Spelled
from voicebot.dialog.state import Frame, Misses, Origin, Phase, State
from voicebot.dialog.steps import (
    AskStep,
    QuestionStep,
    Slot,
    Step,
)
from voicebot.dialog.values import ValueKind

#: Channels on which prompts are read; the same flows run on them.
WRITTEN_CHANNELS = frozenset({"chat", "sms"})


class Turn:
    """A working copy of the state, alive for one `step`. The state given in is never changed."""

    def __init__(self, bot: Bot, state: State, at: datetime) -> None:
        self.bot = bot
        self.state = replace(state, at=at)
        self.actions: list[Action] = []
        self.walked: list[tuple[str, str]] = []
        #: What is said does not replace what "say that again" repeats.
        self.is_aside = False
        #: A flow tried for words that no intent fits had nothing to say either.
        self.is_unknown = False
        #: What is asked next is asked in noise: only keys may break it off.
        self.is_to_be_heard = False
        self._now = _local(at, state.zone)
        self._zone = self._now.tzinfo.key if isinstance(self._now.tzinfo, ZoneInfo) else "UTC"

    def result(self) -> tuple[State, tuple[Action, ...]]:
        said = tuple(action for action in self.actions if isinstance(action, Say))
        if said and self.state.phase is Phase.ASKING and not self.is_aside:
            self.state = replace(self.state, last_said=said)
        return self.state, tuple(self.actions)

    # --- where we are

    @property
    def frame(self) -> Frame:
        return self.state.stack[-1]

    @property
    def flow(self) -> Flow:
        return self.bot.flows[self.frame.flow]

    @property
    def step(self) -> Step:
        return self.flow.steps[self.frame.step]

    @property
    def today(self) -> date:
        return self._now.date()

    @property
    def is_written(self) -> bool:
        """Whether the caller reads instead of hearing."""
        return self.state.channel in WRITTEN_CHANNELS

    def slot_of(self, name: str) -> Slot | None:
        return self.flow.slots.get(name) or self.bot.remembered.get(name)

    def value(self, name: str) -> SlotValue | None:
        """What a name holds here: a slot, or one of the names that always exist."""
        held = self._held(name)
        return self._always(name) if held is None else held

    def _always(self, name: str) -> SlotValue | None:
        match name:
            case "today":
                return self.today
            case "now":
                return self._now.time().replace(microsecond=0, tzinfo=None)
            case "caller":
                return self.state.caller
            case "channel":
                return self.state.channel
            case "said":
                return self.state.said
            case "guessed":
                return any(spelled.guessed for spelled in self._spelled_now())
        schedule, _, aspect = name.partition(".")
        hours = self.hours(schedule) if aspect else None
        return value_now(hours, HoursAspect(aspect), self._now) if hours else None

    def hours(self, name: str) -> Hours | None:
        """Opening hours by name, in their own zone or else in the bot's."""
        hours = self.bot.hours.get(name)
        return hours.placed(self._zone) if hours else None

    def lookup(self, name: str) -> SlotValue | Hours | None:
        """What a condition sees by a name."""
        return self.hours(name) or self.value(name)

    def lookup_with(self, value: SlotValue) -> Lookup:
        """What the rules on a value see, which is not filled in yet."""
        return lambda name: value if name == "value" else self.lookup(name)

    def lookup_outside(self, name: str) -> SlotValue | Hours | None:
        """What a flow sees that has not begun: what is remembered, and what always exists."""
        return self.hours(name) or self.state.slots.get(name) or self._always(name)

    def _held(self, name: str) -> SlotValue | None:
        return self.frame.slots.get(name, self.state.slots.get(name))

    def _kind(self, name: str) -> ValueKind:
        slot = self.slot_of(name)
        if slot:
            return slot.type.kind
        return BUILT_IN.get(name) or hours_names(self.bot.hours).get(name, ValueKind.TEXT)

    def scene(self, step: QuestionStep) -> Scene:
        """Everything around the current question that decides what an answer means."""
        flow = self.flow
        options = step.options if isinstance(step, AskStep) else ()
        asks = [other for other in flow.steps.values() if isinstance(other, AskStep)]
        return Scene(
            bot=self.bot,
            step=step,
            under_way=frozenset(frame.flow for frame in self.state.stack),
            slots={**self.bot.remembered, **flow.slots},
            rules={other.slot: other.rules for other in asks if other.rules},
            correctable=tuple(name for name, _ in self.frame.asked if self.value(name) is not None),
            askable=frozenset(other.slot for other in asks),
            options=tuple(value for name in options if (value := self.value(name)) is not None),
            lookup_with=self.lookup_with,
            lookup=self.lookup,
            today=self.today,
            clarifying=self.state.clarifying,
        )

    def asking(self, name: str) -> AskStep | None:
        """The question that filled a slot, or else the first of the flow that could."""
        filled_by = dict(self.frame.asked).get(name)
        asks = [step for step in self.flow.steps.values() if isinstance(step, AskStep) and step.slot == name]
        first = min(asks, key=lambda step: step.line, default=None)
        return next((step for step in asks if step.id == filled_by), first)

    # --- saying and recording

    def say(self, prompt: Prompt, extra: Mapping[str, str] | None = None) -> None:
        """Say `prompt`; `extra` fills names that are no slots (titles)."""
        named = extra or {}
        pieces = prompt.variant(self.state.seed, self.state.turn, in_writing=self.is_written)
        values = Values(lambda name: named.get(name) or self.value(name), self._kind, self.today)
        parts = render(pieces, values, in_writing=self.is_written)
        if parts:
            personal = any(name not in named and not is_impersonal(name) for name in prompt.names)
            self.actions.append(Say(prompt.name, parts, prompt.interruptible, personal, self.state.pace))

    def record(
        self, rule: str, *, intent: str | None = None, confidence: float | None = None, detail: str = ""
    ) -> None:
        """Note a decision with the figures it was made on; secret slots appear without their value."""
        flow = step = ""
        slots: dict[str, SlotValue | None] = {}
        if self.state.stack:
            flow, step = self.frame.flow, self.frame.step
            for name, value in {**self.state.slots, **self.frame.slots}.items():
                slot = self.slot_of(name)
                slots[name] = None if slot and slot.type.secret else value
        self.actions.append(RecordDecision(rule, flow, step, intent, confidence, slots, detail))

    def listen(self, no_input_s: float | None = None) -> None:
        """Wait for the caller at the current question; `no_input_s` overrides how long until silence counts."""
        step = self.step
        if isinstance(step, QuestionStep):
            clarifying = self.state.clarifying
            expectation = self.bot.clarify_expectation if clarifying else step.question.expectation
            if self.is_to_be_heard:
                expectation = replace(expectation, barge_in=False)
            if no_input_s is not None:
                expectation = replace(expectation, no_input_s=no_input_s)
            self.actions.append(Listen(expectation))
            self.state = replace(self.state, phase=Phase.ASKING)

    def _spelled_now(self) -> list[Spelled]:
        """Return what the slots hold that was spelled, and was not corrected since."""
        return [spelled for name, spelled in self.frame.spelled.items() if self._held(name) == spelled.taken]

    # --- changing

    def change_frame(self, frame: Frame) -> None:
        self.state = replace(self.state, stack=(*self.state.stack[:-1], frame))

    def go_to(self, step_id: str) -> None:
        self.change_frame(replace(self.frame, step=step_id, misses=Misses()))
        self.state = replace(self.state, clarifying=())

    def fill(self, name: str, value: SlotValue | None) -> None:
        """Fill a slot where it belongs, or empty it with None."""
        own = name in self.flow.slots
        slots = dict(self.frame.slots if own else self.state.slots)
        if value is None:
            slots.pop(name, None)
        else:
            slots[name] = value
        if own:
            self.change_frame(replace(self.frame, slots=slots))
        else:
            self.state = replace(self.state, slots=slots)

    def fill_asked(self, name: str, value: SlotValue, rest: Sequence[Entity]) -> None:
        """Fill a slot with the caller's answer and keep what else was said for the questions to come."""
        self.fill(name, value)
        frame = self.frame
        asked = tuple(entry for entry in frame.asked if entry[0] != name)
        kinds = {entity.kind for entity in rest}
        kept = tuple(entity for entity in frame.mentioned if entity.kind not in kinds)
        self.change_frame(replace(frame, asked=(*asked, (name, frame.step)), mentioned=(*kept, *rest)))

    def take_spelled(self, name: str, spelled: Spelled) -> None:
        """Fill a slot with the reading that is taken, and keep the others."""
        self.fill(name, spelled.taken)
        self.change_frame(replace(self.frame, spelled={**self.frame.spelled, name: spelled}))

    def deny_spelled(self, names: Sequence[str]) -> None:
        """Note that the caller said no to what these slots hold."""
        denied = {
            name: spelled.without_taken()
            for name, spelled in self.frame.spelled.items()
            if name in names and self._held(name) == spelled.taken
        }
        self.change_frame(replace(self.frame, spelled={**self.frame.spelled, **denied}))

    def push(self, flow_name: str, origin: Origin, mentioned: Sequence[Entity] = (), words: str = "") -> None:
        flow = self.bot.flows[flow_name]
        frame = Frame(flow_name, flow.start, origin, mentioned=tuple(mentioned), words=words)
        self.state = replace(self.state, stack=(*self.state.stack, frame), clarifying=())

    def replace_all(self, flow_name: str) -> None:
        """Give up everything in progress and go on with one flow."""
        self.state = replace(self.state, stack=(), queued=())
        self.push(flow_name, Origin.START)

    def transfer(self, reason: str, by: Takeover = Takeover.WARM_TRANSFER) -> None:
        """Have a person take over, for what the caller came with."""
        self.actions.append(TransferTo(reason, by, topic=self.state.goal))

    def end(self, outcome: Outcome | str) -> None:
        self.actions.append(EndCall(str(outcome)))
        self.state = replace(self.state, phase=Phase.ENDED, waiting_for="", clarifying=())

    def start_request(
        self, flow_name: str, intent: str | None, entities: Sequence[Entity] = (), words: str = ""
    ) -> None:
        """Begin a flow that the caller asked for, which is the goal of the call from now on."""
        if intent:
            self.state = replace(self.state, goal=intent)
            self.actions.append(SetGoal(intent))
        self.push(flow_name, Origin.REQUEST, entities, words)


def _local(at: datetime, zone: str) -> datetime:
    """The caller's own time; UTC when the zone is unknown or the time is past what a calendar holds."""
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        return aware.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):  # nonsense must not end a call
        return aware
