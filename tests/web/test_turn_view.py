from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.recorded_call import short_call
from voicebot.records.record import CallRecord, HeardWord, Speaker, TurnRecord
from voicebot.records.schema import call_document
from voicebot.web.turn_view import Mark, Shown, Weighed, shown_turns


def shown(*turns: TurnRecord) -> list[Shown]:
    call = short_call()
    record = call_document(CallRecord(call.id, call.channel, call.started_at, turns=turns))
    return shown_turns(record["turns"])


def bot(
    text: str = "Hello there, caller", *, heard: str | None = None, at_ms: int = 0, heard_ms: int = 900
) -> TurnRecord:
    return TurnRecord(Speaker.BOT, text, at_ms=at_ms, heard_ms=heard_ms, heard_text=heard)


def test_a_bot_that_a_caller_cut_off_was_interrupted_and_the_rest_was_not_heard() -> None:
    cut, _ = shown(bot(heard="Hello there,"), TurnRecord(Speaker.CALLER, "my order", at_ms=800, heard_ms=500))

    assert (cut.unheard, cut.cut_ms, cut.interrupted, cut.marks) == (" caller", 900, True, (Mark.BARGE_IN,))


def test_a_bot_that_the_end_of_the_call_cut_off_was_not_interrupted() -> None:
    _, cut = shown(TurnRecord(Speaker.CALLER, "bye", at_ms=0, heard_ms=500), bot(heard="Hello", at_ms=5000))

    assert (cut.cut_ms, cut.interrupted, cut.marks) == (5900, False, ())


def test_what_was_never_spoken_is_no_interruption() -> None:
    never, _ = shown(bot(heard="", heard_ms=0), TurnRecord(Speaker.CALLER, "hello", at_ms=100, heard_ms=500))

    assert (never.unheard, never.marks) == ("Hello there, caller", ())


def test_words_have_their_times_where_they_are_the_words_shown() -> None:
    words = (HeardWord("my", 100, 200, 0.4), HeardWord("order", 250, 500, 0.9))
    same, corrected = shown(
        TurnRecord(Speaker.CALLER, "my order", words=words), TurnRecord(Speaker.CALLER, "our order", words=words)
    )

    assert same.words == (("my", 100, 0.4), ("order", 250, 0.9))
    assert corrected.words == (("our", None, None), ("order", None, None))


def test_what_the_policy_weighed_and_did_is_told() -> None:
    plea = shown_turns(call_document(short_call())["turns"])[6]

    assert plea.escalation is not None
    assert (plea.escalation.did, plea.escalation.rule, plea.escalation.score) == ("callback", "score", 0.62)
    assert plea.escalation.parts[0] == Weighed("negativity", 0.7, 0.5, 0.35)
    assert plea.marks == (Mark.ESCALATION,)
    assert plea.signals == (("uncertainty", "0.41"), ("negativity", "0.7"), ("angry_turns", "2"))


def test_a_policy_that_did_nothing_says_why_and_leaves_no_mark_of_its_own() -> None:
    order = shown_turns(call_document(short_call())["turns"])[1]

    assert order.escalation is not None
    assert order.escalation.held == "the score is below every rung that is left"
    assert order.marks == (Mark.DECISION,)


@pytest.mark.parametrize("decision", [{}, {"parts": [["one"]], "score": None}, "text", None])
def test_signals_of_another_version_do_not_break_the_page(decision: Any) -> None:
    (turn,) = shown(TurnRecord(Speaker.CALLER, "hello", signals={"decision": decision, "tier": "gold", "legal": True}))

    assert turn.escalation is None or turn.escalation.parts == ()
    assert turn.signals == (("tier", "gold"), ("legal", "yes"))


def test_a_caller_who_only_agreed_did_not_interrupt() -> None:
    (turn,) = shown(TurnRecord(Speaker.CALLER, "uh-huh", over_prompt=True, decision="backchannel: the prompt went on"))

    assert turn.agreed
