"""The words of a caller's turn as they come while it is spoken: pocketsphinx, or two passes, fed 20 ms at a time.

Time is the audio's alone: recognition takes as many frames each time, so that a busy machine measures the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from _recogniser import Recogniser

from voicebot.dialog.expectation import Domain, Expectation
from voicebot.language.completeness import completeness
from voicebot.language.endings import Endings
from voicebot.language.understanding import Understanding
from voicebot.speech.listening.turn import TurnDetector
from voicebot.speech.listening.words import LOOK_AHEAD_FRAMES, said_so_far, tell_words
from voicebot.speech.recognition.engine import Stream

#: What a packet takes to be heard, and what hearing ahead takes, in whole frames: of 79,000 packets half took 0.1 ms of
#: the processor and one in a hundred over 5, of 959 looks ahead half took 36 ms, on two cores that others used.
_PACKET_FRAMES = 1
_AHEAD_FRAMES = 2
#: What the second of two passes takes, begun together with hearing ahead: 40 to 80 ms on an idle machine, 30 to 70 more
#: where the first text holds strange words (docs/benchmarks.md).
_SECOND_FRAMES = 6
_NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Reader:
    """One bot's recogniser and understanding, for one caller after another."""

    def __init__(self, domain: Domain, intents: Mapping[str, Sequence[str]], engine: Mapping[str, object]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="voicebot-bench-")
        self.recogniser = Recogniser(engine, Path(self._folder.name), in_one_process=True)
        self.ahead_frames = _SECOND_FRAMES if engine["engine"] == "two-pass" else _AHEAD_FRAMES
        self.domain = self.recogniser.compile(domain.requests, domain.expectations)
        self._endings = Endings(domain.requests)
        self._understanding = Understanding({name: tuple(examples) for name, examples in intents.items()})

    def close(self) -> None:
        """End the recogniser and forget the compiled domain."""
        self.recogniser.close()
        self._folder.cleanup()

    def said(self, texts: Sequence[str], expectation: Expectation) -> float:
        """Return how likely what was heard, the likeliest of `texts` first, is all there is, as calls ask it."""

        def whole(text: str) -> float:
            readings = self._understanding.interpret([(text, 1.0)], expectation, _NOW)
            return completeness(readings[0], expectation, self._endings) if readings else 0.0

        return said_so_far(texts[0], texts[1:], whole) if texts else 0.0


class StreamedTurn:
    """One turn's words on their way to the detector."""

    def __init__(self, reader: Reader, turns: TurnDetector, expectation: Expectation) -> None:
        self._reader = reader
        self._turns = turns
        self._expectation = expectation
        self._told: list[str] = []
        self._stream: Stream = reader.recogniser.open(expectation, reader.domain, self._told.append)
        self._waiting = b""
        self._frame = 0
        #: Texts that are known, each with the frame in which the line hears of it.
        self._coming: list[tuple[int, tuple[str, ...]]] = []
        #: What was heard ahead at this pause, the same, with what else it may have been.
        self._ahead: list[tuple[int, tuple[str, ...]]] = []
        self._texts: tuple[str, ...] = ()
        self._pause_frames: int | None = None

    def frame(self, pcm: bytes) -> None:
        """Take the next 20 ms, before the detector does."""
        self._frame += 1
        self._waiting += pcm
        if len(self._waiting) >= self._reader.recogniser.packet_bytes:
            self._pass_on()
        coming = [*self._coming, *self._ahead]
        news = [texts for at, texts in coming if at == self._frame]
        if news:
            self._texts = news[-1]
            self._judge()

    def spend_frame(self) -> None:
        """Look ahead once a pause has lasted, after the detector has taken the frame."""
        if self._pause_frames is not None:
            self._pause_frames += 1
            if self._pause_frames == LOOK_AHEAD_FRAMES:
                self._look_ahead()

    def pause(self) -> None:
        """The caller has paused."""
        self._pause_frames = 0
        self._judge()

    def go_on(self) -> None:
        """It was only a pause."""
        if self._pause_frames is not None and self._pause_frames >= LOOK_AHEAD_FRAMES:
            self._reader.recogniser.wait_for(self._stream.go_on())
        # What is still on its way belongs to a pause that is over.
        self._ahead.clear()
        self._pause_frames = None

    def close(self) -> None:
        self._reader.recogniser.wait_for(self._stream.close())

    def _judge(self) -> None:
        if self._pause_frames is not None:
            tell_words(self._turns, self._reader.said(self._texts, self._expectation))

    def _pass_on(self) -> None:
        waiting, self._waiting = self._waiting, b""
        self._reader.recogniser.wait_for(self._stream.feed(waiting))
        self._note(_PACKET_FRAMES)

    def _look_ahead(self) -> None:
        self._pass_on()
        heard = self._reader.recogniser.wait_for(self._stream.look_ahead())
        self._note(_AHEAD_FRAMES)
        if heard:
            self._ahead.append((self._frame + self._reader.ahead_frames, tuple(each.text for each in heard)))

    def _note(self, took_frames: int) -> None:
        self._coming += [(self._frame + took_frames, (text,)) for text in self._told]
        self._told.clear()
