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
from voicebot import cli
from voicebot.backends.backends import BackendResult
from voicebot.backends.opening import open_systems
from voicebot.dialog.check import check
from voicebot.dialog.rehearsal import rehearse
from voicebot.dialog.story import load_stories

COMMANDS = re.compile(r"asked for: it was said with the request. Now\n\n```sh\n(.*?)```", re.DOTALL)
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


def test_the_tutorials_commands_do_what_it_says(
    followed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect(tmp_path / "warehouse.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE stock (item TEXT, size TEXT, pieces INTEGER, due TEXT)")
        connection.execute("INSERT INTO stock VALUES ('jacket', 'medium', 3, '2026-03-09')")
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{tmp_path / 'warehouse.sqlite'}")
    typed = iter(["is the jacket in stock", "medium please", "/9"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    (commands,) = COMMANDS.findall(DOCUMENT.read_text(encoding="utf-8"))
    tasks = [line.split("#")[0].split() for line in commands.splitlines() if line.startswith("voicebot ")]
    assert [task[2] for task in tasks] == ["check", "test", "chat", "publish"]
    for task in tasks:
        assert cli.main([*task[1:], "--flows", str(followed)]) == 0, capsys.readouterr().out
    shown = capsys.readouterr().out
    assert "0 errors" in shown
    assert "Yes, there are 3 pieces of the jacket in medium." in shown
    assert "is published" in shown
