"""How a caller feels: sentiment, frustration and urgency of a turn, from the words, and their trend over a call.

Rules rather than a model: an escalation must be able to say which words it heard. They stand in mood_cues.txt and were
made on the odd rows of tests/language/mood.tsv; docs/benchmarks.md has what they score on the rows held back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voicebot.dialog.events import Mood
from voicebot.language.cues import load_cues

_CUES = load_cues("mood_cues.txt")


#: From here on a mood is there.
_PRESENT = 0.5
#: Sentiment beyond this is no longer neutral.
_MARKED = 0.3


@dataclass(frozen=True, slots=True)
class Trend:
    """Where a call is going: recent level of each mood, and how far it moved from its beginning (-2 to 2)."""

    mood: Mood
    sentiment_change: float
    frustration_change: float


def read_mood(text: str) -> Mood:
    """Return the mood of a normalised text."""
    frustration, angry = _CUES["frustrated"].read(text)
    negative, bad = _CUES["negative"].read(text)
    positive, good = _CUES["positive"].read(text)
    urgency, pressing = _CUES["urgent"].read(text)
    # Politeness beside anger is still anger.
    pleased = min(positive, 0.2) if angry else positive
    sentiment = pleased - 1 + (1 - negative) * (1 - frustration)
    return Mood(sentiment, frustration, urgency, tuple(dict.fromkeys(angry + bad + good + pressing)))


def is_frustrated(mood: Mood) -> bool:
    return mood.frustration >= _PRESENT


def is_urgent(mood: Mood) -> bool:
    return mood.urgency >= _PRESENT


def sentiment_label(mood: Mood) -> str:
    """Return "negative", "neutral" or "positive"."""
    return "negative" if mood.sentiment <= -_MARKED else "positive" if mood.sentiment >= _MARKED else "neutral"


def trend(moods: Sequence[Mood], *, memory: float = 0.6) -> Trend:
    """Return the trend over a call's turns, oldest first; each turn back counts `memory` times the one after it."""
    if not moods:
        return Trend(Mood(), 0.0, 0.0)
    recent = _blend(moods, [memory**age for age in range(len(moods) - 1, -1, -1)])
    first = _blend(moods, [memory**age for age in range(len(moods))])
    return Trend(recent, recent.sentiment - first.sentiment, recent.frustration - first.frustration)


def _blend(moods: Sequence[Mood], weights: Sequence[float]) -> Mood:
    total = sum(weights)

    def mean(values: Iterable[float]) -> float:
        return sum(weight * value for weight, value in zip(weights, values, strict=True)) / total

    return Mood(
        mean(mood.sentiment for mood in moods),
        mean(mood.frustration for mood in moods),
        mean(mood.urgency for mood in moods),
    )
