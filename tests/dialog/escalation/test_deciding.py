"""What a policy decides of signals, and what must be true of it whatever they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialog.escalation.policies import shipped_policy
from voicebot.dialog.escalation.deciding import decide
from voicebot.dialog.escalation.decision import ASKED, SCORE, Decision, NotYet, Standing
from voicebot.dialog.escalation.policy import Asked, EscalationPolicy
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.signals import Signals

ANGRY = Signals(frustration=0.9, angry_turns=1)
ANGRIER = Signals(frustration=0.9, angry_turns=2)

shares = st.floats(0, 1)
few = st.integers(0, 6)
signals = st.builds(
    Signals,
    frustration=shares,
    negativity=shares,
    sentiment_fall=st.floats(0, 2),
    urgency=shares,
    angry_turns=st.integers(0, 4),
    angry_at_bot=st.booleans(),
    rephrasings=few,
    stalled_turns=few,
    failed_authentications=few,
    backend_failures=few,
    unsolved=few,
    earlier_calls=few,
    value_at_stake=st.floats(0, 2000),
    legal=st.booleans(),
    distress=st.booleans(),
    asked_for_person=st.booleans(),
    refuses_person=st.booleans(),
    tier=st.sampled_from(["", "gold"]),
)
standings = st.builds(
    Standing,
    armed=st.booleans(),
    score=st.floats(0, 3),
    climbed=st.none() | st.sampled_from(EscalationRung),
    offered=st.booleans(),
)
abouts = st.sampled_from(["", "order_status", "pay_bill", "opening_hours"])


def height(decision: Decision) -> int:
    return decision.rung.height if decision.rung else -1


def run(policy: EscalationPolicy, turns: list[Signals], about: str = "") -> list[Decision]:
    found, standing = [], Standing()
    for turn in turns:
        decision, standing = decide(policy, turn, standing, about)
        found.append(decision)
    return found


def test_one_angry_turn_gets_a_kind_word_and_the_second_a_person() -> None:
    first, second = run(shipped_policy(), [ANGRY, ANGRIER])
    assert first.rung is EscalationRung.CLARIFY
    assert second.rung is EscalationRung.WARM_TRANSFER
    assert second.rule == SCORE


def test_a_calm_turn_after_an_angry_one_does_nothing() -> None:
    _, calm = run(shipped_policy(), [ANGRY, replace(ANGRY, frustration=0.0)])
    assert calm.rung is None
    assert calm.held is NotYet.NO_WORSE


@pytest.mark.parametrize(
    ("found", "rule", "rung"),
    [
        (Signals(legal=True), "legal", EscalationRung.WARM_TRANSFER),
        (Signals(distress=True), "danger", EscalationRung.DIRECT_LINE),
        (Signals(failed_authentications=2), "not_proven", EscalationRung.WARM_TRANSFER),
        (Signals(value_at_stake=500.01), "much_money", EscalationRung.WARM_TRANSFER),
        (Signals(tier="gold", frustration=0.8), "gold_and_angry", EscalationRung.WARM_TRANSFER),
        (Signals(earlier_calls=2, stalled_turns=1), "called_before", EscalationRung.WARM_TRANSFER),
        (Signals(urgency=0.7, backend_failures=1), "cannot_wait", EscalationRung.WARM_TRANSFER),
        (Signals(asked_for_person=True), ASKED, EscalationRung.WARM_TRANSFER),
    ],
)
def test_a_hard_rule_fires_whatever_the_score(found: Signals, rule: str, rung: EscalationRung) -> None:
    (decision,) = run(shipped_policy(), [found])
    assert (decision.rule, decision.rung) == (rule, rung)


@pytest.mark.parametrize(
    "found",
    [
        Signals(failed_authentications=1),
        Signals(value_at_stake=500),
        Signals(earlier_calls=5),
        Signals(tier="gold"),
        Signals(urgency=1.0),
        Signals(silences_in_a_row=5, no_inputs=5),
        Signals(barge_ins=9, repeats=9),
    ],
)
def test_what_is_no_reason_by_itself_fires_nothing(found: Signals) -> None:
    (decision,) = run(shipped_policy(), [found])
    assert decision.rung is None
    assert decision.held


def test_who_wants_no_person_gets_none_for_anger_but_for_legal_words() -> None:
    no_person = replace(ANGRIER, refuses_person=True)
    calm, angry, legal = run(shipped_policy(), [ANGRY, no_person, replace(no_person, legal=True)])
    assert calm.rung is EscalationRung.CLARIFY
    assert not (angry.rung and angry.rung.involves_person)
    assert legal.rule == "legal"


def test_a_decision_holds_every_part_of_its_score() -> None:
    _, decision = run(shipped_policy(), [ANGRY, ANGRIER])
    assert decision.score == pytest.approx(sum(part.part for part in decision.parts))
    assert [part.signal for part in decision.parts] == ["angry_turns", "frustration"]
    assert decision.threshold == 0.75


def test_a_type_of_interaction_has_its_own_rungs() -> None:
    usual, money = (run(shipped_policy(), [Signals(stalled_turns=2)], about)[0] for about in ("balance", "pay_bill"))
    assert (usual.type, money.type) == ("usual", "money")
    assert money.threshold != usual.threshold or money.rung is usual.rung
    assert EscalationRung.CALLBACK not in shipped_policy().type_of("pay_bill").rungs


@given(found=signals, more=shares, standing=standings, about=abouts)
def test_more_frustration_never_gets_a_caller_less(found: Signals, more: float, standing: Standing, about: str) -> None:
    worse = replace(found, frustration=max(found.frustration, more))
    policy = shipped_policy()
    calmer, angrier = (decide(policy, one, standing, about)[0] for one in (found, worse))
    assert angrier.score >= calmer.score
    assert height(angrier) >= height(calmer) or calmer.rule not in {SCORE, ""}


@given(turns=st.lists(signals, max_size=8), asks=signals, offer=st.none() | st.just(EscalationRung.CALLBACK))
def test_a_person_who_is_asked_for_comes_within_two_turns(
    turns: list[Signals], asks: Signals, offer: EscalationRung | None
) -> None:
    policy = replace(shipped_policy(), asked=Asked(EscalationRung.WARM_TRANSFER, offer))
    asking = replace(asks, asked_for_person=True)
    *_, first, second = run(policy, [*turns, asking, asking])
    assert any(one.rung and one.rung.is_takeover for one in (first, second))
    assert offer or first.rung is EscalationRung.WARM_TRANSFER


@given(turns=st.lists(signals, max_size=12), about=abouts)
def test_the_score_never_goes_back_down_the_ladder_without_calm_between(turns: list[Signals], about: str) -> None:
    policy = shipped_policy()
    highest = -1
    for decision in run(policy, turns, about):
        if decision.score < policy.hysteresis.released_below:
            highest = -1
        if decision.rung and decision.rule == SCORE:
            assert decision.rung.height > highest
        if decision.rung:
            highest = max(highest, decision.rung.height)


@given(turns=st.lists(signals, max_size=12), about=abouts)
def test_a_hard_rule_fires_once_on_a_call(turns: list[Signals], about: str) -> None:
    rules = [one.rule for one in run(shipped_policy(), turns, about) if one.rule not in {"", SCORE, ASKED}]
    assert len(rules) == len(set(rules))


@given(found=signals)
def test_signals_come_back_from_their_document(found: Signals) -> None:
    assert Signals.from_document({**found.document(), "unheard_of": 1}) == found
