"""Which number or code a caller gave, when the recogniser has many readings of it.

What was heard first is often wrong in one digit, and the right number is among the other readings. A type's length,
pattern and check digit rule most of them out where the answer is read; the rest are kept here in their order, so that
where a system knows no such number the next is tried, and what the caller says no to is not offered again. A second
attempt adds its evidence to that of the first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from voicebot.dialog.events import SlotValue

#: So many readings of one answer are tried at a system before it counts as unknown there; further ones are unlikely,
#: and the caller waits meanwhile.
MOST_TRIED = 10


@dataclass(frozen=True, slots=True)
class Spelled:
    """The readings of an answer, each with its weight beside the likeliest of its attempt (0 to 1), likeliest first.

    `heard` is what the recogniser liked best, whether it could be or not, `first` what the slot held first, `taken`
    what it holds now. `denied` are values that the caller or a system said it is not, `tries` how many a system denied
    in this attempt.
    """

    heard: SlotValue
    first: SlotValue
    taken: SlotValue
    readings: tuple[tuple[SlotValue, float], ...]
    denied: frozenset[SlotValue] = frozenset()
    tries: int = 0
    #: Whether the caller, having said no, was offered another one; a third would try their patience.
    offered_again: bool = False

    @property
    def guessed(self) -> bool:
        return self.taken != self.heard

    def after(self, earlier: Spelled | None) -> Spelled | None:
        """Return this attempt with the evidence of an `earlier` one that came to nothing; None when nothing is left."""
        if earlier is None or earlier.taken not in earlier.denied:
            return self
        weights = dict(earlier.readings)
        for value, weight in self.readings:
            weights[value] = weights.get(value, 0.0) + weight
        ranked = sorted(weights.items(), key=lambda reading: -reading[1])
        left = [value for value, _ in ranked if value not in earlier.denied]
        return Spelled(self.heard, left[0], left[0], tuple(ranked), earlier.denied) if left else None

    def without_taken(self) -> Spelled:
        """Return this with the value that was taken denied; the slot's own value is the caller's to change."""
        return replace(self, denied=self.denied | {self.taken})

    def given_up(self) -> Spelled:
        """Return this with the first reading taken again and all that were tried denied."""
        return replace(self.without_taken(), taken=self.first, offered_again=True)

    def next_offer(self) -> Spelled | None:
        """Return this with the next reading taken after the caller said no to the present one; None if it is none."""
        following = next((value for value, _ in self.readings if value not in self.denied), None)
        if following is None or self.taken not in self.denied or self.offered_again:
            return None
        return replace(self, taken=following, tries=0, offered_again=True)

    def next_try(self) -> Spelled | None:
        """Return this with the next reading taken, the present one being denied; None after the last worth a try."""
        following = next(
            (value for value, _ in self.readings if value not in self.denied and value != self.taken), None
        )
        if following is None or self.tries + 1 >= MOST_TRIED:
            return None
        return replace(self.without_taken(), taken=following, tries=self.tries + 1)
