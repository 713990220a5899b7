"""A turn over a prompt: while its words are not known the prompt waits, paused, and then goes on or is dropped."""

from __future__ import annotations

from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import Expectation
from voicebot.language.backchannel import asks_for_nothing, calls_us

#: Whoever speaks before they can have heard anything of a reply does not answer it: in so little time, with the 300 ms
#: before the voice, they finish what they were saying when the turn was taken for ended ("yes … please").
_TAIL_MS = 1000
#: From hearing something to speaking, nobody is quicker than this.
_REACTION_S = 0.2
#: As much as comes before the voice in a turn's own times.
_BEFORE_VOICE_S = 0.3

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
        #: When the reply to the last turn began to be heard; None before.
        self.reply_began_s: float | None = None

    def asks_for_nothing(
        self,
        reading: Interpretation | None,
        expectation: Expectation,
        *,
        began_s: float,
        spoken_ms: int,
        question_unheard: bool,
    ) -> bool:
        """Tell whether the prompt should go on after `reading`, None without words, of `spoken_ms` of voice.

        `began_s` is when the turn began, on the clock of `reply_began_s`. `question_unheard` says that more prompts
        wait behind the one that was stopped.
        """
        voice_s = began_s + _BEFORE_VOICE_S
        unprovoked = self.reply_began_s is not None and voice_s < self.reply_began_s + _REACTION_S
        if unprovoked and spoken_ms <= _TAIL_MS and not (reading and calls_us(reading.text)):
            return True
        left_ms = _QUESTION_UNHEARD_MS if question_unheard else self.left_ms
        return asks_for_nothing(reading, expectation, self._drastic, spoken_ms=spoken_ms, left_ms=left_ms)
