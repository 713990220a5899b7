"""What the steps of one flow can see by name, and the pieces of YAML that use those names."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voicebot.dialog.condition import Condition, Literal, Name, names_in
from voicebot.dialog.declarations import Declared, check_names, read_condition, read_prompt
from voicebot.dialog.document import Source, suggestion
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.steps import Slot


class Scope:
    """The slots of one flow, growing while its steps are read. Names are looked up in the end, by `check`."""

    def __init__(self, slots: dict[str, Slot], declared: Declared) -> None:
        self.slots = dict(slots)
        self._declared = declared
        self._checks: list[Callable[[], None]] = []

    def find(self, name: str) -> Slot | None:
        return self.slots.get(name) or self._declared.remembered.get(name)

    @property
    def visible(self) -> tuple[str, ...]:
        return (*self.slots, *self._declared.remembered, *self._declared.always)

    @property
    def comparable(self) -> tuple[str, ...]:
        """What a condition may name: every value, and hours for days to lie in."""
        return (*self.visible, *self._declared.hours)

    def later(self, check: Callable[[], None]) -> None:
        """Names may be used above the step that fills them, so they are looked up once all steps are read."""
        self._checks.append(check)

    def check(self) -> None:
        for check in self._checks:
            check()

    def prompt(self, source: Source, name: str, *, interruptible: bool) -> Prompt:
        """Read a prompt; an empty one where there is none to read, which is then a problem already."""
        prompt = read_prompt(source, name, interruptible=interruptible)
        if prompt is None:
            return Prompt(name, ((),))
        self.later(lambda: self._check_prompt(prompt, source))
        return prompt

    def _check_prompt(self, prompt: Prompt, source: Source) -> None:
        check_names(sorted(prompt.names), self.visible, source)
        for name in prompt.names:
            slot = self.find(name)
            if slot and slot.type.secret:
                source.problem(f"'{name}' is secret and must not be said.", "Leave it out of the prompt.")

    def condition(self, source: Source) -> Condition | None:
        condition = read_condition(source)
        if condition:
            used = names_in(condition)
            self.later(lambda: check_names(used, self.comparable, source))
        return condition

    def operand(self, source: Source) -> Literal | Name:
        """Read a slot's name, or a constant: a number, yes, no, or a text in quotes."""
        text = source.text()
        if source.is_quoted:
            return Literal(text)
        if text in {"yes", "no", "true", "false"}:
            return Literal(text in {"yes", "true"})
        if text.removeprefix("-").isdecimal():
            return Literal(int(text))
        self.later(lambda: check_names((text,), self.visible, source))
        return Name(text)

    def check_slots(self, names: Iterable[str], source: Source) -> None:
        """Only slots can be filled or emptied, not the names that always exist."""
        wanted = tuple(names)
        self.later(lambda: check_names(wanted, (*self.slots, *self._declared.remembered), source))


def check_known(name: str, known: Iterable[str], source: Source, what: str) -> None:
    """Note a problem when `name` is not among `known`; `what` says what they are."""
    names = tuple(known)
    if name and name not in names:
        source.problem(f"There is no {what} '{name}'.", suggestion(name, names))
