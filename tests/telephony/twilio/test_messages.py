from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.twilio import messages
from voicebot.telephony.twilio.messages import (
    Clear,
    Connected,
    Dtmf,
    Mark,
    Media,
    MediaFormat,
    MediaWriter,
    PlayMedia,
    SetMark,
    Start,
    Stop,
    Track,
    parse_carrier,
    parse_server,
    serialise,
)

SID = "MZ0123456789abcdef0123456789abcdef"

STARTED = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "accountSid": "AC1",
        "streamSid": SID,
        "callSid": "CA1",
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"shop": "north"},
    },
    "streamSid": SID,
}
MEDIA = {
    "event": "media",
    "sequenceNumber": "3",
    "media": {"track": "inbound", "chunk": "2", "timestamp": "25", "payload": "AAEC"},
    "streamSid": SID,
}


def changed(body: dict[str, Any], *path: str, to: object) -> str:
    """Return the JSON of `body` with one field replaced."""
    copy = json.loads(json.dumps(body))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return json.dumps(copy)


def kind_of(text: str) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_carrier(text)
    return caught.value.kind


def test_a_start_message_is_read_whole() -> None:
    start = parse_carrier(json.dumps(STARTED))

    assert start == Start(
        sequence=1,
        stream_sid=SID,
        account_sid="AC1",
        call_sid="CA1",
        tracks=(Track.INBOUND, Track.OUTBOUND),
        media_format=MediaFormat("audio/x-mulaw", 8000, 1),
        parameters={"shop": "north"},
    )


def test_audio_is_decoded_and_numbers_may_be_strings_or_numbers() -> None:
    expected = Media(3, SID, Track.INBOUND, 2, 25, b"\x00\x01\x02")

    assert parse_carrier(json.dumps(MEDIA)) == expected
    assert parse_carrier(changed(MEDIA, "sequenceNumber", to=3)) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "bad_json"),
        ("[]", "bad_json"),
        ("[" * 30_000, "bad_json"),
        ("x" * 40_000, "message_too_large"),
        ('{"event":"dance"}', "unknown_event"),
        ('{"event":["media"]}', "unknown_event"),
        ("{}", "unknown_event"),
        ('{"event":"media"}', "missing_field"),
        (changed(MEDIA, "media", "payload", to="AAE"), "bad_base64"),
        (changed(MEDIA, "media", "payload", to="AA*C"), "bad_base64"),
        (changed(MEDIA, "media", "payload", to=""), "bad_base64"),
        (changed(MEDIA, "media", "payload", to="\u00e9AAA"), "bad_base64"),
        (changed(MEDIA, "media", "payload", to=7), "missing_field"),
        (changed(MEDIA, "media", "payload", to="A" * 24_000), "payload_too_large"),
        (changed(MEDIA, "media", "track", to="sideways"), "bad_field"),
        (changed(MEDIA, "media", "track", to=["inbound"]), "bad_field"),
        (changed(MEDIA, "media", "chunk", to="-1"), "bad_field"),
        (changed(MEDIA, "media", "chunk", to="\u0665"), "bad_field"),
        (changed(MEDIA, "media", "chunk", to="9" * 5000), "bad_field"),
        (changed(MEDIA, "media", "chunk", to=True), "bad_field"),
        (changed(MEDIA, "media", "chunk", to=1.5), "bad_field"),
        (changed(MEDIA, "media", "chunk", to=None), "missing_field"),
        (changed(MEDIA, "streamSid", to='"}'), "bad_field"),
        (changed(STARTED, "streamSid", to="MZother"), "bad_field"),
        (changed(STARTED, "start", "tracks", to=[]), "bad_field"),
        (changed(STARTED, "start", "tracks", to=["inbound", "inbound"]), "bad_field"),
        (changed(STARTED, "start", "tracks", to=[["inbound"]]), "bad_field"),
        (changed(STARTED, "start", "customParameters", to={"a": 1}), "bad_field"),
        (changed(STARTED, "start", "customParameters", to={"a": "\ud800"}), "bad_field"),
        (changed(STARTED, "start", "customParameters", to={"a": "x" * 500}), "bad_field"),
        (changed(STARTED, "start", "customParameters", to={str(n): "" for n in range(33)}), "bad_field"),
        (changed(STARTED, "start", "customParameters", to=[]), "missing_field"),
        (f'{{"event":"dtmf","sequenceNumber":"4","streamSid":"{SID}","dtmf":{{"digit":"E"}}}}', "bad_field"),
        (f'{{"event":"dtmf","sequenceNumber":"4","streamSid":"{SID}","dtmf":{{"digit":"12"}}}}', "bad_field"),
    ],
)
def test_nonsense_is_refused_with_its_kind(text: str, kind: str) -> None:
    assert kind_of(text) == kind


def test_an_error_never_quotes_what_a_caller_keyed() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_carrier(f'{{"event":"dtmf","sequenceNumber":"4","streamSid":"{SID}","dtmf":{{"digit":"4711"}}}}')

    assert "4711" not in str(caught.value)


names = st.text(
    alphabet=st.characters(categories=("L", "N", "P", "Zs"), exclude_characters="\u2028"), max_size=40
).filter(str.isprintable)
numbers = st.integers(min_value=0, max_value=10**14)
audio = st.binary(min_size=1, max_size=400)
carrier_messages = st.one_of(
    st.builds(Connected, protocol=names.map(lambda name: name[:32])),
    st.builds(
        Start,
        numbers,
        st.just(SID),
        st.just("AC1"),
        st.just("CA1"),
        parameters=st.dictionaries(names, names, max_size=4),
    ),
    st.builds(Media, numbers, st.just(SID), st.sampled_from(Track), numbers, numbers, audio),
    st.builds(Dtmf, numbers, st.just(SID), st.sampled_from("0123456789*#ABCD")),
    st.builds(Mark, numbers, st.just(SID), names),
    st.builds(Stop, numbers, st.just(SID), st.just("AC1"), st.just("CA1")),
)


@given(carrier_messages)
def test_every_message_of_a_carrier_survives_the_wire(message: messages.CarrierMessage) -> None:
    assert parse_carrier(serialise(message)) == message


@given(
    st.one_of(st.builds(PlayMedia, st.just(SID), audio), st.builds(SetMark, st.just(SID), names), st.just(Clear(SID)))
)
def test_every_message_of_a_server_survives_the_wire(message: messages.ServerMessage) -> None:
    assert parse_server(serialise(message)) == message


@given(audio, names)
def test_the_fast_writer_says_the_same_as_the_json_encoder(payload: bytes, name: str) -> None:
    writer = MediaWriter(SID)

    assert json.loads(writer.media(payload)) == json.loads(serialise(PlayMedia(SID, payload)))
    assert json.loads(writer.mark(name)) == json.loads(serialise(SetMark(SID, name)))
    assert json.loads(writer.clear()) == json.loads(serialise(Clear(SID)))


def test_the_fast_writer_refuses_a_sid_that_could_break_out_of_json() -> None:
    with pytest.raises(ValueError, match="stream SID"):
        MediaWriter('MZ","event":"clear')


def test_what_a_server_sends_is_what_the_documents_show() -> None:
    payload = b"\xff" * 160

    assert json.loads(MediaWriter("MZ1").media(payload)) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": base64.b64encode(payload).decode()},
    }


def test_a_server_may_not_send_what_only_carriers_send() -> None:
    with pytest.raises(RemoteProtocolError, match="does not have"):
        parse_server(json.dumps(STARTED))
