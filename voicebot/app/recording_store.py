"""Whether recordings can be kept where the settings say: tried at the start, and again for as long as they cannot.

No call waits for it: what is recorded stays on its tape, sealed, until it can be kept.
"""

from __future__ import annotations

import asyncio
from typing import assert_never
from urllib.parse import urlsplit

import structlog

from voicebot.errors import ConfigurationError, Problem
from voicebot.records.vault.objects import DiskObjects, Objects, StoreFault, StoreUnavailableError
from voicebot.records.vault.trial import Failed, Step, try_out
from voicebot.setting_tables import RecordingSettings
from voicebot.settings import Settings

log = structlog.get_logger(__name__)

#: In the data folder, where no bucket is set.
RECORDINGS = "recordings"
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0
_RIGHTS = {Step.WRITE: "s3:PutObject", Step.READ: "s3:GetObject", Step.DELETE: "s3:DeleteObject"}


def recording_objects(settings: Settings) -> Objects:
    """Return the place of recordings; ConfigurationError when a bucket is half described, or cannot be asked at all."""
    place = settings.recording
    if place.bucket is None:
        if place.endpoint_url is not None:
            what = "`recording.endpoint_url`: is set and no `recording.bucket` is."
            raise ConfigurationError([Problem("settings", None, what, "Name the bucket, or unset the endpoint.")])
        return DiskObjects(settings.data / RECORDINGS)
    from voicebot.records.vault.s3 import S3Objects  # noqa: PLC0415  # boto3 takes half a second that disks need not pay

    try:
        return S3Objects(place.bucket, prefix=place.prefix, endpoint_url=place.endpoint_url, region=place.region)
    except StoreUnavailableError as error:
        raise ConfigurationError([store_problem(settings, Failed(Step.WRITE, error.fault, error.reason))]) from None


def store_name(settings: Settings) -> str:
    """Return where recordings are kept, in words."""
    place = settings.recording
    if place.bucket is None:
        return f"the folder {settings.data / RECORDINGS}"
    # An address may hold a name and a password.
    at = urlsplit(place.endpoint_url).netloc.rpartition("@")[2] if place.endpoint_url else ""
    return f"the bucket {place.bucket}" + (f" at {at}" if at else "")


def store_problem(settings: Settings, failed: Failed) -> Problem:
    """Return what is wrong with the place of recordings: the setting, what happened and the fix; never a secret."""
    if settings.recording.bucket is None:
        setting, fix = "data", "Make room there, or let this server's user write there (chown)."
    else:
        setting, fix = _bucket_fix(settings.recording, failed)
    what = f"`{setting}`: cannot {failed.step} recordings in {store_name(settings)} ({failed.reason})."
    return Problem("settings", None, what, fix)


def _bucket_fix(place: RecordingSettings, failed: Failed) -> tuple[str, str]:
    match failed.fault:
        case StoreFault.AWAY:
            where = "recording.endpoint_url" if place.endpoint_url else "recording.bucket"
            return where, "The store does not answer as it should: see that it runs and is reached from this machine."
        case StoreFault.BUCKET:
            return "recording.bucket", "Make a bucket of this name, or name the right one."
        case StoreFault.CREDENTIALS:
            fix = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that the store knows, or AWS_PROFILE."
            return "recording.bucket", fix
        case StoreFault.DENIED:
            fix = f"Allow the owner of the key {_RIGHTS[failed.step]} on {place.bucket}/{_prefix(place)}*."
            return "recording.bucket", fix
        case StoreFault.REGION:
            return "recording.region", "Set it to the region that the bucket lies in."
        case other:
            assert_never(other)


def _prefix(place: RecordingSettings) -> str:
    return f"{place.prefix.strip('/')}/" if place.prefix.strip("/") else ""


class StoreWatch:
    """Knows whether recordings can be kept. Make it in the loop that runs `watch`."""

    def __init__(self, settings: Settings, objects: Objects, *, first_retry_s: float = _FIRST_RETRY_S) -> None:
        self._settings = settings
        self._objects = objects
        self._first_retry_s = first_retry_s
        self._loop = asyncio.get_running_loop()
        self._doubted = asyncio.Event()
        self._tried = False
        self._failed: Failed | None = None

    @property
    def state(self) -> str:
        """How it is, for whoever asks whether calls can be taken; no name of a place is in it."""
        if not self._tried:
            return "being tried"
        if self._failed is None:
            return "ready"
        return f"kept on tape: cannot {self._failed.step} in the store ({self._failed.reason})"

    def doubt(self) -> None:
        """Have it tried anew, as something could not be kept; from any thread."""
        self._loop.call_soon_threadsafe(self._doubted.set)

    async def watch(self) -> None:
        """Try it, and again until it works and whenever that is in doubt, for ever."""
        while True:
            retry_s = self._first_retry_s
            while not await self._works():
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            self._doubted.clear()
            await self._doubted.wait()

    async def _works(self) -> bool:
        failed = await asyncio.to_thread(try_out, self._objects)
        if failed is not None and failed != self._failed:
            log.error("recordings cannot be kept, and wait on tape", problem=str(store_problem(self._settings, failed)))
        elif failed is None and self._failed is not None:
            log.info("recordings can be kept again")
        self._failed, self._tried = failed, True
        return failed is None
