"""A turn over a prompt: while its words are not known the prompt waits, paused, and then goes on or is dropped."""

from __future__ import annotations

from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import Expectation
from voicebot.language.backchannel import asks_for_nothing

#: With another prompt to come after the one that was stopped, as good as all of the question is still to come.
_QUESTION_UNHEARD_MS = 30_000


class TurnOverPrompt:
    """`drastic` are the intents that give up whatever the caller has under way."""

    def __init__(self, drastic: frozenset[str]) -> None:
        self._drastic = drastic
        #: A turn over a prompt is over, its words are not yet known: what was being said waits for them, paused.
        self.held = False
        #: Where the utterance that is heard was stopped last: how much of it was still to come.
        self.left_ms = 0

    def asks_for_nothing(
        self, reading: Interpretation | None, expectation: Expectation, *, spoken_ms: int, question_unheard: bool
    ) -> bool:
        """Tell whether the prompt should go on after `reading`, None without words, of `spoken_ms` of voice.

        `question_unheard` says that more prompts wait behind the one that was stopped.
        """
        left_ms = _QUESTION_UNHEARD_MS if question_unheard else self.left_ms
        return asks_for_nothing(reading, expectation, self._drastic, spoken_ms=spoken_ms, left_ms=left_ms)
