"""Speech that no turn holds: searched before anybody may hear it, else silence."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.fakes.buzz import buzz
from tests.fakes.ear import ScriptedEar
from tests.records.vault.taped import (
    DAY,
    KEYS,
    SILENT,
    Failures,
    finishing,
    note_call,
    plan_of,
    vault_of,
    write_tape,
)
from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.records.record import HeardWord, Speaker, TurnRecord
from voicebot.records.store import Store
from voicebot.records.tape import Tape
from voicebot.records.unheard import Searched
from voicebot.records.vault import listening
from voicebot.records.vault.codec import decode
from voicebot.records.vault.listening import listen


def spoken_tape(data: Path) -> None:
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
    tmp_path: Path, store: Store, failures: Failures, *, keeps: bool
) -> None:
    plan = replace(plan_of(tmp_path), keeps_unheard=keeps)
    spoken_tape(tmp_path)
    said = TurnRecord(Speaker.CALLER, "hello there", at_ms=1000, heard_ms=2000)
    agent = TurnRecord(Speaker.AGENT, "hello", at_ms=1000, heard_ms=2000)
    note_call(store, "c1", said, agent)
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    found = await vault_of(plan, store).open("c1")
    assert found is not None
    samples = decode(await found.read(0, found.size))
    assert np.abs(samples[9000:23_000]).max(axis=0).min() > 1000
    assert bool(np.abs(samples[48_800:63_000]).max()) is keeps
    record = await store.get("c1")
    assert record is not None
    hidden = record["recording"]["unheard"]
    assert [span["lane"] for span in hidden] == ([] if keeps else ["caller", "bot"])
    assert all(5700 <= span["start_ms"] <= 6000 and 8000 <= span["end_ms"] <= 8300 for span in hidden)


async def _listened_to(data: Path, store: Store, failures: Failures, *texts: str | None) -> dict[str, Any]:
    """Finish a call whose caller said from 6 to 8 s what no turn holds; return its record and whether that is heard."""
    ear = ScriptedEar(*texts)
    plan = replace(plan_of(data), ear=ear)
    spoken_tape(data)
    note_call(store, "c1", TurnRecord(Speaker.CALLER, "hello there", at_ms=1000, heard_ms=2000))
    async with finishing(plan, store, failures) as finisher:
        await finisher.idle()
    assert [2000 <= length_ms <= 2700 for length_ms in ear.passages_ms] == [True]
    found = await vault_of(plan, store).open("c1")
    assert found is not None
    samples = decode(await found.read(0, found.size))
    record = await store.get("c1")
    assert record is not None
    return record | {"audible": bool(np.abs(samples[48_800:63_000, 0]).max() > 1000)}


async def test_a_long_recording_is_looked_through_without_holding_up_live_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its millions of samples take a fifth of a second, in which no live call would hear or say anything."""
    worked_in: list[threading.Thread] = []

    def decoded(payload: bytes) -> Pcm:
        worked_in.append(threading.current_thread())
        return g711.decode(payload)

    monkeypatch.setattr(listening, "g711", SimpleNamespace(decode=decoded))
    await listen(np.full((16_000, 2), SILENT, np.uint8), Searched((), None), None)
    assert worked_in
    assert threading.current_thread() not in worked_in


async def test_speech_that_holds_no_number_is_heard_by_whoever_listens(
    tmp_path: Path, store: Store, failures: Failures
) -> None:
    record = await _listened_to(tmp_path, store, failures, "wait a moment while I look for it")
    assert record["audible"]
    assert record["recording"]["unheard"] == []
    assert [turn["text"] for turn in record["turns"]] == ["hello there"]


@pytest.mark.parametrize("away", [2, 3])
async def test_while_nothing_can_hear_others_go_first_and_at_last_it_is_silence(
    tmp_path: Path, store: Store, failures: Failures, monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    monkeypatch.setattr("voicebot.records.vault.finishing._NEXT_HEARING_S", 0.01)
    plan = replace(plan_of(tmp_path), ear=ScriptedEar("wait a moment while I look for it", away=away))
    spoken_tape(tmp_path)
    write_tape(tmp_path, "c2", seconds=1)
    note_call(store, "c1", TurnRecord(Speaker.CALLER, "hello there", at_ms=1000, heard_ms=2000))
    note_call(store, "c2")
    async with finishing(plan, store, failures), asyncio.timeout(10):
        while not ((record := await store.get("c1")) and record["recording"]["state"] == "ready"):
            await asyncio.sleep(0.01)
    assert [span["lane"] for span in record["recording"]["unheard"]] == (["caller"] if away == 3 else [])
    assert failures == ["unheard"] * away
    assert [fault async for fault in vault_of(plan, store).verify()] == [("c1", None), ("c2", None)]


@pytest.mark.parametrize("text", ["my number is four one one one now", "mumble", None])
async def test_what_may_be_a_number_or_cannot_be_made_out_is_silence(
    tmp_path: Path, store: Store, failures: Failures, text: str | None
) -> None:
    record = await _listened_to(tmp_path, store, failures, text)
    assert not record["audible"]
    assert [span["lane"] for span in record["recording"]["unheard"]] == ["caller"]
    assert [turn["text"] for turn in record["turns"]] == ["hello there"]


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
    note_call(store, "c1", *turns)
    if dictated:
        store.journal.note_dictation("c1", dictated)
    await store.journal.flush()
    assert (await store.recordings.searched("c1")).talk_from_ms == talk_from_ms


async def test_what_is_said_behind_the_last_word_of_a_turn_was_not_written_down(store: Store) -> None:
    words = (HeardWord("hello", 1000, 1400, 0.9), HeardWord("there", 1400, 1800, 0.9))
    note_call(store, "c1", TurnRecord(Speaker.CALLER, "hello there", at_ms=1000, heard_ms=5000, words=words))
    await store.journal.flush()
    (passage,) = (await store.recordings.searched("c1")).passages
    assert (passage.at_ms, passage.heard_ms) == (1000, 800)
