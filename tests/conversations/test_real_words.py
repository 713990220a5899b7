"""What callers say at the questions of the bot that ships, read by the language room and not by a story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache

import pytest

from tests.dialog.strategies import shipped_bot
from voicebot.dialog.actions import Action, CallBackend, Listen, Say
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import BackendAnswered, CallerSpoke, CallStarted, SlotValue
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.understanding import Understanding

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday


@cache
def understanding() -> Understanding:
    return Understanding(shipped_bot().intents)


class Caller:
    """Speaks with the bot; every system it asks answers "ok", with nothing in particular."""

    def __init__(self) -> None:
        self.conversation = Conversation(shipped_bot())
        self._expectation = Expectation("first", (AnswerKind.OPEN,))
        self.asked: list[tuple[str, Mapping[str, SlotValue]]] = []
        self._take(self.conversation.step(CallStarted(AT, "twilio", "", "", "UTC", 1, call_id="c1")))

    def say(self, *alternatives: str) -> str:
        """Say it, as a recogniser's alternatives would have it, and return the answer."""
        heard = [(text, 0.9 - 0.1 * rank) for rank, text in enumerate(alternatives)]
        readings = understanding().interpret(heard, self._expectation, AT)
        return self._take(self.conversation.step(CallerSpoke(AT, readings)))

    def holds(self, slot: str) -> SlotValue | None:
        state = self.conversation.state
        return {**state.slots, **state.stack[-1].slots}.get(slot)

    def _take(self, actions: Sequence[Action]) -> str:
        said = []
        for action in actions:
            match action:
                case Say():
                    said.append(action.text)
                case Listen(expectation=expectation):
                    self._expectation = expectation
                case CallBackend(request_id=request_id, operation=operation, arguments=arguments):
                    self.asked.append((operation, arguments))
                    said.append(self._take(self.conversation.step(BackendAnswered(AT, request_id, "ok", {}))))
                case _:
                    pass
        return " ".join(said)


@pytest.mark.parametrize(
    "card",
    [
        "four one one one one one one one one one one one one one one one",
        "four one one one one one please one one one one one one one one one one",
        "it's four one one one one one for one one one one one one one one one",
        "411111 hang on 111111 got it 1111",
        "4111 1111 1111 1111",
        "my card is four zero zero one two one uh then three three three three three three three three three three",
    ],
)
def test_a_cards_number_is_never_an_account_number(card: str) -> None:
    caller = Caller()
    assert "six digit account number" in caller.say("what's my balance")
    answer = caller.say(card, "four one one one one one")
    assert "account number" in answer
    assert caller.holds("account_number") is None


@pytest.mark.parametrize(
    "said",
    [
        "four zero zero one two one",
        "400121 for my balance",
        "my number is 400121 and my phone number is five five five one two three four five six seven",
        "400121 that's 400121",
        "four zero zero one two one, my zip code is one zero zero zero one",
    ],
)
def test_an_account_number_is_taken_from_what_stands_around_it(said: str) -> None:
    caller = Caller()
    caller.say("what's my balance")
    assert "PIN" in caller.say(said)
    assert caller.holds("account_number") == "400121"


@pytest.mark.parametrize(
    "said", ["no at four o'clock", "no, on wednesday at four", "no i said wednesday", "no wait at four", "no, four pm"]
)
def test_a_no_with_what_was_read_back_is_read_back_once_more(said: str) -> None:
    caller = Caller()
    question = caller.say("book an appointment on wednesday at four")
    assert question.endswith("That's Wednesday, March 4th at 4 PM. Shall I book it?")
    assert caller.say(said).endswith("That's Wednesday, March 4th at 4 PM. Shall I book it?")
    caller.say("yes")
    assert caller.asked[-1][0] == "calendar.book"


@pytest.mark.parametrize(
    "said", ["no", "no four o'clock is too late", "not at four", "no wednesday doesn't work", "no that's not right"]
)
def test_a_no_that_means_it_gives_up_what_was_read_back(said: str) -> None:
    caller = Caller()
    caller.say("book an appointment on wednesday at four")
    assert "another day, another time, or neither" in caller.say(said)
    assert all(operation != "calendar.book" for operation, _ in caller.asked)


def test_a_correction_that_begins_like_a_command_is_one() -> None:
    caller = Caller()
    caller.say("book an appointment on tuesday")
    assert "what time on Wednesday, March 4th" in caller.say("no wait, wednesday")


@pytest.mark.parametrize(
    "said", ["no", "i don't know my pin", "i don't have one", "i've forgotten it", "i forgot my pin"]
)
def test_who_has_no_pin_is_asked_for_a_date_of_birth(said: str) -> None:
    caller = Caller()
    caller.say("what's my balance")
    caller.say("four zero zero one two one")
    assert "date of birth" in caller.say(said)


def test_a_no_with_another_value_corrects() -> None:
    caller = Caller()
    caller.say("book an appointment on wednesday at four")
    assert "Thursday, March 5th at 4 PM. Shall I book it?" in caller.say("no, on thursday")
