"""Finished recordings: opened for playing, checked, sealed anew with another key."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from voicebot.errors import VoicebotError
from voicebot.records.record import RecordingRecord, RecordingState
from voicebot.records.vault.codec import Codec
from voicebot.records.vault.finishing import waveform_name
from voicebot.records.vault.index import RecordingIndex
from voicebot.records.vault.keys import RecordingKeys, UnknownKeyError
from voicebot.records.vault.objects import ObjectMissingError, Objects
from voicebot.records.vault.sealed import ReadRange, SealBrokenError, SealedFile, seal, unseal


class RecordingUnfinishedError(VoicebotError):
    """The call goes on, or what was said in it has not been redacted: nobody may hear it yet."""


@dataclass(frozen=True, slots=True)
class Playable:
    """A recording opened for playing. `etag` changes whenever its bytes may."""

    content_type: str
    size: int
    etag: str
    _file: SealedFile

    async def read(self, start: int, end: int) -> bytes:
        """Return the bytes `start:end` of the audio file; SealBrokenError when they were changed."""
        return await asyncio.to_thread(self._file.read, start, end)


class Vault:
    def __init__(self, objects: Objects, keys: RecordingKeys, index: RecordingIndex) -> None:
        self._objects = objects
        self.keys = keys
        self._index = index

    async def open(self, call_id: str) -> Playable | None:
        """Open a call's recording; None when there is none or it is gone.

        RecordingUnfinishedError before it was redacted, SealBrokenError when it was changed.
        """
        found = await self._ready(call_id)
        if found is None or found.codec is None:
            return None
        name = found.path
        try:
            file = await asyncio.to_thread(SealedFile.open, self._reader(name), name, self.keys)
        except ObjectMissingError:
            return None
        return Playable(Codec(found.codec).content_type, file.size, found.sha256 or "", file)

    async def waveform(self, call_id: str) -> bytes | None:
        """Return the waveform as JSON (see `waveform.Waveform`); raises as `open` does."""
        found = await self._ready(call_id)
        if found is None:
            return None
        try:
            return await asyncio.to_thread(self._unseal, waveform_name(found.path))
        except ObjectMissingError:
            return None

    async def verify(self) -> AsyncIterator[tuple[str, str | None]]:
        """Yield every call with a finished recording and what is wrong with that, None if nothing is."""
        async for call_id, recording in self._index.ready():
            yield call_id, await asyncio.to_thread(self._fault, recording)

    async def rotate(self) -> AsyncIterator[tuple[str, str | None]]:
        """Seal anew, with the current key, what is sealed with another; yield each call, and what failed.

        May be broken off and begun again; the old keys are needed until it has come to its end.
        """
        async for call_id, recording in self._index.ready():
            if recording.key_id == self.keys.current.id:
                continue
            try:
                await self._reseal(call_id, recording)
            except (ObjectMissingError, SealBrokenError, UnknownKeyError) as error:
                yield call_id, str(error)
            else:
                yield call_id, None

    async def _reseal(self, call_id: str, recording: RecordingRecord) -> None:
        waveform = waveform_name(recording.path)
        await asyncio.to_thread(self._reseal_object, waveform)
        sealed = await asyncio.to_thread(self._reseal_object, recording.path)
        await self._index.resealed(
            call_id,
            sha256=hashlib.sha256(sealed).hexdigest(),
            key_id=self.keys.current.id,
            stored_bytes=len(sealed),
        )

    def _reseal_object(self, name: str) -> bytes:
        sealed = seal(self._unseal(name), name, self.keys.current)
        self._objects.put(name, sealed)
        return sealed

    def _unseal(self, name: str) -> bytes:
        return unseal(self._objects.read(name), name, self.keys)

    def _fault(self, recording: RecordingRecord) -> str | None:
        try:
            stored = self._objects.read(recording.path)
            if hashlib.sha256(stored).hexdigest() != recording.sha256:
                return "is not what was stored"
            unseal(stored, recording.path, self.keys)
            self._unseal(waveform_name(recording.path))
        except (ObjectMissingError, SealBrokenError, UnknownKeyError) as error:
            return str(error)
        return None

    async def _ready(self, call_id: str) -> RecordingRecord | None:
        found = await self._index.get(call_id)
        if found is None or found.state in {RecordingState.LOST, RecordingState.DELETED}:
            return None
        if found.state is RecordingState.LIVE:
            raise RecordingUnfinishedError("The call goes on, or its recording is still being redacted.")
        return found

    def _reader(self, name: str) -> ReadRange:
        return lambda start, end: self._objects.read(name, start, end)
