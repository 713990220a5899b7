"""The stories that ship with the bot, each one a test."""

from __future__ import annotations

from functools import cache

import pytest

from tests.dialog.strategies import FLOWS, shipped_bot
from voicebot.dialog.coverage import FlowCoverage, coverage
from voicebot.dialog.rehearsal import rehearse
from voicebot.dialog.steps import ReachedStep
from voicebot.dialog.story import Story, load_stories

STORIES = load_stories(FLOWS / "stories", shipped_bot())


@cache
def shown() -> dict[str, FlowCoverage]:
    return coverage(shipped_bot(), [rehearse(shipped_bot(), story).shown for story in STORIES])


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.file}:{story.name}")
def test_a_shipped_story_goes_as_written(story: Story) -> None:
    rehearsed = rehearse(shipped_bot(), story)
    assert rehearsed.mismatch is None, "\n".join((f"{story.file}, {rehearsed.mismatch}", *rehearsed.lines))


def test_the_stories_reach_every_step_of_every_flow() -> None:
    assert {name: flow.unreached for name, flow in shown().items() if flow.unreached} == {}


def test_the_stories_tell_every_failure_of_a_system_where_it_is_called_and_every_refused_answer() -> None:
    assert {name: list(map(str, flow.untold)) for name, flow in shown().items() if flow.untold} == {}
    assert sum(len(flow.setbacks) for flow in shown().values()) > 60


def test_whatever_callers_can_ask_for_has_a_story_that_reaches_its_goal() -> None:
    for name, flow in shipped_bot().flows.items():
        goals = [step.id for step in flow.steps.values() if isinstance(step, ReachedStep)]
        if goals:
            assert any(shown()[name].steps[goal] for goal in goals), name
