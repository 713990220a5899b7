"""What listeners say to show that they listen: over a prompt no wish to interrupt, after a question maybe an answer."""

from __future__ import annotations

import re

from voicebot.dialog.expectation import AnswerKind, Expectation

#: Sounds and words of agreement that ask for nothing, alone or several together.
_WORDS = frozenset(
    (
        "ah aha alright good great hm hmm huh i it gotcha got m-hm mhm mhmm mm mmhm mm-hm mm-hmm mmm oh ok okay right "
        "see sure uh uh-huh uhhuh uhm um well yeah yep yes yup"
    ).split()
)
#: These answer a yes-or-no question whenever they are said; the others only where it has been heard.
_PLAIN_YES = frozenset(("correct", "sure", "yep", "yes", "yup"))
#: With so little of a question left a caller knows what is asked.
_NEARLY_HEARD_MS = 1500

_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")


def only_backchannel(text: str) -> bool:
    """Return whether `text` has words, and only such as listeners say."""
    words = _WORD.findall(text.lower())
    return bool(words) and _WORDS.issuperset(words)


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
    return True
