"""What a server takes from the world around it: the time, chance, and the company's systems."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from voicebot.app.backends import open_backends
from voicebot.backends.backends import Backends, System
from voicebot.dialog.flow import Bot
from voicebot.settings import Settings


class OpenBackends(Protocol):
    def __call__(self, settings: Settings, folder: Path, bot: Bot, *, memory: System) -> Backends: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`now` is wall-clock time in the bot's zone, `new_seed` picks a conversation's wording.

    `open_backends` opens the systems behind a bot whose files lie in a folder. A story that is spoken has a day, a
    wording and systems of its own.
    """

    now: Callable[[], datetime]
    new_seed: Callable[[], int]
    open_backends: OpenBackends


def real_surroundings(zone: ZoneInfo) -> Surroundings:
    """Return the true time, chance, and the systems that the bot's files declare."""
    return Surroundings(
        now=lambda: datetime.now(zone), new_seed=lambda: secrets.randbelow(2**31), open_backends=open_backends
    )
