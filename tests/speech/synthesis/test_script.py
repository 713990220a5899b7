from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.errors import ConfigurationError
from voicebot.speech.synthesis.lexicon import Lexicon, load_lexicon
from voicebot.speech.synthesis.marks import Pause, carry_marks, mark_problems, plain_text
from voicebot.speech.synthesis.script import Speech, write_script


def test_a_plain_text_is_one_speech_in_words() -> None:
    assert write_script("You owe $5.") == (Speech("You owe five dollars."),)


@pytest.mark.parametrize("text", ["", "  ", "...", "[slow][/slow]", "[slow]", "[/slow]"])
def test_nothing_to_hear_is_an_empty_script(text: str) -> None:
    assert write_script(text) == ()


def test_a_pause_parts_two_speeches() -> None:
    assert write_script("One.[pause 300ms]Two.") == (Speech("One."), Pause(0.3), Speech("Two."))
    assert write_script("[pause 1.5s]") == (Pause(1.5),)
    assert write_script("[pause]") == (Pause(0.4),)


def test_speed_marks_nest() -> None:
    assert write_script("[slow]one [speed 0.5]two[/speed] three[/slow] four") == (
        Speech("one", 0.8),
        Speech("two", 0.4),
        Speech("three", 0.8),
        Speech("four", 1.0),
    )


def test_spelling_and_digits_read_one_by_one() -> None:
    assert write_script("Is it [spell]Amy[/spell], [digits]1234567[/digits]? [spell]B7[/spell].") == (
        Speech("Is it eigh, M, Y, one two three, four five six seven? B, seven."),
    )


def test_a_mark_left_open_lasts_to_the_end() -> None:
    assert write_script("one [slow]two") == (Speech("one"), Speech("two", 0.8))


@pytest.mark.parametrize(
    "text", ["[pause 9s]one", "[loud]one[/loud]", "one[/slow]", "[speed 99]one", "[pause soon]one"]
)
def test_a_wrong_mark_never_stops_a_call(text: str) -> None:
    assert write_script(text) == (Speech("one"),)
    assert mark_problems(text)


@given(st.text(alphabet="[]/ abspauseslowdigit019.m", max_size=60))
def test_any_text_has_a_script(text: str) -> None:
    for part in write_script(text):
        assert isinstance(part, Pause) or part.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[loud]hey[/loud]", "there are pause, slow"),
        ("[speed 3]hey[/speed]", "from 0.5 to 2.0"),
        ("[speed]hey[/speed]", "from 0.5 to 2.0"),
        ("[pause 10s]", "5 s at most"),
        ("[pause now]", "[pause 300ms]"),
        ("[slow]hey", "[slow] is not closed"),
        ("hey[/slow]", "closes nothing"),
    ],
)
def test_a_check_names_what_is_wrong_with_a_mark(text: str, problem: str) -> None:
    assert any(problem in found for found in mark_problems(text))


@pytest.mark.parametrize("text", ["Hello.", "[slow]Hello.[/slow]", "a[pause]b [pause 1.5s]c", "[spell]x[/spell] [1]"])
def test_marks_in_order_raise_no_problem(text: str) -> None:
    assert mark_problems(text) == ()


def test_captions_show_no_marks() -> None:
    assert plain_text("[slow]Your code is[/slow][pause 300ms] 7.") == "Your code is 7."


def test_marks_carry_over_the_pieces_of_a_prompt() -> None:
    assert carry_marks(["Hi. [slow]Your code is", "4 5 1", ".[/slow] Bye."]) == (
        "Hi. [slow]Your code is[/slow]",
        "[slow]4 5 1[/slow]",
        "[slow].[/slow] Bye.",
    )


def test_a_lexicon_replaces_whole_terms_whatever_their_case() -> None:
    lexicon = Lexicon({"Nguyen": "win", "SQL": "sequel", "SQL Server": "sequel server", "C++": "see plus plus"})
    assert lexicon.apply("NGUYEN runs SQL  server, not MySQL or C++.") == (
        "Win runs Sequel server, not MySQL or See plus plus."
    )


def test_an_empty_lexicon_changes_nothing() -> None:
    assert Lexicon().apply("Hello.") == "Hello."


def test_a_lexicon_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.yaml"
    path.write_text("Nguyen: win\nQantara Plus: can tara plus\n")
    lexicon = load_lexicon(path)
    assert len(lexicon) == 2
    assert write_script("Ms. Nguyen has qantara plus.", lexicon) == (Speech("Miz Win has can tara plus."),)


@pytest.mark.parametrize("content", [None, "", "# nothing yet\n"])
def test_no_lexicon_is_an_empty_lexicon(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "lexicon.yaml"
    if content is not None:
        path.write_text(content)
    assert len(load_lexicon(path)) == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("- a\n- b\n", "^lexicon.yaml:1: Named entries are expected"),
        ("a: [\n", "^lexicon.yaml:2: This is not valid YAML"),
        ("yes: yess\n12: twelve\nok: '...'\n", "^lexicon.yaml:3: 'ok' has no respelling in letters"),
        ("b: bee\na: \n", "^lexicon.yaml:2: A piece of text is missing"),
        ("b: bee\nb: be\n", "^lexicon.yaml:2: 'b' is written twice"),
    ],
)
def test_what_is_wrong_with_a_lexicon_is_said(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "lexicon.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=problem.replace("[", r"\[")):
        load_lexicon(path)
