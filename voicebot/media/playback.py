"""Keeps track of which utterance the caller is hearing, in samples sent and samples really played. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from voicebot.telephony.leg import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of an utterance reached the caller's ear."""

    utterance_id: str
    heard_ms: int
    text: str
    cut: bool


@dataclass(frozen=True, slots=True)
class Paused:
    """Where an utterance was stopped; `left_ms` of it are still to be heard."""

    utterance_id: str
    left_ms: int


#: A word of a piece that is still being rendered is taken to last this long.
_WORD_SAMPLES = SAMPLE_RATE_HZ * 35 // 100


@dataclass(slots=True)
class Piece:
    """A part of an utterance; `samples` grows while the voice renders it, until it is `complete`."""

    text: str
    samples: int = 0
    complete: bool = False

    @property
    def expected_samples(self) -> int:
        if self.complete:
            return self.samples
        return max(self.samples, len(self.text.split()) * _WORD_SAMPLES)


@dataclass(slots=True)
class _Spoken:
    utterance_id: str
    start: int
    words: int = 0
    pieces: list[Piece] = field(default_factory=list)
    end: int | None = None

    def heard_until(self, position: int) -> tuple[int, str]:
        """Return the milliseconds and the words heard when playback stands at `position`.

        Words within a piece are taken as equally long, which is close enough to quote.
        """
        left = max(0, position - self.start)
        heard_ms = left * 1000 // SAMPLE_RATE_HZ
        words: list[str] = []
        for piece in self.pieces:
            spoken = piece.text.split()
            total = piece.expected_samples
            if total > left:
                words += spoken[: len(spoken) * left // total]
                break
            words += spoken
            left -= total
        return heard_ms, " ".join(words)

    def left_ms(self, position: int) -> int:
        """Return how much is still to be heard when playback stands at `position`."""
        unknown_words = max(0, self.words - sum(len(piece.text.split()) for piece in self.pieces))
        total = sum(piece.expected_samples for piece in self.pieces) + unknown_words * _WORD_SAMPLES
        end = self.start + total if self.end is None else self.end
        return max(0, end - position) * 1000 // SAMPLE_RATE_HZ


class Playback:
    """Positions are those of the leg: samples sent since it began. Pieces are announced before their audio is sent."""

    def __init__(self) -> None:
        self._spoken: deque[_Spoken] = deque()

    @property
    def busy(self) -> bool:
        """Whether anything sent, or being sent, has not been heard to its end."""
        return bool(self._spoken)

    def began(self, utterance_id: str, position: int, words: int = 0) -> None:
        """An utterance of `words` words begins with what is sent next."""
        self._spoken.append(_Spoken(utterance_id, position, words))

    def at(self, position: int) -> Paused | None:
        """Return the utterance that is heard at `position`; None if there is none."""
        for spoken in self._spoken:
            if spoken.end is None or position < spoken.end:
                return Paused(spoken.utterance_id, spoken.left_ms(position))
        return None

    def piece(self, piece: Piece) -> None:
        """A part of the current utterance comes next."""
        if self._spoken:
            self._spoken[-1].pieces.append(piece)

    def ended(self, position: int) -> None:
        """All audio of the current utterance has been sent."""
        if self._spoken:
            self._spoken[-1].end = position

    def played(self, position: int) -> list[Heard]:
        """Return the utterances that have now been heard to their end."""
        finished = []
        while self._spoken and (end := self._spoken[0].end) is not None and end <= position:
            done = self._spoken.popleft()
            heard_ms, text = done.heard_until(position=end)
            finished.append(Heard(done.utterance_id, heard_ms, text, cut=False))
        return finished

    def cut(self, position: int) -> list[Heard]:
        """Everything not heard by `position` was dropped; return how far each pending utterance got."""
        finished = self.played(position)
        while self._spoken:
            spoken = self._spoken.popleft()
            heard_ms, text = spoken.heard_until(position)
            finished.append(Heard(spoken.utterance_id, heard_ms, text, cut=True))
        return finished

    def postpone(self, samples: int) -> None:
        """The last `samples` sent were dropped and will be sent again: what is pending moves on the leg's count."""
        for spoken in self._spoken:
            spoken.start += samples
            if spoken.end is not None:
                spoken.end += samples
