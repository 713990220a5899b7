"""Who breaks off and comes back goes on where they were, and shows afresh who they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from tests.dialog.strategies import shipped_bot
from voicebot.dialog.actions import Action, CallBackend, Listen, RecordDecision, Say
from voicebot.dialog.continuing import continuation_of
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import (
    BackendAnswered,
    CallerHungUp,
    CallerPressed,
    CallerSpoke,
    CallStarted,
    Continuation,
    Event,
    Interpretation,
)
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import load_bot

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def started(continues: Continuation | None = None, channel: str = "twilio") -> CallStarted:
    return CallStarted(AT, channel, "+12025550123", "", "UTC", 1, call_id="c1", continues=continues)


def talk(bot: Bot, *events: Event) -> tuple[Conversation, tuple[Action, ...]]:
    conversation = Conversation(bot)
    actions: tuple[Action, ...] = ()
    for event in events:
        actions = conversation.step(event)
    return conversation, actions


def texts(actions: tuple[Action, ...]) -> str:
    return " ".join(action.text for action in actions if isinstance(action, Say))


def test_an_appointment_that_was_broken_off_goes_on_with_the_day_that_was_given() -> None:
    bot = shipped_bot()
    conversation, _ = talk(bot, started(), CallerPressed(AT, "3"), CallerPressed(AT, "0310"), CallerHungUp(AT))
    continuation = continuation_of(bot, conversation.state)
    assert continuation == Continuation("appointment", "book_appointment", {"day": date(2026, 3, 10)})

    later, actions = talk(bot, started(continuation, "chat"))
    assert texts(actions).startswith("Welcome back. Let's go on with booking an appointment.")
    assert "at what time on Tuesday, March 10" in texts(actions)
    # A correction of what was said the last time works as if it had been said now.
    spoke = CallerSpoke(AT, (Interpretation("no, the eleventh", 0.9, correction=True, entities=()),))
    assert any(isinstance(action, Listen) for action in later.step(spoke))


def test_who_has_shown_who_they_are_shows_it_again() -> None:
    bot = shipped_bot()
    conversation, actions = talk(
        bot, started(), CallerPressed(AT, "1"), CallerPressed(AT, "402938"), CallerPressed(AT, "1593")
    )
    call = next(action for action in actions if isinstance(action, CallBackend))
    conversation.step(BackendAnswered(AT, call.request_id, "ok", {"customer_name": "James Okafor"}))
    assert conversation.state.slots["authenticated"] is True
    conversation.step(CallerHungUp(AT))
    continuation = continuation_of(bot, conversation.state)
    assert continuation == Continuation("balance", "balance", {})
    later, actions = talk(bot, started(continuation))
    assert "authenticated" not in later.state.slots
    assert "account number" in texts(actions)


@pytest.mark.parametrize(
    "events",
    [(), (CallerPressed(AT, "4"),), (CallerPressed(AT, "0"),)],
    ids=["nothing asked for", "all done", "gone to a person"],
)
def test_a_conversation_without_an_open_request_leaves_nothing(events: tuple[Event, ...]) -> None:
    bot = shipped_bot()
    conversation, actions = talk(bot, started(), *events)
    call = next((action for action in actions if isinstance(action, CallBackend)), None)
    if call:
        conversation.step(BackendAnswered(AT + timedelta(seconds=1), call.request_id, "ok", {"open": False}))
    conversation.step(CallerHungUp(AT))
    assert continuation_of(bot, conversation.state) is None


def test_what_was_written_already_is_not_begun_again() -> None:
    bot = shipped_bot()
    conversation, _ = talk(bot, started(), CallerPressed(AT, "3"), CallerPressed(AT, "0310"))
    state = conversation.state
    written = replace(state, stack=(*state.stack[:-1], replace(state.stack[-1], committed=True)))
    assert continuation_of(bot, written) is None


def test_a_request_that_a_newer_version_no_longer_has_is_a_usual_beginning(tmp_path: Path) -> None:
    bot = load_bot(write_bot(tmp_path))
    _, actions = talk(bot, started(Continuation("appointment", "book_appointment", {"day": date(2026, 3, 10)})))
    assert "Corner Library" in texts(actions)
    assert [action.rule for action in actions if isinstance(action, RecordDecision)] == ["started"]


def test_an_answer_of_another_type_than_a_newer_version_asks_for_is_asked_again() -> None:
    _, actions = talk(shipped_bot(), started(Continuation("appointment", "book_appointment", {"day": "tuesday"})))
    assert "Which day would you like to come in?" in texts(actions)
