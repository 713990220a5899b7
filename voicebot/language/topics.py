"""Subjects that a person should hear of: legal, medical, money advice, complaints, distress, fraud; and "no person".

Rules rather than a model, for the same reason as in `mood`: an escalation must be able to say what it heard. They stand
in topic_cues.txt.
"""

from __future__ import annotations

from voicebot.dialog.escalation.topic import Topic
from voicebot.language.cues import load_cues

_CUES = load_cues("topic_cues.txt")
_PRESENT = 0.5
_NO_PERSON = "no_person"


def read_topics(text: str) -> frozenset[Topic]:
    """Return the subjects that a normalised text is about."""
    return frozenset(topic for topic in Topic if _CUES[topic.value].read(text)[0] >= _PRESENT)


def refuses_person(text: str) -> bool:
    """Tell whether a normalised text says that the caller wants no person."""
    return _CUES[_NO_PERSON].read(text)[0] >= _PRESENT
