"""Deleting recordings, finished or not, as retention and customers' requests want it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from voicebot.records.record import RecordingRecord
from voicebot.records.tape import SUFFIX
from voicebot.records.vault.codec import Codec
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
        if found is None:
            return None
        # First: whoever finishes it at this moment sees that, and takes back what is stored after we have looked.
        await self._index.deleted(call_id)
        return await asyncio.to_thread(self._erase, found)

    def _erase(self, recording: RecordingRecord) -> str | None:
        stem = recording.path.rsplit(".", 1)[0]
        (self._tapes / f"{stem}{SUFFIX}").unlink(missing_ok=True)
        # A server that died between storing and noting has left a file whose name the row does not know yet.
        audio = dict.fromkeys((recording.path, *(stem + codec.suffix for codec in Codec)))
        digests = [digest for name in audio if (digest := self._digest(name))]
        for name in (*audio, waveform_name(recording.path)):
            self._objects.delete(name)
        return next(iter(digests), None)

    def _digest(self, name: str) -> str | None:
        try:
            return hashlib.sha256(self._objects.read(name)).hexdigest()
        except ObjectMissingError:
            return None
