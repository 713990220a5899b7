"""What the words of a turn so far say about its end, in the detector's terms."""

from __future__ import annotations

from voicebot.speech.listening.turn import TurnDetector

#: Completeness from which the caller is taken at their word.
WHOLE = 0.85
#: Silence after a request that seems whole: people go on after one more often than after a whole number.
REQUEST_MS = 440
#: Completeness from which a request seems whole; what is less may be, and as many callers go on.
SEEMS_WHOLE = 0.5
MAYBE_MS = 800
#: Frames of a pause, which is known after 160 ms, until the recogniser hears ahead: 240 ms of silence. Shorter ones are
#: mostly within a sentence.
LOOK_AHEAD_FRAMES = 4


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
