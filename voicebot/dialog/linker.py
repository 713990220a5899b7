"""Links one flow's nested steps into a graph in which every step names its successors."""

from __future__ import annotations

from collections.abc import Iterable

from voicebot.dialog.condition import AllOf
from voicebot.dialog.declarations import Declared, FlowHead
from voicebot.dialog.document import Fields, Source, suggestion
from voicebot.dialog.flow import Flow
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.planned import STEP_KEYS, PlannedStep, step_prompt
from voicebot.dialog.question_linker import QuestionLinker
from voicebot.dialog.recording import RecordingOrder
from voicebot.dialog.scope import Scope, check_known
from voicebot.dialog.steps import (
    BranchStep,
    DoneStep,
    EndStep,
    JumpStep,
    ReachedStep,
    RecordingStep,
    SayStep,
    SetStep,
    Step,
    TakeStep,
)
from voicebot.dialog.work_linker import WorkLinker


class FlowLinker:
    """Reads the steps of one flow. Mistakes become problems; what cannot be linked leads to the end of the flow."""

    def __init__(self, head: FlowHead, declared: Declared) -> None:
        self._head = head
        self._declared = declared
        self._scope = Scope(head.slots, declared)
        self._steps: dict[str, Step] = {}
        self._taken: set[str] = set()
        self._questions = QuestionLinker(declared, self._scope, self._block)
        self._work = WorkLinker(declared, self._scope, self._block)

    def link(self) -> Flow:
        head = self._head
        outcome = head.outcomes[0]
        self._taken.add("done")
        steps = head.fields.require("steps")
        start = self._block(steps.items(), "done") if steps else "done"
        self._steps["done"] = DoneStep("done", head.fields.source.line, outcome)
        unless_source = head.fields.get("unless")
        unless = self._scope.condition(unless_source) if unless_source else None
        self._scope.check()
        return Flow(
            name=head.name,
            title=head.fields.text("title"),
            file=head.fields.source.file,
            line=head.fields.source.line,
            start=start,
            steps=self._steps,
            slots=self._scope.slots,
            outcomes=head.outcomes,
            unless=unless,
            replaces=head.fields.flag("replaces"),
        )

    # --- lists of steps

    def _block(self, items: Iterable[Source], after: str) -> str:
        """Link a list of steps that goes on at `after`; returns the id of its first step."""
        planned = [plan for item in items if (plan := self._plan(item))]
        for plan, following in zip(planned, [*(plan.id for plan in planned[1:]), after], strict=True):
            self._steps[plan.id] = self._step(plan, following)
        return planned[0].id if planned else after

    def _optional_block(self, source: Source | None, after: str) -> str:
        return self._block(source.items(), after) if source else after

    def _plan(self, item: Source) -> PlannedStep | None:
        if item.is_text and item.text() == "done":
            return self._planned(self._new_id("done"), "done", Fields(item, {}), item)
        if not item.is_fields:
            item.problem("This is no step.", f"A step starts with one of: {', '.join(STEP_KEYS)}.")
            return None
        raw = item.fields()
        kinds = [name for name in raw.names if name in STEP_KEYS]
        if len(kinds) != 1:
            what = "A step does one thing, this does two." if kinds else "This step does nothing that is known."
            first = raw.names[0] if raw.names else ""
            item.problem(what, "Start each step with its own '-'." if kinds else suggestion(first, STEP_KEYS))
            return None
        kind = kinds[0]
        fields = item.fields((kind, "id", *STEP_KEYS[kind]))
        return self._planned(self._id(fields, kind), kind, fields, item)

    def _planned(self, step_id: str, kind: str, fields: Fields, item: Source) -> PlannedStep:
        return PlannedStep(step_id, f"{self._head.name}.{step_id}", kind, fields, item)

    def _id(self, fields: Fields, kind: str) -> str:
        given = fields.get("id")
        if given is None:
            about = fields.get(kind)
            named = about is not None and about.is_text and kind in {"ask", "call", "hours", "run"}
            return self._new_id(f"{kind}_{about.text().replace('.', '_')}" if about and named else kind)
        step_id = given.text()
        if step_id in self._taken:
            given.problem(f"Two steps have the id '{step_id}'.", "Rename one of the two.")
            return self._new_id(step_id)
        self._taken.add(step_id)
        return step_id

    def _new_id(self, wanted: str) -> str:
        step_id, number = wanted, 1
        while step_id in self._taken:
            number += 1
            step_id = f"{wanted}_{number}"
        self._taken.add(step_id)
        return step_id

    # --- kinds of steps

    def _step(self, plan: PlannedStep, following: str) -> Step:
        value = plan.fields.get(plan.kind) or plan.source
        match plan.kind:
            case "say":
                return SayStep(plan.id, plan.line, step_prompt(self._scope, plan, value), following)
            case "ask":
                return self._questions.ask(plan, value, following)
            case "confirm":
                return self._questions.confirm(plan, value, following)
            case "request":
                return self._questions.request(plan, value, following)
            case "call":
                return self._work.call(plan, value, following)
            case "hours":
                return self._work.hours(plan, value, following)
            case "if":
                condition = self._scope.condition(value) or AllOf(())
                then = self._optional_block(plan.fields.require("then"), following)
                otherwise = self._optional_block(plan.fields.get("else"), following)
                return BranchStep(plan.id, plan.line, condition, value.text(), then, otherwise)
            case "set":
                values = {name: self._scope.operand(entry) for name, entry in value.fields()}
                self._scope.check_slots(values, value)
                return SetStep(plan.id, plan.line, values, following)
            case "clear":
                names = value.texts()
                self._scope.check_slots(names, value)
                return SetStep(plan.id, plan.line, dict.fromkeys(names), following)
            case "take":
                names = value.texts()
                self._scope.check_slots(names, value)
                return TakeStep(plan.id, plan.line, names, following)
            case "run":
                return self._work.run(plan, value, following)
            case "go_to":
                return self._jump(plan, value, following)
            case "person":
                return self._work.person(plan, value, following)
            case "reached":
                goal = value.text()
                check_known(goal, self._declared.intents, value, "intent")
                return ReachedStep(plan.id, plan.line, goal, following)
            case "recording":
                order = value.text()
                check_known(order, list(RecordingOrder), value, "order for the recording")
                known = order in set(RecordingOrder)
                return RecordingStep(
                    plan.id, plan.line, RecordingOrder(order) if known else RecordingOrder.STOP, following
                )
            case "end":
                outcome = value.text()
                check_known(outcome, list(Outcome), value, "outcome of a call")
                return EndStep(plan.id, plan.line, outcome)
            case _:
                return self._done(plan)

    def _done(self, plan: PlannedStep) -> DoneStep:
        value = plan.fields.get("done")
        outcome = value.text() if value else self._head.outcomes[0]
        if value:
            check_known(outcome, self._head.outcomes, value, "outcome of this flow")
        return DoneStep(plan.id, plan.line, outcome)

    def _jump(self, plan: PlannedStep, value: Source, following: str) -> JumpStep:
        target = value.text()
        self._scope.later(lambda: check_known(target, self._taken, value, "step of this flow"))
        at_most = plan.fields.get("at_most")
        otherwise = plan.fields.get("otherwise")
        if at_most and not otherwise:
            plan.source.problem("What follows when the bound is used up?", "Add 'otherwise:' with steps.")
        return JumpStep(
            plan.id,
            plan.line,
            target,
            at_most.number(least=1) if at_most else None,
            self._optional_block(otherwise, following),
        )
