"""What callers and agents say to each other after a transfer, spoken over real telephones, in the record."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.server import Server, has_prompt, is_over, running
from tests.end_to_end.talker import Voices
from tests.end_to_end.test_handover import ask_for_a_person, contact_centre, on_duty
from tests.fakes.whisper_model import write_whisper_model
from voicebot.settings import load_settings
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.sip_agent import AgentCall, accepts, sip_agent
from voicebot.simulation.sip_carrier import SipCarrier
from voicebot.speech.models import find_whisper_model
from voicebot.speech.published import installed_models

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(240)]

AGENT_SAYS = "Good morning, what can I do for you?"
CALLER_SAYS = "The blue jacket that I bought last week is too small."


@pytest.fixture
async def voices() -> AsyncIterator[Voices]:
    made = Voices()
    yield made
    made.close()


@asynccontextmanager
async def joined(tmp_path: Path, **settings: str) -> AsyncIterator[tuple[Server, CarrierLine, AgentCall]]:
    """Have a caller and an agent on telephones joined by a real server."""
    async with sip_agent(accepts) as phone:
        flows = contact_centre(tmp_path, ana=phone.address)
        settings = {"VOICEBOT_SIP__DIAL_HOSTS": '["127.0.0.1"]', "VOICEBOT_DRAIN_S": "1", **settings}
        async with running(tmp_path / "data", "--flows", str(flows), **settings) as server:
            on_duty(server, "ana")
            async with SipCarrier(server.sip_uri).dial(numbers=Numbers("+15550100199", "bot")) as line:
                await ask_for_a_person(server, line)
                call = await phone.call()
                await server.until(line.call_sid, has_prompt("transfer.joining"))
                await asyncio.sleep(2.0)
                yield server, line, call


def talk(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the turns of a record after the caller was told who is joining."""
    joining = next(number for number, turn in enumerate(record["turns"]) if turn["prompt"] == "transfer.joining")
    return [turn for turn in record["turns"][joining + 1 :] if turn["speaker"] != "bot"]


def has_talk(turns: int) -> Callable[[dict[str, Any]], bool]:
    return lambda record: len(talk(record)) >= turns


async def speak_in_turn(server: Server, line: CarrierLine, call: AgentCall, voices: Voices) -> dict[str, Any]:
    """Have the agent ask and the caller answer; return the record as soon as it has both, while the call goes on."""
    asked, answered = await voices.speak(AGENT_SAYS), await voices.speak(CALLER_SAYS)
    call.say(asked)
    await asyncio.sleep(len(asked) / 8000 + 1.5)
    await line.speak(answered).finished.wait()
    return await server.until(line.call_sid, has_talk(2))


async def test_both_sides_are_written_down_while_they_talk(tmp_path: Path, voices: Voices) -> None:
    write_whisper_model(tmp_path / "models" / "whisper-made-up", says="as the model has it")
    own = {"VOICEBOT_MODELS": str(tmp_path / "models"), "VOICEBOT_RECOGNIZER": "pocketsphinx"}
    async with joined(tmp_path, **own) as (server, line, call):
        during = await speak_in_turn(server, line, call, voices)
        assert during["ended_at"] is None
        await call.hang_up()
        record = await server.until(line.call_sid, is_over)
    agent, caller = talk(record)
    assert [turn["speaker"] for turn in (agent, caller)] == ["agent", "caller"]
    assert {turn["text"] for turn in (agent, caller)} == {"as the model has it"}
    assert {turn["engine"] for turn in (agent, caller)} == {"faster-whisper"}
    assert record["dictation"] == "Written down by faster-whisper whisper-made-up."
    assert agent["at_ms"] + agent["heard_ms"] <= caller["at_ms"]
    assert 1000 < agent["heard_ms"] < 5000


async def test_where_phrases_are_spotted_no_words_are_made_up(tmp_path: Path, voices: Voices) -> None:
    settings = {"VOICEBOT_RECOGNIZER": "pocketsphinx", "VOICEBOT_DICTATION": "phrases"}
    async with joined(tmp_path, **settings) as (server, line, call):
        await speak_in_turn(server, line, call, voices)
        await call.hang_up()
        record = await server.until(line.call_sid, is_over)
    assert "only phrases are to be spotted" in record["dictation"]
    assert "what no turn of a call holds will be silent in recordings" in server.log.read_text()
    for turn in talk(record):
        assert turn["engine"] == "pocketsphinx"
        assert turn["decision"] == "only spotted phrases: only phrases are to be spotted"
        assert "jacket" not in turn["text"]
        assert turn["words"] == []


@pytest.mark.skipif(
    find_whisper_model(None, load_settings().models, installed_models()) is None,
    reason="set-up could not fetch a Whisper model, and VOICEBOT_MODELS names no folder with one",
)
async def test_a_real_model_writes_what_was_said(tmp_path: Path, voices: Voices) -> None:
    async with joined(tmp_path, VOICEBOT_RECOGNIZER="pocketsphinx") as (server, line, call):
        await speak_in_turn(server, line, call, voices)
        await call.hang_up()
        record = await server.until(line.call_sid, is_over)
    agent, caller = talk(record)
    # The smallest models mishear a synthetic voice in places; words that nobody said would share next to nothing.
    assert alike(agent["text"], AGENT_SAYS) > 0.5
    assert alike(caller["text"], CALLER_SAYS) > 0.4


def alike(written: str, said: str) -> float:
    """Return the share of words that two texts have in common, in order."""
    first, second = (re.sub(r"[^a-z ]", "", text.lower()).split() for text in (written, said))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()
