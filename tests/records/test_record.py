"""The record's types, their JSON form and the published schema."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.records.record import CallRecord, HeardWord, Outcome, Speaker, TurnRecord
from voicebot.records.schema import call_document, call_schema

_VALIDATOR = jsonschema.Draft202012Validator(call_schema())


def test_the_schema_is_itself_valid_and_promises_what_others_build_on() -> None:
    jsonschema.Draft202012Validator.check_schema(call_schema())
    promised = ["id", "channel", "started_at", "ended_at", "outcome", "goal", "flow_version", "turns"]
    assert set(promised) <= set(call_schema()["required"])
    turn = call_schema()["$defs"]["TurnRecord"]
    promised = ["speaker", "text", "heard_ms", "intent", "confidence", "slots", "decision", "timings_ms"]
    assert set(promised) <= set(turn["required"])
    assert turn["additionalProperties"] is False


@given(st.builds(CallRecord, started_at=st.datetimes(timezones=st.just(UTC))))
def test_every_record_satisfies_the_schema(record: CallRecord) -> None:
    _VALIDATOR.validate(call_document(record))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", "sort of"),
        ("started_at", 5),
        ("turns", [{"speaker": "caller"}]),
        ("surprise", 1),
        ("goal_reached", None),
    ],
)
def test_the_schema_refuses_what_is_no_record(field: str, value: Any) -> None:
    document = call_document(CallRecord("c1", "twilio", datetime(2026, 1, 1, tzinfo=UTC)))
    _VALIDATOR.validate(document)
    with pytest.raises(jsonschema.ValidationError):
        _VALIDATOR.validate(document | {field: value})


@given(st.text(min_size=1), st.dictionaries(st.text(), st.text(), min_size=1))
def test_a_secret_turn_holds_nothing_of_what_it_was_given(said: str, slots: dict[str, str]) -> None:
    turn = TurnRecord(
        Speaker.CALLER,
        said,
        secret=True,
        at_ms=10,
        heard_text=said,
        slots=slots,
        alternatives=(said,),
        words=(HeardWord(said, 0, 1, 0.5),),
        decision="balance.pin: accepted",
    )
    assert turn == TurnRecord(Speaker.CALLER, "", secret=True, at_ms=10, decision="balance.pin: accepted")


def test_a_turn_that_is_no_secret_keeps_its_words() -> None:
    turn = TurnRecord(Speaker.CALLER, "my balance", slots={"account": "12"})
    assert (turn.text, turn.slots) == ("my balance", {"account": "12"})


def test_a_refused_call_has_an_outcome_of_its_own() -> None:
    assert Outcome("refused") is Outcome.REFUSED
