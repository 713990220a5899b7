"""What a supervisor has stopped leads to a person, by whatever way the caller comes to it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.dialog.strategies import shipped_bot
from voicebot.dialog.actions import Action, Say, TransferTo
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import (
    CallerPressed,
    CallerSpoke,
    CallStarted,
    Continuation,
    Event,
    IntentScore,
    Interpretation,
    PausesChanged,
)

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
BALANCE_KEY, HOURS_KEY = "1", "4"


def started(*paused: str, continues: Continuation | None = None) -> CallStarted:
    return CallStarted(AT, "chat", "", "", "UTC", 1, call_id="c1", continues=continues, paused=frozenset(paused))


def asks_for(*intents: str) -> CallerSpoke:
    first, *further = (IntentScore(intent, 0.97) for intent in intents)
    return CallerSpoke(AT, (Interpretation("please", 0.95, (first,), further=tuple(further)),))


def talk(*events: Event) -> list[Action]:
    """Return what the bot does at all events together."""
    conversation = Conversation(shipped_bot())
    return [action for event in events for action in conversation.step(event)]


def transfers(actions: list[Action]) -> list[str]:
    return [action.reason for action in actions if isinstance(action, TransferTo)]


def texts(actions: list[Action]) -> str:
    return " ".join(action.text for action in actions if isinstance(action, Say))


@pytest.mark.parametrize(
    "events",
    [
        (started("balance"), asks_for("balance")),
        (started("balance"), CallerPressed(AT, BALANCE_KEY)),
        (started("balance"), asks_for("opening_hours", "balance")),
        (started(), PausesChanged(AT, frozenset({"balance"})), asks_for("balance")),
    ],
    ids=["said", "keyed", "asked for besides another", "stopped in mid-conversation"],
)
def test_a_request_that_was_stopped_goes_to_a_person(events: tuple[Event, ...]) -> None:
    actions = talk(*events)
    assert "paused" in transfers(actions)
    assert "account number" not in texts(actions)


def test_a_request_that_was_broken_off_and_then_stopped_is_not_gone_on_with() -> None:
    left = Continuation("balance", "balance", {})
    assert "account number" in texts(talk(started(continues=left)))
    actions = talk(started("balance", continues=left))
    assert "account number" not in texts(actions)
    assert "How can I help you" in texts(actions)


def test_others_are_served_and_what_was_stopped_is_too_once_it_may_go_on() -> None:
    assert transfers(talk(started("balance"), CallerPressed(AT, HOURS_KEY))) == []
    actions = talk(started("balance"), PausesChanged(AT, frozenset()), CallerPressed(AT, BALANCE_KEY))
    assert transfers(actions) == []
    assert "account number" in texts(actions)


def test_what_has_begun_is_finished() -> None:
    actions = talk(started(), CallerPressed(AT, BALANCE_KEY), PausesChanged(AT, frozenset({"balance"})))
    assert transfers(actions) == []
    assert "account number" in texts(actions)
