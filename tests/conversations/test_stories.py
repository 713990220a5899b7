"""The stories that ship with the bot, each one a test."""

from __future__ import annotations

import pytest

from tests.dialog.strategies import FLOWS, shipped_bot
from voicebot.dialog.rehearsal import rehearse, unreached
from voicebot.dialog.story import Story, load_stories

STORIES = load_stories(FLOWS / "stories", shipped_bot())


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.file}:{story.name}")
def test_a_shipped_story_goes_as_written(story: Story) -> None:
    rehearsed = rehearse(shipped_bot(), story)
    assert rehearsed.mismatch is None, "\n".join((f"{story.file}, {rehearsed.mismatch}", *rehearsed.lines))


def test_the_stories_reach_every_step_of_every_flow() -> None:
    rehearsed = [rehearse(shipped_bot(), story) for story in STORIES]
    assert unreached(shipped_bot(), rehearsed) == ()
