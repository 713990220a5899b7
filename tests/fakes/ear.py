"""An ear for recordings that hears what the test has written down."""

from __future__ import annotations

from voicebot.g711 import Pcm
from voicebot.records.overheard import Overheard
from voicebot.records.record import HeardWord
from voicebot.records.vault.listening import EarAwayError

_SAMPLES_PER_MS = 8


class ScriptedEar:
    """Hears `texts`, a passage each, their words spread over it evenly; None: it can make nothing out.

    The first `away` times it cannot hear at all.
    """

    def __init__(self, *texts: str | None, away: int = 0) -> None:
        self._texts = list(texts)
        self._away = away
        self.passages_ms: list[int] = []

    async def hear(self, pcm: Pcm) -> Overheard | None:
        if self._away:
            self._away -= 1
            raise EarAwayError("away")
        length_ms = len(pcm) // _SAMPLES_PER_MS
        self.passages_ms.append(length_ms)
        text = self._texts.pop(0)
        if text is None:
            return None
        words = text.split()
        each_ms = length_ms // max(1, len(words))
        timed = tuple(HeardWord(word, each_ms * at, each_ms * (at + 1), 0.9) for at, word in enumerate(words))
        return Overheard("scripted", (text,), 0.9, timed)
