"""Callers are told or asked that they are recorded, and what must not be recorded is not: by stories and by check."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from voicebot.dialog.actions import Say, StopRecording
from voicebot.dialog.check import check
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import CallerPressed, CallStarted, Continuation
from voicebot.dialog.finding import Severity
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import load_bot
from voicebot.dialog.recording import RecordingHold, RecordingPolicy
from voicebot.dialog.recording_rules import with_policy
from voicebot.dialog.rehearsal import rehearse
from voicebot.dialog.story import load_stories
from voicebot.errors import ConfigurationError

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ANNOUNCE = "recording: {policy: announce, announcement: This call is recorded.}\n"
ASK = "recording: {policy: ask, asks: may_we}\n"
MAY_WE = """\
flow: may_we
slots:
  agreed: yes_no
steps:
  - ask: agreed
    prompt: May we record this call?
    again: ["May we?"]
    keys: Press 1 for yes, 2 for no.
    gives_up:
      - recording: refused
      - done
  - if: agreed
    then:
      - recording: agreed
    else:
      - recording: refused
      - say: Then we won't.
"""
PAUSING = ("  - ask: pin\n", "  - recording: stop\n  - ask: pin\n")
RESUMING = ("  - if: late_days > 3\n", "  - recording: resume\n  - if: late_days > 3\n")

STORIES = """\
- story: announced before anything else
  steps:
    - bot: This call is recorded. Corner Library.
    - recording: announced
    - press: 1
    - bot: number
"""
ASKING = """\
- story: agreed
  steps:
    - bot: May we record this call?
    - recording: stopped
    - press: 1
    - recording: agreed
    - recording: resumed
    - bot: Corner Library. What can I do for you?
- story: refused, and served all the same
  steps:
    - recording: stopped
    - press: 2
    - recording: refused
    - bot: Then we won't. Corner Library.
    - press: 1
    - bot: What's your number?
- story: no answer is no yes
  steps:
    - silent
    - silent
    - recording: refused
    - bot: Corner Library.
- story: nobody records what is written
  channel: chat
  steps:
    - bot: Corner Library.
"""
KEYING = """\
- story: stopped before the PIN and resumed behind it
  steps:
    - press: 1
    - press: "1234"
    - press: 2
    - recording: stopped
    - press: "9876"
    - system: books.due
      gives: {title: Emma, due: 2026-03-20, late_days: 0, fee: 0}
    - recording: resumed
    - bot: Emma is due
"""
ABANDONED = """\
- story: a flow that is left takes its stop along
  steps:
    - press: 1
    - press: "1234"
    - press: 2
    - recording: stopped
    - press: 0
    - recording: resumed
    - person: asked
