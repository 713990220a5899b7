"""One event's worth of work: walks a conversation from step to step until it waits or ends, collecting actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from voicebot.dialog.actions import (
    Action,
    CallBackend,
    EndCall,
    Listen,
    RecordDecision,
    RequestPerson,
    Say,
    SetGoal,
)
from voicebot.dialog.condition import Literal, Lookup, Name, holds
from voicebot.dialog.declarations import BUILT_IN, IMPERSONAL
from voicebot.dialog.events import Entity, SlotValue
from voicebot.dialog.flow import Bot, Flow, Operation
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.prompt import Prompt, Values, render
from voicebot.dialog.reading import Scene
from voicebot.dialog.slots import judge, mentioned_candidates
from voicebot.dialog.state import Frame, Misses, Origin, Phase, State
from voicebot.dialog.steps import (
    AskStep,
    BranchStep,
    CallStep,
    ConfirmStep,
    DoneStep,
    EndStep,
    JumpStep,
    PersonStep,
    QuestionStep,
    ReachedStep,
    RequestStep,
    Rule,
    RunStep,
    SayStep,
    SetStep,
    Slot,
    Step,
    TakeStep,
)
from voicebot.dialog.values import ValueKind

#: Steps walked on one event; a flow that needs more turns in a circle without asking anything.
_FUEL = 500
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
        self._now = _local(at, state.zone)

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
        if name in self.frame.slots:
            return self.frame.slots[name]
        if name in self.state.slots:
            return self.state.slots[name]
        always: dict[str, SlotValue] = {
            "today": self.today,
            "now": self._now.time().replace(microsecond=0, tzinfo=None),
            "caller": self.state.caller,
            "channel": self.state.channel,
            "said": self.state.said,
        }
        return always.get(name)

    def _kind(self, name: str) -> ValueKind:
        slot = self.slot_of(name)
        return slot.type.kind if slot else BUILT_IN.get(name, ValueKind.TEXT)

    def scene(self, step: QuestionStep) -> Scene:
        """Everything around the current question that decides what an answer means."""
        flow = self.flow
        options = step.options if isinstance(step, AskStep) else ()
        asks = [other for other in flow.steps.values() if isinstance(other, AskStep)]
        return Scene(
            bot=self.bot,
            step=step,
            flow=flow.name,
            slots={**self.bot.remembered, **flow.slots},
            rules={other.slot: other.rules for other in asks if other.rules},
            correctable=tuple(name for name, _ in self.frame.asked),
            askable=frozenset(other.slot for other in asks),
            options=tuple(value for name in options if (value := self.value(name)) is not None),
            lookup=self.value,
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
            personal = any(name not in named and name not in IMPERSONAL for name in prompt.names)
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
            if no_input_s is not None:
                expectation = replace(expectation, no_input_s=no_input_s)
            self.actions.append(Listen(expectation))
            self.state = replace(self.state, phase=Phase.ASKING)

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

    def push(self, flow_name: str, origin: Origin, mentioned: Sequence[Entity] = (), words: str = "") -> None:
        flow = self.bot.flows[flow_name]
        frame = Frame(flow_name, flow.start, origin, mentioned=tuple(mentioned), words=words)
        self.state = replace(self.state, stack=(*self.state.stack, frame), clarifying=())

    def replace_all(self, flow_name: str) -> None:
        """Give up everything in progress and go on with one flow."""
        self.state = replace(self.state, stack=(), queued=())
        self.push(flow_name, Origin.START)

    def end(self, outcome: Outcome | str) -> None:
        self.actions.append(EndCall(str(outcome)))
        self.state = replace(self.state, phase=Phase.ENDED, waiting_for="", clarifying=())

    # --- walking

    def walk(self) -> None:
        """Carry out steps until one waits for the caller or a backend, or the call ends."""
        for _ in range(_FUEL):
            if not self._advance():
                return
        self.record("circle")
        self.say(self.bot.patterns.broken)
        self.actions.append(RequestPerson("broken"))
        self.end(Outcome.FAILED)

    def _advance(self) -> bool:
        """Carry out the current step; False when the walk is over."""
        self.walked.append((self.frame.flow, self.frame.step))
        match self.step:
            case SayStep(prompt=prompt, next=following):
                self.say(prompt)
                self.go_to(following)
            case AskStep() as step:
                return self._ask(step)
            case ConfirmStep(question=question) | RequestStep(question=question):
                self.say(question.prompt)
                self.listen()
                return False
            case CallStep() as step:
                return self._call(step)
            case BranchStep(condition=condition, text=text, then=then, next=otherwise):
                is_so = holds(condition, self.value, self.today)
                self.record("branch", detail=f"{text}: {'yes' if is_so else 'no'}")
                self.go_to(then if is_so else otherwise)
            case SetStep(values=values, next=following):
                for name, operand in values.items():
                    self.fill(name, self._operand(operand) if operand else None)
                self.go_to(following)
            case TakeStep(slots=slots, next=following):
                for name in slots:
                    if self.value(name) is None:
                        self._take_mentioned(name, ())
                self.go_to(following)
            case RunStep(flow=flow, outcomes=outcomes, next=following):
                if self._unnecessary(self.bot.flows[flow]):
                    self.record("unnecessary", detail=flow)
                    self.go_to(outcomes.get(self.bot.flows[flow].outcomes[0], following))
                else:
                    self.push(flow, Origin.PART, self.frame.mentioned)
            case JumpStep() as step:
                self._jump(step)
            case PersonStep(reason=reason, next=following):
                self.record("person", detail=reason)
                self.actions.append(RequestPerson(reason))
                self.go_to(following)
            case ReachedStep(goal=goal, next=following):
                self.actions.append(SetGoal(goal, reached=True))
                self.go_to(following)
            case DoneStep(outcome=outcome):
                return self._done(outcome)
            case EndStep(outcome=outcome):
                self.record("end", detail=outcome)
                self.end(outcome)
                return False
            case _ as never:
                assert_never(never)
        return True

    def _unnecessary(self, flow: Flow) -> bool:
        return flow.unless is not None and holds(flow.unless, self.state.slots.get, self.today)

    def _ask(self, step: AskStep) -> bool:
        if self.value(step.slot) is not None:
            self.go_to(step.next)
            return True
        if self._take_mentioned(step.slot, step.rules):
            self.go_to(step.next)
            return True
        self.change_frame(replace(self.frame, words=""))
        self.say(step.question.prompt)
        self.listen()
        return False

    def _take_mentioned(self, name: str, rules: Sequence[Rule]) -> bool:
        """Fill a slot from what was said before it was asked for; False when nothing of that will do."""
        slot = self.slot_of(name)
        if slot is None:
            return False
        candidates = mentioned_candidates(self.frame.mentioned, self.frame.words, slot.type)
        candidate = judge(candidates, slot.type, rules, self._lookup_with, self.today).candidate
        if candidate is None:
            return False
        self.fill(name, candidate.value)
        frame = self.frame
        mentioned = tuple(entity for entity in frame.mentioned if entity is not candidate.entity)
        self.change_frame(replace(frame, mentioned=mentioned, asked=(*frame.asked, (name, frame.step))))
        self.record("said_before", detail=name)
        return True

    def _lookup_with(self, value: SlotValue) -> Lookup:
        return lambda name: value if name == "value" else self.value(name)

    def _operand(self, operand: Literal | Name) -> SlotValue | None:
        return operand.value if isinstance(operand, Literal) else self.value(operand.name)

    def _jump(self, step: JumpStep) -> None:
        taken = self.frame.jumps.get(step.id, 0)
        if step.at_most is not None and taken >= step.at_most:
            self.record("bound_reached", detail=step.target)
            self.go_to(step.next)
            return
        self.change_frame(replace(self.frame, jumps={**self.frame.jumps, step.id: taken + 1}))
        self.go_to(step.target)

    def _call(self, step: CallStep) -> bool:
        operation = self.bot.operations[step.operation]
        arguments: dict[str, SlotValue] = {}
        for name, operand in step.arguments.items():
            value = self._operand(operand)
            if value is None or not operation.arguments[name].accepts(value):
                self.record("argument_missing", detail=name)
                self.unavailable(step)
                return True
            arguments[name] = value
        if not self._may_call(step, operation, arguments):
            return True
        number = self.state.requests + 1
        request_id = f"{operation.name}#{number}"
        key = f"{self.state.call_id}/{number}/{operation.name}" if operation.write else None
        filler = None
        if step.filler:
            before = len(self.actions)
            self.say(step.filler)
            said = self.actions[before:]
            del self.actions[before:]
            filler = next((action for action in said if isinstance(action, Say)), None)
        self.record("backend", detail=operation.name)
        self.actions.append(CallBackend(request_id, operation.name, arguments, key, filler, operation.secret))
        self.state = replace(self.state, phase=Phase.WAITING, waiting_for=request_id, requests=number)
        return False

    def _may_call(self, step: CallStep, operation: Operation, arguments: Mapping[str, SlotValue]) -> bool:
        """Whether the bot may do it alone and now; else the conversation goes where it is decided."""
        if operation.needs and not holds(operation.needs, self.state.slots.get, self.today):
            # `flows check` finds a flow that comes here unproven; this keeps one that it missed from doing harm.
            self.record("not_allowed", detail=operation.name)
            self.unavailable(step)
            return False
        if operation.person_when and holds(operation.person_when, arguments.get, self.today):
            self.record("needs_person", detail=operation.name)
            self.actions.append(RequestPerson("approval"))
            self.say(self.bot.patterns.needs_person)
            self.replace_all(self.bot.intents_by_name[self.bot.commands.person].flow or self.bot.start)
            return False
        return True

    def unavailable(self, step: CallStep) -> None:
        """Go on where the step, or else the bot, says what follows a system that does not answer."""
        self.record("backend_unavailable", detail=step.operation)
        if step.unavailable is not None:
            self.go_to(step.unavailable)
        elif self.flow.name == self.bot.patterns.backend_down:
            self.say(self.bot.patterns.broken)
            self.end(Outcome.FAILED)
        else:
            self._abandon_request()
            self.push(self.bot.patterns.backend_down, Origin.REQUEST)

    def _abandon_request(self) -> None:
        """Drop the flows of the current request, down to the question it was asked at."""
        stack = list(self.state.stack)
        while len(stack) > 1:
            if stack.pop().origin in {Origin.REQUEST, Origin.UNKNOWN}:
                break
        self.state = replace(self.state, stack=tuple(stack))

    def _done(self, outcome: str) -> bool:
        """Leave the current flow and go on in the one below; False when the call ended with it."""
        finished = self.frame
        self.record("flow_done", detail=outcome)
        if len(self.state.stack) == 1:
            self.end(Outcome.COMPLETED)
            return False
        self.state = replace(self.state, stack=self.state.stack[:-1])
        step = self.step
        if finished.origin is Origin.PART and isinstance(step, RunStep):
            # What was said before its question came up may still answer a question of the caller's own flow.
            self.change_frame(replace(self.frame, mentioned=finished.mentioned))
            self.go_to(step.outcomes.get(outcome, step.next))
        elif isinstance(step, RequestStep):
            if finished.origin is Origin.UNKNOWN and outcome != self.bot.flows[finished.flow].outcomes[0]:
                self.is_unknown = True
                return False
            if not self._start_queued():
                self.go_to(step.next)
        else:
            return self._resume()
        return True

    def _start_queued(self) -> bool:
        """Begin what was asked for along with the request that is done now."""
        if not self.state.queued:
            return False
        queued, *later = self.state.queued
        self.state = replace(self.state, queued=tuple(later))
        flow = self.bot.flows[self.bot.intents_by_name[queued.intent].flow or self.bot.start]
        self.record("queued", intent=queued.intent)
        if flow.replaces:
            self.replace_all(flow.name)
        else:
            self.say(self.bot.patterns.next_request, {"title": flow.title})
            self.start_request(flow.name, queued.intent, queued.entities, queued.words)
        return True

    def start_request(
        self, flow_name: str, intent: str | None, entities: Sequence[Entity] = (), words: str = ""
    ) -> None:
        """Begin a flow that the caller asked for, which is the goal of the call from now on."""
        if intent:
            self.state = replace(self.state, goal=intent)
            self.actions.append(SetGoal(intent))
        self.push(flow_name, Origin.REQUEST, entities, words)

    def _resume(self) -> bool:
        """Come back to a question that was left for another request."""
        if self._unnecessary(self.flow):  # the other request has done what this flow was for
            return self._done(self.flow.outcomes[0])
        titles = [
            title
            for frame in reversed(self.state.stack)
            if frame.origin is Origin.REQUEST and (title := self.bot.flows[frame.flow].title)
        ]
        self.record("returned")
        if titles:
            self.say(self.bot.patterns.returning, {"title": titles[0]})
        self.change_frame(replace(self.frame, misses=Misses()))
        self.state = replace(self.state, clarifying=())
        return True


def _local(at: datetime, zone: str) -> datetime:
    """The caller's own time; UTC when the zone is unknown or the time is past what a calendar holds."""
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        return aware.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):  # nonsense must not end a call
        return aware
