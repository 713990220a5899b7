"""One flow of the shipped bot run alone, as for an agent who has the caller on the line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from voicebot.dialog.actions import Action, CallBackend, EndCall, Listen, ResumeRecording, Say, SetGoal
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import BackendAnswered, CallerPressed, CallStarted, SlotValue
from voicebot.dialog.loader import load_bot

FLOWS = Path(__file__).parents[2] / "flows"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
STARTED = CallStarted(NOW, "sip", "+15550100", "bot", "UTC", 1, call_id="call-1")
BILL: Mapping[str, SlotValue] = {
    "payee": "City Power",
    "due_amount": Decimal("84.20"),
    "due": date(2026, 3, 6),
    "limit": Decimal(500),
}


class Aside:
    """A payment in the middle of a call whose caller has authenticated."""

    def __init__(self, main: Conversation, flow: str = "bill_payment") -> None:
        self.conversation = main.aside(flow)
        self.actions: list[Action] = []
        self.take(STARTED)

    def take(self, event: BackendAnswered | CallerPressed | CallStarted) -> tuple[Action, ...]:
        done = self.conversation.step(event)
        self.actions += done
        return done

    def answers(self, **result: SlotValue | None) -> tuple[Action, ...]:
        asked = next(action for action in reversed(self.actions) if isinstance(action, CallBackend))
        return self.take(BackendAnswered(NOW, asked.request_id, "ok", result))

    def presses(self, *keys: str) -> None:
        for one in keys:
            self.take(CallerPressed(NOW, one))


@pytest.fixture(scope="module")
def main() -> Conversation:
    bot = load_bot(FLOWS)
    conversation = Conversation(bot)
    conversation.step(STARTED)
    state = conversation.state
    known = {**state.slots, "account_number": "400121", "authenticated": True}
    return Conversation(bot, replace(state, slots=known, requests=4))


def pay(main: Conversation) -> Aside:
    aside = Aside(main)
    aside.answers(**BILL)
    aside.presses("1", "1")
    aside.answers(balance=Decimal(1000), limit=Decimal(500))
    return aside


def test_a_payment_alone_asks_what_is_missing_pays_and_is_over(main: Conversation) -> None:
    aside = pay(main)
    calls = [action.operation for action in aside.actions if isinstance(action, CallBackend)]
    assert calls == ["bills.due", "bills.pay"]
    assert SetGoal("pay_bill", reached=True) in aside.actions
    assert aside.actions[-1] == EndCall("completed")
    said = [action.prompt for action in aside.actions if isinstance(action, Say)]
    assert all(prompt.startswith("bill_payment.") for prompt in said), "nobody greets, announces or says goodbye"


def test_what_was_written_before_is_not_taken_for_what_is_written_now(main: Conversation) -> None:
    before = main.state.requests
    aside = pay(main)
    keys = [action.idempotency_key for action in aside.actions if isinstance(action, CallBackend)]
    assert keys == [None, f"call-1/{before + 2}/bills.pay"]
    main.rejoin(aside.conversation)
    assert main.state.requests == before + 2


def test_what_the_bot_learns_of_the_caller_stays(main: Conversation) -> None:
    unknown = Conversation(main.bot, replace(main.state, slots={}))
    aside = Aside(unknown)
    aside.presses("400121", "4071")
    aside.answers(customer_name="Maria Keller", tier=None)
    unknown.rejoin(aside.conversation)
    assert unknown.remembered["account_number"] == "400121"


def test_a_recording_that_the_flow_stopped_goes_on_afterwards(main: Conversation) -> None:
    rules = replace(main.bot.recording, pause_in=frozenset({"bill_payment"}))
    paused = Conversation(replace(main.bot, recording=rules), main.state)
    aside = pay(paused)
    assert paused.rejoin(aside.conversation) == (ResumeRecording(),)


def test_a_flow_that_does_not_exist_is_refused(main: Conversation) -> None:
    with pytest.raises(KeyError):
        main.aside("no_such_flow")


def test_the_first_question_is_listened_for(main: Conversation) -> None:
    aside = Aside(Conversation(main.bot, replace(main.state, slots={})))
    assert isinstance(aside.actions[-1], Listen)
