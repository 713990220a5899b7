"""Finds what work was planned with: an edition still open, a published version opened anew, or the current one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from voicebot.app.editions import Edition, Editions
from voicebot.backends.backends import Backends
from voicebot.dialog.flow import Bot
from voicebot.dialog.library import Library, UnknownVersion
from voicebot.dialog.loader import load_bot
from voicebot.work.plan import load_plan
from voicebot.work.planned import Planned

log = structlog.get_logger(__name__)

#: Opens the systems behind a bot whose files lie in a folder.
Open = Callable[[Path, Bot], Backends]


class PlannedWith:
    """`library` has the versions that were published; `open_backends` opens one's systems."""

    def __init__(self, editions: Editions, library: Library, open_backends: Open) -> None:
        self._editions = editions
        self._library = library
        self._open_backends = open_backends

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
        bot = await asyncio.to_thread(load_bot, folder)
        plan = await asyncio.to_thread(load_plan, folder, bot.operations)
        backends = await asyncio.to_thread(self._open_backends, folder, bot)
        try:
            yield Planned(plan, backends, bot.operations)
        finally:
            await backends.close()

    def _folder(self, version: str) -> Path | None:
        try:
            return self._library.version(version).folder
        except UnknownVersion:
            return None


def _planned(edition: Edition) -> Planned:
    return Planned(edition.after_call, edition.backends, edition.bot.operations)
