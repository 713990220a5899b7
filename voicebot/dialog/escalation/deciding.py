"""Whether a person should take over at this turn: the policy applied to the signals. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from voicebot.dialog.condition import holds
from voicebot.dialog.escalation.decision import ASKED, SCORE, Decision, NotYet, Part, Standing
from voicebot.dialog.escalation.policy import EscalationPolicy, InteractionType
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.events import SlotValue

#: Conditions over signals never look at a day; `holds` wants one.
_NO_DAY = date(1970, 1, 1)


def decide(policy: EscalationPolicy, signals: Signals, standing: Standing, about: str) -> tuple[Decision, Standing]:
    """Weigh the signals of a turn that is `about` an intent; returns the decision and how the call stands after it."""
    kind = policy.type_of(about)
    parts = _parts(kind, signals)
    score = round(sum(part.part for part in parts), 4)
    limits = policy.hysteresis
    if score < limits.released_below:
        standing = replace(standing, armed=False, climbed=None)
    decision = Decision(policy.version, about, kind.name, score, parts, _next_threshold(kind, standing))
    decision = _asked(policy, signals, standing, decision) or _ruled(policy, signals, standing, decision) or decision
    if not decision.rung:
        decision = _scored(policy, kind, signals, standing, decision)
    armed = standing.armed or score >= limits.armed_by
    return decision, _after(replace(standing, armed=armed, score=score), signals, decision)


def _after(standing: Standing, signals: Signals, decision: Decision) -> Standing:
    urgency = max(standing.urgency, signals.urgency)
    topic = signals.topic.value if signals.topic else standing.topic
    standing = replace(standing, urgency=urgency, topic=topic)
    if decision.rung is None:
        return standing
    heights = [rung for rung in (standing.climbed, decision.rung) if rung]
    return replace(
        standing,
        climbed=max(heights, key=lambda rung: rung.height),
        offered=standing.offered or decision.rule == ASKED,
        fired=standing.fired | {decision.rule} if decision.rule not in {ASKED, SCORE} else standing.fired,
        rule=decision.rule,
    )


def _parts(kind: InteractionType, signals: Signals) -> tuple[Part, ...]:
    found = []
    for name, weight in kind.weights.items():
        value = signals.number(name)
        if part := round(weight.part(value), 4):
            found.append(Part(name, value, weight.weight, part))
    return tuple(sorted(found, key=lambda part: (-part.part, part.signal)))


def _next_threshold(kind: InteractionType, standing: Standing) -> float | None:
    left = [threshold for rung, threshold in kind.rungs.items() if _is_above(rung, standing.climbed)]
    return min(left, default=None)


def _is_above(rung: EscalationRung, climbed: EscalationRung | None) -> bool:
    return climbed is None or rung.height > climbed.height


def _asked(policy: EscalationPolicy, signals: Signals, standing: Standing, decision: Decision) -> Decision | None:
    """Honour a request for a person, after one offer at most."""
    if not signals.asked_for_person:
        return None
    offer = None if standing.offered else policy.asked.offer
    return replace(decision, rung=offer or policy.asked.rung, rule=ASKED, threshold=None)


def _ruled(policy: EscalationPolicy, signals: Signals, standing: Standing, decision: Decision) -> Decision | None:
    """Apply the first hard rule that holds and has not fired on this call."""

    def lookup(name: str) -> SlotValue | None:
        value = getattr(signals, name, None)
        return Decimal(str(round(value, 4))) if isinstance(value, float) else value

    for rule in policy.rules:
        if rule.name not in standing.fired and holds(rule.condition, lookup, _NO_DAY):
            return replace(decision, rung=rule.rung, rule=rule.name, threshold=None)
    return None


def _scored(
    policy: EscalationPolicy, kind: InteractionType, signals: Signals, standing: Standing, decision: Decision
) -> Decision:
    """Climb: to the highest rung with a person that the score reaches, or else one rung of those without."""
    reached = [
        rung
        for rung, threshold in kind.rungs.items()
        if decision.score >= threshold and _is_above(rung, standing.climbed)
    ]
    if not reached:
        return replace(decision, held=NotYet.LOW_SCORE)
    if decision.score <= standing.score:
        return replace(decision, held=NotYet.NO_WORSE)
    gentle = [rung for rung in reached if not rung.involves_person]
    people = [rung for rung in reached if rung.involves_person]
    if people and not signals.refuses_person and (standing.armed or decision.score >= policy.hysteresis.at_once):
        rung = max(people, key=lambda one: one.height)
    elif gentle:
        rung = min(gentle, key=lambda one: one.height)
    else:
        return replace(decision, held=NotYet.NO_PERSON_WANTED if signals.refuses_person else NotYet.ONE_BAD_TURN)
    return replace(decision, rung=rung, rule=SCORE, threshold=kind.rungs[rung])
