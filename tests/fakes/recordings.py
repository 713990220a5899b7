"""Recordings that pages play and calls that are being recorded, without a vault."""

from __future__ import annotations

from collections.abc import Mapping

from voicebot.records.vault.sealed import SealBrokenError
from voicebot.records.vault.vault import RecordingUnfinishedError


class FakeRecording:
    """A recording that may be played; `broken_at` is where reading it fails."""

    content_type = "audio/flac"
    etag = "e1"

    def __init__(
        self, content: bytes, broken_at: int | None = None, waveform: bytes = b'{"duration_ms": 0, "lanes": {}}'
    ) -> None:
        self.content = content
        self.size = len(content)
        self.broken_at = broken_at
        self.waveform = waveform

    async def read(self, start: int, end: int) -> bytes:
        if self.broken_at is not None and end > self.broken_at:
            raise SealBrokenError("a sealed file was changed")
        return self.content[start:end]


class FakeLiveRecordings:
    """Live calls by id, and who stopped their recording."""

    def __init__(self, *calls: str) -> None:
        self.stopped: dict[str, str | None] = dict.fromkeys(calls)

    def stop(self, call_id: str, by: str) -> bool:
        if call_id in self.stopped:
            self.stopped[call_id] = by
        return call_id in self.stopped

    def resume(self, call_id: str) -> bool:
        if call_id in self.stopped:
            self.stopped[call_id] = None
        return call_id in self.stopped


class FakeRecordings:
    """The recordings of calls by their ids; `unfinished` ones may not be played yet."""

    def __init__(self, recordings: Mapping[str, FakeRecording] | None = None, unfinished: str | None = None) -> None:
        self.recordings = recordings or {}
        self.unfinished = unfinished

    async def open(self, call_id: str) -> FakeRecording | None:
        if call_id == self.unfinished:
            raise RecordingUnfinishedError("It is being redacted.")
        return self.recordings.get(call_id)

    async def waveform(self, call_id: str) -> bytes | None:
        found = await self.open(call_id)
        return found.waveform if found else None
