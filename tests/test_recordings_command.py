"""`voicebot recordings`, as an operator types it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voicebot.cli import main
from voicebot.dialog.events import SlotValue
from voicebot.records.database import Database, locate
from voicebot.records.deeds import Deeds
from voicebot.records.facts import SealedFacts
from voicebot.records.record import Outcome
from voicebot.records.store import Store
from voicebot.records.tape import Tape
from voicebot.records.vault.finishing import Finisher, FinishingPlan
from voicebot.records.vault.keys import RecordingKeys, new_key
from voicebot.records.vault.objects import DiskObjects
from voicebot.telephony.leg import Channel, Direction, LegInfo
from voicebot.work.customers import Customers
from voicebot.work.plan import Plan


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


async def _with_a_customer(data: Path, key: str) -> None:
    async with Store.open(data, on_failure=print) as store:
        deeds = Deeds(store.database, RecordingKeys.parse(key), now=lambda: datetime(2026, 11, 21, tzinfo=UTC))
        for call_id, account in (("c1", "402938"), ("c2", "")):
            store.journal.begin_call(
                call_id,
                LegInfo(call_id, Channel.SIP, Direction.INBOUND, "", ""),
                datetime(2026, 11, 21, tzinfo=UTC),
                "f",
            )
            await store.journal.flush()
            plan = Plan(customer="account", proven_by="proven")
            slots: dict[str, SlotValue] = {"account": account, "proven": bool(account), "reason": "a chair"}
            await Customers(SealedFacts(store.database), RecordingKeys.parse(key)).keep(call_id, plan, slots)
            await deeds.note_summary(call_id, "Wanted a chair.")
            await deeds.note(f"{call_id}-deed", call_id, "chairs.buy", '{"account_number": ["str", "40293817"]}', "{}")


async def _known_by(data: Path, key: str) -> tuple[list[str], dict[str, str], str]:
    """Return the calls of the customer, what is known for the work after the other one, and whose chair it was.

    All with this key alone.
    """
    async with Database.connected(locate(data)) as database:
        deeds = Deeds(database, RecordingKeys.parse(key), now=lambda: datetime(2026, 11, 21, tzinfo=UTC))
        customers = Customers(SealedFacts(database), RecordingKeys.parse(key))
        past = [call.call_id for call in await deeds.past(customers.hashes("402938"))]
        deed = await deeds.deed("c1-deed")
        assert deed is not None
        return past, await customers.facts("c2"), deed.arguments


@pytest.mark.sqlite
def test_customers_are_known_by_the_new_key_alone_once_keys_were_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    old, new, data = new_key(), new_key(), tmp_path / "data"
    asyncio.run(_with_a_customer(data, old))
    monkeypatch.setenv("VOICEBOT_RECORDING_KEY", new)
    rotate = ["recordings", "rotate-keys", "--data", str(data)]
    capsys.readouterr()
    assert main(rotate) == 1
    assert "c1: what it left for the work after it is sealed with key" in capsys.readouterr().out
    monkeypatch.setenv("VOICEBOT_RECORDING_OLD_KEYS", old)
    for left in (4, 0):
        assert main(rotate) == 0
        assert capsys.readouterr().out == f"{left} sealed anew, 0 not\n"
    calls, facts, bought = asyncio.run(_known_by(data, new))
    assert calls == ["c1"]
    assert facts["reason"] == "a chair"
    assert "40293817" in bought
