"""Which number a caller gave: readings that cannot be are passed over, those said no to never come back."""

from __future__ import annotations

from dataclasses import replace

from tests.dialog.strategies import START, shipped_bot
from tests.dialog.test_machine import Talk
from voicebot.dialog.check_digits import CheckDigit
from voicebot.dialog.events import CallerSpoke, Entity, Interpretation
from voicebot.dialog.expectation import AnswerKind
from voicebot.dialog.flow import Bot
from voicebot.dialog.spelled import MOST_TRIED, Spelled
from voicebot.dialog.steps import AskStep
from voicebot.dialog.turn import Turn


def heard(*numbers: tuple[str, float]) -> CallerSpoke:
    return CallerSpoke(
        START,
        tuple(
            Interpretation(number, sure, entities=(Entity(AnswerKind.DIGITS, number, number, 0, len(number)),))
            for number, sure in numbers
        ),
    )


def with_check_digit(bot: Bot) -> Bot:
    """Return the shipped bot with order numbers that have a check digit."""
    flow = bot.flows["order_status"]
    slot = flow.slots["order_number"]
    checked = replace(slot, type=replace(slot.type, check_digit=CheckDigit.LUHN))
    flows = {**bot.flows, flow.name: replace(flow, slots={**flow.slots, slot.name: checked})}
    return replace(bot, flows=flows)


def test_the_first_reading_whose_check_digit_fits_is_taken_however_unlikely() -> None:
    talk = Talk(with_check_digit(shipped_bot())).presses("2")
    readings = [(f"{number}", 0.9**rank) for rank, number in enumerate(range(48214, 48222))]
    assert talk.take(heard(*readings)).call.arguments == {"order_number": "48215"}
    assert talk.dialog.state.stack[-1].spelled["order_number"].guessed


def test_a_number_that_fits_in_no_reading_is_asked_for_again() -> None:
    talk = Talk(with_check_digit(shipped_bot())).presses("2").take(heard(("48213", 0.9), ("48214", 0.8)))
    assert "An order number has five digits." in talk.said
    assert "refused" in talk.rules


def test_a_system_is_asked_for_one_reading_after_the_other_and_then_not_found_is_believed() -> None:
    talk = Talk().presses("2")
    readings = [(f"{number}", 1 - rank / 100) for rank, number in enumerate(range(40001, 40031))]
    talk.take(heard(*readings))
    asked = []
    while "I can't find an order" not in talk.said:
        asked.append(talk.call.arguments["order_number"])
        talk.answers("not_found")
    assert asked == [number for number, _ in readings[:MOST_TRIED]]
    assert "I can't find an order 4 0 0, 0 1." in talk.said
    # What does not exist is not tried again, and the first attempt's other readings still count.
    talk.take(heard(("40001", 0.9), ("40015", 0.5)))
    assert talk.call.arguments == {"order_number": "40015"}


def test_nothing_heard_but_what_does_not_exist_counts_as_not_understood() -> None:
    talk = Talk().presses("2").take(heard(("40001", 0.9))).answers("not_found").take(heard(("40001", 0.9)))
    assert "no_match" in talk.rules


def test_keys_are_believed_as_they_are() -> None:
    talk = Talk().presses("2", "40001").answers("not_found")
    assert "I can't find an order 4 0 0, 0 1." in talk.said


def test_a_secret_is_never_guessed() -> None:
    talk = Talk().presses("1", "400121")
    step = talk.dialog.state.stack[-1]
    assert isinstance(shipped_bot().flows[step.flow].steps[step.step], AskStep)
    talk.take(heard(("123", 0.9), ("1234", 0.1)))
    assert not talk.dialog.state.stack[-1].spelled


def test_a_second_attempt_adds_to_the_first_only_if_that_came_to_nothing() -> None:
    first = Spelled("1", "1", "1", (("1", 1.0), ("2", 0.9), ("3", 0.5)))
    second = Spelled("4", "4", "4", (("4", 1.0), ("2", 0.3)))
    assert second.after(None) == second
    assert second.after(first) == second  # what was taken was right; this is another number
    denied = second.after(first.without_taken())
    assert denied is not None
    assert (denied.taken, denied.guessed) == ("2", True)


def test_after_a_no_the_next_reading_is_offered_once_and_not_after_a_system_has_refused_them_all() -> None:
    answer = Spelled("1", "2", "2", (("2", 1.0), ("3", 0.5), ("4", 0.4)))
    assert answer.next_offer() is None  # nobody said no
    offered = answer.without_taken().next_offer()
    assert offered is not None
    assert (offered.taken, offered.guessed) == ("3", True)
    assert offered.without_taken().next_offer() is None
    assert answer.given_up().next_offer() is None


def test_only_what_was_read_back_is_denied() -> None:
    talk = Talk().presses("2").take(heard(("98213", 0.9), ("48213", 0.8))).answers("not_found")
    talk.answers(item="a lamp", status="processing", late=False, expected=START.date())
    flow = talk.dialog.state.stack[-1]
    assert flow.spelled["order_number"].taken == "48213"
    turn = Turn(shipped_bot(), talk.dialog.state, START)
    turn.deny_spelled(())
    assert "48213" not in turn.frame.spelled["order_number"].denied
    turn.deny_spelled(("order_number",))
    assert "48213" in turn.frame.spelled["order_number"].denied
