"""From a call's tape to a recording that may be played: redacted, sealed, checked, and safe from crashes in between."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.buzz import buzz
from voicebot.records.disposal import Disposal
from voicebot.records.record import Outcome, RecordingState, Redaction, Speaker, TurnRecord
from voicebot.records.recorder import Recordings
from voicebot.records.retention import DataKind, Retention
from voicebot.records.store import Store
from voicebot.records.tape import Tape
from voicebot.records.vault.codec import Codec, decode
from voicebot.records.vault.erasing import Eraser
from voicebot.records.vault.finishing import Finisher, FinishingPlan, finish_tape
from voicebot.records.vault.keys import RecordingKey, RecordingKeys
from voicebot.records.vault.objects import DiskObjects, Objects, StoreUnavailableError
from voicebot.records.vault.vault import RecordingUnfinishedError, Vault
from voicebot.telephony.leg import Channel, Direction, LegInfo

START = datetime(2026, 11, 21, 9, tzinfo=UTC)
KEYS = RecordingKeys(RecordingKey.of(b"k" * 32))
LOUD, SILENT = 0x10, 0xFF
DAY = "2026-11-21"


def _tape(data: Path, call_id: str = "c1", seconds: int = 10) -> Path:
    path = data / "tapes" / DAY / f"{call_id}.tape"
    tape = Tape(path, KEYS)
    for second in range(seconds):
        tape.write(second * 8000, bytes([LOUD]) * 8000, bytes([LOUD + 1]) * 8000)
    tape.close()
    return path


def _plan(data: Path, objects: Objects | None = None) -> FinishingPlan:
    return FinishingPlan(data / "tapes", objects or DiskObjects(data / "recordings"), KEYS)


def _call(store: Store, call_id: str = "c1", *turns: TurnRecord) -> None:
    store.journal.begin_call(
        call_id, LegInfo(call_id, Channel.TWILIO, Direction.INBOUND, "+15550100", "+15550199"), START, "flows-1"
    )
    store.journal.note_recording(call_id, f"{DAY}/{call_id}")
    for turn in turns:
        store.journal.add_turn(call_id, turn)
    store.journal.end_call(call_id, START, Outcome.COMPLETED, "we_hung_up")


class _Failures(list[str]):
    def __call__(self, kind: str) -> None:
        self.append(kind)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, on_failure=lambda _: None) as opened:
        yield opened


@pytest.fixture
def failures() -> _Failures:
    return _Failures()


@asynccontextmanager
async def _finishing(plan: FinishingPlan, store: Store, failures: _Failures) -> AsyncIterator[Finisher]:
    finisher = Finisher(plan, store.recordings, written=store.journal.flush, on_failure=failures)
    async with finisher.working():
        yield finisher


def _vault(plan: FinishingPlan, store: Store, keys: RecordingKeys = KEYS) -> Vault:
    return Vault(plan.objects, keys, store.recordings)


async def test_a_tape_becomes_a_checked_recording_and_goes(tmp_path: Path, store: Store, failures: _Failures) -> None:
    plan, path = _plan(tmp_path), _tape(tmp_path)
    _call(store)
    vault = _vault(plan, store)
    await store.journal.flush()
    with pytest.raises(RecordingUnfinishedError):
        await vault.open("c1")
    with pytest.raises(RecordingUnfinishedError):
        await vault.waveform("c1")

    async with _finishing(plan, store, failures) as finisher:
        await finisher.idle()
    assert failures == []
    assert not path.exists()
    assert not path.parent.exists()
    found = await vault.open("c1")
    assert found is not None
    samples = decode(await found.read(0, found.size))
    assert samples.shape == (80_000, 2)
    assert samples.all()
    assert found.content_type == "audio/flac"
    waveform = await vault.waveform("c1")
    assert waveform is not None
    assert b'"duration_ms":10000' in waveform
    assert [fault async for fault in vault.verify()] == [("c1", None)]
    record = await store.get("c1")
    assert record is not None
    assert record["recording"]["state"] == "ready"
    assert record["recording"]["duration_ms"] == 10_000
    assert record["recording"]["key_id"] == KEYS.current.id
    assert len(record["recording"]["sha256"]) == 64
    stored = (tmp_path / "recordings" / DAY / "c1.flac").read_bytes()
    assert len(stored) == record["recording"]["stored_bytes"]
    assert b"fLaC" not in stored


async def test_what_was_redacted_is_silence_for_whoever_said_it(
    tmp_path: Path, store: Store, failures: _Failures
) -> None:
    plan = _plan(tmp_path)
    _tape(tmp_path)
    _call(
        store,
        "c1",
        TurnRecord(Speaker.CALLER, "[card number]", redactions=(Redaction("card", 2000, 4000),)),
        TurnRecord(Speaker.BOT, "[card number]", redactions=(Redaction("card", 6000, 7000),)),
    )
    async with _finishing(plan, store, failures) as finisher:
        await finisher.idle()
    found = await _vault(plan, store).open("c1")
    assert found is not None
    samples = decode(await found.read(0, found.size))
    silent = [np.flatnonzero(samples[:, lane] == 0) for lane in (0, 1)]
    assert silent[0].tolist() == [*range(16_000, 32_000), *range(48_000, 56_000)]
    assert silent[1].tolist() == [*range(48_000, 56_000)]
    waveform = await _vault(plan, store).waveform("c1")
    assert waveform is not None
    assert b",0,0,0," in waveform


async def test_a_store_that_is_away_is_tried_again_and_nothing_is_lost(
    tmp_path: Path, store: Store, failures: _Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.records.vault.finishing._FIRST_RETRY_S", 0.01)

    class Away(DiskObjects):
        attempts = 0

        def put(self, name: str, content: bytes) -> None:
            self.attempts += 1
            if self.attempts < 4:
                raise StoreUnavailableError("away")
            super().put(name, content)

    plan, path = _plan(tmp_path, Away(tmp_path / "recordings")), _tape(tmp_path)
    _call(store)
    async with _finishing(plan, store, failures) as finisher:
        await finisher.idle()
    assert failures == ["waiting"] * 3
    assert not path.exists()
    assert [fault async for fault in _vault(plan, store).verify()] == [("c1", None)]


async def test_a_tape_whose_key_is_not_here_stays_until_the_key_comes(
    tmp_path: Path, store: Store, failures: _Failures
) -> None:
    path = _tape(tmp_path)
    _call(store)
    newer = RecordingKey.of(b"n" * 32)
    without = replace(_plan(tmp_path), keys=RecordingKeys(newer))
    async with _finishing(without, store, failures) as finisher:
        await finisher.idle()
    assert failures == ["unreadable"]
    assert path.exists()
    both = replace(_plan(tmp_path), keys=RecordingKeys(newer, [KEYS.current]))
    async with _finishing(both, store, failures) as finisher:
        await finisher.idle()
    assert not path.exists()
    assert [fault async for fault in _vault(both, store, both.keys).verify()] == [("c1", None)]


async def test_a_call_without_any_audio_has_lost_its_recording(
    tmp_path: Path, store: Store, failures: _Failures
) -> None:
    plan = _plan(tmp_path)
    _call(store)
    async with _finishing(plan, store, failures) as finisher:
        finisher.tape_closed(tmp_path / "tapes" / DAY / "c1.tape")
        await asyncio.sleep(0.05)
        await finisher.idle()
    found = await store.recordings.get("c1")
    assert found is not None
    assert found.state is RecordingState.LOST
    assert await _vault(plan, store).open("c1") is None


async def test_a_tape_that_is_still_written_is_left_alone(tmp_path: Path, store: Store, failures: _Failures) -> None:
    path = tmp_path / "tapes" / DAY / "c1.tape"
    tape = Tape(path, KEYS)
    tape.write(0, b"\x10" * 80, b"\x10" * 80)
    _call(store)
    async with _finishing(_plan(tmp_path), store, failures) as finisher:
        await finisher.idle()
    assert path.exists()
    tape.close()


async def test_rotation_seals_everything_anew_and_the_old_key_is_no_longer_needed(
    tmp_path: Path, store: Store, failures: _Failures
) -> None:
    plan = _plan(tmp_path)
    for number in range(3):
        _tape(tmp_path, f"c{number}", seconds=1)
        _call(store, f"c{number}")
    async with _finishing(plan, store, failures) as finisher:
        await finisher.idle()
    newer = RecordingKey.of(b"n" * 32)
    rotating = _vault(plan, store, RecordingKeys(newer, [KEYS.current]))
    assert [done async for done in rotating.rotate()] == [("c0", None), ("c1", None), ("c2", None)]
    assert [done async for done in rotating.rotate()] == []
    after = _vault(plan, store, RecordingKeys(newer))
    assert [fault async for fault in after.verify()] == [("c0", None), ("c1", None), ("c2", None)]
    before = [fault async for _, fault in _vault(plan, store).verify()]
    assert all(newer.id in (fault or "") for fault in before)


async def test_a_file_that_was_changed_exchanged_or_removed_is_named(
    tmp_path: Path, store: Store, failures: _Failures
) -> None:
    plan = _plan(tmp_path)
    for number in range(4):
        _tape(tmp_path, f"c{number}", seconds=1)
        _call(store, f"c{number}")
    async with _finishing(plan, store, failures) as finisher:
        await finisher.idle()
    folder = tmp_path / "recordings" / DAY
    changed = bytearray((folder / "c0.flac").read_bytes())
    changed[-1] ^= 1
    (folder / "c0.flac").write_bytes(changed)
    (folder / "c1.flac").write_bytes((folder / "c3.flac").read_bytes())
    (folder / "c2.flac").unlink()
    faults = dict([fault async for fault in _vault(plan, store).verify()])
    assert faults["c0"] == faults["c1"] == "is not what was stored"
    assert "no such object" in (faults["c2"] or "")
    assert faults["c3"] is None
    assert await _vault(plan, store).open("c2") is None


async def test_an_erased_recording_leaves_nothing_finished_or_not(
    tmp_path: Path, store: Store, failures: _Failures
) -> None:
    plan = _plan(tmp_path)
    eraser = Eraser(plan.objects, plan.tapes, store.recordings)
    _tape(tmp_path, "c1", seconds=1)
    _call(store, "c1")
    async with _finishing(plan, store, failures) as finisher:
        await finisher.idle()
    unfinished = _tape(tmp_path, "c2", seconds=1)
    _call(store, "c2")
    await store.journal.flush()
    found = await store.recordings.get("c1")
    assert found is not None
    assert await eraser.erase("c1") == found.sha256
    for call_id in ("c1", "c2", "nobody"):
        assert await eraser.erase(call_id) is None
    assert list(plan.objects.names()) == []
    assert not unfinished.exists()
    assert await _vault(plan, store).open("c1") is None


@pytest.mark.parametrize("by", ["a customer's request", "retention"])
async def test_a_recording_deleted_while_it_is_being_finished_leaves_nothing(
    tmp_path: Path, store: Store, failures: _Failures, by: str
) -> None:
    plan = _plan(tmp_path)
    disposal = Disposal(
        store.database, Eraser(plan.objects, plan.tapes, store.recordings), lambda: START + timedelta(days=9)
    )

    class DeletedMeanwhile(DiskObjects):
        """Has the call deleted by somebody else when the waveform is there and the audio is not."""

        def put(self, name: str, content: bytes) -> None:
            super().put(name, content)
            if name.endswith(".waveform"):
                asyncio.run_coroutine_threadsafe(self.deleted(), loop).result(10)

        async def deleted(self) -> None:
            if by == "retention":
                await disposal.retain(Retention({DataKind.AUDIO: 1}))
            else:
                await disposal.delete(call_ids=["c1"], by="dana", reason="asked")

    loop = asyncio.get_running_loop()
    tape = _tape(tmp_path)
    _call(store)
    async with _finishing(
        replace(plan, objects=DeletedMeanwhile(tmp_path / "recordings")), store, failures
    ) as finisher:
        await finisher.idle()
    assert list(plan.objects.names()) == []
    assert not tape.exists()
    assert await store.recordings.get("c1") is None
    assert failures == []


async def test_what_a_dead_server_stored_and_did_not_note_is_erased_too(tmp_path: Path, store: Store) -> None:
    plan = _plan(tmp_path)
    tape = _tape(tmp_path)
    _call(store)
    await store.journal.flush()
    finished = finish_tape(tape, plan, [])
    assert await Eraser(plan.objects, plan.tapes, store.recordings).erase("c1") == finished.sha256
    assert list(plan.objects.names()) == []


async def test_opus_by_setting(tmp_path: Path, store: Store, failures: _Failures) -> None:
    plan = replace(_plan(tmp_path), codec=Codec.OPUS)
    _tape(tmp_path, seconds=2)
    _call(store)
    async with _finishing(plan, store, failures) as finisher:
        await finisher.idle()
    found = await _vault(plan, store).open("c1")
    assert found is not None
    assert found.content_type == "audio/ogg; codecs=opus"
    assert (await found.read(0, 4)) == b"OggS"


_DYING = """
import asyncio, sys, time
from datetime import UTC, datetime
from pathlib import Path
from voicebot.records.record import Speaker, TurnRecord
from voicebot.records.recorder import Recordings
from voicebot.records.store import Store
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
                print(number, flush=True)

