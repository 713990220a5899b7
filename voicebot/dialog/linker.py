"""Links one flow's nested steps into a graph in which every step names its successors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voicebot.dialog.actions import Takeover
from voicebot.dialog.asking import confirmation_expectation, expectation_for, request_expectation
from voicebot.dialog.condition import AllOf, names_in
from voicebot.dialog.declarations import (
    Declared,
    FlowHead,
    check_names,
    read_rules,
)
from voicebot.dialog.document import Fields, Source, suggestion
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.flow import Flow
from voicebot.dialog.outcome import Outcome
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.scope import Scope, check_known
from voicebot.dialog.steps import (
    AskStep,
    BranchStep,
    CallStep,
    ConfirmStep,
    DoneStep,
    EndStep,
    JumpStep,
    PersonStep,
    Question,
    ReachedStep,
    RequestStep,
    RunStep,
    SayStep,
    SetStep,
    Slot,
    SlotType,
    Step,
    TakeStep,
)

_QUESTION_KEYS = ("again", "keys", "barge_in", "gives_up")
#: What may stand in each kind of step, by the key that names the kind.
STEP_KEYS: dict[str, tuple[str, ...]] = {
    "say": ("barge_in",),
    "ask": ("prompt", "must", "options", "no", "listen_open", "wait_s", *_QUESTION_KEYS),
    "confirm": ("prompt", "no", *_QUESTION_KEYS),
    "request": ("menu", "yes", "no", "unknown", *_QUESTION_KEYS),
    "call": ("with", "save", "filler", "on", "unavailable"),
    "if": ("then", "else"),
    "set": (),
    "clear": (),
    "take": (),
    "run": ("on",),
    "go_to": ("at_most", "otherwise"),
    "person": ("by",),
    "reached": (),
    "done": (),
    "end": (),
}


@dataclass(frozen=True, slots=True)
class _Planned:
    """A step that has its id but is not linked yet."""

    id: str
    kind: str
    fields: Fields
    source: Source


class FlowLinker:
    """Reads the steps of one flow. Mistakes become problems; what cannot be linked leads to the end of the flow."""

    def __init__(self, head: FlowHead, declared: Declared) -> None:
        self._head = head
        self._declared = declared
        self._scope = Scope(head.slots, declared)
        self._steps: dict[str, Step] = {}
        self._taken: set[str] = set()

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

    def _plan(self, item: Source) -> _Planned | None:
        if item.is_text and item.text() == "done":
            return _Planned(self._new_id("done"), "done", Fields(item, {}), item)
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
        return _Planned(self._id(fields, kind), kind, fields, item)

    def _id(self, fields: Fields, kind: str) -> str:
        given = fields.get("id")
        if given is None:
            about = fields.get(kind)
            named = about is not None and about.is_text and kind in {"ask", "call", "run"}
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

    def _step(self, plan: _Planned, following: str) -> Step:
        value = plan.fields.get(plan.kind) or plan.source
        match plan.kind:
            case "say":
                return SayStep(plan.id, plan.source.line, self._prompt(plan, value, ""), following)
            case "ask":
                return self._ask(plan, value, following)
            case "confirm":
                return self._confirm(plan, value, following)
            case "request":
                return self._request(plan, value, following)
            case "call":
                return self._call(plan, value, following)
            case "if":
                condition = self._scope.condition(value) or AllOf(())
                then = self._optional_block(plan.fields.require("then"), following)
                otherwise = self._optional_block(plan.fields.get("else"), following)
                return BranchStep(plan.id, plan.source.line, condition, value.text(), then, otherwise)
            case "set":
                values = {name: self._scope.operand(entry) for name, entry in value.fields()}
                self._scope.check_slots(values, value)
                return SetStep(plan.id, plan.source.line, values, following)
            case "clear":
                names = value.texts()
                self._scope.check_slots(names, value)
                return SetStep(plan.id, plan.source.line, dict.fromkeys(names), following)
            case "take":
                names = value.texts()
                self._scope.check_slots(names, value)
                return TakeStep(plan.id, plan.source.line, names, following)
            case "run":
                return self._run(plan, value, following)
            case "go_to":
                return self._jump(plan, value, following)
            case "person":
                return PersonStep(plan.id, plan.source.line, value.text(), _takeover(plan.fields.get("by")), following)
            case "reached":
                goal = value.text()
                check_known(goal, self._declared.intents, value, "intent")
                return ReachedStep(plan.id, plan.source.line, goal, following)
            case "end":
                outcome = value.text()
                check_known(outcome, list(Outcome), value, "outcome of a call")
                return EndStep(plan.id, plan.source.line, outcome)
            case _:
                return self._done(plan)

    def _done(self, plan: _Planned) -> DoneStep:
        value = plan.fields.get("done")
        outcome = value.text() if value else self._head.outcomes[0]
        if value:
            check_known(outcome, self._head.outcomes, value, "outcome of this flow")
        return DoneStep(plan.id, plan.source.line, outcome)

    def _ask(self, plan: _Planned, value: Source, following: str) -> AskStep:
        name = value.text()
        slot_type = self._asked_type(name, value)
        options = plan.fields.texts("options")
        if options_source := plan.fields.get("options"):
            self._scope.check_slots(options, options_source)
        wait = plan.fields.get("wait_s")
        expectation = expectation_for(
            f"{self._head.name}.{plan.id}",
            slot_type,
            options=len(options),
            commands=self._declared.command_phrases,
            barge_in=plan.fields.flag("barge_in", default=True),
            listen_open=plan.fields.flag("listen_open") if "listen_open" in plan.fields else None,
            wait_s=float(wait.number(least=1)) if wait else None,
        )
        rules_source = plan.fields.get("must")
        rules = read_rules(rules_source, f"{self._head.name}.{plan.id}", None)
        if rules_source:
            used = [used for rule in rules for used in (*names_in(rule.condition), *rule.reason.names)]
            self._scope.later(lambda: check_names(used, (*self._scope.visible, "value"), rules_source))
        prompt = plan.fields.require("prompt")
        question = self._question(plan, prompt or plan.source, expectation, following)
        no = plan.fields.get("no")
        declined = self._block(no.items(), following) if no else None
        return AskStep(plan.id, plan.source.line, name, question, rules, options, following, declined)

    def _asked_type(self, name: str, source: Source) -> SlotType:
        slot = self._scope.find(name)
        if slot is None and name in self._declared.types:
            slot = self._scope.slots[name] = Slot(name, self._declared.types[name])
        if slot is None:
            known = (*self._scope.slots, *self._declared.remembered, *self._declared.types)
            source.problem(f"The slot '{name}' has no type.", f"{suggestion(name, known)} Or add it under 'slots:'.")
            slot = self._scope.slots[name] = Slot(name, self._declared.types["text"])
        if slot.type.kind.answer is None:
            source.problem(f"A {slot.type.kind} cannot be asked of a caller.", "Ask for digits, a date or a time.")
        return slot.type

    def _confirm(self, plan: _Planned, value: Source, following: str) -> ConfirmStep:
        names = value.texts()
        self._scope.check_slots(names, value)
        slots = [slot for name in names if (slot := self._scope.find(name))]
        expectation = confirmation_expectation(
            f"{self._head.name}.{plan.id}",
            tuple(kind for slot in slots if (kind := slot.type.kind.answer)),
            tuple(sorted({length for slot in slots for length in slot.type.lengths})),
            self._declared.command_phrases,
            barge_in=plan.fields.flag("barge_in", default=True),
        )
        prompt = plan.fields.require("prompt")
        question = self._question(plan, prompt or plan.source, expectation, following)
        no = self._optional_block(plan.fields.require("no"), following)
        return ConfirmStep(plan.id, plan.source.line, names, question, following, no)

    def _request(self, plan: _Planned, value: Source, following: str) -> RequestStep:
        no_source, yes_source = plan.fields.get("no"), plan.fields.get("yes")
        expectation = request_expectation(
            f"{self._head.name}.{plan.id}",
            self._declared.command_phrases,
            yes_no=no_source is not None,
            barge_in=plan.fields.flag("barge_in", default=True),
        )
        menu_source = plan.fields.require("menu")
        menu = {key: entry.text() for key, entry in menu_source.fields()} if menu_source else {}
        for key, flow in menu.items():
            entry = menu_source.fields().get(key) if menu_source else None
            if entry:
                check_known(flow, self._declared.flows, entry, "flow")
                if len(key) != 1 or key not in "0123456789":
                    entry.problem(f"'{key}' is no key of a menu.", "Use one digit, 0 to 9.")
        return RequestStep(
            plan.id,
            plan.source.line,
            self._question(plan, value, expectation, following),
            menu,
            self._prompt(plan, yes_source, "yes") if yes_source else None,
            self._block(no_source.items(), following) if no_source else None,
            self._unknown(plan.fields.get("unknown")),
            following,
        )

    def _unknown(self, source: Source | None) -> str | None:
        if source is None:
            return None
        name = source.text()
        check_known(name, self._declared.flows, source, "flow")
        return name

    def _question(self, plan: _Planned, prompt: Source, expectation: Expectation, following: str) -> Question:
        again = plan.fields.get("again")
        keys = plan.fields.get("keys")
        gives_up = plan.fields.get("gives_up")
        texts = again.items() if again else []
        return Question(
            prompt=self._prompt(plan, prompt, ""),
            again=tuple(self._prompt(plan, item, f"again_{number}") for number, item in enumerate(texts, start=1)),
            keys=self._prompt(plan, keys, "keys") if keys else None,
            expectation=expectation,
            gives_up=self._block(gives_up.items(), following) if gives_up else None,
        )

    def _call(self, plan: _Planned, value: Source, following: str) -> CallStep:
        name = value.text()
        operation = self._declared.operations.get(name)
        check_known(name, self._declared.operations, value, "operation")
        arguments = {}
        if with_source := plan.fields.get("with"):
            known = operation.arguments if operation else None
            arguments = {name: self._scope.operand(entry) for name, entry in with_source.fields(known)}
        if operation:
            for missing in operation.arguments.keys() - arguments.keys():
                plan.source.problem(f"'{name}' needs '{missing}'.", f"Add '{missing}: …' under 'with:'.")
        outcomes = {}
        if on := plan.fields.get("on"):
            known_failures = operation.failures if operation else None
            for failure, entry in on.fields(known_failures):
                outcomes[failure] = self._block(entry.items(), following)
        if operation:
            for unhandled in operation.failures:
                if unhandled not in outcomes:
                    what = f"'{name}' may answer '{unhandled}', and nothing follows that."
                    plan.source.problem(what, f"Add '{unhandled}:' with steps under 'on:'.")
        unavailable = plan.fields.get("unavailable")
        filler = plan.fields.get("filler")
        return CallStep(
            plan.id,
            plan.source.line,
            name,
            arguments,
            self._saved(plan.fields.get("save"), name),
            outcomes,
            self._block(unavailable.items(), following) if unavailable else None,
            self._prompt(plan, filler, "filler") if filler else None,
            following,
        )

    def _saved(self, source: Source | None, operation_name: str) -> dict[str, str]:
        """Read ``save:``: result names, or ``slot: result`` entries. Undeclared slots take the result's type."""
        if source is None:
            return {}
        operation = self._declared.operations.get(operation_name)
        entries = {name: (entry.text(), entry) for name, entry in source.fields()} if source.is_fields else {}
        if not source.is_fields:
            entries = {item.text(): (item.text(), item) for item in source.items()}
        saved = {}
        for slot_name, (result, entry) in entries.items():
            if operation is None:  # already noted; its slots exist all the same, or each use would be a mistake too
                self._scope.slots.setdefault(slot_name, Slot(slot_name, self._declared.types["text"]))
                continue
            if result not in operation.results:
                self._scope.slots.setdefault(slot_name, Slot(slot_name, self._declared.types["text"]))
                entry.problem(f"'{operation_name}' gives no '{result}'.", suggestion(result, operation.results))
                continue
            kind = operation.results[result]
            slot = self._scope.find(slot_name)
            if slot is None:
                self._scope.slots[slot_name] = Slot(slot_name, SlotType(kind.value, kind))
            elif slot.type.kind.python_type is not kind.python_type:
                what = f"'{slot_name}' holds {slot.type.kind}, but '{result}' is {kind}."
                entry.problem(what, "Save it in another slot.")
            saved[slot_name] = result
        return saved

    def _run(self, plan: _Planned, value: Source, following: str) -> RunStep:
        name = value.text()
        check_known(name, self._declared.flows, value, "flow")
        head = self._declared.flows.get(name)
        on = plan.fields.get("on")
        outcomes = {}
        if on:
            for outcome, entry in on.fields(head.outcomes if head else None):
                outcomes[outcome] = self._block(entry.items(), following)
        if head:
            for unhandled in head.outcomes[1:]:
                if unhandled not in outcomes:
                    what = f"'{name}' may end with '{unhandled}', and nothing follows that."
                    plan.source.problem(what, f"Add '{unhandled}:' with steps under 'on:'.")
        return RunStep(plan.id, plan.source.line, name, outcomes, following)

    def _jump(self, plan: _Planned, value: Source, following: str) -> JumpStep:
        target = value.text()
        self._scope.later(lambda: check_known(target, self._taken, value, "step of this flow"))
        at_most = plan.fields.get("at_most")
        otherwise = plan.fields.get("otherwise")
        if at_most and not otherwise:
            plan.source.problem("What follows when the bound is used up?", "Add 'otherwise:' with steps.")
        return JumpStep(
            plan.id,
            plan.source.line,
            target,
            at_most.number(least=1) if at_most else None,
            self._optional_block(otherwise, following),
        )

    def _prompt(self, plan: _Planned, source: Source, part: str) -> Prompt:
        name = f"{self._head.name}.{plan.id}" + (f".{part}" if part else "")
        return self._scope.prompt(source, name, interruptible=plan.fields.flag("barge_in", default=True))


def _takeover(source: Source | None) -> Takeover:
    text = source.text() if source else ""
    if source and text not in set(Takeover):
        source.problem(f"'{text}' is no way for a person to take over.", suggestion(text, list(Takeover)))
        return Takeover.WARM_TRANSFER
    return Takeover(text) if text else Takeover.WARM_TRANSFER
