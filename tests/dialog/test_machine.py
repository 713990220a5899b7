"""What the machine does beyond the shipped stories: odd events, broken answers, choices among readings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from tests.dialog.strategies import START, shipped_bot
from voicebot.dialog.actions import (
    CallBackend,
    EndCall,
    Listen,
    RecordDecision,
    Say,
    SetGoal,
    TransferTo,
)
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import (
    BackendAnswered,
    BackendFailed,
    CallerHungUp,
    CallerPressed,
    CallerSilent,
    CallerSpoke,
    CallerTalkedTooLong,
    CallMustEnd,
    CallStarted,
    Entity,
    Event,
    IntentScore,
    Interpretation,
    SlotValue,
)
from voicebot.dialog.expectation import AnswerKind
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import load_bot
from voicebot.dialog.machine import new_state, step
from voicebot.dialog.state import Phase


class Talk:
    """A conversation that remembers the last actions."""

    def __init__(self, bot: Bot | None = None, *, zone: str = "America/New_York", call_id: str = "call-1") -> None:
        self.dialog = Conversation(bot or shipped_bot())
        self.actions = self.dialog.step(CallStarted(START, "test", "+1555", "100", zone, 1, call_id=call_id))

    def take(self, event: Event) -> Talk:
        self.actions = self.dialog.step(event)
        return self

    def says(self, text: str, intent: str = "", sure: float = 0.95, *entities: Entity, yes: bool | None = None) -> Talk:
        scores = (IntentScore(intent, sure),) if intent else ()
        return self.take(CallerSpoke(START, (Interpretation(text, 0.9, scores, entities, yes),)))

    def presses(self, *keys: str) -> Talk:
        for one in keys:
            self.take(CallerPressed(START, one))
        return self

    def answers(self, outcome: str = "ok", **result: SlotValue | None) -> Talk:
        return self.take(BackendAnswered(START, self.dialog.state.waiting_for, outcome, result))

    @property
    def said(self) -> str:
        return " ".join(action.text for action in self.actions if isinstance(action, Say))

    @property
    def call(self) -> CallBackend:
        return next(action for action in self.actions if isinstance(action, CallBackend))

    @property
    def rules(self) -> list[str]:
        return [action.rule for action in self.actions if isinstance(action, RecordDecision)]

    @property
    def listens(self) -> Listen:
        return next(action for action in self.actions if isinstance(action, Listen))


def date_said(day: date, words: str = "tuesday") -> Entity:
    return Entity(AnswerKind.DATE, day, words, 0, len(words))


def test_nothing_happens_before_the_call_and_after_its_end() -> None:
    state = new_state(shipped_bot())
    assert step(shipped_bot(), state, CallerSilent(START)) == (state, ())
    talk = Talk().take(CallerHungUp(START))
    assert [action.outcome for action in talk.actions if isinstance(action, EndCall)] == ["hung_up"]
    assert talk.says("hello", "balance").actions == ()


def test_a_second_start_changes_nothing() -> None:
    talk = Talk()
    before = talk.dialog.state
    talk.take(CallStarted(START, "test", "", "", "UTC", 9))
    assert talk.rules == ["ignored"]
    assert talk.dialog.state == replace(before, at=START)


@pytest.mark.parametrize("noise", [CallerTalkedTooLong(START), CallerSpoke(START, (), over_prompt=True)])
def test_what_is_asked_again_in_noise_is_broken_off_by_keys_alone(noise: Event) -> None:
    talk = Talk()
    assert talk.listens.expectation.barge_in
    assert not talk.take(noise).listens.expectation.barge_in
    assert talk.says("er", yes=None).listens.expectation.barge_in, "what has words may be interrupted"


@pytest.mark.parametrize("zone", ["", "Nowhere/Land", "../../etc/passwd", "America/New_York"])
def test_an_unknown_zone_does_not_end_a_call(zone: str) -> None:
    assert Talk(zone=zone).listens.expectation.name == "welcome.first"


def test_the_zone_decides_what_today_is() -> None:
    late = datetime(2026, 3, 3, 3, 0, tzinfo=UTC)  # still the second in New York
    dialog = Conversation(shipped_bot())
    dialog.step(CallStarted(late, "test", "", "", "America/New_York", 1))
    actions = dialog.step(CallerPressed(late, "4"))
    said = " ".join(action.text for action in actions if isinstance(action, Say))
    assert said.startswith("We're closed for today. We open again tomorrow, from 9 AM")
    assert dialog.state.slots == {}


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("never_declared", {}),
        ("ok", {"balance": "a lot", "pending": Decimal(0)}),
        ("ok", {"balance": 5, "pending": Decimal(0)}),
    ],
)
def test_an_answer_that_breaks_the_contract_is_treated_as_no_answer(outcome: str, result: dict[str, SlotValue]) -> None:
    talk = Talk().presses("1", "400121", "4071").answers(customer_name="Maria Keller")
    talk.answers(outcome, **result)
    assert "contract_broken" in talk.rules
    assert "can't reach our system" in talk.said
    assert "anything else" in talk.said


def test_an_answer_to_another_question_is_ignored() -> None:
    talk = Talk().presses("2", "48213")
    waiting = talk.dialog.state
    talk.take(BackendAnswered(START, "orders.status#99", "ok", {}))
    talk.take(BackendFailed(START, "orders.status#99"))
    assert talk.rules == ["ignored"]
    assert talk.dialog.state == replace(waiting, at=START)
    assert talk.answers(item="a lamp", status="cancelled").said.startswith("Your order, a lamp, was cancelled.")


def test_a_failure_that_comes_twice_counts_once() -> None:
    talk = Talk().presses("2", "48213")
    request = talk.call.request_id
    assert "can't reach" in talk.take(BackendFailed(START, request)).said
    assert talk.take(BackendFailed(START, request)).rules == ["ignored"]


def test_a_write_carries_a_key_of_the_call_and_the_step_and_a_read_none() -> None:
    talk = Talk(call_id="call-77").presses("3", "0310", "1600")
    assert talk.call.idempotency_key is None
    talk.answers().presses("1")
    assert talk.call.operation == "calendar.book"
    assert talk.call.idempotency_key == "call-77/2/calendar.book"


def test_a_call_without_an_id_still_has_keys_of_its_own() -> None:
    keys = set()
    for seed in (1, 2):
        dialog = Conversation(shipped_bot())
        dialog.step(CallStarted(START, "test", "+1555", "100", "UTC", seed))
        for keyed in ("3", "0310", "1600"):
            dialog.step(CallerPressed(START, keyed))
        dialog.step(BackendAnswered(START, dialog.state.waiting_for, "ok", {}))
        actions = dialog.step(CallerPressed(START, "1"))
        keys.add(next(action.idempotency_key for action in actions if isinstance(action, CallBackend)))
    assert len(keys) == 2
    assert None not in keys


def test_after_a_write_nothing_before_it_can_be_corrected(tmp_path: Path) -> None:
    path = write_bot(tmp_path) / "renew.yaml"
    text = path.read_text(encoding="utf-8")
    again = '  - ask: late_note\n    prompt: Anything to note?\n    again: ["A note?"]\n'
    text = text.replace("  - reached: renew_books\n", again + "  - reached: renew_books\n")
    path.write_text(text.replace("  shelf: shelf\n", "  shelf: shelf\n  late_note: yes_no\n"), encoding="utf-8")
    talk = Talk(load_bot(tmp_path)).presses("1", "4711", "2", "1111")
    talk.answers(title="Atlas", due=date(2026, 3, 5), late_days=0, fee=Decimal(0)).presses("1", "0310", "1").answers(
        due=date(2026, 3, 10)
    )
    assert "Anything to note?" in talk.said
    talk.says("no the eleventh", "", 0, date_said(date(2026, 3, 11), "no the eleventh"))
    assert "That's done already." in talk.said
    assert talk.dialog.state.stack[-1].slots["day"] == date(2026, 3, 10)


def test_the_reading_that_answers_the_question_wins_over_a_likelier_one_that_means_nothing() -> None:
    talk = Talk().presses("2")
    readings = (
        Interpretation("for ate two one", 0.6),
        Interpretation("four eight two one three", 0.5, entities=(Entity("digits", "48213", "x", 0, 1),)),
    )
    assert talk.take(CallerSpoke(START, readings)).call.arguments == {"order_number": "48213"}


def test_a_wish_for_a_person_wins_over_an_unlikely_reading_with_digits() -> None:
    talk = Talk().presses("2")
    readings = (
        Interpretation("i want a person", 0.8, (IntentScore("person", 0.9),)),
        Interpretation("one two three four five", 0.1, entities=(Entity("digits", "12345", "x", 0, 1),)),
    )
    assert any(isinstance(action, TransferTo) for action in talk.take(CallerSpoke(START, readings)).actions)


def test_the_number_asked_for_is_no_wish_for_a_person_however_it_is_called() -> None:
    talk = Talk().presses("2")
    said = "my customer number is 4 8 2 1 3"
    reading = Interpretation(
        said, 0.9, (IntentScore("person", 0.82),), entities=(Entity("digits", "48213", said, 4, 9),)
    )
    assert talk.take(CallerSpoke(START, (reading,))).call.arguments == {"order_number": "48213"}


def test_nothing_heard_at_all_counts_as_not_understood() -> None:
    assert "no_match" in Talk().take(CallerSpoke(START, ())).rules


def test_a_caller_who_asks_for_time_gets_it() -> None:
    talk = Talk().presses("2").says("hold on", "wait")
    assert talk.listens.expectation.no_input_s >= 30


def test_slower_speech_stays_slower_and_has_a_limit() -> None:
    talk = Talk().presses("2").says("not so fast", "slower")
    paces = []
    for _ in range(12):
        talk.says("slower please", "slower")
        paces.append(next(action.pace for action in talk.actions if isinstance(action, Say)))
    assert paces[0] < 1.0
    assert paces == sorted(paces, reverse=True)
    assert paces[-1] >= 0.5
    assert next(action.pace for action in talk.says("x").actions if isinstance(action, Say)) == paces[-1]


def test_a_request_within_requests_stops_somewhere() -> None:
    talk = Talk()
    intents = ["balance", "order_status", "book_appointment", "change_address", "replace_card", "technical_problem"]
    for intent in intents * 3:
        talk.says("and also something else please", intent)
        if talk.dialog.state.phase is Phase.ENDED:
            break
    assert len(talk.dialog.state.stack) <= shipped_bot().limits.stack * 2 + 2


def test_asking_for_what_is_being_done_changes_nothing_and_counts() -> None:
    talk = Talk().presses("3").says("i want to book an appointment", "book_appointment")
    assert "no_match" in talk.rules


def test_a_flow_that_goes_in_circles_ends_politely_with_a_person(tmp_path: Path) -> None:
    write_bot(tmp_path)
    (tmp_path / "down.yaml").write_text(
        "flow: down\nsteps:\n  - set: {member: member}\n    id: again\n  - go_to: again\n", encoding="utf-8"
    )
    talk = Talk(load_bot(tmp_path)).presses("1", "4711", "2", "1111")
    talk.take(BackendFailed(START, talk.dialog.state.waiting_for))
    assert "circle" in talk.rules
    assert any(isinstance(action, TransferTo) for action in talk.actions)
    assert [action.outcome for action in talk.actions if isinstance(action, EndCall)] == ["failed"]


def test_a_system_that_is_down_while_saying_that_it_is_down_ends_the_call(tmp_path: Path) -> None:
    write_bot(tmp_path)
    call = "flow: down\nsteps:\n  - call: books.renew\n    with: {member: member, day: today}\n"
    (tmp_path / "down.yaml").write_text(call, encoding="utf-8")
    talk = Talk(load_bot(tmp_path)).presses("1", "4711", "2", "1111")
    talk.take(BackendFailed(START, talk.dialog.state.waiting_for))
    assert talk.call.operation == "books.renew"
    talk.take(BackendFailed(START, talk.dialog.state.waiting_for))
    assert "Something broke. Goodbye." in talk.said
    assert talk.dialog.state.phase is Phase.ENDED


def test_an_argument_that_holds_nothing_is_never_sent(tmp_path: Path) -> None:
    write_bot(tmp_path)
    call = (
        "flow: down\nsteps:\n  - call: books.renew\n    with: {member: member, day: today}\n    unavailable: [done]\n"
    )
    (tmp_path / "down.yaml").write_text(call, encoding="utf-8")
    path = tmp_path / "renew.yaml"
    text = path.read_text(encoding="utf-8").replace("  - ask: shelf\n", "  - clear: [member]\n  - ask: shelf\n")
    path.write_text(text, encoding="utf-8")
    talk = Talk(load_bot(tmp_path)).presses("1", "4711", "2", "1111")
    talk.answers(title="Atlas", due=date(2026, 3, 5), late_days=0, fee=Decimal(0)).presses("1", "0310", "1")
    assert "argument_missing" in talk.rules
    assert not any(isinstance(action, CallBackend) for action in talk.actions)


@pytest.mark.parametrize(("why", "outcome"), [("too_long", "too_long"), ("shutting_down", "shutting_down")])
def test_a_call_that_must_end_says_goodbye_even_while_a_system_works(why: str, outcome: str) -> None:
    talk = Talk().presses("2", "48213").take(CallMustEnd(START, why))
    assert "Goodbye" in talk.said
    assert [action.outcome for action in talk.actions if isinstance(action, EndCall)] == [outcome]


def test_goals_are_told_when_they_begin_and_when_they_are_reached() -> None:
    talk = Talk().presses("2")
    assert SetGoal("order_status") in talk.actions
    talk.presses("48213").answers(item="a lamp", status="cancelled")
    assert SetGoal("order_status", reached=True) in talk.actions


def test_decisions_carry_the_slots_but_never_a_secret() -> None:
    talk = Talk().presses("1", "400121", "4071")
    decision = next(action for action in talk.actions if isinstance(action, RecordDecision))
    assert decision.slots == {"account_number": "400121", "pin": None}
    assert talk.call.arguments["pin"] == "4071"
    assert talk.call.secret == {"pin"}
    assert talk.call.filler is not None


def test_prompts_with_a_callers_data_are_marked_as_personal() -> None:
    talk = Talk().presses("2", "48213").answers(item="a lamp", status="cancelled")
    marks = {action.prompt: action.personal for action in talk.actions if isinstance(action, Say)}
    assert marks == {"order_status.say_5": True, "welcome.more": False}


def test_trying_an_event_on_a_copy_leaves_the_conversation_as_it_is() -> None:
    talk = Talk().presses("3")
    before = talk.dialog.state
    tried = talk.dialog.fork()
    tried.step(CallerPressed(START, "0310"))
    assert talk.dialog.state == before
    assert tried.state != before


def test_a_time_answers_a_question_that_comes_later() -> None:
    words = "tuesday at three"
    day = Entity(AnswerKind.DATE, date(2026, 3, 10), "tuesday", 0, 7)
    at = Entity(AnswerKind.TIME, time(15), "at three", 8, 16)
    talk = Talk().presses("3").says(words, "", 0, day, at)
    assert talk.call.arguments == {"day": date(2026, 3, 10), "time": time(15)}
    assert "said_before" in talk.rules


def _scores(**sure: float) -> CallerSpoke:
    scores = tuple(IntentScore(intent, confidence) for intent, confidence in sure.items())
    return CallerSpoke(START, (Interpretation("something", 0.9, scores),))


@pytest.mark.parametrize(
    ("sure", "reply"),
    [
        ({"balance": 0.56, "order_status": 0.2}, "account number"),
        ({"balance": 0.33, "order_status": 0.2}, "Is this about your account balance?"),
        ({"balance": 0.3, "order_status": 0.27}, "Is this about your account balance, or the status of an order?"),
        ({"balance": 0.3, "order_status": 0.2}, "Is this about your account balance?"),
        ({"balance": 0.2, "order_status": 0.15}, "Sorry, I missed that."),
    ],
    ids=["sure", "unsure", "between two", "two, but not close", "two, both unlikely"],
)
def test_the_bot_acts_asks_or_asks_which_by_how_likely_the_intents_are(sure: dict[str, float], reply: str) -> None:
    talk = Talk().take(_scores(**sure))
    assert reply in talk.said


def test_starting_over_and_goodbye_drop_everything_and_a_person_does_not() -> None:
    assert Conversation(shipped_bot()).drops_all == {"start_over", "cancel", "goodbye"}


def test_a_correction_of_something_later_does_not_skip_the_question_that_stands() -> None:
    talk = Talk().presses("3").says("tuesday", "", 0.9, date_said(date(2026, 3, 3)))
    talk.says("at four", "", 0.9, Entity("time", time(16), "at four", 0, 7))
    talk.answers("closed", next_day=date(2026, 3, 4))
    assert talk.listens.expectation.name == "appointment.ask_day"
    talk.says("make it three", "", 0.9, Entity("time", time(15), "three", 8, 13))
    assert talk.listens.expectation.name == "appointment.ask_day"
    assert talk.dialog.state.stack[-1].slots["time"] == time(15)


def test_a_time_that_will_not_do_is_refused_although_it_sounds_like_a_request() -> None:
    talk = Talk().presses("3").says("tuesday", "", 0.9, date_said(date(2026, 3, 3)))
    talk.says("5 am", "opening_hours", 0.9, Entity("time", time(5), "5 am", 0, 4))
    assert talk.listens.expectation.name == "appointment.ask_time"
    assert "refused" in talk.rules
