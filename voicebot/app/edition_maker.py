"""Makes an edition of the bot: everything that calls need of one version of its files."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from voicebot.app.editions import Edition
from voicebot.app.planned import Open
from voicebot.app.sessions import standing_prompts
from voicebot.app.speech import MakeSpeech, Progress, Speech
from voicebot.app.understanding import learn_requests
from voicebot.app.vault import recording_policy
from voicebot.dialog.loader import load_bot
from voicebot.dialog.recording_rules import with_policy
from voicebot.language.endings import Endings
from voicebot.routing.loader import load_routing
from voicebot.settings import Settings
from voicebot.work.plan import load_plan


@dataclass(frozen=True, slots=True)
class EditionMaker:
    """`make_speech` starts the engines, which `stack` will stop; `open_backends` opens a version's systems."""

    settings: Settings
    open_backends: Open
    make_speech: MakeSpeech
    stack: AsyncExitStack
    progress: Progress

    async def make(self, folder: Path, speech: Speech | None) -> Edition:
        """Return the edition of the bot in `folder`, whose prompts are taught to `speech` unless it is the first."""
        self.progress("reading flows")
        bot = with_policy(await asyncio.to_thread(load_bot, folder), recording_policy(self.settings))
        routing = await asyncio.to_thread(load_routing, folder, schedules=tuple(bot.hours), flows=tuple(bot.flows))
        plan = await asyncio.to_thread(load_plan, folder, bot.operations)
        backends = await asyncio.to_thread(self.open_backends, folder, bot)
        try:
            if speech is None:
                heard = await self.make_speech(self.settings, bot, self.stack, self.progress)
            else:
                heard = await speech.learned(bot)
            self.progress("learning intents")
            models, data = self.settings.models, self.settings.data
            understanding = await asyncio.to_thread(learn_requests, bot.intents, models, data)
        except BaseException:
            await backends.close()
            raise
        endings = Endings(bot.domain().requests)
        return Edition(bot, understanding, endings, backends, heard, standing_prompts(bot), plan, routing)
