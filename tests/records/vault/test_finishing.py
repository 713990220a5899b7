"""From a call's tape to a recording that may be played: redacted, sealed, checked, and safe from crashes in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.records.vault.taped import (
    DAY,
    KEYS,
    LOUD,
    START,
    Failures,
    finishing,
    note_call,
    plan_of,
    vault_of,
    write_tape,
)
from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.records.disposal import Disposal
from voicebot.records.record import RecordingState, Redaction, Speaker, TurnRecord
from voicebot.records.recorder import Recordings
from voicebot.records.retention import DataKind, Retention
from voicebot.records.store import Store
from voicebot.records.tape import Tape
from voicebot.records.vault.codec import Codec, decode
from voicebot.records.vault.erasing import Eraser
from voicebot.records.vault.finishing import FindTones, read_silenced, store_recording
from voicebot.records.vault.keys import RecordingKey, RecordingKeys
from voicebot.records.vault.objects import DiskObjects, StoreUnavailableError
from voicebot.records.vault.vault import RecordingUnfinishedError


async def test_a_tape_becomes_a_checked_recording_and_goes(tmp_path: Path, store: Store, failures: Failures) -> None:
    plan, path = plan_of(tmp_path), write_tape(tmp_path)
    note_call(store)
    vault = vault_of(plan, store)
    await store.journal.flush()
    with pytest.raises(RecordingUnfinishedError):
        await vault.open("c1")
    with pytest.raises(RecordingUnfinishedError):
        await vault.waveform("c1")

    async with finishing(plan, store, failures) as finisher:
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
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    plan = plan_of(tmp_path)
    write_tape(tmp_path)
    note_call(
        store,
        "c1",
        TurnRecord(Speaker.CALLER, "[card number]", redactions=(Redaction("card", 2000, 4000),)),
        TurnRecord(Speaker.BOT, "[card number]", redactions=(Redaction("card", 6000, 7000),)),
    )
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    found = await vault_of(plan, store).open("c1")
    assert found is not None
    samples = decode(await found.read(0, found.size))
    silent = [np.flatnonzero(samples[:, lane] == 0) for lane in (0, 1)]
    assert silent[0].tolist() == [*range(16_000, 32_000), *range(48_000, 56_000)]
    assert silent[1].tolist() == [*range(48_000, 56_000)]
    waveform = await vault_of(plan, store).waveform("c1")
    assert waveform is not None
    assert b",0,0,0," in waveform


async def test_a_store_that_is_away_is_tried_again_and_nothing_is_lost(
    tmp_path: Path, store: Store, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.records.vault.finishing._FIRST_RETRY_S", 0.01)

    class Away(DiskObjects):
        attempts = 0

        def put(self, name: str, content: bytes) -> None:
            self.attempts += 1
            if self.attempts < 4:
                raise StoreUnavailableError("away")
            super().put(name, content)

    plan, path = plan_of(tmp_path, Away(tmp_path / "recordings")), write_tape(tmp_path)
    note_call(store)
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    assert failures == ["waiting"] * 3
    assert not path.exists()
    assert [fault async for fault in vault_of(plan, store).verify()] == [("c1", None)]


async def test_a_tape_that_nobody_can_make_sense_of_stays_and_those_behind_it_are_finished(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    class Choosy(DiskObjects):
        def put(self, name: str, content: bytes) -> None:
            if "c1" in name:
                raise ZeroDivisionError("nobody foresaw it")
            super().put(name, content)

    first, second = write_tape(tmp_path), write_tape(tmp_path, "c2")
    note_call(store)
    note_call(store, "c2")
    plan = plan_of(tmp_path, Choosy(tmp_path / "recordings"))
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    assert failures == ["unreadable"]
    assert (first.exists(), second.exists()) == (True, False)


async def test_a_tape_whose_key_is_not_here_stays_until_the_key_comes(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    path = write_tape(tmp_path)
    note_call(store)
    newer = RecordingKey.of(b"n" * 32)
    without = replace(plan_of(tmp_path), keys=RecordingKeys(newer))
    async with finishing(without, store, failures) as finisher:
        await finisher.idle()
    assert failures == ["unreadable"]
    assert path.exists()
    both = replace(plan_of(tmp_path), keys=RecordingKeys(newer, [KEYS.current]))
    async with finishing(both, store, failures) as finisher:
        await finisher.idle()
    assert not path.exists()
    assert [fault async for fault in vault_of(both, store, both.keys).verify()] == [("c1", None)]


async def test_a_call_without_any_audio_has_lost_its_recording(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    plan = plan_of(tmp_path)
    note_call(store)
    async with finishing(plan, store, failures) as finisher:
        finisher.tape_closed(tmp_path / "tapes" / DAY / "c1.tape")
        await asyncio.sleep(0.05)
        await finisher.idle()
    found = await store.recordings.get("c1")
    assert found is not None
    assert found.state is RecordingState.LOST
    assert await vault_of(plan, store).open("c1") is None


async def test_a_tape_that_is_still_written_is_left_alone(tmp_path: Path, store: Store, failures: Failures) -> None:
    path = tmp_path / "tapes" / DAY / "c1.tape"
    tape = Tape(path, KEYS)
    tape.write(0, b"\x10" * 80, b"\x10" * 80)
    note_call(store)
    async with finishing(plan_of(tmp_path), store, failures) as finisher:
        await finisher.idle()
    assert path.exists()
    tape.close()


async def test_rotation_seals_everything_anew_and_the_old_key_is_no_longer_needed(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    plan = plan_of(tmp_path)
    for number in range(3):
        write_tape(tmp_path, f"c{number}", seconds=1)
        note_call(store, f"c{number}")
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    newer = RecordingKey.of(b"n" * 32)
    rotating = vault_of(plan, store, RecordingKeys(newer, [KEYS.current]))
    assert [done async for done in rotating.rotate()] == [("c0", None), ("c1", None), ("c2", None)]
    assert [done async for done in rotating.rotate()] == []
    after = vault_of(plan, store, RecordingKeys(newer))
    assert [fault async for fault in after.verify()] == [("c0", None), ("c1", None), ("c2", None)]
    before = [fault async for _, fault in vault_of(plan, store).verify()]
    assert all(newer.id in (fault or "") for fault in before)


async def test_a_file_that_was_changed_exchanged_or_removed_is_named(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    plan = plan_of(tmp_path)
    for number in range(4):
        write_tape(tmp_path, f"c{number}", seconds=1)
        note_call(store, f"c{number}")
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    folder = tmp_path / "recordings" / DAY
    changed = bytearray((folder / "c0.flac").read_bytes())
    changed[-1] ^= 1
    (folder / "c0.flac").write_bytes(changed)
    (folder / "c1.flac").write_bytes((folder / "c3.flac").read_bytes())
    (folder / "c2.flac").unlink()
    faults = dict([fault async for fault in vault_of(plan, store).verify()])
    assert faults["c0"] == faults["c1"] == "is not what was stored"
    assert "no such object" in (faults["c2"] or "")
    assert faults["c3"] is None
    assert await vault_of(plan, store).open("c2") is None


async def test_an_erased_recording_leaves_nothing_finished_or_not(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    plan = plan_of(tmp_path)
    eraser = Eraser(plan.objects, plan.tapes, store.recordings)
    write_tape(tmp_path, "c1", seconds=1)
    note_call(store, "c1")
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    unfinished = write_tape(tmp_path, "c2", seconds=1)
    note_call(store, "c2")
    await store.journal.flush()
    found = await store.recordings.get("c1")
    assert found is not None
    assert await eraser.erase("c1") == found.sha256
    for call_id in ("c1", "c2", "nobody"):
        assert await eraser.erase(call_id) is None
    assert list(plan.objects.names()) == []
    assert not unfinished.exists()
    assert await vault_of(plan, store).open("c1") is None


async def test_a_recording_deleted_before_its_turn_to_be_finished_is_not_called_lost(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    plan = plan_of(tmp_path)
    eraser = Eraser(plan.objects, plan.tapes, store.recordings)
    disposal = Disposal(store.database, eraser, lambda: START + timedelta(days=9))
    tape = write_tape(tmp_path)
    note_call(store)
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
        await disposal.delete(call_ids=["c1"], by="dana", reason="asked")
        finisher.tape_closed(tape)
        await asyncio.sleep(0)  # `tape_closed` may be called from any thread: the loop takes it up next
        await finisher.idle()
    assert failures == []


@pytest.mark.parametrize("by", ["a customer's request", "retention"])
async def test_a_recording_deleted_while_it_is_being_finished_leaves_nothing(
    tmp_path: Path, store: Store, failures: Failures, by: str
) -> None:
    plan = plan_of(tmp_path)
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
    tape = write_tape(tmp_path)
    note_call(store)
    async with finishing(replace(plan, objects=DeletedMeanwhile(tmp_path / "recordings")), store, failures) as finisher:
        await finisher.idle()
    assert list(plan.objects.names()) == []
    assert not tape.exists()
    assert await store.recordings.get("c1") is None
    assert failures == []


async def test_what_a_dead_server_stored_and_did_not_note_is_erased_too(tmp_path: Path, store: Store) -> None:
    plan = plan_of(tmp_path)
    tape = write_tape(tmp_path)
    note_call(store)
    await store.journal.flush()
    finished = store_recording(tape, plan, read_silenced(tape, KEYS, []))
    assert await Eraser(plan.objects, plan.tapes, store.recordings).erase("c1") == finished.sha256
    assert list(plan.objects.names()) == []


async def test_opus_by_setting(tmp_path: Path, store: Store, failures: Failures) -> None:
    plan = replace(plan_of(tmp_path), codec=Codec.OPUS)
    write_tape(tmp_path, seconds=2)
    note_call(store)
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    found = await vault_of(plan, store).open("c1")
    assert found is not None
    assert found.content_type == "audio/ogg; codecs=opus"
    assert (await found.read(0, 4)) == b"OggS"


async def test_whatever_a_recorder_wrote_is_finished_when_its_call_ends(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    plan = plan_of(tmp_path)
    async with finishing(plan, store, failures) as finisher:
        recordings = Recordings(
            plan.tapes, keys=KEYS, now=lambda: START, on_failure=failures, on_closed=finisher.tape_closed
        )
        async with recordings:
            recorder = recordings.start("c1", 100.0)
            for number in range(100):
                recorder.heard(b"\x10" * 160, 100.0 + (number + 1) * 0.02)
            note_call(store)
            recorder.close()
    found = await vault_of(plan, store).open("c1")
    assert found is not None
    assert len(decode(await found.read(0, found.size))) == 16_000
    assert failures == []


def tones_at(*spans_ms: tuple[int, int]) -> FindTones:
    """Finds tones in the caller's lane of a tape, and none in the other."""

    def find(pcm: Pcm) -> list[tuple[int, int]]:
        is_callers = pcm[0] == g711.decode(bytes([LOUD]))[0]
        return [(8 * start, 8 * end) for start, end in spans_ms] if is_callers else []

    return find


