from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fakes.leg_on_socket import LegOnSocket
from tests.fakes.socket import FakeSocket, until
from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony import socket_line
from voicebot.telephony.leg import (
    AudioPlayed,
    Channel,
    Direction,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegInfo,
)
from voicebot.telephony.twilio.leg import TwilioLeg, await_start
from voicebot.telephony.twilio.messages import (
    CarrierMessage,
    Clear,
    Connected,
    Dtmf,
    Mark,
    Media,
    PlayMedia,
    ServerMessage,
    SetMark,
    Start,
    Stop,
    Track,
    parse_server,
    serialise,
)
from voicebot.telephony.twilio.stream import TwilioStream

SID = "MZ1"
FRAME = b"\x7f" * 160
INFO = LegInfo("leg-1", Channel.TWILIO, Direction.INBOUND, caller="", called="", carrier_call_id="CA1")


class Call(LegOnSocket[TwilioLeg]):
    """A leg on a fake socket, and the carrier's side of it."""

    def __init__(self, stream: TwilioStream, socket: FakeSocket) -> None:
        super().__init__(INFO, lambda line: TwilioLeg(line, stream), socket)
        self.sequence = 1
        self.chunk = 0

    def carrier(self, message: CarrierMessage | str) -> None:
        self.socket.peer_sends(message if isinstance(message, str) else serialise(message))

    def number(self) -> int:
        self.sequence += 1
        return self.sequence

    def audio(self, payload: bytes = FRAME) -> None:
        self.chunk += 1
        self.carrier(Media(self.number(), SID, Track.INBOUND, self.chunk, 20 * self.chunk, payload))

    def returns(self, mark: SetMark) -> None:
        self.carrier(Mark(self.number(), SID, mark.name))

    @property
    def sent(self) -> list[ServerMessage]:
        return [parse_server(text) for text in self.socket.texts]

    @property
    def marks(self) -> list[SetMark]:
        return [message for message in self.sent if isinstance(message, SetMark)]


@asynccontextmanager
async def running() -> AsyncIterator[Call]:
    socket, stream = FakeSocket(), TwilioStream()
    socket.peer_sends(serialise(Connected()))
    socket.peer_sends(serialise(Start(1, SID, "AC1", "CA1")))
    await await_start(socket, stream, timeout_s=1)
    call = Call(stream, socket)
    async with call.running():
        yield call


async def test_what_the_caller_says_and_keys_comes_out_as_events() -> None:
    async with running() as call:
        call.audio()
        call.carrier(Dtmf(call.number(), SID, "7"))

        assert await call.events(2) == [FrameReceived(FRAME, 100.0), KeyPressed("7", 100.0)]


async def test_audio_of_any_length_is_cut_into_frames() -> None:
    async with running() as call:
        speech = bytes(range(250)) * 2
        for begin, end in ((0, 100), (100, 150), (150, 480), (480, 500)):
            call.audio(speech[begin:end])
        frames = await call.events(3)

    assert [event.payload for event in frames if isinstance(event, FrameReceived)] == [
        speech[:160],
        speech[160:320],
        speech[320:480],
    ]


async def test_lost_audio_is_told_in_frames() -> None:
    async with running() as call:
        call.audio()
        call.chunk += 3
        call.audio()

        assert [event.lost_before for event in await call.events(2) if isinstance(event, FrameReceived)] == [0, 3]
    assert call.violations == ["chunk_gap"]


async def test_frames_waiting_together_travel_in_one_message() -> None:
    async with running() as call:
        call.leg.send(FRAME)
        call.leg.send(FRAME)
        await until(lambda: call.sent)

        assert call.sent == [PlayMedia(SID, 2 * FRAME)]


async def test_a_mark_follows_every_200_ms_of_audio() -> None:
    async with running() as call:
        for _ in range(25):
            call.leg.send(FRAME)
        await until(lambda: len(call.marks) == 2)

        lengths = [len(message.payload) if isinstance(message, PlayMedia) else "mark" for message in call.sent]
        assert lengths == [1600, "mark", 1600, "mark", 800]
        await until(lambda: len(call.marks) == 3)  # the prompt's end, once nothing more comes
        assert [mark.name for mark in call.marks] == ["1600", "3200", "4000"]
        assert call.leg.sent_samples == 4000


@pytest.mark.virtual_time
async def test_a_prompt_handed_over_piece_by_piece_gets_no_more_marks_than_one_sent_at_once() -> None:
    async with running() as call:
        for _ in range(5):
            for _ in range(5):
                call.leg.send(FRAME)
            await asyncio.sleep(0.1)
        await until(lambda: len(call.marks) == 3)

        lengths = [len(message.payload) if isinstance(message, PlayMedia) else "mark" for message in call.sent]
        assert lengths == [800, 800, "mark", 800, 800, "mark", 800, "mark"]


async def test_returned_marks_tell_what_was_played() -> None:
    async with running() as call:
        for _ in range(10):
            call.leg.send(FRAME)
        await until(lambda: call.marks)
        call.clock.now_s += 0.25
        call.returns(call.marks[0])

        assert await call.events(1) == [AudioPlayed(1600, 100.25)]
        assert call.leg.queued_samples == 0


