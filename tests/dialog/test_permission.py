"""What the bot may not do: unproven callers get nothing private, and what is over the limit is a person's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from tests.dialog.strategies import shipped_bot
from voicebot.backends.backends import BackendResult, Backends
from voicebot.dialog.actions import Action, CallBackend, EndCall, RecordDecision, Say, Takeover, TransferTo
from voicebot.dialog.check import check
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import CallerPressed, CallStarted, SlotValue
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import load_bot
from voicebot.dialog.slots import judge, keyed_candidates, spoken_candidates
from voicebot.dialog.steps import SlotType
from voicebot.dialog.values import ValueKind
from voicebot.errors import BackendUnavailable
from voicebot.language.understanding import Understanding

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
FEES = """\
flow: fees
title: paying a fee
intents:
  pay_fee: [pay my fee, i owe money, pay the fine]
slots:
  amount: money
steps:
  - ask: amount
    prompt: How much?
    again: ["How much, please?"]
    keys: Key it in.
  - confirm: [amount]
    prompt: Pay {amount}?
    again: ["Yes or no?"]
    no: [done]
  - call: fees.pay
    with: {amount: amount}
  - reached: pay_fee
  - say: Paid.
"""


class Till:
    """A system that counts what it is asked."""

    def __init__(self, bot: Bot) -> None:
        self.operations = frozenset(bot.operations)
        self.asked = 0

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        self.asked += 1
        return BackendResult("ok")

    async def close(self) -> None:
        """Nothing is held open."""


def fees_bot(folder: Path, *rules: str) -> Path:
    write_bot(folder)
    (folder / "fees.yaml").write_text(FEES, encoding="utf-8")
    (folder / "fee_operations.yaml").write_text(
        "operations:\n  fees.pay:\n    arguments: {amount: money}\n    write: yes\n    undo: {by_hand: Pay it back.}\n"
        + "".join(f"    {rule}\n" for rule in rules),
        encoding="utf-8",
    )
    welcome = folder / "welcome.yaml"
    text = welcome.read_text(encoding="utf-8").replace("{1: renew,", "{1: renew, 2: fees,")
    welcome.write_text(text.replace("Press 1 to renew.", "Press 1 to renew, 2 for fees."), encoding="utf-8")
    return folder


def press(bot: Bot, *entries: str) -> tuple[Action, ...]:
    conversation = Conversation(bot)
    actions = conversation.step(CallStarted(AT, "twilio", "+1", "", "UTC", 1, call_id="c1"))
    for keys in entries:
        actions = conversation.step(CallerPressed(AT, keys))
    return actions


def test_what_is_over_the_limit_goes_to_a_person_and_no_system_is_asked(tmp_path: Path) -> None:
    bot = load_bot(fees_bot(tmp_path, "person_when: amount > 50"))
    actions = press(bot, "2", "51", "1")
    assert not any(isinstance(action, CallBackend) for action in actions)
    transfer = next(action for action in actions if isinstance(action, TransferTo))
    assert (transfer.reason, transfer.by, transfer.topic) == ("approval", Takeover.WARM_TRANSFER, "pay_fee")
    said = " ".join(action.text for action in actions if isinstance(action, Say))
    assert said.startswith("A person has to decide that.")
    assert any(isinstance(action, EndCall) and action.outcome == "person" for action in actions)


def test_what_is_within_the_limit_is_done(tmp_path: Path) -> None:
    bot = load_bot(fees_bot(tmp_path, "person_when: amount > 50"))
    (call,) = [action for action in press(bot, "2", "50", "1") if isinstance(action, CallBackend)]
    assert call.arguments == {"amount": Decimal(50)}


async def test_a_system_is_not_asked_for_what_is_over_the_limit_even_if_a_flow_would(tmp_path: Path) -> None:
    bot = load_bot(fees_bot(tmp_path, "person_when: amount > 50"))

    till = Till(bot)
    with pytest.raises(BackendUnavailable, match="person"):
        await Backends((till,), bot.operations, timeout_s=1).call(
            "fees.pay", {"amount": Decimal("50.01")}, idempotency_key="k"
        )
    assert till.asked == 0


def test_who_has_not_shown_who_they_are_gets_nothing(tmp_path: Path) -> None:
    bot = load_bot(fees_bot(tmp_path, "needs: member"))
    actions = press(bot, "2", "20", "1")
    assert not any(isinstance(action, CallBackend) for action in actions)
    assert "not_allowed" in [action.rule for action in actions if isinstance(action, RecordDecision)]


def test_a_flow_that_asks_for_something_private_too_early_is_found(tmp_path: Path) -> None:
    report = check(fees_bot(tmp_path, "needs: member", "person_when: amount > 50"))
    (found,) = report.errors
    assert (found.rule, found.file) == ("unproven", "fees.yaml")
    assert "'fees.pay' needs 'member'" in found.what


def test_a_flow_that_runs_the_proof_before_is_right_and_one_that_ignores_its_failure_is_not(tmp_path: Path) -> None:
    folder = fees_bot(tmp_path, "needs: member", "person_when: amount > 50")
    path = folder / "fees.yaml"
    proof = "steps:\n  - run: who\n    on:\n      unknown: [{}]\n"
    path.write_text(FEES.replace("steps:\n", proof.format("done")), encoding="utf-8")
    assert [finding.what for finding in check(folder).errors] == []
    path.write_text(FEES.replace("steps:\n", proof.format("{say: Never mind.}")), encoding="utf-8")
    assert [finding.rule for finding in check(folder).errors] == ["unproven"]


def test_money_that_moves_without_a_limit_is_a_warning(tmp_path: Path) -> None:
    (found,) = [finding for finding in check(fees_bot(tmp_path)).findings if finding.rule == "no_limit"]
    assert (found.file, found.line) == ("fee_operations.yaml", 3)


@pytest.mark.parametrize(
    ("rule", "finds"), [("needs: membr", "'membr' is not a slot"), ("person_when: amuont > 5", "'amuont'")]
)
def test_a_misspelt_rule_is_told_with_its_line(tmp_path: Path, rule: str, finds: str) -> None:
    (found,) = check(fees_bot(tmp_path, rule)).errors
    assert (found.file, found.line) == ("fee_operations.yaml", 6)
    assert finds in found.what


def test_every_write_of_the_shipped_bot_that_moves_money_has_a_limit_and_needs_proof() -> None:
    moving = [
        operation
        for operation in shipped_bot().operations.values()
        if operation.write and ValueKind.MONEY in operation.arguments.values()
    ]
    assert {operation.name for operation in moving} == {"bills.pay", "orders.credit"}
    assert all(operation.needs and operation.person_when for operation in moving)


def value(kind: ValueKind, text: str) -> SlotValue | None:
    asked = Expectation("asked", (kind.answer,) if kind.answer else ())
    (said,) = Understanding({}).interpret([(text, 1.0)], asked, AT)
    candidates = spoken_candidates(said, SlotType("t", kind))
    found = judge(candidates, SlotType("t", kind), (), lambda _: lambda _: None, AT.date()).candidate
    return found.value if found else None


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (ValueKind.PHONE, "five five five oh one two three", "5550123"),
        (ValueKind.PHONE, "plus one two oh two five five five oh one double two", "+12025550122"),
        (ValueKind.PHONE, "five five five", None),
        (ValueKind.POSTCODE, "one zero zero zero one", "10001"),
        (ValueKind.BIRTH_DATE, "march fifteenth nineteen eighty one", date(1981, 3, 15)),
        (ValueKind.BIRTH_DATE, "the ninth of january nineteen eighty eight", date(1988, 1, 9)),
        (ValueKind.BIRTH_DATE, "next friday", None),
    ],
)
def test_phones_postcodes_and_dates_of_birth_are_understood_from_speech(
    kind: ValueKind, text: str, expected: SlotValue | None
) -> None:
    assert value(kind, text) == expected


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        (ValueKind.PHONE, "2025550123", "2025550123"),
        (ValueKind.POSTCODE, "10001", "10001"),
        (ValueKind.BIRTH_DATE, "03151981", date(1981, 3, 15)),
        (ValueKind.BIRTH_DATE, "13151981", None),
        (ValueKind.BIRTH_DATE, "0315", None),
    ],
)
def test_they_can_be_keyed(kind: ValueKind, keys: str, expected: SlotValue | None) -> None:
    found = next(keyed_candidates(keys, SlotType("t", kind), AT.date()), None)
    assert (found.value if found else None) == expected
