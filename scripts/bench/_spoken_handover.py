"""Hand-overs with real speech: callers who say that they want a person, to a real server, and agents on telephones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from voicebot.records.board import QueueBoard
from voicebot.records.database import Database, locate
from voicebot.records.tables import CONTEXTS, QUEUE_ENTRIES
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.server import RunningServer, ServerPlan, running
from voicebot.simulation.sip_agent import AgentCall, SipAgent, sip_agent
from voicebot.simulation.sip_carrier import SipCarrier
from voicebot.simulation.voice import first_present, speak, voices_beside

REQUEST = "I want to speak to a person."
FLOWS = Path(__file__).parents[2] / "flows"
#: How long the welcome may take, what the bot answers to the request, and all that comes until the caller is joined.
WELCOME_S, UNDERSTOOD_S, JOINED_S = 60.0, 40.0, 40.0
TALK_S = 2.5
_QUEUES = """\
default: service
queues:
  service: {title: customer service, skills: {service: 1}}
agents:
"""


@dataclass
class Spoken:
    """What came of it. Latencies are in milliseconds.

    `to_word_ms` and `to_join_ms` count from the agent's yes as the server knew it, `key_to_join_ms` from the key at the
    telephone; the sentence that says who is joining counts in neither join.
    """

    engines: str = ""
    understood: int = 0
    joined: int = 0
    joined_with_packet: int = 0
    to_word_ms: list[float] = field(default_factory=list)
    to_join_ms: list[float] = field(default_factory=list)
    key_to_join_ms: list[float] = field(default_factory=list)


async def measure(callers: int, folder: Path) -> Spoken:
    """Have so many callers ask for a person by voice at once, and as many agents take them by key."""
    pressed_at: dict[str, datetime] = {}
    spoken = Spoken()
    async with contextlib.AsyncExitStack() as stack:
        phones: dict[str, SipAgent] = {}
        for number in range(callers):
            phones[f"agent-{number}"] = await stack.enter_async_context(
                sip_agent(_taking(f"agent-{number}", pressed_at))
            )
        plan = ServerPlan(
            folder / "data",
            _flows(folder, phones),
            port=0,
            environment={
                "VOICEBOT_SIP__DIAL_HOSTS": '["127.0.0.1"]',
                "VOICEBOT_MAX_CPU_PERCENT": "100",
                "VOICEBOT_MAX_REQUESTS_PER_MINUTE": "100000",
                "VOICEBOT_DRAIN_S": "1",
            },
        )
        server = await stack.enter_async_context(running(plan, lambda _step: None))
        spoken.engines = server.engines
        request = await asyncio.to_thread(_request, server.engines)
        database = await stack.enter_async_context(Database.connected(locate(plan.data)))
        board = QueueBoard(database, instance="bench", now=_now)
        for agent in phones:
            await board.set_state(agent, "available", reach="sip", allowed=frozenset({"offline"}))
        calls = (_call(server, number, request, spoken) for number in range(callers))
        await asyncio.gather(*calls)
        await _note_packets(database, spoken)
        _note_latencies(plan.data / "server.log", pressed_at, spoken)
    return spoken


def _flows(folder: Path, phones: dict[str, SipAgent]) -> Path:
    flows = folder / "flows"
    shutil.copytree(FLOWS, flows)
    agents = [
        f'  {name}: {{name: "Agent {number}", skills: {{service: 5}}, reach: [{{sip: "{phone.address}"}}]}}\n'
        for number, (name, phone) in enumerate(phones.items())
    ]
    (flows / "queues.yaml").write_text(_QUEUES + "".join(agents), encoding="utf-8")
    return flows


def _request(engines: str) -> bytes:
    """Return the request in another voice than the bot's; the voice is loaded in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        voice = pool.submit(first_present, voices_beside(engines)).result()
        return pool.submit(speak, voice, REQUEST).result()


def _taking(name: str, pressed_at: dict[str, datetime]) -> Any:
    async def take(call: AgentCall) -> None:
        """Answer, hear who it is, take the call by key, and hang up after a while."""
        await call.answer()
        await call.listen_for(3.0)
        pressed_at[name] = _now()
        call.press("1")

    return take


async def _call(server: RunningServer, number: int, request: bytes, spoken: Spoken) -> None:
    async with SipCarrier(server.sip_uri).dial(numbers=Numbers(f"+1202555{number:04}", "bot")) as line:
        await _until(server, line.call_sid, "welcome", WELCOME_S)
        line.speak(request)
        turns = await _until(server, line.call_sid, "transfer.", UNDERSTOOD_S)
        # Who had to say it twice was not understood, though they come to a person all the same.
        spoken.understood += bool(turns) and sum(turn["speaker"] == "caller" for turn in turns) == 1
        if turns and await _until(server, line.call_sid, "transfer.joining", JOINED_S):
            await asyncio.sleep(TALK_S)


async def _until(server: RunningServer, call_sid: str, prompt: str, limit_s: float) -> list[dict[str, Any]]:
    """Return a call's turns once the caller has heard a prompt whose name begins so; none when the time is up."""
    deadline_s = time.monotonic() + limit_s
    headers = {"Authorization": f"Bearer {server.api_token}"}
    while time.monotonic() < deadline_s:
        await asyncio.sleep(0.2)
        listed = (await server.records()).get(call_sid)
        if listed is None:
            continue
        async with server.http.get(f"{server.url}/api/calls/{listed['id']}", headers=headers) as answer:
            turns: list[dict[str, Any]] = (await answer.json())["turns"]
        if any((turn["prompt"] or "").startswith(prompt) for turn in turns):
            return turns
    return []


async def _note_packets(database: Database, spoken: Spoken) -> None:
    both = select(CONTEXTS.c.stored_at, QUEUE_ENTRIES.c.joined_at).where(
        CONTEXTS.c.call_id == QUEUE_ENTRIES.c.call_id, QUEUE_ENTRIES.c.joined_at.is_not(None)
    )
    async with database.connect() as connection:
        for stored_at, joined_at in await connection.execute(both):
            spoken.joined += 1
            spoken.joined_with_packet += stored_at < joined_at


def _note_latencies(log: Path, pressed_at: dict[str, datetime], spoken: Spoken) -> None:
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") != "joined" or "words_ms" not in entry:
            continue
        spoken.to_word_ms.append(entry["yes_to_words_ms"])
        spoken.to_join_ms.append(entry["yes_to_words_ms"] + entry["words_to_join_ms"])
        since_key = datetime.fromisoformat(entry["timestamp"]) - pressed_at[entry["agent"]]
        spoken.key_to_join_ms.append(1000 * since_key.total_seconds() - entry["words_ms"])


def _now() -> datetime:
    return datetime.now(UTC)
