"""What makes an answer a no, and what stands around a value without adding to it."""

from __future__ import annotations

import re

from voicebot.dialog.events import Interpretation
from voicebot.dialog.flow import spoken_words

#: What stands around a value that is said once more, and adds nothing to it.
_AROUND_A_VALUE = frozenset(
    "no nope nah oh um uh well wait sorry yes i said say mean meant want wanted it it's its that's make was is at on"
    " for the to of please actually exactly".split()
)
#: With these a value that was offered is turned down: "no, four is too late".
_TURNS_DOWN = re.compile(r"\b(?:too|not|never|no good|bad|impossible|(?:do|does|is|wo|ca|could|would)n't|cannot)\b")
#: "I don't have one", where that leads somewhere.
_HAS_NONE = re.compile(
    r"\b(?:(?:don't|do not|haven't|never) (?:have|know|got|had|remember|recall)"
    r"|(?:can't|cannot) (?:remember|find|recall)|forgot|forgotten|lost) (?:it|one|any|that|the|my|mine|a)\b"
)
_NEITHER = frozenset({"neither", "neither of them", "none", "none of them", "none of those", "something else"})


def declines(said: Interpretation) -> bool:
    """Whether the answer is a no, or that the caller has none of what is asked for."""
    is_none = spoken_words(said.text) in _NEITHER or _HAS_NONE.search(said.text) is not None
    return said.affirmative is False or is_none


def turns_down(said: Interpretation) -> bool:
    """Whether a value in the answer is named to say no to it."""
    return said.affirmative is False and _TURNS_DOWN.search(said.text) is not None


def adds_nothing(words: str) -> bool:
    """Whether the words around a value say no more than the value itself."""
    return set(spoken_words(words).split()) <= _AROUND_A_VALUE
