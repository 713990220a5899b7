"""Real calls on a real server: nothing on its disk holds a secret, and a kill in mid-call loses at most a second."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.disk_search.search import sealed_audio, search
from tests.end_to_end.server import FLOWS, Server, database_of, has_prompt, is_over, running
from tests.end_to_end.talker import Voices, act, transcript
from tests.end_to_end.test_written_talk import alike
from tests.fakes.buzz import buzz
from tests.fakes.postgresql import everything_of, rows_of
from tests.fakes.sealing import KEYS
from voicebot.records.database import Database
from voicebot.records.deeds import Deeds
from voicebot.records.vault.keys import RecordingKeys, new_key
from voicebot.setting_tables import RecordingSettings
from voicebot.settings import load_settings
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.script import Deed, Press, Say
from voicebot.speech.models import find_whisper_model
from voicebot.speech.published import installed_models

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]

CARD = "4539148803436467"
CARD_SAID = "My card number is four five three nine, one four eight eight, zero three four three, six four six seven."
#: Eight digits, since any four stand somewhere in the microseconds of a log.
PIN = "83517264"
PIN_SAID = "eight three five one, seven two six four"
PLANTED = "7391846205"
#: Longer than the server lives, and without a pause that would end a turn.
UNFINISHED = (
    "I would like to know whether the shop is open on Sunday morning because my sister wants to come along and look at"
    " the garden chairs and after that we would like to have coffee with our friends."
)
#: What a house has that sets nothing; the tests' servers do else.
BY_DEFAULT = RecordingSettings().unheard
#: Louder than the line's noise, softer than any word.
_SPEECH = 1000
_RATE_HZ = 8000


@pytest.fixture
def voices() -> Iterator[Voices]:
    made = Voices()
    yield made
    made.close()


def _flows_with_long_pins(folder: Path) -> Path:
    shutil.copytree(FLOWS, folder)
    types = (folder / "types.yaml").read_text()
    short = "  pin:\n    kind: digits\n    length: 4\n"
    assert short in types
    (folder / "types.yaml").write_text(types.replace(short, short.replace("4", "8")))
    return folder


class _Caller:
    """Says a card number where nobody asks, then a PIN that is wrong, and keys it the second time."""

    def __init__(self, server: Server, line: CarrierLine, voices: Voices) -> None:
        self._server = server
        self._line = line
        self._voices = voices
        self._pins: list[Deed] = [Press(PIN), Say(PIN_SAID)]
        self._has_said_card = False

    async def talk(self) -> None:
        answered = 0
        async with asyncio.timeout(200):
            while True:
                await asyncio.sleep(0.2)
                record = await self._server.until(self._line.call_sid, lambda found: bool(found["turns"]))
                asked = [turn["prompt"] for turn in record["turns"] if turn["speaker"] == "bot"]
                for prompt in asked[answered:]:
                    if not await self._answer(prompt):
                        return
                answered = len(asked)

    async def _answer(self, prompt: str) -> bool:
        """Answer one of the bot's questions; False when all was said."""
        if prompt == "welcome.first" and not self._has_said_card:
            self._has_said_card = True
            await self._do(Say(CARD_SAID))
        elif prompt.startswith(("welcome.first", "ladders.")):
            await self._do(Press("1"))
        elif prompt.startswith("authenticate.ask_account_number"):
            await self._do(Press("402938"))
        elif prompt.startswith("authenticate.ask_pin"):
            await self._do(self._pins.pop())
            return bool(self._pins)
        return True

    async def _do(self, deed: Deed) -> None:
        await act(self._line, deed, self._voices)


