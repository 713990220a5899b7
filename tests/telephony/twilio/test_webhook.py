from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.twilio.webhook import (
    MAX_SMS_CHARS,
    SignatureChecker,
    message_twiml,
    parse_incoming,
    parse_status,
    refusal_twiml,
    stream_twiml,
)

TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://bot.example.com/twilio/voice?a=1&b=%20"
FORM = MultiDict([("CallSid", "CA1"), ("Tag", "b"), ("Tag", "a"), ("Empty", "")])


def signed(url: str = URL, algorithm: str | None = None) -> str:
    signature: str = RequestValidator(TOKEN).compute_signature(url, FORM, algorithm)
    return signature


def genuine(url: str = URL, form: MultiDict[str] = FORM, **headers: str) -> bool:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return SignatureChecker(TOKEN).is_genuine(url=url, form=form, headers=given)


def test_a_signature_is_good_for_its_address_and_form_only() -> None:
    assert genuine(X_Twilio_Signature=signed())
    assert genuine("https://bot.example.com:443/twilio/voice?a=1&b=%20", X_Twilio_Signature=signed())
    assert not genuine("https://bot.example.com/twilio/voice?a=1&b=+", X_Twilio_Signature=signed())
    assert not genuine(form=MultiDict([*FORM.items(), ("Tag", "c")]), X_Twilio_Signature=signed())
    assert not genuine()


def test_a_signature_may_be_made_with_the_newer_hash() -> None:
    settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    signature = signed(algorithm="HMAC_SHA256")

    assert genuine(X_Twilio_Signature=signature, X_Twilio_Webhooks_Signature_Settings=settings)
    assert not genuine(X_Twilio_Signature=signature)
    assert not genuine(X_Twilio_Signature=signature, X_Twilio_Webhooks_Signature_Settings="algorithm=NONE")


@pytest.mark.parametrize("url", ["https://bot.example.com:99999/x", "https://bot.example.com:port/x", "\ud800"])
def test_an_address_twilio_cannot_have_called_is_not_genuine(url: str) -> None:
    assert not genuine(url, X_Twilio_Signature=signed())


def test_a_refusal_can_be_a_recording() -> None:
    twiml = ET.fromstring(
        refusal_twiml(message="Busy.", language="en-GB", recording_url="https://bot.example.com/busy.wav")
    )

    assert [(element.tag, element.text) for element in twiml] == [
        ("Play", "https://bot.example.com/busy.wav"),
        ("Hangup", None),
    ]


def test_what_is_said_and_passed_on_cannot_break_out_of_the_document() -> None:
    said = ET.fromstring(refusal_twiml(message='</Say><Dial>+1900</Dial> & "so on"', language="en-US"))
    assert said.findtext("Say") == '</Say><Dial>+1900</Dial> & "so on"'
    stream = ET.fromstring(
        stream_twiml(url="wss://b/m", status_url="https://b/s", parameters={"x": '"/><Stream url="wss://evil"/>'})
    )
    assert [element.attrib["value"] for element in stream.iter("Parameter")] == ['"/><Stream url="wss://evil"/>']


def test_a_parameter_twilio_would_drop_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="500"):
        stream_twiml(url="wss://b/m", status_url="https://b/s", parameters={"x": "y" * 499})


@pytest.mark.parametrize("withheld", ["anonymous", "Restricted", "+266696687", ""])
def test_a_withheld_number_is_no_number(withheld: str) -> None:
    form = MultiDict([("CallSid", "CA1"), ("AccountSid", "AC1"), ("From", withheld), ("To", "+1")])

    assert parse_incoming(form).caller == ""


@pytest.mark.parametrize(
    "form",
    [
        [("CallStatus", "completed")],
        [("CallSid", "CA1")],
        [("CallSid", "CA1"), ("StreamEvent", "stream-danced"), ("StreamSid", "MZ1")],
        [("CallSid", "CA1"), ("StreamEvent", "stream-error")],
    ],
)
def test_a_status_that_says_nothing_is_refused(form: list[tuple[str, str]]) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_status(MultiDict(form))


def messages_in(twiml: str) -> list[str]:
    return [message.text or "" for message in ET.fromstring(twiml)]  # our own document


def test_a_long_answer_becomes_several_text_messages_broken_between_lines() -> None:
    lines = [f"Line {number} says where the branch is and when it is open." for number in range(80)]
    messages = messages_in(message_twiml("\n".join(lines)))
    assert len(messages) == 3
    assert all(len(message) <= MAX_SMS_CHARS for message in messages)
    assert "\n".join(messages).split("\n") == lines


def test_a_long_line_is_broken_between_words_and_a_long_word_anywhere() -> None:
    words = "word " * 500
    assert " ".join(messages_in(message_twiml(words))) == words.strip()
    assert [len(part) for part in messages_in(message_twiml("x" * 2000))] == [MAX_SMS_CHARS, 400]


def test_a_text_of_just_the_right_length_is_one_message_and_none_is_no_message() -> None:
    assert messages_in(message_twiml("x" * MAX_SMS_CHARS)) == ["x" * MAX_SMS_CHARS]
    assert messages_in(message_twiml("")) == []
