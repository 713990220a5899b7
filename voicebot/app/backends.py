"""Opens the customer's systems as a bot's folder declares them, with the demo company where nothing else does."""

from __future__ import annotations

import os
import random
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from voicebot.app.understanding import learn_articles
from voicebot.backends.backends import Backends, System
from voicebot.backends.check import undone
from voicebot.backends.demo.company import demo_company
from voicebot.backends.demo.data import ensure_demo_data
from voicebot.backends.held_model import HeldModel, ModelAccess
from voicebot.backends.knowledge import KnowledgeSystem
from voicebot.backends.opening import open_systems
from voicebot.backends.phrasing import PhrasedAnswers
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import KNOWLEDGE
from voicebot.errors import ConfigurationError
from voicebot.settings import Settings
from voicebot.work.memory import NoMemory

log = structlog.get_logger(__name__)

BACKEND_TIMEOUT_S = 8.0


def open_backends(
    settings: Settings, folder: Path, bot: Bot, *, memory: System | None = None, data: Path | None = None
) -> Backends:
    """Open all systems behind the bot in `folder`; `ConfigurationError` names each that cannot be.

    `memory` knows customers' earlier calls, where there is a server that keeps them. `data` is
    where their files lie, the server's data folder unless told.
    """
    data = data or settings.data
    zone = ZoneInfo(settings.zone)
    path = data / "demo.sqlite"
    if ensure_demo_data(path, datetime.now(zone).date()):
        log.info("demo data made", file=path.name)
    declared = open_systems(
        folder,
        bot.operations,
        data=data,
        environ=os.environ,
        clock=time.monotonic,
        jitter=random.random,
    )
    # The last one that does an operation does it: what systems.yaml declares replaces the demo company's.
    company = demo_company(path, lambda: datetime.now(zone))
    articles: System = KnowledgeSystem(
        folder / KNOWLEDGE, lambda passages: learn_articles(passages, settings.models, settings.data)
    )
    if (model := held_model(settings)) is not None:
        articles = PhrasedAnswers(articles, model)
        log.info("a model words the answers from articles", model=settings.model_name)
    systems: tuple[System, ...] = (company, articles, memory or NoMemory(), *declared)
    if nobodys := list(undone(bot, {name for system in systems for name in system.operations})):
        raise ConfigurationError(nobodys)
    return Backends(systems, bot.operations, timeout_s=BACKEND_TIMEOUT_S)


def held_model(settings: Settings) -> HeldModel | None:
    """Return the language model that the settings name; None where they name none. Whoever asks closes it."""
    if not settings.model_url:
        return None
    key = settings.model_key.get_secret_value() if settings.model_key else ""
    return HeldModel(ModelAccess(settings.model_url, settings.model_name, key, settings.model_timeout_s))