"""


def started(continues: Continuation | None = None) -> CallStarted:
    return CallStarted(AT, "twilio", "+12025550123", "", "UTC", 1, call_id="c1", continues=continues)


def bot_with(folder: Path, rules: str = "", *changes: tuple[str, str], flows: Mapping[str, str] | None = None) -> Path:
    bot = write_bot(folder)
    (bot / "bot.yaml").write_text((bot / "bot.yaml").read_text() + rules)
    renew = (bot / "renew.yaml").read_text()
    for old, new in changes:
        assert old in renew
        renew = renew.replace(old, new)
    (bot / "renew.yaml").write_text(renew)
    for name, text in (flows or {}).items():
        (bot / name).write_text(text)
    return bot


def told(folder: Path, stories: str) -> list[str]:
    """Play the stories and return where they went otherwise."""
    (folder / "stories").mkdir()
    (folder / "stories" / "recording.yaml").write_text(stories)
    bot = load_bot(folder)
    played = [rehearse(bot, story) for story in load_stories(folder / "stories", bot)]
    return [f"{one.story.name}: {one.mismatch}" for one in played if one.mismatch]


def test_an_announcement_comes_first_and_cannot_be_talked_over(tmp_path: Path) -> None:
    folder = bot_with(tmp_path, ANNOUNCE)
    assert told(folder, STORIES) == []
    conversation = Conversation(load_bot(folder))
    first = next(action for action in conversation.step(started()) if isinstance(action, Say))
    assert not first.interruptible


def test_who_is_asked_is_recorded_only_after_a_yes(tmp_path: Path) -> None:
    assert told(bot_with(tmp_path, ASK, flows={"may_we.yaml": MAY_WE}), ASKING) == []


def test_who_comes_back_is_asked_before_they_go_on(tmp_path: Path) -> None:
    conversation = Conversation(load_bot(bot_with(tmp_path, ASK, flows={"may_we.yaml": MAY_WE})))
    continued = conversation.step(started(Continuation("renew", "renew_books", {})))
    assert [action.text for action in continued if isinstance(action, Say)][-1] == "May we record this call?"
    assert StopRecording(RecordingHold.CONSENT) in continued
    after = conversation.step(CallerPressed(AT, "1"))
    assert "What's your number?" in [action.text for action in after if isinstance(action, Say)]


def test_a_step_stops_the_recording_and_another_resumes_it(tmp_path: Path) -> None:
    assert told(bot_with(tmp_path, "", PAUSING, RESUMING), KEYING) == []


def test_what_a_flow_stopped_goes_on_when_the_caller_leaves_it(tmp_path: Path) -> None:
    assert told(bot_with(tmp_path, "", PAUSING), ABANDONED) == []


def test_nothing_is_recorded_while_a_flow_runs_that_the_rules_name(tmp_path: Path) -> None:
    folder = bot_with(tmp_path, "recording: {pause_in: [renew]}\n")
    assert told(folder, ABANDONED.replace('    - press: "1234"\n    - press: 2\n', "")) == []
    conversation = Conversation(load_bot(folder))
    conversation.step(started())
    assert StopRecording(RecordingHold.POLICY) in conversation.step(CallerPressed(AT, "1"))


@pytest.mark.parametrize(
    ("rules", "changes", "finds", "severity"),
    [
        ("recording: {policy: announced}\n", (), "There is no policy of recording 'announced'.", Severity.ERROR),
        ("recording: {policy: announce}\n", (), "has no words for it", Severity.ERROR),
        ("recording: {policy: ask}\n", (), "no flow asks", Severity.ERROR),
        ("recording: {policy: ask, asks: may_wee}\n", (), "There is no flow 'may_wee'.", Severity.ERROR),
        ("recording: {pause_in: [renw]}\n", (), "There is no flow 'renw'.", Severity.ERROR),
        ("recording: {announcement: 'Hello {member}.'}\n", (), "'member' is not a slot here.", Severity.ERROR),
        ("recording: {policy: ask, asks: who}\n", (), "never says 'agreed'", Severity.ERROR),
        ("recording: {policy: ask, asks: who}\n", (), "never says 'refused'", Severity.ERROR),
        ("", (("  - ask: pin\n", "  - recording: pause\n  - ask: pin\n"),), "no order for the rec", Severity.ERROR),
        ("", (PAUSING,), "never resumes it", Severity.WARNING),
    ],
)
def test_a_mistake_about_recording_is_found_before_a_caller_finds_it(
    tmp_path: Path, rules: str, changes: tuple[tuple[str, str], ...], finds: str, severity: Severity
) -> None:
    found = check(bot_with(tmp_path, rules, *changes)).findings
    assert [(one.severity, bool(one.fix)) for one in found if finds in one.what] == [(severity, True)], found


def test_a_bot_that_asks_and_pauses_as_it_should_is_found_sound(tmp_path: Path) -> None:
    rules = "recording: {policy: ask, asks: may_we, pause_in: [renew]}\n"
    assert check(bot_with(tmp_path, rules, PAUSING, RESUMING, flows={"may_we.yaml": MAY_WE})).findings == ()


def test_the_settings_turn_on_what_the_bot_has_words_for(tmp_path: Path) -> None:
    bot: Bot = load_bot(bot_with(tmp_path, ANNOUNCE.replace("announce,", "always,")))
    assert with_policy(bot, None) is bot
    assert with_policy(bot, RecordingPolicy.ANNOUNCE).recording.policy is RecordingPolicy.ANNOUNCE
    with pytest.raises(ConfigurationError, match="no flow asks"):
        with_policy(bot, RecordingPolicy.ASK)
