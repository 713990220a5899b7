"""Two servers on one PostgreSQL: the caller is at one, the agent's desk page at the other."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.server import FLOWS, Server, has_prompt, is_over, running
from tests.fakes import postgresql
from tests.fakes.ports import own_port
from tests.fakes.tones import PATIENCE_S, TONE_HZ, is_heard, tone, until
from voicebot.records.board import LEASE
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.sip_carrier import SipCarrier

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300), pytest.mark.usefixtures("one_database")]

PASSWORD = "correct horse battery staple"  # opens nothing but a test's own servers
SECRET = "shared by the two servers of this test"
QUEUES = """\
default: service
queues:
  service: {title: customer service, skills: {service: 1}, ring_s: 40, wrap_up_s: 120}
agents:
  ana: {name: Ana, skills: {service: 5}, reach: [browser]}
"""

Told = dict[str, Any]


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    (folder / "queues.yaml").write_text(QUEUES, encoding="utf-8")
    return folder


@pytest.fixture
def one_database(postgresql_socket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have servers that are started from here on share a PostgreSQL."""
    with postgresql.fresh_database(postgresql_socket) as url:
        monkeypatch.setenv("VOICEBOT_DATABASE_URL", url)
        yield


@contextlib.asynccontextmanager
async def serving(tmp_path: Path, flows: Path, name: str) -> AsyncIterator[Server]:
    port = own_port(["east", "west"].index(name))
    options = ("--flows", str(flows), "--port", str(port))
    environment = {
        "VOICEBOT_INSTANCE": name,
        "VOICEBOT_ADVERTISED_URL": f"http://127.0.0.1:{port}",
        "VOICEBOT_INSTALLATION_SECRET": SECRET,
        "VOICEBOT_RECOGNIZER": "off",
        "VOICEBOT_DRAIN_S": "1",
    }
    async with running(tmp_path / name, *options, **environment) as server:
        yield server


@dataclass
class Page:
    """Ana's desk page at one server, as its script sees it.

    A page is told of its calls by one task of the server and of the board by another, so neither is ever first.
    """

    socket: aiohttp.ClientWebSocketResponse
    origin: str
    http: aiohttp.ClientSession
    #: Everything it was told, in order.
    told: list[Told] = field(default_factory=list)
    #: How many messages of each type somebody has waited for.
    _waited_for: Counter[str] = field(default_factory=Counter)

    async def is_told(self, type_: str, *, within_s: float = PATIENCE_S) -> Told:
        """Return the first message of a type that nobody has waited for, whatever is told before it."""
        nth = self._waited_for[type_]
        self._waited_for[type_] += 1
        return (await self._until(lambda: self._of(type_)[nth:], within_s))[0]

    async def is_in(self, state: str, *, within_s: float = PATIENCE_S) -> None:
        """Wait until the agent is in a state, as the board that was told last has it."""
        await self._until(lambda: [one for one in self._of("board")[-1:] if one["me"]["state"] == state], within_s)

    async def _until(self, found: Callable[[], list[Told]], within_s: float) -> list[Told]:
        async with asyncio.timeout(within_s):
            while not (those := found()):
                self.told.append(await self.socket.receive_json())
        return those

    def _of(self, type_: str) -> list[Told]:
        return [message for message in self.told if message["type"] == type_]

    async def say(self, **message: Any) -> None:
        await self.socket.send_json(message)

    @contextlib.asynccontextmanager
    async def audio(
        self, told: Told, *, origin: str | None = None
    ) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Told]]:
        """Open a call's audio where the page was told to, and yield its socket and the first word on it."""
        headers = {"Origin": origin or self.origin}
        async with self.http.ws_connect(told["path"], headers=headers) as socket:
            await socket.send_json({"type": "hello", "version": 1, "ticket": told["ticket"]})
            yield socket, await socket.receive_json()


@contextlib.asynccontextmanager
async def desk_at(server: Server) -> AsyncIterator[Page]:
    await server.add_user("ana", "agent", PASSWORD)
    origin = {"Origin": server.url}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        form = {"name": "ana", "password": PASSWORD}
        answer = await http.post(f"{server.url}/sign-in", data=form, headers=origin, allow_redirects=False)
        assert answer.status == 303
        async with http.ws_connect(f"{server.url}/desk/socket", headers=origin) as socket:
            page = Page(socket, server.url, http)
            await page.say(type="set_state", state="available", reach="browser")
            await page.is_in("available")
            yield page


async def ask_for_a_person(server: Server, line: CarrierLine) -> None:
    await server.until(line.call_sid, has_prompt("welcome.first"))
    line.press("0")


