from __future__ import annotations

import pytest

from voicebot.errors import RemoteProtocolError
from voicebot.simulation.twiml import ConnectStream, HangUp, Pause, Play, Reject, Say, parse_twiml
from voicebot.telephony.twilio.webhook import refusal_twiml, stream_twiml


def test_the_servers_own_stream_answer_is_understood() -> None:
    text = stream_twiml(url="wss://bot.test/media", status_url="https://bot.test/s", parameters={"token": "a&b"})
    assert parse_twiml(text) == (
        ConnectStream("wss://bot.test/media", {"token": "a&b"}, "https://bot.test/s"),
        HangUp(),
    )


def test_the_servers_own_refusal_is_understood() -> None:
    assert parse_twiml(refusal_twiml(message="Try again later.", language="en-US")) == (
        Say("Try again later."),
        HangUp(),
    )


def test_play_pause_and_reject_are_understood() -> None:
    text = '<Response><Play>http://x/a.wav</Play><Pause length="2"/><Reject reason="busy"/></Response>'
    assert parse_twiml(text) == (Play("http://x/a.wav"), Pause(2.0), Reject("busy"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<Response>",
        "<Answer/>",
        "<Response><Dance/></Response>",
        "<Response><Connect/></Response>",
        '<Response><Connect><Stream url="http://x/"/></Connect></Response>',
        '<Response><Connect><Stream url="ws://x/?token=1"/></Connect></Response>',
        "<Response><Connect><Stream/></Connect></Response>",
    ],
)
def test_what_twilio_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_twiml(text)
    assert caught.value.kind == "bad_twiml"
