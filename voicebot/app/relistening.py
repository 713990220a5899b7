"""Has what no turn of a call holds heard after it, by what writes down talk after a transfer, and behind that."""

from __future__ import annotations

from voicebot.g711 import Pcm
from voicebot.records.overheard import Overheard
from voicebot.records.record import HeardWord
from voicebot.records.vault.listening import EarAwayError
from voicebot.speech.asr import Final, Utterance, Word
from voicebot.speech.dictation import Dictation, dictates
from voicebot.speech.scribe import Scribe, Unwritten


class Relistener:
    """An ear for recordings that are finished: see `voicebot.records.vault.listening.Ear`."""

    def __init__(self, dictation: Dictation, scribe: Scribe) -> None:
        self._dictation = dictation
        self._scribe = scribe

    async def hear(self, pcm: Pcm) -> Overheard | None:
        heard = await self._scribe.write(self, pcm.tobytes(), leisurely=True)
        if isinstance(heard, Unwritten):
            raise EarAwayError("What writes talk down could not hear a passage of a recording.")
        return heard

    async def start(self) -> Utterance | None:
        return await self._dictation.start()

    def write(self, final: Final) -> Overheard | None:
        return overheard(final)


def overheard(final: Final) -> Overheard | None:
    """Return what was heard; None of an engine that finds the words it knows in whatever was said."""
    if not dictates(final.engine):
        return None
    if not final.hypotheses:
        return Overheard(final.engine, ())
    best, *_ = final.hypotheses
    texts = tuple(hypothesis.text for hypothesis in final.hypotheses)
    return Overheard(final.engine, texts, _share(best.confidence), tuple(map(_in_passage, best.words)))


def relistener(dictation: Dictation, scribe: Scribe) -> Relistener | None:
    """Return an ear, None where nothing writes down what no flow expects."""
    return Relistener(dictation, scribe) if dictation.available else None


def _in_passage(word: Word) -> HeardWord:
    start_ms, end_ms = (max(0, round(at_s * 1000)) for at_s in (word.start_s, word.end_s))
    return HeardWord(word.text, start_ms, end_ms, _share(word.confidence))


def _share(confidence: float) -> float:
    return min(1.0, max(0.0, confidence))
