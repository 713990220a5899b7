"""Finds what work was planned with: an edition still open, a published version opened anew, or the current one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from voicebot.app.editions import Edition, Editions
from voicebot.backends.backends import Backends
from voicebot.dialog.flow import Bot
from voicebot.dialog.library import Library, UnknownVersion
from voicebot.dialog.loader import load_bot
from voicebot.errors import VoicebotError
from voicebot.work.plan import Plan, load_plan
from voicebot.work.planned import Planned

log = structlog.get_logger(__name__)

#: Of so many versions that are no longer current what was read stays in memory, those used last: some MB each.
_MOST_KEPT = 4

#: Opens the systems behind a bot whose files lie in a folder.
Open = Callable[[Path, Bot], Backends]


class PlannedWith:
    """`library` has the versions that were published; `open_backends` opens one's systems."""

    def __init__(self, editions: Editions, library: Library, open_backends: Open) -> None:
        self._editions = editions
        self._library = library
        self._open_backends = open_backends
        #: By version, which is a hash of the files: what was read of one never changes.
        self._read: OrderedDict[str, asyncio.Task[tuple[Bot, Plan]]] = OrderedDict()

    @asynccontextmanager
    async def of(self, version: str) -> AsyncIterator[Planned]:
        """Give what `version` had; flows that were edited in place and never published are there only as they are."""
        edition = self._editions.find(version)
        folder = None if edition else await asyncio.to_thread(self._folder, version)
        if folder is None:
            edition = edition or self._editions.current
            if edition.bot.version != version:
                log.warning("version not there any more", version=version, instead=edition.bot.version)
            async with self._editions.held(edition):
                yield _planned(edition)
            return
        bot, plan = await self._kept(version, folder)
        backends = await asyncio.to_thread(self._open_backends, folder, bot)
        try:
            yield Planned(plan, backends, bot.operations)
        finally:
            await backends.close()

    async def _kept(self, version: str, folder: Path) -> tuple[Bot, Plan]:
        """Return what the files of a version say, read once however many tasks ask at the same time."""
        if (reading := self._read.get(version)) is None:
            reading = self._read[version] = asyncio.create_task(asyncio.to_thread(_read, folder))
        self._read.move_to_end(version)
        while len(self._read) > _MOST_KEPT:
            self._read.popitem(last=False)
        try:
            # Whoever else waits for it must not lose it when this task is cancelled.
            return await asyncio.shield(reading)
        except VoicebotError:
            self._read.pop(version, None)
            raise

    def _folder(self, version: str) -> Path | None:
        try:
            return self._library.version(version).folder
        except UnknownVersion:
            return None


def _read(folder: Path) -> tuple[Bot, Plan]:
    bot = load_bot(folder)
    return bot, load_plan(folder, bot.operations)


def _planned(edition: Edition) -> Planned:
    return Planned(edition.after_call, edition.backends, edition.bot.operations)
