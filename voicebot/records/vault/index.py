"""What the database knows of recordings: where each lies, what state it is in, and what must not be heard in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.records.database import Database
from voicebot.records.overheard import Stretch
from voicebot.records.record import (
    HEARD_LATE,
    SPOTTED,
    Consent,
    RecordingPause,
    RecordingRecord,
    RecordingState,
    Speaker,
    TurnRecord,
    UnheardSpeech,
)
from voicebot.records.tables import CALLS, QUEUE_ENTRIES, RECORDINGS, TURNS
from voicebot.records.unheard import Passage, Searched
from voicebot.records.untold import HeldTurn, untold
from voicebot.records.vault.late_turns import late_turns

#: The cause of a call that a dead server left open; its end is not known until its recording has been read.
SERVER_DIED = "server_died"
_PAGE = 500
_KEYS = "keys"
_TURN = TypeAdapter(TurnRecord)
#: Turns that finishing a recording adds to the record; when it is finished again, they are made again.
_ADDED = TURNS.c.decision.startswith(HEARD_LATE)
#: Of a call, those that were written while it went on.
_WRITTEN = TURNS.c.decision.is_(None) | ~_ADDED


@dataclass(frozen=True, slots=True)
class SilentSpan:
    """A stretch of the recording that must not be heard; what the bot says may echo in the caller's lane too."""

    start_ms: int
    end_ms: int
    bot_too: bool


@dataclass(frozen=True, slots=True)
class FinishedRecording:
    """What is known of a recording once it is sealed and stored.

    `stretches` are those that were not written down, of which the `unheard` ones are silence.
    """

    path: str
    codec: str
    stored_bytes: int
    sha256: str
    key_id: str
    duration_ms: int
    unheard: tuple[UnheardSpeech, ...] = ()
    stretches: tuple[Stretch, ...] = ()


