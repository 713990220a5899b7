"""Links the steps that have something done or looked up: by systems, other flows, opening hours, or a person."""

from __future__ import annotations

from collections.abc import Mapping

from voicebot.dialog.actions import Takeover
from voicebot.dialog.condition import Name
from voicebot.dialog.declarations import Declared, check_names
from voicebot.dialog.document import Source, suggestion
from voicebot.dialog.hours_values import DAY_RESULTS
from voicebot.dialog.planned import LinkBlock, PlannedStep, step_prompt
from voicebot.dialog.scope import Scope, check_known
from voicebot.dialog.steps import CallStep, HoursStep, PersonStep, RunStep, Slot, SlotType
from voicebot.dialog.values import ValueKind


class WorkLinker:
    """Reads ``call:``, ``hours:``, ``run:`` and ``person:`` steps; `block` links the steps that stand in them."""

    def __init__(self, declared: Declared, scope: Scope, block: LinkBlock) -> None:
        self._declared = declared
        self._scope = scope
        self._block = block

    def call(self, plan: PlannedStep, value: Source, following: str) -> CallStep:
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
            plan.line,
            name,
            arguments,
            self._saved(plan.fields.get("save"), name, operation.results if operation else None),
            outcomes,
            self._block(unavailable.items(), following) if unavailable else None,
            step_prompt(self._scope, plan, filler, "filler") if filler else None,
            following,
        )

    def hours(self, plan: PlannedStep, value: Source, following: str) -> HoursStep:
        name = value.text()
        check_known(name, self._declared.hours, value, "opening hours")
        day = plan.fields.get("day")
        if day:
            self._scope.later(lambda: check_names((day.text(),), self._scope.visible, day))
        save = self._saved(plan.fields.require("save"), name, DAY_RESULTS)
        return HoursStep(plan.id, plan.line, name, Name(day.text()) if day else None, save, following)

    def _saved(self, source: Source | None, giver: str, results: Mapping[str, ValueKind] | None) -> dict[str, str]:
        """Read ``save:``: result names, or ``slot: result`` entries. Undeclared slots take the result's type.

        `results` are those that `giver` has; None when there is no such operation, which is a problem already.
        """
        if source is None:
            return {}
        entries = {name: (entry.text(), entry) for name, entry in source.fields()} if source.is_fields else {}
        if not source.is_fields:
            entries = {item.text(): (item.text(), item) for item in source.items()}
        saved = {}
        for slot_name, (result, entry) in entries.items():
            if results is None:  # its slots exist all the same, or each use would be a mistake too
                self._scope.slots.setdefault(slot_name, Slot(slot_name, self._declared.types["text"]))
                continue
            if result not in results:
                self._scope.slots.setdefault(slot_name, Slot(slot_name, self._declared.types["text"]))
                entry.problem(f"'{giver}' gives no '{result}'.", suggestion(result, results))
                continue
            kind = results[result]
            slot = self._scope.find(slot_name)
            if slot is None:
                self._scope.slots[slot_name] = Slot(slot_name, SlotType(kind.value, kind))
            elif slot.type.kind.python_type is not kind.python_type:
                what = f"'{slot_name}' holds {slot.type.kind}, but '{result}' is {kind}."
                entry.problem(what, "Save it in another slot.")
            saved[slot_name] = result
        return saved

    def run(self, plan: PlannedStep, value: Source, following: str) -> RunStep:
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
        return RunStep(plan.id, plan.line, name, outcomes, following)

    def person(self, plan: PlannedStep, value: Source, following: str) -> PersonStep:
        by = plan.fields.get("by")
        text = by.text() if by else ""
        if by and text not in set(Takeover):
            by.problem(f"'{text}' is no way for a person to take over.", suggestion(text, list(Takeover)))
            text = ""
        return PersonStep(plan.id, plan.line, value.text(), Takeover(text or Takeover.WARM_TRANSFER), following)
