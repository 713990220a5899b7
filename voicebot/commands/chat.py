"""`voicebot flows chat`: talk to a bot by typing, and see why it answers as it does."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from voicebot.app.backends import open_backends
from voicebot.app.understanding import learn_requests
from voicebot.calls.written import Reply, WrittenConversation
from voicebot.commands.escalation import verdict
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import CallStarted
from voicebot.dialog.loader import load_bot
from voicebot.settings import Settings

_CALLER = "+12025550123"
_HELP = "Type what a caller would say. Digits alone are keys when you write /1234; /bye hangs up."
_SLOTS_SHOWN = 8


def chat(
    settings: Settings, *, explain: bool, read: Callable[[str], str] | None = None, write: Callable[[str], None] = print
) -> int:
    """Converse until the bot ends it or the input does. The systems are real; demo data go to a folder of their own.

    `read` gives the next line, what is typed unless told, and raises EOFError at the end.
    """
    with tempfile.TemporaryDirectory(prefix="voicebot-chat-") as scratch:
        return asyncio.run(_chat(settings, Path(scratch), explain=explain, read=read or input, write=write))


async def _chat(
    settings: Settings, data: Path, *, explain: bool, read: Callable[[str], str], write: Callable[[str], None]
) -> int:
    zone = ZoneInfo(settings.zone)
    bot = await asyncio.to_thread(load_bot, settings.flows)
    understanding = await asyncio.to_thread(learn_requests, bot.intents, settings.models, settings.data)
    backends = await asyncio.to_thread(open_backends, settings, settings.flows, bot, data=data)
    conversation = WrittenConversation(
        Conversation(bot), understanding=understanding, operations=backends, now=lambda: datetime.now(zone)
    )
    if sys.stdin.isatty():
        write(_HELP)
    if explain:
        threshold = understanding.threshold
        write(
            f"  requests under {threshold.confidence:.2f} are none of these; of examples left out, "
            f"{threshold.in_scope_kept:.0%} were kept and {threshold.in_scope_right:.0%} right; "
            f"{threshold.strangers_refused:.0%} of others were refused"
        )
    try:
        reply = await conversation.start(
            CallStarted(datetime.now(zone), "chat", _CALLER, "", settings.zone, secrets.randbelow(2**31))
        )
        while True:
            _show(reply, conversation, write, explain=explain)
            if reply.outcome is not None:
                return 0
            try:
                line = (await asyncio.to_thread(read, "> ")).strip()
            except EOFError:
                return 0
            if line == "/bye":
                reply = await conversation.leave()
            elif line.startswith("/"):
                reply = await conversation.tapped(line.removeprefix("/"))
            elif line:
                reply = await conversation.read(line)
    finally:
        await backends.close()


def _show(reply: Reply, conversation: WrittenConversation, write: Callable[[str], None], *, explain: bool) -> None:
    if explain:
        _explain(reply, conversation, write)
    for message in reply.messages:
        write(message)
    if reply.buttons:
        write("  " + "  ".join(f"[/{button.keys} {button.label}]" for button in reply.buttons))
    if reply.outcome is not None:
        write(f"(over: {reply.outcome})")


def _explain(reply: Reply, conversation: WrittenConversation, write: Callable[[str], None]) -> None:
    for said in reply.interpretations:
        scores = ", ".join(f"{score.intent} {score.confidence:.2f}" for score in said.intents) or "none of these"
        write(f"  intents: {scores}")
        for entity in said.entities:
            write(f"  {entity.kind}: {entity.value} from '{entity.text}'")
    for decision in reply.decisions:
        sure = "" if decision.confidence is None else f" ({decision.confidence:.2f})"
        about = f": {decision.detail}" if decision.detail else f": {decision.intent}" if decision.intent else ""
        write(f"  {decision.flow}.{decision.step}  {decision.rule}{about}{sure}")
    if weighed := reply.signals.get("decision"):
        write(f"  person: {verdict(weighed)}")
        for signal, value, _, part in weighed["parts"]:
            write(f"    {part:+.2f}  {signal} {value:g}")
    filled = reply.decisions[-1].slots if reply.decisions else {}
    if filled:
        # A secret's value is not in a decision, so it is not shown either.
        named = [f"{name}={'(secret)' if value is None else value}" for name, value in filled.items()]
        write(f"  slots: {', '.join(named[:_SLOTS_SHOWN])}")
    if conversation.asks_for_secret:
        write("  (the answer will not be kept)")
