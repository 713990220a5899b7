"""What is left of a request once greetings, fillers and courtesy around it are taken away."""

from __future__ import annotations

import re

from voicebot.language.words import FILLERS

_OPENINGS = re.compile(
    r"^(?:(?:hello|hi|hey|hiya|good (?:morning|afternoon|evening|day)|howdy|greetings|there|yes|yeah|okay|ok|right|so|"
    r"well|oh|look|listen|now|and|please|excuse me|sorry|um|uh|er|erm|ah|hmm|"
    r"(?:my name is|my name's|this is|it's|i'm) (?:mr |mrs |ms |doctor )?[\w']+"
    r"(?: (?!and\b|i\b|i'm\b|i'd\b|calling\b)[\w']+)?"
    r"(?: here)?(?: and| calling|(?= i\b| i'd\b| i'm\b)))\s+)+"
)
_CLOSINGS = re.compile(r"(?:\s+(?:please|thanks|thank you|very much|thank you very much|if you can|if possible))+$")


_JOINTS = re.compile(
    r"\s+(?:and (?:also|then|after that|while (?:i'm|we're) at it)|also|and|plus|but (?:first|also)|before that|"
    r"as well as|another thing)\s+"
)
#: Fewer words are a part of a phrase ("salt and pepper"), not a request.
_SHORTEST_CLAUSE = 2


def split_clauses(text: str) -> tuple[str, ...]:
    """Return the parts of a normalised text that may be requests of their own; one part when it is not divided."""
    parts = tuple(part for part in _JOINTS.split(text) if part)
    return parts if len(parts) > 1 and all(len(part.split()) >= _SHORTEST_CLAUSE for part in parts) else (text,)


def bare_request(text: str) -> str:
    """Return a normalised text without fillers and courtesy around a request; empty only for an empty text."""
    kept = " ".join(word for word in text.split() if word not in FILLERS) or text
    shorter = _CLOSINGS.sub("", _OPENINGS.sub("", kept + " ").strip())
    return shorter or kept