asyncio.run(main())
"""


def _die_in_mid_call(data: Path, url: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", _DYING, str(data), url], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if int(line) >= 150:
            break
    time.sleep(0.7)  # up to the middle of the next second
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()


async def test_after_a_kill_in_mid_call_record_and_recording_are_there_up_to_the_last_second(
    tmp_path: Path, database_url: str, failures: _Failures
) -> None:
    await asyncio.to_thread(_die_in_mid_call, tmp_path, database_url)
    async with Store.open(tmp_path, url=database_url, on_failure=lambda _: None) as store:
        plan = _plan(tmp_path)
        async with _finishing(plan, store, failures) as finisher:
            await finisher.idle()
        vault = _vault(plan, store)
        assert [fault async for fault in vault.verify()] == [("c1", None)]
        found = await vault.open("c1")
        assert found is not None
        samples = decode(await found.read(0, found.size))
        assert len(samples) / 8000 > 3.7 - 1.0
        assert samples[:, 0].all()
        record = await store.get("c1")
        assert record is not None
        assert [turn["text"] for turn in record["turns"]][:3] == ["turn i", "turn ii", "turn iii"]
        assert (record["outcome"], record["cause"]) == ("failed", "server_died")
        duration = datetime.fromisoformat(record["ended_at"]) - START
        assert duration.total_seconds() == pytest.approx(len(samples) / 8000, abs=0.01)
    assert failures == []


async def test_a_number_that_a_dead_server_could_not_judge_stays_out_of_record_and_recording(
    tmp_path: Path, failures: _Failures
) -> None:
    number = TurnRecord(Speaker.CALLER, "it is four one one one", at_ms=2500, heard_ms=400)
    async with Store.open(tmp_path, on_failure=lambda _: None) as store:
        store.journal.begin_call(
            "c1", LegInfo("c1", Channel.TWILIO, Direction.INBOUND, "+15550100", "+15550199"), START, "flows-1"
        )
        store.journal.note_recording("c1", f"{DAY}/c1")
        store.journal.add_turn("c1", number)
    _tape(tmp_path)
    async with Store.open(tmp_path, on_failure=lambda _: None) as store:
        plan = _plan(tmp_path)
        async with _finishing(plan, store, failures) as finisher:
            await finisher.idle()
        record = await store.get("c1")
        assert record is not None
        assert [turn["text"] for turn in record["turns"]] == ["it is [number]"]
        found = await _vault(plan, store).open("c1")
        assert found is not None
        samples = decode(await found.read(0, found.size))
        assert np.flatnonzero(samples[:, 0] == 0).tolist() == [*range(2300 * 8, 3100 * 8)]
    assert failures == []


async def test_whatever_a_recorder_wrote_is_finished_when_its_call_ends(
    tmp_path: Path, store: Store, failures: _Failures
) -> None:
    plan = _plan(tmp_path)
    async with _finishing(plan, store, failures) as finisher:
        recordings = Recordings(
            plan.tapes, keys=KEYS, now=lambda: START, on_failure=failures, on_closed=finisher.tape_closed
        )
        async with recordings:
            recorder = recordings.start("c1", 100.0)
            for number in range(100):
                recorder.heard(b"\x10" * 160, 100.0 + (number + 1) * 0.02)
            _call(store)
            recorder.close()
    found = await _vault(plan, store).open("c1")
    assert found is not None
    assert len(decode(await found.read(0, found.size))) == 16_000
    assert failures == []


def _spoken_tape(data: Path) -> None:
    """Ten seconds in which both sides speak from 1 to 3 s, and again from 6 to 8 s."""
    speech, hush = b"".join(buzz(2)), bytes([SILENT])
    lane = hush * 8000 + speech + hush * 24_000 + speech + hush * 16_000
    tape = Tape(data / "tapes" / DAY / "c1.tape", KEYS)
    for second in range(len(lane) // 8000):
        part = lane[second * 8000 : (second + 1) * 8000]
        tape.write(second * 8000, part, part)
    tape.close()


@pytest.mark.parametrize("keeps", [False, True])
async def test_speech_that_nobody_wrote_down_is_silence_and_the_record_says_so(
    tmp_path: Path, store: Store, failures: _Failures, *, keeps: bool
) -> None:
    plan = replace(_plan(tmp_path), keeps_unheard=keeps)
    _spoken_tape(tmp_path)
    said = TurnRecord(Speaker.CALLER, "hello there", at_ms=1000, heard_ms=2000)
    agent = TurnRecord(Speaker.AGENT, "hello", at_ms=1000, heard_ms=2000)
    _call(store, "c1", said, agent)
    async with _finishing(plan, store, failures) as finisher:
        await finisher.idle()
    found = await _vault(plan, store).open("c1")
    assert found is not None
    samples = decode(await found.read(0, found.size))
    assert np.abs(samples[9000:23_000]).max(axis=0).min() > 1000
    assert bool(np.abs(samples[48_800:63_000]).max()) is keeps
    record = await store.get("c1")
    assert record is not None
    hidden = record["recording"]["unheard"]
    assert [span["lane"] for span in hidden] == ([] if keeps else ["caller", "bot"])
    assert all(5700 <= span["start_ms"] <= 6000 and 8000 <= span["end_ms"] <= 8300 for span in hidden)


@pytest.mark.parametrize(
    ("turns", "dictated", "talk_from_ms"),
    [
        ((), None, None),
        ((TurnRecord(Speaker.BOT, "hello", at_ms=700, heard_ms=900),), None, None),
        # Talk of which nothing could be written down: from when the bot had spoken last.
        ((TurnRecord(Speaker.BOT, "hello", at_ms=700, heard_ms=900),), "no engine", 700),
        ((TurnRecord(Speaker.AGENT, "", at_ms=4000, heard_ms=900),), "no engine", 4000),
    ],
)
async def test_where_an_agent_came_is_known(
    store: Store, turns: tuple[TurnRecord, ...], dictated: str | None, talk_from_ms: int | None
) -> None:
    _call(store, "c1", *turns)
    if dictated:
        store.journal.note_dictation("c1", dictated)
    await store.journal.flush()
    assert (await store.recordings.searched("c1")).talk_from_ms == talk_from_ms
