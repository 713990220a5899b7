"""How much silence ends a turn: the one table of numbers behind `turn`, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from voicebot.dialog.expectation import AnswerKind, Expectation

#: What the end-of-turn model's probability is worth, as a share of the way from unfinished to finished. Set on one half
#: of the recorded orders with pauses put in and checked on the other: `scripts/bench/turns --only open`.
_SURENESS = ((0.3, 0.0), (0.9, 0.03), (0.965, 0.1), (0.97, 0.92), (0.99, 1.0))
#: After words that may be all, and as often are not.
MAYBE_MS = 800


@dataclass(frozen=True, slots=True)
class Patience:
    """Milliseconds of silence that end a turn, by what is known of it.

    `finished_ms` when it surely sounds finished, `unfinished_ms` when it sounds cut short, `unknown_ms` while the
    model has not answered.
    """

    finished_ms: int
    unknown_ms: int
    unfinished_ms: int
    #: After words that may be all, in a voice that sounds as if it went on.
    hardly_ms: int = MAYBE_MS

    def needed_ms(self, probability: float | None) -> int:
        """Return the silence needed at the model's probability (0 to 1) that the turn is finished."""
        if probability is None:
            return self.unknown_ms
        return round(self.unfinished_ms + _sureness(probability) * (self.finished_ms - self.unfinished_ms))

    def with_words_ms(self, enough_ms: int, probability: float | None) -> int:
        """Return the silence needed after words for which `enough_ms` would be enough, whatever the voice.

        Where the voice agrees with them it is less, though no less than a voice alone needs that surely has finished;
        where they only may be all and it goes on, it may be more.
        """
        if enough_ms == MAYBE_MS and probability is not None and probability < _GOES_ON:
            return min(self.needed_ms(probability), self.hardly_ms)
        agreed = probability is not None and probability >= _LIKELY
        agreed_ms = max(_AGREED_MS, self.finished_ms) if agreed else enough_ms
        return min(self.needed_ms(probability), enough_ms, agreed_ms)


def _sureness(probability: float) -> float:
    """Return 0 to 1, straight between the measured points."""
    if probability <= _SURENESS[0][0]:
        return 0.0
    for (low, share_low), (high, share_high) in pairwise(_SURENESS):
        if probability <= high:
            return share_low + (probability - low) / (high - low) * (share_high - share_low)
    return 1.0


PATIENCE: Mapping[AnswerKind, Patience] = MappingProxyType(
    {
        # People search for words in the middle of a request; the voice tells whether more is to come.
        AnswerKind.OPEN: Patience(220, 800, 1400, hardly_ms=1100),
        # "Yes" is whole at once, and the model knows little of single words, so that it hardly counts.
        AnswerKind.YES_NO: Patience(300, 350, 450),
        # Read from a list in the head or on paper: pauses between groups are as long as those at the end, and every
        # group sounds finished, so the model hardly counts. The expected length ends it sooner (`recognised_enough`).
        AnswerKind.DIGITS: Patience(1200, 1200, 1400),
        # Spelling is slower still: "B as in … Bravo".
        AnswerKind.ALPHANUMERIC: Patience(1300, 1300, 1600),
        # "The fourteenth … of October": one pause inside is common.
        AnswerKind.DATE: Patience(400, 600, 1000),
        AnswerKind.TIME: Patience(400, 600, 1000),
        AnswerKind.MONEY: Patience(400, 600, 1000),
        # First name, pause, last name.
        AnswerKind.NAME: Patience(450, 700, 1000),
        AnswerKind.CHOICE: Patience(300, 450, 500),
    }
)

#: After the whole expected answer was recognised only a breath is waited for, in case of "… no, wait".
ENOUGH_MS = 300
#: From this probability on the voice has likely finished: of 127 pauses at 0.93 to 0.965 28 were within a turn, of the
#: 93 after words that may be all 6 (docs/decisions/0003).
_LIKELY = 0.93
#: After words that may be all and a voice that has likely finished: by then the recogniser has heard ahead, so that the
#: words are those of now. A voice that likely has not holds words back no longer, since many flat ones sound so.
_AGREED_MS = 320
#: Below this probability the voice sounds as if it went on. Of 602 orders, half of them with a pause of up to a second
#: in their middle, 20 of the 54 that were cut off ended after words that may be all or not, most of them below it.
_GOES_ON = 0.5
#: After words that break off ("with a") at least so long is waited, whatever was asked.
BROKEN_OFF_MS = 1000


def patience_for(expectation: Expectation) -> Patience:
    """Return the patience for the likeliest kind of answer; an expectation without kinds is an open one."""
    return PATIENCE[expectation.kinds[0] if expectation.kinds else AnswerKind.OPEN]
