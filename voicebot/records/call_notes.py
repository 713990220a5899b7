"""What the person who took a call writes down about it: how it came out, and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import and_, insert, select, update

from voicebot.records.audit import AuditEntry, append
from voicebot.records.database import Database
from voicebot.records.tables import CALL_NOTES
from voicebot.redaction import redact

MAX_NOTE_CHARS = 4_000


class Disposition(StrEnum):
    """How a call came out, in the words of who took it."""

    SOLVED = "solved"
    FOLLOW_UP = "follow_up"
    CALLBACK_PROMISED = "callback_promised"
    PASSED_ON = "passed_on"
    WRONG_QUEUE = "wrong_queue"
    CALLER_GONE = "caller_gone"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class CallNote:
    """One agent's notes on one call; a call that was passed on has several. `text` may be empty."""

    call_id: str
    agent_id: str
    disposition: Disposition | None
    text: str
    saved_at: datetime


class CallNotes:
    """Keeps notes beside the calls; `now` dates them."""

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def put(self, call_id: str, agent_id: str, *, disposition: Disposition | None, text: str) -> CallNote:
        """Keep an agent's notes on a call in the place of earlier ones; numbers of cards and the like are taken out.

        The audit trail tells that notes were written and the disposition, not what they say.
        """
        note = CallNote(call_id, agent_id, disposition, redact(text[:MAX_NOTE_CHARS].replace("\0", "")), self._now())
        values = {"disposition": disposition and disposition.value, "text": note.text, "saved_at": note.saved_at}
        mine = and_(CALL_NOTES.c.call_id == call_id, CALL_NOTES.c.agent_id == agent_id)
        async with self._database.begin() as connection:
            if not (await connection.execute(update(CALL_NOTES).where(mine).values(values))).rowcount:
                key = {"call_id": call_id, "agent_id": agent_id}
                await connection.execute(insert(CALL_NOTES).values(key | values))
            content = {"disposition": values["disposition"], "chars": len(note.text)}
            await append(connection, [AuditEntry(note.saved_at, agent_id, "noted", f"call:{call_id}", content)])
        return note

    async def list(self, call_id: str) -> Sequence[CallNote]:
        """Return the notes on a call, the earliest first."""
        query = select(CALL_NOTES).where(CALL_NOTES.c.call_id == call_id).order_by(CALL_NOTES.c.saved_at)
        async with self._database.connect() as connection:
            return [
                CallNote(
                    row.call_id,
                    row.agent_id,
                    Disposition(row.disposition) if row.disposition else None,
                    row.text,
                    row.saved_at,
                )
                for row in await connection.execute(query)
            ]
