"""Checks on types: what is compared, said, sent and set must be of the right kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal

from voicebot.dialog.condition import (
    AllOf,
    AnyOf,
    Aspect,
    Compare,
    Comparison,
    Condition,
    Holds,
    Literal,
    Name,
    Not,
    OneOf,
    Within,
)
from voicebot.dialog.declarations import BUILT_IN
from voicebot.dialog.document import suggestion
from voicebot.dialog.finding import Finding, at, error
from voicebot.dialog.flow import Bot, Flow
from voicebot.dialog.hours_values import hours_names
from voicebot.dialog.prompt import Filled
from voicebot.dialog.steps import AskStep, BranchStep, CallStep, ConfirmStep, HoursStep, SetStep, Slot, Step, prompts_of
from voicebot.dialog.values import SPELT, Form, ValueKind

_ORDERED = {Comparison.LESS, Comparison.AT_MOST, Comparison.MORE, Comparison.AT_LEAST}
_NUMBERS = {ValueKind.NUMBER, ValueKind.MONEY}
_ASPECTS: dict[Aspect, set[ValueKind]] = {
    Aspect.DAYS_AHEAD: {ValueKind.DATE, ValueKind.MOMENT, ValueKind.BIRTH_DATE},
    Aspect.WEEKDAY: {ValueKind.DATE, ValueKind.MOMENT},
    Aspect.HOUR: {ValueKind.TIME, ValueKind.MOMENT},
    Aspect.LENGTH: set(ValueKind),
}
_ASPECT_KINDS = {
    Aspect.DAYS_AHEAD: ValueKind.NUMBER,
    Aspect.WEEKDAY: ValueKind.TEXT,
    Aspect.HOUR: ValueKind.NUMBER,
    Aspect.LENGTH: ValueKind.NUMBER,
}


def kind_findings(bot: Bot) -> Iterator[Finding]:
    for flow in bot.flows.values():
        checker = _FlowKinds(bot, flow)
        for step in flow.steps.values():
            yield from checker.findings(step)


class _FlowKinds:
    def __init__(self, bot: Bot, flow: Flow) -> None:
        self._bot = bot
        self._flow = flow
        self._slots: Mapping[str, Slot] = {**bot.remembered, **flow.slots}
        self._hours_names = hours_names(bot.hours)

    def findings(self, step: Step) -> Iterator[Finding]:
        yield from self._forms(step)
        match step:
            case BranchStep(condition=condition):
                yield from self._condition(step, condition, None)
            case AskStep(slot=slot, rules=rules):
                for rule in (*self._slots[slot].type.rules, *rules):
                    yield from self._condition(step, rule.condition, self._slots[slot])
                yield from self._options(step)
            case CallStep():
                yield from self._arguments(step)
            case HoursStep(day=day):
                kind = self._kind(day, None) if day else None
                if kind and kind is not ValueKind.DATE:
                    what = f"'{day.name if day else ''}' is {kind}, and opening hours are looked up for a day."
                    yield error("kind", at(self._flow, step), what, "Name a slot that holds a date.")
            case SetStep(values=values):
                for name, operand in values.items():
                    kind = self._kind(operand, None) if operand else None
                    wanted = self._slots[name].type.kind
                    if kind and kind.python_type is not wanted.python_type:
                        what = f"'{name}' holds {wanted}, but is set to {kind}."
                        yield error("kind", at(self._flow, step), what, "Set a value of the same kind.")
            case ConfirmStep(slots=slots):
                for name in slots:
                    if self._slots[name].type.secret:
                        what = f"'{name}' is secret and must not be read back."
                        yield error("secret", at(self._flow, step), what, "Leave it out of 'confirm:'.")
            case _:
                return

    def _kind(self, operand: Literal | Name, value_slot: Slot | None) -> ValueKind | None:
        if isinstance(operand, Literal):
            kinds = {bool: ValueKind.YES_NO, int: ValueKind.NUMBER, Decimal: ValueKind.MONEY, str: ValueKind.TEXT}
            return kinds.get(type(operand.value))
        if operand.aspect:
            return _ASPECT_KINDS[operand.aspect]
        if operand.name == "value" and value_slot:
            return value_slot.type.kind
        slot = self._slots.get(operand.name)
        return slot.type.kind if slot else BUILT_IN.get(operand.name) or self._hours_names.get(operand.name)

    def _condition(self, step: Step, condition: Condition, value_slot: Slot | None) -> Iterator[Finding]:
        match condition:
            case Compare(left, comparison, right):
                yield from self._aspects(step, (left, right), value_slot)
                yield from self._compared(step, left, comparison, right, value_slot)
            case OneOf(value, options):
                yield from self._aspects(step, (value, *options), value_slot)
                for option in options:
                    yield from self._compared(step, value, Comparison.EQUAL, option, value_slot)
            case Within(value, hours):
                yield from self._aspects(step, (value,), value_slot)
                yield from self._within(step, value, hours, value_slot)
            case Holds(name):
                yield from self._aspects(step, (name,), value_slot)
            case Not(inner):
                yield from self._condition(step, inner, value_slot)
            case AllOf(conditions) | AnyOf(conditions):
                for inner in conditions:
                    yield from self._condition(step, inner, value_slot)

    def _aspects(self, step: Step, operands: tuple[Literal | Name, ...], value_slot: Slot | None) -> Iterator[Finding]:
        for operand in operands:
            if isinstance(operand, Name) and operand.name in self._bot.hours and operand.name not in self._slots:
                what = f"'{operand.name}' are opening hours and hold no value."
                fix = f"Write '{operand.name}.open_now', or 'day in {operand.name}'."
                yield error("kind", at(self._flow, step), what, fix)
            elif isinstance(operand, Name) and operand.aspect:
                kind = self._kind(Name(operand.name), value_slot)
                if kind and kind not in _ASPECTS[operand.aspect]:
                    what = f"'{operand.name}' is {kind} and has no '.{operand.aspect}'."
                    yield error("kind", at(self._flow, step), what, "Ask it of a day or a time.")

    def _within(self, step: Step, value: Literal | Name, hours: str, value_slot: Slot | None) -> Iterator[Finding]:
        kind = self._kind(value, value_slot)
        if hours not in self._bot.hours:
            what = f"'{hours}' are no opening hours."
            yield error("kind", at(self._flow, step), what, suggestion(hours, list(self._bot.hours)))
        elif kind and kind not in {ValueKind.DATE, ValueKind.MOMENT}:
            what = f"{kind} cannot be in '{hours}': it is open on days and at moments."
            yield error("kind", at(self._flow, step), what, f"Compare a day, or ask '{hours}.open_now'.")

    def _compared(
        self,
        step: Step,
        left: Literal | Name,
        comparison: Comparison,
        right: Literal | Name,
        value_slot: Slot | None,
    ) -> Iterator[Finding]:
        kinds = self._kind(left, value_slot), self._kind(right, value_slot)
        if None in kinds:
            return
        one, other = kinds
        if one is None or other is None:
            return
        if not self._comparable(left, right, one, other):
            what = f"{one} and {other} are never alike, so this comparison never holds."
            yield error("kind", at(self._flow, step), what, "Compare values of one kind.")
        elif comparison in _ORDERED and one.python_type in {bool, str} and other.python_type in {bool, str}:
            what = f"'{comparison}' makes no sense for {one}."
            yield error("kind", at(self._flow, step), what, "Use == or !=.")
        for name, literal in ((left, right), (right, left)):
            yield from self._unknown_choice(step, name, literal, value_slot)

    @staticmethod
    def _comparable(left: Literal | Name, right: Literal | Name, one: ValueKind, other: ValueKind) -> bool:
        if one.python_type is other.python_type or {one, other} <= _NUMBERS:
            return True
        for literal, kind in ((left, other), (right, one)):
            if isinstance(literal, Literal) and isinstance(literal.value, str) and _reads_as(literal.value, kind):
                return True
        return False

    def _unknown_choice(
        self, step: Step, name: Literal | Name, literal: Literal | Name, value_slot: Slot | None
    ) -> Iterator[Finding]:
        if not isinstance(name, Name) or name.aspect or not isinstance(literal, Literal):
            return
        slot = value_slot if name.name == "value" else self._slots.get(name.name)
        if slot is None or slot.type.kind is not ValueKind.CHOICE or not slot.type.choices:
            return
        values = [choice.value for choice in slot.type.choices]
        if literal.value not in values:
            what = f"'{literal.value}' is none of the choices of '{name.name}'."
            yield error("choice", at(self._flow, step), what, suggestion(str(literal.value), values))

    def _options(self, step: AskStep) -> Iterator[Finding]:
        wanted = self._slots[step.slot].type.kind
        for name in step.options:
            if self._slots[name].type.kind.python_type is not wanted.python_type:
                what = f"'{name}' is offered for '{step.slot}', which holds {wanted}."
                yield error("kind", at(self._flow, step), what, "Offer slots of the same kind.")

    def _arguments(self, step: CallStep) -> Iterator[Finding]:
        operation = self._bot.operations[step.operation]
        for name, operand in step.arguments.items():
            kind, wanted = self._kind(operand, None), operation.arguments[name]
            if kind and kind.python_type is not wanted.python_type:
                what = f"'{name}' of '{operation.name}' takes {wanted}, not {kind}."
                yield error("kind", at(self._flow, step), what, "Pass a slot of that kind.")
            slot = self._slots.get(operand.name) if isinstance(operand, Name) else None
            if slot and slot.type.secret and name not in operation.secret:
                what = (
                    f"'{slot.name}' is secret, but '{name}' of '{operation.name}' is not, so it would be written down."
                )
                fix = f"Add 'secret: [{name}]' to the operation."
                yield error("secret", at(self._flow, step), what, fix)

    def _forms(self, step: Step) -> Iterator[Finding]:
        for prompt in prompts_of(step):
            for piece in (piece for pieces in prompt.variants for piece in pieces if isinstance(piece, Filled)):
                kind = self._kind(Name(piece.name), None)
                allowed = {
                    Form.PLAIN: set(ValueKind),
                    Form.DIGITS: {*SPELT, ValueKind.NUMBER, ValueKind.TEXT},
                    Form.RELATIVE: {ValueKind.DATE, ValueKind.BIRTH_DATE, ValueKind.MOMENT},
                    Form.COUNT: {ValueKind.NUMBER},
                }[piece.form]
                if kind and kind not in allowed:
                    what = f"'{{{piece.name}}}' is {kind} and cannot be said as '{piece.form}'."
                    yield error("form", at(self._flow, step), what, "Write the name alone.")


def _reads_as(text: str, kind: ValueKind) -> bool:
    readers = {
        ValueKind.DATE: date.fromisoformat,
        ValueKind.BIRTH_DATE: date.fromisoformat,
        ValueKind.TIME: time.fromisoformat,
    }
    reader = readers.get(kind)
    if reader is None:
        return False
    try:
        reader(text)
    except ValueError:
        return False
    return True
