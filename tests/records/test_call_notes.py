"""What agents write down about calls stays with the call, on both databases, without what must not be kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from voicebot.records.call_notes import MAX_NOTE_CHARS, CallNotes, Disposition
from voicebot.records.database import Database, locate
from voicebot.records.tables import AUDIT, AUDIT_CONTENTS

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


async def test_an_agent_has_one_note_on_a_call_and_the_last_one_stands(tmp_path: Path, database_url: str) -> None:
    async with Database.prepared(locate(tmp_path, database_url)) as database:
        notes = CallNotes(database, now=lambda: NOW)
        await notes.put("call-1", "ana", disposition=None, text="wants a later")
        await notes.put("call-1", "ana", disposition=Disposition.SOLVED, text="wanted a later date, has it")
        await notes.put("call-1", "ben", disposition=Disposition.PASSED_ON, text="")
        found = {note.agent_id: note for note in await notes.list("call-1")}
        assert (found["ana"].disposition, found["ana"].text) == (Disposition.SOLVED, "wanted a later date, has it")
        assert found["ben"].disposition is Disposition.PASSED_ON
        assert await notes.list("call-2") == []


async def test_numbers_of_cards_are_taken_out_and_the_trail_says_nothing_of_the_words(
    tmp_path: Path, database_url: str
) -> None:
    async with Database.prepared(locate(tmp_path, database_url)) as database:
        notes = CallNotes(database, now=lambda: NOW)
        note = await notes.put("call-1", "ana", disposition=None, text="paid by 4111 1111 1111 1111\0, Jane")
        assert "4111" not in note.text
        assert "\0" not in note.text
        async with database.connect() as connection:
            [(action, subject)] = (await connection.execute(select(AUDIT.c.action, AUDIT.c.subject))).all()
            content = await connection.scalar(select(AUDIT_CONTENTS.c.content))
        assert (action, subject) == ("noted", "call:call-1")
        assert "Jane" not in str(content)


async def test_a_note_is_cut_where_it_grows_too_long(tmp_path: Path, database_url: str) -> None:
    async with Database.prepared(locate(tmp_path, database_url)) as database:
        note = await CallNotes(database, now=lambda: NOW).put("call-1", "ana", disposition=None, text="a" * 9000)
        assert len(note.text) == MAX_NOTE_CHARS
