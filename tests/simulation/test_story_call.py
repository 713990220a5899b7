from __future__ import annotations

import asyncio
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from voicebot.dialog.loader import load_bot
from voicebot.dialog.rehearsal import rehearse
from voicebot.dialog.story import Happening, Story, load_stories
from voicebot.errors import BackendUnavailable
from voicebot.simulation.story_call import judge, misheard, unspeakable
from voicebot.simulation.story_system import StorySystem

FLOWS = Path(__file__).parents[2] / "flows"
BOT = load_bot(FLOWS)
STORIES = {story.name: story for story in load_stories(FLOWS / "stories", BOT)}
OPEN_TODAY = STORIES["Open today"]
BALANCE = STORIES["The balance, with account number and PIN keyed"]


def telling(story: Story) -> StorySystem:
    system = StorySystem(frozenset(BOT.operations), lambda: 0.0)
    system.tell(story)
    return system


def test_a_storys_system_gives_its_answers_in_order() -> None:
    system = telling(BALANCE)
    arguments = {"account_number": "400121", "pin": "4071"}
    first = asyncio.run(system.call("customers.authenticate", arguments, idempotency_key=None))
    assert first.result == {"customer_name": "Maria Keller"}
    assert system.unasked == ("accounts.balance",)
    assert system.surprises == []


def test_a_request_that_the_story_does_not_have_is_told_and_gets_no_answer() -> None:
    system = telling(BALANCE)
    with pytest.raises(BackendUnavailable):
        asyncio.run(system.call("orders.status", {}, idempotency_key=None))
    assert system.surprises == ["asked for orders.status, expected customers.authenticate"]


def test_another_argument_than_the_storys_is_told() -> None:
    system = telling(BALANCE)
    arguments = {"account_number": "400129", "pin": "4071"}
    asyncio.run(system.call("customers.authenticate", arguments, idempotency_key=None))
    assert "another 'account_number' than 400121" in system.surprises[0]


def test_a_story_is_told_at_its_own_time() -> None:
    assert telling(OPEN_TODAY).now(ZoneInfo("UTC")).isoformat() == "2026-03-02T10:00:00-05:00"


def test_stories_that_nobody_can_act_by_telephone_are_named() -> None:
    reasons = {name: unspeakable(story) for name, story in STORIES.items()}
    assert reasons["Open today"] == ""
    assert any(Happening.NOT_HEARD in str(STORIES[name].steps) for name, why in reasons.items() if "recogniser" in why)


def test_exchanges_are_what_the_bot_says_to_each_thing_the_caller_does() -> None:
    exchanges = rehearse(BOT, OPEN_TODAY).exchanges
    assert [exchange.caller is None for exchange in exchanges] == [True, False]
    assert exchanges[1].said[0] == "We're open today from 9 AM to 5 PM."


def record(**changes: object) -> dict[str, object]:
    turns = [{"speaker": "caller", "text": "what time do you clothes today", "secret": False, "slots": {}}]
    return {"turns": turns, "outcome": "completed", "goal": "opening_hours", "goal_reached": True} | changes


def test_a_record_without_the_goal_or_with_another_end_is_a_problem() -> None:
    assert judge(OPEN_TODAY, record()) == []
    assert judge(OPEN_TODAY, record(goal_reached=False)) == ["the goal 'opening_hours' was not reached"]
    assert "not 'completed'" in judge(BALANCE, record(outcome="abandoned"))[0]


def test_a_line_that_was_heard_otherwise_is_told_with_what_was_heard() -> None:
    (found,) = misheard(OPEN_TODAY, record())
    assert (found.said, found.heard) == ("what time do you close today", "what time do you clothes today")