async def test_tones_of_keys_that_stand_in_no_turn_are_silence(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    chose = TurnRecord(Speaker.CALLER, "[4]", at_ms=3000, heard_ms=50, engine="keys", intent="order")
    tones = tones_at((1000, 1100), (2950, 3040), (8000, 8100))
    plan = replace(plan_of(tmp_path), tones=tones, keeps_unheard=True)
    write_tape(tmp_path)
    note_call(store, "c1", chose)
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    found = await vault_of(plan, store).open("c1")
    assert found is not None
    samples = decode(await found.read(0, found.size))
    for start_ms, end_ms in ((1000, 1100), (8000, 8100)):
        assert not samples[8 * start_ms : 8 * end_ms, 0].any()
    assert samples[8 * 1200 : 8 * 7900, 0].all()
    assert samples[:, 1].all()


async def test_what_was_keyed_and_taken_out_is_silence_tone_by_tone_too(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    entered = TurnRecord(
        *(Speaker.CALLER, "[card number]"),
        at_ms=3000,
        heard_ms=50,
        engine="keys",
        redactions=(Redaction("card", 3000, 3010),),
    )
    plan = replace(plan_of(tmp_path), tones=tones_at((2900, 3040)), keeps_unheard=True)
    write_tape(tmp_path)
    note_call(store, "c1", entered)
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    found = await vault_of(plan, store).open("c1")
    assert found is not None
    assert not decode(await found.read(0, found.size))[8 * 2900 : 8 * 3040, 0].any()
