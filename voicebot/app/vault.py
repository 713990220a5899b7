"""Opens what recordings need from the settings: keys, the place where they lie, and the work after each call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from voicebot.app.recording_store import StoreWatch, recording_objects
from voicebot.app.standing import beside
from voicebot.backends.journal import WRITES, forget_call
from voicebot.dialog.recording import RecordingPolicy
from voicebot.records.disposal import RecordingEraser
from voicebot.records.recorder import Recordings
from voicebot.records.vault.codec import Codec
from voicebot.records.vault.erasing import Eraser
from voicebot.records.vault.finishing import Finisher, FinishingPlan
from voicebot.records.vault.index import RecordingIndex
from voicebot.records.vault.keys import RecordingKeys
from voicebot.records.vault.listening import Ear
from voicebot.records.vault.objects import StoreUnavailableError
from voicebot.records.vault.vault import Vault
from voicebot.settings import Settings
from voicebot.speech.listening.dtmf import tones_in

log = structlog.get_logger(__name__)

#: In the data folder: tapes of live calls.
TAPES = "tapes"


def recording_keys(settings: Settings) -> RecordingKeys:
    """Return the keys that the settings give, or else the one kept in the data folder; it blocks."""
    older = settings.recording_old_keys.get_secret_value() if settings.recording_old_keys else ""
    if settings.recording_key is None:
        log.warning("recordings are sealed with a key that lies beside them: VOICEBOT_RECORDING_KEY is not set")
        return RecordingKeys.kept_in(settings.data, older)
    return RecordingKeys.parse(settings.recording_key.get_secret_value(), older)


class CallEraser:
    """Deletes what lies of calls in files beside the database: recordings, and what is noted of their writes."""

    def __init__(self, recordings: RecordingEraser, writes: Path) -> None:
        self._recordings = recordings
        self._writes = writes

    async def erase(self, call_id: str) -> str | None:
        # First, as it may fail: the recording's digest is known only to whoever erases it.
        try:
            await asyncio.to_thread(forget_call, self._writes, call_id)
        except OSError as error:
            raise StoreUnavailableError(str(error)) from error
        return await self._recordings.erase(call_id)


def call_eraser(settings: Settings, index: RecordingIndex) -> CallEraser:
    """Return what deletes calls' files where the settings keep them."""
    recordings = Eraser(recording_objects(settings), settings.data / TAPES, index)
    return CallEraser(recordings, settings.data / WRITES)


def recording_policy(settings: Settings) -> RecordingPolicy | None:
    """Return what the settings say of recording calls, None where the bot says it."""
    return RecordingPolicy(settings.recording.policy) if settings.recording.policy else None


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything about recordings in a running server."""

    recorders: Recordings
    vault: Vault
    finisher: Finisher
    store: StoreWatch


@asynccontextmanager
async def recording(
    settings: Settings,
    keys: RecordingKeys,
    index: RecordingIndex,
    *,
    written: Callable[[], Awaitable[None]],
    now: Callable[[], datetime],
    on_failure: Callable[[str], None],
    ear: Ear | None = None,
) -> AsyncIterator[Recording]:
    """Record calls and finish their recordings while the context lasts; `written` waits for the journal.

    The `ear` listens to what no turn of a call holds, unless it is to be silent or kept whatever it is.
    """
    objects = recording_objects(settings)
    tapes: Path = settings.data / TAPES
    plan = FinishingPlan(
        tapes,
        objects,
        keys,
        Codec(settings.recording.codec),
        keeps_unheard=settings.recording.unheard == "keep",
        ear=ear if settings.recording.unheard == "search" else None,
        tones=tones_in,
    )
    store = StoreWatch(settings, objects)

    def failed(kind: str) -> None:
        on_failure(kind)
        store.doubt()

    finisher = Finisher(plan, index, written=written, on_failure=failed)
    recorders = Recordings(tapes, keys=keys, now=now, on_failure=on_failure, on_closed=finisher.tape_closed)
    async with beside("try whether recordings can be kept", store.watch()), finisher.working(), recorders:
        yield Recording(recorders, Vault(objects, keys, index), finisher, store)
