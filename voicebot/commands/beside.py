"""What `flows check` and `flows publish` find in those files of a bot that the dialog does not read itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from voicebot.backends.articles import OPERATION
from voicebot.backends.check import systems_findings
from voicebot.backends.demo.company import demo_operations
from voicebot.dialog.check import Beside
from voicebot.dialog.finding import Finding, refused
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import LEXICON, RECORDINGS
from voicebot.errors import ConfigurationError
from voicebot.routing.check import queues_findings
from voicebot.speech.synthesis.lexicon import load_lexicon
from voicebot.speech.synthesis.recorded import load_recorded, text_id
from voicebot.work.memory import RECALL
from voicebot.work.plan import load_plan


def beside() -> Sequence[Beside]:
    """Return what reads them as the server will, with the variables that are set here."""
    return (queues_findings, _plan_findings, _systems_findings, _speech_findings)


def _systems_findings(folder: Path, bot: Bot) -> Iterator[Finding]:
    built_in = demo_operations() | {OPERATION, RECALL}
    return systems_findings(folder, bot, environ=os.environ, built_in=built_in)


def _plan_findings(folder: Path, bot: Bot) -> Iterator[Finding]:
    """Find what is wrong with the plan of what follows calls."""
    yield from _refused(lambda: load_plan(folder, bot.operations))


def _speech_findings(folder: Path, bot: Bot) -> Iterator[Finding]:
    """Find what is wrong with how the bot's own words are said, and with the prompts that a person recorded."""
    texts = {text_id(text): text for text in bot.static_prompts()}
    yield from _refused(lambda: load_lexicon(folder / LEXICON))
    yield from _refused(lambda: load_recorded(folder / RECORDINGS, texts))


def _refused(read: Callable[[], object]) -> Iterator[Finding]:
    try:
        read()
    except ConfigurationError as wrong:
        yield from refused(wrong)
