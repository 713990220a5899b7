"""The words of a turn over a prompt, and whether they let the prompt go on, as in a call."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from _listener import Heard
from _recogniser import Recogniser

from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import Domain, Expectation
from voicebot.language.backchannel import asks_for_nothing
from voicebot.language.understanding import Understanding
from voicebot.simulation.sounds import Wave
from voicebot.speech.listening.events import BargeInConfirmed, BargeInRetracted, TurnEnded

_NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
#: The recogniser hears so much after the last voiced frame before a turn is ended.
_TAIL_SAMPLES = 2400


class Words:
    """One bot's recogniser, the embedded one; without `understanding` every word is taken as not understood."""

    def __init__(self, domain: Domain, understanding: Understanding | None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="voicebot-bench-")
        self._recogniser = Recogniser({"engine": "sphinx"}, Path(self._folder.name))
        self._domain = self._recogniser.compile(domain.requests, domain.expectations)
        self._understanding = understanding

    def let_the_prompt_go_on(self, near: Wave, heard: Heard, expectation: Expectation) -> bool:
        """Return whether the prompt goes on after what `heard` tells of the caller's side, `near`."""
        events = [event for _, event in heard.events]
        confirmed = any(isinstance(event, BargeInConfirmed) for event in events)
        if not confirmed:
            return not events or any(isinstance(event, BargeInRetracted) for event in events)
        ended = next((event for event in events if isinstance(event, TurnEnded)), None)
        if ended is None:
            return False
        hypotheses = self._recogniser.hear(
            near[ended.start_sample : ended.last_speech_sample + _TAIL_SAMPLES], expectation, self._domain
        )
        reading = None
        if hypotheses and self._understanding is None:
            reading = Interpretation(hypotheses[0].text, hypotheses[0].confidence)
        elif hypotheses and self._understanding is not None:
            said = [(each.text, each.confidence) for each in hypotheses[:1]]
            reading = next(iter(self._understanding.interpret(said, expectation, _NOW)), None)
        spoken_ms = (ended.last_speech_sample - ended.start_sample) // 8
        return asks_for_nothing(reading, expectation, frozenset(), spoken_ms=spoken_ms, left_ms=heard.left_ms)
