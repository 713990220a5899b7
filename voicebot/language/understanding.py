"""From what a recogniser heard to what the dialog can decide on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.encoder import SentenceEncoder
from voicebot.language.entities.finder import find_entities
from voicebot.language.entities.yes_no import affirmative
from voicebot.language.intents import IntentClassifier
from voicebot.language.validation import Threshold
from voicebot.language.words import normalise


class Understanding:
    """Reads utterances for one version of a bot's flows.

    Immutable after construction: no I/O, safe from any thread, a millisecond or two per reading, so it may run on the
    event loop. Construction trains the intents (under a second for a few hundred examples): do it in a thread.
    """

    def __init__(self, intents: Mapping[str, tuple[str, ...]], encoder: SentenceEncoder | None = None) -> None:
        """Take example sentences by intent name; five to ten each are enough.

        Without an `encoder` requests are understood by their words alone; whoever builds this says so to the operator.
        """
        self._classifier = IntentClassifier(intents, encoder)

    @property
    def threshold(self) -> Threshold:
        """The confidence under which a request is "none", with the validation figures behind it."""
        return self._classifier.threshold

    def interpret(
        self, heard: Sequence[tuple[str, float]], expectation: Expectation, now: datetime
    ) -> tuple[Interpretation, ...]:
        """Read each of the recogniser's alternatives (text, confidence 0 to 1), in their order.

        `now` is the time in the caller's zone; dates and times are read relative to it. Alternatives that normalise to
        the same text are read once, with the higher confidence. Nothing heard gives an empty tuple.
        """
        best: dict[str, float] = {}
        for text, confidence in heard:
            plain = normalise(text)
            if plain:
                best[plain] = max(confidence, best.get(plain, 0.0))
        return tuple(self._read(text, confidence, expectation, now) for text, confidence in best.items())

    def _read(self, text: str, confidence: float, expectation: Expectation, now: datetime) -> Interpretation:
        found = find_entities(text, expectation, now)
        return Interpretation(
            text=text,
            confidence=confidence,
            intents=self._classifier.classify(text),
            entities=found.entities,
            affirmative=affirmative(text, expected=AnswerKind.YES_NO in expectation.kinds),
            correction=found.correction,
        )
