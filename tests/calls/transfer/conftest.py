"""Where the packets of these tests are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voicebot.records.contexts import Contexts
from voicebot.records.database import Database, locate


@pytest.fixture
async def contexts(tmp_path: Path) -> AsyncIterator[Contexts]:
    async with Database.served(locate(tmp_path), instance="main") as database:
        yield Contexts(database, now=lambda: datetime.now(UTC))
