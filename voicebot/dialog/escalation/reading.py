"""Reads ``policy.yaml`` into an `EscalationPolicy`; mistakes become problems with their file, line and fix."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from voicebot.dialog.condition import names_in
from voicebot.dialog.declarations import read_condition, read_prompt
from voicebot.dialog.document import Fields, Source, suggestion
from voicebot.dialog.escalation.policy import (
    Asked,
    EscalationPolicy,
    HardRule,
    Hysteresis,
    InteractionType,
    RungWords,
    Sources,
    Weight,
)
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.signals import NAMED, WEIGHED
from voicebot.dialog.prompt import Prompt

POLICY_KEYS = ("about", "listen_for", "sources", "asked", "hysteresis", "rungs", "rules", "types")
SOURCES_KEYS = ("authentication", "value", "solved", "tier")
TYPE_KEYS = ("intents", "weights", "rungs")
HYSTERESIS_KEYS = ("armed_by", "at_once", "released_below")
#: The kind of whatever no other kind is about.
USUAL = "usual"
#: Rungs that say something before the question comes again; the others go on with a flow.
SAID = (EscalationRung.CLARIFY, EscalationRung.OTHER_WAY, EscalationRung.KEYS)


@dataclass(frozen=True, slots=True)
class Known:
    """The names of the bot that a policy may use."""

    flows: Collection[str]
    intents: Collection[str]
    operations: Collection[str]
    slots: Collection[str]


def read_policy(source: Source, version: str, known: Known) -> EscalationPolicy | None:
    """Read a whole policy; None when something that it cannot do without is missing."""
    fields = source.fields(POLICY_KEYS)
    rungs = _rungs(fields.require("rungs"), known)
    types = _types(fields.require("types"), known, rungs)
    hysteresis = _hysteresis(fields.require("hysteresis"))
    asked = _asked(fields.require("asked"), rungs)
    if not (types and rungs and hysteresis and asked):
        return None
    usual, *others = types
    return EscalationPolicy(
        version=version,
        usual=usual,
        types=tuple(others),
        rules=_rules(fields.get("rules"), rungs),
        hysteresis=hysteresis,
        asked=asked,
        rungs=rungs,
        sources=_sources(fields.get("sources"), known),
        listen_for=fields.texts("listen_for"),
    )


def listened_for(source: Source) -> tuple[str, ...]:
    """Return the sentences of anger and need that recognisers should know, whatever else is wrong with the policy."""
    return source.fields().texts("listen_for") if source.is_fields else ()


def _check(name: str, known: Collection[str], source: Source, what: str) -> bool:
    if name and name not in known:
        source.problem(f"There is no {what} '{name}'.", suggestion(name, known))
    return name in known


def _rung(source: Source, rungs: Mapping[EscalationRung, RungWords]) -> EscalationRung | None:
    """Read the name of a rung that the policy has words for."""
    text = source.text()
    if not _check(text, list(EscalationRung), source, "rung"):
        return None
    rung = EscalationRung(text)
    if rung not in rungs:
        source.problem(f"Nothing is said at the rung '{rung}'.", f"Describe '{rung}:' under 'rungs:'.")
        return None
    return rung


def _rungs(source: Source | None, known: Known) -> dict[EscalationRung, RungWords]:
    found: dict[EscalationRung, RungWords] = {}
    for name, entry in source.fields(list(EscalationRung)) if source else ():
        rung = EscalationRung(name)
        fields = entry.fields(("say", "calm", "flow"))
        wanted = "say" if rung in SAID else "flow"
        value = fields.require(wanted)
        for other in fields.names:
            if other not in ({"say", "calm"} if rung in SAID else {"flow"}):
                entry.problem(f"The rung '{rung}' has no '{other}:'.", f"Write '{wanted}:' instead.")
        if value is None:
            continue
        if wanted == "say":
            calm = fields.get("calm")
            found[rung] = RungWords(
                prompt=_words(value, f"policy.{rung}"), calm=_words(calm, f"policy.{rung}_calm") if calm else None
            )
        else:
            flow = value.text()
            _check(flow, known.flows, value, "flow")
            found[rung] = RungWords(flow=flow)
    return found


def _words(source: Source, name: str) -> Prompt | None:
    prompt = read_prompt(source, name)
    if prompt and prompt.names:
        source.problem("This is said anywhere, so it can say no values.", "Leave the {…} out.")
    return prompt


def _types(
    source: Source | None, known: Known, rungs: Mapping[EscalationRung, RungWords]
) -> tuple[InteractionType, ...]:
    """Read the kinds of interaction, the usual one first; the others have what they do not say from it."""
    if source is None:
        return ()
    fields = source.fields()
    first = fields.require(USUAL)
    if first is None:
        return ()
    usual = _type(USUAL, first, known, rungs, None)
    seen: set[str] = set()
    others = []
    for name, entry in fields:
        if name == USUAL:
            continue
        one = _type(name, entry, known, rungs, usual)
        for intent in one.intents:
            if intent in seen:
                entry.problem(f"The intent '{intent}' belongs to two types.", "Keep it in one of them.")
        seen.update(one.intents)
        others.append(one)
    return (usual, *others)


def _type(
    name: str,
    source: Source,
    known: Known,
    rungs: Mapping[EscalationRung, RungWords],
    usual: InteractionType | None,
) -> InteractionType:
    fields = source.fields(TYPE_KEYS)
    intents = fields.get("intents")
    for item in intents.items() if intents else []:
        _check(item.text(), known.intents, item, "intent")
    if usual is None and intents:
        intents.problem("'usual' is whatever no other type is about.", "Leave 'intents:' out.")
    if usual is not None:
        fields.require("intents")
    weights = fields.get("weights") if usual else fields.require("weights")
    ladder = fields.get("rungs") if usual else fields.require("rungs")
    return InteractionType(
        name=name,
        intents=intents.texts() if intents else (),
        weights={**(usual.weights if usual else {}), **_weights(weights)},
        rungs=_thresholds(ladder, rungs) if ladder else usual.rungs if usual else {},
    )


def _weights(source: Source | None) -> dict[str, Weight]:
    found = {}
    for name, entry in source.fields(WEIGHED) if source else ():
        if entry.is_fields:
            fields = entry.fields(("weight", "full"))
            weight, full = fields.require("weight"), fields.require("full")
            limit = full.amount() if full else 1.0
            if full and not limit:
                full.problem("A signal cannot be full at 0.", "Write the value at which it counts wholly.")
            found[name] = Weight(weight.amount() if weight else 0.0, limit or 1.0)
        else:
            found[name] = Weight(entry.amount(), 1.0)
    return found


def _thresholds(source: Source, rungs: Mapping[EscalationRung, RungWords]) -> dict[EscalationRung, float]:
    found: dict[EscalationRung, float] = {}
    for name, entry in source.fields(list(EscalationRung)):
        rung = EscalationRung(name)
        if rung not in rungs:
            entry.problem(f"Nothing is said at the rung '{rung}'.", f"Describe '{rung}:' under 'rungs:'.")
            continue
        threshold = entry.amount()
        for lower, below in found.items():
            if (lower.height < rung.height) != (below < threshold):
                entry.problem(f"'{rung}' at {threshold} is out of order with '{lower}' at {below}.", _ORDER_FIX)
        found[rung] = threshold
    if not any(rung.is_takeover for rung in found):
        source.problem("No rung here gets a person.", "Add 'warm_transfer:' or 'direct_line:' with its score.")
    return found


_ORDER_FIX = f"Let scores rise in this order: {', '.join(EscalationRung)}."


def _hysteresis(source: Source | None) -> Hysteresis | None:
    if source is None:
        return None
    fields = source.fields(HYSTERESIS_KEYS)
    entries = [fields.require(name) for name in HYSTERESIS_KEYS]
    values = [entry.amount() for entry in entries if entry]
    if len(values) < len(HYSTERESIS_KEYS):
        return None
    read = Hysteresis(*values)
    if not read.released_below <= read.armed_by <= read.at_once:
        source.problem("The values contradict each other.", "Let released_below <= armed_by <= at_once.")
    return read


def _asked(source: Source | None, rungs: Mapping[EscalationRung, RungWords]) -> Asked | None:
    if source is None:
        return None
    fields = source.fields(("go_to", "offer"))
    target, offer = fields.require("go_to"), fields.get("offer")
    rung = _rung(target, rungs) if target else None
    if target and rung and not rung.is_takeover:
        target.problem(f"'{rung}' gets nobody on the line.", "Write warm_transfer or direct_line.")
    first = _rung(offer, rungs) if offer else None
    if offer and first and first.is_takeover:
        offer.problem(f"'{first}' is no offer.", "Write a rung below warm_transfer, or leave 'offer:' out.")
    return Asked(rung, first) if rung else None


def _rules(source: Source | None, rungs: Mapping[EscalationRung, RungWords]) -> tuple[HardRule, ...]:
    rules = []
    for name, entry in source.fields() if source else ():
        if name in {"asked", "score"}:
            entry.problem(f"A rule cannot be called '{name}'.", "Choose another name.")
        rule = _rule(name, entry.fields(("when", "go_to")), rungs)
        if rule:
            rules.append(rule)
    return tuple(rules)


def _rule(name: str, fields: Fields, rungs: Mapping[EscalationRung, RungWords]) -> HardRule | None:
    when, target = fields.require("when"), fields.require("go_to")
    condition = read_condition(when) if when else None
    rung = _rung(target, rungs) if target else None
    if when is None or condition is None or rung is None:
        return None
    for used in names_in(condition):
        _check(used, NAMED, when, "signal")
    return HardRule(name, condition, when.text(), rung)


def _sources(source: Source | None, known: Known) -> Sources:
    if source is None:
        return Sources()
    fields = source.fields(SOURCES_KEYS)
    kinds = {"authentication": known.operations, "value": known.slots, "solved": known.slots, "tier": known.slots}
    for name, entry in fields:
        for item in entry.items():
            _check(item.text(), kinds[name], item, "operation" if name == "authentication" else "slot")
    tier = fields.get("tier")
    return Sources(
        authentication=frozenset(fields.texts("authentication")),
        value=frozenset(fields.texts("value")),
        solved=frozenset(fields.texts("solved")),
        tier=tier.text() if tier else "",
    )
