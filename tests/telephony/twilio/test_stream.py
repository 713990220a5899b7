from __future__ import annotations

import pytest

from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony.twilio.messages import (
    CarrierMessage,
    Connected,
    Dtmf,
    Mark,
    Media,
    MediaFormat,
    Start,
    Stop,
    Track,
    serialise,
)
from voicebot.telephony.twilio.stream import (
    MAX_LOST_BYTES,
    AudioReceived,
    StreamEvent,
    StreamState,
    TwilioStream,
    Violation,
)

SID = "MZ1"
FRAME = b"\x7f" * 160


def start(**changes: object) -> Start:
    fields: dict[str, object] = {"sequence": 1, "stream_sid": SID, "account_sid": "AC1", "call_sid": "CA1"}
    return Start(**(fields | changes))  # type: ignore[arg-type]  # the fields' own types


def media(sequence: int, chunk: int, *, track: Track = Track.INBOUND, sid: str = SID, payload: bytes = FRAME) -> Media:
    return Media(sequence, sid, track, chunk, 20 * chunk, payload)


def started(**changes: object) -> TwilioStream:
    stream = TwilioStream()
    feed(stream, Connected(), start(**changes))
    return stream


def feed(stream: TwilioStream, *sent: CarrierMessage) -> list[StreamEvent]:
    return [event for message in sent for event in stream.receive(serialise(message))]


def refusal(stream: TwilioStream, message: CarrierMessage) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        stream.receive(serialise(message))
    return caught.value.kind


def test_a_stream_goes_from_connected_to_stopped() -> None:
    stream = TwilioStream()

    events = feed(
        stream,
        Connected(),
        start(),
        media(2, 1),
        Dtmf(3, SID, "5"),
        Mark(4, SID, "1600"),
        media(5, 2),
        Stop(6, SID, "AC1", "CA1"),
    )

    assert events == [
        start(),
        AudioReceived(FRAME, 0),
        Dtmf(3, SID, "5"),
        Mark(4, SID, "1600"),
        AudioReceived(FRAME, 0),
        Stop(6, SID, "AC1", "CA1"),
    ]
    assert stream.state is StreamState.STOPPED
    assert stream.violations == 0


def test_audio_before_the_start_is_refused_and_the_stream_can_still_start() -> None:
    stream = TwilioStream()
    feed(stream, Connected())

    assert refusal(stream, media(1, 1)) == "media_before_start"
    assert feed(stream, start()) == [start()]


@pytest.mark.parametrize(
    "message", [Connected(), start(sequence=2)], ids=["connected again", "a second stream on the same socket"]
)
def test_a_message_out_of_turn_changes_nothing(message: CarrierMessage) -> None:
    stream = started()

    assert refusal(stream, message) == "out_of_turn"
    assert feed(stream, media(2, 1)) == [AudioReceived(FRAME, 0)]


def test_nothing_comes_after_stop() -> None:
    stream = started()
    feed(stream, Stop(2, SID, "AC1", "CA1"))

    assert refusal(stream, media(3, 1)) == "out_of_turn"


def test_messages_of_another_stream_are_refused() -> None:
    stream = started()

    assert refusal(stream, media(2, 1, sid="MZ2")) == "wrong_stream"
    assert refusal(stream, Stop(2, SID, "AC1", "CA2")) == "wrong_stream"
    assert stream.state is StreamState.STREAMING


def test_a_gap_in_the_sequence_is_told_and_the_audio_kept() -> None:
    stream = started()

    gap, audio = feed(stream, media(5, 4))

    assert isinstance(gap, Violation)
    assert gap.kind == "sequence_gap"
    assert audio == AudioReceived(FRAME, 3 * 160)


def test_missing_chunks_are_told_once_even_when_the_sequence_is_whole() -> None:
    stream = started()

    gap, audio = feed(stream, media(2, 3))

    assert isinstance(gap, Violation)
    assert gap.kind == "chunk_gap"
    assert audio == AudioReceived(FRAME, 2 * 160)


