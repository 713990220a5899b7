"""What a bot's files declare before any step is read: intents, types, operations, and each flow's head."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from voicebot.dialog.check_digits import CheckDigit
from voicebot.dialog.condition import Condition, ConditionError, names_in, parse_condition
from voicebot.dialog.document import Fields, Source, suggestion
from voicebot.dialog.flow import NOBODY_DECIDED, NOT_APPROVED, Intent, Operation, Place, Undo, spoken_words
from voicebot.dialog.hours import Hours
from voicebot.dialog.hours_values import hours_names
from voicebot.dialog.prompt import Piece, Prompt, TemplateError, parse_template
from voicebot.dialog.steps import Choice, Rule, Slot, SlotType
from voicebot.dialog.values import SPELT, ValueKind

#: Names that hold a value everywhere, without being declared.
BUILT_IN: Mapping[str, ValueKind] = {
    "today": ValueKind.DATE,
    "now": ValueKind.TIME,
    "caller": ValueKind.TEXT,
    "channel": ValueKind.TEXT,
    "said": ValueKind.TEXT,
    "guessed": ValueKind.YES_NO,
}
_IMPERSONAL = frozenset({"today", "now", "channel", "guessed"})
NAME = re.compile(r"[a-z][a-z0-9_]*")
OPERATION_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
TYPE_KEYS = ("kind", "length", "pattern", "check_digit", "choices", "secret", "must", "invalid", "keys")
OPERATION_KEYS = (
    "arguments",
    "results",
    "failures",
    "write",
    "secret",
    "needs",
    "person_when",
    "approve_when",
    "undo",
    "after_call",
    "no_such",
    "about",
)


@dataclass(slots=True)
class FlowHead:
    """A flow file's declarations, with its steps still unread."""

    name: str
    fields: Fields
    slots: dict[str, Slot]
    outcomes: tuple[str, ...]


@dataclass(slots=True)
class Declared:
    """Everything that steps may refer to by name."""

    types: dict[str, SlotType] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    remembered: dict[str, Slot] = field(default_factory=dict)
    flows: dict[str, FlowHead] = field(default_factory=dict)
    command_phrases: tuple[str, ...] = ()
    places: dict[str, Place] = field(default_factory=dict)
    hours: dict[str, Hours] = field(default_factory=dict)
    later: list[Callable[[], None]] = field(default_factory=list)

    @property
    def always(self) -> dict[str, ValueKind]:
        """Names that hold a value everywhere: the built-in ones and those of opening hours."""
        return {**BUILT_IN, **hours_names(self.hours)}

    def note_place(self, what: str, source: Source) -> None:
        self.places[what] = Place(source.file, source.line)


def is_impersonal(name: str) -> bool:
    """Whether what a name holds says nothing about a caller: the time, and opening hours."""
    return name in _IMPERSONAL or "." in name


def built_in_types() -> dict[str, SlotType]:
    """Every kind that needs no further word is a type of its own name."""
    needs_more = {ValueKind.CHOICE}
    return {kind.value: SlotType(kind.value, kind) for kind in ValueKind if kind not in needs_more}


def read_name(source: Source, what: str) -> str:
    name = source.text()
    if name and not NAME.fullmatch(name):
        source.problem(f"'{name}' is no good name for {what}.", "Use small letters, digits and _ only.")
    return name


def read_prompt(source: Source | None, name: str, *, interruptible: bool = True) -> Prompt | None:
    """Read one text, a list of variants, or both kinds of words (``spoken:`` and ``written:``).

    None when there is none or it cannot be read.
    """
    if source is None:
        return None
    if source.is_fields:
        fields = source.fields(("spoken", "written"))
        said, read = _read_variants(fields.require("spoken")), _read_variants(fields.require("written"))
        return Prompt(name, said, interruptible, read) if said else None
    variants = _read_variants(source)
    return Prompt(name, variants, interruptible) if variants else None


def _read_variants(source: Source | None) -> tuple[tuple[Piece, ...], ...]:
    variants: list[tuple[Piece, ...]] = []
    for item in source.items() if source else []:
        text = item.text()
        if not text:
            continue
        try:
            variants.append(parse_template(text))
        except TemplateError as error:
            item.problem(str(error), "Write values as {slot}, {slot:digits} or {days:count day}.")
    return tuple(variants)


def read_condition(source: Source) -> Condition | None:
    text = source.text()
    if not text:
        return None
    try:
        return parse_condition(text)
    except ConditionError as error:
        source.problem(str(error), "Write it like: delay_days > 3 and not credited")
        return None


def read_rules(source: Source | None, name: str) -> tuple[Rule, ...]:
    """Read ``must:`` entries of ``be`` and ``or_say``; the names they use are to be checked by `rule_names`."""
    rules = []
    for number, item in enumerate(source.items() if source else [], start=1):
        fields = item.fields(("be", "or_say"))
        be, reason = fields.require("be"), read_prompt(fields.require("or_say"), f"{name}.must_{number}")
        condition = read_condition(be) if be else None
        if condition and reason:
            rules.append(Rule(condition, reason))
    return tuple(rules)


