from __future__ import annotations

import asyncio

import pytest

from tests.fakes.leg_on_socket import LegOnSocket
from tests.fakes.socket import FakeSocket, until
from tests.fakes.web_server import Listener, serving
from voicebot.telephony import socket_line
from voicebot.telephony.browser.leg import BrowserLeg
from voicebot.telephony.leg import Channel, Direction, EndCause, LegEnded, LegInfo
from voicebot.telephony.twilio.leg import TwilioLeg
from voicebot.web.socket_door import LiveLegs


async def test_a_leg_that_breaks_ends_its_own_call_only(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    take = TwilioLeg._on_mark

    def break_on_purpose(leg: TwilioLeg, name: str) -> None:
        if name == "break":
            raise ZeroDivisionError
        take(leg, name)

    monkeypatch.setattr(TwilioLeg, "_on_mark", break_on_purpose)
    async with serving(listener) as server, server.stream("CA1") as good, server.stream("CA2") as bad:
        await until(lambda: len(listener.legs) == 2)
        mark = f'{{"event":"mark","sequenceNumber":"2","streamSid":"{bad.stream_sid}","mark":{{"name":"break"}}}}'
        await bad.send(mark)
        await bad.close_code()

        await good.say(3)
        await until(lambda: len(listener.events) >= 3)
        assert (await server.http.get(server.base + "/healthz")).status == 200


async def test_a_shutdown_waits_for_all_stuck_peers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_line, "CLOSE_TIMEOUT_S", 0.3)
    info = LegInfo("leg", Channel.BROWSER, Direction.INBOUND, caller="", called="")
    sockets = [FakeSocket() for _ in range(10)]
    listener = Listener()
    legs = LiveLegs(listener)
    async with asyncio.TaskGroup() as tasks:
        for socket in sockets:
            tasks.create_task(legs.carry(LegOnSocket(info, BrowserLeg, socket).leg))
        await until(lambda: all(socket.texts for socket in sockets))
        for socket in sockets:
            socket.stuck()
        began_s = asyncio.get_running_loop().time()
        await legs.hang_up_all()
        took_s = asyncio.get_running_loop().time() - began_s

    assert all(socket.aborted for socket in sockets)
    assert took_s < 10 * 0.3 / 2
    assert [event.cause for event in listener.events if isinstance(event, LegEnded)] == [EndCause.WE_HUNG_UP] * 10


async def test_a_host_no_server_has_is_a_bad_request() -> None:
    async with serving() as server:
        answer = await server.http.post(server.base + "/browser/ticket", headers={"Host": "a b", "Origin": server.base})

        assert answer.status == 400
