"""What no turn of a call holds is heard by what writes talk down, where that can write what no flow expects."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes.transcriber import ScriptedTranscriber
from voicebot.app.relistening import overheard, relistener
from voicebot.records.overheard import Overheard
from voicebot.records.vault.listening import EarAwayError
from voicebot.speech.asr import Final, Hypothesis, Word
from voicebot.speech.dictation import Dictation
from voicebot.speech.scribe import Scribe, Unwritten

PASSAGE = np.zeros(8000, np.int16)


async def test_a_passage_is_heard_and_one_that_fails_is_not() -> None:
    told: list[Unwritten] = []
    scribe = Scribe(told.append)
    ear = relistener(Dictation(ScriptedTranscriber(["good morning", None, ""]), engine="scripted"), scribe)
    assert ear is not None
    async with scribe.running():
        assert await ear.hear(PASSAGE) == Overheard("scripted", ("good morning",), 0.9)
        with pytest.raises(EarAwayError):
            await ear.hear(PASSAGE)
        assert await ear.hear(PASSAGE) == Overheard("scripted", ())
    assert told == [Unwritten.FAILED]


@pytest.mark.parametrize("transcriber", [ScriptedTranscriber([]), None])
def test_who_only_spots_phrases_is_no_ear(transcriber: ScriptedTranscriber | None) -> None:
    assert relistener(Dictation(transcriber, engine="pocketsphinx"), Scribe(lambda _: None)) is None


def test_alternatives_and_words_are_kept_and_what_a_closed_engine_took_over_is_not() -> None:
    words = (Word("two", -0.1, 0.4, 0.7), Word("of", 0.4, 0.5, 1.2))
    hypotheses = (Hypothesis("two of", 0.8, words), Hypothesis("to of", 0.5))
    heard = overheard(Final(hypotheses, "faster-whisper", 1.0))
    assert heard is not None
    assert (heard.texts, heard.confidence) == (("two of", "to of"), 0.8)
    assert [(word.start_ms, word.end_ms, word.confidence) for word in heard.words] == [(0, 400, 0.7), (400, 500, 1.0)]
    assert overheard(Final(hypotheses, "pocketsphinx", 1.0)) is None
