from __future__ import annotations

import pytest

from voicebot.speech.recognition.whisper.guards import agreed, before_loop, before_restart, invented, repeats, said_once


def believed(text: str, *, no_speech: float = 0.05, log_probability: float = -0.3, speech_s: float = 3.0) -> bool:
    return not invented(text, no_speech=no_speech, log_probability=log_probability, speech_s=speech_s)


@pytest.mark.parametrize(
    "text",
    [
        "Where is my order?",
        "It's 5 5 5 5 5 0.",
        "five five five five five oh",
        "No, no, no, I said Tuesday.",
        "Yes.",
    ],
)
def test_what_callers_say_is_believed(text: str) -> None:
    assert believed(text)


@pytest.mark.parametrize(
    "text",
    [
        "Thank you. Thank you. Thank you. Thank you. Thank you.",
        "I'm going to go to the I'm going to go to the I'm going to go to the I'm going to go to the I'm going to go",
        "so " * 60,
    ],
)
def test_loops_are_inventions(text: str) -> None:
    assert not believed(text, speech_s=30.0)


def test_fluent_text_over_probable_silence_is_an_invention() -> None:
    assert not believed("Thanks for watching!", no_speech=0.9, log_probability=-1.4)
    assert believed("My order.", no_speech=0.9, log_probability=-0.2), "a sure text outweighs the silence"


def test_more_text_than_a_mouth_can_say_is_an_invention() -> None:
    assert not believed("I would like to ask about the order that I placed last week", speech_s=0.4)


@pytest.mark.parametrize(
    ("text", "speech_s", "once"),
    [
        ("Can I have a light roast? can I have a light roast? Can I ha", 3.0, "Can I have a light roast?"),
        # What was missed at first is part of the repeat.
        ("have a drip coffee. May I have a drip coffee. May I have a drip", 3.0, "have a drip coffee."),
        ("a mocha with soy milk and a mocha with soy milk and a mocha", 3.0, "a mocha with soy milk and"),
        ("I want a latte with soy milk and a lot of sugar", 3.0, "I want a latte with soy milk and a lot of sugar"),
        ("Never mind. Never mind. Never mind. Nev", 0.9, "Never mind."),
        ("Thank you. Thank you. Thank you. Thank you.", 3.0, "Thank you. Thank you. Thank you. Thank you."),
        ("5 5 5 5 5 0 5 5", 3.0, "5 5 5 5 5 0 5 5"),
        ("", 1.0, ""),
    ],
)
def test_what_is_said_again_at_the_end_is_left_out(text: str, speech_s: float, once: str) -> None:
    assert before_loop(text, speech_s) == once


@pytest.mark.parametrize(
    ("text", "once"),
    [
        ("What are your opening hours? What are your opening hours?", "What are your opening hours?"),
        ("can you check my account Can you check my account", "can you check my account"),
        ("thank you thank you", "thank you thank you"),  # people say two words twice
        ("one two three one two three", "one two three one two three"),
        ("48 2 1 48 2 1", "48 2 1 48 2 1"),
        ("my order my order is late", "my order my order is late"),
    ],
)
def test_a_request_that_is_written_twice_was_said_once(text: str, once: str) -> None:
    assert said_once(text) == once


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("What are your opening hours? What are", "What are your opening hours?"),
        ("Good morning. What time do you close? Good mor", "Good morning. What time do you close?"),
        ("Open the gate. Please. Please. Open the", "Open the gate. Please. Please."),
        ("I want a tea. I want milk", "I want a tea. I want milk"),  # goes on in another way
        ("I want a tea. I", "I want a tea."),
        ("I want a tea I want a", "I want a tea I want a"),  # no sentence ends there
        ("Thank you. Thank you. Thank you. Thank you. Thank", "Thank you. Thank you. Thank you. Thank you. Thank"),
        ("Hello there. Hello there. Hello", "Hello there. Hello there. Hello"),
        ("Bye. Bye. Bye. Bye", "Bye. Bye. Bye. Bye"),
        ("Write to info at company.info", "Write to info at company.info"),
        ("Please call Dr. P", "Please call Dr. P"),  # half a word, and not even the first again
        ("4 0 2. 4 0", "4 0 2. 4 0"),
        ("", ""),
    ],
)
def test_what_begins_again_as_all_of_it_does_is_told(text: str, before: str) -> None:
    assert before_restart(text) == before


def test_four_times_the_same_words_is_still_speech() -> None:
    assert not repeats("no no no no")
    assert repeats("no no no no no")


@pytest.mark.parametrize(
    ("earlier", "later", "common"),
    [
        ("where is", "Where is my order", "Where is"),
        ("Where is my.", "Where is my order", "Where is my"),
        ("Were is", "Where is my order", ""),
        ("", "Where", ""),
    ],
)
def test_a_partial_is_what_two_passes_agree_on(earlier: str, later: str, common: str) -> None:
    assert agreed(earlier, later) == common


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("I like it. I like it.", "I like it."),
        ("I like it. I like", "I like it. I like"),
        ("I like it. I like that.", "I like it. I like that."),
        ("Table for two. Table for two", "Table for two. Table for two"),
    ],
)
def test_a_text_may_have_to_be_there_again_in_full(text: str, before: str) -> None:
    assert before_restart(text, in_full=True) == before
