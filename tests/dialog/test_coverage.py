"""What stories show of a bot: its steps, the failures of its systems, and the answers it refuses."""

from __future__ import annotations

from pathlib import Path

from tests.dialog.small_bot import write_bot
from voicebot.dialog.coverage import FlowCoverage, coverage
from voicebot.dialog.loader import load_bot
from voicebot.dialog.rehearsal import rehearse
from voicebot.dialog.story import load_stories

RENEWED = """\
- story: Renewed, after a Sunday
  steps:
    - press: "1"
    - press: "1234"
    - press: "2"
    - press: "4711"
    - system: books.due
      gives: {title: Dune, due: 2026-03-05, late_days: 0}
    - press: "1"
    - caller: on sunday
      means: {date: 2026-03-08}
    - bot: We're closed on Sundays.
    - press: "0309"
    - press: "1"
    - system: books.renew
      gives: {due: 2026-03-09}
    - goal: renew_books
"""
NO_LOAN = """\
- story: Nothing was borrowed
  steps:
    - press: "1"
    - press: "123"
    - bot: It has four digits.
    - press: "1234"
    - press: "2"
    - press: "4711"
    - system: books.due
      answers: nothing_due
    - press: "1"
    - press: "4711"
    - system: books.due
      answers: unavailable
    - bot: Our system is down.
"""


def shown(folder: Path, stories: str) -> dict[str, FlowCoverage]:
    bot = load_bot(write_bot(folder))
    (folder / "stories").mkdir(exist_ok=True)
    (folder / "stories" / "told.yaml").write_text(stories, encoding="utf-8")
    rehearsed = [rehearse(bot, story) for story in load_stories(folder / "stories", bot)]
    assert [one.mismatch for one in rehearsed] == [None] * len(rehearsed)
    return coverage(bot, [one.shown for one in rehearsed])


def untold(flow: FlowCoverage) -> list[str]:
    return [str(setback) for setback in flow.untold]


def test_a_good_path_alone_leaves_failures_and_refusals_untold(tmp_path: Path) -> None:
    flows = shown(tmp_path, RENEWED)
    assert untold(flows["renew"]) == [
        'pin: "It has four digits."',
        "call_books_due: unknown",
        "call_books_due: nothing_due",
        "call_books_due: unavailable",
        'day: "That day has passed."',
        "call_books_renew: unavailable",
    ]
    assert untold(flows["who"]) == ['member: "It has four digits."']


def test_a_failure_counts_where_the_system_was_called_and_a_refusal_where_it_was_asked(tmp_path: Path) -> None:
    flows = shown(tmp_path, RENEWED + NO_LOAN)
    assert untold(flows["renew"]) == [
        'pin: "It has four digits."',
        "call_books_due: unknown",
        'day: "That day has passed."',
        "call_books_renew: unavailable",
    ]
    assert untold(flows["who"]) == []


def test_steps_that_no_story_reaches_are_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    flows = shown(tmp_path, RENEWED)
    assert flows["sorry"].unreached == ("say", "end")
    assert flows["welcome"].unreached == ()