class RecordingIndex:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, call_id: str) -> RecordingRecord | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(RECORDINGS).where(RECORDINGS.c.call_id == call_id))).first()
        return recording_of(row) if row else None

    async def ready(self) -> AsyncIterator[tuple[str, RecordingRecord]]:
        """Yield call id and recording of all that can be played, in the order of their ids."""
        after = ""
        while True:
            query = (
                select(RECORDINGS)
                .where(RECORDINGS.c.call_id > after, RECORDINGS.c.state == RecordingState.READY.value)
                .order_by(RECORDINGS.c.call_id)
                .limit(_PAGE)
            )
            async with self._database.connect() as connection:
                rows = (await connection.execute(query)).all()
            if not rows:
                return
            for row in rows:
                yield row.call_id, recording_of(row)
            after = rows[-1].call_id

    async def silences(self, call_id: str) -> list[SilentSpan]:
        """Return where the call's turns say that something was taken out, and where nobody heard what was said."""
        names = ("speaker", "at_ms", "heard_ms", "text", "prompt", "redactions", "engine")
        columns = (TURNS.c[name] for name in names)
        async with self._database.connect() as connection:
            turns = (await connection.execute(select(*columns).where(TURNS.c.call_id == call_id, _WRITTEN))).all()
        # What was keyed is no speech: what the caller said meanwhile no turn holds.
        held = [HeldTurn(Speaker(turn.speaker), *turn[1:5]) for turn in turns if turn.engine != _KEYS]
        return [
            *(
                SilentSpan(redaction["start_ms"], redaction["end_ms"], bot_too=turn.speaker != Speaker.CALLER)
                for turn in turns
                for redaction in turn.redactions
            ),
            *(SilentSpan(start_ms, end_ms, bot_too=False) for start_ms, end_ms in untold(held)),
        ]

    async def keyed(self, call_id: str) -> list[tuple[int, int]]:
        """Return when the caller entered keys that stand in the record, from and until in milliseconds."""
        names = ("at_ms", "heard_ms", "secret", "redactions")
        its = (TURNS.c.call_id == call_id) & (TURNS.c.engine == _KEYS) & _WRITTEN
        async with self._database.connect() as connection:
            turns = (await connection.execute(select(*(TURNS.c[name] for name in names)).where(its))).all()
        return [(turn.at_ms, turn.at_ms + turn.heard_ms) for turn in turns if not turn.secret and not turn.redactions]

    async def searched(self, call_id: str) -> Searched:
        """Return what of the call was written down, and from when on an agent was heard."""
        names = ("speaker", "at_ms", "heard_ms", "text", "words", "secret", "engine", "decision")
        query = select(*(TURNS.c[name] for name in names)).where(TURNS.c.call_id == call_id, _WRITTEN)
        joined = select(func.min(QUEUE_ENTRIES.c.joined_at)).where(QUEUE_ENTRIES.c.call_id == call_id)
        async with self._database.connect() as connection:
            turns = (await connection.execute(query)).all()
            call = (
                await connection.execute(select(CALLS.c.started_at, CALLS.c.dictation).where(CALLS.c.id == call_id))
            ).first()
            joined_at = await connection.scalar(joined)
        passages = tuple(
            Passage(
                Speaker(turn.speaker),
                turn.at_ms,
                # Engines lose the ends of long answers: behind the last word nothing was written down.
                min([turn.heard_ms, *(max(0, word["end_ms"] - turn.at_ms) for word in turn.words[-1:])]),
                # Of a secret turn nothing was recorded, and what was keyed is no speech.
                bool(turn.text) and turn.engine != _KEYS,
                tuple((word["start_ms"], word["end_ms"]) for word in turn.words),
                spotted=bool(turn.decision) and turn.decision.startswith(SPOTTED),
            )
            for turn in turns
        )
        begins = [turn.at_ms for turn in passages if turn.speaker is Speaker.AGENT]
        if call is not None and joined_at is not None:
            begins.append(max(0, round((joined_at - call.started_at).total_seconds() * 1000)))
        if call is not None and call.dictation is not None and not begins:
            begins.append(max((turn.at_ms for turn in passages if turn.speaker is Speaker.BOT), default=0))
        return Searched(passages, min(begins, default=None))

    async def finished(self, call_id: str, recording: FinishedRecording) -> bool:
        """Note that the recording can be played; False when it was deleted meanwhile, and nothing is noted.

        A call that a dead server left open lasted as long as its recording, and has what was said last in its record.
        """
        values = {
            "path": recording.path,
            "state": RecordingState.READY.value,
            "codec": recording.codec,
            "stored_bytes": recording.stored_bytes,
            "sha256": recording.sha256,
            "key_id": recording.key_id,
            "duration_ms": recording.duration_ms,
            "unheard": [asdict(span) for span in recording.unheard],
        }
        dialect = postgresql if self._database.is_postgresql else sqlite
        row = dialect.insert(RECORDINGS).values(call_id=call_id, rate_hz=8000, **values)
        died = (CALLS.c.id == call_id) & (CALLS.c.cause == SERVER_DIED)
        kept = (CALLS.c.id == call_id) & CALLS.c.audio_deleted_at.is_(None)
        async with self._database.begin() as connection:
            if await connection.scalar(select(CALLS.c.id).where(kept).with_for_update()) is None:
                return False
            noted = await connection.execute(
                row.on_conflict_do_update(
                    index_elements=[RECORDINGS.c.call_id],
                    set_=values,
                    where=RECORDINGS.c.state != RecordingState.DELETED.value,
                )
            )
            if not noted.rowcount:
                return False
            call = (
                await connection.execute(select(CALLS.c.started_at, CALLS.c.transcript_deleted_at).where(died))
            ).first()
            if call is not None:
                ended_at = call.started_at + timedelta(milliseconds=recording.duration_ms)
                await connection.execute(
                    update(CALLS).where(died, CALLS.c.ended_at < ended_at).values(ended_at=ended_at)
                )
                # A tape may have waited for its key until its call's words were to go.
                if call.transcript_deleted_at is None:
                    await _add_late_turns(connection, call_id, recording.stretches)
            return True

    async def lost(self, call_id: str) -> bool:
        """Note that there is nothing to play; False when it was deleted meanwhile, and nothing is noted."""
        here = (RECORDINGS.c.call_id == call_id) & (RECORDINGS.c.state != RecordingState.DELETED.value)
        async with self._database.begin() as connection:
            noted = await connection.execute(update(RECORDINGS).where(here).values(state=RecordingState.LOST.value))
            return bool(noted.rowcount)

    async def deleted(self, call_id: str) -> None:
        """Note that it is to be no more, for whoever finishes it meanwhile."""
        await self._set(call_id, {"state": RecordingState.DELETED.value})

    async def resealed(self, call_id: str, *, sha256: str, key_id: str, stored_bytes: int) -> None:
        """Note that the same recording lies there under another key."""
        await self._set(call_id, {"sha256": sha256, "key_id": key_id, "stored_bytes": stored_bytes})

    async def _set(self, call_id: str, values: dict[str, Any]) -> None:
        async with self._database.begin() as connection:
            await connection.execute(update(RECORDINGS).where(RECORDINGS.c.call_id == call_id).values(values))


async def _add_late_turns(connection: AsyncConnection, call_id: str, stretches: Sequence[Stretch]) -> None:
    """Add what was being said at the end of a call that nobody ended."""
    of_call = TURNS.c.call_id == call_id
    await connection.execute(delete(TURNS).where(of_call, _ADDED))
    by_people = TURNS.c.speaker != Speaker.BOT.value
    last_ms = await connection.scalar(select(func.max(TURNS.c.at_ms + TURNS.c.heard_ms)).where(of_call, by_people))
    number = await connection.scalar(select(func.max(TURNS.c.number)).where(of_call))
    rows = [
        {"call_id": call_id, "number": place, **_TURN.dump_python(turn, mode="json")}
        for place, turn in enumerate(late_turns(stretches, last_ms or 0), start=0 if number is None else number + 1)
    ]
    if rows:
        await connection.execute(insert(TURNS), rows)


def recording_of(row: Row[Any]) -> RecordingRecord:
    """Return the recording in a row that has all columns of the table."""
    return RecordingRecord(
        path=row.path,
        rate_hz=row.rate_hz,
        state=RecordingState(row.state),
        codec=row.codec,
        stored_bytes=row.stored_bytes,
        sha256=row.sha256,
        key_id=row.key_id,
        duration_ms=row.duration_ms,
        consent=Consent(row.consent) if row.consent else None,
        consent_ms=row.consent_ms,
        pauses=tuple(RecordingPause(**pause) for pause in row.pauses),
        unheard=tuple(UnheardSpeech(**span) for span in row.unheard),
    )
