"""The same flows in other words, from a file of prompts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.dialog.small_bot import write_bot
from voicebot import cli
from voicebot.dialog.actions import Say
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import CallStarted
from voicebot.dialog.loader import load_bot
from voicebot.errors import ConfigurationError

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def german(folder: Path, words: dict[str, object]) -> Path:
    write_bot(folder)
    bot = folder / "bot.yaml"
    bot.write_text(bot.read_text(encoding="utf-8").replace("language: en", "language: de"), encoding="utf-8")
    (folder / "prompts").mkdir()
    (folder / "prompts" / "de.yaml").write_text(yaml.safe_dump(words), encoding="utf-8")
    return folder


def test_prompts_of_the_bots_language_are_said_in_place_of_its_own(tmp_path: Path) -> None:
    bot = load_bot(german(tmp_path, {"welcome.say": "Guten Tag.", "ladders.silence_1": "Wie bitte?"}))
    actions = Conversation(bot).step(CallStarted(AT, "twilio", "", "", "UTC", 1))
    said = " ".join(action.text for action in actions if isinstance(action, Say))
    assert said.startswith("Guten Tag.")
    assert "Corner Library." not in said
    assert "Wie bitte?" in bot.static_prompts()


def test_another_languages_file_is_left_alone(tmp_path: Path) -> None:
    write_bot(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "de.yaml").write_text("welcome.say: Guten Tag.\n", encoding="utf-8")
    assert "Guten Tag." not in load_bot(tmp_path).static_prompts()


@pytest.mark.parametrize(
    ("name", "words", "finds"),
    [
        ("welcome.sya", "Hallo", "Did you mean 'welcome.say'"),
        ("patterns.returning", "Wieder {titel}.", "'titel' is not said by 'patterns.returning'"),
        ("welcome.say", "Hallo {", "stands alone"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path, name: str, words: str, finds: str) -> None:
    with pytest.raises(ConfigurationError, match=r"prompts/de\.yaml:1") as refused:
        load_bot(german(tmp_path, {name: words}))
    assert finds in str(refused.value)


def test_printed_prompts_read_back_are_the_same_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bot(tmp_path / "en")
    assert cli.main(["flows", "prompts", "--flows", str(tmp_path / "en")]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    before = {prompt.name: prompt.variants for prompt in load_bot(tmp_path / "en").prompts()}
    assert printed.keys() == before.keys()
    after = {prompt.name: prompt.variants for prompt in load_bot(german(tmp_path / "de", printed)).prompts()}
    assert after == before
