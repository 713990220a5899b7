"""Turns on their way to the database: what must not be kept is out of every field before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from voicebot.records.record import HeardWord, Speaker, TurnRecord
from voicebot.records.redacting import TurnRedactor

CARD = "four one one one two two two two three three three three four four four four"


def _words(text: str, at_ms: int = 1000) -> tuple[HeardWord, ...]:
    return tuple(
        HeardWord(word, at_ms + 500 * index, at_ms + 500 * index + 400, 0.9) for index, word in enumerate(text.split())
    )


def _said(text: str, at_ms: int = 1000, **more: object) -> TurnRecord:
    turn = TurnRecord(Speaker.CALLER, text, at_ms=at_ms, heard_ms=500 * len(text.split()), words=_words(text, at_ms))
    return turn if not more else TurnRecord(**{name: getattr(turn, name) for name in turn.__slots__} | more)


def _asks(text: str, prompt: str | None = None) -> TurnRecord:
    return TurnRecord(Speaker.BOT, text, prompt=prompt)


def test_a_card_said_where_nobody_asked_is_out_of_every_field_and_its_place_is_noted() -> None:
    turn = _said(
        f"pay with {CARD}",
        alternatives=(f"play with {CARD}",),
        slots={"note": "4111222233334444"},
        decision="pay: note (4111222233334444)",
        signals={"heard": ["4111 2222 3333 4444"], "share": 0.5},
    )
    (written,) = TurnRedactor().add(turn)
    kept = repr(written.turn)
    assert "four" not in kept
    assert "4111" not in kept
    assert written.turn.text == "pay with [card number]"
    (redaction,) = written.turn.redactions
    assert (redaction.kind, redaction.start_ms, redaction.end_ms) == ("card", 2000 - 400, 10_000 + 200)

    assert [word.text for word in written.turn.words][:3] == ["pay", "with", "[card number]"]
    assert written.turn.signals["share"] == 0.5


def test_a_number_that_ends_what_was_made_out_is_silence_to_the_end_of_the_turn() -> None:
    (written,) = TurnRedactor().add(_said(f"pay with {CARD}", heard_ms=12_000))
    assert [(each.start_ms, each.end_ms) for each in written.turn.redactions] == [(1600, 13_200)]
    (written,) = TurnRedactor().add(_said(f"pay with {CARD} please", heard_ms=12_000))
    assert [(each.start_ms, each.end_ms) for each in written.turn.redactions] == [(1600, 10_300)]


def test_what_a_question_asked_for_is_out_by_the_name_of_its_slot() -> None:
    redactor = TurnRedactor()
    redactor.add(_asks("Please key in your number.", "authenticate.ask_account_number"))
    (written,) = redactor.add(
        TurnRecord(
            *(Speaker.CALLER, "[402938]"),
            at_ms=20_000,
            heard_ms=4000,
            engine="keys",
            slots={"account_number": "402938"},
        )
    )
    assert written.turn.text == "[account number]"
    assert written.turn.slots == {"account_number": "[account number]"}
    (redaction,) = written.turn.redactions
    # From before the first key, and not from when the caller said what they want.
    assert 17_000 <= redaction.start_ms <= 18_000
    assert redaction.end_ms >= 25_000


def test_a_number_split_over_two_turns_is_never_written() -> None:
    redactor = TurnRedactor()
    words = CARD.split()
    first = redactor.add(_said("take " + " ".join(words[:7])))
    middle = redactor.add(_asks("Go on.", "pattern.go_on"))
    second = redactor.add(_said(" ".join(words[7:]) + " please", at_ms=9000))
    assert [each.turn.text for each in (*first, *middle, *second)] == [
        "take [number]",
        "Go on.",
        "[card number] please",
    ]
    assert redactor.end() == []
    assert first[0].turn.redactions
    assert second[0].turn.redactions


ORDER = ("What is the number of your order?", "order_status.ask_order_number")


def test_a_number_that_ends_there_is_written_whole_when_that_is_known() -> None:
    redactor = TurnRedactor()
    redactor.add(_asks(*ORDER))
    (held,) = redactor.add(_said("it is four eight two one three"))
    assert held.turn.text == "it is [number]"
    whole, after = redactor.add(_said("no i want to cancel it", intent="cancel_order"))
    assert (whole.number, whole.turn.text, whole.turn.redactions) == (1, "it is four eight two one three", ())
    assert (after.number, after.turn.text) == (2, "no i want to cancel it")


PIECES = ("four one one one", "one two two two", "two three three three", "three four four four")


@pytest.mark.parametrize(
    "between",
    ["", "hang on i have to turn it round", "can you still hear me", "uh"],
)
@pytest.mark.parametrize("lead", ["", "and after that", "the next are", "okay then"])
def test_a_card_said_in_pieces_at_a_question_for_a_number_is_written_nowhere(between: str, lead: str) -> None:
    turns = [_asks(*ORDER)]
    for piece in PIECES:
        turns.append(_said(f"{lead} {piece}".strip()))
        turns += [_said(between)] * bool(between)
        turns.append(_asks("Go on.", "pattern.go_on"))
    at_once, at_last = _written(turns)
    words = {word for piece in PIECES for word in piece.split()}
    for text in (*at_once, *(turn.text for turn in at_last)):
        assert words.isdisjoint(text.split())
    for turn in at_last:
        assert words.isdisjoint(word.text for word in turn.words)


def test_a_number_that_was_not_gone_on_with_is_written_whole_whatever_was_said_meanwhile() -> None:
    turns = [_asks(*ORDER), _said("four eight two one three"), _said("hang on"), _asks("Go on.", "pattern.go_on")]
    turns.append(_said("where is it", intent="order_status"))
    at_once, at_last = _written(turns)
    assert at_once[1] == "[number]"
    assert at_last[1].text == "four eight two one three"


def test_another_number_does_not_go_on_from_the_one_before() -> None:
    turns = [_asks(*ORDER), _said("four eight two one three"), _said("and my zip code is one zero zero zero one")]
    _, at_last = _written(turns)
    assert [turn.text for turn in at_last[1:]] == [turn.text for turn in turns[1:]]


PHONE = "five five five one two three four five six seven"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("What number can we call you back at?", PHONE),
        ("What is your phone number?", f"it is {PHONE} thanks"),
        ("What is your phone number?", "555 123 4567"),
        ("How can I help you?", f"call me back at {PHONE}"),
        ("How can I help you?", f"my mobile number is one {PHONE} and it is new"),
    ],
)
def test_a_telephone_number_with_its_area_code_stays(asked: str, said: str) -> None:
    turn = _said(said, slots={"phone": "+15551234567"})
    _, at_last = _written([_asks(asked), turn])
    assert at_last[1] == turn


def test_what_the_bot_says_of_a_number_to_call_stays_and_is_heard() -> None:
    turn = _asks(f"Right. I will call you at {PHONE}.")
    assert TurnRedactor().add(turn)[0].turn == turn


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("What is your phone number?", CARD),
        ("What is your phone number?", f"take my card {PHONE}"),
        ("What is your phone number?", f"my account number is {PHONE}"),
        ("What is your account number?", PHONE),
        ("How can I help you?", f"i want to pay by phone {PHONE}"),
        ("How can I help you?", f"my phone number is on my card {PHONE}"),
        ("How can I help you?", f"my phone number is {CARD}"),
        ("Use the keys of your phone. What is your order number?", PHONE),
    ],
)
def test_what_may_be_a_cards_or_an_accounts_number_is_no_telephone_number(asked: str, said: str) -> None:
    turn = _said(said, slots={"note": "4111111111111111", "phone": "4111111111111111"})
    _, at_last = _written([_asks(asked), turn])
    assert at_last[1].redactions
    assert set(said.split()[-8:]).isdisjoint(at_last[1].text.split())
    assert "4111" not in str(at_last[1].slots)


def test_a_card_in_pieces_at_a_question_for_a_telephone_number_is_written_nowhere() -> None:
    _, at_last = _written([_asks("What is your phone number?"), *(_said(piece) for piece in PIECES)])
    assert {word for piece in PIECES for word in piece.split()}.isdisjoint(" ".join(t.text for t in at_last).split())


def test_a_number_at_the_end_of_a_call_is_written_whole() -> None:
    redactor = TurnRedactor()
    redactor.add(_asks(*ORDER))
    redactor.add(_said("it is four eight two one three"))
    (whole,) = redactor.end()
    assert whole.turn.text == "it is four eight two one three"


def test_a_number_that_nobody_asked_for_and_nothing_took_is_out_since_its_name_may_have_been_misheard() -> None:
    redactor = TurnRedactor()
    redactor.add(_asks("How can I help you?", "welcome.first"))
    (written,) = redactor.add(_said("two two two with a two six one zero is that right"))
    assert written.turn.text == "[number] with a [number] is that right"
    assert len(written.turn.redactions) == 2
    (dated,) = redactor.add(_said("i was there on march third nineteen fifty five for two days"))
    assert dated.turn.redactions == ()


def test_the_first_digit_of_a_number_that_goes_on_is_out_too() -> None:
    redactor = TurnRedactor()
    redactor.add(_asks("How can I help you?", "welcome.first"))
    (first,) = redactor.add(_said("i want to pay with eight"))
    redactor.add(_asks("Go on.", "pattern.go_on"))
    (second,) = redactor.add(_said(" ".join(CARD.split()[1:]), at_ms=9000))
    assert (first.turn.text, second.turn.text) == ("i want to pay with [number]", "[card number]")
    assert redactor.end() == []


def test_an_answer_that_nobody_understood_is_silent_where_it_may_be_what_was_asked_for() -> None:
    redactor = TurnRedactor()
    redactor.add(_asks("What is your PIN?", "login.ask_pin"))
    (unheard,) = redactor.add(TurnRecord(Speaker.CALLER, "", at_ms=5000, heard_ms=2000))
    (redaction,) = unheard.turn.redactions
    assert (redaction.kind, redaction.start_ms, redaction.end_ms) == ("pin", 4800, 7200)
    redactor.add(_asks("How can I help you?", "welcome.first"))
    (other,) = redactor.add(TurnRecord(Speaker.CALLER, "", at_ms=9000, heard_ms=2000))
    assert other.turn.redactions == ()


def test_a_number_that_the_dialog_took_for_an_order_is_written_at_once() -> None:
    (written,) = TurnRedactor().add(_said("it is four eight two one three", slots={"order_number": "48213"}))
    assert written.turn.text == "it is four eight two one three"
    assert written.turn.slots == {"order_number": "48213"}


def test_words_without_times_silence_the_whole_turn() -> None:
    turn = TurnRecord(Speaker.CALLER, CARD, at_ms=5000, heard_ms=8000)
    (written,) = TurnRedactor().add(turn)
    (redaction,) = written.turn.redactions
    assert (redaction.start_ms, redaction.end_ms) == (4800, 13_200)


def test_a_turn_without_anything_of_the_kind_is_written_as_it_is() -> None:
    turn = _said("where is my order please", slots={"order_number": "48213"}, decision="order: found (48213)")
    assert TurnRedactor().add(turn)[0].turn is turn


def _written(turns: Sequence[TurnRecord]) -> tuple[list[str], list[TurnRecord]]:
    """Return what is written of turns at once, and what stands there when the call is over."""
    redactor = TurnRedactor()
    steps = [redactor.add(turn) for turn in turns]
    last = {each.number: each.turn for step in (*steps, redactor.end()) for each in step}
    return [step[-1].turn.text for step in steps], [last[number] for number in sorted(last)]


def _keyed(key: str, at_ms: int) -> TurnRecord:
    return TurnRecord(Speaker.CALLER, f"[{key}]", at_ms=at_ms, engine="keys", decision="welcome.first: no_match")


@pytest.mark.parametrize("asks_again", [False, True])
def test_a_card_keyed_where_one_key_was_asked_for_is_written_nowhere(*, asks_again: bool) -> None:
    turns = [_asks("How can I help you?", "welcome.first")]
    for place, key in enumerate("4539148803436467"):
        turns.append(_keyed(key, 1000 * place))
        turns += [_asks("I'm sorry, I didn't follow that.", "pattern.sorry")] * asks_again
    at_once, at_last = _written(turns)
    keyed = [turn for turn in at_last if turn.speaker is Speaker.CALLER]
    assert not any(char.isdigit() for char in "".join(at_once))
    assert not any(char.isdigit() for turn in keyed for char in turn.text)
    assert all(turn.redactions for turn in keyed)


def test_a_key_or_two_that_led_to_nothing_are_there_once_that_is_known() -> None:
    turns = [_keyed("7", 1000), _asks("Sorry?"), _keyed("8", 2000), _said("I want my balance", at_ms=3000)]
    at_once, at_last = _written(turns)
    assert at_once == ["[number]", "Sorry?", "[number]", "I want my balance"]
    assert [turn.text for turn in at_last] == ["[7]", "Sorry?", "[8]", "I want my balance"]
    assert not any(turn.redactions for turn in at_last)


def test_keys_that_chose_something_are_there_at_once_however_many_follow_each_other() -> None:
    chosen = [replace(_keyed(key, 1000), intent="balance") for key in "121"]
    at_once, at_last = _written(chosen)
    assert at_once == [turn.text for turn in at_last] == ["[1]", "[2]", "[1]"]


def test_a_digit_said_alone_again_and_again_is_no_more_kept_than_a_number_said_at_once() -> None:
    turns = [_said(word, at_ms=1000 * place) for place, word in enumerate(("four", "five", "three", "nine"))]
    at_once, at_last = _written(turns)
    assert at_once == ["[number]"] * 4
    assert [turn.text for turn in at_last] == ["[number]"] * 4
