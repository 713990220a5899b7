"""`voicebot flows test --spoken` tells a story by telephone to a server of its own, at the story's time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialog.strategies import FLOWS
from voicebot.commands.spoken import tell_stories
from voicebot.settings import Settings

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]


def test_a_story_told_by_telephone_goes_as_written(tmp_path: Path) -> None:
    written: list[str] = []
    # It is told with keys, so that it hangs on nothing that a busy machine hears otherwise.
    assert tell_stories(Settings(flows=FLOWS, data=tmp_path), ["Already closed for today"], written.append) == 0, (
        written
    )
    assert written[-1].startswith("1 passed, 0 failed")


def test_a_story_that_cannot_be_told_by_telephone_is_named_and_fails(tmp_path: Path) -> None:
    written: list[str] = []
    settings = Settings(flows=FLOWS, data=tmp_path)
    assert tell_stories(settings, ["The same flows in a chat"], written.append) == 1
    assert "cannot be told by telephone" in written[0]
    assert tell_stories(settings, ["no such story"], written.append) == 1
    assert written[-1] == "No story has 'no such story' in its name."
