"""A turn detector and what it hears, frame by frame: no audio, no clock."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.speech.listening.events import (
    TurnEnded,
    TurnEvent,
)
from voicebot.speech.listening.turn import TurnDetector
from voicebot.speech.listening.vad import FRAME_MS, Activity

OPEN = Expectation("start", (AnswerKind.OPEN,))
DIGITS = Expectation("order", (AnswerKind.DIGITS,), lengths=(6,))
YES_NO = Expectation("sure", (AnswerKind.YES_NO,))

VOICED = Activity(speech=True, probability=0.9, level_dbfs=-20.0, noise_floor_dbfs=-60.0, sound=True)
SILENT = Activity(speech=False, probability=0.0, level_dbfs=-60.0, noise_floor_dbfs=-60.0)
SOFT = Activity(speech=False, probability=0.2, level_dbfs=-40.0, noise_floor_dbfs=-60.0, sound=True)
ECHO = Activity(speech=False, probability=0.9, level_dbfs=-40.0, noise_floor_dbfs=-60.0, echo=True)


def detector(expectation: Expectation = OPEN, *, prompt_playing: bool = False) -> TurnDetector:
    detector = TurnDetector()
    detector.begin(expectation, prompt_playing=prompt_playing)
    return detector


def feed(detector: TurnDetector, activity: Activity, duration_ms: int) -> list[TurnEvent]:
    return [event for _ in range(duration_ms // FRAME_MS) for event in detector.feed(activity)]


def until_ended(detector: TurnDetector) -> int:
    """Feed silence until the turn ends and return how many milliseconds of it that took."""
    for frames in range(1, 200):
        if any(isinstance(event, TurnEnded) for event in detector.feed(SILENT)):
            return frames * FRAME_MS
    pytest.fail("the turn never ended")


def kinds(events: Iterable[TurnEvent]) -> list[type[TurnEvent]]:
    return [type(event) for event in events]
