"""The desk's and the floor's doors, with a real contact centre behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.fakes.contact_centre import WRAP_UP_S, Centre
from tests.fakes.media_streams import FRAME
from tests.fakes.web_server import FakeCalls, RunningServer, serving
from voicebot.calls.transfer.seams import FlowRun, RingFailed, TalkNews
from voicebot.records.access.roles import Role
from voicebot.records.database import Database
from voicebot.routing.agents import AgentState, ReachKind
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg, FrameReceived, LegEnded
from voicebot.web.desk import wire
from voicebot.web.desk.messages import Decline, HoldCaller
from voicebot.web.desk.neighbours import Wishes, asking
from voicebot.web.tickets import Audience

Told = dict[str, Any]


@dataclass
class Desk:
    """An open page of one user, as its script sees it."""

    socket: aiohttp.ClientWebSocketResponse

    async def until(self, is_it: Callable[[Told], bool]) -> Told:
        async with asyncio.timeout(10):
            while True:
                message: Told = await self.socket.receive_json()
                if is_it(message):
                    return message

    async def told(self, type_: str) -> Told:
        return await self.until(lambda message: message["type"] == type_)

    async def is_in(self, state: str) -> Told:
        return await self.until(lambda message: message["type"] == "board" and message["me"]["state"] == state)

    async def set_state(self, state: str, reach: str = "browser") -> None:
        await self.socket.send_json({"type": "set_state", "state": state, "reach": reach})

    async def close_code(self) -> int | None:
        async with asyncio.timeout(10):
            async for _ in self.socket:
                pass
        return self.socket.close_code


@dataclass
class Floor:
    server: RunningServer
    centre: Centre

    @contextlib.asynccontextmanager
    async def desk(self, path: str = "/desk/socket") -> AsyncIterator[Desk]:
        async with self.server.http.ws_connect(self.server.base + path, headers={"Origin": self.server.base}) as socket:
            yield Desk(socket)

    @contextlib.asynccontextmanager
    async def audio(self, told: Told) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = self.server.base + told["path"]
        async with self.server.http.ws_connect(url, headers={"Origin": self.server.base}) as socket:
            await socket.send_json({"type": "hello", "version": 1, "ticket": told["ticket"]})
            yield socket


@contextlib.asynccontextmanager
async def floor(role: Role = Role.AGENT, name: str = "ana", calls: FakeCalls | None = None) -> AsyncIterator[Floor]:
    made: list[Centre] = []

    def desks(database: Database) -> Any:
        made.append(Centre(database))
        return made[0].parts

    async with serving(desks=desks, calls=calls) as server, made[0].running():
        await server.add_user(name, role)
        assert (await server.sign_in(name)).status == 303
        yield Floor(server, made[0])


async def test_an_agent_is_shown_who_calls_takes_the_call_and_both_hear_each_other() -> None:
    async with floor() as it, it.desk() as desk:
        assert (await desk.told("board"))["me"]["state"] == "offline"
        await desk.set_state("available")
        await desk.is_in("available")
        place, claimed = await it.centre.wait_in("service")
        claim = await claimed
        ringing = asyncio.create_task(it.centre.ring(claim))

        offer = await desk.told("offer")
        assert offer["in_page"]
        assert offer["packet"]["summary"][0] == "Gold customer Jane Doe, authenticated."
        assert offer["packet"]["next_steps"]
        assert it.centre.shared == [("call-1", "ana")]
        assert not ringing.done()

        await desk.socket.send_json({"type": "accept", "token": offer["token"]})
        async with it.audio(await desk.told("audio")) as audio:
            assert (await audio.receive_json())["type"] == "ready"
            leg: CallLeg = await ringing
            assert (await desk.told("withdrawn"))["why"] == "taken"
            assert await it.centre.centre.joined(place, claim)
            assert (await desk.is_in("busy"))["call"] == "call-1"

            leg.send(FRAME)
            assert await audio.receive_bytes() == FRAME
            await audio.send_bytes(b"\x11" * 160)
            await audio.send_json({"type": "bye"})
            heard = [event async for event in leg.events()]
            assert [event.payload for event in heard if isinstance(event, FrameReceived)] == [b"\x11" * 160]
            assert isinstance(heard[-1], LegEnded)
            it.centre.parts.desks.release(leg)
        await it.centre.centre.free(claim, None, talked=True, wrap_up_s=WRAP_UP_S)
        wrapping = await desk.is_in("wrap_up")
        assert wrapping["me"]["until"] > wrapping["me"]["since"]
        await desk.set_state("available")
        await desk.is_in("available")


async def test_a_declined_call_goes_to_nobody_at_this_desk() -> None:
    async with floor() as it, it.desk() as desk:
        await desk.set_state("available")
        await desk.is_in("available")
        _, claimed = await it.centre.wait_in("service")
        ringing = asyncio.create_task(it.centre.ring(await claimed))
        offer = await desk.told("offer")

        await desk.socket.send_json({"type": "decline", "token": offer["token"]})
        assert (await desk.told("withdrawn"))["why"] == "declined"
        with pytest.raises(RingFailed) as failed:
            await ringing
        assert failed.value.failure is Failure.DECLINED
        await desk.socket.send_json({"type": "accept", "token": offer["token"]})
        assert (await desk.told("refused"))["what"] == "accept"


async def test_a_caller_who_hangs_up_while_it_rings_is_withdrawn() -> None:
    async with floor() as it, it.desk() as desk:
        await desk.set_state("available")
        await desk.is_in("available")
        _, claimed = await it.centre.wait_in("service")
        ringing = asyncio.create_task(it.centre.ring(await claimed))
        offer = await desk.told("offer")
        await desk.socket.send_json({"type": "accept", "token": offer["token"]})
        told = await desk.told("audio")
        ringing.cancel()
        assert (await desk.told("withdrawn"))["why"] == "caller_left"

        async with it.audio(told) as audio:  # too late
            assert (await audio.receive_json())["cause"] == "gone"


async def test_a_ticket_for_a_call_is_good_once_and_for_nothing_else() -> None:
    async with floor() as it, it.desk() as desk:
        await desk.set_state("available")
        await desk.is_in("available")
        _, claimed = await it.centre.wait_in("service")
        ringing = asyncio.create_task(it.centre.ring(await claimed))
        offer = await desk.told("offer")
        await desk.socket.send_json({"type": "accept", "token": offer["token"]})
        told = await desk.told("audio")
        async with it.server.http.ws_connect(
            it.server.base + "/browser/media", headers={"Origin": it.server.base}
        ) as other:
            await other.send_json({"type": "hello", "version": 1, "ticket": told["ticket"]})
            assert (await other.receive_json())["type"] == "end"
        async with it.audio(told) as audio:
            assert (await audio.receive_json())["type"] == "ready"
            async with it.audio(told) as again:
                assert (await again.receive_json())["type"] == "end"
            await ringing
    assert it.server.kinds() == ["ticket_forged", "ticket_used"]


@pytest.mark.parametrize(
    ("claims", "lifetime_s", "kind"),
    [
        ({}, -1.0, "ticket_expired"),
        ({"server": "two"}, 30.0, "ticket_elsewhere"),
        ({"origin": "https://another.example"}, 30.0, "bad_origin"),
    ],
)
async def test_a_ticket_is_good_in_its_time_at_its_server_and_from_its_page(
    claims: dict[str, str], lifetime_s: float, kind: str
) -> None:
    async with floor() as it, it.desk() as desk:
        await desk.set_state("available")
        await desk.is_in("available")
        _, claimed = await it.centre.wait_in("service")
        ringing = asyncio.create_task(it.centre.ring(await claimed))
        offer = await desk.told("offer")
        right = {"offer": str(offer["token"]), "server": "one", "origin": it.server.base}
        ticket = it.centre.parts.tickets.issue(Audience.DESK_AUDIO, "ana", lifetime_s=lifetime_s, claims=right | claims)
        async with it.audio({"path": "/desk/audio", "ticket": ticket}) as audio:
            assert (await audio.receive_json())["type"] == "end"
        assert not ringing.done()
        ringing.cancel()
    assert it.server.kinds() == [kind]


async def test_what_another_server_asks_for_is_done_only_when_it_means_something_here() -> None:
    async with floor() as it:
        wishes = Wishes(it.centre.parts.desks, it.centre, it.centre.parts.steps)
        assert wishes.answer(asking("ana", 4, HoldCaller("hold", held=True)))
        assert it.centre.done == [("hold", "ana", True)]
        assert not wishes.answer(asking("ana", 4, Decline("decline", 4))), "nobody is rung"
        for nonsense in ({}, {"agent": "ana", "token": 4, "wish": {"type": "x"}}, {"wish": None}):
            assert not wishes.answer(nonsense)
        state = {"type": "set_state", "state": "break", "reach": "browser"}
        assert not wishes.answer({"agent": "ana", "token": 4, "wish": state})


async def test_notes_are_kept_for_calls_that_the_agent_was_given_and_no_others() -> None:
    calls = FakeCalls([{"id": "call-1", "started_at": "2026-11-21T09:00:00+00:00"}, {"id": "call-2"}])
    calls.given_to["call-1"] = frozenset({"ana"})
    async with floor(calls=calls) as it, it.desk() as desk:
        note = {"type": "note", "call_id": "call-1", "disposition": "follow_up", "text": "card 4111 1111 1111 1111"}
        await desk.socket.send_json(note | {"disposition": None, "text": "first"})
        await desk.told("noted")
        await desk.socket.send_json(note)
        await desk.told("noted")
        await desk.socket.send_json(note | {"call_id": "call-2"})
        assert (await desk.told("refused"))["what"] == "note"

        [kept] = (await (await it.server.http.get(it.server.base + "/api/calls/call-1/notes")).json())["notes"]
        assert (kept["agent_id"], kept["disposition"]) == ("ana", "follow_up")
        assert "4111" not in kept["text"]
        assert (await it.server.http.get(it.server.base + "/api/calls/call-2/notes")).status == 404


async def test_an_agent_sees_the_callbacks_of_their_queues_and_may_cancel_those_only() -> None:
    async with floor() as it, it.desk() as desk:
        book = it.centre.parts.callbacks
        common = {"number": "+15550100199", "zone": "UTC"}
        mine = await book.keep(call_id="call-1", queue="service", reason="message", **common)
        other = await book.keep(call_id="call-2", queue="technical", reason="message", **common)
        board = await desk.until(lambda message: bool(message.get("callbacks")))
        assert [one["id"] for one in board["callbacks"]] == [mine]

        await desk.socket.send_json({"type": "close_callback", "id": other})
        assert (await desk.told("refused"))["what"] == "callback"
        await desk.socket.send_json({"type": "close_callback", "id": mine})
        await desk.until(lambda message: message["type"] == "board" and not message["callbacks"])


async def test_an_agent_is_rung_only_on_lines_that_they_have() -> None:
    async with floor() as it, it.desk() as desk:
        await desk.set_state("available", "phone")
        assert (await desk.told("refused"))["what"] == "state"
        await desk.set_state("available", "sip")
        assert (await desk.is_in("available"))["me"]["reach"] == "sip"


async def test_a_caller_is_held_and_sent_on_by_the_agent_who_has_them() -> None:
    async with floor() as it, it.desk() as desk:
        await desk.socket.send_json({"type": "hold", "held": True})
        assert (await desk.told("refused"))["what"] == "hold"
        await desk.set_state("available")
        await desk.is_in("available")
        await (await it.centre.wait_in("service"))[1]
        await desk.is_in("ringing")
        it.centre.done.clear()
        await desk.socket.send_json({"type": "hold", "held": True})
        for wanted in (
            {"type": "send_on", "queue": "technical"},
            {"type": "send_on", "queue": "technical", "agent": "ben"},
            {"type": "lend", "flow": "bill_payment"},
            {"type": "lend"},
            {"type": "invite", "queue": "technical"},
            {"type": "invite"},
            {"type": "finish", "survey": True},
        ):
            await desk.socket.send_json(wanted)
        async with asyncio.timeout(20):
            while len(it.centre.done) < 8:
                await asyncio.sleep(0.01)
        assert it.centre.done == [
            ("hold", "ana", True),
            ("send_on", "ana", "technical"),
            ("send_on", "ana", "technical ben"),
            ("lend", "ana", "bill_payment"),
            ("take_back", "ana", ""),
            ("invite", "ana", "technical"),
            ("let_third_go", "ana", ""),
            ("finish", "ana", True),
        ]


async def test_a_flow_that_is_no_step_is_not_run_for_an_agent() -> None:
    async with floor() as it, it.desk() as desk:
        board = await desk.told("board")
        assert board["steps"] == {"bill_payment": "paying a bill"}
        assert [one["queue"] for one in board["elsewhere"]] == ["service", "technical"]
        await desk.socket.send_json({"type": "lend", "flow": "authenticate"})
        assert (await desk.told("refused"))["what"] == "lend"


async def test_a_desk_shows_how_its_call_stands_also_when_it_is_opened_later() -> None:
    async with floor() as it:
        news = TalkNews("joined", third="Ben", flow="bill_payment", run=FlowRun(done=True, reached=("pay_bill",)))
        it.centre.parts.desks.talk_changed(Claim("ana", 4), news)
        async with it.desk() as desk:
            talk = (await desk.told("talk"))["talk"]
            assert (talk["third"], talk["step"], talk["run"]["reached"]) == ("Ben", "paying a bill", ["pay_bill"])
            await desk.told("board")
            it.centre.parts.desks.talk_changed(Claim("ana", 4), None)
            assert (await desk.told("talk"))["talk"] is None


async def test_nonsense_is_refused_and_the_desk_goes_on() -> None:
    async with floor() as it, it.desk() as desk:
        for nonsense in ("{", "[]", '{"type": "set_state", "state": "busy", "reach": "browser"}', '{"type": "x"}'):
            await desk.socket.send_str(nonsense)
            assert (await desk.told("refused"))["what"] == "message"
        await desk.set_state("break")
        await desk.is_in("break")
    assert it.server.violations == [("desk", "bad_message")] * 4


async def test_the_floor_shows_queues_agents_and_how_long_callers_wait() -> None:
    async with floor(Role.SUPERVISOR, "dana") as it, it.desk("/floor/socket") as page:
        board = await page.told("board")
        assert [queue["standing"] for queue in board["queues"]] == ["unstaffed", "unstaffed"]
        assert board["states"]["offline"] == 2
        await it.centre.wait_in("technical")
        board = await page.until(lambda message: message["queues"][1]["waiting"] == 1)
        assert board["queues"][1]["waiting_since"] <= board["at"]
        assert [agent["name"] for agent in board["agents"]] == ["Ana", "Ben"]


async def test_supervisors_learn_how_long_agents_were_in_each_state() -> None:
    async with floor(Role.SUPERVISOR, "dana") as it:
        await it.centre.parts.centre.set_state("ana", AgentState.AVAILABLE, ReachKind.BROWSER)
        await it.centre.parts.centre.set_state("ana", AgentState.BREAK, ReachKind.BROWSER)
        await asyncio.sleep(1.1)
        url = it.server.base + "/api/agents/times"
        told = await (await it.server.http.get(url)).json()
        ana, ben = (agent["seconds"] for agent in told["agents"])
        assert ana["break"] >= 1
        assert ana["available"] == 0
        assert sum(ben.values()) == 0
        assert (await it.server.http.get(f"{url}?since=2100-01-01T00:00:00Z")).status == 200
        assert (await it.server.http.get(f"{url}?since=yesterday")).status == 400


async def test_who_may_not_watch_or_take_calls_is_turned_away() -> None:
    async with floor() as it:
        for path in ("/floor", "/floor/socket", "/api/agents/times"):
            assert (await it.server.http.get(it.server.base + path, headers={"Origin": it.server.base})).status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await it.server.http.ws_connect(it.server.base + "/desk/socket", headers={"Origin": "https://evil.example"})
        assert refused.value.status == 403
    async with floor(Role.SUPERVISOR, "dana") as it:
        page = await (await it.server.http.get(it.server.base + "/desk")).text()
        assert "No desk for you yet" in page
        assert (await it.server.http.get(it.server.base + "/desk/socket")).status == 403


async def test_a_user_who_is_disabled_loses_the_open_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "CHECK_EVERY_S", 0.05)
    async with floor() as it, it.desk() as desk:
        await desk.told("board")
        await it.server.users.set_disabled("ana", disabled=True, actor="cli:test")
        assert await desk.close_code() == wire.CloseCode.SIGNED_OUT


async def test_open_pages_end_with_the_server() -> None:
    async with (
        floor() as it,
        it.server.http.ws_connect(it.server.base + "/desk/socket", headers={"Origin": it.server.base}) as socket,
    ):
        desk = Desk(socket)
        await desk.told("board")
        await it.server.app.shutdown()
        assert await desk.close_code() == aiohttp.WSCloseCode.GOING_AWAY