@contextlib.asynccontextmanager
async def talking(socket: aiohttp.ClientWebSocketResponse, hz: int) -> AsyncIterator[bytearray]:
    """Have a tone in a page's microphone, in real time, while the block lasts; yield what its loudspeaker plays."""
    heard = bytearray()
    tasks = [asyncio.create_task(_speak(socket, hz)), asyncio.create_task(_listen(socket, heard))]
    try:
        yield heard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _speak(socket: aiohttp.ClientWebSocketResponse, hz: int) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number, frame in enumerate(itertools.repeat(tone(hz, 0.02))):  # a whole number of its periods
        await asyncio.sleep(began_s + number * 0.02 - loop.time())
        await socket.send_bytes(frame)


async def _listen(socket: aiohttp.ClientWebSocketResponse, heard: bytearray) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            heard += message.data


async def test_a_caller_of_one_server_talks_with_an_agent_whose_desk_is_at_the_other(
    tmp_path: Path, flows: Path
) -> None:
    async with (
        serving(tmp_path, flows, "east") as east,
        serving(tmp_path, flows, "west") as west,
        desk_at(west) as page,
    ):
        html = await page.http.get(f"{west.url}/desk")
        assert east.url.replace("http", "ws") in html.headers["Content-Security-Policy"]
        async with SipCarrier(east.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
            await ask_for_a_person(east, line)
            offer = await page.is_told("offer")
            record = await east.record(line.call_sid)
            assert offer["call_id"] == record["id"]
            assert offer["in_page"]
            assert offer["packet"]["summary"]
            await page.say(type="accept", token=offer["token"])
            told = await page.is_told("audio")
            assert told["path"] == f"{east.url}/desk/audio"

            async with page.audio(told, origin="https://evil.example") as (_, first):
                assert first["type"] == "end"
            await page.say(type="accept", token=offer["token"])
            told = await page.is_told("audio")
            async with page.audio(told | {"path": f"{west.url}/desk/audio"}) as (_, first):
                assert first["type"] == "end", "a ticket is for one server"
            async with page.audio(told) as (audio, first):
                assert first["type"] == "ready"
                async with page.audio(told) as (_, again):
                    assert again["type"] == "end", "a ticket is good once"
                await page.is_in("busy")
                assert (await page.is_told("withdrawn"))["why"] == "taken"
                line.speak(tone(TONE_HZ["caller"], PATIENCE_S))
                async with talking(audio, TONE_HZ["agent"]) as heard:
                    await until(lambda: is_heard(heard, TONE_HZ["caller"]))
                    await until(lambda: is_heard(line.tape.bot, TONE_HZ["agent"]))

                    # What the agent does at one server is done at the other.
                    await page.say(type="hold", held=True)
                    while (await page.is_told("talk"))["talk"]["state"] != "held":
                        pass  # how the call stands is told as well
                    await until(lambda: not is_heard(line.tape.bot, TONE_HZ["agent"]))
                    since = len(line.tape.bot)
                    await until(lambda: len(line.tape.bot) >= since + 16000)
                    assert not is_heard(line.tape.bot, TONE_HZ["agent"])
                    await page.say(type="note", call_id=offer["call_id"], disposition="solved", text="All is well.")
                    await page.is_told("noted")
                    await page.say(type="hold", held=False)
                    await until(lambda: is_heard(line.tape.bot, TONE_HZ["agent"]))
                line.say_nothing_more()
                assert not [one for one in page.told if one["type"] == "refused"]
                await audio.send_json({"type": "bye"})
            await page.is_in("wrap_up")
            record = await east.until(line.call_sid, is_over)
        assert record["outcome"] == "person"
        await page.say(type="set_state", state="available", reach="browser")
        await page.is_in("available")
        [note] = (await west.get(f"/api/calls/{record['id']}/notes"))["notes"]
        assert note["text"] == "All is well."


async def test_declining_at_one_server_frees_the_agent_of_the_other(tmp_path: Path, flows: Path) -> None:
    async with (
        serving(tmp_path, flows, "east") as east,
        serving(tmp_path, flows, "west") as west,
        desk_at(west) as page,
        SipCarrier(east.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line,
    ):
        await ask_for_a_person(east, line)
        offer = await page.is_told("offer")
        await page.say(type="decline", token=offer["token"])
        assert (await page.is_told("withdrawn"))["why"] == "declined"
        await page.is_in("wrap_up")


async def test_kill_9_of_the_server_that_rings_withdraws_the_call_and_frees_the_agent(
    tmp_path: Path, flows: Path
) -> None:
    async with (
        serving(tmp_path, flows, "east") as east,
        serving(tmp_path, flows, "west") as west,
        desk_at(west) as page,
    ):
        async with SipCarrier(east.sip_uri).dial(numbers=Numbers("+12025550199", "bot")) as line:
            await ask_for_a_person(east, line)
            await page.is_told("offer")
            await page.is_in("ringing")
            east.process.kill()
            await east.process.wait()
            limit_s = 2 * LEASE.total_seconds()
            assert (await page.is_told("withdrawn", within_s=limit_s))["why"] == "caller_left"
            await page.is_in("available", within_s=limit_s)
        assert west.rows("select number, reason from callbacks") == [("+12025550199", "cut_off")]
