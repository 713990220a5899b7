from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from voicebot.dialog.actions import PromptPart
from voicebot.dialog.events import SlotValue
from voicebot.dialog.prompt import Fixed, Prompt, TemplateError, Values, parse_template, render
from voicebot.dialog.values import ValueKind

TODAY = date(2026, 3, 2)
KINDS = {"balance": ValueKind.MONEY, "code": ValueKind.DIGITS, "day": ValueKind.DATE}
SLOTS: dict[str, SlotValue] = {
    "balance": Decimal("7.50"),
    "code": "4071",
    "day": TODAY,
    "said": "{balance} {{7*7}} ${code}",
}


def parts(text: str) -> tuple[PromptPart, ...]:
    values = Values(SLOTS.get, lambda name: KINDS.get(name, ValueKind.TEXT), TODAY)
    return render(parse_template(text), values)


def test_fixed_words_and_values_are_parts_of_their_own() -> None:
    assert parts("Your balance is {balance}. Anything else?") == (
        PromptPart("Your balance is"),
        PromptPart("7 dollars and 50 cents.", static=False),
        PromptPart("Anything else?"),
    )


def test_punctuation_goes_with_the_value_before_it() -> None:
    assert [part.text for part in parts("{day:relative}, {code}!")] == ["today,", "4 0 7 1!"]


def test_a_value_that_holds_nothing_is_left_out() -> None:
    assert [part.text for part in parts("Hello {nobody}, welcome.")] == ["Hello", "welcome."]


def test_what_a_caller_said_is_never_read_as_a_template() -> None:
    assert "7 dollars" not in " ".join(part.text for part in parts("You said {said}."))
    assert "4 0 7 1" not in " ".join(part.text for part in parts("You said {said}."))


def test_line_breaks_of_the_file_are_not_said() -> None:
    assert parts("One\n   two") == (PromptPart("One two"),)


@pytest.mark.parametrize("text", ["", "{", "a } b", "{two words}", "{a:shout}", "{a:count}", "{a:digits day}", "{}"])
def test_a_broken_template_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(text)


def test_a_call_hears_variants_by_its_seed_and_a_replay_hears_the_same() -> None:
    prompt = Prompt("bye", tuple((Fixed(word),) for word in ("Bye.", "Goodbye.", "So long.")))
    heard = [prompt.variant(seed, 0) for seed in range(60)]
    assert len(set(heard)) == 3
    assert heard == [prompt.variant(seed, 0) for seed in range(60)]


def test_who_reads_gets_the_written_words_and_values() -> None:
    prompt = Prompt("x", (parse_template("Say {code}."),), written=(parse_template("Type {code}, of {balance}."),))
    values = Values(SLOTS.get, lambda name: KINDS.get(name, ValueKind.TEXT), TODAY)
    pieces = prompt.variant(1, 0, in_writing=True)
    assert " ".join(part.text for part in render(pieces, values, in_writing=True)) == "Type 4071, of $7.50."
    assert prompt.names == {"code", "balance"}
    assert Prompt("y", (parse_template("Say it."),)).variant(1, 0, in_writing=True) == (Fixed("Say it."),)


def test_all_fixed_words_can_be_rendered_before_any_call() -> None:
    prompt = Prompt("x", (parse_template("It is {day}. Fine?"), parse_template("{day} it is.")))
    assert prompt.static_texts == ("It is", "Fine?", "it is.")
    assert prompt.names == {"day"}
    assert prompt.text == "It is {day}. Fine?"
