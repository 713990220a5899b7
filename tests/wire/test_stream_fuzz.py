"""Media Streams as no carrier should speak it: random text, and real calls with messages lost, doubled and damaged."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.twilio.messages import (
    CarrierMessage,
    Connected,
    Dtmf,
    Mark,
    Media,
    Start,
    Stop,
    Track,
    parse_carrier,
    parse_server,
    serialise,
)
from voicebot.telephony.twilio.stream import AudioReceived, StreamEvent, StreamState, TwilioStream, Violation

SID = "MZ1"
FRAME = b"\x7f" * 160

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=12,
)
field_names = st.sampled_from(
    ["event", "sequenceNumber", "streamSid", "start", "media", "dtmf", "mark", "stop", "track", "chunk", "payload"]
)


def call_messages(frames: int) -> list[CarrierMessage]:
    """Return a whole call as a good carrier sends it."""
    messages: list[CarrierMessage] = [Connected(), Start(1, SID, "AC1", "CA1")]
    for chunk in range(1, frames + 1):
        messages.append(Media(len(messages), SID, Track.INBOUND, chunk, 20 * chunk, bytes([chunk % 256]) * 160))
        if chunk % 5 == 0:
            messages.append(Dtmf(len(messages), SID, "5"))
        if chunk % 7 == 0:
            messages.append(Mark(len(messages), SID, "1600"))
    messages.append(Stop(len(messages), SID, "AC1", "CA1"))
    return messages


@dataclass
class Heard:
    """What a stream made of what it was sent."""

    events: list[StreamEvent]
    refused: list[str]
    state: StreamState

    @property
    def chunks(self) -> list[int]:
        return [event.payload[0] for event in self.events if isinstance(event, AudioReceived)]


def fed(texts: list[str], *, max_bad_messages: int = 1000) -> Heard:
    stream = TwilioStream(max_bad_messages=max_bad_messages)
    heard = Heard([], [], stream.state)
    for text in texts:
        try:
            heard.events += stream.receive(text)
        except RemoteProtocolError as error:
            heard.refused.append(error.kind)
    heard.state = stream.state
    return heard


def test_a_call_without_trouble_is_heard_whole() -> None:
    heard = fed([serialise(message) for message in call_messages(30)])

    assert heard.chunks == list(range(1, 31))
    assert heard.refused == []
    assert heard.state is StreamState.STOPPED
    assert not any(isinstance(event, Violation) for event in heard.events)


@given(st.text(max_size=400) | json_values.map(json.dumps) | st.dictionaries(field_names, json_values).map(json.dumps))
def test_whatever_text_comes_is_a_message_or_a_protocol_error(text: str) -> None:
    for parse in (parse_carrier, parse_server):
        try:
            message = parse(text)
        except RemoteProtocolError as error:
            assert error.kind.isidentifier()  # noqa: PT017  # most texts are refused
        else:
            assert parse(serialise(message)) == message


@settings(max_examples=200)
@given(data=st.data(), position=st.integers(0, 15), field=field_names, value=json_values)
def test_a_damaged_message_never_takes_the_stream_with_it(
    data: st.DataObject, position: int, field: str, value: object
) -> None:
    texts = [serialise(message) for message in call_messages(10)]
    body = json.loads(texts[position])
    places = [body, *(inner for inner in body.values() if isinstance(inner, dict))]
    data.draw(st.sampled_from(places))[field] = value
    texts[position] = json.dumps(body)

    heard = fed(texts)

    # The first two messages are what makes a stream; of the rest, one bad message costs at most itself, and the
    # messages after it only if it claimed a number from the future.
    if position >= 2 and field not in {"sequenceNumber", "chunk"}:
        unstopped = position == len(texts) - 1 and heard.refused
        assert heard.state is (StreamState.STREAMING if unstopped else StreamState.STOPPED)
        assert len(heard.chunks) >= 9
    assert heard.chunks == sorted(set(heard.chunks))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["lose", "double", "swap"]), st.integers(2, 40)), max_size=12))
def test_lost_doubled_and_swapped_messages_cost_only_themselves(troubles: list[tuple[str, int]]) -> None:
    messages = call_messages(30)
    for trouble, place in troubles:
        at = place % (len(messages) - 3) + 2
        match trouble:
            case "lose":
                del messages[at - 1 if at == len(messages) - 1 else at]
            case "double":
                messages.insert(at, messages[at])
            case _ if at < len(messages) - 2:
                messages[at], messages[at + 1] = messages[at + 1], messages[at]
            case _:
                pass
    heard = fed([serialise(message) for message in messages])

    sent = [message.payload[0] for message in messages if isinstance(message, Media)]
    assert heard.chunks == sorted(set(heard.chunks))
    assert set(heard.chunks) <= set(sent)
    # Only what came after a later message is missing from what arrived.
    assert len(heard.chunks) >= len(set(sent)) - len(troubles) * 2
    if not troubles:
        assert heard.refused == []
    lost = sum(event.lost_bytes for event in heard.events if isinstance(event, AudioReceived)) // 160
    if heard.chunks:
        assert lost == heard.chunks[-1] - len(heard.chunks)


@given(st.lists(st.sampled_from(call_messages(3)), max_size=30))
def test_in_any_order_at_all_a_stream_is_always_in_a_state_it_can_explain(messages: list[CarrierMessage]) -> None:
    heard = fed([serialise(message) for message in messages])

    started = any(isinstance(event, Start) for event in heard.events)
    stopped = any(isinstance(event, Stop) for event in heard.events)
    assert (heard.state is StreamState.STOPPED) == stopped
    assert started or not heard.chunks
    assert heard.chunks == sorted(set(heard.chunks))
    if stopped:
        assert isinstance(heard.events[-1], Stop)


@given(st.integers(1, 40))
def test_a_stream_gives_up_after_as_many_bad_messages_as_it_was_told(limit: int) -> None:
    heard = fed(["nonsense"] * 40, max_bad_messages=limit)

    assert heard.state is StreamState.FAILED
    assert heard.refused == ["bad_json"] * 40
