"""The version of the flows that new calls get: made ready beside the calls that go on, exchanged when it is whole."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import structlog

from voicebot.app.speech import Speech
from voicebot.backends.backends import Backends
from voicebot.calls.seams import StandingPrompts
from voicebot.dialog.flow import Bot
from voicebot.dialog.library import Library
from voicebot.errors import VoicebotError
from voicebot.language.endings import Endings
from voicebot.language.understanding import Understanding
from voicebot.routing.queues import Routing
from voicebot.work.plan import Plan

log = structlog.get_logger(__name__)

#: How often the library is asked for its current version: one small file is read.
WATCH_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of a bot with everything that was made from it. A call keeps the one it began with."""

    bot: Bot
    understanding: Understanding
    endings: Endings
    backends: Backends
    speech: Speech
    prompts: StandingPrompts
    after_call: Plan
    #: Who takes callers that want a person; None where nobody does.
    routing: Routing | None = None


#: Makes an edition of the bot in a folder; the speech before it, if any, is taught the new prompts.
MakeEdition = Callable[[Path, Speech | None], Awaitable[Edition]]


class Editions:
    """The current edition, and the earlier ones until their last call is over."""

    def __init__(self, first: Edition, make: MakeEdition) -> None:
        self._make = make
        self._current = first
        self._calls: dict[str, int] = {first.bot.version: 0}
        self._editions = {first.bot.version: first}
        self._refused = ""

    @property
    def current(self) -> Edition:
        """What a call that begins now gets."""
        return self._current

    def find(self, version: str) -> Edition | None:
        """Return the edition of a version while it is open."""
        return self._editions.get(version)

    @property
    def state(self) -> str:
        """Which version answers, and which one was refused since."""
        version = self._current.bot.version
        return f"{version} ({self._refused} was refused, see the log)" if self._refused else version

    def held(self, edition: Edition) -> AbstractAsyncContextManager[None]:
        """Keep an edition's systems open from now on, until the block that is entered with what this returns ends.

        From now on, not from the block on: it may be a task's, which begins when the call that had it is over.
        """
        version = edition.bot.version
        self._calls[version] += 1
        return self._until_let_go(version)

    @contextlib.asynccontextmanager
    async def _until_let_go(self, version: str) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._calls[version] -= 1
            await self._retire(version)

    async def exchange(self, name: str, folder: Path) -> bool:
        """Make the version `name` in `folder` current; when that fails, say why in the log and change nothing."""
        if name == self._current.bot.version:
            self._refused = ""
            return True
        try:
            edition = self._editions.get(name) or await self._make(folder, self._current.speech)
        except VoicebotError as error:
            self._refused = name
            log.error("version refused", version=name, serving=self._current.bot.version, problem=str(error))
            return False
        before, self._current = self._current, edition
        self._editions[name] = edition
        self._calls.setdefault(name, 0)
        self._refused = ""
        log.info("version taken", version=name, before=before.bot.version, calls_on_it=self._calls[before.bot.version])
        await self._retire(before.bot.version)
        return True

    async def watch(self, library: Library) -> None:
        """Take whatever version the library makes current, until cancelled. A version refused once is not retried."""
        seen = await asyncio.to_thread(library.current_name)
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                name = await asyncio.to_thread(library.current_name)
                if name and name != seen:
                    seen = name
                    version = await asyncio.to_thread(library.version, name)
                    await self.exchange(version.name, version.folder)
            except (VoicebotError, OSError) as error:
                log.error("the flows' library cannot be read", problem=str(error))

    async def close(self) -> None:
        """Close every edition's systems."""
        for edition in self._editions.values():
            await edition.backends.close()

    async def _retire(self, version: str) -> None:
        if version != self._current.bot.version and not self._calls.get(version):
            self._calls.pop(version, None)
            if edition := self._editions.pop(version, None):
                await edition.backends.close()
