"""What the words of a turn so far say about its end, in the detector's terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voicebot.speech.listening.patience import MAYBE_MS
from voicebot.speech.listening.turn import TurnDetector

#: Completeness from which the caller is taken at their word.
WHOLE = 0.85
#: Silence after a request that seems whole: people go on after one more often than after a whole number.
REQUEST_MS = 440
#: Completeness from which a request seems whole; what is less may be, and as many callers go on.
SEEMS_WHOLE = 0.5
#: Frames of a pause, which is known after 160 ms, until the recogniser hears ahead: 240 ms of silence. Shorter ones are
#: mostly within a sentence.
LOOK_AHEAD_FRAMES = 4


#: What words count for whose readings differ in whether they are all.
_READINGS_DIFFER = 0.3


def said_so_far(text: str, others: Sequence[str], whole: Callable[[str], float]) -> float:
    """Return how likely what was heard is all that the caller has to say, 0 to 1; negative where it breaks off.

    `whole` tells that of one reading, `text` the likeliest. Where that tells nothing, another may be what was said
    ("check my account balance" for "take my account"): the dialog looks for an answer among the `others`, too. Where it
    seems whole and others break off, its last word may be a guess at half of one ("with sweet" for "with some"); where
    all of them do, words tell nothing.
    """
    said = whole(text) if text else 0.0
    if said < 0 or 0 < said < SEEMS_WHOLE:
        return said
    as_others = [whole(other) for other in others]
    broken_off = sum(as_other < 0 for as_other in as_others)
    if said == 0.0:
        return _READINGS_DIFFER if not broken_off and max(as_others, default=0.0) >= SEEMS_WHOLE else 0.0
    if not broken_off:
        return said
    return 0.0 if broken_off == len(as_others) else _READINGS_DIFFER


def tell_words(turns: TurnDetector, said: float) -> None:
    """Have the caller's pause end by their words as far as they tell.

    `said` is how likely the words so far are all that they have to say, 0 to 1; negative where they break off.
    """
    if said >= WHOLE:
        turns.recognised_enough()
    elif said > 0:
        turns.recognised_enough(after_ms=REQUEST_MS if said >= SEEMS_WHOLE else MAYBE_MS)
    else:
        turns.recognised_part(broken_off=said < 0)
