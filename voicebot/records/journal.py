"""Takes down what happens on calls without holding them up: entries are queued, and a task writes them in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, assert_never

import structlog
from pydantic import TypeAdapter
from sqlalchemy import Table, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.records.access.sight import SharedWith
from voicebot.records.audit import AuditEntry, Head, append, write_head
from voicebot.records.database import Database
from voicebot.records.record import Consent, Outcome, RecordingPause, TurnRecord
from voicebot.records.redacting import Numbered, TurnRedactor
from voicebot.records.tables import CALL_SHARES, CALLS, RECORDINGS, TURNS

log = structlog.get_logger(__name__)

#: Entries waiting for the database: some hours of forty calls.
_WAITING_ENTRIES = 50_000
#: At most this many go into one transaction.
_BATCH = 500
#: A transaction costs three times what a turn in it does, so turns of all calls share one. Audio is written as often.
_GATHER_S = 0.5
_EXPORT_EVERY = timedelta(minutes=1)
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 5.0
#: Calls whose turns are counted, so that an entry after a call's end still gets the next number.
_COUNTED_CALLS = 10_000

_TURN = TypeAdapter(TurnRecord)
_PAUSE = TypeAdapter(RecordingPause)


class JournalFailure(StrEnum):
    """`RETRIED`: the database did not take a batch yet. `DROPPED`: an entry is lost."""

    RETRIED = "retried"
    DROPPED = "dropped"


class Party(Protocol):
    """What a call's first entry says of the line; a leg's info has it all."""

    @property
    def channel(self) -> str: ...
    @property
    def direction(self) -> str: ...
    @property
    def caller(self) -> str: ...
    @property
    def called(self) -> str: ...
    @property
    def carrier_call_id(self) -> str: ...


class _Kind(StrEnum):
    CALL_BEGAN = "call_began"
    TURN = "turn"
    TURN_CHANGED = "turn_changed"
    RECORDING = "recording"
    RECORDING_CHANGED = "recording_changed"
    GOAL = "goal"
    DICTATION = "dictation"
    CALL_ENDED = "call_ended"
    SHARED = "shared"
    AUDITED = "audited"


#: What may be half a second late, of the audit what a call did; the rest is written at once, and takes these along.
_MAY_WAIT = frozenset({_Kind.TURN, _Kind.TURN_CHANGED, _Kind.GOAL, _Kind.AUDITED})


@dataclass(frozen=True, slots=True)
class _Row:
    kind: _Kind
    call_id: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Audited:
    entry: AuditEntry
    call_id: str = ""
    kind: _Kind = _Kind.AUDITED


_Entry = _Row | _Audited


class Journal:
    """Writes to one database. Methods that take something down return at once and never raise for the database's sake.

    They belong to one event loop. `on_failure` is called for every batch that must be tried again and for every entry
    that is lost: because the database would not have it, or because so many wait that memory must be kept.

    Decisions and ends of calls are audited as they are taken down, others by `audit`. `on_head` gets each new head of
    the chain, which goes to the file `heads` and to the log, at most once a minute and at the end.
    """

    def __init__(
        self,
        database: Database,
        *,
        instance: str,
        on_failure: Callable[[JournalFailure], None],
        heads: Path,
        now: Callable[[], datetime],
        on_head: Callable[[Head], None] = lambda _: None,
        last_writes_s: float = 10.0,
    ) -> None:
        self._database = database
        self._instance = instance
        self._on_failure = on_failure
        self._on_head = on_head
        self._entries: asyncio.Queue[_Entry] = asyncio.Queue(_WAITING_ENTRIES)
        self._hurry = asyncio.Event()
        self._flushing = 0
        self._turns: OrderedDict[str, TurnRedactor] = OrderedDict()
        self._last_writes_s = last_writes_s
        self._now = now
        self._heads = heads
        self._head: Head | None = None  # not yet exported
        self._next_export = now()

    def begin_call(self, call_id: str, info: Party, started_at: datetime, flow_version: str) -> None:
        self._add(
            _Kind.CALL_BEGAN,
            call_id,
            {
                "id": call_id,
                "instance": self._instance,
                "channel": str(info.channel),
                "direction": str(info.direction),
                "caller": info.caller,
                "called": info.called,
                "carrier_call_id": info.carrier_call_id,
                "started_at": started_at,
                "goal_reached": False,
                "flow_version": flow_version,
            },
        )

    def add_turn(self, call_id: str, turn: TurnRecord) -> None:
        """Add a turn without what must not be kept; turns are numbered in the order in which they are added."""
        redactor = self._turns.pop(call_id, None) or TurnRedactor()
        self._turns[call_id] = redactor
        if len(self._turns) > _COUNTED_CALLS:
            self._turns.popitem(last=False)
        *earlier, now = redactor.add(turn)
        self._write_whole(call_id, earlier)
        values: dict[str, Any] = _TURN.dump_python(now.turn, mode="json")
        self._add(_Kind.TURN, call_id, {"call_id": call_id, "number": now.number, **values})
        if now.turn.decision is not None:
            content = {name: values[name] for name in ("decision", "intent", "confidence", "slots")}
            self._audit_call(call_id, "decided", {"turn": now.number, **content})

    def _write_whole(self, call_id: str, turns: Sequence[Numbered]) -> None:
        """Write turns again of which something was kept back."""
        for each in turns:
            values = {"call_id": call_id, "number": each.number, **_TURN.dump_python(each.turn, mode="json")}
            self._add(_Kind.TURN_CHANGED, call_id, values)

    def note_recording(self, call_id: str, path: str, *, rate_hz: int = 8000) -> None:
        """Note where the call's recording lies, `path` being relative to the data folder."""
        self._add(_Kind.RECORDING, call_id, {"call_id": call_id, "path": path, "rate_hz": rate_hz})

    def share_call(self, call_id: str, shared_with: SharedWith, name: str) -> None:
        """Note that a call was given to a user or a queue: from now on they may see it too."""
        self._add(_Kind.SHARED, call_id, {"call_id": call_id, "shared_with": shared_with.value, "name": name})

    def note_pauses(self, call_id: str, pauses: Sequence[RecordingPause]) -> None:
        """Note all pauses of the call's recording so far."""
        values = {"pauses": [_PAUSE.dump_python(pause, mode="json") for pause in pauses]}
        self._add(_Kind.RECORDING_CHANGED, call_id, values)

    def note_consent(self, call_id: str, consent: Consent, at_ms: int) -> None:
        """Note how the caller stands to being recorded, and since when; the last word stands, the audit has all."""
        self._add(_Kind.RECORDING_CHANGED, call_id, {"consent": consent.value, "consent_ms": at_ms})
        self._audit_call(call_id, "recording_consent", {"consent": consent.value, "at_ms": at_ms})

    def set_goal(self, call_id: str, goal: str, *, reached: bool) -> None:
        """Note what the caller came for, and whether it is done; the last goal of a call stands."""
        self._add(_Kind.GOAL, call_id, {"goal": goal, "goal_reached": reached})

    def note_dictation(self, call_id: str, note: str) -> None:
        """Note how the talk with an agent is written down; the last note stands."""
        self._add(_Kind.DICTATION, call_id, {"dictation": note})

    def end_call(self, call_id: str, ended_at: datetime, outcome: Outcome, cause: str) -> None:
        """Close the call; the first end stands."""
        if redactor := self._turns.get(call_id):
            self._write_whole(call_id, redactor.end())
        self._add(_Kind.CALL_ENDED, call_id, {"ended_at": ended_at, "outcome": outcome.value, "cause": cause})
        self._audit_call(call_id, "call_ended", {"outcome": outcome.value, "cause": cause})

    def audit(self, entry: AuditEntry) -> None:
        """Add an entry to the audit trail; `flush` waits until it is there."""
        self._put(_Audited(entry))

    async def flush(self) -> None:
        """Return once everything taken down so far is written or given up."""
        self._flushing += 1
        self._hurry.set()
        try:
            await self._entries.join()
        finally:
            self._flushing -= 1

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write while the context lasts and what is waiting at its end, as far as the database takes it in time."""
        writer = asyncio.create_task(self._write(), name="journal writer")
        try:
            yield
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._last_writes_s):
                    await self.flush()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await self._export_head()
            self._count_lost()

    def _count_lost(self) -> None:
        if lost := self._entries.qsize():
            log.error("journal entries lost at the end", entries=lost)
            for _ in range(lost):
                self._on_failure(JournalFailure.DROPPED)

    def _audit_call(self, call_id: str, action: str, content: Mapping[str, Any]) -> None:
        entry = AuditEntry(self._now(), "bot", action, f"call:{call_id}", content)
        self._put(_Audited(entry, call_id))

    def _add(self, kind: _Kind, call_id: str, values: Mapping[str, Any]) -> None:
        # PostgreSQL keeps no NUL in a text; whoever sends one must not get out of the records by it.
        kept = {
            name: value.replace("\0", "\ufffd") if isinstance(value, str) else value for name, value in values.items()
        }
        self._put(_Row(kind, call_id, kept))

    def _put(self, entry: _Entry) -> None:
        try:
            self._entries.put_nowait(entry)
        except asyncio.QueueFull:
            self._on_failure(JournalFailure.DROPPED)
            log.error("journal entry lost", reason="too many are waiting", kind=entry.kind.value, call_id=entry.call_id)
        # What people did is in the audit by the time that they have their answer: it belongs to no call.
        if entry.kind not in _MAY_WAIT or not entry.call_id:
            self._hurry.set()

    async def _export_head(self) -> None:
        head, self._head = self._head, None
        if head is None:
            return
        now = self._now()
        self._next_export = now + _EXPORT_EVERY
        log.info("audit head", number=head.number, hash=head.hash)
        try:
            await asyncio.to_thread(write_head, self._heads, head, now)
        except OSError as error:
            log.error("audit head not exported", error=error.strerror)

    async def _write(self) -> None:
        while True:
            batch = [await self._entries.get()]
            try:
                await self._gather()
                while len(batch) < _BATCH and not self._entries.empty():
                    batch.append(self._entries.get_nowait())
                if self._entries.empty():
                    self._hurry.clear()
                await self._write_batch(batch)
            except asyncio.CancelledError:
                for _ in batch:
                    self._on_failure(JournalFailure.DROPPED)
                log.error("journal entries lost at the end", entries=len(batch))
                raise
            finally:
                for _ in batch:
                    self._entries.task_done()

    async def _gather(self) -> None:
        """Let more entries come, unless there are enough, one must not wait, or somebody waits for all."""
        if self._flushing or self._entries.qsize() >= _BATCH - 1:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_S):
                await self._hurry.wait()

    async def _write_batch(self, batch: Sequence[_Entry]) -> None:
        """Write all entries, trying for as long as the database is away; entries it will never take are dropped."""
        retry_s = _FIRST_RETRY_S
        failing = False
        while True:
            try:
                async with self._database.begin() as connection:
                    head = await _insert(connection, batch)
            except Exception as error:  # noqa: BLE001  # whatever it is, the entries that follow must still be written
                if _is_hopeless(error):
                    if len(batch) == 1:
                        self._on_failure(JournalFailure.DROPPED)
                        log.error("journal entry lost", reason=type(error).__name__, kind=batch[0].kind.value)
                        return
                    for entry in batch:
                        await self._write_batch([entry])
                    return
                self._on_failure(JournalFailure.RETRIED)
                if not failing:
                    failing = True
                    log.error("journal waits for its database", error=_name(error))
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                if failing:
                    log.info("journal writes again")
                if head is not None:
                    self._head = head
                    self._on_head(head)
                if self._now() >= self._next_export:
                    await self._export_head()
                return


def _is_hopeless(error: Exception) -> bool:
    """Tell an entry that the database will never take from a database that is away, locked or full."""
    if isinstance(error, IntegrityError | DataError | ProgrammingError):
        return True
    return not isinstance(error, DBAPIError | OSError | TimeoutError)


def _name(error: Exception) -> str:
    """Name an error without its text, which may quote what was to be written."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlite_errorname", None) or type(original).__name__


