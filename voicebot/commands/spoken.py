"""`voicebot flows test --spoken`: stories told by telephone to a server of their own, at the speed of speech."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from pydantic import SecretStr

from voicebot.app.backends import BACKEND_TIMEOUT_S
from voicebot.app.serving import serving
from voicebot.app.surroundings import Surroundings
from voicebot.backends.backends import Backends
from voicebot.commands.learning import reader
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import load_bot
from voicebot.dialog.rehearsal import Rehearsed, rehearse
from voicebot.dialog.story import load_stories
from voicebot.settings import Settings
from voicebot.simulation.carrier import Account, Carrier
from voicebot.simulation.knowledge import phrasebook_of
from voicebot.simulation.senses import Senses
from voicebot.simulation.server import latest_records
from voicebot.simulation.story_call import StoryCall, call_story, unspeakable
from voicebot.simulation.story_system import StorySystem

#: Stories that are told where none is named: each takes half a minute to two.
SOME_STORIES = 3
#: What the machine did before is taken over into the server's own folder: prompts, grammars and training.
_KEPT = ("cache", "trained")


def tell_stories(settings: Settings, names: Sequence[str], write: Callable[[str], None] = print) -> int:
    """Tell the stories whose names hold one of `names`, a few where there are none; 0 when all went as written."""
    bot = load_bot(settings.flows)
    stories = load_stories(settings.flows / "stories", bot)
    chosen = [story for story in stories if any(name.lower() in story.name.lower() for name in names)]
    if names and not chosen:
        write(f"No story has {' or '.join(map(repr, names))} in its name.")
        return 1
    told: list[Rehearsed] = []
    silent_failures = 0
    for story in chosen or stories:
        if why := unspeakable(story):
            if names:
                write(f"{story.file}: {story.name}: cannot be told by telephone: {why}")
            continue
        rehearsed = rehearse(bot, story, reader(bot, [story], settings))
        if rehearsed.mismatch is not None:
            silent_failures += 1
            write(f"{story.file}: {story.name}: fails without audio already: {rehearsed.mismatch}")
            continue
        told.append(rehearsed)
        if not names and len(told) == SOME_STORIES:
            break
    told.sort(key=lambda one: one.story.zone)
    calls: list[StoryCall] = []
    for zone, group in groupby(told, key=lambda one: one.story.zone):
        calls += asyncio.run(_tell(settings.model_copy(update={"zone": zone}), bot, list(group), write))
    failed = sum(bool(call.problems) for call in calls) + silent_failures
    heard_wrong = sum(len(call.misheard) for call in calls)
    write(f"{len(calls) + silent_failures - failed} passed, {failed} failed, {heard_wrong} lines heard otherwise")
    return 1 if failed or not calls else 0


async def _tell(
    settings: Settings, bot: Bot, told: Sequence[Rehearsed], write: Callable[[str], None]
) -> list[StoryCall]:
    with tempfile.TemporaryDirectory(prefix="voicebot-stories-", ignore_cleanup_errors=True) as scratch:
        data = Path(scratch)
        for name in _KEPT:
            kept = settings.data.absolute() / name
            kept.mkdir(parents=True, exist_ok=True)
            (data / name).symlink_to(kept)
        system = StorySystem(frozenset(bot.operations), time.monotonic)
        return await _call_all(_own(settings, data), bot, told, system, write)


def _own(settings: Settings, data: Path) -> Settings:
    """Return settings for a server that nobody else can reach or disturb: free ports, and tokens of its own."""
    return settings.model_copy(
        update={
            "host": "127.0.0.1",
            "port": 0,
            "sip_port": 0,
            "audiosocket_port": None,
            "asterisk_peers": (),
            "asterisk_password": None,
            "data": data,
            "public_url": None,
            "api_token": SecretStr(secrets.token_hex(16)),
            "twilio_auth_token": SecretStr(secrets.token_hex(16)),
            "twilio_account_sid": None,
            # It has one caller, so it need not mind how busy the machine is.
            "max_cpu_percent": 100.0,
            "drain_s": 5.0,
            "log_level": "error",
        }
    )


async def _call_all(
    settings: Settings, bot: Bot, told: Sequence[Rehearsed], system: StorySystem, write: Callable[[str], None]
) -> list[StoryCall]:
    zone = ZoneInfo(settings.zone)
    surroundings = Surroundings(
        now=lambda: system.now(zone),
        new_seed=system.new_seed,
        open_backends=lambda settings, folder, bot, *, memory: Backends(  # noqa: ARG005  # a story plays every system
            (system,), bot.operations, timeout_s=BACKEND_TIMEOUT_S
        ),
    )
    tokens = [token.get_secret_value() for token in (settings.api_token, settings.twilio_auth_token) if token]
    calls: list[StoryCall] = []
    async with (
        serving(settings, lambda step: write(f"  {step}"), surroundings=surroundings) as server,
        aiohttp.ClientSession() as http,
        Senses(phrasebook_of(bot)) as senses,
    ):
        carrier = Carrier(http, server.url, Account(auth_token=tokens[1]))

        async def record_of(call_sid: str) -> dict[str, Any] | None:
            return (await latest_records(http, server.url, tokens[0])).get(call_sid)

        for number, one in enumerate(told, start=1):
            write(f"[{number} of {len(told)}] {one.story.name}")
            call = await call_story(
                one.story, one.exchanges, network=carrier, voice=senses, record_of=record_of, system=system
            )
            calls.append(call)
            for misheard in call.misheard:
                write(f"  {one.story.file}: {misheard}")
            for problem in call.problems:
                write(f"  {one.story.file}: {problem}")
            write(f"  {'failed' if call.problems else 'as written'} after {call.took_s:.0f} s")
    return calls
