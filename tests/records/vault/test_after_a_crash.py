"""A server that died in mid-call: record and recording are there up to the last second."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.buzz import buzz
from tests.fakes.ear import ScriptedEar
from tests.records.vault.taped import DAY, KEYS, SILENT, START, Failures, finishing, plan_of, vault_of, write_tape
from voicebot.records.disposal import Disposal
from voicebot.records.record import Speaker, TurnRecord
from voicebot.records.retention import DataKind, Retention
from voicebot.records.store import Store
from voicebot.records.tape import Tape
from voicebot.records.vault.codec import decode
from voicebot.records.vault.erasing import Eraser
from voicebot.telephony.leg import Channel, Direction, LegInfo

_DYING = """
import asyncio, sys, time
from datetime import UTC, datetime
from pathlib import Path
from voicebot.records.record import Speaker, TurnRecord
from voicebot.records.recorder import Recordings
from voicebot.records.store import Store
from voicebot.records.tape import Tape
from voicebot.records.vault.keys import RecordingKey, RecordingKeys
from voicebot.telephony.leg import Channel, Direction, LegInfo

async def main():
    data, started_at = Path(sys.argv[1]), datetime(2026, 11, 21, 9, tzinfo=UTC)
    keys = RecordingKeys(RecordingKey.of(b"k" * 32))
    async with Store.open(data, url=sys.argv[2], on_failure=print) as store, Recordings(
        data / "tapes", keys=keys, now=lambda: started_at, on_failure=print, on_closed=print
    ) as recordings:
        started = time.monotonic()
        recorder = recordings.start("c1", started)
        store.journal.begin_call("c1", LegInfo("c1", Channel.TWILIO, Direction.INBOUND, "", ""), started_at, "flows-1")
        store.journal.note_recording("c1", "2026-11-21/c1")
        for number in range(1, 10_000):
            await asyncio.sleep(max(0, started + number * 0.02 - time.monotonic()))
            recorder.heard(bytes([0x10]) * 160, started + number * 0.02)
            if number % 50 == 0:
                # Without digits: of a caller's last number nobody knows yet whether it may be kept.
                turn = TurnRecord(Speaker.CALLER, "turn " + "i" * (number // 50), at_ms=number * 20 - 500, heard_ms=400)
                store.journal.add_turn("c1", turn)
                await store.journal.flush()
            if number % 25 == 0:
                print(number, flush=True)

asyncio.run(main())
"""


def _die_in_mid_call(data: Path, url: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", _DYING, str(data), url], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if int(line) >= 175:  # in the middle of a second
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()


async def test_after_a_kill_in_mid_call_record_and_recording_are_there_up_to_the_last_second(
    tmp_path: Path, database_url: str, failures: Failures
) -> None:
    await asyncio.to_thread(_die_in_mid_call, tmp_path, database_url)
    async with Store.open(tmp_path, url=database_url, on_failure=lambda _: None) as store:
        plan = plan_of(tmp_path)
        async with finishing(plan, store, failures) as finisher:
            await finisher.idle()
        vault = vault_of(plan, store)
        assert [fault async for fault in vault.verify()] == [("c1", None)]
        found = await vault.open("c1")
        assert found is not None
        samples = decode(await found.read(0, found.size))
        assert len(samples) / 8000 > 3.5 - 1.0
        assert samples[:, 0].all()
        record = await store.get("c1")
        assert record is not None
        assert [turn["text"] for turn in record["turns"]][:3] == ["turn i", "turn ii", "turn iii"]
        assert (record["outcome"], record["cause"]) == ("failed", "server_died")
        duration = datetime.fromisoformat(record["ended_at"]) - START
        assert duration.total_seconds() == pytest.approx(len(samples) / 8000, abs=0.01)
    assert failures == []


async def test_a_number_that_a_dead_server_could_not_judge_stays_out_of_record_and_recording(
    tmp_path: Path, failures: Failures
) -> None:
    number = TurnRecord(Speaker.CALLER, "it is four one one one", at_ms=2500, heard_ms=400)
    async with Store.open(tmp_path, on_failure=lambda _: None) as store:
        store.journal.begin_call(
            "c1", LegInfo("c1", Channel.TWILIO, Direction.INBOUND, "+15550100", "+15550199"), START, "flows-1"
        )
        store.journal.note_recording("c1", f"{DAY}/c1")
        store.journal.add_turn("c1", number)
    write_tape(tmp_path)
    async with Store.open(tmp_path, on_failure=lambda _: None) as store:
        plan = plan_of(tmp_path)
        async with finishing(plan, store, failures) as finisher:
            await finisher.idle()
        record = await store.get("c1")
        assert record is not None
        assert [turn["text"] for turn in record["turns"]] == ["it is [number]"]
        found = await vault_of(plan, store).open("c1")
        assert found is not None
        samples = decode(await found.read(0, found.size))
        assert np.flatnonzero(samples[:, 0] == 0).tolist() == [*range(2300 * 8, 3100 * 8)]
    assert failures == []


def _tape_that_ends_in_speech(data: Path) -> None:
    """Two seconds of silence, then the caller speaks to the end, which is 6 s."""
    lane = bytes([SILENT]) * 16_000 + b"".join(buzz(4))
    tape = Tape(data / "tapes" / DAY / "c1.tape", KEYS)
    for second in range(6):
        tape.write(second * 8000, lane[second * 8000 : (second + 1) * 8000], bytes([SILENT]) * 8000)
    tape.close()


@pytest.mark.parametrize("text", ["I would like to know when you open today", "my card is four one one one", None])
async def test_what_was_being_said_is_in_record_and_recording_unless_it_may_be_a_number(
    tmp_path: Path, database_url: str, failures: Failures, text: str | None
) -> None:
    async with Store.open(tmp_path, url=database_url, on_failure=lambda _: None) as store:
        store.journal.begin_call(
            "c1", LegInfo("c1", Channel.TWILIO, Direction.INBOUND, "+15550100", "+15550199"), START, "flows-1"
        )
        store.journal.note_recording("c1", f"{DAY}/c1")
        store.journal.add_turn("c1", TurnRecord(Speaker.BOT, "How can I help you?", at_ms=100, heard_ms=1500))
    for _ in range(2):  # as when a server dies once more before it has removed the tape
        _tape_that_ends_in_speech(tmp_path)
        plan = replace(plan_of(tmp_path), ear=ScriptedEar(text))
        async with (
            Store.open(tmp_path, url=database_url, on_failure=lambda _: None) as store,
            finishing(plan, store, failures) as finisher,
        ):
            await finisher.idle()
            record = await store.get("c1")
            found = await vault_of(plan, store).open("c1")
            assert record is not None
            assert found is not None
            samples = decode(await found.read(0, found.size))
    assert record is not None
    _, *late = record["turns"]
    has_words = text is not None and "four" not in text
    assert bool(np.abs(samples[-4000:, 0]).max() > 1000) is has_words
    assert [turn["text"] for turn in late] == ([] if text is None else [text if has_words else ""])
    assert [span["lane"] for span in record["recording"]["unheard"]] == ([] if has_words else ["caller"])
    for turn in late:
        assert turn["speaker"] == "caller"
        assert turn["decision"].startswith("heard after the server had died")
        assert 1700 <= turn["at_ms"] <= 2000
        assert 5900 <= turn["at_ms"] + turn["heard_ms"] <= 6000
        assert turn["intent"] is None
    if has_words:
        (turn,) = late
        assert 5500 <= turn["words"][-1]["end_ms"] <= 6000
    assert failures == []


async def test_what_was_being_said_is_not_written_down_once_the_transcript_was_deleted(
    tmp_path: Path, failures: Failures
) -> None:
    plan = replace(plan_of(tmp_path), ear=ScriptedEar("I would like to know when you open today"))
    async with Store.open(tmp_path, on_failure=lambda _: None) as store:
        store.journal.begin_call(
            "c1", LegInfo("c1", Channel.TWILIO, Direction.INBOUND, "+15550100", "+15550199"), START, "flows-1"
        )
        store.journal.note_recording("c1", f"{DAY}/c1")
        store.journal.add_turn("c1", TurnRecord(Speaker.BOT, "How can I help you?", at_ms=100, heard_ms=1500))
    _tape_that_ends_in_speech(tmp_path)
    async with Store.open(tmp_path, on_failure=lambda _: None) as store:
        eraser = Eraser(plan.objects, plan.tapes, store.recordings)
        disposal = Disposal(store.database, eraser, lambda: datetime.now(UTC) + timedelta(days=9))
        await disposal.retain(Retention({DataKind.TRANSCRIPT: 1}))
        async with finishing(plan, store, failures) as finisher:
            await finisher.idle()
        record = await store.get("c1")
    assert record is not None
    assert [turn["text"] for turn in record["turns"]] == [""]
    assert record["recording"]["unheard"] == []
    assert failures == []
