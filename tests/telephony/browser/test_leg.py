from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from tests.fakes.leg_on_socket import LegOnSocket
from tests.fakes.socket import FakeSocket, until
from voicebot import g711
from voicebot.errors import LocalProtocolError
from voicebot.telephony.browser.leg import BrowserLeg
from voicebot.telephony.leg import (
    SILENT_FRAME,
    AudioPlayed,
    Channel,
    Direction,
    EndCause,
    FrameReceived,
    HangUpReason,
    KeyPressed,
    LegInfo,
)

FRAME = b"\x7f" * 160
INFO = LegInfo("leg-1", Channel.BROWSER, Direction.INBOUND, caller="", called="")


class Call(LegOnSocket[BrowserLeg]):
    """A leg on a fake socket, and the page's side of it."""

    def page(self, **message: Any) -> None:
        self.socket.peer_sends(json.dumps(message))

    def texts(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in map(json.loads, self.socket.texts) if message["type"] == kind]


@asynccontextmanager
async def running() -> AsyncIterator[Call]:
    call = Call(INFO, BrowserLeg, FakeSocket())
    async with call.running():
        await until(lambda: call.socket.texts)
        yield call


async def test_the_page_is_told_that_the_call_begins() -> None:
    async with running() as call:
        assert call.socket.texts == ['{"type":"ready"}']


async def test_frames_and_keys_come_out_as_events() -> None:
    async with running() as call:
        call.socket.peer_sends(FRAME + SILENT_FRAME)
        call.page(type="key", key="3", ms=80)

        assert await call.events(3) == [
            FrameReceived(FRAME, 100.0),
            FrameReceived(SILENT_FRAME, 100.0),
            KeyPressed("3", 100.0, 80),
        ]


async def test_waiting_frames_travel_together() -> None:
    async with running() as call:
        for _ in range(12):
            call.leg.send(FRAME)
        await until(lambda: len(call.socket.binaries) == 2)

        assert call.socket.binaries == [FRAME * 10, FRAME * 2]


async def test_the_page_reports_what_was_played() -> None:
    async with running() as call:
        for _ in range(5):
            call.leg.send(FRAME)
        call.clock.now_s += 0.05
        assert call.leg.queued_samples == 400
        call.page(type="played", generation=0, position=600)

        assert await call.events(1) == [AudioPlayed(600, 100.05)]
        assert call.leg.queued_samples == 200


async def test_without_reports_the_estimate_stops() -> None:
    async with running() as call:
        for _ in range(50):
            call.leg.send(FRAME)
        call.clock.now_s += 60

        assert call.leg.queued_samples == 8000 - 2000


async def test_clearing_reports_what_was_heard_once_and_ignores_late_reports() -> None:
    async with running() as call:
        for _ in range(10):
            call.leg.send(FRAME)
        await until(lambda: call.socket.binaries)
        call.page(type="played", generation=0, position=400)
        assert await call.events(1) == [AudioPlayed(400, 100.0)]
        call.clock.now_s += 0.01

        assert call.leg.clear() == 480
        call.leg.send(FRAME)
        await until(lambda: len(call.socket.binaries) == 2)
        call.page(type="played", generation=0, position=700)
        call.page(type="played", generation=1, position=1760)

        assert await call.events(2) == [AudioPlayed(480, 100.01), AudioPlayed(1760, 100.01)]
        assert call.texts("clear") == [{"type": "clear", "generation": 1, "position": 1600}]
        assert call.socket.sent[-1] == FRAME
        assert json.loads(str(call.socket.sent[-2]))["type"] == "clear"
        assert call.violations == []


async def test_clearing_when_everything_was_heard_sends_nothing() -> None:
    async with running() as call:
        call.leg.send(FRAME)
        call.page(type="played", generation=0, position=160)
        await call.events(1)

        assert call.leg.clear() == 160
        await asyncio.sleep(0.01)
        assert call.texts("clear") == []


async def test_the_page_cannot_have_played_what_was_never_sent() -> None:
    async with running() as call:
        call.leg.send(FRAME)
        call.page(type="played", generation=0, position=161)
        call.page(type="played", generation=1, position=1)
        call.page(type="key", key="1")

        assert await call.events(1) == [KeyPressed("1", 100.0)]
        assert call.violations == ["bad_field", "bad_field"]


async def test_the_page_is_shown_how_loud_the_server_hears_it() -> None:
    loud = g711.encode(np.full(160, 16384, dtype=np.int16))
    async with running() as call:
        call.socket.peer_sends(loud * 10)
        await until(lambda: call.texts("level"))
        call.socket.peer_sends(SILENT_FRAME * 10)
        await until(lambda: len(call.texts("level")) == 2)

        assert [message["dbfs"] for message in call.texts("level")] == [-6, -90]


async def test_a_slow_page_loses_captions_not_memory() -> None:
    async with running() as call:
        call.socket.stuck()
        for number in range(1000):
            call.leg.show_caption("bot", str(number) * 5000, final=True)

        assert len(call.leg._texts) <= 64
        assert max(map(len, call.leg._texts)) < 1200
        call.socket._unstuck.set()


async def test_the_farewell_says_why() -> None:
    async with running() as call:
        await call.leg.hang_up(HangUpReason.TOO_LONG)

        assert call.texts("end") == [{"type": "end", "cause": "too_long", "message": ""}]
        assert await call.ended() is EndCause.WE_HUNG_UP


async def test_a_page_that_goes_away_is_a_lost_connection_and_one_that_says_bye_hung_up() -> None:
    async with running() as call:
        call.socket.peer_vanishes()
        assert await call.ended() is EndCause.CONNECTION_LOST
    async with running() as call:
        call.page(type="bye")
        assert await call.ended() is EndCause.PEER_HUNG_UP


async def test_nonsense_is_counted_and_in_the_end_ends_the_call() -> None:
    async with running() as call:
        call.socket.peer_sends("nonsense")
        call.page(type="hello", version=1, ticket="again")
        call.socket.peer_sends(b"short")
        call.page(type="key", key="1")
        assert await call.events(1) == [KeyPressed("1", 100.0)]
        assert call.violations == ["bad_json", "out_of_turn", "bad_audio"]
        for _ in range(50):
            call.socket.peer_sends("nonsense")

        assert await call.ended() is EndCause.PROTOCOL_ERROR


async def test_a_frame_of_another_length_is_our_own_mistake() -> None:
    async with running() as call:
        with pytest.raises(LocalProtocolError):
            call.leg.send(b"\xff" * 320)
