"""A call's tape, its record, and what finishes it: what the tests of recordings begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from voicebot.records.record import Outcome, TurnRecord
from voicebot.records.store import Store
from voicebot.records.tape import Tape
from voicebot.records.vault.finishing import Finisher, FinishingPlan
from voicebot.records.vault.keys import RecordingKey, RecordingKeys
from voicebot.records.vault.objects import DiskObjects, Objects
from voicebot.records.vault.vault import Vault
from voicebot.telephony.leg import Channel, Direction, LegInfo

START = datetime(2026, 11, 21, 9, tzinfo=UTC)
KEYS = RecordingKeys(RecordingKey.of(b"k" * 32))
LOUD, SILENT = 0x10, 0xFF
DAY = "2026-11-21"


def write_tape(data: Path, call_id: str = "c1", seconds: int = 10) -> Path:
    path = data / "tapes" / DAY / f"{call_id}.tape"
    tape = Tape(path, KEYS)
    for second in range(seconds):
        tape.write(second * 8000, bytes([LOUD]) * 8000, bytes([LOUD + 1]) * 8000)
    tape.close()
    return path


def plan_of(data: Path, objects: Objects | None = None) -> FinishingPlan:
    return FinishingPlan(data / "tapes", objects or DiskObjects(data / "recordings"), KEYS)


def note_call(store: Store, call_id: str = "c1", *turns: TurnRecord) -> None:
    store.journal.begin_call(
        call_id, LegInfo(call_id, Channel.TWILIO, Direction.INBOUND, "+15550100", "+15550199"), START, "flows-1"
    )
    store.journal.note_recording(call_id, f"{DAY}/{call_id}")
    for turn in turns:
        store.journal.add_turn(call_id, turn)
    store.journal.end_call(call_id, START, Outcome.COMPLETED, "we_hung_up")


class Failures(list[str]):
    def __call__(self, kind: str) -> None:
        self.append(kind)


@asynccontextmanager
async def finishing(plan: FinishingPlan, store: Store, failures: Failures) -> AsyncIterator[Finisher]:
    finisher = Finisher(plan, store.recordings, written=store.journal.flush, on_failure=failures)
    async with finisher.working():
        yield finisher


def vault_of(plan: FinishingPlan, store: Store, keys: RecordingKeys = KEYS) -> Vault:
    return Vault(plan.objects, keys, store.recordings)
