"""Who calls, on whose behalf and by which way: what an INVITE of a trunk says."""

from __future__ import annotations

import pytest

from tests.telephony.sip.messages import request
from voicebot.telephony.sip.identity import identity_of


def test_an_invite_that_says_nothing_more_names_its_from_and_whom_it_is_for() -> None:
    told = identity_of(request(uri="sip:+1-555-010-0100@bot"))
    assert (told.caller, told.called, told.parameters) == ("+15550100199", "+15550100100", {})


@pytest.mark.parametrize(
    ("header", "parameter", "value"),
    [
        ("Diversion: <sip:+15550100700@pbx>;reason=no-answer", "diverted_from", "+15550100700"),
        ("Diversion: <sip:+15550100700@pbx>;reason=no-answer", "diversion_reason", "no-answer"),
        ("History-Info: <sip:700@pbx>;index=1, <sip:701@pbx>;index=1.1", "history", "700, 701"),
        ("User-to-User: 56a390f3d2b7;encoding=hex", "user_to_user", "56a390f3d2b7;encoding=hex"),
        ("Referred-By: <sip:agent@pbx>", "referred_by", "<sip:agent@pbx>"),
        ("X-Context: 4711", "x-context", "4711"),
        ("P-Asserted-Identity: <sip:+15550100123@trunk>", "asserted_identity", "+15550100123"),
    ],
)
def test_what_a_trunk_tells_reaches_the_calls_parameters(header: str, parameter: str, value: str) -> None:
    assert identity_of(request(headers=(header,))).parameters[parameter] == value


def test_an_asserted_identity_is_the_caller_and_a_withheld_one_is_nobody() -> None:
    asserted = "P-Asserted-Identity: <sip:+15550100123@trunk>"
    assert identity_of(request(headers=(asserted,))).caller == "+15550100123"
    assert identity_of(request(headers=(asserted, "Privacy: id"))).caller == "+15550100123"
    assert identity_of(request(headers=("Privacy: id",))).caller == ""


def test_what_cannot_be_read_and_what_is_too_much_are_left_out() -> None:
    many = tuple(f"X-{number}: {'y' * 600}" for number in range(100))
    told = identity_of(request(headers=("Diversion: <<<", "History-Info: ,,;", *many)))
    assert "diverted_from" not in told.parameters
    assert len(told.parameters) <= 16
    assert all(len(value) <= 512 for value in told.parameters.values())
