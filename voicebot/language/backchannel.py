"""What listeners say to show that they listen: over a prompt no wish to interrupt, after a question maybe an answer."""

from __future__ import annotations

import re

from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation

#: Sounds and words of agreement that ask for nothing, alone or several together.
_WORDS = frozenset(
    (
        "ah aha alright good great hm hmm huh i it gotcha got m-hm mhm mhmm mm mmhm mm-hm mm-hmm mmm oh ok okay right "
        "see sure uh uh-huh uhhuh uhm um well yeah yep yes yup"
    ).split()
)
#: What is left of "yes, please" or "okay, thank you" when its first word has been answered already.
_COURTESIES = frozenset(("please", "thank", "thanks", "you"))
#: These answer a yes-or-no question whenever they are said; the others only where it has been heard.
_PLAIN_YES = frozenset(("correct", "sure", "yep", "yes", "yup"))
#: One of these asks for something, whatever else was understood.
_CALLS = frozenset("agent excuse hang hello help hold no operator pardon repeat sorry stop wait what".split())
#: With so little of a question left a caller knows what is asked.
_NEARLY_HEARD_MS = 1500

#: A voice over a prompt, with the 300 ms before it, that says so little in so short a time is a mumble; one that says
#: more has not been understood, and is asked again.
_MUMBLE_MS = 1500
_MUMBLED_WORDS = 2
#: Over a prompt, what gives up everything under way must be understood better than this.
_DRASTIC_CONFIDENCE = 0.9

_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")


def only_backchannel(text: str) -> bool:
    """Return whether `text` has words, and only such as listeners say."""
    words = _WORD.findall(text.lower())
    return bool(words) and (_WORDS | _COURTESIES).issuperset(words)


def calls_us(text: str) -> bool:
    """Return whether a word of `text` asks us to stop, to help or to say something again."""
    return not _CALLS.isdisjoint(_WORD.findall(text.lower()))


def asks_for_nothing(
    reading: Interpretation | None,
    expectation: Expectation,
    drastic: frozenset[str],
    *,
    spoken_ms: int,
    left_ms: int,
) -> bool:
    """Return whether what was said over a prompt leaves the prompt as it is.

    `reading` is the likeliest one, None if no words were found in the `spoken_ms` of voice; `left_ms` of the prompt
    were still to come. Besides backchannels that is a short sound in which nothing was understood:
    a recogniser finds a word or two in most. An intent that gives up everything, one of `drastic`, is taken from no
    doubtful turn: who meant it says it again, who did not would have lost the call.
    """
    if reading is None:
        return spoken_ms <= _MUMBLE_MS
    if only_backchannel(reading.text):
        return is_backchannel(reading.text, expectation, left_ms=left_ms)
    understood = (
        reading.intents or reading.entities or reading.affirmative is not None or _chooses(reading, expectation)
    )
    words = reading.text.split()
    if reading.intents and (top := reading.intents[0]).intent in drastic:
        return top.confidence < _DRASTIC_CONFIDENCE or (len(words) == 1 and left_ms > _NEARLY_HEARD_MS)
    mumbled = spoken_ms <= _MUMBLE_MS and len(words) <= _MUMBLED_WORDS and not calls_us(reading.text)
    return mumbled and not understood and left_ms > _NEARLY_HEARD_MS


def _chooses(reading: Interpretation, expectation: Expectation) -> bool:
    """Return whether one of the expectation's phrases is among the words ("it's lost" where "lost" is offered)."""
    said = f" {' '.join(_WORD.findall(reading.text.lower()))} "
    return any(f" {' '.join(_WORD.findall(phrase.lower()))} " in said for phrase in expectation.phrases)


def is_backchannel(text: str, expectation: Expectation, *, left_ms: int) -> bool:
    """Return whether `text`, said over a prompt of which `left_ms` were still to come, leaves the prompt as it is.

    What the expectation takes for an answer is none: a choice among its phrases, a plain "yes" to a yes-or-no question,
    and "okay" or "uh-huh" once the question has nearly been heard.
    """
    if not only_backchannel(text):
        return False
    words = _WORD.findall(text.lower())
    if " ".join(words) in {phrase.lower() for phrase in expectation.phrases}:
        return False
    if AnswerKind.YES_NO in expectation.kinds:
        return left_ms > _NEARLY_HEARD_MS and _PLAIN_YES.isdisjoint(words)
    # At the end of a question "thank you" is a reply to it.
    return left_ms > _NEARLY_HEARD_MS or _COURTESIES.isdisjoint(words)
