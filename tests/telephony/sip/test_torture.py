"""Each message of RFC 4475 gets the outcome that the RFC names. The bytes stand beside, see LICENSE.md there."""

from __future__ import annotations

from pathlib import Path

import pytest
from sipmessage import Request

from voicebot.telephony.sip.message import BadMessage, parse

MESSAGES = Path(__file__).parent / "rfc4475"

#: What the guard does: a method or status means that it is well-formed and goes on, a number that it is answered so,
#: and None that it is dropped without an answer. Section of the RFC behind each.
OUTCOMES: dict[str, str | int | None] = {
    "wsinv": "INVITE",  # 3.1.1.1
    "intmeth": "!interesting-Method0123456789_*+`.%indeed'~",  # 3.1.1.2
    "esc01": "INVITE",  # 3.1.1.3
    "escnull": "REGISTER",  # 3.1.1.4
    "esc02": "RE%47IST%45R",  # 3.1.1.5
    "lwsdisp": "OPTIONS",  # 3.1.1.6
    "longreq": "INVITE",  # 3.1.1.7
    "dblreq": "REGISTER",  # 3.1.1.8
    "semiuri": "OPTIONS",  # 3.1.1.9
    "transports": "OPTIONS",  # 3.1.1.10
    "mpart01": "MESSAGE",  # 3.1.1.11
    "unreason": "200",  # 3.1.1.12
    "noreason": "100",  # 3.1.1.13
    "badinv01": 400,  # 3.1.2.1
    "clerr": 400,  # 3.1.2.2
    "ncl": 400,  # 3.1.2.3
    "scalar02": 400,  # 3.1.2.4
    "scalarlg": None,  # 3.1.2.5: a response is discarded
    "quotbal": 400,  # 3.1.2.6
    "ltgtruri": 400,  # 3.1.2.7
    "lwsruri": 400,  # 3.1.2.8
    "lwsstart": 400,  # 3.1.2.9
    "trws": 400,  # 3.1.2.10
    "escruri": 400,  # 3.1.2.11
    "baddate": "INVITE",  # 3.1.2.12: an element may ignore a Date it has no use for
    "regbadct": "REGISTER",  # 3.1.2.13: a registrar's matter, and this is none
    "badaspec": 400,  # 3.1.2.14
    "baddn": "OPTIONS",  # 3.1.2.15: "should be liberal"
    "badvers": 505,  # 3.1.2.16
    "mismatch01": 400,  # 3.1.2.17
    "mismatch02": 400,  # 3.1.2.18: 400 or 501
    "bigcode": None,  # 3.1.2.19
    "badbranch": "OPTIONS",  # 3.2.1: handled as of RFC 2543
    "insuf": 400,  # 3.3.1
    "unkscm": 416,  # 3.3.2
    "novelsc": 416,  # 3.3.3
    "unksm2": "REGISTER",  # 3.3.4: only a registrar minds
    "bext01": "OPTIONS",  # 3.3.5: the endpoint answers 420
    "invut": "INVITE",  # 3.3.6: the endpoint answers 415
    "regaut01": "REGISTER",  # 3.3.7
    "multi01": 400,  # 3.3.8
    "mcl01": 400,  # 3.3.9
    "bcast": "200",  # 3.3.10: dropped since it answers nothing of ours
    "zeromf": "OPTIONS",  # 3.3.11: only a proxy minds
    "cparam01": "REGISTER",  # 3.3.12
    "cparam02": "REGISTER",  # 3.3.13
    "regescrt": "REGISTER",  # 3.3.14
    "sdp01": "INVITE",  # 3.3.15: the server answers 406
    "inv2543": "INVITE",  # 3.4.1
}


def test_every_message_of_the_rfc_stands_in_the_table() -> None:
    assert {path.stem for path in MESSAGES.glob("*.dat")} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_torture_message_gets_the_outcome_that_the_rfc_names(name: str) -> None:
    data = (MESSAGES / f"{name}.dat").read_bytes()
    outcome: str | int | None
    try:
        message = parse(data)
        outcome = message.method if isinstance(message, Request) else str(message.code)
    except BadMessage as error:
        outcome = error.answer.code if error.answer else None
    assert outcome == OUTCOMES[name]


def test_what_follows_the_first_message_of_a_datagram_is_dropped() -> None:
    assert parse((MESSAGES / "dblreq.dat").read_bytes()).body == b""
