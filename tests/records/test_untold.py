"""What a caller says while no turn listens is silent where it may be an answer that must not be kept."""

from __future__ import annotations

from voicebot.records.record import Speaker
from voicebot.records.untold import HeldTurn, untold

LATE_MS = 100_000


def _bot(at_ms: int, heard_ms: int, text: str, prompt: str = "x.y") -> HeldTurn:
    return HeldTurn(Speaker.BOT, at_ms, heard_ms, text, prompt)


def _caller(at_ms: int, heard_ms: int) -> HeldTurn:
    return HeldTurn(Speaker.CALLER, at_ms, heard_ms, "[pin]", None)


def _silent(turns: list[HeldTurn], at_ms: int) -> bool:
    return any(start_ms <= at_ms < end_ms for start_ms, end_ms in untold(turns))


PIN = _bot(2000, 1500, "What is your PIN?", "login.ask_pin")


def test_an_answer_over_the_question_and_one_between_turns_are_silent() -> None:
    turns = [_bot(0, 1000, "Hello."), PIN, _caller(6000, 1000), _bot(9000, 1000, "Thank you.")]
    assert not _silent(turns, 1500)
    assert _silent(turns, 2500)  # over the question
    assert _silent(turns, 5000)
    assert not _silent(turns, 6500)  # the turn, which is judged by its words
    assert _silent(turns, 8500)
    assert _silent(turns, 9500)  # said on into the reply
    assert not _silent(turns, 10_500)


def test_a_word_besides_leaves_the_question_standing_and_another_question_does_not() -> None:
    turns = [PIN, _bot(5000, 500, "One moment.", "one_moment"), _bot(9000, 900, "And your order?", "order.ask")]
    assert _silent(turns, 7000)
    assert not _silent(turns, LATE_MS)


def test_a_question_that_nothing_followed_stands_to_the_end_of_the_recording() -> None:
    assert _silent([PIN], LATE_MS)


def test_an_agents_question_counts_like_the_bots() -> None:
    agent = HeldTurn(Speaker.AGENT, 50_000, 2000, "Can you read me your card number?", None)
    assert _silent([_bot(0, 1000, "Hello."), agent], 60_000)


def test_what_stands_for_a_number_that_was_taken_out_is_no_question() -> None:
    assert untold([_bot(0, 1000, "I have noted [card number].")]) == []


def test_where_nothing_was_asked_for_that_must_go_nothing_is_silent() -> None:
    assert untold([_bot(0, 1000, "What is your order number?", "order.ask_order_number"), _caller(3000, 500)]) == []
