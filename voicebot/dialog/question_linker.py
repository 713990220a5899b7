"""Links the steps that ask: what they listen for, their prompts, and where the answers lead."""

from __future__ import annotations

from voicebot.dialog.asking import confirmation_expectation, expectation_for, request_expectation
from voicebot.dialog.declarations import Declared, check_names, read_rules, rule_names
from voicebot.dialog.document import Source, suggestion
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.planned import LinkBlock, PlannedStep, step_prompt
from voicebot.dialog.scope import Scope, check_known
from voicebot.dialog.steps import AskStep, ConfirmStep, Question, RequestStep, Slot, SlotType


class QuestionLinker:
    """Reads ``ask:``, ``confirm:`` and ``request:`` steps of one flow; `block` links the steps that stand in them."""

    def __init__(self, declared: Declared, scope: Scope, block: LinkBlock) -> None:
        self._declared = declared
        self._scope = scope
        self._block = block

    def ask(self, plan: PlannedStep, value: Source, following: str) -> AskStep:
        name = value.text()
        slot_type = self._asked_type(name, value)
        options = plan.fields.texts("options")
        if options_source := plan.fields.get("options"):
            self._scope.check_slots(options, options_source)
        wait = plan.fields.get("wait_s")
        expectation = expectation_for(
            plan.name,
            slot_type,
            options=len(options),
            commands=self._declared.command_phrases,
            barge_in=plan.is_interruptible,
            listen_open=plan.fields.flag("listen_open") if "listen_open" in plan.fields else None,
            wait_s=float(wait.number(least=1)) if wait else None,
        )
        rules_source = plan.fields.get("must")
        rules = read_rules(rules_source, plan.name)
        if rules_source:
            used = rule_names(rules)
            self._scope.later(lambda: check_names(used, (*self._scope.comparable, "value"), rules_source))
        prompt = plan.fields.require("prompt")
        question = self._question(plan, prompt or plan.source, expectation, following)
        no = plan.fields.get("no")
        declined = self._block(no.items(), following) if no else None
        return AskStep(plan.id, plan.line, name, question, rules, options, following, declined)

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

    def confirm(self, plan: PlannedStep, value: Source, following: str) -> ConfirmStep:
        names = value.texts()
        self._scope.check_slots(names, value)
        slots = [slot for name in names if (slot := self._scope.find(name))]
        expectation = confirmation_expectation(
            plan.name,
            tuple(kind for slot in slots if (kind := slot.type.kind.answer)),
            tuple(sorted({length for slot in slots for length in slot.type.lengths})),
            self._declared.command_phrases,
            barge_in=plan.is_interruptible,
        )
        prompt = plan.fields.require("prompt")
        question = self._question(plan, prompt or plan.source, expectation, following)
        no_source = plan.fields.require("no")
        no = self._block(no_source.items(), following) if no_source else following
        return ConfirmStep(plan.id, plan.line, names, question, following, no)

    def request(self, plan: PlannedStep, value: Source, following: str) -> RequestStep:
        no_source, yes_source = plan.fields.get("no"), plan.fields.get("yes")
        expectation = request_expectation(
            plan.name,
            self._declared.command_phrases,
            yes_no=no_source is not None,
            barge_in=plan.is_interruptible,
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
            plan.line,
            self._question(plan, value, expectation, following),
            menu,
            step_prompt(self._scope, plan, yes_source, "yes") if yes_source else None,
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

    def _question(self, plan: PlannedStep, prompt: Source, expectation: Expectation, following: str) -> Question:
        again = plan.fields.get("again")
        keys = plan.fields.get("keys")
        gives_up = plan.fields.get("gives_up")
        texts = again.items() if again else []
        return Question(
            prompt=step_prompt(self._scope, plan, prompt),
            again=tuple(
                step_prompt(self._scope, plan, item, f"again_{number}") for number, item in enumerate(texts, start=1)
            ),
            keys=step_prompt(self._scope, plan, keys, "keys") if keys else None,
            expectation=expectation,
            gives_up=self._block(gives_up.items(), following) if gives_up else None,
        )
