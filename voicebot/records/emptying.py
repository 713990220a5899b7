"""What goes with a call, or with what was said in it: the rows of every table, and what is told of them afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Row, Table, and_, case, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.records.audit import DELETED
from voicebot.records.tables import (
    AFTER_CALLS,
    APPROVALS,
    AUDIT,
    AUDIT_CONTENTS,
    CALL_NOTES,
    CALLS,
    CONTEXTS,
    CONTINUATIONS,
    DEEDS,
    FOLLOW_UPS,
    LEGAL_HOLDS,
    MESSAGES,
    METADATA,
    TURNS,
)

#: Whatever names a call goes with it: turns, contexts, callbacks, and what comes after them; children first.
_OF_CALLS = [
    table for table in reversed(METADATA.sorted_tables) if "call_id" in table.c and table.name != LEGAL_HOLDS.name
]
#: What is left of a turn without its words: who spoke when, for how long, with what intent.
_NO_WORDS: Mapping[str, Any] = {
    "text": "",
    "heard_text": None,
    "decision": None,
    "slots": {},
    "alternatives": [],
    "words": [],
    "signals": {},
    "intents": [],
}
#: What was read from the words and written elsewhere. A summary stays not null: a call without one is summed up anew.
_SAID_ELSEWHERE: Sequence[tuple[Table, Mapping[str, Any]]] = (
    (AFTER_CALLS, {"summary": case((AFTER_CALLS.c.summary.is_not(None), ""), else_=None), "facts": None}),
    (DEEDS, {"arguments": "{}", "result": "{}", "personal": None}),
    (APPROVALS, {"arguments": "{}", "personal": None}),
    (FOLLOW_UPS, {"text": ""}),
    (MESSAGES, {"text": ""}),
    (CALL_NOTES, {"text": ""}),
)


async def described(connection: AsyncConnection, call: Row[Any], recording: str | None) -> dict[str, Any]:
    """Say what a call held without saying it: digests, counts and times."""
    turns = (await connection.execute(select(TURNS).where(TURNS.c.call_id == call.id).order_by(TURNS.c.number))).all()
    columns = [call[number] for number, _ in enumerate(CALLS.c)]
    record = json.dumps([columns, [list(turn) for turn in turns]], default=str, sort_keys=True)
    return {
        "call_id": call.id,
        "started_at": call.started_at.isoformat(),
        "turns": len(turns),
        "record_sha256": hashlib.sha256(record.encode()).hexdigest(),
        "recording_sha256": recording,
    }


async def delete_calls(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Delete calls and whatever names them, but for their entries in the audit trail."""
    for table in _OF_CALLS:
        await connection.execute(delete(table).where(table.c.call_id.in_(ids)))
    await connection.execute(delete(CALLS).where(CALLS.c.id.in_(ids)))


async def delete_words(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Delete what was said in calls, and what was read from it, and leave that they were."""
    await connection.execute(update(TURNS).where(TURNS.c.call_id.in_(ids)).values(_NO_WORDS))
    await connection.execute(delete(CONTEXTS).where(CONTEXTS.c.call_id.in_(ids)))
    for table, emptied in _SAID_ELSEWHERE:
        await connection.execute(update(table).where(table.c.call_id.in_(ids)).values(emptied))


async def delete_continuations(connection: AsyncConnection, callers: Collection[str], calls: Collection[str]) -> int:
    """Delete what `callers` could go on with, and the written conversations `calls`; return how many there were.

    A number under a legal hold keeps its own.
    """
    held = select(LEGAL_HOLDS.c.caller).where(LEGAL_HOLDS.c.caller.is_not(None))
    identity = CONTINUATIONS.c.content["identity"].as_string()
    gone = await connection.execute(
        delete(CONTINUATIONS).where(
            or_(
                and_(
                    CONTINUATIONS.c.kind == "customer",
                    CONTINUATIONS.c.key.in_(callers),
                    CONTINUATIONS.c.key.not_in(held),
                ),
                and_(CONTINUATIONS.c.kind == "chat", identity.in_(callers), identity.not_in(held)),
                and_(CONTINUATIONS.c.kind == "chat", CONTINUATIONS.c.key.in_(calls)),
            )
        )
    )
    return gone.rowcount


async def audited(connection: AsyncConnection, calls: Sequence[str]) -> list[int]:
    """Return the numbers of the entries of the audit trail that are about calls, in order."""
    subjects = [f"call:{call_id}" for call_id in calls]
    return sorted(await connection.scalars(select(AUDIT.c.number).where(AUDIT.c.subject.in_(subjects))))


async def audited_elsewhere(connection: AsyncConnection, callers: Collection[str]) -> list[int]:
    """Return the numbers of entries that name one of `callers` without being about a call, such as exports and holds.

    Those of whom a call is left are passed over.
    """
    left = set(await connection.scalars(select(CALLS.c.caller).where(CALLS.c.caller.in_(callers)).distinct()))
    if not (gone := set(callers) - left):
        return []
    query = (
        select(AUDIT.c.number)
        .join(AUDIT_CONTENTS, AUDIT_CONTENTS.c.number == AUDIT.c.number)
        .where(AUDIT.c.subject.not_like("call:%"), AUDIT.c.action != DELETED)
        # As a whole value of the content, which is JSON.
        .where(or_(*(AUDIT_CONTENTS.c.content.contains(json.dumps(caller), autoescape=True) for caller in gone)))
    )
    return sorted(await connection.scalars(query))


async def forget_contents(connection: AsyncConnection, numbers: Sequence[int]) -> None:
    """Delete what entries of the audit trail say; their digests stay."""
    await connection.execute(delete(AUDIT_CONTENTS).where(AUDIT_CONTENTS.c.number.in_(numbers)))


def ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Write sorted numbers as stretches, first and last of each."""
    stretches = []
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        stretches.append([found[0], found[-1]])
    return stretches
