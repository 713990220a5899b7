from __future__ import annotations

from tests.fakes.transcriber import ScriptedTranscriber
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.speech.asr import Final, Hypothesis, Word
from voicebot.speech.dictation import Dictation, phrases_of

PHRASES = ("express delivery", "refund", "Anna Keller", "no")


def heard(engine: str, *words: tuple[str, float]) -> Final:
    spoken = tuple(Word(text, number, number + 1, sure) for number, (text, sure) in enumerate(words))
    return Final((Hypothesis(" ".join(word.text for word in spoken), 0.9, spoken),), engine, 10.0)


def test_a_dictation_engines_words_are_kept_whole() -> None:
    dictation = Dictation(ScriptedTranscriber([]), PHRASES, engine="vosk")
    assert dictation.available
    assert "vosk" in dictation.note
    written = dictation.write(heard("vosk", ("it", 0.4), ("rained", 0.3)))
    assert (written.dictated, written.text, written.phrases) == (True, "it rained", ())


def test_of_a_closed_engines_words_only_phrases_it_is_sure_of_are_shown() -> None:
    dictation = Dictation(ScriptedTranscriber([]), PHRASES, engine="pocketsphinx")
    assert not dictation.available
    assert "no dictation engine" in dictation.note
    said = heard("pocketsphinx", ("anna", 0.95), ("keller", 0.99), ("no", 1.0), ("express", 0.99), ("delivery", 0.7))
    written = dictation.write(said)
    assert (written.dictated, written.text, written.phrases) == (False, "", ("Anna Keller",))


def test_it_goes_by_the_engine_that_heard_the_turn_not_by_the_first_one() -> None:
    dictation = Dictation(ScriptedTranscriber([]), PHRASES, engine="faster-whisper")
    assert dictation.write(heard("pocketsphinx", ("refund", 0.2), ("me", 0.9))).phrases == ()
    assert dictation.write(heard("pocketsphinx", ("refund", 0.97))).phrases == ("refund",)


async def test_without_recognition_nothing_is_heard_and_the_record_says_so() -> None:
    dictation = Dictation(None, PHRASES, why_not="recognition is switched off")
    assert await dictation.start() is None
    assert not dictation.available
    assert "switched off" in dictation.note


def test_nothing_heard_is_nothing_written() -> None:
    dictation = Dictation(ScriptedTranscriber([]), PHRASES, engine="vosk")
    assert dictation.write(Final((), "vosk", 1.0)).text == ""
    assert dictation.write(Final((), "pocketsphinx", 1.0)).phrases == ()


def test_names_and_offered_answers_are_worth_spotting() -> None:
    choice = Expectation("why", (AnswerKind.CHOICE,), phrases=("it was stolen", "Anna Keller"))
    domain = Domain("1", ("where is my order",), (choice,), ("Anna Keller",))
    assert phrases_of(domain) == ("Anna Keller", "it was stolen")
