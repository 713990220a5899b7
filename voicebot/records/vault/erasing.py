"""Deleting recordings, finished or not, as retention and customers' requests want it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from voicebot.records.record import RecordingRecord
from voicebot.records.tape import SUFFIX
from voicebot.records.vault.finishing import waveform_name
from voicebot.records.vault.index import RecordingIndex
from voicebot.records.vault.objects import ObjectMissingError, Objects


class Eraser:
    """Deletes from the store, and the tape of a recording that was not finished; its row is the caller's."""

    def __init__(self, objects: Objects, tapes: Path, index: RecordingIndex) -> None:
        self._objects = objects
        self._tapes = tapes
        self._index = index

    async def erase(self, call_id: str) -> str | None:
        """Delete a call's recording and return its SHA-256, None when there is none here. Once more does no harm.

        StoreUnavailableError when the store did not do it.
        """
        found = await self._index.get(call_id)
        return await asyncio.to_thread(self._erase, found) if found else None

    def _erase(self, recording: RecordingRecord) -> str | None:
        stem = recording.path.rsplit(".", 1)[0]
        (self._tapes / f"{stem}{SUFFIX}").unlink(missing_ok=True)
        try:
            digest = hashlib.sha256(self._objects.read(recording.path)).hexdigest()
        except ObjectMissingError:
            digest = None
        for name in (recording.path, waveform_name(recording.path)):
            self._objects.delete(name)
        return digest
