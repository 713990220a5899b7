"""The caller's ears on real speech: they hear what is said, not what would be expected."""

from __future__ import annotations

import pytest

from voicebot.simulation import ears, voice
from voicebot.simulation.phrasebook import Phrasebook, Slot, grammar_of, sentences_of, words_of
from voicebot.simulation.senses import Senses
from voicebot.speech.synthesis.voices import ESPEAK_DEFAULT, list_voices
from voicebot.speech.tts import Voice

BOOK = Phrasebook(
    (
        "Welcome to the bank. How can I help you?",
        "Your balance is {money}.",
        "Order {digits} is late. It will arrive {date}.",
        "I have you down for {date} at {time}. Is that right?",
        "You chose {name}.",
        "Thank you. Goodbye.",
    ),
    names=("the blue kettle", "Maria"),
)
PRESENT = {(report.voice.engine, report.voice.name) for report in list_voices(None) if report.present}
BOT_VOICES = (Voice("flite", "rms"), Voice("espeak", ESPEAK_DEFAULT))


def said(bot: Voice, text: str) -> ears.Heard:
    if (bot.engine, bot.name) not in PRESENT:
        pytest.skip(f"{bot.engine} is not installed")
    return ears.hear(BOOK, voice.speak(bot, " ".join(words_of(text))))


@pytest.mark.parametrize("bot", BOT_VOICES, ids=lambda bot: bot.engine)
def test_prompts_are_understood_word_by_word(bot: Voice) -> None:
    assert said(bot, "Welcome to the bank. How can I help you?") == ears.Heard(
        "welcome to the bank how can i help you", sure=True
    )


@pytest.mark.parametrize("amount", ["12 dollars and 30 cents", "850 dollars", "2,405 dollars and 17 cents"])
def test_an_amount_is_heard_as_it_was_said(amount: str) -> None:
    heard = said(BOT_VOICES[0], f"Your balance is {amount}.")
    assert heard == ears.Heard(" ".join(words_of(f"your balance is {amount}")), sure=True)


def test_dates_times_and_names_are_heard() -> None:
    text = "I have you down for Thursday, November 26th at 10:30 AM. Is that right?"
    assert said(BOT_VOICES[0], text).text == " ".join(words_of(text))
    assert said(BOT_VOICES[0], "You chose the blue kettle.").text == "you chose the blue kettle"


def test_a_sentence_that_is_not_in_the_book_is_never_sure() -> None:
    heard = said(BOT_VOICES[0], "Thunder and lightning fell upon the purple mountains.")
    assert not heard.sure


def test_a_sentence_that_was_cut_off_is_guessed_from_its_words() -> None:
    whole = voice.speak(BOT_VOICES[0], "thank you. goodbye. welcome to the bank. how can")
    heard = ears.hear(BOOK, whole)
    assert not heard.sure
    assert "welcome to the bank" in heard.text


def test_silence_is_nothing() -> None:
    assert ears.hear(BOOK, b"\xff" * 8000).text == ""


def test_the_grammar_leaves_out_what_cannot_be_pronounced_and_keeps_the_rest() -> None:
    book = Phrasebook(("Zxqv is here. Hello {name}.",), names=("Maria", "Zxqv"))
    vocabulary = frozenset({"hello", "maria", "is", "here"})
    grammar = grammar_of(book, vocabulary)
    assert "<sentence> = hello <name>;" in grammar
    assert "<name> = maria;" in grammar
    assert "zxqv" not in grammar


def test_examples_fill_every_kind_of_slot() -> None:
    book = Phrasebook(tuple(f"It is {{{slot}}}." for slot in Slot), names=("Maria",))
    known = frozenset(["it", "is", "maria"])
    examples = sentences_of(book, known)
    assert len(examples) == 30 * len(Slot)
    assert all(example.startswith("it is ") and "{" not in example for example in examples)


async def test_voice_and_ears_work_in_another_process_and_the_voice_is_not_the_bots() -> None:
    async with Senses(BOOK) as senses:
        assert senses.voice.name != "rms"
        mulaw = await senses.speak("your balance is nine dollars")
        assert (await senses.hear(mulaw)).text == "your balance is nine dollars"