def rule_names(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Every name that rules look at or say."""
    return tuple(used for rule in rules for used in (*names_in(rule.condition), *rule.reason.names))


def check_names(names: Collection[str], known: Collection[str], source: Source) -> None:
    for name in names:
        if name not in known:
            source.problem(f"'{name}' is not a slot here.", suggestion(name, known))


def read_intents(source: Source | None, flow: str | None, declared: Declared) -> tuple[str, ...]:
    """Read ``name: [examples]`` entries into `declared` and return their names."""
    if source is None:
        return ()
    fields = source.fields()
    for name, entry in fields:
        read_intent(name, entry, flow, declared)
    return fields.names


def read_intent(name: str, entry: Source, flow: str | None, declared: Declared) -> None:
    """Read one intent's examples into `declared`."""
    examples = tuple(dict.fromkeys(entry.texts()))
    if name in declared.intents:
        entry.problem(f"The intent '{name}' is declared twice.", "Put all its examples in one place.")
        return
    if len(examples) < 3:
        entry.problem(f"The intent '{name}' has too few examples.", "Give at least 3, better 5 to 10.")
    declared.intents[name] = Intent(name, examples, flow)
    declared.note_place(f"intent {name}", entry)


def read_types(source: Source | None, declared: Declared) -> None:
    if source is None:
        return
    for name, entry in source.fields():
        if name in declared.types:
            entry.problem(f"The type '{name}' is declared twice.", "Rename one of the two.")
            continue
        declared.types[name] = _read_type(name, entry, declared)
        declared.note_place(f"type {name}", entry)


def _read_type(name: str, entry: Source, declared: Declared) -> SlotType:
    fields = entry.fields(TYPE_KEYS)
    kind_source = fields.require("kind")
    kind = read_kind(kind_source) if kind_source else ValueKind.TEXT
    lengths = fields.get("length")
    choices = fields.get("choices")
    if kind is ValueKind.CHOICE and choices is None:
        entry.problem("A choice needs its choices.", "Add 'choices:' with 'name: [phrases]' entries.")
    return SlotType(
        name=name,
        kind=kind,
        lengths=tuple(item.number(least=1) for item in lengths.items()) if lengths else (),
        pattern=_read_pattern(fields.get("pattern")),
        check_digit=_read_check_digit(fields.get("check_digit"), kind),
        choices=_read_choices(choices),
        secret=fields.flag("secret"),
        rules=_read_own_rules(fields.get("must"), f"types.{name}", declared),
        invalid=read_prompt(fields.get("invalid"), f"types.{name}.invalid"),
        keys=read_prompt(fields.get("keys"), f"types.{name}.keys"),
    )


def _read_own_rules(source: Source | None, name: str, declared: Declared) -> tuple[Rule, ...]:
    """Read a type's rules, which see no slots; which hours there are is known once every file is read."""
    rules = read_rules(source, name)
    if source and rules:
        used = rule_names(rules)
        declared.later.append(lambda: check_names(used, ("value", *declared.always, *declared.hours), source))
    return rules


def read_kind(source: Source) -> ValueKind:
    text = source.text()
    if text in set(ValueKind):
        return ValueKind(text)
    if text:
        source.problem(f"'{text}' is no kind of value.", suggestion(text, list(ValueKind)))
    return ValueKind.TEXT


def _read_pattern(source: Source | None) -> str:
    if source is None:
        return ""
    pattern = source.text()
    try:
        re.compile(pattern)
    except re.error as error:
        source.problem(f"The pattern is not valid: {error}.", "Use a regular expression such as 4[0-9]{4}.")
        return ""
    return pattern


def _read_check_digit(source: Source | None, kind: ValueKind) -> CheckDigit | None:
    if source is None:
        return None
    rule = source.text()
    if kind is not ValueKind.DIGITS:
        source.problem(
            f"A check digit belongs to a type of digits, not to {kind}.", "Remove it, or use 'kind: digits'."
        )
        return None
    if rule in set(CheckDigit):
        return CheckDigit(rule)
    if rule:
        source.problem(f"'{rule}' is no rule for check digits.", suggestion(rule, list(CheckDigit)))
    return None


def _read_choices(source: Source | None) -> tuple[Choice, ...]:
    if source is None:
        return ()
    choices = []
    for name, entry in source.fields():
        phrases = tuple(dict.fromkeys(spoken_words(text) for text in entry.texts()))
        choices.append(Choice(name, phrases or (name,)))
    return tuple(choices)


def read_operations(source: Source | None, declared: Declared) -> None:
    if source is None:
        return
    for name, entry in source.fields():
        fields = entry.fields(OPERATION_KEYS)
        if not OPERATION_NAME.fullmatch(name):
            entry.problem(f"'{name}' is no good name for an operation.", "Name it system.verb, like orders.status.")
        if name in declared.operations:
            entry.problem(f"The operation '{name}' is declared twice.", "Keep one of the two.")
            continue
        declared.note_place(f"operation {name}", entry)
        arguments = _read_signature(fields.get("arguments"))
        results = _read_signature(fields.get("results"))
        approve_when = _read_limit(fields.get("approve_when"), arguments)
        secret = fields.texts("secret")
        secret_source = fields.get("secret")
        if secret_source:
            check_names(secret, arguments, secret_source)
        declared.operations[name] = Operation(
            name=name,
            arguments=arguments,
            results=results,
            failures=fields.texts("failures") + ((NOT_APPROVED, NOBODY_DECIDED) if approve_when else ()),
            write=fields.flag("write"),
            secret=frozenset(secret),
            needs=_read_needs(fields.get("needs"), declared),
            person_when=_read_limit(fields.get("person_when"), arguments),
            approve_when=approve_when,
            undo=_read_undo(fields, {**arguments, **results}, declared),
            after_call=fields.flag("after_call"),
            no_such=_read_no_such(fields, arguments),
        )


def _read_needs(source: Source | None, declared: Declared) -> Condition | None:
    """Read what must hold for the call; which slots are remembered is known once every file is read."""
    condition = read_condition(source) if source else None
    if source and condition:
        used = names_in(condition)
        declared.later.append(lambda: check_names(used, declared.remembered, source))
    return condition


def _read_limit(source: Source | None, arguments: Collection[str]) -> Condition | None:
    """Read when a person decides; only arguments are compared, so that every part of the system sees it alike."""
    condition = read_condition(source) if source else None
    if source and condition:
        check_names(names_in(condition), arguments, source)
    return condition


def _read_undo(operation: Fields, given: Mapping[str, ValueKind], declared: Declared) -> Undo | None:
    """Read ``undo: {operation: calendar.cancel, with: {reference: reference}}``, ``{by_hand: …}`` or ``{never: …}``.

    What stands on the right is an argument or a result of the operation that is undone; which operations there are is
    known once every file is read.
    """
    source = operation.get("undo")
    if source is None:
        return None
    fields = source.fields(("operation", "with", "by_hand", "never"))
    name, by_hand, never = fields.text("operation"), fields.text("by_hand"), fields.text("never")
    if sum(map(bool, (name, by_hand, never))) != 1:
        what = "An undo has an operation, or says what a person does, or why nobody can."
        source.problem(what, "Write one of 'operation:', 'by_hand:' and 'never:'.")
    if not operation.flag("write"):
        source.problem("Only a write can be undone.", "Add 'write: yes', or remove 'undo:'.")
    with_source = fields.get("with")
    entries = dict(with_source.fields()) if with_source else {}
    arguments = {argument: entry.text() for argument, entry in entries.items()}
    for entry in entries.values():
        check_names((entry.text(),), given, entry)

    def check_target() -> None:
        target = declared.operations.get(name)
        if target is None:
            source.problem(f"There is no operation '{name}'.", suggestion(name, declared.operations))
        elif not target.write or target.arguments.keys() != arguments.keys():
            takes = ", ".join(target.arguments) or "nothing"
            source.problem(f"'{name}' cannot undo this: it must be a write, and takes {takes}.", "Mend 'with:'.")

    if name:
        declared.later.append(check_target)
    return Undo(name, arguments, by_hand, never)


def _read_no_such(operation: Fields, arguments: Mapping[str, ValueKind]) -> dict[str, str]:
    """Read which failure says that an argument's value does not exist: ``not_found: order_number``."""
    source = operation.get("no_such")
    if source is None:
        return {}
    found = {}
    failures, secret = operation.texts("failures"), operation.texts("secret")
    for failure, entry in source.fields():
        argument = entry.text()
        if failure not in failures:
            entry.problem(f"'{failure}' is no failure of this operation.", suggestion(failure, failures))
        elif arguments.get(argument) not in SPELT:
            entry.problem(f"'{argument}' is no argument that is spelled.", "Name one of digits or alphanumeric.")
        elif argument in secret or operation.flag("write"):
            entry.problem("Secrets and writes are never tried out.", "Remove 'no_such:'.")
        else:
            found[failure] = argument
    return found


def _read_signature(source: Source | None) -> dict[str, ValueKind]:
    return {name: read_kind(entry) for name, entry in source.fields()} if source else {}


def read_slots(source: Source | None, owner: str, declared: Declared) -> dict[str, Slot]:
    """Read ``slot: type`` entries; `owner` is the flow, or nothing for those of the whole call."""
    if source is None:
        return {}
    slots = {}
    for name, entry in source.fields():
        type_name = entry.text()
        found = declared.types.get(type_name)
        if name in BUILT_IN:
            entry.problem(f"'{name}' always exists and cannot be declared.", "Choose another name.")
        elif found is None:
            entry.problem(f"The type '{type_name}' is not declared.", suggestion(type_name, declared.types))
        elif found.secret and not owner:
            what = f"'{name}' is secret and must not be remembered: what is remembered is kept after the call."
            entry.problem(what, "Declare it under 'slots:' of the flow that asks for it.")
        else:
            slots[name] = Slot(name, found)
            declared.note_place(f"slot {owner}.{name}", entry)
    return slots