async def test_clearing_reports_what_was_heard_and_ignores_the_marks_that_come_back_for_it() -> None:
    async with running() as call:
        for _ in range(20):
            call.leg.send(FRAME)
        await until(lambda: len(call.marks) == 2)
        call.clock.now_s += 0.2
        call.returns(call.marks[0])
        assert await call.events(1) == [AudioPlayed(1600, 100.2)]
        call.clock.now_s += 0.05
        assert call.leg.queued_samples == 3200 - 2000

        assert call.leg.clear() == 2000
        call.returns(call.marks[1])
        call.audio()

        assert await call.events(2) == [AudioPlayed(2000, 100.25), FrameReceived(FRAME, 100.25)]
        assert call.violations == []
        assert call.sent[-1] == Clear(SID)


async def test_audio_after_a_clear_counts_on_and_follows_the_clear_on_the_wire() -> None:
    async with running() as call:
        call.leg.send(FRAME)
        await until(lambda: call.sent)
        call.clock.now_s += 0.01
        call.leg.send(FRAME)  # not written yet when the caller barges in

        assert call.leg.clear() == 80
        call.leg.send(FRAME)
        assert call.leg.sent_samples == 480
        await until(lambda: len(call.marks) == 1)

        assert call.sent == [PlayMedia(SID, FRAME), Clear(SID), PlayMedia(SID, FRAME), SetMark(SID, "480")]
        call.returns(call.marks[0])
        assert await call.events(2) == [AudioPlayed(80, 100.01), AudioPlayed(480, 100.01)]


async def test_clearing_when_everything_was_heard_sends_nothing() -> None:
    async with running() as call:
        call.leg.send(FRAME)
        await until(lambda: call.marks)
        call.returns(call.marks[0])
        await call.events(1)

        assert call.leg.clear() == 160
        await asyncio.sleep(0.01)
        assert Clear(SID) not in call.sent


async def test_a_stop_message_is_a_hang_up() -> None:
    async with running() as call:
        call.carrier(Stop(2, SID, "AC1", "CA1"))

        assert await call.ended() is EndCause.PEER_HUNG_UP


async def test_frames_on_their_way_when_the_caller_hangs_up_disturb_nothing() -> None:
    async with running() as call:
        for _ in range(5):
            call.leg.send(FRAME)
        call.carrier(Stop(2, SID, "AC1", "CA1"))
        for _ in range(5):
            await asyncio.sleep(0)
            call.leg.send(FRAME)

        assert await call.ended() is EndCause.PEER_HUNG_UP


async def test_a_socket_that_drops_in_mid_word_is_a_lost_connection() -> None:
    async with running() as call:
        call.audio(FRAME[:80])
        call.socket.peer_vanishes()

        assert await call.ended() is EndCause.CONNECTION_LOST


async def test_hanging_up_ends_the_leg_once() -> None:
    async with running() as call:
        await call.leg.hang_up(HangUpReason.SHUTTING_DOWN)
        await call.leg.hang_up(HangUpReason.COMPLETED)
        call.leg.send(FRAME)

        assert await call.ended() is EndCause.WE_HUNG_UP
        assert call.socket.closed_with == 1001
        assert call.sent == []


async def test_nonsense_is_counted_and_the_call_goes_on() -> None:
    async with running() as call:
        call.carrier("not json")
        call.carrier('{"event":"new-invention"}')
        call.socket.peer_sends(b"binary")
        call.carrier(Mark(call.number(), SID, "never-set"))
        call.audio()

        assert await call.events(1) == [FrameReceived(FRAME, 100.0)]
        assert call.violations == ["bad_json", "unknown_event", "binary_message", "unknown_mark"]


async def test_endless_nonsense_ends_the_call() -> None:
    async with running() as call:
        for _ in range(100):
            call.carrier("nonsense")

        assert await call.ended() is EndCause.PROTOCOL_ERROR
        assert call.socket.closed_with == 1008


async def test_a_quiet_socket_is_a_dead_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_line, "WATCH_EVERY_S", 0.01)
    async with running() as call:
        call.clock.now_s += 11

        assert await call.ended() is EndCause.MEDIA_TIMEOUT


async def test_a_carrier_that_stops_reading_loses_the_call_and_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_line, "WATCH_EVERY_S", 0.01)
    monkeypatch.setattr(socket_line, "CLOSE_TIMEOUT_S", 0.01)
    async with running() as call:
        call.socket.stuck()
        for _ in range(300):
            call.leg.send(FRAME)

        assert await call.ended() is EndCause.CONNECTION_LOST
        await until(lambda: call.socket.aborted)


async def test_a_frame_of_another_length_is_our_own_mistake() -> None:
    async with running() as call:
        with pytest.raises(LocalProtocolError):
            call.leg.send(b"\xff" * 80)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (["{}"], "unknown_event"),
        ([serialise(Connected()), b"\x00"], "no_start"),
        ([serialise(Start(1, SID, "AC1", "CA1"))], "out_of_turn"),
        ([serialise(Connected())], "start_timeout"),
    ],
)
async def test_a_peer_that_cannot_begin_a_stream_is_turned_away(sent: list[str | bytes], kind: str) -> None:
    socket = FakeSocket()
    for data in sent:
        socket.peer_sends(data)

    with pytest.raises(RemoteProtocolError) as caught:
        await await_start(socket, TwilioStream(), timeout_s=0.05)
    assert caught.value.kind == kind
