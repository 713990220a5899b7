"""The ten-minute tutorial of docs/flows.md, carried out as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import pytest

from tests.dialog.strategies import FLOWS
from voicebot.backends.backends import BackendResult
from voicebot.backends.opening import open_systems
from voicebot.dialog.check import check
from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.rehearsal import rehearse
from voicebot.dialog.story import load_stories
from voicebot.language.understanding import Understanding

COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)
TALK = re.compile(r"```\n(> .*?)```", re.DOTALL)
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
    understanding = Understanding(bot.intents)

    def understand(text: str, expectation: Expectation, now: datetime) -> tuple[Interpretation, ...]:
        return understanding.interpret([(text, 1.0)], expectation, now)

    assert [rehearse(bot, story, understand).mismatch for story in stories] == [None]


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


def test_the_tutorials_commands_do_what_it_says(tmp_path: Path) -> None:
    """Every command as it is printed, in a shell of its own, with the files and the words that are printed."""
    document = DOCUMENT.read_text(encoding="utf-8").partition("## How a conversation goes")[0]
    first, checks, chat, publish = COMMANDS.findall(document)
    (talk,) = TALK.findall(document)
    shutil.copytree(FLOWS, tmp_path / "flows")
    # The environment that the first command enters, as `scripts/setup` leaves it.
    (tmp_path / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    files = [f"cat > flows/{name} <<'END_OF_FILE'\n{text}END_OF_FILE\n" for name, text in FILE.findall(document)]
    typed = "".join(f"{line.removeprefix('> ')}\n" for line in talk.splitlines() if line.startswith("> "))
    chat = chat.replace("voicebot flows chat", f"voicebot flows chat <<'END_OF_TALK'\n{typed}END_OF_TALK")
    script = "\n".join(["set -e", first, *files, checks, chat, publish, "pwd"])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(FLOWS.parent)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout
    assert " 0 failed" in done.stdout
    for line in talk.splitlines():
        assert line.startswith("> ") or line in done.stdout
    assert "is published" in done.stdout
    assert done.stdout.splitlines()[-1] == str(tmp_path)
