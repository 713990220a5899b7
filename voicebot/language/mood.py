"""How a caller feels: sentiment, frustration and urgency of a turn, from the words, and their trend over a call.

Rules rather than a model: an escalation must be able to say which words it heard. They stand in mood_cues.txt and were
made on the odd rows of tests/language/mood.tsv; docs/benchmarks.md has what they score on the rows held back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from voicebot.dialog.events import Mood

_WORDS_FOR = {
    "NUMBER": "(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|[0-9]+)",
    "STRETCH": "(?:minutes?|hours?|days?|weeks?|months?|years?)",
}
_MOODS = ("frustrated", "negative", "positive", "urgent")


@dataclass(frozen=True, slots=True)
class _Cues:
    """The phrases of one mood by how sure a sign they are, and those that only look like it."""

    signs: tuple[tuple[float, re.Pattern[str]], ...]
    struck_out: re.Pattern[str] | None

    def read(self, text: str) -> tuple[float, list[str]]:
        """Return how sure the mood is, each sign counting as independent evidence, and the words of the signs."""
        if self.struck_out:
            text = self.struck_out.sub(" ", text)
        doubt, heard = 1.0, []
        for weight, phrases in self.signs:
            for found in phrases.finditer(text):
                doubt *= 1 - weight
                heard.append(found.group())
        return 1 - doubt, heard


def _load(text: str) -> dict[str, _Cues]:
    """Read the cue file."""
    sections: dict[str, list[str]] = {}
    phrases: list[str] = []
    for line in text.splitlines():
        if line.startswith("["):
            phrases = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            phrases.append(line)
    signs: dict[str, list[tuple[float, re.Pattern[str]]]] = {mood: [] for mood in _MOODS}
    struck_out: dict[str, re.Pattern[str]] = {}
    for title, lines in sections.items():
        first, second = title.split()
        if first == "not":
            struck_out[second] = _any_of(lines)
        else:
            signs[first].append((float(second), _any_of(lines)))
    return {mood: _Cues(tuple(signs[mood]), struck_out.get(mood)) for mood in _MOODS}


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    joined = "|".join(phrases)
    for name, words in _WORDS_FOR.items():
        joined = joined.replace(name, words)
    return re.compile(rf"(?<!\S)(?:{joined})(?!\S)")


_CUES = _load(resources.files("voicebot.language").joinpath("mood_cues.txt").read_text(encoding="utf-8"))


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
