"""What lies of calls in files beside the database goes with them, and the certificate can still name it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from voicebot.app.vault import CallEraser
from voicebot.backends.journal import WRITES, WriteJournal
from voicebot.records.vault.objects import StoreUnavailableError


class OneRecording:
    """Erases a recording, and as the real store does, knows of none the second time."""

    def __init__(self) -> None:
        self._digests = ["sha256 of it"]

    async def erase(self, call_id: str) -> str | None:
        del call_id
        return self._digests.pop() if self._digests else None


async def test_a_deletion_that_was_tried_again_still_names_the_recording_that_went(tmp_path: Path) -> None:
    WriteJournal(tmp_path / WRITES)
    eraser = CallEraser(OneRecording(), tmp_path / WRITES)
    with closing(sqlite3.connect(tmp_path / WRITES)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError):
            await eraser.erase("c1")
    assert await eraser.erase("c1") == "sha256 of it"
