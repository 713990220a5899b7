"""What a person is told who takes over: everything that happened, and nothing that must not be kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from voicebot.calls.notes import CallNotes
from voicebot.dialog.actions import CallBackend, RecordDecision, TransferTo
from voicebot.dialog.events import Mood
from voicebot.records.context import ContextPacket, Trend, context_document, context_schema, read_context
from voicebot.records.record import Speaker, TurnRecord
from voicebot.records.summary import MOST_WORDS, introduction, summarise
from voicebot.telephony.leg import Channel, Direction, LegInfo

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TITLES = {"order_status": "your order"}
INFO = LegInfo("leg", Channel.SIP, Direction.INBOUND, "+15550100", "+15550199")


def notes() -> CallNotes:
    return CallNotes(INFO, "call-1", NOW, lambda intent: TITLES.get(intent, ""))


def packet(noted: CallNotes, *, reason: str = "asked", **remembered: str | bool) -> ContextPacket:
    wanted = TransferTo(reason, topic="order_status")
    return noted.packet(wanted, queue="service", priority=3, remembered=remembered, now=NOW)


def late_order() -> CallNotes:
    noted = notes()
    noted.goal("order_status", reached=False)
    noted.turn(TurnRecord(Speaker.CALLER, "where is my order 4512"))
    noted.decided(
        RecordDecision("answered", "order_status", "ask", "order_status", 0.93, {"order_number": "4512"}), secret=False
    )
    noted.answered(CallBackend("r1", "customers.authenticate", {}), "ok", {"customer_name": "Ada Byron"})
    noted.answered(CallBackend("r2", "orders.status", {}), "ok", {"status": "late"})
    noted.answered(CallBackend("r3", "orders.refund", {}, "key"), "over_limit", {})
    for sentiment, frustration in ((0.2, 0.0), (0.1, 0.0), (0.0, 0.0), (-0.6, 0.7), (-0.8, 0.9), (-0.7, 0.6)):
        noted.sounded(Mood(sentiment, frustration, cues=("ridiculous",) if frustration else ()))
    return noted


def test_an_agent_reads_who_calls_what_was_done_and_why_they_come() -> None:
    found = packet(late_order(), authenticated=True, customer_name="Ada Byron", tier="gold")
    assert found.summary == (
        "Gold customer Ada Byron, authenticated.",
        "About your order, order number 4 5 1 2, order refund gave over limit.",
        "Asked for a person; sounds frustrated, more and more.",
    )
    assert found.authentication.method == "customers.authenticate"
    assert (found.request and found.request.confidence, found.mood.trend) == (0.93, Trend.WORSE)
    assert found.next_steps == ("Look into orders.refund: it gave over limit.",)
    assert [attempt.outcome for attempt in found.attempts] == ["ok", "ok", "over_limit"]


def test_the_introduction_is_short_enough_for_twelve_seconds() -> None:
    said = introduction(packet(late_order(), authenticated=True, customer_name="Ada Byron", tier="gold"))
    assert said.startswith("Warm transfer. Gold customer Ada Byron, authenticated. About your order")
    assert len(said.split()) <= MOST_WORDS


def test_of_a_caller_who_said_nothing_only_that_is_said() -> None:
    found = packet(notes())
    assert found.summary == (
        "Caller, not authenticated.",
        "About your order, nothing was changed.",
        "Asked for a person.",
    )


def test_a_packet_fits_its_published_schema_and_is_read_back() -> None:
    found = packet(late_order(), authenticated=True)
    document = context_document(found)
    Draft202012Validator(context_schema()).validate(document)
    assert read_context(document) == found


def test_a_card_number_and_a_pin_never_get_into_a_packet() -> None:
    noted = notes()
    noted.turn(TurnRecord(Speaker.CALLER, "my card is 4111 1111 1111 1111"))
    noted.turn(TurnRecord(Speaker.CALLER, "1593", secret=True))
    noted.decided(RecordDecision("answered", "f", "s", slots={"pin": "1593"}), secret=False)
    noted.decided(RecordDecision("answered", "f", "s", slots={"note": "4111111111111111"}), secret=False)
    noted.decided(RecordDecision("answered", "f", "s", slots={"word": "sesame"}), secret=True)
    noted.answered(CallBackend("r", "cards.find", {}), "ok", {"number": "4111111111111111"})
    found = str(context_document(packet(noted, customer_name="4111 1111 1111 1111")))
    assert "1593" not in found
    assert "4111" not in found
    assert "sesame" not in found


def test_a_caller_who_failed_to_prove_who_they_are_is_named_so() -> None:
    noted = notes()
    for _ in range(2):
        noted.answered(CallBackend("r", "customers.authenticate", {}), "mismatch", {})
    found = packet(noted)
    assert found.summary[0] == "Caller, not authenticated after 2 tries."
    assert "Make sure who is calling before telling anything private." in found.next_steps


words = st.text(st.characters(categories=["L", "N", "Zs"]), max_size=20)


@given(words, words, st.booleans(), st.floats(-1, 1), st.floats(0, 1))
def test_the_summary_is_three_sentences_of_what_is_on_record(
    name: str, tier: str, authenticated: bool, sentiment: float, frustration: float
) -> None:
    found = packet(late_order(), authenticated=authenticated, customer_name=name, tier=tier)
    changed = replace(found, mood=replace(found.mood, sentiment=sentiment, frustration=frustration))
    sentences = summarise(changed)
    assert len(sentences) == 3
    assert all(sentence.endswith(".") for sentence in sentences)
    known = f"{context_document(changed)} 4 5 1 2 customer caller".lower()
    for number in ("".join(sentences)).split():
        if number.strip(".,").isdecimal():
            assert number.strip(".,") in known
