"""What is kept of the bot's turns, told by the line's events."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from tests.fakes.journal import MemoryJournal
from voicebot.calls.turns import TurnLog
from voicebot.dialog.actions import Say
from voicebot.media.events import SpeakingBegan, SpeakingEnded
from voicebot.records.metrics import Metrics

pytestmark = pytest.mark.virtual_time


def test_words_that_nobody_heard_stand_where_the_bot_was_interrupted() -> None:
    journal = MemoryJournal()
    turns = TurnLog("c1", journal, Metrics(CollectorRegistry()), started_s=100.0)
    for utterance_id in ("answer", "question", "goodbye"):
        turns.bot_says(utterance_id, Say(utterance_id, ()), utterance_id)
    turns.speaking_began(SpeakingBegan("answer", queued_s=120.0, at_s=120.0))
    turns.speaking_ended(SpeakingEnded("answer", heard_ms=15_000, heard_text="ans", cut=True, at_s=135.0))
    turns.speaking_ended(SpeakingEnded("question", heard_ms=0, heard_text="", cut=True, at_s=135.1))
    turns.never_spoken("goodbye")
    assert [(turn.text, turn.at_ms, turn.heard_text) for turn in journal.turns] == [
        ("answer", 20_000, "ans"),
        ("question", 35_100, ""),
        ("goodbye", 35_100, ""),
    ]


def test_keys_take_from_the_first_to_the_last() -> None:
    journal = MemoryJournal()
    turns = TurnLog("c1", journal, Metrics(CollectorRegistry()), 100.0)
    turns.caller_pressed("4271", 109.0, began_s=105.5, secret=False)
    turns.close()
    (turn,) = journal.turns
    assert (turn.engine, turn.at_ms, turn.heard_ms) == ("keys", 5500, 3500)
