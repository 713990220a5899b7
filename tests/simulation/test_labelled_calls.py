from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.errors import ConfigurationError
from voicebot.simulation.labelled_calls import Happened, LabelledCall, read_labelled_calls

DIALOGUES = Path(__file__).parents[1] / "dialog" / "escalation" / "dialogues"


def labelled() -> tuple[LabelledCall, ...]:
    return read_labelled_calls(DIALOGUES)


def test_there_are_enough_labelled_calls_of_both_kinds_in_both_halves() -> None:
    calls = labelled()
    assert len(calls) >= 200
    for held_back in (True, False):
        half = [call for call in calls if call.is_held_back is held_back]
        assert len(half) >= 90
        assert 0.35 <= sum(call.person_at is not None for call in half) / len(half) <= 0.65


def test_no_call_is_there_twice() -> None:
    calls = labelled()
    assert len({call.id for call in calls}) == len(calls)
    assert len({tuple(turn.text for turn in call.turns) for call in calls}) == len(calls)


def test_a_call_is_read_as_it_was_written(tmp_path: Path) -> None:
    text = "= a-b | balance | gold calls=2\n> 2 stuck\nmy balance\n- | silent\nnine | miss over amount=9\n"
    (tmp_path / "calls.txt").write_text(text, encoding="utf-8")
    (call,) = read_labelled_calls(tmp_path)
    assert (call.about, call.tier, call.earlier_calls, call.person_at, call.why) == ("balance", "gold", 2, 2, "stuck")
    assert [turn.text for turn in call.turns] == ["my balance", "", "nine"]
    assert call.turns[0].happened == {Happened.OK}
    assert call.turns[2].happened == {Happened.MISS, Happened.OVER}
    assert call.turns[2].amount == 9


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("= a | b\n> 1 why\nwords\n", 1),
        ("= a | b |\nwords\nwords\n", 1),
        ("= a | b |\n> 1 why\nwords | lost\n", 3),
        ("= a | b |\n> 2 why\nwords\n", 2),
    ],
)
def test_a_mistake_is_shown_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "calls.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        read_labelled_calls(tmp_path)
    assert raised.value.problems[0].line == line


def test_a_folder_without_calls_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no labelled calls"):
        read_labelled_calls(tmp_path)
