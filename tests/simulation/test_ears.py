"""The caller's ears on real speech: they hear what is said, not what would be expected."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from voicebot import g711
from voicebot.simulation import ears, voice
from voicebot.simulation.knowledge import knowledge_of
from voicebot.simulation.phrasebook import Phrasebook, Slot, examples_of, pattern_of, words_of
from voicebot.simulation.senses import Senses
from voicebot.speech.synthesis.voices import ESPEAK_DEFAULT, list_voices
from voicebot.speech.tts import Voice

BOOK = Phrasebook(
    (
        "Welcome to the bank. How can I help you?",
        "Your balance is {money}.",
        "Order {digits} is late. It will arrive {when}.",
        "I have you down for {day} at {time}. Is that right?",
        "You chose {name}.",
        "Thank you. Goodbye.",
    ),
    names=("the blue kettle", "Maria"),
)
FLOWS = Path(__file__).parents[2] / "flows"
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


@pytest.mark.parametrize("amount", ["12 dollars and 30 cents", "312 dollars and 7 cents", "2,405 dollars and 17 cents"])
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


def test_the_recogniser_says_nothing_on_the_terminal_of_what_fits_no_grammar(capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(1).normal(0.0, 3000.0, 8000).astype(np.int16)
    assert not ears.hear(BOOK, g711.encode(noise)).sure
    assert capfd.readouterr() == ("", "")


def test_silence_is_nothing() -> None:
    assert ears.hear(BOOK, b"\xff" * 8000).text == ""


def test_the_pattern_takes_whole_sentences_only() -> None:
    pattern = pattern_of(BOOK)
    assert pattern.fullmatch("your balance is one thousand two hundred four dollars and nine cents")
    assert pattern.fullmatch("thank you goodbye welcome to the bank how can i help you")
    assert not pattern.fullmatch("your balance is")
    assert not pattern.fullmatch("your balance is two dollar")
    assert not pattern.fullmatch("you chose the red kettle")


@pytest.mark.parametrize("slot", Slot)
def test_every_example_of_a_slot_fits_its_own_pattern(slot: Slot) -> None:
    book = Phrasebook((f"It is {{{slot}}}.",), names=("Maria", "the blue kettle"))
    pattern = pattern_of(book)
    examples = examples_of(book)
    assert len(examples) >= 400
    assert [words for words in examples if not pattern.fullmatch(" ".join(words))] == []


def test_amounts_in_the_examples_are_even() -> None:
    """The word model must not lean towards one balance: no first digit is more than a fifth of all."""
    examples = examples_of(Phrasebook(("{money}.",)))
    firsts = Counter(words[0] for words in examples)
    assert max(firsts.values()) / len(examples) < 0.2


def test_a_bots_prompts_are_all_in_its_book() -> None:
    book = knowledge_of(FLOWS, date(2026, 11, 20))
    pattern = pattern_of(book)
    for said in (
        "Hello, and thank you for calling Harbour and Finch. I'm the automated assistant. How can I help you today?",
        "Your balance is 1,284 dollars and 50 cents.",
        "I'm sorry, your order, a desk lamp, is 5 days late, because the carrier had a breakdown.",
        "That's Tuesday, November 24th at 4 PM. Shall I book it?",
        "Thank you, Maria Keller.",
    ):
        assert pattern.fullmatch(" ".join(words_of(said))), said


async def test_voice_and_ears_work_in_another_process_and_the_voice_is_not_the_bots() -> None:
    async with Senses(BOOK) as senses:
        assert senses.voice.name != "rms"
        mulaw = await senses.speak("your balance is nine dollars")
        assert (await senses.hear(mulaw)).text == "your balance is nine dollars"
