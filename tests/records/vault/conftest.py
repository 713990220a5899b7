from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.records.vault.taped import Failures
from voicebot.records.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path, on_failure=lambda _: None) as opened:
        yield opened


@pytest.fixture
def failures() -> Failures:
    return Failures()
