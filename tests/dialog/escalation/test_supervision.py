"""How the policy changes a conversation, and what it tells whoever finds the person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dialog.strategies import START, any_event, later, shipped_bot
from voicebot.dialog.actions import Action, Listen, RecordEscalation, Say, Takeover, TransferTo
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.escalation.policy import Asked
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.topic import Topic
from voicebot.dialog.events import (
    BackendFailed,
    CallerPressed,
    CallerSilent,
    CallerSpoke,
    CallStarted,
    Entity,
    Event,
    IntentScore,
    Interpretation,
    Mood,
)
from voicebot.dialog.flow import Bot

ANGRY = Mood(-0.9, 0.9)
KEYS = "types.order_number.keys"


class Talk:
    """A conversation in which every turn is a little later."""

    def __init__(self, bot: Bot | None = None, *, earlier_calls: Mapping[str, int] | None = None) -> None:
        self.dialog = Conversation(bot or shipped_bot())
        self._at = START
        self.take(CallStarted(START, "test", "+1", "100", "UTC", 1, call_id="c", earlier_calls=earlier_calls or {}))

    def take(self, event: Event) -> Talk:
        self._at += timedelta(seconds=10)
        self.actions: tuple[Action, ...] = self.dialog.step(replace(event, at=self._at))
        return self

    def says(self, text: str, intent: str = "", *, rephrased: float = 0.0, **how: Any) -> Talk:
        scores = (IntentScore(intent, 0.9),) if intent else ()
        reading = replace(Interpretation(text, 0.9, scores), **how)
        return self.take(CallerSpoke(START, (reading,), rephrased=rephrased))

    @property
    def weighed(self) -> RecordEscalation:
        return next(action for action in self.actions if isinstance(action, RecordEscalation))

    @property
    def transfer(self) -> TransferTo | None:
        return next((action for action in self.actions if isinstance(action, TransferTo)), None)

    @property
    def said(self) -> list[str]:
        return [action.prompt for action in self.actions if isinstance(action, Say)]


def test_every_turn_is_weighed_also_when_nothing_follows() -> None:
    talk = Talk().says("where is my order", "order_status")
    assert talk.weighed.decision.rung is None
    assert talk.weighed.decision.held
    assert talk.weighed.decision.about == "order_status"
    assert talk.take(CallerSilent(START)).weighed.signals.no_inputs == 1
    assert talk.take(CallerPressed(START, "48213")).weighed.signals.seconds_in_task > 0


def test_a_transfer_says_for_what_how_urgent_and_by_which_rule() -> None:
    talk = Talk().says("pay my bill", "pay_bill")
    transfer = talk.says("my lawyer wants it today", mood=Mood(urgency=0.8), topics=frozenset({Topic.LEGAL})).transfer
    assert transfer == TransferTo("policy", Takeover.WARM_TRANSFER, "legal", 0.8, "legal")


def test_who_asked_for_a_person_is_passed_on_as_such_with_what_the_call_was_about() -> None:
    transfer = Talk().says("where is my order", "order_status").says("a person please", "person").transfer
    assert transfer == TransferTo("asked", Takeover.WARM_TRANSFER, "order_status", 0.0, "asked")


def test_an_offer_may_come_once_before_a_person() -> None:
    bot = shipped_bot()
    assert bot.policy
    asked = Asked(EscalationRung.WARM_TRANSFER, EscalationRung.CALLBACK)
    offering = replace(bot, policy=replace(bot.policy, asked=asked))
    talk = Talk(offering).says("where is my order", "order_status").says("a person please", "person")
    assert talk.transfer is None
    assert talk.said == ["offer_callback.ask_wants_callback"]
    transfer = talk.says("no i want a person", "person").transfer
    assert transfer
    assert transfer.rule == "asked"


def test_an_offer_that_is_declined_comes_back_to_the_question() -> None:
    bot = shipped_bot()
    assert bot.policy
    asked = Asked(EscalationRung.WARM_TRANSFER, EscalationRung.CALLBACK)
    talk = Talk(replace(bot, policy=replace(bot.policy, asked=asked)))
    talk.says("where is my order", "order_status").says("a person please", "person").take(CallerPressed(START, "2"))
    assert talk.said[-1] == "order_status.ask_order_number"
    listens = [action for action in talk.actions if isinstance(action, Listen)]
    assert listens[-1].expectation.name == "order_status.ask_order_number"


def test_who_wants_no_person_is_not_put_through_by_the_word() -> None:
    talk = Talk().says("i don't want a person", "person", refuses_person=True)
    assert talk.transfer is None
    assert talk.weighed.signals.refuses_person


def test_a_kind_word_comes_before_the_question_and_after_what_was_found_out() -> None:
    talk = Talk().says("where is my order this is ridiculous", "order_status", mood=ANGRY)
    assert talk.said == ["policy.clarify", "order_status.ask_order_number"]


def test_the_same_request_again_and_again_is_noticed() -> None:
    talk = Talk().says("how do i rename my wifi", "technical_problem")
    talk.says("i want to change its name", rephrased=0.7)
    assert talk.weighed.signals.rephrasings == 1


def test_the_same_request_about_something_else_is_no_repetition() -> None:
    talk = Talk().says("are you open on monday", "opening_hours", entities=(day_of(2),))
    talk.says("and are you open on friday", "opening_hours", rephrased=0.8, entities=(day_of(6),))
    assert talk.weighed.signals.rephrasings == 0
    talk.says("i asked whether you are open on friday", "opening_hours", rephrased=0.8, entities=(day_of(6),))
    assert talk.weighed.signals.rephrasings == 1
    talk.says("is the app working", "technical_problem", rephrased=0.6)
    assert talk.weighed.signals.rephrasings == 1


def day_of(day: int) -> Entity:
    return Entity("date", date(2026, 3, day), "day", 0, 3)


def test_a_calm_caller_who_was_not_understood_is_not_consoled() -> None:
    talk = Talk().take(CallerPressed(START, "2")).says("florble")
    assert talk.says("florble").said == ["policy.clarify_calm", "order_status.ask_order_number.again_2", KEYS]
    upset = Talk().take(CallerPressed(START, "2")).says("florble").says("florble", mood=Mood(-0.5, 0.2))
    assert upset.said[0] == "policy.clarify"


def test_a_calm_caller_who_was_understood_hears_nothing_of_the_policy() -> None:
    talk = Talk().says("where is the parcel i ordered", "order_status")
    talk.take(CallerPressed(START, "48213")).says("where has the thing i bought got to", "order_status", rephrased=0.8)
    assert talk.weighed.decision.rung is EscalationRung.CLARIFY
    assert not any(prompt.startswith("policy.") for prompt in talk.said)


def test_a_caller_who_called_about_the_same_needs_only_one_bad_sign() -> None:
    talk = Talk(earlier_calls={"order_status": 2}).says("where is my order", "order_status")
    assert talk.weighed.decision.rung is None
    transfer = talk.says("what").transfer
    assert transfer
    assert transfer.rule == "called_before"
    other = Talk(earlier_calls={"balance": 2}).says("where is my order", "order_status").says("what")
    assert other.transfer is None


def test_a_system_that_fails_an_urgent_caller_gets_them_a_person() -> None:
    talk = Talk().says("i need it today where is my order", "order_status", mood=Mood(urgency=0.8))
    talk.take(CallerPressed(START, "48213"))
    transfer = talk.take(BackendFailed(START, talk.dialog.state.waiting_for)).transfer
    assert transfer
    assert transfer.rule == "cannot_wait"


def test_without_a_policy_nothing_is_weighed() -> None:
    talk = Talk(replace(shipped_bot(), policy=None)).says("this is ridiculous", "order_status", mood=ANGRY)
    assert not any(isinstance(action, RecordEscalation) for action in talk.actions)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whoever_asks_for_a_person_gets_one_within_two_turns_of_any_call(data: st.DataObject) -> None:
    talk = Talk()
    at, expectation = START, None
    for _ in range(data.draw(st.integers(0, 12))):
        listens = [action.expectation for action in talk.actions if isinstance(action, Listen)]
        expectation = listens[-1] if listens else expectation
        at = later(at)
        talk.take(data.draw(any_event(shipped_bot(), talk.actions, expectation, at)))
    asked = 0
    while talk.dialog.state.phase == "asking" and talk.transfer is None and asked < 3:
        talk.says("a person please", "person")
        asked += 1
    assert asked <= 2
