"""Whether words heard so far already say all that was asked for, so that the end of the turn need not be waited out."""

from __future__ import annotations

from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.endings import Endings

#: Nobody ends a sentence on these; something follows.
_DANGLING = frozenset(
    (
        "a an and are about at because but by can could for from have i i'd i'm if in is it's like my need no of on "
        "or so that the then this to uh um want was what when where with would your"
    ).split()
)
#: After these something must follow: an article, a possessive, a preposition or a conjunction alone says nothing. Those
#: that also end sentences ("where are you from", "turn it off", "i do not know what for") are not among them.
_UNFINISHED = frozenset("a an and at because but i i'd i'll i'm if my of on or our the their to with your".split())
#: "Hold on", "turn it on": what "on" ends.
_BEFORE_ON = frozenset("come go going hang hold it that turn turned".split())
#: What is returned of them.
MORE_FOLLOWS = -1.0
_SPELT = (AnswerKind.DIGITS, AnswerKind.ALPHANUMERIC)
_MOMENTS = (AnswerKind.DATE, AnswerKind.TIME)
_PART_OF_DAY = "part_of_day"
#: Days that need neither month nor year.
_DAYS = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday today tonight tomorrow mondays tuesdays week".split()
)
#: What people put behind a day or time that is whole.
_AFTERTHOUGHTS = frozenset("good great if is i guess please possible suits thank thanks think would works you".split())
#: A request this surely understood may be whole, whatever the voice sounds like.
_SURE = 0.85
#: Fewer words may be only the opening ("hello", "good morning").
_FEWEST_WORDS = 3
#: What a whole request counts for: people go on after one more often than after a whole number.
_REQUEST = 0.6
#: And one with which as many examples go on as end ("a coffee", "a coffee with milk").
_MAYBE = 0.3
#: From this share of examples that end with the same words on, a request is taken for whole.
_ENDS = 0.8


def completeness(reading: Interpretation, expectation: Expectation, endings: Endings) -> float:
    """Return 0 to 1: how likely the words of `reading` are all that the caller has to say to `expectation`.

    0.0 means that nothing speaks for it, `MORE_FOLLOWS` that they break off ("with a", "and my"). Digits count as whole
    only at an allowed length, with nothing behind them. A day named by its weekday or as today's neighbour may be
    whole, and so may a time; a day of a month is not, since its month or year may follow. A request breaks off with
    words with which, as `endings` know, no example of one ends.
    """
    words = reading.text.split()
    if not words:
        return 0.0
    if words[-1] in _UNFINISHED and not (words[-1] == "on" and words[-2:-1] and words[-2] in _BEFORE_ON):
        return MORE_FOLLOWS
    if words[-1] in _DANGLING:
        return 0.0
    kinds = expectation.kinds
    first = kinds[0] if kinds else AnswerKind.OPEN
    if first in _SPELT and any(entity.kind in _SPELT for entity in reading.entities):
        return _spelt(reading, expectation)
    if first in _MOMENTS and _is_moment(reading, first):
        return _REQUEST
    if first is AnswerKind.YES_NO and reading.affirmative is not None and len(words) <= 3:
        return 1.0
    if AnswerKind.OPEN in kinds and len(words) >= _FEWEST_WORDS:
        return _requested(reading, endings.chance(words), only=first is AnswerKind.OPEN)
    return 0.0


def _requested(reading: Interpretation, ends: float | None, *, only: bool) -> float:
    """Return the completeness of a request whose last words are the `ends` share of examples' last ones.

    `only` says that nothing but a request was asked for.
    """
    if ends == 0.0 and only:
        return MORE_FOLLOWS
    if not reading.intents or reading.intents[0].confidence < _SURE:
        return 0.0
    return _REQUEST if ends is None or ends >= _ENDS else _MAYBE


def _is_moment(reading: Interpretation, asked: AnswerKind) -> bool:
    """Return whether `reading` names the day or time that was asked for and, courtesies apart, ends with one."""
    named = [entity for entity in reading.entities if entity.kind in _MOMENTS or entity.kind == _PART_OF_DAY]
    if not any(entity.kind == asked for entity in named):
        return False
    if asked is AnswerKind.DATE and _DAYS.isdisjoint(reading.text.split()):
        return False
    after = reading.text[max(entity.end for entity in named) :].split()
    return _AFTERTHOUGHTS.issuperset(after)


def _spelt(reading: Interpretation, expectation: Expectation) -> float:
    if not expectation.lengths:
        return 0.0
    longest = max(expectation.lengths)
    for entity in reading.entities:
        if entity.kind in _SPELT and len(str(entity.value)) == longest and entity.end >= len(reading.text.rstrip()):
            return 1.0
    return 0.0