async def test_after_a_call_with_a_secret_and_a_card_nothing_on_disk_holds_a_digit_of_them(
    tmp_path: Path, voices: Voices
) -> None:
    key, data = new_key(), tmp_path / "data"
    flows = str(_flows_with_long_pins(tmp_path / "flows"))
    settings = {"VOICEBOT_RECORDING_KEY": key, "VOICEBOT_RECORDING__POLICY": "announce"}
    async with running(data, "--flows", flows, **settings) as server:
        async with server.carrier.dial() as line:
            await _Caller(server, line, voices).talk()
            await asyncio.sleep(3)
            await line.hang_up()
        record = await server.until(line.call_sid, is_over)
        told = transcript(record)
        await server.recording(record["id"])
        summary = await _summary(data, record["id"])
        _nothing_is_found(data, key, told)  # while the server runs: its log of writes is part of what is searched
        record = await server.record(line.call_sid)
        await server.terminate()
    _nothing_is_found(data, key, told)
    assert record["recording"]["consent"] == "announced"
    # The embedded recogniser may hear other words than the card's; what it hears as digits is gone either way.
    secret = [turn for turn in record["turns"] if turn["secret"] and turn["speaker"] == "caller"]
    assert {turn["engine"] == "keys" for turn in secret} == {True, False}, told
    assert summary
    ((_, samples),) = sealed_audio(data, RecordingKeys.parse(key, ""))
    loud = np.abs(samples[:, 0].astype(int)) > _SPEECH
    hidden = [(turn["at_ms"], turn["at_ms"] + turn["heard_ms"]) for turn in secret]
    hidden += [(span["start_ms"], span["end_ms"]) for turn in record["turns"] for span in turn["redactions"]]
    for start_ms, end_ms in hidden:
        assert not loud[start_ms * _RATE_HZ // 1000 : end_ms * _RATE_HZ // 1000].any(), told


def _nothing_is_found(data: Path, key: str, told: str) -> None:
    keys = RecordingKeys.parse(key, "")
    (data / "planted").write_text(PLANTED)
    assert search(data, PLANTED, keys)
    (data / "planted").unlink()
    for digits in (CARD, CARD[:8], CARD[8:], PIN):
        assert search(data, digits, keys) == [], told
    if url := os.environ.get("VOICEBOT_DATABASE_URL"):
        _nothing_is_found_on_postgresql(data.with_name("rows"), url, told)


def _nothing_is_found_on_postgresql(folder: Path, url: str, told: str) -> None:
    """Look through the rows, decoded as files are, and through the pages and the log as they lie on disk."""
    folder.mkdir(exist_ok=True)
    (folder / "rows").write_bytes(rows_of(url))
    on_disk = everything_of(url)
    assert b"after_call:" in (folder / "rows").read_bytes()
    assert b"welcome.first" in on_disk  # what is there is found
    for digits in (CARD, CARD[:8], CARD[8:], PIN):
        assert search(folder, digits) == [], told
        assert digits.encode() not in on_disk, told


async def _summary(data: Path, call_id: str) -> str:
    """Wait for the work after a call, and return what it made of it."""
    async with Database.connected(database_of(data)) as database:
        deeds = Deeds(database, KEYS, now=lambda: datetime.now(UTC))
        async with asyncio.timeout(30):
            while (summary := await deeds.summary(call_id)) is None:
                await asyncio.sleep(0.2)
    return summary


@pytest.mark.skipif(
    find_whisper_model(None, load_settings().models, installed_models()) is None,
    reason="set-up could not fetch a Whisper model, and VOICEBOT_MODELS names no folder with one",
)
async def test_after_a_kill_of_the_server_in_mid_call_record_and_recording_are_there_up_to_the_last_second(
    tmp_path: Path, voices: Voices
) -> None:
    key, data = new_key(), tmp_path / "data"
    settings = {"VOICEBOT_RECORDING_KEY": key, "VOICEBOT_RECORDING__UNHEARD": BY_DEFAULT}
    said = await voices.speak(UNFINISHED)
    record, samples, lived_s = await _killed_while(data, settings, said)
    *_, last = record["turns"]
    assert lived_s - 1.2 < len(samples) / _RATE_HZ < lived_s + 0.5
    assert np.abs(samples[-_RATE_HZ // 2 :, 0].astype(int)).max() > _SPEECH  # the caller's last half second
    assert record["recording"]["unheard"] == []
    assert (last["speaker"], last["intent"]) == ("caller", None)
    assert last["decision"].startswith("heard after the server had died"), transcript(record)
    told = " ".join(turn["text"] for turn in record["turns"] if turn["speaker"] == "caller")
    assert alike(told, UNFINISHED[: len(told)]) > 0.5, told
    assert last["words"][-1]["end_ms"] > len(samples) * 1000 / _RATE_HZ - 1000
    assert await _verified(data, settings) == (0, "1 sound, 0 not")


async def test_after_a_kill_where_nothing_can_search_what_was_being_said_it_is_there_as_silence(
    tmp_path: Path,
) -> None:
    key, data = new_key(), tmp_path / "data"
    settings = {"VOICEBOT_RECORDING_KEY": key, "VOICEBOT_RECOGNIZER": "off", "VOICEBOT_RECORDING__UNHEARD": BY_DEFAULT}
    record, samples, lived_s = await _killed_while(data, settings, b"".join(buzz(10)))
    assert lived_s - 1.2 < len(samples) / _RATE_HZ < lived_s + 0.5
    assert np.abs(samples[-_RATE_HZ // 2 :, 0].astype(int)).max() < _SPEECH
    assert [span["lane"] for span in record["recording"]["unheard"]] == ["caller"]
    assert await _verified(data, settings) == (0, "1 sound, 0 not")


async def _killed_while(
    data: Path, settings: dict[str, str], said: bytes
) -> tuple[dict[str, Any], npt.NDArray[np.int16], float]:
    """Kill a server six seconds after a caller began to say something longer, and start it again.

    Return what it has then of the call, its record and its recording, and how long the call had lasted.
    """
    async with running(data, **settings) as server, server.carrier.dial() as line:
        await server.until(line.call_sid, has_prompt("welcome.first"))
        line.press("4")
        before = await server.until(line.call_sid, lambda found: found["goal"] == "opening_hours")
        line.speak(said)
        await asyncio.sleep(6)
        os.kill(server.process.pid, signal.SIGKILL)
        killed_at = datetime.now(UTC)
        await server.process.wait()
    async with running(data, **settings) as server:
        record = await server.until(line.call_sid, is_over)
        samples = await server.recording(record["id"])
        record = await server.record(line.call_sid)
        await server.terminate()
    assert (record["outcome"], record["cause"]) == ("failed", "server_died")
    assert _turns(record)[: len(before["turns"])] == _turns(before)
    return record, samples, (killed_at - datetime.fromisoformat(record["started_at"])).total_seconds()


async def _verified(data: Path, settings: dict[str, str]) -> tuple[int, str]:
    """Check the recordings by the command that an operator has; return its status and what it prints."""
    verifying = [sys.executable, "-m", "voicebot", "recordings", "verify", "--data", str(data)]
    environment = os.environ | settings
    verified = await asyncio.to_thread(
        subprocess.run, verifying, env=environment, capture_output=True, text=True, check=False
    )
    return verified.returncode, verified.stdout.strip()


def _turns(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(turn["speaker"], turn["text"]) for turn in record["turns"]]