async def _insert(connection: AsyncConnection, entries: Sequence[_Entry]) -> Head | None:
    """Write entries and return the audit trail's new head if there were any for it."""
    rows = [entry for entry in entries if isinstance(entry, _Row)]
    for kind, group in groupby(rows, key=lambda row: row.kind):
        alike = list(group)
        match kind:
            case _Kind.CALL_BEGAN:
                await _insert_new(connection, CALLS, alike)
            case _Kind.TURN:
                await _insert_new(connection, TURNS, alike)
            case _Kind.TURN_CHANGED:
                for entry in alike:
                    it = (TURNS.c.call_id == entry.call_id) & (TURNS.c.number == entry.values["number"])
                    await connection.execute(update(TURNS).where(it).values(entry.values))
            case _Kind.RECORDING:
                await _insert_new(connection, RECORDINGS, alike)
            case _Kind.RECORDING_CHANGED:
                for entry in alike:
                    its = RECORDINGS.c.call_id == entry.call_id
                    await connection.execute(update(RECORDINGS).where(its).values(entry.values))
            case _Kind.GOAL | _Kind.DICTATION:
                for entry in alike:
                    await connection.execute(update(CALLS).where(CALLS.c.id == entry.call_id).values(entry.values))
            case _Kind.CALL_ENDED:
                for entry in alike:
                    still_open = (CALLS.c.id == entry.call_id) & CALLS.c.ended_at.is_(None)
                    await connection.execute(update(CALLS).where(still_open).values(entry.values))
            case _Kind.SHARED:
                await _insert_new(connection, CALL_SHARES, alike)
            case _Kind.AUDITED:
                pass  # no row of its own; see below
            case _:
                assert_never(kind)
    audited = [entry.entry for entry in entries if isinstance(entry, _Audited)]
    return await append(connection, audited) if audited else None


async def _insert_new(connection: AsyncConnection, table: Table, rows: Sequence[_Row]) -> None:
    """Insert what is not there yet: a batch whose commit was not confirmed is written again."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    await connection.execute(insert(table).on_conflict_do_nothing(), [dict(row.values) for row in rows])
