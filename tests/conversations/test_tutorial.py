"""The ten-minute tutorial of docs/flows.md, carried out as it stands there."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from tests.dialog.strategies import FLOWS
from voicebot.backends.backends import BackendResult
from voicebot.backends.opening import open_systems
from voicebot.dialog.check import check
from voicebot.dialog.rehearsal import rehearse
from voicebot.dialog.story import load_stories

DOCUMENT = Path(__file__).parents[2] / "docs" / "flows.md"
FILE = re.compile(r"```yaml\n# flows/(\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """The shipped bot with the tutorial's files put in."""
    bot = tmp_path / "flows"
    shutil.copytree(FLOWS, bot)
    files = FILE.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert [name for name, _ in files] == ["stock.yaml", "stock_types.yaml", "systems.yaml", "stories/stock.yaml"]
    for name, text in files:
        (bot / name).write_text(text, encoding="utf-8")
    return bot


def test_following_the_tutorial_gives_a_bot_without_mistakes(followed: Path) -> None:
    assert [str(finding) for finding in check(followed).findings] == []


def test_the_tutorials_story_goes_as_written(followed: Path) -> None:
    bot = check(followed).bot
    assert bot is not None
    stories = [story for story in load_stories(followed / "stories", bot) if story.file.endswith("stock.yaml")]
    assert [rehearse(bot, story).mismatch for story in stories] == [None]


async def test_the_tutorials_system_answers_from_a_real_database(followed: Path, tmp_path: Path) -> None:
    bot = check(followed).bot
    assert bot is not None
    with closing(sqlite3.connect(tmp_path / "warehouse.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE stock (item TEXT, size TEXT, pieces INTEGER, due TEXT)")
        connection.execute("INSERT INTO stock VALUES ('jacket', 'medium', 3, '2026-03-09')")
    environ = {"WAREHOUSE_URL": f"sqlite:///{tmp_path / 'warehouse.sqlite'}"}
    (warehouse,) = open_systems(
        followed, bot.operations, data=tmp_path, environ=environ, clock=lambda: 0.0, jitter=lambda: 0.0
    )
    found = await warehouse.call("stock.level", {"item": "jacket", "size": "medium"}, idempotency_key=None)
    assert found == BackendResult("ok", {"pieces": 3, "due": date(2026, 3, 9)})
    missing = await warehouse.call("stock.level", {"item": "jacket", "size": "large"}, idempotency_key=None)
    assert missing.outcome == "unknown"
    await warehouse.close()