def test_what_is_late_or_repeated_is_dropped() -> None:
    stream = started()
    feed(stream, media(2, 1), media(3, 2))

    assert refusal(stream, media(2, 1)) == "out_of_order"
    assert refusal(stream, media(4, 2)) == "out_of_order"
    assert feed(stream, media(5, 3)) == [AudioReceived(FRAME, 0)]


def test_a_message_dropped_for_its_content_is_one_violation_not_two() -> None:
    stream = started()
    feed(stream, media(2, 1))
    with pytest.raises(RemoteProtocolError):
        stream.receive(serialise(media(3, 2)).replace("fw==", "f"))

    assert feed(stream, media(4, 3)) == [AudioReceived(FRAME, 160)]
    assert stream.violations == 1


def test_lost_audio_is_bounded_whatever_the_chunk_number() -> None:
    stream = started()

    *_, audio = feed(stream, media(2, 10**12))

    assert audio == AudioReceived(FRAME, MAX_LOST_BYTES)


@pytest.mark.parametrize("outbound_chunks", [(1, 2), (2, 4)], ids=["chunks counted by track", "one count for both"])
def test_of_both_tracks_only_the_caller_is_heard(outbound_chunks: tuple[int, int]) -> None:
    stream = started(tracks=(Track.INBOUND, Track.OUTBOUND))
    shared = outbound_chunks == (2, 4)

    events = feed(
        stream,
        media(2, 1),
        media(3, outbound_chunks[0], track=Track.OUTBOUND),
        media(4, 3 if shared else 2),
        media(5, outbound_chunks[1], track=Track.OUTBOUND),
    )

    assert events == [AudioReceived(FRAME, 0), AudioReceived(FRAME, 0)]


def test_a_track_that_was_not_announced_is_refused() -> None:
    assert refusal(started(), media(2, 1, track=Track.OUTBOUND)) == "track_not_announced"


@pytest.mark.parametrize(
    "form", [MediaFormat("audio/x-alaw"), MediaFormat(sample_rate_hz=16000), MediaFormat(channels=2)]
)
def test_another_audio_format_ends_the_stream(form: MediaFormat) -> None:
    stream = TwilioStream()
    feed(stream, Connected())

    assert refusal(stream, start(media_format=form)) == "unsupported_format"
    assert stream.state is StreamState.FAILED


def test_a_stream_of_nonsense_fails_in_the_end() -> None:
    stream = TwilioStream(max_bad_messages=3)
    feed(stream, Connected(), start())

    for left in (2, 1, 0):
        with pytest.raises(RemoteProtocolError):
            stream.receive("nonsense")
        assert (stream.state is StreamState.FAILED) == (left == 0)
    assert refusal(stream, media(2, 1)) == "out_of_turn"


def test_sending_outside_a_running_stream_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        TwilioStream().media(FRAME)
    stream = started()
    feed(stream, Stop(2, SID, "AC1", "CA1"))
    with pytest.raises(LocalProtocolError):
        stream.clear()


def test_a_network_that_loses_much_does_not_end_the_stream() -> None:
    stream = TwilioStream(max_bad_messages=3)
    feed(stream, Connected(), start())

    events = feed(stream, *(media(1 + number, 2 * number) for number in range(1, 500)))

    assert sum(isinstance(event, AudioReceived) for event in events) == 499
    assert stream.violations == 499


def test_an_occasional_bad_message_is_forgiven() -> None:
    stream = TwilioStream(max_bad_messages=3)
    feed(stream, Connected(), start())
    for number in range(1, 200):
        if number % 20 == 0:
            assert refusal(stream, media(1 + number, number, sid="MZ2")) == "wrong_stream"
        else:
            feed(stream, media(1 + number, number))

    assert stream.state is StreamState.STREAMING
