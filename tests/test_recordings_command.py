"""`voicebot recordings`, as an operator types it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voicebot.cli import main
from voicebot.records.record import Outcome
from voicebot.records.store import Store
from voicebot.records.tape import Tape
from voicebot.records.vault.finishing import Finisher, FinishingPlan
from voicebot.records.vault.keys import RecordingKeys, new_key
from voicebot.records.vault.objects import DiskObjects
from voicebot.telephony.leg import Channel, Direction, LegInfo


async def _with_a_recording(data: Path, key: str) -> None:
    keys, started = RecordingKeys.parse(key), datetime(2026, 11, 21, tzinfo=UTC)
    tape = Tape(data / "tapes" / "2026-11-21" / "c1.tape", keys)
    tape.write(0, b"\x10" * 8000, b"\x10" * 8000)
    tape.close()
    async with Store.open(data, on_failure=print) as store:
        store.journal.begin_call("c1", LegInfo("c1", Channel.SIP, Direction.INBOUND, "", ""), started, "f")
        store.journal.end_call("c1", started, Outcome.COMPLETED, "x")
        plan = FinishingPlan(data / "tapes", DiskObjects(data / "recordings"), keys)
        finisher = Finisher(plan, store.recordings, written=store.journal.flush, on_failure=print)
        async with finisher.working():
            await finisher.idle()


def test_keys_are_made_used_and_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["recordings", "new-key"]) == 0
    old, new = capsys.readouterr().out.strip(), new_key()
    asyncio.run(_with_a_recording(tmp_path / "data", old))
    data = ["--data", str(tmp_path / "data")]

    monkeypatch.setenv("VOICEBOT_RECORDING_KEY", old)
    assert main(["recordings", "verify", *data]) == 0
    assert capsys.readouterr().out == "1 sound, 0 not\n"

    monkeypatch.setenv("VOICEBOT_RECORDING_KEY", new)
    assert main(["recordings", "verify", *data]) == 1
    assert "VOICEBOT_RECORDING_OLD_KEYS" in capsys.readouterr().out
    monkeypatch.setenv("VOICEBOT_RECORDING_OLD_KEYS", old)
    assert main(["recordings", "rotate-keys", *data]) == 0
    assert capsys.readouterr().out == "1 sealed anew, 0 not\n"

    monkeypatch.delenv("VOICEBOT_RECORDING_OLD_KEYS")
    assert main(["recordings", "verify", *data]) == 0
